//! NTX Pay México: `POST /api/auth/token` over mutual TLS, with the certificate in a header too.

use std::time::Duration;

use crate::types::facts::{
    AUTHORIZATION, BEARER, CLIENT_CREDENTIALS, Facts, Part, Protocol, REFUSALS_PER_HOUR, Renewal,
    Site,
};

/// What NTX Pay's document says.
pub(super) const FACTS: Facts = Facts {
    name: "ntx-pay",
    title: "NTX Pay México",
    endpoint: "/api/auth/token",
    prefix: "NTXPAY",
    fields: CLIENT_CREDENTIALS,
    takes_certificate: true,
    requires_certificate: true,
    sandbox: Site::new(Some("https://sandbox.mx.ntxpay.com"), 10),
    production: Site::new(Some("https://api.ntxpay.com"), 10),
    // `expires_in` beyond a day is taken as a day.
    longest_lifetime: Some(Duration::from_secs(24 * 60 * 60)),
    renewal: Renewal::Coexists { renew_from_percent: 80 },
    header: AUTHORIZATION,
    scheme: BEARER,
    api: &[],
    refusals_per_hour: REFUSALS_PER_HOUR,
    is_described: false,
    address_hint: "",
    bad_request_hint: "check client_id and client_secret, and that the certificate reaches NTX Pay as PEM that starts with -----BEGIN CERTIFICATE----- (from a proxy: proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;)",
    refusal_hint: "check client_id and client_secret (no trailing spaces), that they and the certificate belong to this environment, and that the certificate is neither expired nor revoked (else ask NTX Pay for a renewal)",
    protocol: Protocol {
        headers: &[("X-SSL-Client-Cert", Part::Certificate)],
        fields: &[
            ("clientId", Part::Value("client_id")),
            ("clientSecret", Part::Value("client_secret")),
        ],
        token: "/access_token",
        expires_in: Some("/expires_in"),
        is_oauth: true,
        ..Protocol::TOKEN_ALONE
    },
};
