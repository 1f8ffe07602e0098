//! One account: its source, what was done with it, and what must not have happened.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paytoken::{ClientCertificate, Credentials, Environment, EventKind, Provider, TokenSource};
use paytoken_sandbox::Sandbox;

pub(crate) struct Account {
    pub(crate) provider: Provider,
    pub(crate) id: String,
    pub(crate) source: TokenSource,
    pub(crate) tally: Tally,
    /// Tokens about to be revoked, or revoked: the sandbox does not know them any more.
    pub(crate) revoked: Recent,
    /// Tokens that the source was told of, and since when.
    pub(crate) rejected: Recent,
}

/// What callers saw.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) calls: AtomicU64,
    pub(crate) tokens: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Calls that may ask the provider although a good token is there.
    pub(crate) demands: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) known_rejected: AtomicU64,
    /// The most requests of one fetch.
    pub(crate) most_attempts: Arc<AtomicU64>,
    /// Tokens that the provider did not accept, for no reason that the source could not know.
    pub(crate) dead: AtomicU64,
}

/// Token texts with the moment they were noted; forgotten some time after the token's end.
#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<String, Instant>>);

impl Account {
    pub(crate) fn new(sandbox: &Sandbox, provider: Provider, number: usize) -> Self {
        let id = format!("{provider}-merchant-{number}");
        sandbox.add_client(provider, &id, "soak-secret-not-real");
        Self::with(sandbox, provider, id, "soak-secret-not-real")
    }

    /// The sandbox does not know its secret.
    pub(crate) fn wrong(sandbox: &Sandbox, provider: Provider) -> Self {
        let id = sandbox.client_id(provider).to_owned();
        Self::with(sandbox, provider, id, "another-secret-not-real")
    }

    fn with(sandbox: &Sandbox, provider: Provider, id: String, secret: &str) -> Self {
        let certificate = provider.facts().takes_certificate.then(|| {
            let issued = sandbox.issue_client_certificate(&id);
            ClientCertificate::from_pem(issued.certificate_pem)
                .and_then(|certificate| certificate.with_private_key(issued.key_pem))
                .expect("the sandbox's certificates are good")
        });
        let credentials = Credentials::new(provider, &*id, secret, certificate)
            .expect("a certificate where one is taken");
        let tally = Tally::default();
        let most_attempts = tally.most_attempts.clone();
        let source = TokenSource::builder(credentials, Environment::Sandbox)
            .base_url(&sandbox.url(provider))
            .root_certificates_pem(sandbox.ca_pem().as_bytes())
            .timeout(Duration::from_secs(3))
            .on_event(move |event| {
                if let EventKind::Request { attempt, .. } = event.kind {
                    most_attempts.fetch_max(u64::from(attempt), Ordering::Relaxed);
                }
            })
            .build()
            .expect("settings that are good");
        Self {
            provider,
            id,
            source,
            tally,
            revoked: Recent::default(),
            rejected: Recent::default(),
        }
    }
}

impl Recent {
    pub(crate) fn note(&self, token: &str) {
        let now = Instant::now();
        let mut noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.retain(|_, at| now.duration_since(*at) < Duration::from_secs(10));
        noted.entry(token.to_owned()).or_insert(now);
    }

    /// Whether it was noted before this moment.
    pub(crate) fn has(&self, token: &str, before: Instant) -> bool {
        let noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.get(token).is_some_and(|at| *at < before)
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
