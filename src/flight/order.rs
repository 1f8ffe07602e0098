//! What a leader asks of the backend, and what it gets.

use std::time::{Duration, SystemTime};

use crate::base::clock::{Deadline, Now};
use crate::token::Token;
use crate::token::renewal;
use crate::types::facts::Renewal;

/// What a leader asks of the backend.
pub(crate) struct Order {
    /// The token has to be good for at least this long.
    pub(crate) min_validity: Duration,
    /// Only a token obtained from then on will do; remembered refusals do not count.
    pub(crate) forced_at: Option<SystemTime>,
    pub(crate) effort: Effort,
    pub(crate) deadline: Deadline,
    /// The newest token of the slot, ended or not.
    pub(crate) newest: Option<Token>,
}

/// How hard a leader tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A renewal by a caller that has a good token and should not wait for retries.
    OneAttempt,
    /// A renewal for which nobody waits.
    Background,
    /// There is no token: all the retries that were set.
    Full,
}

pub(crate) enum Obtained {
    Fetched(Token),
    /// Another process had fetched it.
    Found(Token),
    /// Only for a renewal: another process is renewing the token, or failed to a moment ago. The
    /// caller goes on with the token it has.
    Busy,
}

/// What the store says about a token in memory.
pub(crate) enum Change {
    /// It is unchanged, or the store could not be read.
    None,
    /// Another process has a newer one.
    Newer(Token),
    /// The API answered 401 to it.
    Revoked,
    /// It may be dead: another process is replacing it, or has replaced it by one that cannot be used
    /// here; or so many others were revoked since that nobody knows whether this one was.
    Replaced,
}

impl Order {
    /// For a caller without a token, that names no terms but these.
    pub(crate) fn of_any_caller(min_validity: Duration, deadline: Deadline) -> Self {
        Self { min_validity, forced_at: None, effort: Effort::Full, deadline, newest: None }
    }

    /// The caller has a good token, so it does not wait for another process's lock.
    pub(crate) fn is_renewal(&self) -> bool {
        self.effort != Effort::Full
    }

    pub(crate) fn is_served_by(&self, token: &Token, now: Now, renewal: Renewal) -> bool {
        renewal::is_good(token, now, self.min_validity)
            && self.forced_at.is_none_or(|moment| token.obtained_at() >= moment)
            && !(self.is_renewal() && renewal.is_due(token, now))
            && !(self.forced_at.is_some() && self.has(token))
    }

    /// Whether it is the newest token of the slot.
    fn has(&self, token: &Token) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.has_secret(token.secret()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_token_serves_the_orders_that_it_meets() {
        let renewal = Renewal::Coexists { renew_from_percent: 80 };
        let since = Now::from_system();
        let token = |secret: &str| Token::issued(secret, Duration::from_secs(600), since);
        let any = || Order::of_any_caller(Duration::ZERO, Deadline::after(Duration::ZERO));
        let at = |seconds| since.after(Duration::from_secs(seconds));
        let serves = |wish: &Order, seconds| wish.is_served_by(&token("t"), at(seconds), renewal);
        assert!(serves(&any(), 569) && !serves(&any(), 570), "the last 30 s count as ended");
        let wish = Order { min_validity: Duration::from_secs(100), ..any() };
        assert!(serves(&wish, 500) && !serves(&wish, 501));
        let wish = Order { effort: Effort::OneAttempt, ..any() };
        assert!(serves(&wish, 479) && !serves(&wish, 480), "due at 80 %");
        let wish = Order { forced_at: Some(since.wall), ..any() };
        assert!(serves(&wish, 1));
        let wish = Order { forced_at: Some(at(1).wall), ..any() };
        assert!(!serves(&wish, 1), "older than the wish");
        for (newest, is_served) in [("t", false), ("another", true)] {
            let (forced_at, newest) = (Some(since.wall), Some(token(newest)));
            let wish = Order { forced_at, newest, ..any() };
            assert_eq!(serves(&wish, 1), is_served);
        }
    }
}
