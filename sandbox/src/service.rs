//! One request to a provider, from its arrival to its answer.

use std::sync::Arc;

use crate::answer::Answer;
use crate::credentials::Credentials;
use crate::described::Described;
use crate::effects;
use crate::fault::{self, Fault, ParseError};
use crate::request::Request;
use crate::simulations::{ApiCall, Simulation, TokenRequest};
use crate::state::{Endpoint, InFlight, ServiceState};
use crate::tokens::Standing;

/// The answer to a request; for a token request also the mark that it is in work.
pub(crate) fn answer(
    state: &Arc<ServiceState>,
    request: &Request,
    tls_certificate: Option<&[u8]>,
) -> (Answer, Option<InFlight>) {
    state.record(&request.raw);
    let simulation = Simulation::of(state.service);
    let error = simulation.error;
    match route(state, &request.method, &request.path) {
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
    let simulation = Simulation::of(state.service);
    let credentials = Credentials::of(state, request);
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

fn route(state: &ServiceState, method: &str, path: &str) -> Route {
    let simulation = Simulation::of(state.service);
    let mut known_path = false;
    let endpoint = state.service.facts().endpoint;
    let endpoint = endpoint.split_once('?').map_or(endpoint, |(path, _)| path);
    let asked_by = state.described.as_ref().map_or("POST", Described::method);
    let token = (asked_by, endpoint, Route::Token);
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
    let error = Simulation::of(state.service).error;
    state.count(|counts| counts.api_requests += 1);
    let faults = match faults(state, request, Endpoint::Api) {
        Ok(faults) => faults,
        Err(problem) => return error(400, &format!("X-Sandbox-Fault: {problem}")),
    };
    effects::answer(&faults, error, request, &state.stop, |_| {
        let facts = state.service.facts();
        let token = request.token(facts.header, facts.scheme);
        let standing = token.map_or(Standing::Unknown, |token| state.standing(token));
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
