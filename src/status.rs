//! The state of a source, without a secret.

use std::time::{Duration, SystemTime};

use crate::error::ErrorKind;
use crate::names::{Environment, Provider};

/// A snapshot of a [`TokenSource`](crate::TokenSource): ages and counters, never a secret.
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
    /// Tokens they brought.
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
}

/// What a store says of an [`Account`](crate::store::Account): never a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredStatus {
    /// Whose token.
    pub provider: Provider,
    /// The stored token, ended or not.
    pub token: Option<TokenStatus>,
    /// The API answered 401 to the last token, and no new one has been fetched.
    pub was_revoked: bool,
    /// The kind of the failure that is remembered: a refusal, or an outage.
    pub last_error: Option<ErrorKind>,
    /// How long it still keeps requests back.
    pub blocked_for: Option<Duration>,
}

/// What [`TokenSource::probe`](crate::TokenSource::probe) found.
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
}
