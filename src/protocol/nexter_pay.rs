//! NexterPay: `POST /security/createToken`; the answer is a bare JSON string, the JWT itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Body;
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::facts::{Facts, Field, Renewal, Site};
use crate::json;
use crate::secret::Secret;
use crate::token::Grant;

/// What NexterPay's document says.
pub(super) const FACTS: Facts = Facts {
    name: "nexter-pay",
    title: "NexterPay",
    endpoint: "/security/createToken",
    prefix: "NEXTERPAY",
    id: Field { name: "user_name", variable: "USERNAME" },
    secret: Field { name: "password", variable: "PASSWORD" },
    takes_certificate: false,
    sandbox: Site::new(Some("https://api-sandbox.nexterpay.io"), 600),
    production: Site::new(None, 90),
    longest_lifetime: None,
    renewal: Renewal::Coexists { renew_from_percent: 90 },
    address_hint: "NexterPay's document does not state its production address; set it to the one NexterPay gave you",
    refusal_hint: "check user_name and password, and that they belong to this environment",
};

pub(super) fn request(user_name: &str, password: &Secret) -> Request {
    Request {
        path: FACTS.endpoint,
        headers: Vec::new(),
        body: json::object(&[("userName", user_name), ("password", password.expose())]),
    }
}

/// The JWT as a JSON string, or bare.
pub(super) fn read(body: &mut Body, documented: Duration) -> Result<Grant> {
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
