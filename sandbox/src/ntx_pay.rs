//! NTX Pay México: the certificate in the header must be the one of the TLS connection.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::answer::Answer;
use crate::provider::TokenRequest;
use crate::request::Request;
use crate::state::Verdict;
use crate::text;

pub(crate) fn token(question: &TokenRequest<'_>, tls_certificate: Option<&[u8]>) -> Answer {
    let header = question.request.header("x-ssl-client-cert");
    let certificate = match header.map(read_certificate) {
        None => return question.error(400, "the header X-SSL-Client-Cert is missing"),
        Some(Err(problem)) => {
            return question.error(400, &format!("X-SSL-Client-Cert: {problem}"));
        }
        Some(Ok(certificate)) => certificate,
    };
    let Some(credentials) = question.credentials else {
        return question.malformed();
    };
    if tls_certificate != Some(certificate.as_ref()) {
        return question.error(401, "X-SSL-Client-Cert is not the TLS client certificate");
    }
    if question.state.is_certificate_revoked(&certificate) {
        return question.error(401, "the certificate was revoked");
    }
    if question.judge(credentials) != Verdict::Welcome {
        return question.error(401, "wrong clientId or clientSecret");
    }
    let issued = question.issue(credentials);
    Answer::json(
        201,
        &json!({
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.lifetime_seconds,
            "scope": "email profile",
        }),
    )
}

/// The first certificate of a percent-encoded PEM.
fn read_certificate(header: &str) -> Result<CertificateDer<'static>, &'static str> {
    let pem = text::percent_decode(header).ok_or("not percent-encoded")?;
    if !pem.starts_with(b"-----BEGIN CERTIFICATE-----") {
        return Err("must start with -----BEGIN CERTIFICATE-----");
    }
    let key_mark = b"PRIVATE KEY-----";
    if pem.windows(key_mark.len()).any(|part| part == key_mark) {
        return Err("a private key must never be sent");
    }
    CertificateDer::from_pem_slice(&pem).map_err(|_| "malformed PEM")
}

pub(crate) fn api(index: usize, request: &Request) -> Answer {
    match index {
        0 => Answer::json(200, &json!({"balance": "1250.00", "currency": "MXN"})),
        _ => {
            Answer::json(201, &json!({"status": "accepted", "bytes_received": request.body.len()}))
        }
    }
}
