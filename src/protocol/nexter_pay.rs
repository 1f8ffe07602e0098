//! NexterPay: `POST /security/createToken`; the answer is a bare JSON string, the JWT itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Answer;
use crate::date;
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::facts::{Facts, Field, Renewal, Site};
use crate::json::{self, Member, NumberOrText, SecretText};
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
    bad_request_hint: "check user_name and password, and that they belong to this environment",
    refusal_hint: "check user_name and password, and that they belong to this environment",
};

pub(super) fn request(user_name: &str, password: &Secret) -> Request {
    Request {
        path: FACTS.endpoint,
        headers: Vec::new(),
        body: json::to_wiped_vec(&TokenRequest { user_name, password: password.expose() }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest<'a> {
    user_name: &'a str,
    password: &'a str,
}

/// The JWT as a JSON string, or bare. It ends at the earlier of its `exp` and the documented
/// lifetime: a server may hand out a token that it made earlier.
pub(super) fn read<'a>(answer: &Answer<'a>) -> Result<Grant<'a>> {
    let access_token = match answer.json {
        Some(json) => serde_json::from_str(json.get()).map_err(|_| {
            Error::invalid_response(
                "the answer is JSON but not the string NexterPay documents; check base_url",
            )
        })?,
        None if is_jwt(answer.text) => SecretText::Borrowed(answer.text),
        None => {
            return Err(Error::invalid_response(
                "the answer is neither a JSON string nor a JWT; check base_url",
            ));
        }
    };
    let documented = answer.documented_lifetime;
    let exp = exp(&access_token).unwrap_or_default();
    let is_given = !matches!(exp, Member::Absent);
    let end = exp.ok().and_then(|exp| date::from_epoch_number(exp.number()?));
    let left = end.map(|end| answer.clock.left_at_sending(end));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(Error::invalid_response(
            "the answer's token expired before it came, says its exp; check this machine's clock, or ask the provider",
        ));
    }
    Ok(Grant {
        access_token,
        lifetime: left.map_or(documented, |left| left.min(documented)),
        lifetime_not_understood: is_given && left.is_none(),
        scope: None,
    })
}

/// Three parts of base64url (RFC 7519 in its compact form).
fn is_jwt(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

/// `exp` of a JWT: a hint, never verified. `None` where the token does not parse, as the
/// document's own sample does not.
fn exp(token: &str) -> Option<Member<NumberOrText>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Claims {
        exp: Member<NumberOrText>,
    }
    let payload = token.split('.').nth(1)?;
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    Some(json::object::<Claims>(serde_json::from_slice(&payload).ok()?)?.exp)
}
