//! What a failure of ureq or of the operating system was, by how far the request had got.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::tls_failure;
use super::wire::{Limit, Phase, Wire};
use crate::base::dial::{NotConnected, NotFound};
use crate::policy::outcome::Cause;
use crate::types::error::Error;

/// A cause, and a sentence that ends with how to fix it.
#[derive(Debug)]
pub(super) struct RequestFailure {
    pub(super) cause: Cause,
    text: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl RequestFailure {
    pub(super) fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into(), source: None }
    }

    pub(super) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with_shared_source(Arc::new(source))
    }

    fn with_shared_source(self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// What it was, and how far the request got.
    pub(super) fn of(error: ureq::Error, wire: &Wire) -> Self {
        let phase = wire.phase();
        // Before the tunnel stands, it is the proxy that fails.
        let is_proxy = wire.has_proxy() && phase < Phase::Handshake;
        if phase == Phase::OtherHandshake {
            return Self::new(Cause::OtherHandshake, tls_failure::OTHER_HANDSHAKE)
                .with_source(error);
        }
        match error {
            ureq::Error::Other(error) => match error.downcast::<Self>() {
                Ok(own) => *own,
                Err(_) => Self::new(Cause::ExchangeFailed, EXCHANGE),
            },
            ureq::Error::Timeout(_) => Self::too_slow(phase, is_proxy, &wire.limit()),
            ureq::Error::HostNotFound => Self::not_found(),
            ureq::Error::ConnectProxyFailed(said) => Self::of_proxy(&said),
            ureq::Error::Tls(_) => Self::new(Cause::NoTls, tls_failure::NO_TLS),
            ureq::Error::Rustls(error) => Self::of_tls(&error, phase).with_source(error),
            ureq::Error::LargeResponseHeader(..) => {
                Self::new(Cause::HeadTooLarge, "the answer's headers are too large; check base_url")
            }
            ureq::Error::Protocol(_) | ureq::Error::Http(_) if is_proxy => Self::new(
                Cause::ProxyRefused,
                "the proxy's answer is not proper HTTP; check the proxy setting",
            ),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
                let head = wire.head();
                let what = match (head.odd_line(), &error) {
                    (Some(line), _) => format!(" ({line} of its head)"),
                    (None, ureq::Error::Protocol(what)) if head.status().is_some() => {
                        format!(" ({what})")
                    }
                    _ => String::new(),
                };
                let text = format!("the answer is not proper HTTP{what}; check base_url");
                Self::new(Cause::NotHttp, text)
            }
            ureq::Error::Io(error) => Self::of_io(error, phase, is_proxy, &wire.limit()),
            other => Self::new(Cause::ExchangeFailed, EXCHANGE).with_source(other),
        }
    }

    fn not_found() -> Self {
        Self::new(
            Cause::NameNotFound,
            "the host name was not found; check base_url and name resolution",
        )
    }

    pub(super) fn of_look_up(error: NotFound, limit: &Limit) -> Self {
        match error {
            NotFound::NoThread(error) => Self::new(
                Cause::NoThread,
                "no thread could be started to look up the host name; raise the limit on processes or memory, or free some",
            )
            .with_source(error),
            NotFound::TooSlow => Self::name_too_slow(limit),
            NotFound::Unknown(None) => Self::not_found(),
            NotFound::Unknown(Some(error)) => match no_file_opens() {
                Some(error) => Self::no_descriptor().with_source(error),
                None => Self::not_found().with_shared_source(error),
            },
        }
    }

    /// No address of the host, or of the proxy, made a connection.
    pub(super) fn of_connecting(failed: NotConnected, wire: &Wire) -> Self {
        let (is_proxy, limit) = (wire.has_proxy(), &wire.limit());
        let failure = match failed.error {
            Some(error) => Self::of_io(error, Phase::Connecting, is_proxy, limit),
            None => Self::too_slow(Phase::Connecting, is_proxy, limit),
        };
        let text = failure.text.replacen(';', &format!("{};", failed.tried), 1);
        Self { text, ..failure }
    }

    /// For the proxy's own name.
    pub(super) fn of_proxy_name(self, limit: &Limit) -> Self {
        let text = match self.cause {
            Cause::NameNotFound => {
                "the proxy's host name was not found; check the proxy setting and name resolution"
                    .into()
            }
            Cause::NameTooSlow => format!(
                "the proxy's host name was not resolved {limit}, or check the proxy setting and the network"
            ),
            _ => return self,
        };
        Self { text, ..self }
    }

    pub(super) fn into_ureq(self) -> ureq::Error {
        ureq::Error::Other(Box::new(self))
    }

    pub(super) fn into_error(self, was_sent: bool) -> Error {
        let error = self.cause.error_sent(self.text, was_sent);
        match self.source {
            Some(source) => error.with_shared_source(source),
            None => error,
        }
    }

    fn name_too_slow(limit: &Limit) -> Self {
        Self::new(
            Cause::NameTooSlow,
            format!(
                "the host name was not resolved {limit}, or check base_url, the network and its name servers"
            ),
        )
    }

    fn no_descriptor() -> Self {
        Self::new(
            Cause::NoDescriptor,
            "no file descriptor was free for the connection; close some, or raise the limit (ulimit -n)",
        )
    }

    fn too_slow(phase: Phase, is_proxy: bool, limit: &Limit) -> Self {
        match phase {
            Phase::Resolving => Self::name_too_slow(limit),
            _ if is_proxy => Self::new(
                Cause::ProxyTooSlow,
                format!(
                    "the proxy made no connection {limit}, or check the proxy setting and that the proxy can be reached"
                ),
            ),
            Phase::Connecting | Phase::Proxy => Self::new(
                Cause::ConnectionTooSlow,
                format!("no connection {limit}, or check base_url, the network and firewalls"),
            ),
            Phase::Handshake => Self::new(
                Cause::ConnectionTooSlow,
                format!(
                    "the TLS handshake did not end {limit}, check base_url, or try again later"
                ),
            ),
            Phase::Sent | Phase::OtherHandshake => Self::new(
                Cause::AnswerTooSlow,
                format!("no complete answer {limit}, or try again later"),
            ),
        }
    }

    /// The proxy answered, or hung up.
    fn of_proxy(said: &str) -> Self {
        let status = said.strip_prefix("proxy server responded ").and_then(|said| said.get(..3));
        match status {
            Some("407") => Self::new(
                Cause::ProxyWantsCredentials,
                "the proxy wants credentials (407); put them into the proxy setting (http://user:password@host:port)",
            ),
            Some(status) => Self::new(
                Cause::ProxyRefused,
                format!(
                    "the proxy did not make the connection ({status}); check the proxy setting, and that the proxy allows this host"
                ),
            ),
            None => Self::new(
                Cause::ProxyRefused,
                "the proxy did not make the connection; check the proxy setting",
            ),
        }
    }

    fn of_tls(error: &rustls::Error, phase: Phase) -> Self {
        let (cause, text) = tls_failure::of(error, phase);
        Self::new(cause, text)
    }

    fn of_io(error: io::Error, phase: Phase, is_proxy: bool, limit: &Limit) -> Self {
        use io::ErrorKind::*;

        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::of_tls(tls, phase).with_source(error);
        }
        // A time-out or failure of ours that passed a link which knows std's errors alone.
        let error = match error.downcast::<ureq::Error>() {
            Ok(ureq::Error::Timeout(_)) => return Self::too_slow(phase, is_proxy, limit),
            Ok(other) => return Self::new(Cause::ExchangeFailed, EXCHANGE).with_source(other),
            Err(error) => error,
        };
        if lacks_descriptors(&error) {
            return Self::no_descriptor().with_source(error);
        }
        let (cause, text) = match (phase, error.kind()) {
            (_, TimedOut | WouldBlock) => {
                return Self::too_slow(phase, is_proxy, limit).with_source(error);
            }
            (Phase::Resolving | Phase::Connecting, _) if is_proxy => (
                Cause::ProxyUnreachable,
                "the proxy cannot be reached; check the proxy setting, and that the proxy runs",
            ),
            (Phase::Proxy, _) => {
                (Cause::ProxyRefused, "the proxy cut the connection; check the proxy setting")
            }
            (Phase::Resolving | Phase::Connecting, ConnectionRefused) => (
                Cause::ConnectionRefused,
                "the connection was refused; check base_url, or the provider is down",
            ),
            (
                Phase::Resolving | Phase::Connecting,
                HostUnreachable | NetworkUnreachable | NetworkDown,
            ) => (Cause::Unreachable, "the network or host is unreachable; check the network"),
            (Phase::Resolving | Phase::Connecting, _) => (
                Cause::ConnectionFailed,
                "this machine made no connection; check the network, firewall rules and limits",
            ),
            (
                Phase::Handshake,
                ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof,
            ) => (
                Cause::Cut,
                "the connection was cut in the TLS handshake; check base_url, or try again later",
            ),
            (_, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof) => {
                (Cause::Cut, "the connection was cut before the whole answer came; try again later")
            }
            _ => (Cause::ExchangeFailed, EXCHANGE),
        };
        Self::new(cause, text).with_source(error)
    }
}

const EXCHANGE: &str = "the exchange failed; check the network";

fn lacks_descriptors(error: &io::Error) -> bool {
    // For this process, for the machine.
    #[cfg(unix)]
    const LACKING: [i32; 2] = [libc::EMFILE, libc::ENFILE];
    // ERROR_TOO_MANY_OPEN_FILES, WSAEMFILE.
    #[cfg(windows)]
    const LACKING: [i32; 2] = [4, 10024];
    error.raw_os_error().is_some_and(|code| LACKING.contains(&code))
}

/// The system's look-up calls everything "not found", so ask whether a file can be opened at all.
fn no_file_opens() -> Option<io::Error> {
    #[cfg(unix)]
    return std::fs::File::open("/dev/null").err().filter(lacks_descriptors);
    #[cfg(windows)]
    None
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for RequestFailure {}

#[cfg(windows)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_too_many_is_told_from_other_failures() {
        const WSAEMFILE: i32 = 10024;
        const WSAECONNREFUSED: i32 = 10061;
        for (code, is_so) in [(WSAEMFILE, true), (4, true), (WSAECONNREFUSED, false)] {
            assert_eq!(lacks_descriptors(&io::Error::from_raw_os_error(code)), is_so, "{code}");
        }
    }
}
