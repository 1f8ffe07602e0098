//! What the single flight of one slot reaches: the clock, the store, the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::warn;

use crate::base::clock::{ClockSource, Deadline, Now};
use crate::base::sync::Background;
use crate::fetch::Fetcher;
use crate::fetch::shared_fetch::SharedFetch;
use crate::flight::{Backend, Change, Leader, Obtained, Order};
use crate::token::Token;
use crate::types::error::{Error, Result};
use crate::types::event::{EventKind, LOG_TARGET};

pub(crate) struct FetchBackend {
    pub(crate) fetcher: Arc<Fetcher>,
    /// The fetcher's, here as well: it is read for each cached token.
    clock: ClockSource,
    /// Sent to the token endpoint for this slot.
    pub(crate) requests: AtomicU64,
    /// The provider has given a token for this secret.
    pub(crate) has_fetched: AtomicBool,
    /// Renewals that no caller makes.
    pub(crate) background: Arc<Background>,
    /// Where other processes find the token; a worker keeps its token to itself.
    shared: Option<SharedFetch>,
}

impl FetchBackend {
    pub(crate) fn new(fetcher: Arc<Fetcher>, shared: Option<SharedFetch>) -> Self {
        let (clock, requests) = (fetcher.clock.clone(), AtomicU64::new(0));
        let has_fetched = AtomicBool::new(false);
        Self { fetcher, clock, requests, has_fetched, background: Arc::default(), shared }
    }

    fn fetch_unshared(&self, order: &Order) -> Result<Obtained> {
        let result = self.fetcher.fetch(order, order.newest.as_ref(), &self.requests);
        result.map(Obtained::Fetched)
    }

    /// Whether a token may be fetched though the store failed. Where a new token ends the one before, it
    /// would end that of the other processes.
    fn may_fetch_unshared(&self) -> bool {
        !self.fetcher.provider().facts().renewal.replaces() && !self.fetcher.requires_store
    }

    /// A token though the store failed, where that harms nobody.
    fn obtain_without(&self, store: &SharedFetch, order: &Order, error: Error) -> Result<Obtained> {
        if !self.may_fetch_unshared() {
            store.store_failed();
            return Err(error);
        }
        store.tell_unusable(error);
        let result = self.fetch_unshared(order);
        if let Ok(Obtained::Fetched(token)) = &result {
            store.fetched_without_store(token);
        }
        result
    }

    /// When the store could last not be used.
    pub(crate) fn store_failed_at(&self) -> Option<Instant> {
        self.shared.as_ref()?.failed_at()
    }

    /// Tells the other processes that the API rejected this token. Returns whether it was the stored one.
    pub(crate) fn invalidate(&self, revoked: &str, now: Now, limit: Duration) -> Result<bool> {
        let Some(shared) = &self.shared else { return Ok(false) };
        shared.invalidate(revoked, now, limit).map_err(|error| self.fetcher.error(error))
    }
}

impl Backend for FetchBackend {
    #[inline]
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn timeout(&self) -> Duration {
        self.fetcher.timeout
    }

    fn documented_lifetime(&self) -> Duration {
        self.fetcher.documented_lifetime(None)
    }

    fn blocked(&self, now: Now, allows: Duration, renews: bool) -> Option<Error> {
        self.fetcher.blocked(now, allows, renews)
    }

    fn remembered_for(&self, now: Now) -> Option<Duration> {
        self.fetcher.refused_for(now)
    }

    fn failed_renewals(&self, now: Now) -> u32 {
        self.fetcher.book.lock().failed_renewals(now)
    }

    fn has_revoked(&self, token: &Token) -> bool {
        self.fetcher.book.lock().has_revoked(token.secret())
    }

    fn note_revoked(&self, now: Now, revoked: &str, age: Option<Duration>) {
        let replaces = self.fetcher.provider().facts().renewal.replaces();
        self.fetcher.book.lock().note_revoked(now, revoked, age, replaces);
    }

    fn note_busy(&self, now: Now) {
        self.fetcher.book.lock().note_renewed_elsewhere(now, self.documented_lifetime());
    }

    fn renews_in_background(&self) -> bool {
        self.fetcher.renew_in_background && !self.background.is_over()
    }

    fn look_every(&self) -> Option<Duration> {
        self.shared.as_ref().map(|shared| shared.look_every())
    }

    fn change(&self, token: &Token) -> Change {
        match &self.shared {
            Some(shared) => shared.change(token),
            None => Change::None,
        }
    }

    fn stored(&self, min_validity: Duration, deadline: Deadline) -> Option<Token> {
        self.shared.as_ref()?.good_token(min_validity, deadline)
    }

    fn obtain(&self, order: &Order) -> Result<Obtained> {
        let result = match &self.shared {
            Some(shared) => match shared.obtain(order, &self.requests) {
                Err(error) if error.is_of_the_store() => self.obtain_without(shared, order, error),
                result => result,
            },
            None => self.fetch_unshared(order),
        };
        if let Ok(Obtained::Fetched(_)) = result {
            self.has_fetched.store(true, Ordering::Relaxed);
        }
        result
    }

    fn in_background(&self, leader: Leader<Self>) -> bool {
        // Where no thread is to be had, the leader is dropped with the closure, which ends the flight.
        let begun = self.background.run("paytoken-fetch", move || _ = leader.fetch());
        if let Err(error) = &begun {
            warn!(target: LOG_TARGET, "{}: no thread for a fetch: {error}", self.fetcher.provider());
        }
        begun.is_ok()
    }

    fn error(&self, error: Error) -> Error {
        self.fetcher.error(error)
    }

    fn tell(&self, kind: EventKind) {
        self.fetcher.tell(kind);
    }
}
