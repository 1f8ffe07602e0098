//! [`TokenCache`]: a Mutex-guarded map of sources, for programs that serve many merchants.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::builder::Builder;
use crate::credentials::{Credentials, CredentialsKey};
use crate::error::{Error, Result};
use crate::names::Environment;
use crate::source::TokenSource;
use crate::sync;
use crate::token::Token;
use crate::transport::AgentPool;

/// Tokens for many credentials: one slot each, TLS sessions resumed where identity and roots
/// are equal. Every request has a connection of its own.
///
/// `Clone + Send + Sync`; clones share everything. The map's lock is never held while the network
/// is used, so a slow provider for one merchant does not delay another. Entries stay until
/// [`remove`](Self::remove)d; a changed secret is another entry.
///
/// ```no_run
/// use paytoken::{Credentials, Environment, Provider, Secret, TokenCache};
///
/// # fn main() -> paytoken::Result<()> {
/// let cache = TokenCache::with(|builder| {
///     builder.base_url_for(Provider::SendPayments, "https://send.example")
/// });
/// let merchant = Credentials::SendPayments {
///     client_id: "merchant-7".into(),
///     client_secret: Secret::from("not-a-real-secret"),
/// };
/// let token = cache.token(&merchant, Environment::Production)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Inner>);

struct Inner {
    sources: Mutex<HashMap<CredentialsKey<'static>, TokenSource>>,
    configure: Box<dyn Fn(Builder) -> Builder + Send + Sync>,
    pool: AgentPool,
}

impl TokenCache {
    /// A cache whose sources have the default settings.
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A cache whose sources are set up by `configure`: addresses, roots, time-outs. The builder
    /// says whose source it is: [`Builder::provider`], [`Builder::environment`], [`Builder::id`].
    /// `configure` may run more than once for one entry when many threads ask first at once; one
    /// result is kept.
    ///
    /// An address is one provider's: set it with [`Builder::base_url_for`], or look at
    /// [`Builder::provider`] first. One that is set for all alike is refused, since it would lead
    /// one provider's credentials to another.
    pub fn with(configure: impl Fn(Builder) -> Builder + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            sources: Mutex::default(),
            configure: Box::new(configure),
            pool: AgentPool::default(),
        }))
    }

    /// A good token for these credentials, fetched on first use.
    ///
    /// # Errors
    /// As [`Builder::build`] and [`TokenSource::token`].
    pub fn token(&self, credentials: &Credentials, environment: Environment) -> Result<Token> {
        self.source(credentials, environment)?.token()
    }

    /// The source for these credentials; the same slot for the same credentials, always.
    ///
    /// # Errors
    /// As [`Builder::build`]. Nothing is kept then.
    pub fn source(
        &self,
        credentials: &Credentials,
        environment: Environment,
    ) -> Result<TokenSource> {
        if let Some(source) = self.known(credentials, environment) {
            return Ok(source);
        }
        // Built without the lock: it parses keys and runs the program's own `configure`.
        let builder =
            (self.0.configure)(TokenSource::builder(credentials.clone(), environment).in_cache());
        let key = CredentialsKey(Cow::Owned(credentials.clone()), environment);
        // Another account's token would be handed out under this one's name.
        if !builder.is_for(&key) {
            return Err(Error::configuration(
                "configure: it returned a builder of another account; return the one that it was given",
            )
            .with_provider(credentials.provider()));
        }
        let source = builder.pool(self.0.pool.clone()).build()?;
        Ok(self.lock().entry(key).or_insert(source).clone())
    }

    fn known(&self, credentials: &Credentials, environment: Environment) -> Option<TokenSource> {
        let sources = self.lock();
        // With keys that live no longer than the one to look for.
        let sources: &HashMap<CredentialsKey<'_>, TokenSource> = &sources;
        sources.get(&CredentialsKey(Cow::Borrowed(credentials), environment)).cloned()
    }

    /// Forgets this account, whatever its secret was: after a secret was changed, the old one is
    /// not needed. Sources already handed out go on working. False if there was no entry.
    pub fn remove(&self, credentials: &Credentials, environment: Environment) -> bool {
        let account = (credentials.provider(), credentials.id(), environment);
        let mut has_removed = false;
        self.retain(|source| {
            let is_it = (source.provider(), source.id(), source.environment()) == account;
            has_removed |= is_it;
            !is_it
        });
        has_removed
    }

    /// Forgets the sources for which `keep` says false. It runs without a lock.
    pub fn retain(&self, mut keep: impl FnMut(&TokenSource) -> bool) {
        // Dropped after the lock is released.
        let mut unwanted = self.sources();
        unwanted.retain(|source| !keep(source));
        self.lock().retain(|_, source| !unwanted.iter().any(|other| other.is_same(source)));
    }

    /// All sources, for instance to read their status.
    pub fn sources(&self) -> Vec<TokenSource> {
        self.lock().values().cloned().collect()
    }

    /// How many credentials have an entry.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialsKey<'static>, TokenSource>> {
        sync::lock(&self.0.sources)
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
