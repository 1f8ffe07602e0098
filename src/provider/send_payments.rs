//! Send Payments: `POST /auth`. Every new token ends the one before.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Body, ServerClock};
use crate::builder::Builder;
use crate::credentials::{Credentials, Environment};
use crate::date;
use crate::error::Result;
use crate::exchange::Request;
use crate::json;
use crate::secret::Secret;
use crate::token::{Grant, Token};

/// Gets one token, without a cache: the call blocks for one fetch (and its retries).
///
/// **It ends every token this `client_id` got before**, here and on other machines: share one
/// [`TokenSource`](crate::TokenSource) instead wherever you can. The token lives 5 minutes.
///
/// `configure` must set the base URL that Send gave you.
///
/// ```no_run
/// use paytoken::{Environment, Secret, provider::send_payments};
///
/// # fn main() -> paytoken::Result<()> {
/// let secret = Secret::from(std::env::var("SENDPAYMENTS_CLIENT_SECRET").expect("it is set"));
/// let token = send_payments::fetch_token("client-id", &secret, Environment::Sandbox, |builder| {
///     builder.base_url("https://send.example")
/// })?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`TokenSource::token`](crate::TokenSource::token).
pub fn fetch_token(
    client_id: &str,
    client_secret: &Secret,
    environment: Environment,
    configure: impl FnOnce(Builder) -> Builder,
) -> Result<Token> {
    let credentials = Credentials::SendPayments {
        client_id: client_id.to_owned(),
        client_secret: client_secret.clone(),
    };
    configure(Builder::new(credentials, environment)).fetch_once()
}

pub(super) fn request(client_id: &str, client_secret: &Secret) -> Request {
    Request {
        path: "/auth",
        headers: Vec::new(),
        body: json::object(&[("clientId", client_id), ("clientSecret", client_secret.expose())]),
    }
}

/// `{"accessToken", "expiresAt"}`. The document does not state `expiresAt`'s format, so every
/// common one is read; the token ends at the earlier of it and the documented lifetime.
pub(super) fn parse(body: &mut Body, documented: Duration, clock: ServerClock) -> Result<Grant> {
    let access_token = body.take_string("accessToken")?;
    let lifetime = body
        .object()?
        .get("expiresAt")
        .and_then(expires_at)
        .and_then(|end| clock.until(end))
        .map_or(documented, |left| left.min(documented));
    Ok(Grant { access_token, lifetime, scope: None })
}

fn expires_at(value: &Value) -> Option<SystemTime> {
    if let Some(number) = json::number(value) {
        return date::from_epoch_number(number);
    }
    date::parse_date_time(value.as_str()?)
}
