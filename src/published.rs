//! The current token as all calls read it: one pointer, published whenever the token changes.
//!
//! The slot's Mutex owns the truth. A reader takes no lock and writes to no memory of others but the
//! token's count of clones. What was taken back is gone for whoever looks afterwards, and wiped when
//! its last clone goes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Now;
use crate::token::Token;

/// A token for as long as nothing is to be done for it.
pub(crate) struct Published {
    pub(crate) token: Token,
    pub(crate) quiet_until: Now,
}

/// Clones share the pointer.
#[derive(Clone, Default)]
pub(crate) struct Publication(Arc<Pointer>);

impl Publication {
    pub(crate) fn set(&self, published: Option<Published>) {
        self.0.store(published.map(Arc::new));
    }

    /// The token if nothing is to be done for it, it is good for as long as the caller needs it, and
    /// it will do.
    #[inline]
    pub(crate) fn get(
        &self,
        now: Now,
        min_validity: Duration,
        will_do: impl FnOnce(&Token) -> bool,
    ) -> Option<Token> {
        let published = self.0.load();
        let Published { token, quiet_until } = &**published.as_ref()?;
        let is_at_rest = now.is_before(*quiet_until)
            && (min_validity.is_zero() || token.remaining_at(now) >= min_validity)
            && will_do(token);
        is_at_rest.then(|| token.clone())
    }
}

#[cfg(not(all(test, paytoken_model)))]
type Pointer = arc_swap::ArcSwapOption<Published>;

/// A pointer that shuttle sees.
#[cfg(all(test, paytoken_model))]
#[derive(Default)]
struct Pointer(crate::sync::Mutex<Option<Arc<Published>>>);

#[cfg(all(test, paytoken_model))]
impl Pointer {
    fn load(&self) -> Option<Arc<Published>> {
        self.lock().clone()
    }

    fn store(&self, published: Option<Arc<Published>>) {
        *self.lock() = published;
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Option<Arc<Published>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(all(test, not(paytoken_model)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_until_its_moment_or_until_it_is_taken_back_and_nobody_keeps_it_then() {
        let now = Now::from_system();
        let token = Token::granted("token", Duration::from_secs(600), now);
        let quiet_until = token.moment_of_age(Duration::from_secs(480)).unwrap();
        let published = Publication::default();
        let get = |now| published.get(now, Duration::ZERO, |_| true);
        assert!(get(now).is_none());
        published.set(Some(Published { token: token.clone(), quiet_until }));
        assert_eq!(get(now).unwrap().secret(), token.secret());
        assert!(published.get(now, Duration::ZERO, |_| false).is_none(), "it would not do");
        let long = |seconds| published.get(now, Duration::from_secs(seconds), |_| true);
        assert!(long(600).is_some() && long(601).is_none());
        let instant = Duration::from_nanos(1);
        let [mut monotonic, mut wall] = [quiet_until; 2];
        monotonic.wall -= instant;
        wall.monotonic -= instant;
        for late in [quiet_until, monotonic, wall] {
            assert!(get(late).is_none());
        }
        wall.wall -= instant;
        assert!(get(wall).is_some());
        published.set(None);
        assert!(get(now).is_none());
        assert_eq!(token.clones(), 1, "somebody kept it");
    }
}
