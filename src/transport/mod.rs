//! The network: only here and below is ureq named.
//!
//! One agent per TLS identity. https only (http on loopback alone), no redirects, bounded bodies,
//! time-outs always, TLS 1.2 or newer. Identity and roots are checked when the transport is made,
//! so that ureq never meets what it would panic on.

mod base_url;
mod failure;
mod quiet;

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::config::AutoHeaderValue;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use zeroize::Zeroizing;

pub(crate) use self::base_url::BaseUrl;
use self::failure::classify;
use self::quiet::Quiet;
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
            .post(format!("{}{}", self.base_url.as_str(), request.path))
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
        f.debug_struct("Transport")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_shares_an_agent_while_it_is_in_use_and_then_forgets_it() {
        let pool = AgentPool::default();
        let url = BaseUrl::parse("https://api.example").unwrap();
        let agent = |seconds| {
            let connect_timeout = Duration::from_secs(seconds);
            let settings =
                Settings { certificate: None, roots: None, proxy: None, connect_timeout };
            pool.agent(&url, settings).unwrap()
        };
        let kept = agent(1);
        for seconds in 2..10 {
            drop(agent(seconds));
        }
        assert_eq!(lock(&pool.0).len(), 2, "the one in use, and the last one");
        assert!(Arc::ptr_eq(&kept, &agent(1)));
    }
}
