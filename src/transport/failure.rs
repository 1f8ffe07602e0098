//! What a failure of ureq or rustls means to the caller.

use std::io;

use crate::error::{Error, ErrorKind};

/// What went wrong, what to do, and whether the provider may have seen the request.
pub(super) fn classify(error: ureq::Error) -> Error {
    use ureq::Timeout;

    let transport = |text: &str| Error::new(ErrorKind::Transport, text);
    match error {
        ureq::Error::Timeout(which) => {
            let before = matches!(which, Timeout::Resolve | Timeout::Connect);
            let text = match which {
                Timeout::Resolve => {
                    "the host name was not resolved in time; check base_url and the network"
                }
                Timeout::Connect => {
                    "no connection in time; check base_url, the network and firewalls"
                }
                _ => "no complete answer in time; try again later, or allow more with timeout",
            };
            Error::new(ErrorKind::Timeout, text).with_may_have_arrived(!before)
        }
        ureq::Error::HostNotFound => {
            transport("the host name was not found; check base_url and name resolution")
        }
        ureq::Error::ConnectProxyFailed(_) => {
            transport("the proxy did not make the connection; check the proxy setting")
        }
        ureq::Error::Tls(_) => tls_error(None),
        ureq::Error::Rustls(error) => tls_error(Some(&error)).with_source(error),
        ureq::Error::LargeResponseHeader(..) => {
            Error::invalid_response("the answer's headers are too large; check base_url")
                .with_may_have_arrived(true)
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
            Error::invalid_response("the answer is not proper HTTP; check base_url")
                .with_may_have_arrived(true)
        }
        ureq::Error::Io(error) => classify_io(error),
        other => transport("the exchange failed").with_source(other).with_may_have_arrived(true),
    }
}

fn classify_io(error: io::Error) -> Error {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = rustls {
        return tls_error(Some(tls)).with_source(error);
    }
    let (text, arrived) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ("the connection was refused; check base_url, or the provider is down", false)
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ("the network or host is unreachable; check the network", false)
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            ("the connection was cut before the whole answer came; try again later", true)
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            return Error::new(ErrorKind::Timeout, "no complete answer in time; try again later")
                .with_source(error)
                .with_may_have_arrived(true);
        }
        // The kind of a failed name look-up cannot be matched; only its text tells.
        _ if error.to_string().contains("lookup address") => {
            ("the host name was not found; check base_url and name resolution", false)
        }
        _ => ("the exchange failed; check the network", true),
    };
    Error::new(ErrorKind::Transport, text).with_source(error).with_may_have_arrived(arrived)
}

/// A TLS failure is about certificates where it says so, else it is the network's.
fn tls_error(error: Option<&rustls::Error>) -> Error {
    use rustls::AlertDescription as Alert;

    match error {
        Some(rustls::Error::InvalidCertificate(_)) => Error::certificate(
            "the server's certificate is not trusted, or is for another host; check base_url, or set root_certificates_pem if the server has a private certificate authority",
        ),
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => Error::certificate(format!(
                "the server did not accept the client certificate ({alert:?}); give certificate and private key that were issued for this environment"
            ))
            // With TLS 1.3 the alert comes after the request was sent.
            .with_may_have_arrived(true),
            // It refused the connection, and so never looked at a request.
            Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::UnrecognisedName
            | Alert::NoApplicationProtocol
            | Alert::MissingExtension
            | Alert::UnsupportedExtension => Error::new(ErrorKind::Transport, format!("the server ended the TLS handshake ({alert:?}); check base_url")),
            // These come at any time, also after the request.
            _ => Error::new(ErrorKind::Transport, format!("the server ended the TLS connection ({alert:?}); try again later"))
                .with_may_have_arrived(true),
        },
        None | Some(rustls::Error::PeerIncompatible(_)) => Error::new(ErrorKind::Transport, "no TLS connection could be made; the server must speak TLS 1.2 or newer"),
        // A record that cannot be read may be the answer's.
        Some(_) => Error::new(ErrorKind::Transport, "the TLS connection failed; the server must speak TLS 1.2 or newer, and base_url be its address")
            .with_may_have_arrived(true),
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, PeerIncompatible};
    use ureq::Timeout;

    use super::*;

    #[test]
    fn a_failure_has_its_kind_and_says_whether_the_provider_may_have_seen_the_request() {
        use ErrorKind::{Certificate, InvalidResponse, Timeout as TimedOut, Transport};

        let io = |kind: io::ErrorKind| ureq::Error::Io(kind.into());
        let tls = |error: rustls::Error| ureq::Error::Rustls(error);
        let alert = |alert| tls(rustls::Error::AlertReceived(alert));
        let hidden = rustls::Error::InvalidCertificate(CertificateError::Expired);
        for (error, kind, may_have_arrived, part) in [
            (ureq::Error::Timeout(Timeout::Resolve), TimedOut, false, "not resolved in time"),
            (ureq::Error::Timeout(Timeout::Connect), TimedOut, false, "no connection in time"),
            (ureq::Error::Timeout(Timeout::Global), TimedOut, true, "no complete answer"),
            (ureq::Error::Timeout(Timeout::RecvResponse), TimedOut, true, "no complete answer"),
            (ureq::Error::HostNotFound, Transport, false, "host name was not found"),
            (ureq::Error::ConnectProxyFailed("x".into()), Transport, false, "proxy"),
            (ureq::Error::Tls("x"), Transport, false, "TLS 1.2"),
            (ureq::Error::LargeResponseHeader(2, 1), InvalidResponse, true, "headers"),
            (ureq::Error::RequireHttpsOnly("x".into()), Transport, true, "exchange failed"),
            (tls(hidden.clone()), Certificate, false, "server's certificate"),
            (ureq::Error::Io(io::Error::other(hidden)), Certificate, false, "server's certificate"),
            (alert(AlertDescription::CertificateRevoked), Certificate, true, "client certificate"),
            (alert(AlertDescription::HandshakeFailure), Transport, false, "TLS handshake"),
            (alert(AlertDescription::InternalError), Transport, true, "TLS connection"),
            (
                tls(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)),
                Transport,
                false,
                "TLS 1.2",
            ),
            (tls(rustls::Error::DecryptError), Transport, true, "TLS connection failed"),
            (io(io::ErrorKind::ConnectionRefused), Transport, false, "refused"),
            (io(io::ErrorKind::HostUnreachable), Transport, false, "unreachable"),
            (io(io::ErrorKind::NetworkUnreachable), Transport, false, "unreachable"),
            (io(io::ErrorKind::ConnectionReset), Transport, true, "cut"),
            (io(io::ErrorKind::ConnectionAborted), Transport, true, "cut"),
            (io(io::ErrorKind::BrokenPipe), Transport, true, "cut"),
            (io(io::ErrorKind::UnexpectedEof), Transport, true, "cut"),
            (io(io::ErrorKind::TimedOut), TimedOut, true, "no complete answer"),
            (io(io::ErrorKind::WouldBlock), TimedOut, true, "no complete answer"),
            (io(io::ErrorKind::PermissionDenied), Transport, true, "exchange failed"),
            (
                ureq::Error::Io(io::Error::other("failed to lookup address information: x")),
                Transport,
                false,
                "host name was not found",
            ),
        ] {
            let what = error.to_string();
            let error = classify(error);
            assert_eq!(
                (error.kind(), error.may_have_arrived()),
                (kind, may_have_arrived),
                "{what}"
            );
            assert!(error.to_string().contains(part), "{what}: {error}");
        }
    }
}
