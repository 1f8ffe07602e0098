//! Send Payments: `POST /auth`. Every new token ends the one before.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Body, ServerClock};
use crate::date;
use crate::error::Result;
use crate::exchange::Request;
use crate::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Renewal, Site};
use crate::json;
use crate::secret::Secret;
use crate::token::Grant;

/// What Send's document says.
pub(super) const FACTS: Facts = Facts {
    name: "send-payments",
    title: "Send Payments",
    endpoint: "/auth",
    prefix: "SENDPAYMENTS",
    id: CLIENT_ID,
    secret: CLIENT_SECRET,
    takes_certificate: false,
    sandbox: Site::new(None, 5),
    production: Site::new(None, 5),
    longest_lifetime: None,
    renewal: Renewal::ReplacesPrevious,
    address_hint: "Send Payments gives each client an address per environment; set it to the one Send gave you",
    refusal_hint: "check client_id and client_secret, and that they belong to this environment",
};

pub(super) fn request(client_id: &str, client_secret: &Secret) -> Request {
    Request {
        path: FACTS.endpoint,
        headers: Vec::new(),
        body: json::object(&[("clientId", client_id), ("clientSecret", client_secret.expose())]),
    }
}

/// `{"accessToken", "expiresAt"}`. The document does not state `expiresAt`'s format, so every
/// common one is read; the token ends at the earlier of it and the documented lifetime.
pub(super) fn read(body: &mut Body, documented: Duration, clock: ServerClock) -> Result<Grant> {
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
