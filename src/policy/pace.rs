//! How often a provider may be asked: after a failure nobody asks it for a while, and callers get the
//! remembered error at once. A pure state machine; `now` is an argument.
//!
//! - A refusal blocks everybody for 60 s, then longer, up to 15 minutes.
//! - An outage blocks everybody for a growing pause: 1, 2, 5, 10, then 15 seconds, and a little more
//!   at random.
//! - A time-out of a caller that allowed less than the source's time-out blocks only such callers.
//! - An API that answers 401 to one fresh token after the other is treated as a refusal: another token
//!   would not help.

use std::time::{Duration, Instant};

use crate::policy::outcome::Cause;
use crate::types::error::{Error, ErrorKind};

/// The first refusal is remembered this long, each further one four times as long as the one
/// before: a cron job every minute with a wrong password asks at most six times in an hour.
const FIRST: Duration = Duration::from_secs(60);
/// Nobody is blocked for longer, whatever a provider or a store says.
pub(crate) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A refusal blocks for at least this long, even with `Retry-After: 0`: the provider asked to go slower.
const SHORTEST: Duration = Duration::from_secs(1);

/// Seconds to wait after one, two … failed requests in a row.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 15];

/// The longest of them, with the most that is added at random.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(18);

/// A token is fresh for this long. If the API rejects one that young, it never accepted it.
const FRESH: Duration = Duration::from_secs(10);
/// After so many rejected fresh tokens in a row, the fault is not in the token.
const MOST_FRESH: u32 = 3;

#[derive(Default)]
pub(crate) struct Pace {
    refusal: Option<BlockingError>,
    /// Refusals in a row.
    strikes: u32,
    outage: Option<BlockingError>,
    /// FailedFetch requests in a row.
    failures: u32,
    hurry: Option<BlockingError>,
    /// Time-outs of callers in a hurry, in a row.
    hurries: u32,
    /// Fresh tokens in a row that the API answered 401 to.
    fresh_revoked: u32,
}

/// A failure that is remembered, and until when it blocks requests.
struct BlockingError {
    error: Error,
    until: Instant,
}

impl BlockingError {
    /// How long it still blocks.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// It allows the source's whole time-out.
    Patient,
    /// It allows less, so its time-out says little about the provider.
    Hurried,
}

/// A fetch that failed.
pub(crate) struct FailedFetch<'a> {
    pub(crate) error: &'a Error,
    /// Requests that were tried in it.
    pub(crate) requests: u32,
    pub(crate) caller: Caller,
    /// It was one attempt to renew a token that is still good: the slot delays the next renewal, and a
    /// caller without a token may try at once.
    pub(crate) has_token: bool,
    /// A new token ends the one before, so a request whose answer is not awaited does harm.
    pub(crate) replaces: bool,
    /// Any number, to spread many clients.
    pub(crate) chance: u64,
}

impl Pace {
    /// The remembered error, if this caller may not ask the provider now.
    pub(crate) fn blocked(&self, now: Instant, caller: Caller) -> Option<Error> {
        let blocked = |block: &Option<BlockingError>, note: &str| {
            let block = block.as_ref()?;
            let left = block.left(now)?;
            let seconds = left.as_secs() + 1;
            let note =
                format!(" [remembered: the provider is not asked again for {seconds} s{note}]");
            Some(block.error.clone().with_note(&note).with_retry_after(Some(left)))
        };
        // A refusal without a status came from the API and not from the token endpoint, so other
        // credentials would not help.
        let way_out = |refusal: &BlockingError| match (refusal.error.kind(), refusal.error.status())
        {
            (ErrorKind::Rejected, Some(_)) => {
                "; change the credentials or call refresh() to override"
            }
            _ => "; call refresh() to override",
        };
        blocked(&self.refusal, self.refusal.as_ref().map_or("", way_out))
            .or_else(|| blocked(&self.outage, ""))
            .or_else(|| {
                blocked(&self.hurry, " for callers with so little time")
                    .filter(|_| caller == Caller::Hurried)
            })
    }

    /// How long a refusal still blocks everybody.
    pub(crate) fn refused_for(&self, now: Instant) -> Option<Duration> {
        self.refusal.as_ref()?.left(now)
    }

    /// Takes note of a fetch that failed. `Some` is for how long everybody is blocked.
    pub(crate) fn record_failure(
        &mut self,
        now: Instant,
        failed: &FailedFetch<'_>,
    ) -> Option<Duration> {
        if failed.error.is_remembered() {
            return Some(self.refuse(now, failed.error));
        }
        // Nothing was sent, or it failed on this machine: that says nothing about the provider.
        if failed.requests == 0 || !failed.error.has_verdict() {
            return None;
        }
        let block = |pause| Some(BlockingError { error: failed.error.clone(), until: now + pause });
        // The caller's own short time ran out: one with more time may succeed, so only those with as
        // little wait. Where tokens replace each other each such request may have ended a good token,
        // so they wait for the longest pause at once.
        if failed.caller == Caller::Hurried && failed.error.ran_out_of_time() {
            self.hurries = self.hurries.saturating_add(failed.requests);
            let failures = if failed.replaces { PAUSES.len() as u32 } else { self.hurries };
            self.hurry = block(pause(failures, failed.chance));
            return None;
        }
        self.failures = self.failures.saturating_add(failed.requests);
        // It counts towards the next pause, but blocks nobody: the slot delays renewals itself.
        if failed.has_token {
            return None;
        }
        let pause = pause(self.failures, failed.chance);
        self.outage = block(pause);
        Some(pause)
    }

    /// Takes note of a token that the API answered 401 to, and how old it was.
    pub(crate) fn record_revoked(&mut self, now: Instant, age: Duration) {
        self.fresh_revoked = count_fresh(self.fresh_revoked, age);
        if let Some(strikes) = strikes_of(self.fresh_revoked) {
            self.strikes = strikes;
            self.refuse(now, &fresh_tokens_revoked());
        }
    }

    /// Whether the API rejects fresh tokens, so that another one would not help.
    pub(crate) fn blames_the_api(&self, now: Instant) -> bool {
        self.fresh_revoked >= MOST_FRESH && self.refused_for(now).is_some()
    }

    /// Takes over a refusal that another process has stored.
    pub(crate) fn adopt(&mut self, now: Instant, error: Error, left: Duration) {
        self.refusal = Some(BlockingError { error, until: now + left.min(LONGEST) });
    }

    /// How long an outage still blocks everybody, and how many requests failed in it.
    pub(crate) fn paused_for(&self, now: Instant) -> Option<(Duration, u32)> {
        Some((self.outage.as_ref()?.left(now)?, self.failures))
    }

    /// Whether the provider failed when it was last asked. Then the next fetch makes a single attempt, to
    /// find out whether the outage is over.
    pub(crate) fn is_probing(&self, caller: Caller) -> bool {
        self.failures > 0 || (caller == Caller::Hurried && self.hurries > 0)
    }

    /// Takes over an outage that another process has stored.
    pub(crate) fn adopt_outage(
        &mut self,
        now: Instant,
        error: Error,
        left: Duration,
        failures: u32,
    ) {
        self.failures = failures;
        self.outage = Some(BlockingError { error, until: now + left.min(LONGEST_PAUSE) });
    }

    /// Refusals in a row.
    pub(crate) fn strikes(&self) -> u32 {
        self.strikes
    }

    /// Counts on from what another process has counted, so that the next refusal is one more in a row.
    pub(crate) fn continue_from(&mut self, strikes: u32) {
        self.strikes = self.strikes.max(strikes);
    }

    /// A token came: what was remembered is over, except for tokens that the API rejected, since it may
    /// reject this one, too.
    pub(crate) fn record_success(&mut self) {
        *self = Self { fresh_revoked: self.fresh_revoked, ..Self::default() };
    }

    fn refuse(&mut self, now: Instant, error: &Error) -> Duration {
        let own = remembered_for(self.strikes);
        self.strikes = self.strikes.saturating_add(1);
        let wait = error.retry_after().unwrap_or(own).clamp(SHORTEST, LONGEST);
        // An earlier refusal that lasts longer stays.
        let until = now + wait;
        match &self.refusal {
            Some(standing) if standing.until > until => standing.until - now,
            _ => {
                self.refusal = Some(BlockingError { error: error.clone(), until });
                wait
            }
        }
    }
}

/// How long a refusal is remembered after so many others.
pub(crate) fn remembered_for(strikes: u32) -> Duration {
    FIRST.saturating_mul(4u32.pow(strikes.min(4))).min(LONGEST)
}

/// How many fresh tokens in a row were revoked, with one more of this age. An older one was accepted for
/// a while, so it starts the count anew.
pub(crate) fn count_fresh(so_far: u32, age: Duration) -> u32 {
    if age < FRESH { so_far.saturating_add(1) } else { 0 }
}

/// `Some` if so many fresh tokens in a row that were revoked count as a refusal, with the number of such
/// refusals before it: from the third token on, each one is a refusal.
pub(crate) fn strikes_of(fresh_revoked: u32) -> Option<u32> {
    fresh_revoked.checked_sub(MOST_FRESH)
}

pub(crate) fn fresh_tokens_revoked() -> Error {
    Cause::FreshTokensRevoked.error(
        "the API answered 401 to one fresh token after the other, so the token is not what is wrong; check that the API's address belongs to this environment, and that the account may use it",
    )
}

/// How long to wait after so many failed requests in a row. `chance` is any number, to spread many
/// clients.
pub(crate) fn pause(failures: u32, chance: u64) -> Duration {
    let index = (failures.max(1) as usize - 1).min(PAUSES.len() - 1);
    let pause = Duration::from_secs(PAUSES[index]);
    pause + pause * (chance % 200) as u32 / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::monotonic;
    use crate::policy::outcome::Cause;

    fn failed(error: &Error) -> FailedFetch<'_> {
        FailedFetch {
            error,
            requests: 1,
            caller: Caller::Patient,
            has_token: false,
            replaces: false,
            chance: 0,
        }
    }

    fn rejected() -> Error {
        Cause::CredentialsRefused.error("no").with_status(401)
    }

    #[test]
    fn the_credentials_are_blamed_only_where_the_token_endpoint_refused_them() {
        for (error, blames) in [
            (rejected(), true),
            (Cause::AccountRefused.error("suspended").with_status(403), false),
            (Cause::NoEndpoint.error("no such path").with_status(404), false),
            (Cause::TooManyRequests.error("too many").with_status(429), false),
            (fresh_tokens_revoked(), false),
        ] {
            let (mut pace, now) = (Pace::default(), monotonic());
            pace.record_failure(now, &failed(&error));
            let told = pace.blocked(now, Caller::Patient).unwrap().to_string();
            assert_eq!(told.contains("change the credentials"), blames, "{told}");
            assert!(told.ends_with("call refresh() to override]"), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_remembered_for_a_minute_then_longer_up_to_a_quarter_of_an_hour() {
        let mut pace = Pace::default();
        let mut now = monotonic();
        for seconds in [60, 240, 900, 900] {
            let wait = pace.record_failure(now, &failed(&rejected())).unwrap();
            assert_eq!(wait.as_secs(), seconds);
            assert!(pace.blocked(now + wait - Duration::from_millis(1), Caller::Patient).is_some());
            now += wait;
            assert!(pace.blocked(now, Caller::Patient).is_none());
        }
        pace.record_success();
        assert_eq!(pace.record_failure(now, &failed(&rejected())).unwrap().as_secs(), 60);
    }

    #[test]
    fn a_provider_that_names_a_wait_gets_it_within_bounds() {
        let mut pace = Pace::default();
        let now = monotonic();
        for (named, kept) in [(0, 1), (7, 7), (100_000, 900)] {
            let error =
                Cause::ServerBusy.error("busy").with_retry_after(Some(Duration::from_secs(named)));
            assert_eq!(pace.record_failure(now, &failed(&error)).unwrap().as_secs(), kept);
        }
    }

    fn down() -> Error {
        Cause::ServerFailing.error("500").with_status(500)
    }

    #[test]
    fn what_failed_on_this_machine_holds_nobody_back() {
        let mut pace = Pace::default();
        let now = monotonic();
        assert!(pace.record_failure(now, &failed(&Error::certificate("expired here"))).is_none());
        let error = down();
        assert!(pace.record_failure(now, &FailedFetch { requests: 0, ..failed(&error) }).is_none());
        assert!(pace.blocked(now, Caller::Hurried).is_none());
    }

    #[test]
    fn an_outage_holds_everybody_back_for_a_growing_pause_until_a_token_comes() {
        let (mut pace, error) = (Pace::default(), down());
        let mut now = monotonic();
        for seconds in [1, 2, 5, 10, 15, 15] {
            assert!(pace.blocked(now, Caller::Patient).is_none());
            let wait = pace.record_failure(now, &failed(&error)).unwrap();
            assert_eq!(wait.as_secs(), seconds);
            for caller in [Caller::Patient, Caller::Hurried] {
                let error = pace.blocked(now + wait / 2, caller).unwrap();
                assert_eq!(error.retry_after(), Some(wait / 2));
                assert!(error.is_retryable());
            }
            now += wait;
        }
        assert_eq!(pace.refused_for(now), None, "it is no refusal");
        pace.record_success();
        // Each attempt of a fetch counts, and the pause is spread by a fifth.
        let thrice = FailedFetch { requests: 3, chance: 199, ..failed(&error) };
        assert_eq!(pace.record_failure(now, &thrice).unwrap().as_millis(), 5_995);
    }

    #[test]
    fn a_failed_renewal_holds_nobody_back_who_has_no_token() {
        let (mut pace, error, now) = (Pace::default(), down(), monotonic());
        assert!(
            pace.record_failure(now, &FailedFetch { has_token: true, ..failed(&error) }).is_none()
        );
        assert!(pace.blocked(now, Caller::Patient).is_none());
        assert_eq!(pace.record_failure(now, &failed(&error)).unwrap().as_secs(), 2);
    }

    #[test]
    fn a_caller_s_own_short_time_holds_back_those_in_a_hurry_alone() {
        for (replaces, pauses) in [(false, [1, 2, 5]), (true, [15, 15, 15])] {
            let mut pace = Pace::default();
            let mut now = monotonic();
            let error = Cause::AnswerTooSlow.error("slow");
            for seconds in pauses {
                let hurried = FailedFetch { caller: Caller::Hurried, replaces, ..failed(&error) };
                assert!(pace.record_failure(now, &hurried).is_none());
                assert!(pace.blocked(now, Caller::Patient).is_none());
                let wait = Duration::from_secs(seconds);
                assert!(pace.blocked(now + wait / 2, Caller::Hurried).is_some());
                assert!(pace.blocked(now + wait, Caller::Hurried).is_none());
                now += wait;
            }
        }
    }

    #[test]
    fn an_api_that_refuses_fresh_tokens_is_a_refusal_and_an_old_token_s_end_is_none() {
        let mut pace = Pace::default();
        let mut now = monotonic();
        for _ in 0..10 {
            pace.record_revoked(now, FRESH);
        }
        assert!(!pace.blames_the_api(now));
        for (fresh, seconds) in [(1, 0), (2, 0), (3, 60), (4, 240), (5, 900)] {
            // A token was fetched in between: that alone proves nothing.
            pace.record_success();
            pace.record_revoked(now, FRESH / 2);
            let wait = pace.refused_for(now).unwrap_or_default();
            assert_eq!(
                (wait.as_secs(), pace.blames_the_api(now)),
                (seconds, seconds > 0),
                "{fresh}"
            );
            now += wait;
        }
        pace.record_success();
        pace.record_revoked(now, FRESH);
        pace.record_revoked(now, FRESH / 2);
        assert!(!pace.blames_the_api(now));
    }

    #[test]
    fn what_another_process_has_counted_goes_on_here() {
        let mut pace = Pace::default();
        let now = monotonic();
        assert_eq!(pace.strikes(), 0);
        pace.continue_from(1);
        pace.adopt(now, rejected(), Duration::from_secs(100));
        assert_eq!((pace.strikes(), pace.refused_for(now)), (1, Some(Duration::from_secs(100))));
        pace.continue_from(1);
        pace.adopt(now, rejected(), Duration::from_secs(100_000));
        assert_eq!(pace.refused_for(now), Some(LONGEST));
        let wait = pace.record_failure(now, &failed(&rejected()));
        assert_eq!(wait, Some(LONGEST), "one that stands longer stays");
        assert_eq!(pace.refused_for(now), Some(LONGEST));
        let later = now + LONGEST - Duration::from_secs(100);
        assert_eq!(pace.record_failure(later, &failed(&rejected())).unwrap(), LONGEST);
        let mut pace = Pace::default();
        pace.continue_from(1);
        pace.adopt(now, rejected(), Duration::ZERO);
        assert_eq!(pace.record_failure(now, &failed(&rejected())).unwrap().as_secs(), 240);
        pace.continue_from(1);
        assert_eq!(pace.strikes(), 2, "it has counted further itself");
        pace.continue_from(7);
        assert_eq!(pace.strikes(), 7);
    }
    #[test]
    fn after_an_outage_one_request_finds_out_whether_it_is_over() {
        for caller in [Caller::Patient, Caller::Hurried] {
            let (mut pace, now) = (Pace::default(), monotonic());
            assert!(!pace.is_probing(caller));
            let slow = Cause::AnswerTooSlow.error("no answer");
            pace.record_failure(now, &FailedFetch { caller, ..failed(&slow) });
            assert!(pace.is_probing(caller));
            // One that has more time tries as ever after one that had too little.
            assert_eq!(pace.is_probing(Caller::Patient), caller == Caller::Patient);
            pace.record_success();
            assert!(!pace.is_probing(caller));
        }
    }
}
