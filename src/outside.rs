//! What the flights of one slot reach: the clock, the store, the provider.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use log::warn;

use crate::clock::{Deadline, Now};
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::fetch::Core;
use crate::flight::{Effort, Landing, World};
use crate::store::{Change, Obtained, Shared, Watch, Wish};
use crate::sync::lock;
use crate::token::Token;

pub(crate) struct Outside {
    pub(crate) core: Arc<Core>,
    /// Sent to the token endpoint for this slot.
    pub(crate) requests: AtomicU64,
    /// What was last seen of the store shared with other processes.
    watch: Watch,
    /// A worker keeps its token to itself.
    is_private: bool,
}

impl Outside {
    pub(crate) fn new(core: Arc<Core>, is_private: bool) -> Self {
        Self { core, requests: AtomicU64::new(0), watch: Watch::default(), is_private }
    }

    /// Tells the other processes that the API rejected this token.
    pub(crate) fn invalidate(&self, rejected: &str) -> Result<()> {
        match self.shared() {
            Some(shared) => shared
                .invalidate(rejected, self.core.timeout)
                .map_err(|error| self.core.error(error)),
            None => Ok(()),
        }
    }

    fn shared(&self) -> Option<&Shared> {
        self.core.shared.as_ref().filter(|_| !self.is_private)
    }
}

impl World for Outside {
    fn now(&self) -> Now {
        self.core.clock.now()
    }

    fn timeout(&self) -> Duration {
        self.core.timeout
    }

    fn longest_lifetime(&self) -> Duration {
        self.core.provider().longest_lifetime(self.core.environment)
    }

    fn refusal(&self, now: Now) -> Option<Error> {
        lock(&self.core.breaker).refusal(now.monotonic)
    }

    fn remembered_for(&self, now: Now) -> Option<Duration> {
        lock(&self.core.breaker).remaining(now.monotonic)
    }

    fn renews_in_background(&self) -> bool {
        self.core.renew_in_background
    }

    fn is_shared(&self) -> bool {
        self.shared().is_some()
    }

    fn change(&self, token: &Token, now: Now) -> Change {
        match self.shared() {
            Some(shared) => shared.change(&self.core, &self.watch, token, now),
            None => Change::None,
        }
    }

    fn stored(&self, min_validity: Duration, unwanted: Option<Token>) -> Option<Token> {
        self.shared()?.good_token(&self.core, min_validity, unwanted)
    }

    fn obtain(&self, wish: &Wish, deadline: Deadline, effort: Effort) -> Result<Obtained> {
        let retries = match effort {
            Effort::OneAttempt => 0,
            Effort::Full | Effort::Background => self.core.retries,
        };
        match self.shared() {
            Some(shared) => shared.obtain(&self.core, wish, deadline, retries, &self.requests),
            None => self.core.fetch(deadline, retries, &self.requests).map(Obtained::Fetched),
        }
    }

    fn in_background(&self, landing: Landing<Self>) {
        let spawned = std::thread::Builder::new()
            .name("paytoken-renew".into())
            .spawn(move || landing.fly_in_background());
        if let Err(error) = spawned {
            // The landing went with the closure, so a later caller may try.
            warn!("{}: no thread for a renewal: {error}", self.core.provider());
        }
    }

    fn error(&self, error: Error) -> Error {
        self.core.error(error)
    }

    fn tell(&self, kind: EventKind) {
        self.core.tell(kind);
    }
}
