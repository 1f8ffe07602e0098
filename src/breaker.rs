//! Remembered refusals: wrong credentials and rate limits are answered at once, without a request,
//! until some time has passed. A pure state machine; `now` is an argument.

use std::time::{Duration, Instant};

use crate::error::Error;

/// The first refusal is remembered this long, each further one four times as long as the one
/// before: a cron job every minute with a wrong password asks at most six times in an hour.
const FIRST: Duration = Duration::from_secs(60);
/// Nobody is held back for longer, whatever a provider or a store says.
pub(crate) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A `Retry-After: 0` still is a request to go slower.
const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Breaker {
    standing: Option<Standing>,
    /// Refusals in a row.
    strikes: u32,
}

struct Standing {
    error: Error,
    until: Instant,
}

impl Breaker {
    /// The refusal that still stands, as an error for a caller that is not let through.
    pub(crate) fn refusal(&self, now: Instant) -> Option<Error> {
        let standing = self.standing.as_ref().filter(|standing| now < standing.until)?;
        let left = standing.until - now;
        Some(
            standing
                .error
                .clone()
                .with_note(&format!(
                    " [remembered: the provider is not asked again for {} s; change the credentials or call refresh() to override]",
                    left.as_secs() + 1
                ))
                .with_retry_after(Some(left)),
        )
    }

    /// How long the refusal still stands.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let standing = self.standing.as_ref()?;
        standing.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Takes note of a failed request; `Some` is how long it is remembered.
    pub(crate) fn record_failure(&mut self, now: Instant, error: &Error) -> Option<Duration> {
        if !error.is_remembered() {
            return None;
        }
        let own = FIRST.saturating_mul(4u32.pow(self.strikes.min(4))).min(LONGEST);
        self.strikes = self.strikes.saturating_add(1);
        let wait = error.retry_after().unwrap_or(own).clamp(SHORTEST, LONGEST);
        self.standing = Some(Standing { error: error.clone(), until: now + wait });
        Some(wait)
    }

    /// Takes over what another process has remembered.
    pub(crate) fn adopt(&mut self, now: Instant, error: Error, left: Duration, strikes: u32) {
        self.strikes = strikes;
        self.standing = Some(Standing { error, until: now + left.min(LONGEST) });
    }

    /// Refusals in a row.
    pub(crate) fn strikes(&self) -> u32 {
        self.strikes
    }

    /// The next refusal is another one in a row.
    pub(crate) fn continue_from(&mut self, strikes: u32) {
        self.strikes = self.strikes.max(strikes);
    }

    pub(crate) fn record_success(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;
    use crate::outcome::Cause;

    fn rejected() -> Error {
        Cause::CredentialsRefused.error("no").with_status(401)
    }

    #[test]
    fn a_refusal_is_remembered_for_a_minute_then_longer_up_to_a_quarter_of_an_hour() {
        let mut breaker = Breaker::default();
        let mut now = monotonic();
        for seconds in [60, 240, 900, 900] {
            let wait = breaker.record_failure(now, &rejected()).unwrap();
            assert_eq!(wait.as_secs(), seconds);
            assert!(breaker.refusal(now + wait - Duration::from_millis(1)).is_some());
            now += wait;
            assert!(breaker.refusal(now).is_none());
        }
        breaker.record_success();
        assert_eq!(breaker.record_failure(now, &rejected()).unwrap().as_secs(), 60);
    }

    #[test]
    fn a_provider_that_names_a_wait_gets_it_within_bounds() {
        let mut breaker = Breaker::default();
        let now = monotonic();
        for (named, kept) in [(0, 1), (7, 7), (100_000, 900)] {
            let error =
                Cause::ServerBusy.error("busy").with_retry_after(Some(Duration::from_secs(named)));
            assert_eq!(breaker.record_failure(now, &error).unwrap().as_secs(), kept);
        }
    }

    #[test]
    fn passing_failures_are_not_remembered() {
        let mut breaker = Breaker::default();
        let now = monotonic();
        for error in [
            Cause::Cut.error("cut"),
            Cause::ServerFailing.error("500"),
            Cause::RequestTooSlow.error("408"),
            Error::certificate("expired here"),
        ] {
            assert!(breaker.record_failure(now, &error).is_none());
            assert!(breaker.refusal(now).is_none());
        }
    }

    #[test]
    fn what_another_process_has_counted_goes_on_here() {
        let mut breaker = Breaker::default();
        let now = monotonic();
        assert_eq!(breaker.strikes(), 0);
        breaker.adopt(now, rejected(), Duration::from_secs(100), 1);
        assert_eq!(
            (breaker.strikes(), breaker.remaining(now)),
            (1, Some(Duration::from_secs(100)))
        );
        breaker.adopt(now, rejected(), Duration::from_secs(100_000), 1);
        assert_eq!(breaker.remaining(now), Some(LONGEST));
        assert_eq!(breaker.record_failure(now, &rejected()).unwrap().as_secs(), 240);
        breaker.continue_from(1);
        assert_eq!(breaker.strikes(), 2, "it has counted further itself");
        breaker.continue_from(7);
        assert_eq!(breaker.strikes(), 7);
    }
}
