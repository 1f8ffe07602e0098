//! A backend for tests, which say of it only what they mean.

use super::*;
use crate::base::sync::{chance, lock};
use crate::policy::book::{Asker, Book, Cap, FailedFetch};
use crate::policy::outcome::Cause;

pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// One process that remembers failed renewals and revoked tokens alone, and renews in its callers' threads.
#[allow(unused_qualifications)] // the model's Mutex is another one
pub(super) trait Script: Send + Sync + Sized + 'static {
    fn now(&self) -> Now;
    fn book(&self) -> &std::sync::Mutex<Book>;
    fn fetch(&self) -> Result<Token>;
}

fn asker(allows: Duration, renews: bool) -> Asker {
    Asker { secret: 0, allows, renews, cap: Cap { most: 6, is_absolute: false } }
}

impl<S: Script> Backend for S {
    fn now(&self) -> Now {
        Script::now(self)
    }
    fn timeout(&self) -> Duration {
        TIMEOUT
    }
    fn documented_lifetime(&self) -> Duration {
        LIFETIME
    }
    fn blocked(&self, now: Now, allows: Duration, renews: bool) -> Option<Error> {
        lock(self.book()).blocked(now, asker(allows, renews))
    }
    fn remembered_for(&self, _: Now) -> Option<Duration> {
        None
    }
    fn failed_renewals(&self, now: Now) -> u32 {
        lock(self.book()).failed_renewals(now)
    }
    fn has_revoked(&self, token: &Token) -> bool {
        lock(self.book()).has_revoked(token.secret())
    }
    fn note_revoked(&self, now: Now, revoked: &str, _: Option<Duration>) {
        lock(self.book()).note_revoked(now, revoked, None, false);
    }
    fn note_busy(&self, now: Now) {
        lock(self.book()).note_renewed_elsewhere(now, LIFETIME);
    }
    fn renews_in_background(&self) -> bool {
        false
    }
    fn look_every(&self) -> Option<Duration> {
        None
    }
    fn change(&self, _: &Token) -> Change {
        Change::None
    }
    fn stored(&self, _: Duration, _: Deadline) -> Option<Token> {
        None
    }
    fn obtain(&self, order: &Order) -> Result<Obtained> {
        let result = self.fetch();
        if result.is_err() && order.is_renewal() {
            let failed = FailedFetch {
                error: &Cause::ServerFailing.error("scripted"),
                requests: 1,
                asker: asker(order.deadline.remaining(), true),
                is_forced: false,
                lifetime: LIFETIME,
                chance: chance(),
            };
            lock(self.book()).note_failure(Script::now(self), &failed);
        }
        result.map(Obtained::Fetched)
    }
    fn in_background(&self, leader: Leader<Self>) -> bool {
        #[cfg(paytoken_model)]
        shuttle::thread::spawn(move || leader.fetch());
        #[cfg(not(paytoken_model))]
        std::thread::spawn(move || leader.fetch());
        true
    }
    fn error(&self, error: Error) -> Error {
        error
    }
    fn tell(&self, _: EventKind) {}
}
