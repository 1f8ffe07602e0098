//! NexterPay: `POST /security/createToken`; the answer is a bare JSON string, the JWT itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Body;
use crate::builder::Builder;
use crate::credentials::{Credentials, Environment};
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::json;
use crate::secret::Secret;
use crate::token::{Grant, Token};

/// Gets one token, without a cache: the call blocks for one fetch (and its retries).
///
/// `configure` may set base URL, roots and time-outs; the production address has to be set. The
/// token lives 600 minutes in the sandbox and 90 in production, or as long as its own `exp` and
/// `iat` say where that is shorter.
///
/// ```no_run
/// use paytoken::{Environment, Secret, provider::nexter_pay};
///
/// # fn main() -> paytoken::Result<()> {
/// let password = Secret::from(std::env::var("NEXTERPAY_PASSWORD").expect("it is set"));
/// let token = nexter_pay::fetch_token("merchant-7", &password, Environment::Sandbox, |b| b)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`TokenSource::token`](crate::TokenSource::token).
pub fn fetch_token(
    user_name: &str,
    password: &Secret,
    environment: Environment,
    configure: impl FnOnce(Builder) -> Builder,
) -> Result<Token> {
    let credentials =
        Credentials::NexterPay { user_name: user_name.to_owned(), password: password.clone() };
    configure(Builder::new(credentials, environment)).fetch_once()
}

pub(super) fn request(user_name: &str, password: &Secret) -> Request {
    Request {
        path: "/security/createToken",
        headers: Vec::new(),
        body: json::object(&[("userName", user_name), ("password", password.expose())]),
    }
}

/// The JWT as a JSON string, or bare.
pub(super) fn parse(body: &mut Body, documented: Duration) -> Result<Grant> {
    let access_token = match body.json.as_mut().map(Value::take) {
        Some(Value::String(text)) => Zeroizing::new(text),
        Some(mut other) => {
            json::wipe(&mut other);
            return Err(Error::invalid_response(
                "the answer is JSON but not the string NexterPay documents; check base_url",
            ));
        }
        None if is_jwt(&body.text) => body.text.clone(),
        None => {
            return Err(Error::invalid_response(
                "the answer is neither a JSON string nor a JWT; check base_url",
            ));
        }
    };
    let lifetime = match lifetime_of(&access_token) {
        Some(claimed) => documented.min(claimed),
        None => documented,
    };
    Ok(Grant { access_token, lifetime, scope: None })
}

/// Three parts of base64url (RFC 7519 in its compact form).
fn is_jwt(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

/// `exp − iat` of a JWT: a hint, never verified. `None` where it does not parse, as in the
/// document's own sample.
fn lifetime_of(token: &str) -> Option<Duration> {
    let payload = token.split('.').nth(1)?;
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    let mut claims: Value = serde_json::from_slice(&payload).ok()?;
    let claim = |name| claims.get(name).and_then(json::number);
    let lifetime = claim("exp").zip(claim("iat")).map(|(exp, iat)| exp - iat);
    json::wipe(&mut claims);
    Duration::try_from_secs_f64(lifetime?).ok().filter(|lifetime| !lifetime.is_zero())
}
