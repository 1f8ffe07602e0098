//! One request to a provider, from its arrival to its answer.

use std::sync::Arc;

use crate::answer::Answer;
use crate::effects::{self, Terms};
use crate::fault::{self, Fault, ParseError};
use crate::request::Request;
use crate::simulations::{ApiCall, Simulation};
use crate::state::{Endpoint, InFlight, ServiceState, Verdict};
use crate::tokens::Standing;

/// The answer to a request; for a token request also the mark that it is in work.
pub(crate) fn answer(
    state: &Arc<ServiceState>,
    request: &Request,
    tls_certificate: Option<&[u8]>,
) -> (Answer, Option<InFlight>) {
    state.record(&request.raw);
    let error = state.simulation.error;
    match route(state.simulation, &request.method, &request.path) {
        Route::Token => {
            let (answer, in_flight) = token(state, request, tls_certificate);
            (answer, Some(in_flight))
        }
        Route::Api(call) => (api(state, request, call), None),
        Route::WrongMethod => (error(405, "this path wants another method"), None),
        Route::Unknown => (error(404, "there is nothing at this path"), None),
    }
}

fn token(
    state: &Arc<ServiceState>,
    request: &Request,
    tls_certificate: Option<&[u8]>,
) -> (Answer, InFlight) {
    let simulation = state.simulation;
    let credentials = Credentials::of(simulation, request);
    let in_flight = state.arrive(credentials.as_ref().map(|credentials| &*credentials.id));
    let answer = match faults(state, request, Endpoint::Token) {
        Ok(faults) => {
            state.stop.pause(state.delay());
            effects::answer(&faults, simulation.error, request, &state.stop, |terms| {
                let credentials = credentials.as_ref();
                (simulation.token)(&TokenRequest {
                    state,
                    request,
                    tls_certificate,
                    credentials,
                    terms,
                })
            })
        }
        Err(problem) => (simulation.error)(400, &format!("X-Sandbox-Fault: {problem}")),
    };
    (answer, in_flight)
}

/// What a request is for.
enum Route {
    Token,
    Api(ApiCall),
    WrongMethod,
    Unknown,
}

fn route(simulation: &Simulation, method: &str, path: &str) -> Route {
    let mut known_path = false;
    let token = ("POST", simulation.service.facts().endpoint, Route::Token);
    let api_calls = simulation.api_calls.iter();
    let api_calls = api_calls.map(|&(method, path, answer)| (method, path, Route::Api(answer)));
    for (known_method, known, route) in std::iter::once(token).chain(api_calls) {
        if known == path {
            if known_method == method {
                return route;
            }
            known_path = true;
        }
    }
    if known_path { Route::WrongMethod } else { Route::Unknown }
}

fn api(state: &Arc<ServiceState>, request: &Request, call: ApiCall) -> Answer {
    let error = state.simulation.error;
    state.count(|counts| counts.api_requests += 1);
    let faults = match faults(state, request, Endpoint::Api) {
        Ok(faults) => faults,
        Err(problem) => return error(400, &format!("X-Sandbox-Fault: {problem}")),
    };
    effects::answer(&faults, error, request, &state.stop, |_| {
        let standing = request.bearer().map_or(Standing::Unknown, |token| state.standing(token));
        if standing != Standing::Valid {
            state.count(|counts| {
                counts.api_unauthorized += 1;
                counts.api_superseded += usize::from(standing == Standing::Superseded);
            });
            let message = match standing {
                Standing::Superseded => "the token was replaced by a newer one",
                Standing::Expired => "the token has expired",
                Standing::Revoked => "the token was revoked",
                Standing::Unknown | Standing::Valid => "a valid bearer token is needed",
            };
            return error(401, message);
        }
        call(request)
    })
}

/// The faults of one request: those it asks for itself, else the next of the service.
fn faults(
    state: &ServiceState,
    request: &Request,
    endpoint: Endpoint,
) -> Result<Vec<Fault>, ParseError> {
    match request.header("x-sandbox-fault") {
        Some(text) => fault::parse_list(text),
        None => Ok(state.next_faults(endpoint)),
    }
}

/// An id and a secret as a token request names them.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Credentials {
    /// Reads them from a JSON body; `None` if the body has another form.
    fn of(simulation: &Simulation, request: &Request) -> Option<Credentials> {
        let body = request.json()?;
        let field = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
        Some(Credentials {
            id: field(simulation.id_field)?,
            secret: field(simulation.secret_field)?,
        })
    }
}

/// A token request as a simulation sees it.
pub(crate) struct TokenRequest<'a> {
    pub(crate) state: &'a ServiceState,
    pub(crate) request: &'a Request,
    /// The certificate that the client showed in the TLS handshake.
    pub(crate) tls_certificate: Option<&'a [u8]>,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) terms: Terms,
}

impl TokenRequest<'_> {
    /// The answer to a body that does not name an id and a secret as documented.
    pub(crate) fn malformed(&self) -> Answer {
        let Simulation { id_field: id, secret_field: secret, error, .. } = self.state.simulation;
        let message = format!("the body must be application/json with {id:?} and {secret:?}");
        error(400, &message)
    }

    pub(crate) fn judge(&self, credentials: &Credentials) -> Verdict {
        self.state.judge(&credentials.id, &credentials.secret)
    }

    pub(crate) fn issue(&self, credentials: &Credentials) -> crate::tokens::Issued {
        self.state.issue(&credentials.id, self.terms.lifetime, self.terms.clock_offset_seconds)
    }
}
