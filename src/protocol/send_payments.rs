//! Send Payments: `POST /auth`. Every new token ends the one before.

use crate::types::facts::{
    AUTHORIZATION, BEARER, CLIENT_CREDENTIALS, Facts, Part, Protocol, REFUSALS_PER_HOUR, Renewal,
    Site,
};

/// What Send's document says.
pub(super) const FACTS: Facts = Facts {
    name: "send-payments",
    title: "Send Payments",
    endpoint: "/auth",
    prefix: "SENDPAYMENTS",
    fields: CLIENT_CREDENTIALS,
    takes_certificate: false,
    requires_certificate: false,
    sandbox: Site::new(None, 5),
    production: Site::new(None, 5),
    longest_lifetime: None,
    renewal: Renewal::ReplacesPrevious,
    header: AUTHORIZATION,
    scheme: BEARER,
    api: &[],
    refusals_per_hour: REFUSALS_PER_HOUR,
    is_described: false,
    address_hint: "Send Payments gives each client an address per environment; set it to the one Send gave you",
    bad_request_hint: "check client_id and client_secret, and that they belong to this environment",
    refusal_hint: "check client_id and client_secret, and that they belong to this environment",
    protocol: Protocol {
        fields: &[
            ("clientId", Part::Value("client_id")),
            ("clientSecret", Part::Value("client_secret")),
        ],
        token: "/accessToken",
        // The document does not state its format, so every common one is read.
        expires_at: Some("/expiresAt"),
        ..Protocol::TOKEN_ALONE
    },
};
