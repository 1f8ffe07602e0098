//! The providers: what is known of them, what to send, and how to read the answer.
//!
//! One file per provider holds its [`Facts`] and two pure functions, `request` and `read`.

mod explanation;
mod nexter_pay;
mod ntx_pay;
mod refusal;
mod send_payments;

use std::time::{Duration, SystemTime};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::date;
use crate::error::{Error, Result};
use crate::exchange::{Request, Response};
use crate::facts::Facts;
use crate::json;
use crate::names::{Environment, Provider};
use crate::outcome::needs_body;
use crate::token::Grant;

impl Provider {
    /// What is known of this provider: lifetimes, addresses, names of settings.
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::NtxPay => &ntx_pay::FACTS,
            Self::NexterPay => &nexter_pay::FACTS,
            Self::SendPayments => &send_payments::FACTS,
        }
    }
}

/// The address that the provider's document states.
pub(crate) fn base_url(provider: Provider, environment: Environment) -> Result<&'static str> {
    let facts = provider.facts();
    facts
        .in_environment(environment)
        .base_url
        .ok_or_else(|| Error::configuration(format!("base_url: {}", facts.address_hint)))
}

/// The request that gets a token for these credentials.
pub(crate) fn request(credentials: &Credentials) -> Request {
    match credentials {
        Credentials::NtxPay { client_id, client_secret, certificate } => {
            ntx_pay::request(client_id, client_secret, certificate)
        }
        Credentials::NexterPay { user_name, password } => nexter_pay::request(user_name, password),
        Credentials::SendPayments { client_id, client_secret } => {
            send_payments::request(client_id, client_secret)
        }
    }
}

/// When a request was sent and answered, by the local wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) sent: SystemTime,
    pub(crate) answered: SystemTime,
}

/// Reads the answer: a grant, or an error that says what to do.
pub(crate) fn read(
    credentials: &Credentials,
    environment: Environment,
    response: &Response,
    timing: Timing,
) -> Result<Grant> {
    let provider = credentials.provider();
    if !needs_body(response.status) {
        return Err(refusal::read(provider, credentials, response, timing.answered));
    }
    let mut body = Body::read(&response.body)?;
    if body.says_error() {
        return Err(refusal::in_success(provider, credentials, response, body.error()));
    }
    let documented = provider.facts().in_environment(environment).lifetime;
    let grant = match provider {
        Provider::NtxPay => ntx_pay::read(&mut body, documented),
        Provider::NexterPay => nexter_pay::read(&mut body, documented),
        Provider::SendPayments => {
            let clock = ServerClock::new(response, timing);
            send_payments::read(&mut body, documented, clock)
        }
    }
    .map_err(|error| error.with_status(response.status))?;
    check_token(&grant.access_token)?;
    Ok(grant)
}

/// A longer token would not fit the header buffers of common servers.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Visible ASCII only: anything else could break out of a header.
pub(crate) fn check_token(token: &str) -> Result<()> {
    if token.is_empty() {
        return Err(Error::invalid_response("the answer's token is empty; ask the provider"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Error::invalid_response(format!(
            "the answer's token is {} bytes long, over the {LONGEST_TOKEN} a header may hold; ask the provider",
            token.len()
        )));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid_response(
            "the answer's token holds characters that do not belong in a header; it was refused",
        ));
    }
    Ok(())
}

/// An answer's body: JSON, or text for the provider whose token may come bare. Wiped on drop.
struct Body {
    json: Option<Value>,
    text: Zeroizing<String>,
}

impl Body {
    fn read(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::invalid_response("the answer is not UTF-8 text; check base_url"))?;
        Ok(Self {
            // The cause is dropped on purpose: nothing of the body goes into an error.
            json: serde_json::from_str(text).ok(),
            text: Zeroizing::new(text.trim().to_owned()),
        })
    }

    /// A success that carries `error` is a failure (some gateways answer 200 to everything).
    fn says_error(&self) -> bool {
        match self.json.as_ref().and_then(|json| json.get("error")) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// The error code, where it is text.
    fn error(&self) -> Option<&str> {
        self.json.as_ref()?.get("error")?.as_str()
    }

    fn object(&mut self) -> Result<&mut serde_json::Map<String, Value>> {
        match &mut self.json {
            Some(Value::Object(object)) => Ok(object),
            Some(_) => {
                Err(Error::invalid_response("the answer is not a JSON object; check base_url"))
            }
            None => Err(Error::invalid_response("the answer is not JSON; check base_url")),
        }
    }

    /// Takes a required string out of the object, without a copy.
    fn take_string(&mut self, field: &str) -> Result<Zeroizing<String>> {
        match self.object()?.get_mut(field).map(Value::take) {
            Some(Value::String(text)) => Ok(Zeroizing::new(text)),
            Some(Value::Null) | None => {
                Err(Error::invalid_response(format!("the answer has no {field}; check base_url")))
            }
            Some(mut other) => {
                json::wipe(&mut other);
                Err(Error::invalid_response(format!("the answer's {field} is not a string")))
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(json) = &mut self.json {
            json::wipe(json);
        }
    }
}

/// The provider's own clock, as far as it can be known: where the answer's `Date` fits the local
/// clock, the local one (it is finer); else `Date`, so that a wrong local clock does no harm.
#[derive(Clone, Copy, Debug)]
struct ServerClock {
    /// What the provider's clock may have said when the request was sent.
    at_sending: SystemTime,
    /// What the local clock said then.
    local: SystemTime,
}

impl ServerClock {
    fn new(response: &Response, timing: Timing) -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        let date =
            response.date.as_deref().and_then(|text| date::parse_http_date(text, timing.answered));
        let at_sending = match date {
            Some(date) if date + SECOND < timing.sent || date > timing.answered + SECOND => {
                // Date is cut to the second; the later end of it never makes a token live longer.
                date + SECOND
            }
            _ => timing.sent,
        };
        Self { at_sending, local: timing.sent }
    }

    /// How long until `end`, counted from when the request was sent. Where `end` has passed by
    /// `Date`, that may be what is wrong.
    fn until(self, end: SystemTime) -> Option<Duration> {
        let left = |since| end.duration_since(since).ok().filter(|left| !left.is_zero());
        left(self.at_sending).or_else(|| left(self.local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_has_sixteen_kibibytes() {
        assert!(check_token(&"a".repeat(16_384)).is_ok());
        assert!(check_token(&"a".repeat(16_385)).is_err());
    }
}
