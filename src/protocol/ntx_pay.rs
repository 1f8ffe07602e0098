//! NTX Pay México: `POST /api/auth/token` over mutual TLS, with the certificate in a header too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Answer, checked_scope, required};
use crate::certificate::ClientCertificate;
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::facts::{CLIENT_ID, CLIENT_SECRET, Facts, Renewal, Site};
use crate::json::{self, Member, NumberOrText, SecretText};
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
    bad_request_hint: "check client_id and client_secret, and that the certificate reaches NTX Pay as PEM that starts with -----BEGIN CERTIFICATE----- (from a proxy: proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;)",
    refusal_hint: "check client_id and client_secret (no trailing spaces), that they and the certificate belong to this environment, and that the certificate is neither expired nor revoked (else ask NTX Pay for a renewal)",
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
#[serde(default)]
struct TokenAnswer<'a> {
    #[serde(borrow)]
    access_token: Member<SecretText<'a>>,
    /// `Bearer`
    token_type: Member<String>,
    /// Seconds.
    expires_in: Member<NumberOrText>,
    scope: Member<String>,
}

pub(super) fn read<'a>(answer: &Answer<'a>) -> Result<Grant<'a>> {
    let said: TokenAnswer<'_> = answer.object()?;
    let access_token = required(said.access_token, "access_token")?;
    match said.token_type {
        Member::Absent => {}
        Member::Is(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        _ => {
            return Err(Error::invalid_response(
                "the answer's token_type is not Bearer; this library only knows how to use bearer tokens",
            ));
        }
    }
    let lifetime = match said.expires_in {
        Member::Absent => answer.documented_lifetime,
        given => lifetime(given.ok().and_then(|value| value.number()))?,
    };
    Ok(Grant {
        access_token,
        lifetime,
        lifetime_not_understood: false,
        scope: checked_scope(said.scope.ok()),
    })
}

fn lifetime(seconds: Option<f64>) -> Result<Duration> {
    match seconds {
        Some(seconds) if seconds > 0.0 => Ok(Duration::try_from_secs_f64(seconds)
            .unwrap_or(LONGEST_LIFETIME)
            .min(LONGEST_LIFETIME)),
        Some(_) => Err(Error::invalid_response(
            "the answer's expires_in is not positive; the token had ended before it came",
        )),
        None => Err(Error::invalid_response("the answer's expires_in is not a number of seconds")),
    }
}
