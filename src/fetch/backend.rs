//! What the single flight of one slot reaches: the clock, the store, the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use log::warn;

use crate::base::clock::{ClockSource, Deadline, Now};
use crate::base::sync::{Background, lock};
use crate::fetch::Fetcher;
use crate::fetch::shared_fetch::SharedFetch;
use crate::flight::{Backend, Change, Effort, Leader, Obtained, Order};
use crate::policy::pace::Caller;
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

    fn fetch_unshared(&self, order: &Order, retries: u32) -> Result<Obtained> {
        let result = self.fetcher.fetch(order, retries, &self.requests, &|_| false);
        result.map(Obtained::Fetched)
    }

    /// Whether a token may be fetched though the store failed. Where a new token ends the one before, it
    /// would end that of the other processes.
    fn may_fetch_unshared(&self) -> bool {
        !self.fetcher.provider().facts().renewal.replaces() && !self.fetcher.requires_store
    }

    /// Tells the other processes that the API rejected this token. Returns whether it was the stored one.
    pub(crate) fn invalidate(&self, revoked: &str) -> Result<bool> {
        match &self.shared {
            Some(shared) => shared.invalidate(revoked).map_err(|error| self.fetcher.error(error)),
            None => Ok(false),
        }
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
        self.fetcher.provider().facts().in_environment(self.fetcher.environment).lifetime
    }

    fn blocked(&self, now: Now, caller: Caller) -> Option<Error> {
        lock(&self.fetcher.pace).blocked(now.monotonic, caller)
    }

    fn remembered_for(&self, now: Now) -> Option<Duration> {
        lock(&self.fetcher.pace).refused_for(now.monotonic)
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

    fn stored(
        &self,
        min_validity: Duration,
        deadline: Deadline,
        unwanted: Option<Token>,
    ) -> Option<Token> {
        self.shared.as_ref()?.good_token(min_validity, deadline, unwanted)
    }

    fn obtain(&self, order: &Order) -> Result<Obtained> {
        let retries = match order.effort {
            Effort::OneAttempt => 0,
            Effort::Full | Effort::Background => self.fetcher.retries,
        };
        let result = match &self.shared {
            Some(shared) => shared.obtain(order, retries, &self.requests),
            None => self.fetch_unshared(order, retries),
        };
        let result = match result {
            Err(error) if error.is_of_the_store() && self.may_fetch_unshared() => {
                self.fetcher.tell(EventKind::StoreUnusable { error: self.fetcher.error(error) });
                let result = self.fetch_unshared(order, retries);
                if let (Some(shared), Ok(Obtained::Fetched(token))) = (&self.shared, &result) {
                    shared.fetched_without_store(token);
                }
                result
            }
            result => result,
        };
        if let Ok(Obtained::Fetched(_)) = result {
            self.has_fetched.store(true, Ordering::Relaxed);
        }
        result
    }

    fn in_background(&self, leader: Leader<Self>) {
        let begun = self.background.run("paytoken-renew", move || leader.fetch_in_background());
        if let Err(error) = begun {
            // The leader was dropped with the closure, which ended the flight: a later caller may try.
            warn!(target: LOG_TARGET, "{}: no thread for a renewal: {error}", self.fetcher.provider());
        }
    }

    fn error(&self, error: Error) -> Error {
        self.fetcher.error(error)
    }

    fn tell(&self, kind: EventKind) {
        self.fetcher.tell(kind);
    }
}
