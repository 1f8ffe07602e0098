//! NTX Pay México: `POST /api/auth/token` over mutual TLS, with the certificate in a header too.

use std::time::Duration;

use serde_json::Value;

use super::Body;
use crate::certificate::ClientCertificate;
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Renewal, Site};
use crate::json;
use crate::secret::Secret;
use crate::token::Grant;

/// `expires_in` beyond this is taken as this.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What NTX Pay's document says.
pub(super) const FACTS: Facts = Facts {
    name: "ntx-pay",
    title: "NTX Pay México",
    endpoint: "/api/auth/token",
    prefix: "NTXPAY",
    id: CLIENT_ID,
    secret: CLIENT_SECRET,
    takes_certificate: true,
    sandbox: Site::new(Some("https://sandbox.mx.ntxpay.com"), 10),
    production: Site::new(Some("https://api.ntxpay.com"), 10),
    longest_lifetime: Some(LONGEST_LIFETIME),
    renewal: Renewal::Coexists { renew_from_percent: 80 },
    address_hint: "",
    refusal_hint: "check client_id and client_secret (no trailing spaces), that they and the certificate belong to this environment, and that the certificate is neither expired nor revoked",
};

pub(super) fn request(
    client_id: &str,
    client_secret: &Secret,
    certificate: &ClientCertificate,
) -> Request {
    let header = certificate.header_value().map(|value| ("X-SSL-Client-Cert", value.to_owned()));
    Request {
        path: FACTS.endpoint,
        headers: header.into_iter().collect(),
        body: json::object(&[("clientId", client_id), ("clientSecret", client_secret.expose())]),
    }
}

/// `{"access_token", "token_type": "Bearer", "expires_in": 600, "scope"}`
pub(super) fn read(body: &mut Body, documented: Duration) -> Result<Grant> {
    let access_token = body.take_string("access_token")?;
    let object = body.object()?;
    match object.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => {
            return Err(Error::invalid_response(
                "the answer's token_type is not Bearer; this library only knows how to use bearer tokens",
            ));
        }
    }
    let lifetime = match object.get("expires_in") {
        None | Some(Value::Null) => documented,
        Some(value) => match json::number(value) {
            Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds)
                .unwrap_or(LONGEST_LIFETIME)
                .min(LONGEST_LIFETIME),
            Some(_) => {
                return Err(Error::invalid_response(
                    "the answer's expires_in is not positive; the token had ended before it came",
                ));
            }
            None => {
                return Err(Error::invalid_response(
                    "the answer's expires_in is not a number of seconds",
                ));
            }
        },
    };
    let scope = match object.get("scope") {
        Some(Value::String(scope)) => Some(scope.clone()),
        _ => None,
    };
    Ok(Grant { access_token, lifetime, scope })
}
