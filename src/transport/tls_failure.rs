//! What a failure of TLS was: which side did not like what, with the dates and names that tell.

use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, HandshakeType, PeerMisbehaved};

use super::wire::Phase;
use crate::base::date;
use crate::policy::outcome::Cause;

pub(super) const NO_TLS: &str = "no TLS connection could be made; the server must speak TLS 1.2 or newer, and base_url be its address";

/// As IIS does where an address asks for client certificates that it did not ask for at first.
pub(super) const OTHER_HANDSHAKE: &str = "the server had the request, asked for another TLS handshake (as for a client certificate) and gave no answer without one; its operator has to ask in the first handshake (in IIS: clientcertnegotiation=enable)";

/// Its cause, and a sentence that ends with how to fix it.
pub(super) fn of(error: &rustls::Error, phase: Phase) -> (Cause, String) {
    use AlertDescription as Alert;

    let whose = if phase == Phase::Proxy { "proxy" } else { "server" };
    match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error, whose),
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired | Alert::NoCertificate => because(
                Cause::ClientCertificateRefused,
                format!(
                    "the {whose} asks for a client certificate, and none was shown ({alert:?}); give certificate and private key that were issued for this environment"
                ),
            ),
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => because(
                Cause::ClientCertificateRefused,
                format!(
                    "the {whose} did not accept the client certificate ({alert:?}); give certificate and private key that were issued for this environment"
                ),
            ),
            Alert::UnrecognisedName => because(
                Cause::HandshakeRefused,
                format!("the {whose} does not know the host name ({alert:?}); check base_url"),
            ),
            // It refused the connection, and so never looked at a request.
            Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::NoApplicationProtocol
            | Alert::MissingExtension
            | Alert::UnsupportedExtension => because(
                Cause::HandshakeRefused,
                format!("the {whose} ended the TLS handshake ({alert:?}); check base_url"),
            ),
            // These come at any time, also after the request.
            _ => because(
                Cause::TlsBroken,
                format!("the {whose} ended the TLS connection ({alert:?}); try again later"),
            ),
        },
        // By TLS 1.3, and by TLS 1.2 the second time.
        rustls::Error::InappropriateHandshakeMessage {
            got_type: HandshakeType::CertificateRequest,
            ..
        }
        | rustls::Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests)
            if phase >= Phase::Sent =>
        {
            because(Cause::OtherHandshake, OTHER_HANDSHAKE)
        }
        rustls::Error::PeerIncompatible(_) => because(Cause::NoTls, NO_TLS),
        _ if phase < Phase::Sent => because(Cause::NoTls, NO_TLS),
        // A record that cannot be read may be the answer's.
        _ => because(Cause::TlsBroken, "the TLS connection broke; try again later"),
    }
}

fn because(cause: Cause, text: impl Into<String>) -> (Cause, String) {
    (cause, text.into())
}

/// The certificate of the other side was not accepted here.
fn of_certificate(error: &CertificateError, whose: &str) -> (Cause, String) {
    use CertificateError::*;

    let clock = "set this machine's clock if that is wrong";
    match error {
        Expired => because(
            Cause::ServerCertificateExpired,
            format!(
                "the {whose}'s certificate has expired; ask its operator to renew it, or {clock}"
            ),
        ),
        ExpiredContext { time, not_after } => because(
            Cause::ServerCertificateExpired,
            format!(
                "the {whose}'s certificate expired on {}, and this machine's clock says {}; ask its operator to renew it, or {clock}",
                utc(*not_after),
                utc(*time)
            ),
        ),
        NotValidYet => because(
            Cause::ServerCertificateNotYetValid,
            format!("the {whose}'s certificate is not valid yet; {clock}, else tell its operator"),
        ),
        NotValidYetContext { time, not_before } => because(
            Cause::ServerCertificateNotYetValid,
            format!(
                "the {whose}'s certificate is not valid before {}, and this machine's clock says {}; {clock}, else tell its operator",
                utc(*not_before),
                utc(*time)
            ),
        ),
        NotValidForName => {
            because(Cause::ServerCertificateForAnotherHost, wrong_name(whose, "", &[]))
        }
        NotValidForNameContext { expected, presented } => because(
            Cause::ServerCertificateForAnotherHost,
            wrong_name(whose, &format!(", not for {}", expected.to_str()), presented),
        ),
        UnknownIssuer => because(
            Cause::ServerCertificateUnknownIssuer,
            format!(
                "the {whose}'s certificate is from an authority that is not trusted here; set root_certificates_pem to that authority's certificate if it is the right one, else somebody may be in between"
            ),
        ),
        Revoked => because(
            Cause::ServerCertificateRevoked,
            format!("the {whose}'s certificate was revoked; do not use it, and ask its operator"),
        ),
        other => because(
            Cause::ServerCertificateUnusable,
            format!(
                "the {whose}'s certificate cannot be used ({}); ask its operator to replace it",
                reason(other)
            ),
        ),
    }
}

/// In words, for those that need no advice of their own.
fn reason(error: &CertificateError) -> &'static str {
    use CertificateError::*;

    match error {
        BadEncoding => "it is damaged",
        UnhandledCriticalExtension => "it has a critical extension that is not understood",
        BadSignature => "its signature is wrong",
        InvalidPurpose | InvalidPurposeContext { .. } => "it is not meant for servers",
        UnsupportedSignatureAlgorithmContext { .. }
        | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that is not supported"
        }
        Other(error) => {
            let text = format!("{error:?}");
            if text.contains("CaUsedAsEndEntity") {
                "it is an authority's own certificate"
            } else if text.contains("UnsupportedCertVersion") {
                "it is an X.509 version 1 certificate"
            } else {
                "it breaks a rule for certificates"
            }
        }
        _ => "it breaks a rule for certificates",
    }
}

/// More names are not shown.
const MOST_NAMES: usize = 5;

fn wrong_name(whose: &str, not: &str, presented: &[String]) -> String {
    let mut names: Vec<String> = presented.iter().take(MOST_NAMES).map(|name| bare(name)).collect();
    if presented.len() > MOST_NAMES {
        names.push(format!("{} more", presented.len() - MOST_NAMES));
    }
    let names = if names.is_empty() { "another host".to_owned() } else { names.join(", ") };
    format!("the {whose}'s certificate is for {names}{not}; check the host name in base_url")
}

/// `DnsName("api.example")` as `api.example`; the other side wrote it, so only what names are made
/// of is shown.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    let is_of_names = |c: &char| c.is_ascii_alphanumeric() || "-._*:".contains(*c);
    inner.chars().filter(is_of_names).take(64).collect()
}

fn utc(time: UnixTime) -> String {
    date::utc(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn each_fault_of_a_server_certificate_has_its_cause_and_its_words() {
        use CertificateError::*;

        let expected = ServerName::try_from("api.example").unwrap();
        let presented = vec!["DnsName(\"other\u{1b}[31m.example\")".to_owned(); 7];
        for (error, cause, parts) in [
            (Expired, Cause::ServerCertificateExpired, vec!["has expired"]),
            (
                ExpiredContext { time: at(86_400), not_after: at(0) },
                Cause::ServerCertificateExpired,
                vec!["expired on 1970-01-01", "clock says 1970-01-02"],
            ),
            (NotValidYet, Cause::ServerCertificateNotYetValid, vec!["not valid yet"]),
            (
                NotValidYetContext { time: at(0), not_before: at(86_400) },
                Cause::ServerCertificateNotYetValid,
                vec!["before 1970-01-02", "clock says 1970-01-01"],
            ),
            (NotValidForName, Cause::ServerCertificateForAnotherHost, vec!["another host"]),
            (
                NotValidForNameContext { expected, presented },
                Cause::ServerCertificateForAnotherHost,
                vec!["for other31m.example,", "2 more, not for api.example"],
            ),
            (UnknownIssuer, Cause::ServerCertificateUnknownIssuer, vec!["root_certificates_pem"]),
            (Revoked, Cause::ServerCertificateRevoked, vec!["revoked"]),
            (BadEncoding, Cause::ServerCertificateUnusable, vec!["damaged"]),
        ] {
            let (found, text) = of(&rustls::Error::InvalidCertificate(error), Phase::Handshake);
            assert_eq!(found, cause);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
            let is_name = cause == Cause::ServerCertificateForAnotherHost;
            assert_eq!(text.contains("base_url"), is_name, "{text}");
        }
    }

    /// What rustls says where this machine's clock is at its beginning, as without a battery.
    #[test]
    fn a_clock_at_1970_is_told_with_both_dates() {
        use paytoken_sandbox::rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier as _;

        let mut params = CertificateParams::new(vec!["api.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2025, 6, 1);
        let issuer = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap());
        let issuer = issuer.unwrap();
        let server = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let name = ServerName::try_from("api.example").unwrap();
        let verified =
            verifier.build().unwrap().verify_server_cert(server.der(), &[], &name, &[], at(60));
        let (cause, text) = of(&verified.unwrap_err(), Phase::Handshake);
        assert_eq!(cause, Cause::ServerCertificateNotYetValid);
        for part in [
            "not valid before 2025-06-01 00:00:00 UTC",
            "says 1970-01-01 00:01:00 UTC",
            "set this machine's clock",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_alert_says_which_side_did_not_like_what() {
        let alert = |alert, phase| of(&rustls::Error::AlertReceived(alert), phase);
        for (description, cause) in [
            (AlertDescription::CertificateRevoked, Cause::ClientCertificateRefused),
            (AlertDescription::CertificateRequired, Cause::ClientCertificateRefused),
            (AlertDescription::HandshakeFailure, Cause::HandshakeRefused),
            (AlertDescription::UnrecognisedName, Cause::HandshakeRefused),
            (AlertDescription::InternalError, Cause::TlsBroken),
        ] {
            assert_eq!(alert(description, Phase::Sent).0, cause);
        }
        let (_, text) = alert(AlertDescription::UnknownCA, Phase::Proxy);
        assert!(text.contains("the proxy did not"), "{text}");
        let (_, text) = alert(AlertDescription::CertificateRequired, Phase::Handshake);
        assert!(text.contains("asks for a client certificate, and none was shown"), "{text}");
        assert_eq!(of(&rustls::Error::DecryptError, Phase::Sent).0, Cause::TlsBroken);
        assert_eq!(of(&rustls::Error::DecryptError, Phase::Handshake).0, Cause::NoTls);
        let got_type = HandshakeType::CertificateRequest;
        for error in [
            rustls::Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests),
            rustls::Error::InappropriateHandshakeMessage { expect_types: vec![], got_type },
        ] {
            assert_eq!(of(&error, Phase::OtherHandshake).0, Cause::OtherHandshake);
            assert_eq!(of(&error, Phase::Sent).0, Cause::OtherHandshake);
            assert_eq!(of(&error, Phase::Handshake).0, Cause::NoTls);
        }
    }
}
