//! [`TokenCache`]: a Mutex-guarded map of sources, for programs that serve many merchants.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::builder::Builder;
use crate::credentials::{Credentials, CredentialsKey};
use crate::error::Result;
use crate::names::Environment;
use crate::source::TokenSource;
use crate::sync::lock;
use crate::token::Token;
use crate::transport::AgentPool;

/// Tokens for many credentials: one slot each, connections and TLS sessions shared where identity
/// and roots are equal.
///
/// `Clone + Send + Sync`; clones share everything. The map's lock is never held while the network
/// is used, so a slow provider for one merchant does not delay another. Entries stay until
/// [`remove`](Self::remove)d; a changed secret is another entry.
///
/// ```no_run
/// use paytoken::{Credentials, Environment, Secret, TokenCache};
///
/// # fn main() -> paytoken::Result<()> {
/// let cache = TokenCache::with(|builder| builder.base_url("https://send.example"));
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

    /// A cache whose sources are set up by `configure`: base URL, roots, time-outs. It may run
    /// more than once for one entry when many threads ask first at once; one result is kept.
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
        let builder = (self.0.configure)(TokenSource::builder(credentials.clone(), environment));
        let source = builder.pool(self.0.pool.clone()).build()?;
        let key = CredentialsKey(Cow::Owned(credentials.clone()), environment);
        Ok(self.sources().entry(key).or_insert(source).clone())
    }

    fn known(&self, credentials: &Credentials, environment: Environment) -> Option<TokenSource> {
        let sources = self.sources();
        // With keys that live no longer than the one to look for.
        let sources: &HashMap<CredentialsKey<'_>, TokenSource> = &sources;
        sources.get(&CredentialsKey(Cow::Borrowed(credentials), environment)).cloned()
    }

    /// Forgets these credentials. Sources already handed out go on working. False if there was
    /// no entry.
    pub fn remove(&self, credentials: &Credentials, environment: Environment) -> bool {
        let key = CredentialsKey(Cow::Owned(credentials.clone()), environment);
        // Dropped after the lock is let go.
        let removed = self.sources().remove(&key);
        removed.is_some()
    }

    /// How many credentials have an entry.
    pub fn len(&self) -> usize {
        self.sources().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<CredentialsKey<'static>, TokenSource>> {
        lock(&self.0.sources)
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
