//! The network: the only file that names ureq.
//!
//! One agent per TLS identity. https only (http on loopback alone), no redirects, bounded bodies,
//! time-outs always, TLS 1.2 or newer. Identity and roots are checked when the transport is made,
//! so that ureq never meets what it would panic on.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use log::Level;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::config::AutoHeaderValue;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use zeroize::Zeroizing;

use crate::certificate::{ClientCertificate, pem_text};
use crate::clock::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::{Request, Response};
use crate::sync::lock;

/// No answer of a token endpoint is larger.
const LARGEST_BODY: u64 = 64 * 1024;

/// The names of ours that ureq's own settings must not be able to change.
const USER_AGENT: &str = concat!("paytoken/", env!("CARGO_PKG_VERSION"));

/// How to reach one provider.
pub(crate) struct Transport {
    agent: Arc<SharedAgent>,
    base_url: BaseUrl,
    user_agent: String,
}

/// What two transports must have in common to share connections and TLS sessions.
pub(crate) struct Settings {
    /// The TLS client identity, where it has a key.
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) roots: Option<Roots>,
    pub(crate) proxy: Option<String>,
    pub(crate) connect_timeout: Duration,
}

/// An agent, made at its first request.
///
/// ureq caches the TLS set-up (and with it the sessions to resume) only when an agent's first
/// request runs on the agent's own settings, time-out included. So each agent is made with the time
/// that its first request has left, and kept once that request was answered.
struct SharedAgent {
    settings: Settings,
    is_https: bool,
    is_loopback: bool,
    kept: OnceLock<ureq::Agent>,
}

impl Transport {
    /// Checks everything and touches no network. Agents in `pool` are shared where they can be.
    pub(crate) fn new(
        base_url: BaseUrl,
        settings: Settings,
        user_agent: Option<String>,
        pool: &AgentPool,
    ) -> Result<Self> {
        Ok(Self {
            agent: pool.agent(&base_url, settings)?,
            base_url,
            user_agent: user_agent.unwrap_or_else(|| USER_AGENT.to_owned()),
        })
    }

    pub(crate) fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Sends the request once and reads the whole answer, whatever its status.
    ///
    /// The error knows whether the request may have reached the provider.
    pub(crate) fn send(&self, request: &Request, deadline: Deadline) -> Result<Response> {
        let left = deadline.remaining();
        if left.is_zero() {
            return Err(Error::new(
                ErrorKind::Timeout,
                "no time was left to send a request; allow more",
            ));
        }
        let _quiet = Quiet::begin();
        let kept = self.agent.kept.get();
        let agent = match kept {
            Some(agent) => agent.clone(),
            None => self.agent.make(left)?,
        };
        let mut post = agent
            .post(format!("{}{}", self.base_url.text, request.path))
            .header("User-Agent", &self.user_agent)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        if kept.is_some() {
            let connect = self.agent.connect_timeout(left);
            post = post.config().timeout_global(Some(left)).timeout_connect(Some(connect)).build();
        }
        let has_proxy = agent.config().proxy().is_some();
        let mut response = post.send(&request.body[..]).map_err(|error| {
            let error = classify(error);
            match error.kind() {
                ErrorKind::Transport | ErrorKind::Timeout if has_proxy => {
                    error.with_note(" [a proxy is set: check that it can be reached, too]")
                }
                _ => error,
            }
        })?;
        if kept.is_none() {
            // Another thread's agent may have been first; then this one goes with its connection.
            let _ = self.agent.kept.set(agent);
        }
        let header = |name| {
            let value: Option<&ureq::http::HeaderValue> = response.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (content_type, retry_after, date) =
            (header("content-type"), header("retry-after"), header("date"));
        // Sized at once, so that no growing leaves an unwiped copy behind.
        let mut body = Zeroizing::new(Vec::with_capacity(LARGEST_BODY as usize + 1));
        response
            .body_mut()
            .as_reader()
            .take(LARGEST_BODY + 1)
            .read_to_end(&mut body)
            .map_err(|error| classify(ureq::Error::from(error)))?;
        if body.len() as u64 > LARGEST_BODY {
            return Err(Error::invalid_response(format!(
                "the answer is larger than {} KiB; check base_url",
                LARGEST_BODY / 1024
            ))
            .with_may_have_arrived(true));
        }
        Ok(Response { status: response.status().as_u16(), content_type, retry_after, date, body })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("base_url", &self.base_url.text).finish_non_exhaustive()
    }
}

/// The agents in use, so that sources with one identity share connections and TLS sessions.
#[derive(Clone, Default)]
pub(crate) struct AgentPool(Arc<Mutex<HashMap<AgentKey, Weak<SharedAgent>>>>);

#[derive(PartialEq, Eq, Hash)]
struct AgentKey {
    chain: Vec<CertificateDer<'static>>,
    roots: Option<Roots>,
    proxy: Option<String>,
    is_loopback: bool,
    is_https: bool,
    connect_timeout: Duration,
}

impl AgentPool {
    fn agent(&self, base_url: &BaseUrl, settings: Settings) -> Result<Arc<SharedAgent>> {
        let identity = settings.certificate.as_ref().and_then(ClientCertificate::identity);
        let key = AgentKey {
            chain: identity.map(|(chain, _)| chain.to_vec()).unwrap_or_default(),
            roots: settings.roots.clone(),
            proxy: settings.proxy.clone(),
            is_loopback: base_url.is_loopback,
            is_https: base_url.is_https,
            connect_timeout: settings.connect_timeout,
        };
        let mut agents = lock(&self.0);
        if let Some(agent) = agents.get(&key).and_then(Weak::upgrade) {
            return Ok(agent);
        }
        agents.retain(|_, agent| agent.strong_count() > 0);
        let agent = Arc::new(SharedAgent {
            settings,
            is_https: base_url.is_https,
            is_loopback: base_url.is_loopback,
            kept: OnceLock::new(),
        });
        agents.insert(key, Arc::downgrade(&agent));
        Ok(agent)
    }
}

impl SharedAgent {
    /// Less than all the time there is: what runs out first tells whether a request was sent.
    fn connect_timeout(&self, left: Duration) -> Duration {
        self.settings
            .connect_timeout
            .min(left.saturating_sub(Duration::from_millis(20)).max(left / 2))
    }

    fn make(&self, timeout: Duration) -> Result<ureq::Agent> {
        let settings = &self.settings;
        let identity = settings.certificate.as_ref().and_then(ClientCertificate::identity);
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            // Ours, whatever the program installed as its default.
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .client_cert(identity.map(|(chain, key)| client_cert(chain, key)))
            .root_certs(match &settings.roots {
                Some(roots) => roots.to_ureq(),
                None => RootCerts::WebPki,
            })
            .build();
        let mut config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(self.is_https)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .timeout_connect(Some(self.connect_timeout(timeout)))
            .timeout_global(Some(timeout));
        match settings.proxy.as_deref() {
            Some("") => config = config.proxy(None),
            Some(proxy) => {
                let proxy = ureq::Proxy::new(proxy).map_err(|_| bad_proxy())?;
                config = config.proxy(Some(proxy));
            }
            // A proxy from the environment is not meant for this machine itself.
            None if self.is_loopback => config = config.proxy(None),
            None => {}
        }
        Ok(config.build().new_agent())
    }
}

/// The identity was checked when the certificate was loaded, so ureq's own `expect` holds.
fn client_cert(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> ClientCert {
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    // ureq takes a key as PEM alone: its names for the kinds of DER are not public.
    let pem = pem_text(label, key.secret_der());
    let key = PrivateKey::from_pem(pem.as_bytes()).expect("it was just written as PEM");
    ClientCert::new_with_certs(&chain, key)
}

fn bad_proxy() -> Error {
    Error::configuration(
        "proxy: not usable; write it as http://host:port (no SOCKS), or \"\" for none",
    )
}

pub(crate) fn check_proxy(proxy: &str) -> Result<()> {
    if !proxy.is_empty() && (ureq::Proxy::new(proxy).is_err() || proxy.starts_with("socks")) {
        return Err(bad_proxy());
    }
    Ok(())
}

/// Certificate authorities to trust instead of Mozilla's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots(Arc<[CertificateDer<'static>]>);

impl Roots {
    /// Every certificate in the PEM text; ureq would ignore bad ones in silence.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |what| Error::configuration(format!("root_certificates_pem: {what}"));
        let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| bad("a PEM block is damaged; copy the file again"))?;
        if roots.is_empty() {
            return Err(bad("no CERTIFICATE block found; give the certificate authority's PEM"));
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| {
                bad("a certificate in it cannot be used as a certificate authority")
                    .with_source(error)
            })?;
        }
        Ok(Self(roots.into()))
    }

    fn to_ureq(&self) -> RootCerts {
        let roots: Vec<_> =
            self.0.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        RootCerts::new_with_certs(&roots)
    }
}

/// A checked base URL, without trailing slash.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    text: String,
    is_https: bool,
    is_loopback: bool,
}

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| Err(Error::configuration(format!("base_url: {what}")));
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return bad("is empty or holds white space; write it as https://host");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("has no scheme; write it as https://host");
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return bad(
                "holds a user name or password; remove it, the credentials go into Credentials",
            );
        }
        if path.contains(['?', '#']) {
            return bad("has a query or a fragment; give only scheme, host, port and path");
        }
        let text = &text[..text.len() - (path.len() - path.trim_end_matches('/').len())];
        let uri = text.parse::<ureq::http::Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        let after_host = authority.trim_start_matches(host);
        if host.is_empty() || !(after_host.is_empty() || uri.port_u16().is_some()) {
            return bad("is not a URL with a host; write it as https://host or https://host:port");
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" if is_loopback => false,
            "http" => {
                return bad(
                    "is plain http, which shows the credentials to the network; use https (http is for loopback alone)",
                );
            }
            _ => return bad("has a scheme other than https; write it as https://host"),
        };
        // One spelling per address: stores tell accounts apart by it.
        let path = &text[scheme.len() + 3 + authority.len()..];
        let authority = authority.to_ascii_lowercase();
        let default_port = if is_https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
        let scheme = scheme.to_ascii_lowercase();
        Ok(Self { text: format!("{scheme}://{authority}{path}"), is_https, is_loopback })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// While one of these lives, no `trace` record is written by anybody in the process.
///
/// At that level ureq's protocol layer logs every byte it sends and receives, the secret and the
/// token among them, and has no switch of its own.
struct Quiet(());

static QUIET: Mutex<usize> = Mutex::new(0);

impl Quiet {
    fn begin() -> Option<Self> {
        let mut count = lock(&QUIET);
        if *count == 0 && log::max_level() < Level::Trace {
            return None;
        }
        *count += 1;
        log::set_max_level(log::LevelFilter::Debug);
        Some(Self(()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut count = lock(&QUIET);
        *count -= 1;
        // Whatever the program itself has set in the meantime stays.
        if *count == 0 && log::max_level() == log::LevelFilter::Debug {
            log::set_max_level(log::LevelFilter::Trace);
        }
    }
}

/// What went wrong, what to do, and whether the provider may have seen the request.
fn classify(error: ureq::Error) -> Error {
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
    use super::*;

    #[test]
    fn a_base_url_is_https_or_loopback_and_nothing_but_an_address() {
        for (text, host) in [
            ("https://api.example", "https://api.example"),
            ("https://api.example:8443/gateway/", "https://api.example:8443/gateway"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://api.example:443/Path/", "https://api.example/Path"),
            ("https://api.example:80", "https://api.example:80"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:1", "http://[::1]:1"),
            ("HTTPS://API.example", "https://api.example"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), host);
        }
        for (text, part) in [
            ("", "empty"),
            ("api.example", "no scheme"),
            ("https://", "with a host"),
            ("https:// api.example", "white space"),
            ("https://u:not-a-password@api.example", "user name or password"),
            ("https://api.example/?a=1", "query"),
            ("https://api.example?a=1", "query"),
            ("https://api.example/#a", "fragment"),
            ("http://api.example", "plain http"),
            ("http://localhost.example", "plain http"),
            ("http://127.0.0.1.example", "plain http"),
            ("ftp://api.example", "scheme"),
            ("https://api.example:", "port"),
            ("https://api.example:99999", "port"),
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(!error.to_string().contains("not-a-password"));
        }
    }
}
