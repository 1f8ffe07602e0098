//! [`TokenSource`]: hands out a valid token, or one clear error.

pub(crate) mod builder;
pub(crate) mod cache;
pub(crate) mod of;
#[cfg(test)]
mod tests;
pub mod provider;
pub(crate) mod settings;
mod unwind;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::warn;

use crate::base::clock::{Deadline, monotonic};
use crate::base::secret::Secret;
use crate::credentials::Credentials;
use crate::fetch::Fetcher;
use crate::fetch::backend::FetchBackend;
use crate::fetch::shared_fetch::SharedFetch;
use crate::flight::SingleFlight;
use crate::source::builder::Builder;
use crate::token::{Token, without_scheme};
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::event::{EventKind, LOG_TARGET};
use crate::types::facts::Renewal;
use crate::types::names::Provider;
use crate::types::options::TokenOptions;
use crate::types::status::{AddressProbe, Probe, Status, TokenStatus};

/// Gives a valid token, from the cache whenever it can.
///
/// `Clone + Send + Sync`: clones share one *slot*, the place that holds the current token, so a
/// program needs one source per credentials, cloned into every thread. However many threads ask, at
/// most one request is under way.
///
/// ```no_run
/// use paytoken::{Credentials, Environment, Provider, TokenSource};
///
/// # fn main() -> paytoken::Result<()> {
/// let credentials = Credentials::from_env(Provider::NtxPay)?;
/// let source = TokenSource::new(credentials, Environment::Sandbox)?;
/// let token = source.token()?; // fetched once, then from the cache
/// let authorization = token.bearer(); // "Bearer …"
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenSource {
    single_flight: Arc<SingleFlight<FetchBackend>>,
}

/// What an API call said, for [`TokenSource::call`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt<T> {
    /// The token was accepted, whatever else the answer says.
    Done(T),
    /// The API answered 401, so it did nothing: invalidate the token, get a new one, and run the
    /// closure once more.
    Unauthorized(T),
    /// The API answered 401, but the request must not be sent again: invalidate the token and
    /// hand the answer back.
    UnauthorizedFinal(T),
}

/// What came of a token that the API answered 401 to: see [`TokenSource::invalidate_secret`].
///
/// ```
/// use std::time::Duration;
/// use paytoken::{Invalidated, Provider, Secret, TokenSource};
///
/// let lifetime = Duration::from_secs(600);
/// let source = TokenSource::from_fn(Provider::NtxPay, move || Ok((Secret::new("t-1"), lifetime)));
/// let token = source.token()?;
/// assert_eq!(source.invalidate_secret(token.bearer())?, Invalidated::Dropped);
/// assert_eq!(source.invalidate_secret(token.bearer())?, Invalidated::Superseded);
/// assert_eq!(source.invalidate_secret("another")?, Invalidated::Unknown);
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invalidated {
    /// It was in use, and is not any more.
    Dropped,
    /// It was in use before: a newer one has replaced it, or it was dropped already.
    Superseded,
    /// It is none of the last 16 tokens that this source has had, nor in its store.
    Unknown,
}

impl<Of> Builder<Of> {
    /// Checks everything and touches no network.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) or
    /// [`Certificate`](crate::ErrorKind::Certificate), naming the field and how to fix it.
    pub fn build(self) -> Result<TokenSource> {
        let (fetcher, shared) = self.into_parts()?;
        Ok(TokenSource::with_slot_of_its_own(fetcher, shared))
    }
}

impl TokenSource {
    /// A source with the default settings. Checks everything and touches no network.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(credentials: Credentials, environment: Environment) -> Result<Self> {
        Self::builder(credentials, environment).build()
    }

    /// A source that takes its tokens from `fetch`, for tests of programs that use this library: no
    /// network, no credentials. Cache, renewal and events work as usual. An error from `fetch` holds
    /// requests back as an outage does (1, 2, 5 s …), whatever its kind, and has no
    /// [`status`](Error::status); the sandbox (`paytoken-sandbox`) plays refusals as a provider does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use paytoken::{Error, ErrorKind, Provider, Secret, TokenSource};
    ///
    /// let lifetime = Duration::from_secs(600);
    /// let source = TokenSource::from_fn(Provider::NtxPay, move || Ok((Secret::new("t-1"), lifetime)));
    /// assert_eq!(source.token()?.bearer(), "Bearer t-1");
    ///
    /// // What does the program do when the provider is down?
    /// let down = TokenSource::from_fn(Provider::NtxPay, || {
    ///     Err(Error::for_tests(ErrorKind::ServerUnavailable, "down"))
    /// });
    /// assert!(down.token().unwrap_err().is_retryable());
    ///
    /// // A refusal by the closure is not one by the provider: it has no status, and a short pause.
    /// let refused = TokenSource::from_fn(Provider::NtxPay, || {
    ///     Err(Error::for_tests(ErrorKind::Rejected, "wrong secret"))
    /// });
    /// let error = refused.token().unwrap_err();
    /// assert_eq!(error.status(), None);
    /// assert!(error.retry_after() < Some(Duration::from_secs(2)));
    /// # Ok::<_, Error>(())
    /// ```
    pub fn from_fn(
        provider: Provider,
        fetch: impl Fn() -> Result<(Secret, Duration)> + Send + Sync + 'static,
    ) -> Self {
        let credentials = Credentials::for_tests(provider);
        let builder = Self::builder(credentials, Environment::Sandbox).fetch_with(fetch);
        builder.build().expect("these settings are good")
    }

    /// A source with settings of your own.
    pub fn builder(credentials: Credentials, environment: Environment) -> Builder {
        Builder::new(credentials, environment)
    }

    /// A token that is good now: from the cache, or fetched. Blocks only when it must, and no
    /// longer than [`Builder::timeout`] says.
    ///
    /// Where tokens coexist, one caller renews from 80 % (NexterPay: 90 %) of the lifetime on while
    /// all others go on with the token they have; if that fails, everybody goes on. Where a new
    /// token replaces the old (Send Payments), one caller renews at 95 % and all wait for it.
    ///
    /// # Errors
    /// Every [`ErrorKind`](crate::ErrorKind); see [`Error::is_retryable`]. A refusal by the provider is
    /// remembered and answered at once, without a request, for 60 s and up to 15 min (an hour after
    /// [`refusals_per_hour`](crate::Facts::refusals_per_hour) within one), an outage for 1 s and up to
    /// 18 s; [`refresh`](Self::refresh) overrides.
    pub fn token(&self) -> Result<Token> {
        self.token_with(&TokenOptions::default())
    }

    /// The token in memory, if it is good now. Takes nothing but memory, asks not even the store, and
    /// counts nothing: for programs that must not block (see [`token`](Self::token) for those that may).
    ///
    /// With a store it is `None` as well where no call has compared the token with the store for
    /// [`look_every`](crate::store::Store::look_every) and 500 ms (1 s with a directory, 1.5 s with
    /// Redis): another process may have invalidated it. `token()` compares, and mostly answers the same
    /// token. A program that calls nothing but `cached()` has no token from then on.
    ///
    /// ```no_run
    /// # use paytoken::{Error, Token, TokenSource};
    /// # fn get(source: &TokenSource) -> Result<Token, Error> {
    /// match source.cached() {
    ///     Some(token) => Ok(token),
    ///     None => source.token(), // on a thread that may block
    /// }
    /// # }
    /// ```
    pub fn cached(&self) -> Option<Token> {
        self.single_flight.cached()
    }

    /// A token that is good for at least this long.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the token in use is not good for so long,
    /// and that is more than 80 % of a token's life; else as [`token`](Self::token).
    pub fn token_valid_for(&self, at_least: Duration) -> Result<Token> {
        self.token_with(&TokenOptions::new().min_validity(at_least))
    }

    /// A new token, even if the cached one is good or a refusal is remembered. Calls that come
    /// while a fetch is under way share its result. The cached token stays if this fails (and the
    /// provider cannot have replaced it).
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn refresh(&self) -> Result<Token> {
        self.token_with(&TokenOptions::new().force(true))
    }

    /// A token with a deadline, a minimum validity or by force: see [`TokenOptions`].
    ///
    /// # Errors
    /// As [`token`](Self::token); [`Timeout`](crate::ErrorKind::Timeout) when the deadline passes.
    pub fn token_with(&self, options: &TokenOptions) -> Result<Token> {
        self.single_flight.token(options)
    }

    /// Drops this token, which the API answered 401 to. If a newer token has already replaced it,
    /// nothing happens. A shared store may take as long as the source's time-out.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) if the shared store could not be updated (only when a
    /// store is set).
    pub fn invalidate(&self, revoked: &Token) -> Result<()> {
        self.invalidate_secret(revoked.secret()).map(|_| ())
    }

    /// As [`invalidate`](Self::invalidate), for callers that hold only the token's text or the
    /// header's value: a scheme before the token (`Bearer`) and blanks are removed. Returns what
    /// came of it.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub fn invalidate_secret(&self, revoked: &str) -> Result<Invalidated> {
        self.invalidate_within(revoked, self.fetcher().timeout)
    }

    /// The store may take no longer than this.
    fn invalidate_within(&self, revoked: &str, limit: Duration) -> Result<Invalidated> {
        let revoked = without_scheme(revoked);
        let now = self.fetcher().clock.now();
        let was_here = self.single_flight.lock().has_had(revoked);
        let was_current = self.single_flight.invalidate(revoked, now);
        // The store is told even of a token that is not current here: it may be so for other processes.
        let told = self.backend().invalidate(revoked, now, limit);
        if was_current {
            self.fetcher().tell(EventKind::Invalidated);
        }
        // It is dropped in this process by now, so a failure of the store is the last thing to say.
        Ok(match told? || was_current {
            true => Invalidated::Dropped,
            false if was_here => Invalidated::Superseded,
            false => Invalidated::Unknown,
        })
    }

    /// Runs an API call with a token and, if the API says the token is not good, once more with a
    /// new one. Never more than once: the second answer is handed back as it is.
    ///
    /// Answer [`Attempt::Unauthorized`] only to a 401, which says that nothing was done. A payment
    /// that ended in a time-out or a 5xx has an unknown outcome: answer `Done` or an error, and
    /// look up the payment's status before sending it again.
    ///
    /// ```no_run
    /// # use paytoken::{Attempt, Error, TokenSource};
    /// # fn get(url: &str, authorization: &str) -> Result<(u16, String), Error> { Ok((200, String::new())) }
    /// # fn main() -> Result<(), Error> {
    /// # let source = TokenSource::from_env(paytoken::Provider::NtxPay)?;
    /// let balance = source.call(|token| {
    ///     let (status, body) = get("https://sandbox.mx.ntxpay.com/api/balance", token.bearer())?;
    ///     Ok::<_, Error>(match status {
    ///         401 => Attempt::Unauthorized(body),
    ///         _ => Attempt::Done(body),
    ///     })
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the closure returns, and what [`token`](Self::token) returns.
    pub fn call<T, E: From<Error>>(
        &self,
        request: impl FnMut(&Token) -> Result<Attempt<T>, E>,
    ) -> Result<T, E> {
        self.call_with(&TokenOptions::default(), request)
    }

    /// As [`call`](Self::call), with [`TokenOptions`]. The deadline is for getting tokens, both
    /// times together; how long the API call itself may take is up to your HTTP client.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_with<T, E: From<Error>>(
        &self,
        options: &TokenOptions,
        mut request: impl FnMut(&Token) -> Result<Attempt<T>, E>,
    ) -> Result<T, E> {
        let began = monotonic();
        let token = self.token_with(options)?;
        let took = |began| monotonic().saturating_duration_since(began);
        let mut left = options.clone().force(false);
        left.deadline = left.deadline.map(|limit| limit.saturating_sub(took(began)));
        let (answer, may_replay) = match request(&token)? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::UnauthorizedFinal(answer) => (answer, false),
            Attempt::Unauthorized(answer) => (answer, true),
        };
        // The token is dropped in this process even if the store fails, so that failure is no reason to
        // keep the API's answer from the caller.
        let began = monotonic();
        let limit = left.deadline.unwrap_or(self.fetcher().timeout);
        if let Err(error) = self.invalidate_within(token.secret(), limit) {
            warn!(target: LOG_TARGET, "{error}");
        }
        if !may_replay {
            return Ok(answer);
        }
        // The API rejects one fresh token after the other: another one would not help, and the answer in
        // hand says why.
        let (book, now) = (&self.fetcher().book, self.fetcher().clock.now());
        if book.lock().blames_the_api(now) {
            return Ok(answer);
        }
        left.deadline = left.deadline.map(|limit| limit.saturating_sub(took(began)));
        match request(&self.token_with(&left)?)? {
            Attempt::Done(answer) => {
                book.lock().note_accepted();
                Ok(answer)
            }
            Attempt::Unauthorized(answer) | Attempt::UnauthorizedFinal(answer) => Ok(answer),
        }
    }

    /// A source for one worker of many, with the same settings and connections: a slot of its own
    /// where tokens coexist (as NTX Pay advises under high load), the shared slot where a new token
    /// replaces the old. Refusals are remembered for all workers together; a slot of its own is not
    /// shared with other processes either.
    pub fn worker(&self) -> Self {
        match self.provider().facts().renewal {
            Renewal::Coexists { .. } => Self::with_slot_of_its_own(self.fetcher().clone(), None),
            Renewal::ReplacesPrevious => self.clone(),
        }
    }

    /// Ages, counters and the last error's kind: never a secret.
    pub fn status(&self) -> Status {
        let fetcher = self.fetcher();
        let now = fetcher.clock.now();
        let (token, counters) = {
            let slot = self.single_flight.lock();
            (slot.current().cloned(), slot.counters)
        };
        Status {
            provider: self.fetcher().provider(),
            environment: self.fetcher().environment,
            base_url: self.fetcher().transport.base_url().as_str().to_owned(),
            token: token.map(|token| TokenStatus::of(&token, now)),
            requests: self.backend().requests.load(Ordering::Relaxed),
            tokens: counters.tokens,
            failures: counters.failures,
            invalidations: counters.invalidations,
            last_error: counters
                .last_error
                .map(|(kind, at)| (kind, now.monotonic.saturating_duration_since(at))),
            blocked_for: fetcher.refused_for(now),
            certificate_not_after: fetcher.certificate_reloader.not_after(&fetcher.credentials),
            store_failed: (self.backend().store_failed_at())
                .map(|at| now.monotonic.saturating_duration_since(at)),
        }
    }

    /// Reaches the provider's address without sending credentials (TLS shows the client certificate
    /// where the server asks for it): name resolution, proxy, connection, TLS, and the server's
    /// clock. It has no effect on tokens and on what is remembered.
    ///
    /// # Errors
    /// [`Transport`](crate::ErrorKind::Transport), [`Timeout`](crate::ErrorKind::Timeout) or
    /// [`Certificate`](crate::ErrorKind::Certificate), as a fetch would.
    pub fn probe(&self, limit: Duration) -> Result<Probe> {
        let fetcher = self.fetcher();
        let began = monotonic();
        let (status, clocks) = fetcher
            .transport
            .probe(Deadline::after(limit), || fetcher.clock.now().wall)
            .map_err(|error| fetcher.error(error))?;
        Ok(Probe { status, took: began.elapsed(), clocks })
    }

    /// Connects to every address of the provider's host, or of the proxy's, all at the same time, and
    /// closes the connections: which of them answers, and how fast. Nothing is sent; each attempt has
    /// the time for a connection ([`Builder::connect_timeout`]) within `limit`.
    ///
    /// # Errors
    /// Where the name leads to no address, as a fetch would.
    pub fn probe_addresses(&self, limit: Duration) -> Result<AddressProbe> {
        let fetcher = self.fetcher();
        let probe = fetcher.transport.probe_addresses(Deadline::after(limit));
        probe.map_err(|error| fetcher.error(error))
    }

    /// Waits for a background renewal that is under way, and for attempts to connect to addresses that
    /// have not answered: at most `limit` and never longer than the source's time-out. No other renewal
    /// begins afterwards: callers renew instead. Returns true once no thread of this source is left (but
    /// those of look-ups that hang in the system's resolver, one for a host, which nobody can end), and
    /// false if time runs out or if it is called on such a thread (from an event hook). For programs that
    /// must not leave a thread behind, such as a plug-in that is about to be unloaded. Dropping a source
    /// waits for nobody.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn unload(source: paytoken::TokenSource) {
    /// if !source.finish(Duration::from_secs(5)) {
    ///     eprintln!("a renewal is still under way");
    /// }
    /// # }
    /// ```
    pub fn finish(&self, limit: Duration) -> bool {
        let deadline = Deadline::after(limit.min(self.fetcher().timeout));
        let has_renewed = self.backend().background.finish(deadline.remaining());
        has_renewed && self.fetcher().transport.wait(deadline.remaining())
    }

    /// Whose tokens these are.
    pub fn provider(&self) -> Provider {
        self.fetcher().provider()
    }

    /// The program's own name for the account: see [`Builder::label`].
    pub fn label(&self) -> Option<&str> {
        self.fetcher().label.as_deref()
    }

    /// In which environment.
    pub fn environment(&self) -> Environment {
        self.fetcher().environment
    }

    /// The account's identifier: client id or user name.
    pub fn id(&self) -> &str {
        self.fetcher().credentials.id()
    }

    /// The published token, if nothing is to be done for it.
    #[inline]
    pub(crate) fn published(&self) -> Option<Token> {
        self.single_flight.published()
    }

    /// Whether the provider has given a token for this secret.
    pub(crate) fn has_fetched(&self) -> bool {
        self.backend().has_fetched.load(Ordering::Relaxed)
    }

    fn with_slot_of_its_own(fetcher: Arc<Fetcher>, shared: Option<SharedFetch>) -> Self {
        let renewal = fetcher.provider().facts().renewal;
        let backend = FetchBackend::new(fetcher, shared);
        Self { single_flight: Arc::new(SingleFlight::new(renewal, backend)) }
    }

    fn backend(&self) -> &FetchBackend {
        self.single_flight.backend()
    }

    fn fetcher(&self) -> &Arc<Fetcher> {
        &self.backend().fetcher
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("credentials", &self.fetcher().credentials)
            .field("environment", &self.fetcher().environment)
            .field("base_url", &self.fetcher().transport.base_url().as_str())
            .finish_non_exhaustive()
    }
}
