//! Refusals: what an answer that is not a success means. The HTTP status decides; the body only
//! explains.

use std::time::{Duration, SystemTime};

use super::explanation::{self, explanation};
use crate::base::date;
use crate::credentials::Credentials;
use crate::policy::book::LONGEST as LONGEST_WAIT;
use crate::policy::outcome::Cause;
use crate::protocol::message::Response;
use crate::types::error::Error;
use crate::types::facts::{CLIENT_ID, CLIENT_SECRET, Part};
use crate::types::names::Provider;

/// The error for an answer that is not 2xx.
pub(super) fn read(
    provider: Provider,
    credentials: &Credentials,
    response: &Response,
    wall: SystemTime,
) -> Error {
    let status = response.status;
    // A date is the provider's, so it is read against the provider's own clock where it says.
    let date = response.date.as_deref().and_then(|text| date::parse_http_date(text, wall));
    let wait = response
        .retry_after
        .as_deref()
        .filter(|_| matches!(status, 429 | 500..=599))
        .and_then(|text| retry_after(text, date.unwrap_or(wall)));
    let facts = provider.facts();
    let (cause, advice) = match status {
        // nginx answers a client certificate that is missing, or that it does not trust, with a page of HTML.
        400 | 401 if says(response, "no required ssl certificate was sent") => (
            Cause::CertificateRefusedByFront,
            "no client certificate arrived at the server in front; give certificate and private key, and see that nothing in between ends TLS",
        ),
        400 | 401 if says(response, "the ssl certificate error") => (
            Cause::CertificateRefusedByFront,
            "the server in front did not accept the client certificate; give certificate and private key that the provider issued for this environment",
        ),
        403 => (
            Cause::AccountRefused,
            "the account is suspended or restricted, or this machine's address is not allowed; contact the provider",
        ),
        404 | 405 | 410 => (Cause::NoEndpoint, NO_ENDPOINT),
        501 if wait.is_none() => (Cause::NotImplemented, NO_ENDPOINT),
        407 => (Cause::ProxyStatus, "the proxy wants credentials; check the proxy setting"),
        408 => (Cause::RequestTooSlow, "the provider gave up waiting; try again"),
        429 => (Cause::TooManyRequests, "wait, and share one token between callers"),
        300..=399 => (
            Cause::Redirect,
            "a redirect is never followed, since it could carry the credentials to another host; check base_url",
        ),
        400 => (Cause::CredentialsRefused, facts.bad_request_hint),
        401..=499 => (Cause::CredentialsRefused, facts.refusal_hint),
        500..=599 if wait.is_some() => (Cause::ServerBusy, FAILING),
        500..=599 => (Cause::ServerFailing, FAILING),
        _ => (Cause::UndocumentedStatus, "no such status is documented; check base_url"),
    };
    cause
        .error(format!(
            "the token endpoint answered {status}{}; {advice}{}",
            explanation(credentials, response),
            if facts.is_described { of_description(cause, credentials) } else { String::new() }
        ))
        .with_status(status)
        .with_retry_after(wait)
        .with_provider(provider)
}

/// What in a description may be wrong.
fn of_description(cause: Cause, credentials: &Credentials) -> String {
    let facts = credentials.provider().facts();
    let is_encoded = |name| {
        // Of these, servers that decode make something else than those that do not.
        credentials.value(name).is_some_and(|text| {
            !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~*".contains(&b))
        })
    };
    let has_basic = facts.protocol.headers.iter().any(|(_, part)| matches!(part, Part::Basic(_)));
    match cause {
        Cause::NoEndpoint | Cause::NotImplemented => {
            format!(" (the description's path is {})", plain(facts.endpoint))
        }
        Cause::Redirect => format!(
            ", and token_endpoint in the description: its path is {}, and some servers want a slash at its end",
            plain(facts.endpoint)
        ),
        Cause::CredentialsRefused
            if has_basic && [CLIENT_ID.name, CLIENT_SECRET.name].into_iter().any(is_encoded) =>
        {
            "; the id or the secret has characters that servers decode in different ways: another basic_encoding (minimal, form, none) in the description may be meant".into()
        }
        _ => String::new(),
    }
}

/// Without the query.
fn plain(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

/// The error for a 2xx without the token that the description says is there: some servers answer 200 with
/// an error inside, and asking again and again could lock the account.
pub(super) fn without_a_token(credentials: &Credentials, names: Option<String>) -> Error {
    let facts = credentials.provider().facts();
    let has = match names.map(|names| explanation::names(&names, credentials)) {
        Some(names) if names.is_empty() => "the answer is empty".to_owned(),
        Some(names) => format!("the answer has {names}"),
        None => "the answer is no JSON object".to_owned(),
    };
    let where_to = match facts.protocol.token {
        "" => "be the whole answer".to_owned(),
        pointer => format!("stand at {pointer}"),
    };
    Cause::NoTokenInSuccess.error(format!(
        "the answer has no token where it should {where_to}; {has}: if that is an error, {}; else correct token in the description",
        facts.refusal_hint
    ))
}

const NO_ENDPOINT: &str = "there is no token endpoint at this address; check base_url: as a rule it is https://host alone, and the path is added";
const FAILING: &str = "the provider is failing; try again later";

/// The codes of RFC 6749 §5.2, each of which should have come with a 400 or 401.
const REFUSALS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// The error for a 2xx that carries `error`: a refusal like any other where it names one, or an
/// account could be locked by asking again and again.
pub(super) fn in_success(
    provider: Provider,
    credentials: &Credentials,
    response: &Response,
    error: Option<&str>,
) -> Error {
    let is_refusal = error.is_some_and(|error| REFUSALS.contains(&error));
    let cause = if is_refusal { Cause::RefusalInSuccess } else { Cause::ErrorInSuccess };
    cause
        .error(format!(
            "the token endpoint answered {} with an error inside{}; {}",
            response.status,
            explanation(credentials, response),
            provider.facts().refusal_hint
        ))
        .with_status(response.status)
        .with_provider(provider)
}

/// Looked for in place: the body may repeat the secret.
fn says(response: &Response, words: &str) -> bool {
    let mut parts = response.body.windows(words.len());
    parts.any(|part| part.eq_ignore_ascii_case(words.as_bytes()))
}

/// `Retry-After` (RFC 9110 §10.2.3): whole seconds or an HTTP-date; garbage is ignored.
fn retry_after(text: &str, wall: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        date::parse_http_date(text, wall)?.duration_since(wall).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        let wall = date::parse_date_time("1994-11-06T08:49:00Z").unwrap();
        assert_eq!(retry_after("7", wall), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT", wall),
            Some(Duration::from_secs(37))
        );
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT", wall), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999999999999999", wall), Some(LONGEST_WAIT));
        for garbage in ["", "-1", "1.5", "soon", "1 minute"] {
            assert_eq!(retry_after(garbage, wall), None, "{garbage}");
        }
    }
}
