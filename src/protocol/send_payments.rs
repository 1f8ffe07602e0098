//! Send Payments: `POST /auth`. Every new token ends the one before.

use crate::types::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Part, Protocol, Renewal, Site};

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
    protocol: Protocol {
        fields: &[("clientId", Part::Id), ("clientSecret", Part::Secret)],
        token: "/accessToken",
        // The document does not state its format, so every common one is read.
        expires_at: Some("/expiresAt"),
        ..Protocol::TOKEN_ALONE
    },
};
