//! How one call for a token differs from a plain one.

use std::time::Duration;

/// How one call of [`TokenSource::token_with`](crate::TokenSource::token_with) differs from a plain
/// `token()`.
///
/// ```
/// use std::time::Duration;
/// use paytoken::TokenOptions;
///
/// let options = TokenOptions::new()
///     .min_validity(Duration::from_secs(60))
///     .deadline(Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenOptions {
    pub(crate) min_validity: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) force: bool,
}

impl TokenOptions {
    /// As `token()`: any good token, the source's time-out, the cache if it can serve.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token has to be good for at least this long from now.
    #[must_use]
    pub fn min_validity(mut self, at_least: Duration) -> Self {
        self.min_validity = at_least;
        self
    }

    /// The longest this call may take, from when it is made. Zero: only what is in this process's
    /// memory, as [`cached`](crate::TokenSource::cached). Default: [`Builder::timeout`](crate::Builder::timeout),
    /// which says what a store may add. A request that begins with less time than that runs on a
    /// short-lived thread, and its token is there for later calls.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// A new token, even if the cached one is good or a refusal is remembered.
    #[must_use]
    pub fn force(mut self, on: bool) -> Self {
        self.force = on;
        self
    }
}
