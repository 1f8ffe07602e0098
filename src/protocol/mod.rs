//! The providers: what is known of them, what to send, and how to read the answer.
//!
//! One file per provider holds its [`Facts`], a constant. From it come the request and what its
//! answer means, by the same code for every provider.

pub(crate) mod message;

mod answer;
mod error_body;
mod explanation;
mod nexter_pay;
mod ntx_pay;
mod refusal;
mod send_payments;

use std::time::SystemTime;

use self::answer::Answer;
use crate::base::json;
use crate::credentials::Credentials;
use crate::credentials::certificate::ClientCertificate;
use crate::policy::outcome::needs_body;
use crate::protocol::message::{Request, Response};
use crate::token::IssuedToken;
use crate::types::error::{Error, Result};
use crate::types::facts::{Facts, Part};
use crate::types::names::{Environment, Provider};

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
    let facts = credentials.provider().facts();
    let parts = credentials.parts();
    let value = |part| match part {
        Part::Id => Some(parts.id),
        Part::Secret => Some(parts.secret.expose()),
        Part::Certificate => parts.certificate.and_then(ClientCertificate::header_value),
    };
    let headers = facts.protocol.headers.iter();
    let fields = facts.protocol.fields.iter();
    let fields = fields.filter_map(|&(name, part)| Some((name, value(part)?)));
    Request {
        path: facts.endpoint,
        headers: headers.filter_map(|&(name, part)| Some((name, value(part)?.into()))).collect(),
        body: json::to_wiped_vec(&json::Object(fields.collect())),
    }
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
    if let Some(error) = answer.error() {
        return Err(refusal::in_success(provider, credentials, response, error.as_deref()));
    }
    let issued = answer
        .issued_token(provider.facts(), environment)
        .map_err(|error| error.with_status(response.status))?;
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
