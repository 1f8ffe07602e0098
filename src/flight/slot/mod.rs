//! The cached token, and who may fetch the next one: a pure state machine. `now` is an argument, the
//! network is elsewhere, and the Mutex around it is in `flight`.
//!
//! There is at most one fetch (a *flight*) at a time. Each call asks [`Slot::decide`] what to do. The
//! caller that is told to lead fetches without the lock, and reports with [`Slot::end_flight`] how the
//! flight [`Ended`].

mod recent;
#[cfg(all(test, not(paytoken_model)))]
mod reference;
#[cfg(all(test, not(paytoken_model)))]
mod tests;

use std::time::{Duration, Instant};

use self::recent::Recent;
use crate::base::clock::Now;
use crate::flight::published::{PublishedToken, QuietToken};
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind};
use crate::types::facts::Renewal;

/// One caller at a time compares the token with the store, and the others go on with it for so much
/// longer than `look_every`. With a store that is asked twice a second, a token that was invalidated in
/// another process is handed out for no more than a second.
pub(crate) const LOOK_MAY_TAKE: Duration = Duration::from_millis(500);

pub(crate) struct Slot {
    renewal: Renewal,
    current: Current,
    flight: Option<Flight>,
    /// The number of the newest flight; flights are numbered from 1.
    last_flight: u64,
    recent: Recent,
    last_failure: Option<FailedFlight>,
    pub(crate) counters: Counters,
}

/// What a slot has seen since it was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) tokens: u64,
    pub(crate) failures: u64,
    pub(crate) invalidations: u64,
    pub(crate) last_error: Option<(ErrorKind, Instant)>,
}

#[derive(Clone)]
struct CachedToken {
    token: Token,
    /// The flight that brought it: larger is newer.
    flight: u64,
    /// Until then it is neither due nor ended, so that it can be handed out without a decision.
    quiet_until: Option<Now>,
    /// Without a store, when it was last published. With one, when the last comparison began that found
    /// the token unchanged; at first, when the token was asked for, since nobody can have revoked it
    /// earlier.
    compared_at: Now,
    /// When a caller last began to compare it with the store.
    look_began: Now,
}

/// The token in use. Every change of it is published at once.
struct Current {
    cached: Option<CachedToken>,
    /// How often it is compared with the store, where other processes may revoke or replace it.
    look_every: Option<Duration>,
    published: PublishedToken,
}

impl Current {
    fn as_ref(&self) -> Option<&CachedToken> {
        self.cached.as_ref()
    }

    fn replace(&mut self, cached: Option<CachedToken>) -> Option<CachedToken> {
        self.published.set(cached.as_ref().and_then(|cached| {
            let next = cached.compared_at.checked_add(self.publish_for(cached))?;
            Some(QuietToken::new(cached.token.clone(), cached.quiet_until?.min(next)))
        }));
        std::mem::replace(&mut self.cached, cached)
    }

    /// For how long a token is published before it is compared or published anew. Without a store it is a
    /// small part of its life: what it has left at the end of that time is known, so that few callers
    /// have to compute whether it lasts as long as they need.
    fn publish_for(&self, cached: &CachedToken) -> Duration {
        self.look_every.unwrap_or(cached.token.lifetime() / 64)
    }

    fn take_if(&mut self, is_it: impl FnOnce(&CachedToken) -> bool) -> Option<CachedToken> {
        if self.cached.as_ref().is_some_and(is_it) { self.replace(None) } else { None }
    }
}

struct Flight {
    number: u64,
    /// Where a new token ends the one before: the old one. It is not handed out during the flight, and
    /// comes back only if the provider cannot have seen the request.
    parked: Option<CachedToken>,
}

struct FailedFlight {
    flight: u64,
    error: Error,
    /// All retries were used up: everybody who waited gets the error.
    is_for_all: bool,
}

/// How a flight ended.
pub(crate) enum Ended {
    With(Token),
    /// And whether that is for all who waited.
    Failed(Error, bool),
    /// Nothing failed, and no token came that may be used: another process renews, or what came was
    /// revoked meanwhile.
    Busy,
    /// The leader panicked, or its thread never started: nobody knows whether the request was sent.
    Died,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The token has to be good for at least this long.
    pub(crate) min_validity: Duration,
    /// A new one is asked for: only a token from a later flight than this one will do, and
    /// remembered refusals do not hold this caller back.
    pub(crate) newer_than: Option<u64>,
    /// Whether this caller may lead a renewal while the current token is good.
    pub(crate) may_renew: bool,
    /// Whether this caller may lead a flight where there is no good token.
    pub(crate) may_lead: bool,
}

impl Default for Wish {
    /// Any good token.
    fn default() -> Self {
        let (may_renew, may_lead) = (true, true);
        Self { min_validity: Duration::ZERO, newer_than: None, may_renew, may_lead }
    }
}

pub(crate) enum Decision {
    /// The cached token serves.
    Use(Token),
    /// The cached token serves and is due: lead this flight, and use it if the flight fails.
    Renew(u64, Token),
    /// There is no token that serves: lead this flight.
    Lead(u64),
    /// There is no token that serves, and another caller is fetching one: wait for this flight.
    Wait(u64),
    /// There is no token that serves, and this caller may not fetch one: because of this remembered
    /// failure or, with none, by its own wish.
    Nothing(Option<Error>),
}

impl Slot {
    /// The current token is published in `published`. `look_every`: shared with other processes.
    pub(crate) fn new(
        renewal: Renewal,
        published: PublishedToken,
        look_every: Option<Duration>,
    ) -> Self {
        Self {
            renewal,
            current: Current { cached: None, look_every, published },
            flight: None,
            last_flight: 0,
            recent: Recent::default(),
            last_failure: None,
            counters: Counters::default(),
        }
    }

    /// What a caller is to do. `blocked` is the remembered failure that keeps the provider from being
    /// asked now, in order to renew or at all; it is called only where that matters.
    pub(crate) fn decide(
        &mut self,
        now: Now,
        wish: &Wish,
        blocked: impl FnOnce(bool) -> Option<Error>,
    ) -> Decision {
        if let Some(token) = self.usable(now, wish) {
            // The first caller that finds the token due renews it; all others go on with it. While a
            // failure is remembered, nobody renews.
            let is_due = self.flight.is_none() && self.renewal.is_due(&token, now);
            if wish.may_renew && is_due && blocked(true).is_none() {
                return Decision::Renew(self.begin_flight(), token);
            }
            return Decision::Use(token);
        }
        if let Some(flight) = &self.flight {
            return Decision::Wait(flight.number);
        }
        // A caller that forces a new token asks the provider in spite of what is remembered.
        match blocked(false).filter(|_| wish.newer_than.is_none()) {
            None if wish.may_lead => Decision::Lead(self.begin_flight()),
            refusal => Decision::Nothing(refusal),
        }
    }

    /// The current token, if it serves this wish.
    pub(crate) fn usable(&self, now: Now, wish: &Wish) -> Option<Token> {
        let cached = self.current.as_ref()?;
        if wish.newer_than.is_some_and(|flight| cached.flight <= flight) {
            return None;
        }
        renewal::is_good(&cached.token, now, wish.min_validity).then(|| cached.token.clone())
    }

    fn begin_flight(&mut self) -> u64 {
        self.last_flight += 1;
        // Where the provider ends the old token when it makes the new one, the old one is handed out
        // no more from now on: it may be dead at any moment.
        let parked = match self.renewal {
            Renewal::ReplacesPrevious => self.current.replace(None),
            Renewal::Coexists { .. } => None,
        };
        self.flight = Some(Flight { number: self.last_flight, parked });
        self.last_flight
    }

    /// Takes note of how a flight ended. Nothing happens if it is not the one under way.
    pub(crate) fn end_flight(&mut self, now: Now, number: u64, ended: Ended) {
        let Some(flight) = self.flight.take_if(|flight| flight.number == number) else {
            return;
        };
        match ended {
            Ended::With(token) => {
                self.counters.tokens += 1;
                self.cache(token, number);
            }
            Ended::Failed(error, is_for_all) => {
                self.counters.failures += 1;
                self.counters.last_error = Some((error.kind(), now.monotonic));
                // The provider cannot have seen the request, so the old token is still alive.
                if !error.may_have_arrived() && flight.parked.is_some() {
                    self.current.replace(flight.parked);
                }
                self.last_failure = Some(FailedFlight { flight: number, error, is_for_all });
            }
            Ended::Busy => {}
            // The request may have been sent, so the parked token may be dead: it is not put back.
            Ended::Died => self.counters.failures += 1,
        }
    }

    /// Replaces `old` by the newer token that another process has stored, if `old` is still current.
    pub(crate) fn adopt(&mut self, old: &Token, new: Token) {
        if self.current.as_ref().is_some_and(|cached| cached.token.has_secret(old.secret())) {
            self.last_flight += 1;
            self.cache(new, self.last_flight);
        }
    }

    /// Makes a token from the store the current one. Returns false, and does nothing, while a flight is
    /// under way, which is about to bring one.
    pub(crate) fn place(&mut self, token: Token) -> bool {
        let is_free = self.flight.is_none();
        if is_free {
            self.last_flight += 1;
            self.counters.tokens += 1;
            self.cache(token, self.last_flight);
        }
        is_free
    }

    fn cache(&mut self, token: Token, flight: u64) {
        self.recent.add(token.secret());
        let quiet_until = self.renewal.quiet_until(&token);
        let since = token.since();
        let cached =
            CachedToken { token, flight, quiet_until, compared_at: since, look_began: since };
        self.current.replace(Some(cached));
    }

    /// The current token for a caller that takes nothing but memory: none if another process may have
    /// revoked it so long ago that this one should know.
    pub(crate) fn in_memory(&mut self, now: Now) -> Option<Token> {
        let token = self.usable(now, &Wish::default())?;
        if self.current.look_every.is_none() {
            self.begin_look(now);
        }
        (!self.is_look_overdue(now)).then_some(token)
    }

    /// Whether the current token has not been compared with the store for longer than a caller in no
    /// hurry would go on with it.
    pub(crate) fn is_look_overdue(&self, now: Now) -> bool {
        let (Some(cached), Some(look_every)) = (self.current.as_ref(), self.current.look_every)
        else {
            return false;
        };
        !is_within(now, cached.compared_at, look_every.saturating_add(LOOK_MAY_TAKE))
    }

    /// Whether this caller is to compare the current token with the store. One caller does at a time;
    /// if that takes too long, the others compare, too. Without a store, the token is published anew.
    pub(crate) fn begin_look(&mut self, now: Now) -> bool {
        let Some(cached) = self.current.as_ref() else {
            return false;
        };
        if is_within(now, cached.compared_at, self.current.publish_for(cached)) {
            return false;
        }
        let Some(look_every) = self.current.look_every else {
            let token = cached.token.clone();
            self.end_look(&token, now);
            return false;
        };
        if is_within(now, cached.look_began, look_every) && !self.is_look_overdue(now) {
            return false;
        }
        self.current.cached = Some(CachedToken { look_began: now, ..cached.clone() });
        true
    }

    /// A comparison that began at `now` found this token unchanged.
    pub(crate) fn end_look(&mut self, token: &Token, now: Now) {
        let is_it = |cached: &CachedToken| cached.token.has_secret(token.secret());
        if let Some(cached) = self.current.as_ref().filter(|cached| is_it(cached)) {
            let compared_at = now.max(cached.compared_at);
            self.current.replace(Some(CachedToken { compared_at, ..cached.clone() }));
        }
    }

    /// Drops the token if it is still the current one, since another process replaces it. It was not
    /// revoked, so it does not count as such.
    pub(crate) fn forget(&mut self, token: &Token) {
        self.current.take_if(|cached| cached.token.has_secret(token.secret()));
    }

    /// The error for a caller that waited for this flight: its own, or that of a later flight.
    pub(crate) fn shared_failure(&self, flight: u64) -> Option<Error> {
        let failure = self.last_failure.as_ref()?;
        (failure.flight >= flight && failure.is_for_all).then(|| failure.error.clone())
    }

    /// Whether this flight, or a later one, brought a good token that does not live as long as the caller
    /// asks: then another fetch would not help.
    pub(crate) fn falls_short(&self, now: Now, wish: &Wish, flight: u64) -> bool {
        let any = Wish { min_validity: Duration::ZERO, ..*wish };
        self.current.as_ref().is_some_and(|cached| cached.flight >= flight)
            && self.usable(now, wish).is_none()
            && self.usable(now, &any).is_some()
    }

    pub(crate) fn is_in_flight(&self, number: u64) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.number == number)
    }

    /// Drops the token with this text if it is the current one; a newer one stays.
    pub(crate) fn invalidate(&mut self, revoked: &str) -> bool {
        let is_it = |cached: &CachedToken| cached.token.has_secret(revoked);
        // During a flight that replaces it, the token is not current but parked.
        let dropped = self
            .current
            .take_if(is_it)
            .or_else(|| self.flight.as_mut()?.parked.take_if(|cached| is_it(cached)));
        self.counters.invalidations += u64::from(dropped.is_some());
        dropped.is_some()
    }

    /// Whether the text is that of a token which was here lately.
    pub(crate) fn has_had(&self, token: &str) -> bool {
        self.recent.has(token)
    }

    /// The flight that brought the current token, for callers that want a newer one.
    pub(crate) fn newest(&self) -> u64 {
        self.newest_cached().map_or(0, |cached| cached.flight)
    }

    /// The current token, or the one that is about to be replaced.
    pub(crate) fn newest_token(&self) -> Option<&Token> {
        self.newest_cached().map(|cached| &cached.token)
    }

    fn newest_cached(&self) -> Option<&CachedToken> {
        let parked = self.flight.as_ref().and_then(|flight| flight.parked.as_ref());
        self.current.as_ref().or(parked)
    }

    /// The current token, whatever its state.
    pub(crate) fn current(&self) -> Option<&Token> {
        self.current.as_ref().map(|cached| &cached.token)
    }
}

/// Whether less than `time` has passed since then.
fn is_within(now: Now, since: Now, time: Duration) -> bool {
    since.checked_add(time).is_some_and(|end| now.is_before(end))
}
