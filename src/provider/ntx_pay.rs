//! NTX Pay México: `POST /api/auth/token` over mutual TLS, with the certificate in a header too.

use std::time::Duration;

use serde_json::Value;

use super::Body;
use crate::builder::Builder;
use crate::certificate::ClientCertificate;
use crate::credentials::{Credentials, Environment};
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::json;
use crate::secret::Secret;
use crate::token::{Grant, Token};

/// `expires_in` beyond this is taken as this.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Gets one token, without a cache: the call blocks for one fetch (and its retries).
///
/// `configure` may set base URL, roots and time-outs; hand in `|builder| builder` for none.
/// The token lives 10 minutes; a newer one does not end it.
///
/// ```no_run
/// use paytoken::{ClientCertificate, Environment, Secret, provider::ntx_pay};
///
/// # fn main() -> paytoken::Result<()> {
/// let certificate = ClientCertificate::from_pem_files("client.cert.pem", Some("client.key.pem".as_ref()))?;
/// let secret = Secret::from(std::env::var("NTXPAY_CLIENT_SECRET").expect("it is set"));
/// let token = ntx_pay::fetch_token("client-id", &secret, &certificate, Environment::Sandbox, |b| b)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`TokenSource::token`](crate::TokenSource::token).
pub fn fetch_token(
    client_id: &str,
    client_secret: &Secret,
    certificate: &ClientCertificate,
    environment: Environment,
    configure: impl FnOnce(Builder) -> Builder,
) -> Result<Token> {
    let credentials = Credentials::NtxPay {
        client_id: client_id.to_owned(),
        client_secret: client_secret.clone(),
        certificate: certificate.clone(),
    };
    configure(Builder::new(credentials, environment)).fetch_once()
}

pub(super) fn request(
    client_id: &str,
    client_secret: &Secret,
    certificate: &ClientCertificate,
) -> Request {
    let header = certificate.header_value().map(|value| ("X-SSL-Client-Cert", value.to_owned()));
    Request {
        path: "/api/auth/token",
        headers: header.into_iter().collect(),
        body: json::object(&[("clientId", client_id), ("clientSecret", client_secret.expose())]),
    }
}

/// `{"access_token", "token_type": "Bearer", "expires_in": 600, "scope"}`
pub(super) fn parse(body: &mut Body, documented: Duration) -> Result<Grant> {
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
