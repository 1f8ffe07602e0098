//! When a token is good, due for renewal, or ended: the only place that says so.

use std::time::Duration;

use crate::base::clock::Now;
use crate::token::Token;
use crate::types::facts::Renewal;
use crate::types::status::TokenStatus;

/// The last 5 % of a lifetime, at most 30 s, counts as expired, so that no token expires in transit.
#[inline]
pub(crate) fn end_margin(lifetime: Duration) -> Duration {
    (lifetime / 20).min(Duration::from_secs(30))
}

/// Whether the token is in that last part of its life.
#[inline]
pub(crate) fn has_ended(token: &Token, now: Now) -> bool {
    token.remaining_at(now) <= end_margin(token.lifetime())
}

/// Whether the token can be handed out to a caller that needs it for at least this long.
#[inline]
pub(crate) fn is_good(token: &Token, now: Now, min_validity: Duration) -> bool {
    let remaining = token.remaining_at(now);
    remaining > end_margin(token.lifetime()) && remaining >= min_validity
}

impl TokenStatus {
    pub(crate) fn of(token: &Token, now: Now) -> Self {
        Self {
            age: token.age_at(now),
            remaining: token.remaining_at(now),
            expires_at: token.expires_at(),
            is_good: !has_ended(token, now),
        }
    }
}

impl Renewal {
    /// Whether a new token ends the one before.
    pub(crate) fn replaces(self) -> bool {
        self == Self::ReplacesPrevious
    }

    /// Whether the token is in its renewal window.
    #[inline]
    pub(crate) fn is_due(self, token: &Token, now: Now) -> bool {
        match self {
            Self::Coexists { renew_from_percent } => {
                token.age_at(now) >= window(token.lifetime(), renew_from_percent)
            }
            Self::ReplacesPrevious => false,
        }
    }

    /// The moment until which nothing is to be done for the token: it is neither due nor ended.
    pub(crate) fn quiet_until(self, token: &Token) -> Option<Now> {
        let lifetime = token.lifetime();
        let end = lifetime.saturating_sub(end_margin(lifetime));
        token.moment_of_age(match self {
            Self::Coexists { renew_from_percent } => end.min(window(lifetime, renew_from_percent)),
            Self::ReplacesPrevious => end,
        })
    }
}

fn window(lifetime: Duration, percent: u32) -> Duration {
    lifetime * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_five_percent_and_thirty_seconds_at_most() {
        assert_eq!(end_margin(Duration::from_secs(300)), Duration::from_secs(15));
        assert_eq!(end_margin(Duration::from_secs(600)), Duration::from_secs(30));
        assert_eq!(end_margin(Duration::from_secs(36_000)), Duration::from_secs(30));
    }
}
