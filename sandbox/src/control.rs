//! The control interface: plain HTTP on loopback, made for curl.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Service;
use crate::answer::Answer;
use crate::fault::{self, NAMES, ParseError};
use crate::request::Request;
use crate::state::{Endpoint, ServiceState, Services};
use crate::text;

/// What the control interface can do, how to ask for it with curl, and the kinds of fault.
pub fn control_help() -> String {
    let services: Vec<_> = Service::ALL.iter().map(Service::to_string).collect();
    let services = services.join(", ");
    format!(
        "\
Control of the payment provider sandbox.

GET  /stats                                    what was counted, as JSON
POST /SERVICE/lifetime?seconds=5               lifetime of tokens from now on
POST /SERVICE/delay?ms=300                     pause before every token answer
POST /SERVICE/hold                             token requests are counted, and wait
POST /SERVICE/release                          those that wait go on, and no more are held
POST /SERVICE/fault?kind=status=503&times=3    the next 3 token requests fail (times=always: all;
                                               kind=none: no more; endpoint=api: the API calls)
POST /SERVICE/revoke-all                       ends every token
POST /SERVICE/client?id=shop-2&secret=S        one more client, or another secret for one
POST /SERVICE/suspend?id=shop-2                refuses this client (on=false: no more)
POST /reset                                    counters, settings and faults as at the start; clients stay

SERVICE is one of {services}, or the name of a provider that is described.
Kinds of fault, several joined by a semicolon (quote it from the shell; %3B in an address):
{NAMES}
The same words in a request header X-Sandbox-Fault work for that one request.

For example, with the variables that the sandbox prints:
  curl -X POST \"$PAYTOKEN_SANDBOX_CONTROL/ntx-pay/fault?kind=status=503&times=3\"
  curl \"$PAYTOKEN_SANDBOX_CONTROL/stats\"
"
    )
}

fn line(status: u16, text: impl Into<String>) -> Answer {
    let mut text = text.into();
    text.push('\n');
    Answer::new(status, "text/plain; charset=utf-8", text)
}

/// The answer to a control request.
pub(crate) fn answer(services: &Services, request: &Request) -> Answer {
    let services = &services.all()[..];
    // A web page that resolves its own name to 127.0.0.1 sends that name; one that posts here
    // sends an Origin. Neither curl nor a test does.
    if !request.header("host").is_some_and(is_loopback) {
        return line(403, "the Host header must be 127.0.0.1, localhost or [::1]");
    }
    if request.header("origin").is_some() {
        return line(403, "not for web pages");
    }
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", [""]) => line(200, control_help().trim_end()),
        ("GET" | "HEAD", ["stats"]) => Answer::json(200, &stats(services)),
        ("POST", ["reset"]) => {
            for state in services {
                state.open_gates();
                state.reset_settings();
                state.reset_counts();
                state.clear_received();
            }
            line(200, "reset")
        }
        ("POST", [service, action]) => {
            match find(services, service).and_then(|state| act(state, action, &request.query)) {
                Ok(Some(done)) => line(200, done),
                Ok(None) => line(404, format!("there is no action {action:?}: see GET /")),
                Err(problem) => line(400, problem.to_string()),
            }
        }
        _ => line(404, "there is nothing here: see GET /"),
    }
}

fn find<'a>(services: &'a [Arc<ServiceState>], name: &str) -> Result<&'a ServiceState, ParseError> {
    let found = services.iter().find(|state| state.service.facts().name == name);
    found
        .map(|state| &**state)
        .ok_or_else(|| ParseError::new(format!("no service is called {name:?}: see GET /")))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

/// Does what was asked and says so; `None` for an action that does not exist.
fn act(state: &ServiceState, action: &str, query: &str) -> Result<Option<String>, ParseError> {
    let service = state.service;
    let done = match action {
        "lifetime" => {
            let value = Query::of(query, &["seconds"])?.needed("seconds")?;
            state.set_lifetime(fault::seconds(&value)?);
            format!("{service}: tokens live {value} s from now on")
        }
        "delay" => {
            let value = Query::of(query, &["ms"])?.needed("ms")?;
            state.set_delay(fault::milliseconds("ms", &value)?);
            format!("{service}: token answers wait {value} ms")
        }
        "fault" => set_fault(state, &Query::of(query, &["kind", "times", "endpoint"])?)?,
        "hold" => {
            Query::of(query, &[])?;
            state.add_gate();
            format!("{service}: token requests wait")
        }
        "release" => {
            Query::of(query, &[])?;
            state.open_gates();
            format!("{service}: token requests go on")
        }
        "revoke-all" => {
            Query::of(query, &[])?;
            state.revoke_all();
            format!("{service}: all tokens revoked")
        }
        "client" => {
            let query = Query::of(query, &["id", "secret"])?;
            let id = query.needed("id")?;
            state.add_client(&id, &query.needed("secret")?);
            format!("{service}: {id} is a client")
        }
        "suspend" => {
            let query = Query::of(query, &["id", "on"])?;
            let id = query.needed("id")?;
            let on = match query.optional("on").as_deref() {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err(ParseError::new("on: expected true or false")),
            };
            if !state.suspend(&id, on) {
                return Err(ParseError::new(format!("no client of {service} is called {id:?}")));
            }
            format!("{service}: {id} is {}suspended", if on { "" } else { "no longer " })
        }
        _ => return Ok(None),
    };
    Ok(Some(done))
}

fn set_fault(state: &ServiceState, query: &Query) -> Result<String, ParseError> {
    let service = state.service;
    let kind = query.needed("kind")?;
    let endpoint = match query.optional("endpoint").as_deref() {
        None | Some("token") => Endpoint::Token,
        Some("api") => Endpoint::Api,
        Some(_) => return Err(ParseError::new("endpoint: expected token or api")),
    };
    if kind == "none" {
        state.clear_faults(endpoint);
        return Ok(format!("{service}: no faults"));
    }
    let faults = fault::parse_list(&kind)?;
    let times = query.optional("times").unwrap_or_else(|| "1".to_owned());
    if times == "always" {
        state.keep_fault(endpoint, faults);
    } else {
        let times = times
            .parse()
            .ok()
            .filter(|times: &usize| *times > 0)
            .ok_or_else(|| ParseError::new("times: expected a number above zero, or always"))?;
        state.queue_fault(endpoint, times, faults);
    }
    Ok(format!("{service}: {kind}, times: {times}"))
}

/// The decoded parameters of an address.
struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them; a name that is not known is an error, so that a typing mistake is noticed.
    fn of(query: &str, known: &[&str]) -> Result<Query, ParseError> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(ParseError::new(format!("the parameter {name:?} is not known")));
            }
            let value = text::percent_decode(&value.replace('+', " "))
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| ParseError::new(format!("{name}: not URL-encoded UTF-8")))?;
            pairs.push((name.to_owned(), value));
        }
        Ok(Query(pairs))
    }

    fn optional(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn needed(&self, name: &str) -> Result<String, ParseError> {
        let value = self.optional(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| ParseError::new(format!("the parameter {name:?} is missing or empty")))
    }
}

fn stats(services: &[Arc<ServiceState>]) -> Value {
    let mut all = serde_json::Map::new();
    for state in services {
        let counts = state.counts();
        let by_client = state.counts_by_client();
        all.insert(
            state.service.to_string(),
            json!({
                "token_requests": counts.token_requests,
                "tokens_issued": counts.tokens_issued,
                "api_requests": counts.api_requests,
                "api_unauthorized": counts.api_unauthorized,
                "api_superseded": counts.api_superseded,
                "connections": counts.connections,
                "handshakes_resumed": counts.handshakes_resumed,
                "max_concurrent_token_requests": counts.max_concurrent_token_requests,
                "token_requests_by_client": by_client,
            }),
        );
    }
    Value::Object(all)
}
