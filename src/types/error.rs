//! One error type for every failure: a kind to act on, a sentence to read, a cause to trace.
//!
//! Nothing in an [`Error`] repeats a secret or a token: what a server said is cut, cleaned and
//! redacted before it gets here.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::types::names::Provider;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why no token was available, and how to fix it.
///
/// Cheap to clone: threads that waited for one failed request share its error.
/// `Display` is one bounded sentence that ends with how to fix it; so does `Debug`, with the kind
/// and the cause behind it.
///
/// ```
/// use paytoken::{Error, ErrorKind, Provider, TokenSource};
///
/// let source = TokenSource::from_fn(Provider::NtxPay, || {
///     Err(Error::for_tests(ErrorKind::RateLimited, "too many requests; wait"))
/// });
/// let error = source.token().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::RateLimited);
/// assert!(error.is_retryable() && error.retry_after().is_some());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    provider: Option<Provider>,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    verdict: Option<Verdict>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the table of `outcome` says of a failure, except its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_tried_again: bool,
    pub(crate) is_remembered: bool,
    pub(crate) may_lock_account: bool,
    pub(crate) may_have_arrived: bool,
    pub(crate) holds_back: HoldsBack,
}

/// Whom a failure that is no refusal holds back for a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HoldsBack {
    /// It says nothing of the provider: nothing was sent.
    #[default]
    Nobody,
    /// It may be this machine's fault: its network, its proxy, its trust, its clock.
    Process,
    /// All that share the account's book.
    Everybody,
}

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing or wrong: correct the field that the sentence names. Nothing was sent,
    /// unless only the answer shows it: the address is the wrong one (404, 405, 407, 410, 501), or no
    /// token lives as long as `min_validity` asks.
    Configuration,
    /// A certificate or key is unusable, expired, or not accepted by the other side.
    Certificate,
    /// The network failed: name resolution, connection, TLS, or a cut answer.
    Transport,
    /// The time-out was reached.
    Timeout,
    /// The provider refused the request, as a rule for its credentials: 400, 401, all other 4xx that
    /// have no kind of their own, or a code of RFC 6749 §5.2 in a 200. Remembered: not asked again
    /// at once.
    Rejected,
    /// The provider knows the account and refuses it (403): suspended or restricted.
    Forbidden,
    /// The provider asks for fewer requests (429). See [`Error::retry_after`].
    RateLimited,
    /// The provider is failing (5xx, or 408). Try again later.
    ServerUnavailable,
    /// The answer was not what the provider's document says, or was a redirect, which is never
    /// followed.
    InvalidResponse,
    /// The store shared between processes could not be used.
    Store,
}

impl Error {
    /// The failure of a [`Store`](crate::store::Store) of your own: one sentence that ends with how
    /// to fix it. Neither a secret nor an entry belongs in it.
    ///
    /// ```
    /// use paytoken::{Error, ErrorKind};
    ///
    /// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    /// let error = Error::store("store: cache.internal does not answer; check that it runs")
    ///     .with_source(refused);
    /// assert_eq!(error.kind(), ErrorKind::Store);
    /// ```
    pub fn store(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Store, message)
    }

    /// A setting of a [`Store`](crate::store::Store) of your own that is missing or wrong: one
    /// sentence that names it and ends with how to correct it. No secret belongs in it.
    ///
    /// ```
    /// use paytoken::Error;
    ///
    /// assert!(!Error::configuration("prefix: is empty; set it to a word").is_retryable());
    /// ```
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// An error as the library could return it, for tests of programs that use it.
    ///
    /// ```
    /// use paytoken::{Error, ErrorKind};
    ///
    /// let error = Error::for_tests(ErrorKind::RateLimited, "too many requests");
    /// assert!(error.is_retryable());
    /// ```
    pub fn for_tests(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, message)
    }

    /// With the error that led to it.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with_shared_source(Arc::new(source))
    }

    /// With how long to wait before asking again. A [`Store`](crate::store::Store) of your own says so of
    /// a failure that may be over in seconds, such as a fail-over: whoever has time asks it again.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use paytoken::Error;
    ///
    /// let error = Error::store("store: cache.internal is restarting; it will be there in a moment")
    ///     .with_retry_after(Some(Duration::from_millis(100)));
    /// assert!(error.retry_after().is_some());
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.inner().retry_after = wait;
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without a change of settings.
    ///
    /// True for [`Transport`](ErrorKind::Transport), [`Timeout`](ErrorKind::Timeout),
    /// [`RateLimited`](ErrorKind::RateLimited), [`ServerUnavailable`](ErrorKind::ServerUnavailable)
    /// and [`Store`](ErrorKind::Store). It speaks of getting a token, never of replaying a payment.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Transport
                | ErrorKind::Timeout
                | ErrorKind::RateLimited
                | ErrorKind::ServerUnavailable
                | ErrorKind::Store
        )
    }

    /// How long to wait before asking again, where the provider said so or where this library
    /// holds requests back: asking earlier is answered at once, without a request. And where a
    /// failure of the store may be over in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The HTTP status of the answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider that was asked, where it is known.
    pub fn provider(&self) -> Option<Provider> {
        self.0.provider
    }
}

/// Constructors and refinements for the other rooms of this crate.
impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            provider: None,
            message: message.into(),
            status: None,
            retry_after: None,
            verdict: None,
            source: None,
        }))
    }

    pub(crate) fn certificate(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Certificate, message)
    }

    pub(crate) fn invalid_response(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidResponse, message)
    }

    pub(crate) fn with_shared_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.inner().source = Some(source);
        self
    }

    pub(crate) fn with_provider(mut self, provider: Provider) -> Self {
        self.inner().provider = Some(provider);
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.inner().status = Some(status);
        self
    }

    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.inner().message.push_str(note);
        self
    }

    /// Marks that the request may have reached the provider: it may have acted on it.
    pub(crate) fn with_may_have_arrived(mut self, arrived: bool) -> Self {
        self.inner().verdict.get_or_insert_default().may_have_arrived = arrived;
        self
    }

    pub(crate) fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.inner().verdict = Some(verdict);
        self
    }

    pub(crate) fn ran_out_of_time(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// The store could not be used; the provider was not asked.
    pub(crate) fn is_of_the_store(&self) -> bool {
        self.0.kind == ErrorKind::Store
    }

    pub(crate) fn holds_back(&self) -> HoldsBack {
        self.0.verdict.map_or(HoldsBack::Nobody, |verdict| verdict.holds_back)
    }

    pub(crate) fn has_verdict(&self) -> bool {
        self.0.verdict.is_some()
    }

    /// The sentence without the provider's name.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn may_have_arrived(&self) -> bool {
        self.0.verdict.is_some_and(|verdict| verdict.may_have_arrived)
    }

    /// Whether the same fetch makes another attempt.
    pub(crate) fn is_tried_again(&self) -> bool {
        self.0.verdict.is_some_and(|verdict| verdict.is_tried_again)
    }

    /// Whether the provider may lock the account when it is asked like this again and again.
    pub(crate) fn may_lock_account(&self) -> bool {
        self.0.verdict.is_some_and(|verdict| verdict.may_lock_account)
    }

    /// Whether the next calls are answered with this error, without a request.
    pub(crate) fn is_remembered(&self) -> bool {
        self.0.verdict.is_some_and(|verdict| verdict.is_remembered)
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.provider {
            Some(provider) => write!(f, "{provider}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    /// The sentence first: a `main` that returns an error prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (kind: {:?}", self.0.kind)?;
        if let Some(status) = self.0.status {
            write!(f, ", status: {status}")?;
        }
        if let Some(wait) = self.0.retry_after {
            write!(f, ", retry after: {wait:?}")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ", caused by: {source:?})"),
            None => f.write_str(")"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
