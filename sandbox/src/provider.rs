//! One request to a provider, from its arrival to its answer.

use std::sync::Arc;

use crate::answer::Answer;
use crate::effects::{self, Terms};
use crate::fault::{self, Fault, ParseError};
use crate::request::Request;
use crate::service::{Route, Service};
use crate::state::{Endpoint, InFlight, ServiceState, Verdict};
use crate::tokens::Standing;
use crate::{nexter_pay, ntx_pay, send_payments};

/// The answer to a request; for a token request also the mark that it is in work.
pub(crate) fn answer(
    state: &Arc<ServiceState>,
    request: &Request,
    tls_certificate: Option<&[u8]>,
) -> (Answer, Option<InFlight>) {
    state.record(&request.raw);
    let service = state.service;
    match service.route(&request.method, &request.path) {
        Route::Token => {
            let (answer, in_flight) = token(state, request, tls_certificate);
            (answer, Some(in_flight))
        }
        Route::Api(index) => (api(state, request, index), None),
        Route::WrongMethod => (service.error(405, "this path wants another method"), None),
        Route::Unknown => (service.error(404, "there is nothing at this path"), None),
    }
}

fn token(
    state: &Arc<ServiceState>,
    request: &Request,
    tls_certificate: Option<&[u8]>,
) -> (Answer, InFlight) {
    let service = state.service;
    let credentials = Credentials::of(service, request);
    let in_flight = state.arrive(credentials.as_ref().map(|credentials| &*credentials.id));
    let answer = match faults(state, request, Endpoint::Token) {
        Ok(faults) => {
            state.stop.pause(state.delay());
            effects::answer(&faults, service, request, &state.stop, |terms| {
                let question =
                    TokenRequest { state, request, credentials: credentials.as_ref(), terms };
                match service {
                    Service::NtxPay => ntx_pay::token(&question, tls_certificate),
                    Service::NexterPay => nexter_pay::token(&question),
                    Service::SendPayments => send_payments::token(&question),
                }
            })
        }
        Err(problem) => service.error(400, &format!("X-Sandbox-Fault: {problem}")),
    };
    (answer, in_flight)
}

fn api(state: &Arc<ServiceState>, request: &Request, index: usize) -> Answer {
    let service = state.service;
    state.count(|counts| counts.api_requests += 1);
    let faults = match faults(state, request, Endpoint::Api) {
        Ok(faults) => faults,
        Err(problem) => return service.error(400, &format!("X-Sandbox-Fault: {problem}")),
    };
    effects::answer(&faults, service, request, &state.stop, |_| {
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
            return service.error(401, message);
        }
        match service {
            Service::NtxPay => ntx_pay::api(index, request),
            Service::NexterPay => nexter_pay::api(),
            Service::SendPayments => send_payments::api(),
        }
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
    fn of(service: Service, request: &Request) -> Option<Credentials> {
        let body = request.json()?;
        let field = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
        Some(Credentials { id: field(service.id_field())?, secret: field(service.secret_field())? })
    }
}

/// A token request as the three services see it.
pub(crate) struct TokenRequest<'a> {
    pub(crate) state: &'a ServiceState,
    pub(crate) request: &'a Request,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) terms: Terms,
}

impl TokenRequest<'_> {
    pub(crate) fn error(&self, status: u16, message: &str) -> Answer {
        self.state.service.error(status, message)
    }

    /// The answer to a body that does not name an id and a secret as documented.
    pub(crate) fn malformed(&self) -> Answer {
        let service = self.state.service;
        let (id, secret) = (service.id_field(), service.secret_field());
        let message = format!("the body must be application/json with {id:?} and {secret:?}");
        self.error(400, &message)
    }

    pub(crate) fn judge(&self, credentials: &Credentials) -> Verdict {
        self.state.judge(&credentials.id, &credentials.secret)
    }

    pub(crate) fn issue(&self, credentials: &Credentials) -> crate::tokens::Issued {
        self.state.issue(&credentials.id, self.terms.lifetime, self.terms.clock_offset_seconds)
    }
}
