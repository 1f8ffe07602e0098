//! [`TokenSource`]: composes provider, transport, slot and breaker. What leaves here is a valid
//! token or one clear error.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use log::warn;

use crate::builder::Builder;
use crate::clock::{Deadline, Now, monotonic};
use crate::credentials::{Credentials, Environment, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventKind;
use crate::fetch::Core;
use crate::flight::{Landing, SlotCell, lock};
use crate::provider::Renewal;
use crate::slot::{Ask, Decision, Says, Slot, has_ended};
use crate::status::{Status, TokenStatus};
use crate::store::{Change, Obtained, Shared, Wish};
use crate::token::Token;

/// Gives a valid token, from the cache whenever it can.
///
/// `Clone + Send + Sync`: clones share one slot, so a program needs one source per credentials,
/// cloned into every thread. However many threads ask, at most one request is under way.
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
    core: Arc<Core>,
    slot: Arc<SlotCell>,
}

/// How one call of [`TokenSource::token_with`] differs from a plain `token()`.
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
    min_validity: Duration,
    deadline: Option<Duration>,
    force: bool,
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

impl TokenSource {
    /// A source with the default settings. Checks everything and touches no network.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(credentials: Credentials, environment: Environment) -> Result<Self> {
        Self::builder(credentials, environment).build()
    }

    /// A source with settings of your own.
    pub fn builder(credentials: Credentials, environment: Environment) -> Builder {
        Builder::new(credentials, environment)
    }

    /// A token that is good now: from the cache, or fetched. Blocks only when it must, and no
    /// longer than the source's time-out.
    ///
    /// Where tokens coexist, one caller renews from 80 % (NexterPay: 90 %) of the lifetime on while
    /// all others go on with the token they have; if that fails, everybody goes on. Where a new
    /// token replaces the old (Send Payments), one caller renews at 95 % and all wait for it.
    ///
    /// # Errors
    /// Every [`ErrorKind`]; see [`Error::is_retryable`]. A refusal by the provider is remembered
    /// and answered at once, without a request, for 60 s and up to 15 min; [`refresh`](Self::refresh)
    /// overrides.
    pub fn token(&self) -> Result<Token> {
        self.token_with(&TokenOptions::default())
    }

    /// A token that is good for at least this long.
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) when that is more than a token lives; else as
    /// [`token`](Self::token).
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

    /// A token on the caller's terms.
    ///
    /// # Errors
    /// As [`token`](Self::token); [`Timeout`](ErrorKind::Timeout) when the deadline passes.
    pub fn token_with(&self, options: &TokenOptions) -> Result<Token> {
        let mut now = self.core.clock.now();
        let mut ask = Ask {
            min_validity: options.min_validity,
            newer_than: None,
            force: options.force,
            never_renews: options.deadline == Some(Duration::ZERO)
                && !self.core.renew_in_background,
        };
        let mut slot = self.slot.lock();
        if options.force {
            ask.newer_than = Some(slot.newest());
        }
        // The common case, without a look at the clock for a deadline.
        if let Some(token) = slot.ready(now, &ask) {
            let Some(shared) = self.shared() else {
                return Ok(token);
            };
            drop(slot);
            let change = shared.change(&self.core, &self.slot.watch, &token, now);
            slot = self.slot.lock();
            match change {
                Change::None => return Ok(token),
                Change::Newer(newer) => slot.adopt(&token, newer),
                Change::Rejected => _ = slot.invalidate(token.secret()),
                Change::Replaced => slot.forget(&token),
            }
        }
        self.check_min_validity(&slot, ask.min_validity)?;
        let limit = options.deadline.unwrap_or(self.core.timeout);
        let deadline = Deadline::after(limit);
        let has_less_time = limit < self.core.timeout;
        loop {
            let (flight, own_error) = match slot.decide(now, &ask, || self.core.refusal(now)) {
                Decision::Use(token) => return Ok(token),
                Decision::Fail(error) => {
                    let unwanted = slot.last_rejected();
                    drop(slot);
                    let found = self.shared().and_then(|shared| {
                        shared.good_token(&self.core, ask.min_validity, unwanted)
                    });
                    let Some(token) = found else { return Err(error) };
                    self.slot.lock().place(token.clone());
                    return Ok(token);
                }
                Decision::Renew(flight, token) => {
                    drop(slot);
                    if self.core.renew_in_background {
                        self.renew_in_background(flight);
                        return Ok(token);
                    }
                    // If it fails, the token stays, unless it was invalidated meanwhile.
                    let _ = self.lead(flight, &ask, deadline, Effort::OneAttempt, has_less_time);
                    ask.never_renews = true;
                    now = self.core.clock.now();
                    slot = self.slot.lock();
                    continue;
                }
                Decision::Lead(flight) => {
                    drop(slot);
                    match self.lead(flight, &ask, deadline, Effort::Full, has_less_time) {
                        Ok(()) => (flight, None),
                        Err(error) => (flight, Some(error)),
                    }
                }
                Decision::Wait(flight) => {
                    slot = self.slot.wait_for(slot, flight, deadline);
                    if slot.is_in_flight(flight) {
                        return Err(self.core.error(Error::new(
                            ErrorKind::Timeout,
                            "another thread is fetching a token and has not finished in time; try again, or allow more time",
                        )));
                    }
                    // The clock is not read under the lock: it may be the program's own code.
                    drop(slot);
                    (flight, None)
                }
            };
            now = self.core.clock.now();
            slot = self.slot.lock();
            match slot.usable(now, &ask) {
                // A stored token may be due for renewal: decide again.
                Some(_) if own_error.is_none() && self.shared().is_some() => continue,
                Some(token) => return Ok(token),
                None => {}
            }
            if let Some(error) = own_error.or_else(|| slot.shared_failure(flight)) {
                return Err(error);
            }
            if slot.falls_short(now, &ask, flight) {
                return Err(self.core.error(Error::configuration(format!(
                    "min_validity: the newest token does not live {:?} from now on; ask for less",
                    ask.min_validity
                ))));
            }
        }
    }

    /// Drops this token, which the API answered 401 to, if it is still the current one. A newer
    /// one stays; an older one changes nothing.
    ///
    /// # Errors
    /// [`Store`](ErrorKind::Store) when a shared store could not be told; never without one.
    pub fn invalidate(&self, rejected: &Token) -> Result<()> {
        self.invalidate_secret(rejected.secret())
    }

    /// As [`invalidate`](Self::invalidate), for callers that hold only the token's text.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub fn invalidate_secret(&self, rejected: &str) -> Result<()> {
        let was_current = self.slot.lock().invalidate(rejected);
        let told = match self.shared() {
            Some(shared) => shared
                .invalidate(rejected, self.core.timeout)
                .map_err(|error| self.core.error(error)),
            None => Ok(()),
        };
        if was_current {
            self.core.tell(EventKind::Invalidated);
        }
        told
    }

    /// Runs an API call with a token and, if the API says the token is not good, once more with a
    /// new one. Never more than once: the second answer is handed back as it is.
    ///
    /// Answer [`Attempt::Unauthorized`] only to a 401, which says that nothing was done. A payment
    /// that ended in a time-out or a 5xx has an unknown outcome: answer `Done` or an error, and ask
    /// the API what became of it.
    ///
    /// ```no_run
    /// # use paytoken::{Attempt, Error, TokenSource};
    /// # fn get(url: &str, authorization: &str) -> Result<(u16, String), Error> { unimplemented!() }
    /// # fn main() -> Result<(), Error> {
    /// # let source: TokenSource = unimplemented!();
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
        mut request: impl FnMut(&Token) -> Result<Attempt<T>, E>,
    ) -> Result<T, E> {
        let token = self.token()?;
        match request(&token)? {
            Attempt::Done(answer) => Ok(answer),
            Attempt::UnauthorizedFinal(answer) => {
                self.invalidate(&token)?;
                Ok(answer)
            }
            Attempt::Unauthorized(_) => {
                self.invalidate(&token)?;
                match request(&self.token()?)? {
                    Attempt::Done(answer)
                    | Attempt::Unauthorized(answer)
                    | Attempt::UnauthorizedFinal(answer) => Ok(answer),
                }
            }
        }
    }

    /// A source for one worker of many, with the same settings and connections: a slot of its own
    /// where tokens coexist (as NTX Pay advises under high load), the shared slot where a new token
    /// replaces the old. Refusals are remembered for all workers together; a slot of its own is not
    /// shared with other processes either.
    pub fn worker(&self) -> Self {
        match self.core.provider().renewal() {
            Renewal::Coexists { .. } => Self {
                core: self.core.clone(),
                slot: Arc::new(SlotCell::new(self.core.provider().renewal(), true)),
            },
            Renewal::ReplacesPrevious => self.clone(),
        }
    }

    /// Ages, counters and the last error's kind: never a secret.
    pub fn status(&self) -> Status {
        let now = self.core.clock.now();
        let (token, counters) = {
            let slot = self.slot.lock();
            (slot.current().cloned(), slot.counters)
        };
        Status {
            provider: self.core.provider(),
            environment: self.core.environment,
            base_url: self.core.transport.base_url().as_str().to_owned(),
            token: token.map(|token| TokenStatus {
                age: token.age_at(now),
                remaining: token.remaining_at(now),
                expires_at: token.expires_at(),
            }),
            requests: self.slot.requests.load(Ordering::Relaxed),
            tokens: counters.tokens,
            failures: counters.failures,
            invalidations: counters.invalidations,
            last_error: counters
                .last_error
                .map(|(kind, at)| (kind, now.monotonic.saturating_duration_since(at))),
            blocked_for: lock(&self.core.breaker).remaining(now.monotonic),
        }
    }

    /// Whose tokens these are.
    pub fn provider(&self) -> Provider {
        self.core.provider()
    }

    pub(crate) fn from_core(core: Core) -> Self {
        let slot = SlotCell::new(core.provider().renewal(), false);
        Self { core: Arc::new(core), slot: Arc::new(slot) }
    }

    /// Nobody waits for it; the slot allows one at a time.
    fn renew_in_background(&self, flight: u64) {
        let source = self.clone();
        let landing = Landing::new(self.slot.clone(), self.core.clone(), flight);
        let spawned = thread::Builder::new().name("paytoken-renew".into()).spawn(move || {
            let deadline = Deadline::after(source.core.timeout);
            let _ = source.fly(landing, &Ask::default(), deadline, Effort::Background, false);
        });
        if let Err(error) = spawned {
            // The landing went with the closure, so a later caller may try.
            warn!("{}: no thread for a renewal: {error}", self.core.provider());
        }
    }

    /// Fetches for everybody. No lock of this process is held while the network is used.
    fn lead(
        &self,
        flight: u64,
        ask: &Ask,
        deadline: Deadline,
        effort: Effort,
        has_less_time: bool,
    ) -> Result<()> {
        let landing = Landing::new(self.slot.clone(), self.core.clone(), flight);
        self.fly(landing, ask, deadline, effort, has_less_time)
    }

    /// Its error is the leader's own answer; the slot has it for those who waited.
    fn fly(
        &self,
        landing: Landing,
        ask: &Ask,
        deadline: Deadline,
        effort: Effort,
        has_less_time: bool,
    ) -> Result<()> {
        let began = monotonic();
        let obtained = self.obtain(ask, deadline, effort);
        let now = self.core.clock.now();
        let (result, news) = match obtained {
            Ok(Obtained::Busy) => {
                landing.give_up(now);
                return Ok(());
            }
            Ok(Obtained::Found(token)) => {
                let remaining = token.remaining_at(now);
                (Ok(token), EventKind::Found { remaining })
            }
            // Or every caller would fetch another one, and another.
            Ok(Obtained::Fetched(token)) if has_ended(&token, now) => {
                let error = Error::invalid_response(
                    "the provider's token had already ended when it came; check this machine's clock, or ask the provider",
                );
                self.failed(error.with_may_have_arrived(true), now)
            }
            Ok(Obtained::Fetched(token)) => {
                let news = EventKind::Fetched { took: began.elapsed(), lifetime: token.lifetime() };
                (Ok(token), news)
            }
            Err(error) => self.failed(error, now),
        };
        let ran_out_of_time = matches!(&result, Err(error) if error.kind() == ErrorKind::Timeout);
        let says = match effort {
            _ if has_less_time && ran_out_of_time => Says::Nothing,
            Effort::OneAttempt => Says::NoRenewal,
            Effort::Full | Effort::Background => Says::ToAll,
        };
        let answer = result.as_ref().map(|_| ()).map_err(Error::clone);
        let has_token = landing.land(now, result, says);
        // After landing, so that a hook that panics leaves nobody waiting.
        self.core.tell(match news {
            EventKind::Failed { error, remembered_for, .. } => {
                EventKind::Failed { error, remembered_for, still_has_token: has_token }
            }
            news => news,
        });
        answer
    }

    fn failed(&self, error: Error, now: Now) -> (Result<Token>, EventKind) {
        let error = self.core.error(error);
        let remembered_for = lock(&self.core.breaker).remaining(now.monotonic);
        let news =
            EventKind::Failed { error: error.clone(), still_has_token: false, remembered_for };
        (Err(error), news)
    }

    /// From the store shared with other processes, or from the provider.
    fn obtain(&self, ask: &Ask, deadline: Deadline, effort: Effort) -> Result<Obtained> {
        let retries = match effort {
            Effort::OneAttempt => 0,
            Effort::Full | Effort::Background => self.core.retries,
        };
        let requests = &self.slot.requests;
        let Some(shared) = self.shared() else {
            return self.core.fetch(deadline, retries, requests).map(Obtained::Fetched);
        };
        let now = self.core.clock.now();
        let slot = self.slot.lock();
        let wish = Wish {
            min_validity: ask.min_validity,
            forced_at: ask.force.then_some(now.wall),
            is_renewal: effort != Effort::Full,
            unwanted: [slot.last_rejected(), slot.newest_token().filter(|_| ask.force).cloned()],
        };
        drop(slot);
        shared.obtain(&self.core, &wish, deadline, retries, requests)
    }

    fn shared(&self) -> Option<&Shared> {
        self.core.shared.as_ref().filter(|_| !self.slot.is_private)
    }

    /// More than a token lives would mean a new one at every call.
    fn check_min_validity(&self, slot: &Slot, min_validity: Duration) -> Result<()> {
        let longest = match slot.current() {
            Some(token) => token.lifetime(),
            None => self.core.provider().longest_lifetime(self.core.environment),
        };
        if min_validity > longest {
            return Err(self.core.error(Error::configuration(format!(
                "min_validity: {min_validity:?} is more than the {longest:?} a token lives; ask for less"
            ))));
        }
        Ok(())
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("credentials", &self.core.credentials)
            .field("environment", &self.core.environment)
            .field("base_url", &self.core.transport.base_url().as_str())
            .finish_non_exhaustive()
    }
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

    /// The longest this call may take, from when it is made. Zero: only what is in the cache.
    /// Default: the source's time-out.
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

/// How hard a leader tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// A renewal by a caller that has a good token and should not wait for retries.
    OneAttempt,
    /// A renewal for which nobody waits.
    Background,
    /// There is no token: all the retries that were set.
    Full,
}
