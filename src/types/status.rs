//! The state of a source, without a secret.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::types::environment::Environment;
use crate::types::error::ErrorKind;
use crate::types::names::Provider;

/// A snapshot of a [`TokenSource`](crate::TokenSource): ages and counters, never a secret.
///
/// ```
/// use std::time::Duration;
/// use paytoken::{Provider, Secret, TokenSource};
///
/// let lifetime = Duration::from_secs(600);
/// let source = TokenSource::from_fn(Provider::NtxPay, move || Ok((Secret::new("t-1"), lifetime)));
/// source.token()?;
/// let status = source.status();
/// assert_eq!((status.requests, status.tokens, status.failures), (1, 1, 0));
/// assert!(status.token.is_some_and(|token| token.remaining > Duration::from_secs(590)));
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Whose tokens.
    pub provider: Provider,
    /// In which environment.
    pub environment: Environment,
    /// Where they come from.
    pub base_url: String,
    /// The token in the cache, ended or not.
    pub token: Option<TokenStatus>,
    /// Requests sent to the token endpoint by this slot, failed ones included.
    pub requests: u64,
    /// Tokens that came, from the provider or, where another process had stored one, from the store.
    pub tokens: u64,
    /// Fetches that failed, after their retries.
    pub failures: u64,
    /// Tokens dropped because the API answered 401 to them.
    pub invalidations: u64,
    /// The last failure, and how long ago it was.
    pub last_error: Option<(ErrorKind, Duration)>,
    /// How long a remembered refusal still keeps requests back.
    pub blocked_for: Option<Duration>,
    /// When the client certificate in use expires, where there is one.
    pub certificate_not_after: Option<SystemTime>,
    /// How long ago the store could last not be used. While it is away, and callers ask, it stays short.
    pub store_failed: Option<Duration>,
}

/// What a store says of an [`Account`](crate::store::Account): never a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredStatus {
    /// Whose token.
    pub provider: Provider,
    /// There is an entry, and it cannot be read: sealed with another key, not sealed, damaged, of
    /// another version, or open to others. Nothing in it counts, and the next fetch replaces it.
    pub entry_unreadable: bool,
    /// The stored token, ended or not.
    pub token: Option<TokenStatus>,
    /// The API answered 401 to the last token, and no new one has been fetched.
    pub was_revoked: bool,
    /// When the last token came, by the clock of who fetched it.
    pub last_success_at: Option<SystemTime>,
    /// The kind of the failure that still keeps requests back, else of the last one since the last token
    /// came: a refusal, or an outage. It stays until a token comes, however long that takes.
    pub last_error: Option<ErrorKind>,
    /// Its sentence: one line, without a secret.
    pub last_error_message: Option<String>,
    /// When it was.
    pub last_error_at: Option<SystemTime>,
    /// The stored token is good, and the last fetch failed: there is none when it ends, unless a later
    /// one succeeds.
    pub renewals_failing: bool,
    /// Requests within the last hour that were refused and that nobody forced; counted to six.
    pub refused_in_last_hour: usize,
    /// How long requests are still kept back.
    pub blocked_for: Option<Duration>,
}

/// What [`TokenSource::probe`](crate::TokenSource::probe) found.
///
/// ```no_run
/// use std::time::Duration;
/// use paytoken::{Provider, TokenSource};
///
/// # fn main() -> paytoken::Result<()> {
/// let source = TokenSource::from_env(Provider::NtxPay)?;
/// let probe = source.probe(Duration::from_secs(5))?; // sends no credentials
/// println!("answered {} in {:?}", probe.status, probe.took);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// The HTTP status; any will do.
    pub status: u16,
    /// How long the connection and the answer took.
    pub took: Duration,
    /// The server's clock, by its `Date`, and this machine's when the answer came. (A `Date` has
    /// whole seconds.)
    pub clocks: Option<(SystemTime, SystemTime)>,
}

/// What [`TokenSource::probe_addresses`](crate::TokenSource::probe_addresses) found.
///
/// ```no_run
/// use std::time::Duration;
/// use paytoken::{Provider, TokenSource};
///
/// # fn main() -> paytoken::Result<()> {
/// let source = TokenSource::from_env(Provider::NtxPay)?;
/// for (address, result) in source.probe_addresses(Duration::from_secs(2))?.addresses {
///     match result {
///         Ok(took) => println!("{address} answers in {took:?}"),
///         Err(why) => println!("{address} does not answer: {why}"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AddressProbe {
    /// Whose addresses: the provider's host, or the proxy's where requests go through one.
    pub host: String,
    /// In the order in which they are tried: how long a connection took, or why there was none.
    pub addresses: Vec<(SocketAddr, Result<Duration, io::ErrorKind>)>,
}

/// A token's ages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenStatus {
    /// Since its request was sent.
    pub age: Duration,
    /// Until it ends; zero once it has.
    pub remaining: Duration,
    /// When it ends, by the wall clock.
    pub expires_at: SystemTime,
    /// Whether it is still handed out: a token counts as expired 5 % of its life, at most 30 s, before
    /// it ends.
    pub is_good: bool,
}
