//! NexterPay: `POST /security/createToken`; the answer is a bare JSON string, the JWT itself.

use crate::types::facts::{
    AUTHORIZATION, BEARER, Facts, Field, FieldKind, Part, Protocol, REFUSALS_PER_HOUR, Renewal,
    Site,
};

/// What NexterPay's document says.
pub(super) const FACTS: Facts = Facts {
    name: "nexter-pay",
    title: "NexterPay",
    endpoint: "/security/createToken",
    prefix: "NEXTERPAY",
    fields: &[
        Field::new("user_name", "USERNAME", FieldKind::Identity),
        Field::new("password", "PASSWORD", FieldKind::Secret),
    ],
    takes_certificate: false,
    requires_certificate: false,
    sandbox: Site::new(Some("https://api-sandbox.nexterpay.io"), 600),
    production: Site::new(None, 90),
    longest_lifetime: None,
    renewal: Renewal::Coexists { renew_from_percent: 90 },
    header: AUTHORIZATION,
    scheme: BEARER,
    api: &[],
    refusals_per_hour: REFUSALS_PER_HOUR,
    is_described: false,
    address_hint: "NexterPay's document does not state its production address; set it to the one NexterPay gave you",
    bad_request_hint: "check user_name and password, and that they belong to this environment",
    refusal_hint: "check user_name and password, and that they belong to this environment",
    protocol: Protocol {
        fields: &[("userName", Part::Value("user_name")), ("password", Part::Value("password"))],
        jwt_expiry: true,
        ..Protocol::TOKEN_ALONE
    },
};
