//! The providers: what is known of them, what to send, and how to read the answer.
//!
//! One file per provider that is built in holds its [`Facts`], a constant; a description becomes the
//! same. From them come the request and what its answer means, by the same code for every provider.

pub(crate) mod message;

mod answer;
mod description;
mod error_body;
mod explanation;
mod nexter_pay;
mod ntx_pay;
mod refusal;
mod request;
mod send_payments;

use std::time::SystemTime;

use self::answer::Answer;
pub(crate) use self::request::request;
use crate::credentials::Credentials;
use crate::policy::outcome::needs_body;
use crate::protocol::message::Response;
use crate::token::IssuedToken;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::facts::Facts;
use crate::types::names::Provider;

impl Provider {
    /// What is known of this provider: lifetimes, addresses, names of settings.
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::NtxPay => &ntx_pay::FACTS,
            Self::NexterPay => &nexter_pay::FACTS,
            Self::SendPayments => &send_payments::FACTS,
            Self::Described(described) => described.0,
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

/// When a request was sent and answered, by the local wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) sent: SystemTime,
    pub(crate) answered: SystemTime,
}

/// What the answer means: an issued token, or an error that says what to do.
pub(crate) fn answer<'a>(
    credentials: &Credentials,
    environment: Environment,
    response: &'a Response,
    timing: Timing,
) -> Result<IssuedToken<'a>> {
    let provider = credentials.provider();
    if !needs_body(response.status) {
        return Err(refusal::read(provider, credentials, response, timing.answered));
    }
    let answer = Answer::new(response, timing)?;
    // Of a provider that was described, it is known where the token stands: with it, an answer is a success.
    if let Some(error) = answer.error().filter(|_| !provider.facts().is_described) {
        return Err(refusal::in_success(provider, credentials, response, error.as_deref()));
    }
    let facts = provider.facts();
    let token = answer.token(facts).map_err(|error| match facts.is_described {
        true => refusal::without_a_token(credentials, answer.names()),
        false => error,
    });
    let issued = token.and_then(|token| answer.issued_token(token, facts, environment));
    let issued = issued.map_err(|error| error.with_status(response.status))?;
    check_token(&issued.access_token)?;
    Ok(issued)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_has_sixteen_kibibytes() {
        assert!(check_token(&"a".repeat(16_384)).is_ok());
        assert!(check_token(&"a".repeat(16_385)).is_err());
        let header = include_str!("../../capi/include/paytoken.h");
        assert!(header.contains("No token is longer than 16,384 bytes."));
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
