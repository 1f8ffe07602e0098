//! The network: only here and below is ureq named.
//!
//! https only (http on loopback alone), no redirects, bounded bodies, one deadline over all of a
//! request, TLS 1.2 or newer. Each request has an agent, and so a connection, of its own; TLS
//! sessions are resumed. Identity and roots are checked before a transport is made.

mod connector;
mod cover;
mod failure;
mod head;
mod probe;
mod proxy;
mod resolver;
mod roots;
mod tls;
mod tls_failure;
mod unveil;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use ureq::config::AutoHeaderValue;
use ureq::http::request::Builder;

use self::failure::RequestFailure;
pub(crate) use self::proxy::check_proxy;
pub(crate) use self::roots::Roots;
use self::tls::Configs;
use self::unveil::{Hidden, LONGEST};
use self::wire::Wire;
use crate::base::clock::Deadline;
use crate::base::dial::Dialer;
use crate::base::sync::lock;
use crate::credentials::certificate::ClientCertificate;
use crate::policy::outcome::Cause;
use crate::protocol::message::{Method, Request, Response};
use crate::types::base_url::BaseUrl;
use crate::types::error::{Error, Result};

/// Room for the head of a request with the largest certificate that passes a proxy (8,171 bytes), and
/// for that of an answer. Both are filled with zeroes at each request: ureq's own sizes are twice that
/// and more.
const OUTPUT_BUFFER: usize = 32 * 1024;
const INPUT_BUFFER: usize = 66 * 1024;

/// No answer of a token endpoint is larger.
const LARGEST_BODY: usize = 64 * 1024;

/// The names of ours that ureq's own settings must not be able to change.
const USER_AGENT: &str = concat!("paytoken/", env!("CARGO_PKG_VERSION"));

/// How long an explanation is waited for, where the status has said what the answer means.
const EXPLANATION: Duration = Duration::from_secs(2);

/// Longer than anybody waits, and short enough to be added to a clock.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How to reach one provider.
pub(crate) struct Transport {
    tls: Arc<TlsConfig>,
    /// For a proxy that speaks TLS itself: without the client certificate.
    for_proxy: Option<Arc<TlsConfig>>,
    pool: TlsPool,
    base_url: BaseUrl,
    proxy: Option<ureq::Proxy>,
    dialer: Arc<Dialer>,
    connect_timeout: Duration,
    user_agent: String,
}

/// How connections are made.
pub(crate) struct ConnectionSettings {
    /// The TLS client identity, where it has a key.
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) roots: Option<Roots>,
    pub(crate) proxy: Option<String>,
    pub(crate) connect_timeout: Duration,
}

/// What connections have in common that may resume each other's TLS sessions.
struct TlsConfig {
    config: Arc<ClientConfig>,
    /// One copy for all sources: a system's authorities are large.
    roots: Option<Roots>,
}

impl Transport {
    /// Checks everything and touches no network. TLS configurations in `pool` are shared where they
    /// can be.
    pub(crate) fn new(
        base_url: BaseUrl,
        settings: ConnectionSettings,
        user_agent: Option<String>,
        pool: &TlsPool,
    ) -> Result<Self> {
        let proxy = proxy::of(settings.proxy.as_deref(), &base_url)?;
        let for_proxy = proxy
            .as_ref()
            .filter(|proxy| proxy.protocol() == ureq::ProxyProtocol::Https)
            .map(|_| pool.config(None, settings.roots.as_ref()));
        Ok(Self {
            proxy,
            for_proxy,
            dialer: Arc::default(),
            connect_timeout: settings.connect_timeout,
            tls: pool.config(settings.certificate.as_ref(), settings.roots.as_ref()),
            pool: pool.clone(),
            base_url,
            user_agent: user_agent.unwrap_or_else(|| USER_AGENT.to_owned()),
        })
    }

    /// The same way, as somebody else.
    pub(crate) fn with_certificate(&self, certificate: &ClientCertificate) -> Self {
        Self {
            tls: self.pool.config(Some(certificate), self.tls.roots.as_ref()),
            for_proxy: self.for_proxy.clone(),
            pool: self.pool.clone(),
            base_url: self.base_url.clone(),
            proxy: self.proxy.clone(),
            dialer: self.dialer.clone(),
            connect_timeout: self.connect_timeout,
            user_agent: self.user_agent.clone(),
        }
    }

    /// Waits for attempts to connect that nobody waits for any more: true once there is none.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        self.dialer.wait(limit)
    }

    pub(crate) fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Sends the request once, on a connection of its own, and reads the whole answer. Where the
    /// status alone says what the answer means, as much of the body as comes.
    ///
    /// The error knows whether the request's first byte left this machine.
    pub(crate) fn send(&self, request: Request, deadline: Deadline) -> Result<Response> {
        let Request { method, path, headers, content_type, body } = request;
        let hidden = Hidden::new(headers, body)?;
        let wire = self.wire(hidden, time_left(deadline)?, LARGEST_BODY + 1);
        let uri = format!("{}{path}", self.base_url.as_str());
        let head = Builder::new().method(method.name()).uri(uri);
        let head = self.headers(head, content_type, wire.hidden());
        let Some(request) = head.body(()).ok().filter(|_| path.len() <= LONGEST) else {
            return Err(Error::configuration(
                "the endpoint's path or a header's name is too long, or holds what none may hold; correct it",
            ));
        };
        let agent = self.agent(&wire);
        let sent = match method {
            Method::Post => agent.run(request.map(|()| wire.hidden().body())),
            Method::Get => agent.run(request),
        };
        // What ureq reads is covered; it tells how much of what was kept is the body.
        let mut covered = Vec::new();
        let answered = sent
            .and_then(|mut answer| {
                let body = answer.body_mut().as_reader();
                body.take(LARGEST_BODY as u64 + 1).read_to_end(&mut covered)?;
                Ok(answer.status().as_u16())
            })
            .map_err(|error| RequestFailure::of(error, &wire).into_error(wire.was_sent()))
            .and_then(|status| match covered.len() {
                length if length > LARGEST_BODY => Err(too_large()),
                _ => Ok(status),
            });
        let length = if answered.is_ok() { covered.len() } else { LARGEST_BODY };
        let head = wire.head();
        Ok(Response {
            status: head.decides(answered)?,
            content_type: head.value("content-type"),
            content_encoding: head.value("content-encoding"),
            retry_after: head.value("retry-after"),
            date: head.value("date"),
            body: wire.take_answer(length),
        })
    }

    /// Ours give way to one of the request's own that has their name.
    fn headers(&self, head: Builder, content_type: Option<&str>, hidden: &Hidden) -> Builder {
        let own = [
            ("User-Agent", Some(&*self.user_agent)),
            ("Content-Type", content_type),
            ("Accept", Some("application/json")),
        ];
        let own = own.into_iter().filter(|(name, _)| !hidden.has(name));
        let own = own.filter_map(|(name, value)| Some((name, value?)));
        let head = own.fold(head, |head, (name, value)| head.header(name, value));
        hidden.headers().fold(head, |head, (name, fill)| head.header(name, fill))
    }

    fn wire(&self, hidden: Hidden, left: Duration, largest: usize) -> Arc<Wire> {
        Arc::new(Wire::new(
            self.dialer.clone(),
            hidden,
            left,
            self.connect_timeout,
            self.proxy.is_some(),
            !self.base_url.is_https,
            largest,
        ))
    }

    /// For one request: its links know the deadline, and no connection outlives it.
    fn agent(&self, wire: &Arc<Wire>) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .proxy(self.proxy.clone())
            .https_only(self.base_url.is_https)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .build();
        let configs = Configs {
            provider: self.tls.config.clone(),
            proxy: self.for_proxy.as_ref().map(|tls| tls.config.clone()),
        };
        let connector = connector::connector(wire, &configs);
        ureq::Agent::with_parts(config, connector, resolver::Lookup(wire.clone()))
    }
}

fn time_left(deadline: Deadline) -> Result<Duration> {
    match deadline.remaining().min(LONGEST_WAIT) {
        Duration::ZERO => {
            Err(Cause::NoTimeLeft.error("no time was left to send a request; allow more"))
        }
        left => Ok(left),
    }
}

fn too_large() -> Error {
    Cause::BodyTooLarge
        .error(format!("the answer is larger than {} KiB; check base_url", LARGEST_BODY / 1024))
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

/// The TLS configurations in use, so that sources that share one resume each other's TLS sessions.
#[derive(Clone, Default)]
pub(crate) struct TlsPool(Arc<Mutex<HashMap<TlsConfigKey, Weak<TlsConfig>>>>);

#[derive(PartialEq, Eq, Hash)]
struct TlsConfigKey {
    chain: Vec<CertificateDer<'static>>,
    roots: Option<Roots>,
}

impl TlsPool {
    fn config(
        &self,
        certificate: Option<&ClientCertificate>,
        roots: Option<&Roots>,
    ) -> Arc<TlsConfig> {
        let identity = certificate.and_then(ClientCertificate::identity);
        let key = TlsConfigKey {
            chain: identity.map(|(chain, _)| chain.to_vec()).unwrap_or_default(),
            roots: roots.cloned(),
        };
        let mut configs = lock(&self.0);
        if let Some(known) = configs.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        configs.retain(|_, tls| tls.strong_count() > 0);
        let config = tls::config(certificate, roots);
        let tls = Arc::new(TlsConfig { config, roots: roots.cloned() });
        configs.insert(key, Arc::downgrade(&tls));
        tls
    }
}

#[cfg(test)]
mod tests;
