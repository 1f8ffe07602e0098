//! Send Payments: `POST /auth`. Every new token ends the one before.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Answer, required};
use crate::date;
use crate::error::Result;
use crate::exchange::Request;
use crate::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Renewal, Site};
use crate::json::{self, Member, NumberOrText, SecretText};
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
    bad_request_hint: "check client_id and client_secret, and that they belong to this environment",
    refusal_hint: "check client_id and client_secret, and that they belong to this environment",
};

pub(super) fn request(client_id: &str, client_secret: &Secret) -> Request {
    Request {
        path: FACTS.endpoint,
        headers: Vec::new(),
        body: json::to_wiped_vec(&TokenRequest {
            client_id,
            client_secret: client_secret.expose(),
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest<'a> {
    client_id: &'a str,
    client_secret: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenAnswer<'a> {
    #[serde(borrow)]
    access_token: Member<SecretText<'a>>,
    /// The document does not state its format, so every common one is read.
    expires_at: Member<NumberOrText>,
}

/// The token ends at the earlier of `expiresAt` and the documented lifetime.
pub(super) fn read<'a>(answer: &Answer<'a>) -> Result<Grant<'a>> {
    let said: TokenAnswer<'_> = answer.object()?;
    let access_token = required(said.access_token, "accessToken")?;
    let is_given = !matches!(said.expires_at, Member::Absent);
    let left =
        said.expires_at.ok().as_ref().and_then(moment).and_then(|end| answer.clock.until(end));
    Ok(Grant {
        access_token,
        lifetime: left
            .map_or(answer.documented_lifetime, |left| left.min(answer.documented_lifetime)),
        // What has passed before it came does not say when the token ends, either.
        lifetime_not_understood: is_given && left.is_none(),
        scope: None,
    })
}

fn moment(value: &NumberOrText) -> Option<SystemTime> {
    match (value.number(), value) {
        (Some(number), _) => date::from_epoch_number(number),
        (None, NumberOrText::Text(text)) => date::parse_date_time(text),
        (None, NumberOrText::Number(_)) => None,
    }
}
