//! NTX Pay México: `POST /api/auth/token` over mutual TLS, with the certificate in a header too.

use std::time::Duration;

use crate::types::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Part, Protocol, Renewal, Site};

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
    // `expires_in` beyond a day is taken as a day.
    longest_lifetime: Some(Duration::from_secs(24 * 60 * 60)),
    renewal: Renewal::Coexists { renew_from_percent: 80 },
    address_hint: "",
    bad_request_hint: "check client_id and client_secret, and that the certificate reaches NTX Pay as PEM that starts with -----BEGIN CERTIFICATE----- (from a proxy: proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;)",
    refusal_hint: "check client_id and client_secret (no trailing spaces), that they and the certificate belong to this environment, and that the certificate is neither expired nor revoked (else ask NTX Pay for a renewal)",
    protocol: Protocol {
        headers: &[("X-SSL-Client-Cert", Part::Certificate)],
        fields: &[("clientId", Part::Id), ("clientSecret", Part::Secret)],
        token: "/access_token",
        expires_in: Some("/expires_in"),
        is_oauth: true,
        ..Protocol::TOKEN_ALONE
    },
};
