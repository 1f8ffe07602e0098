//! A backend for tests, which say of it only what they mean.

use super::*;

pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// One process with nothing remembered, which renews in its callers' threads.
pub(super) trait Script: Send + Sync + Sized + 'static {
    fn now(&self) -> Now;
    fn fetch(&self) -> Result<Token>;
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
    fn blocked(&self, _: Now, _: Caller) -> Option<Error> {
        None
    }
    fn remembered_for(&self, _: Now) -> Option<Duration> {
        None
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
    fn stored(&self, _: Duration, _: Deadline, _: Option<Token>) -> Option<Token> {
        None
    }
    fn obtain(&self, _: &Order) -> Result<Obtained> {
        self.fetch().map(Obtained::Fetched)
    }
    fn in_background(&self, _: Leader<Self>) {
        unreachable!("it is off")
    }
    fn error(&self, error: Error) -> Error {
        error
    }
    fn tell(&self, _: EventKind) {}
}
