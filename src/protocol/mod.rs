//! The providers: what is known of them, what to send, and how to read the answer.
//!
//! One file per provider holds its [`Facts`] and two pure functions, `request` and `read`.

mod error_body;
mod explanation;
mod nexter_pay;
mod ntx_pay;
mod refusal;
mod send_payments;

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::credentials::Credentials;
use crate::date;
use crate::error::{Error, Result};
use crate::exchange::{Request, Response};
use crate::facts::Facts;
use crate::json::{self, Member, SecretText};
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
pub(crate) fn read<'a>(
    credentials: &Credentials,
    environment: Environment,
    response: &'a Response,
    timing: Timing,
) -> Result<Grant<'a>> {
    let provider = credentials.provider();
    if !needs_body(response.status) {
        return Err(refusal::read(provider, credentials, response, timing.answered));
    }
    let documented = provider.facts().in_environment(environment).lifetime;
    let answer = Answer::read(response, timing, documented)?;
    if let Some(error) = answer.error() {
        return Err(refusal::in_success(provider, credentials, response, error.as_deref()));
    }
    let grant = match provider {
        Provider::NtxPay => ntx_pay::read(&answer),
        Provider::NexterPay => nexter_pay::read(&answer),
        Provider::SendPayments => send_payments::read(&answer),
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

/// A scope longer than this is of no use to anybody.
const LONGEST_SCOPE: usize = 1024;

/// The scope, where it is the text that RFC 6749 §3.3 allows; else none: it is only shown.
pub(crate) fn checked_scope(scope: Option<String>) -> Option<String> {
    let is_printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    scope.filter(|scope| scope.len() <= LONGEST_SCOPE && is_printable(scope))
}

/// A successful answer, and what is needed to make sense of it.
struct Answer<'a> {
    text: &'a str,
    /// `None` where the text is not JSON.
    json: Option<&'a RawValue>,
    documented_lifetime: Duration,
    clock: ServerClock,
}

impl<'a> Answer<'a> {
    fn read(response: &'a Response, timing: Timing, documented_lifetime: Duration) -> Result<Self> {
        let bytes = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::invalid_response("the answer is not UTF-8 text; check base_url"))?;
        Ok(Self {
            text: text.trim(),
            json: serde_json::from_str(text).ok(),
            documented_lifetime,
            clock: ServerClock::new(response, timing),
        })
    }

    /// `Some` where it carries `error`, which makes it a failure (some gateways answer 200 to
    /// everything); with the code where it is text.
    fn error(&self) -> Option<Option<SecretText<'a>>> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Failure<'a> {
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        let json = json::object::<Failure<'_>>(self.json?)?.error?.get();
        let is_error = !matches!(json, "null" | "false" | "\"\"");
        is_error.then(|| serde_json::from_str(json).ok())
    }

    /// The object that it documents itself to be.
    fn object<T: Deserialize<'a>>(&self) -> Result<T> {
        const NOT_JSON: &str = "the answer is not JSON; check base_url";
        let json = self.json.ok_or_else(|| Error::invalid_response(NOT_JSON))?;
        if !json.get().starts_with('{') {
            return Err(Error::invalid_response("the answer is not a JSON object; check base_url"));
        }
        json::object(json).ok_or_else(|| Error::invalid_response(NOT_JSON))
    }
}

/// The token, which has to be there.
fn required<'a>(member: Member<SecretText<'a>>, name: &str) -> Result<SecretText<'a>> {
    match member {
        Member::Is(text) => Ok(text),
        Member::Absent => {
            Err(Error::invalid_response(format!("the answer has no {name}; check base_url")))
        }
        Member::IsNot => {
            Err(Error::invalid_response(format!("the answer's {name} is not a string")))
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

    /// The same, but zero where `end` has passed by `Date`.
    fn left_at_sending(self, end: SystemTime) -> Duration {
        end.duration_since(self.at_sending).unwrap_or_default()
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

    #[test]
    fn a_scope_is_printable_and_bounded_or_none() {
        let checked = |scope: &str| checked_scope(Some(scope.to_owned())).is_some();
        assert!(checked("email profile") && checked(&"a".repeat(1024)));
        for scope in ["\u{1b}[31mred", "a\nb", "se\u{f1}or", "\u{7f}", &"a".repeat(1025)] {
            assert!(!checked(scope), "{scope:?}");
        }
    }
}
