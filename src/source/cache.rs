//! [`TokenCache`]: a map of sources, for programs that serve many merchants.
//!
//! It is split into shards; each is a sorted list that never changes, behind a pointer that does. A
//! look-up takes no lock; a change copies one shard.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::base::sync::lock;
use crate::credentials::Credentials;
use crate::credentials::certificate::ClientCertificate;
use crate::fetch::account_book::Books;
use crate::source::TokenSource;
use crate::source::builder::Builder;
use crate::source::of::ManyAccounts;
use crate::token::Token;
use crate::transport::TlsPool;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};

/// Of ten thousand entries, forty are copied when one comes.
const SHARDS: usize = 256;

/// Of so many replaced secrets of an account it is remembered that they were.
const MOST_REPLACED: usize = 8;

/// So many secrets of an account are kept that have not brought a token.
const MOST_UNPROVEN: usize = 8;

/// Tokens for many credentials: one slot each, TLS sessions resumed where identity and roots
/// are equal. Every request has a connection of its own.
///
/// `Clone + Send + Sync`; clones share everything. No lock is held while the network is used, so a
/// slow provider for one merchant does not delay another.
///
/// Entries stay until [`remove`](Self::remove)d. A changed secret is another entry, with a token of
/// its own, and takes the place of the one before once it has brought a token: a wrong one displaces
/// nobody. A program that goes on using the old secret as well keeps both. What is remembered of refused
/// requests is the account's, whatever the secret; of secrets that never brought a token, the last eight
/// are kept.
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
    shards: Box<[Shard]>,
    hasher: RandomState,
    /// Whoever changes a shard holds this: for each account, the secrets that were replaced.
    replaced: Mutex<HashMap<u64, Vec<u64>>>,
    configure: Box<dyn Fn(Builder<ManyAccounts>) -> Builder<ManyAccounts> + Send + Sync>,
    pool: TlsPool,
    books: Arc<Books>,
}

/// Sorted by the hash of the account's id; entries that share it are in the order they came in.
#[derive(Clone, Default)]
struct Entries(Vec<(u64, Arc<CachedSource>)>);

type Shard = ArcSwap<Entries>;

struct CachedSource {
    credentials: Credentials,
    environment: Environment,
    source: TokenSource,
    /// It replaces nobody: it has done so, or was itself replaced and came back.
    is_settled: AtomicBool,
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
    /// An address is one provider's: set it with [`Builder::base_url_for`].
    pub fn with(
        configure: impl Fn(Builder<ManyAccounts>) -> Builder<ManyAccounts> + Send + Sync + 'static,
    ) -> Self {
        let none = Arc::<Entries>::default();
        Self(Arc::new(Inner {
            shards: (0..SHARDS).map(|_| Shard::new(none.clone())).collect(),
            hasher: RandomState::new(),
            replaced: Mutex::default(),
            configure: Box::new(configure),
            pool: TlsPool::default(),
            books: Arc::default(),
        }))
    }

    /// A good token for these credentials, fetched on first use.
    ///
    /// # Errors
    /// As [`Builder::build`] and [`TokenSource::token`].
    pub fn token(&self, credentials: &Credentials, environment: Environment) -> Result<Token> {
        let hash = self.hash(credentials);
        {
            let entries = self.shard(hash).load();
            if let Some((entry, is_settled)) = entries.find(hash, credentials, environment)
                && is_settled
                && let Some(token) = entry.source.published()
            {
                return Ok(token);
            }
        }
        let token = self.source(credentials, environment)?.token()?;
        // It has brought a token now.
        self.known(hash, credentials, environment);
        Ok(token)
    }

    /// The source for these credentials; the same slot for the same credentials, while they have an entry.
    ///
    /// # Errors
    /// As [`Builder::build`]. Nothing is kept then.
    pub fn source(
        &self,
        credentials: &Credentials,
        environment: Environment,
    ) -> Result<TokenSource> {
        let hash = self.hash(credentials);
        if let Some(source) = self.known(hash, credentials, environment) {
            return Ok(source);
        }
        // Built without the lock: it parses keys and runs the program's own `configure`.
        let builder = (self.0.configure)(Builder::new(credentials.clone(), environment));
        // Another account's token would be handed out under this one's name.
        if !builder.is_for(credentials, environment) {
            return Err(Error::configuration(
                "configure: it returned a builder of another account; return the one that it was given",
            )
            .with_provider(credentials.provider()));
        }
        let source = builder.shared(self.0.pool.clone(), self.0.books.clone()).build()?;
        let secret = self.hash_of_secret(credentials, environment);
        Ok(self.change(self.shard(hash), |entries, replaced| {
            // Another thread may have been quicker.
            if let Some((known, _)) = entries.find(hash, credentials, environment) {
                return known.source.clone();
            }
            let was_replaced = replaced.get(&hash).is_some_and(|known| known.contains(&secret));
            let entry = CachedSource {
                credentials: credentials.clone(),
                environment,
                source: source.clone(),
                is_settled: AtomicBool::new(was_replaced),
            };
            let is_unproven = |known: &CachedSource| {
                known.has_account_of(credentials, environment) && !known.source.has_fetched()
            };
            let unproven = entries.0.iter().filter(|(_, known)| is_unproven(known)).count();
            let mut too_many = (unproven + 1).saturating_sub(MOST_UNPROVEN);
            // The oldest go.
            entries.0.retain(|(_, known)| {
                let goes = too_many > 0 && is_unproven(known);
                too_many -= usize::from(goes);
                !goes
            });
            let place = entries.0.partition_point(|(other, _)| *other <= hash);
            entries.0.insert(place, (hash, Arc::new(entry)));
            source
        }))
    }

    /// The source of an entry, which replaces older ones of its account once it has brought a token.
    fn known(
        &self,
        hash: u64,
        credentials: &Credentials,
        environment: Environment,
    ) -> Option<TokenSource> {
        let entries = self.shard(hash).load();
        let (entry, is_settled) = entries.find(hash, credentials, environment)?;
        if !is_settled
            && entry.source.has_fetched()
            && !entry.is_settled.swap(true, Ordering::Relaxed)
        {
            self.replace_older(hash, entry);
        }
        Some(entry.source.clone())
    }

    fn replace_older(&self, hash: u64, entry: &Arc<CachedSource>) {
        self.change(self.shard(hash), |entries, replaced| {
            let mut is_older = entries.0.iter().any(|(_, known)| Arc::ptr_eq(known, entry));
            entries.0.retain(|(_, known)| {
                is_older &= !Arc::ptr_eq(known, entry);
                let is_replaced =
                    is_older && known.has_account_of(&entry.credentials, entry.environment);
                if is_replaced {
                    let secrets = replaced.entry(hash).or_default();
                    secrets.push(self.hash_of_secret(&known.credentials, known.environment));
                    let too_many = secrets.len().saturating_sub(MOST_REPLACED);
                    secrets.drain(..too_many);
                }
                !is_replaced
            });
        });
    }

    /// Forgets this account, whatever its secrets were. Sources already handed out go on working.
    /// False if there was no entry.
    pub fn remove(&self, credentials: &Credentials, environment: Environment) -> bool {
        let hash = self.hash(credentials);
        self.change(self.shard(hash), |entries, _| {
            let before = entries.0.len();
            entries.0.retain(|(_, known)| !known.has_account_of(credentials, environment));
            entries.0.len() < before
        })
    }

    /// Forgets the sources for which `keep` says false. It runs without a lock.
    pub fn retain(&self, mut keep: impl FnMut(&TokenSource) -> bool) {
        for shard in &self.0.shards {
            let mut unwanted = shard.load().0.clone();
            unwanted.retain(|(_, entry)| !keep(&entry.source));
            if !unwanted.is_empty() {
                let is_it = |entry: &Arc<CachedSource>| {
                    unwanted.iter().any(|(_, other)| Arc::ptr_eq(other, entry))
                };
                self.change(shard, |entries, _| entries.0.retain(|(_, entry)| !is_it(entry)));
            }
        }
    }

    /// All sources, for instance to read their status.
    pub fn sources(&self) -> Vec<TokenSource> {
        let mut sources = Vec::new();
        for shard in &self.0.shards {
            sources.extend(shard.load().0.iter().map(|(_, entry)| entry.source.clone()));
        }
        sources
    }

    /// How many credentials have an entry.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.load().0.len()).sum()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of the account's id alone, since that is cheaper: who has one id with several providers has few.
    fn hash(&self, credentials: &Credentials) -> u64 {
        self.0.hasher.hash_one(credentials.id())
    }

    fn hash_of_secret(&self, credentials: &Credentials, environment: Environment) -> u64 {
        let leaf = credentials.certificate().and_then(ClientCertificate::leaf);
        let mut hasher = self.0.hasher.build_hasher();
        (credentials.provider(), environment, leaf).hash(&mut hasher);
        credentials.secrets().for_each(|secret| secret.hash(&mut hasher));
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &Shard {
        &self.0.shards[hash as usize % SHARDS]
    }

    /// Puts a changed copy in a shard's place.
    fn change<T>(
        &self,
        shard: &Shard,
        change: impl FnOnce(&mut Entries, &mut HashMap<u64, Vec<u64>>) -> T,
    ) -> T {
        let mut replaced = lock(&self.0.replaced);
        let mut entries = Entries::clone(&shard.load());
        let result = change(&mut entries, &mut replaced);
        let before = shard.swap(Arc::new(entries));
        drop(replaced);
        // Without the lock: the program's own code may be among what goes.
        drop(before);
        result
    }
}

impl Entries {
    /// The entry of these credentials, and whether there is none that it might have to replace.
    #[inline]
    fn find(
        &self,
        hash: u64,
        credentials: &Credentials,
        environment: Environment,
    ) -> Option<(&Arc<CachedSource>, bool)> {
        let entries = &self.0[self.0.partition_point(|(other, _)| *other < hash)..];
        let is_it = |(_, entry): &(u64, Arc<CachedSource>)| {
            entry.environment == environment && entry.credentials.are(credentials)
        };
        let place = entries.iter().take_while(|(other, _)| *other == hash).position(is_it)?;
        let entry = &entries[place].1;
        let is_alone = place == 0 && entries.get(1).is_none_or(|(other, _)| *other != hash);
        Some((entry, is_alone || entry.is_settled.load(Ordering::Relaxed)))
    }
}

impl CachedSource {
    fn has_account_of(&self, credentials: &Credentials, environment: Environment) -> bool {
        self.environment == environment && self.credentials.have_account_of(credentials)
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
