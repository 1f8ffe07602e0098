//! The current token as every way to ask reads it: one pointer, published whenever the token changes,
//! and when it was compared with the store.
//!
//! The slot's Mutex owns the truth. A reader takes no lock and writes to no memory of others but the
//! token's count of clones. What was taken back is gone for whoever looks afterwards, and wiped when
//! its last clone goes.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Now;
use crate::token::Token;

/// A token for as long as nothing is to be done for it.
pub(crate) struct QuietToken {
    token: Token,
    quiet_until: Now,
    /// What the token has left at `quiet_until` at the least.
    spare: Duration,
}

impl QuietToken {
    pub(crate) fn new(token: Token, quiet_until: Now) -> Self {
        let spare = token.remaining_at(quiet_until);
        Self { token, quiet_until, spare }
    }
}

/// Where the current token is published. Clones share the pointer.
#[derive(Clone, Default)]
pub(crate) struct PublishedToken(Arc<Pointer>);

impl PublishedToken {
    pub(crate) fn set(&self, token: Option<QuietToken>) {
        self.0.store(token.map(Arc::new));
    }

    /// The token if nothing is to be done for it, and it is good for as long as the caller needs it.
    #[inline]
    pub(crate) fn get(&self, now: Now, min_validity: Duration) -> Option<Token> {
        let published = self.0.load();
        let QuietToken { token, quiet_until, spare } = &**published.as_ref()?;
        // To compare is cheaper than to compute what is left.
        let will_do = now.is_before(*quiet_until)
            && (min_validity <= *spare || token.remaining_at(now) >= min_validity);
        will_do.then(|| token.clone())
    }
}

#[cfg(not(all(test, paytoken_model)))]
type Pointer = arc_swap::ArcSwapOption<QuietToken>;

/// A pointer that shuttle sees.
#[cfg(all(test, paytoken_model))]
#[derive(Default)]
struct Pointer(crate::base::sync::Mutex<Option<Arc<QuietToken>>>);

#[cfg(all(test, paytoken_model))]
impl Pointer {
    fn load(&self) -> Option<Arc<QuietToken>> {
        self.lock().clone()
    }

    fn store(&self, token: Option<Arc<QuietToken>>) {
        *self.lock() = token;
    }

    fn lock(&self) -> crate::base::sync::MutexGuard<'_, Option<Arc<QuietToken>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(all(test, not(paytoken_model)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_until_its_moment_or_until_it_is_taken_back_and_nobody_keeps_it_then() {
        let now = Now::from_system();
        let token = Token::issued("token", Duration::from_secs(600), now);
        let quiet_until = token.moment_of_age(Duration::from_secs(480)).unwrap();
        let published = PublishedToken::default();
        let get = |now| published.get(now, Duration::ZERO);
        assert!(get(now).is_none());
        published.set(Some(QuietToken::new(token.clone(), quiet_until)));
        assert_eq!(get(now).unwrap().secret(), token.secret());
        for (age, longest) in [(0, 600), (1, 599), (479, 121)] {
            let now = now.after(Duration::from_secs(age));
            let is_good_for = |seconds| published.get(now, Duration::from_secs(seconds)).is_some();
            for seconds in [119, 120, 121, longest] {
                assert!(is_good_for(seconds), "{age} s: {seconds} s");
            }
            assert!(!is_good_for(longest + 1), "{age} s");
        }
        let instant = Duration::from_nanos(100); // as finely as Windows counts
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
