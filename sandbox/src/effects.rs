//! What each fault does to an answer: before the request is processed, instead of it, after it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Answer, Delivery};
use crate::fault::Fault;
use crate::request::Request;
use crate::stop::Stop;
use crate::text;

/// What a fault changes about the token to be issued.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) lifetime: Option<Duration>,
    pub(crate) clock_offset_seconds: i64,
}

/// The answer to a request under these faults; `error` words one as the provider does, and `normal`
/// processes the request as usual.
pub(crate) fn answer(
    faults: &[Fault],
    error: fn(u16, &str) -> Answer,
    request: &Request,
    stop: &Stop,
    normal: impl FnOnce(Terms) -> Answer,
) -> Answer {
    let mut terms = Terms::default();
    let mut replacement = None;
    for fault in faults {
        match fault {
            Fault::Delay(duration) => stop.pause(*duration),
            Fault::Lifetime(lifetime) => terms.lifetime = Some(*lifetime),
            Fault::SkewedClock(seconds) => terms.clock_offset_seconds = *seconds,
            other => replacement = replacement.or_else(|| instead(other, error, request)),
        }
    }
    let mut answer = replacement.unwrap_or_else(|| normal(terms));
    for fault in faults {
        afterwards(fault, &mut answer, stop);
    }
    answer
}

/// The answer of a fault that takes the place of processing.
fn instead(fault: &Fault, error: fn(u16, &str) -> Answer, request: &Request) -> Option<Answer> {
    let limited = |status, message, retry_after: &Option<String>| {
        let mut answer = error(status, message);
        if let Some(value) = retry_after {
            answer.headers.push(("Retry-After", value.clone()));
        }
        answer
    };
    let by_delivery = |delivery| {
        let mut answer = Answer::new(200, "text/plain", "");
        answer.delivery = delivery;
        answer
    };
    Some(match fault {
        Fault::Reset => by_delivery(Delivery::Reset),
        Fault::Raw(bytes) => by_delivery(Delivery::Raw(bytes.clone())),
        Fault::Status(status) => error(*status, "simulated failure"),
        Fault::StatusBody(status, content_type, body) => {
            Answer::new(*status, content_type, body.clone())
        }
        Fault::TooManyRequests { retry_after } => limited(429, "too many requests", retry_after),
        Fault::Unavailable { retry_after } => limited(503, "down for maintenance", retry_after),
        Fault::Redirect(location) => {
            // 307, not 302: it asks for the same method and body, the secret included.
            let mut answer = Answer::new(307, "text/plain", "moved\n");
            answer.headers.push(("Location", location.clone()));
            answer
        }
        Fault::EchoSecrets(status) => echo(*status, request),
        _ => return None,
    })
}

/// An error body with everything in it that a log must not show.
fn echo(status: u16, request: &Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body);
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let token = format!(
        "{}.{}.{}",
        text::base64url(br#"{"alg":"HS256","typ":"JWT"}"#),
        text::base64url(br#"{"sub":"leaked","scope":"everything"}"#),
        text::base64url(&text::random::<32>()),
    );
    let message = format!("cannot process {body} with {}; use {token}", headers.join(", "));
    Answer::json(
        status,
        &json!({
            "statusCode": status,
            "message": message,
            "error": body,
            "error_description": message,
            "title": message,
            "detail": message,
            "errors": [{"message": message, "type": "echo"}],
            "request": {"body": body, "headers": headers},
            "access_token": token,
        }),
    )
}

/// What a fault does to an answer that is ready.
fn afterwards(fault: &Fault, answer: &mut Answer, stop: &Stop) {
    match fault {
        Fault::LateAnswer(duration) => stop.pause(*duration),
        Fault::LostAnswer => answer.delivery = Delivery::Cut,
        Fault::Truncated => answer.delivery = Delivery::Truncated,
        Fault::Drip(pause) => answer.delivery = Delivery::Drip(*pause),
        Fault::Oversize(size) => pad(&mut answer.body, *size),
        Fault::MalformedJson => answer.body.truncate(answer.body.len() / 2),
        Fault::WrongTypes => {
            if let Ok(body) = serde_json::from_slice(&answer.body) {
                answer.body = other_types(body).to_string().into_bytes();
            }
        }
        Fault::SkewedDate(seconds) | Fault::SkewedClock(seconds) => answer.date_offset += seconds,
        _ => {}
    }
}

/// Makes a JSON body this long: an object by one more member, a string by more of itself.
fn pad(body: &mut Vec<u8>, size: usize) {
    let Some(last) = body.pop() else { return };
    if last == b'}' {
        body.extend_from_slice(br#","padding":""#);
    }
    let closing = if last == b'}' { 2 } else { 1 };
    let length = size.saturating_sub(closing).max(body.len());
    body.resize(length, b'A');
    if last == b'}' {
        body.push(b'"');
    }
    body.push(last);
}

fn other_types(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, member)| (name, other_types_inside(member))).collect(),
        ),
        _ => json!(12345),
    }
}

fn other_types_inside(value: Value) -> Value {
    match value {
        Value::Number(_) => json!(true),
        _ => json!({"unexpected": 12345}),
    }
}
