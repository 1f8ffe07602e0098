//! The account's book: what is remembered of its requests, and whether the provider may be asked now. The
//! only place that says so; a pure state machine.
//!
//! There is one per account. A source without a store keeps it in memory; with one it is a part of the
//! entry, as it is, and what is in memory is what was last read of it, with what could not be written yet.
//!
//! - A refusal holds back its secret (or, where it is not about the secret, every one) for 60 s, then
//!   longer, up to 15 minutes.
//! - Six refused requests within an hour hold back every secret that was refused before, and one that was
//!   not for ten minutes after the last: an account could be locked. The secret that brought the last
//!   token goes on. Where the provider was described, it is three, or what it says, and every secret.
//! - An outage holds back everybody for a growing pause: 1, 2, 5, 10, then 15 seconds, and a little more
//!   at random. One of this machine's own holds back this process alone.
//! - A request that ran out of time holds back those who allow no more.
//! - An API that answers 401 to one fresh token after the other is a refusal for everybody: another token
//!   would not help.

mod history;
mod remembered;
mod stored;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use self::remembered::{Mark, Remembered};
use crate::base::clock::Now;
use crate::base::digest::sha256_hex;
use crate::base::fields::{moment_if_any, read_moment_if_any, read_moments, write_moments};
use crate::policy::outcome::Cause;
use crate::types::error::{Error, ErrorKind, HoldsBack};
use crate::types::facts::Facts;

/// The first refusal is remembered this long, each further one four times as long as the one
/// before: a cron job every minute with a wrong password asks at most six times in an hour.
const FIRST: Duration = Duration::from_secs(60);
/// Nobody is held back for longer by a refusal, whatever a provider or a store says.
pub(crate) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A refusal holds for at least this long, even with `Retry-After: 0`: the provider asked to go slower.
const SHORTEST: Duration = Duration::from_secs(1);

/// No more of them count.
const MOST_REFUSED: usize = 6;
const HOUR: Duration = Duration::from_secs(3600);
/// Above that, a secret that was never refused is tried so long after the last refused request: a
/// corrected password heals by itself.
const NEXT_SECRET: Duration = Duration::from_secs(10 * 60);

/// Seconds to wait after one, two … failed requests in a row.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 15];
/// The longest of them, with the most that is added at random.
const PAUSED: Duration = Duration::from_secs(18);
/// Failures that ended so long ago are not counted on from.
const LAPSE: Duration = Duration::from_secs(10 * 60);

/// Between a request that brought a token and the next one for the same slot, unless somebody forces it or
/// the API revoked that token.
pub(crate) const BETWEEN_TOKENS: Duration = Duration::from_secs(1);

/// A token is fresh for this long. If the API rejects one that young, it never accepted it.
const FRESH: Duration = Duration::from_secs(10);
/// After so many rejected fresh tokens in a row, the fault is not in the token.
const MOST_FRESH: u32 = 3;

/// So many revoked tokens are remembered, and so many refused secrets.
pub(crate) const MOST_REVOKED: usize = 8;
const MOST_REFUSALS: usize = 4;

/// What is remembered of an account.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Book {
    /// Of the last secrets that were refused, and of what was refused whatever the secret.
    #[serde(serialize_with = "stored::write_refusals")]
    refusals: Vec<Remembered>,
    /// When requests were refused that nobody forced, the last ones, whatever the secret.
    #[serde(serialize_with = "write_moments", deserialize_with = "read_moments")]
    refused_at: Vec<SystemTime>,
    /// The secret that brought the last token, while others were being refused.
    accepted: Option<Mark>,
    outage: Option<Remembered>,
    /// Requests that ran out of time, and how much was not enough.
    too_slow: Option<Remembered>,
    /// Attempts to renew a token that is still good: they hold back renewals alone.
    renewal: Option<Remembered>,
    /// The last failure since the last token came, for monitoring: it holds nobody back, so it ends at
    /// once, and stays.
    last_failure: Option<Remembered>,
    /// When the last token came.
    #[serde(serialize_with = "moment_if_any", deserialize_with = "read_moment_if_any")]
    succeeded_at: Option<SystemTime>,
    /// Fresh tokens in a row that the API answered 401 to.
    fresh_revoked: u32,
    /// SHA-256 of the tokens that the API answered 401 to, the last ones.
    revoked: Vec<String>,
    // What is of this process alone.
    /// An outage of this machine's: its network, its proxy, its trust.
    #[serde(skip)]
    own_outage: Option<Remembered>,
    /// Another process renews, or this machine cannot, so this one does not try again before.
    #[serde(skip)]
    next_renewal: Option<Instant>,
    /// The API took a fresh token, which the store does not know.
    #[serde(skip)]
    api_accepts: bool,
    /// Counts what was noted here, and what of it is in the store.
    #[serde(skip)]
    notes: u64,
    #[serde(skip)]
    written: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// A number that stands for its secret in this process.
    pub(crate) secret: u64,
    /// The time it has.
    pub(crate) allows: Duration,
    /// It has a good token, and would renew it.
    pub(crate) renews: bool,
    pub(crate) cap: Cap,
}

/// So many refused requests an hour that nobody forced, whatever the secret: an account could be locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    pub(crate) most: usize,
    /// Not even a secret that was never refused, or the one that brought the last token, goes on then.
    pub(crate) is_absolute: bool,
}

impl Cap {
    pub(crate) fn of(facts: &Facts) -> Self {
        Self { most: facts.refusals_per_hour as usize, is_absolute: facts.is_described }
    }
}

/// A fetch that failed.
pub(crate) struct FailedFetch<'a> {
    pub(crate) error: &'a Error,
    /// Requests that were tried in it.
    pub(crate) requests: u32,
    pub(crate) asker: Asker,
    pub(crate) is_forced: bool,
    /// How long a token lives.
    pub(crate) lifetime: Duration,
    /// Any number, to spread many clients.
    pub(crate) chance: u64,
}

impl Book {
    /// The remembered error, if this caller may not ask the provider now.
    pub(crate) fn blocked(&self, now: Now, asker: Asker) -> Option<Error> {
        let answer = |error: Error, left: Duration, note: &str| {
            let seconds = left.as_secs() + 1;
            let note =
                format!(" [remembered: the provider is not asked again for {seconds} s{note}]");
            error.with_note(&note).with_retry_after(Some(left))
        };
        if let Some((refusal, left)) = self.refusal_of(now, asker.secret) {
            // One without a status came from the API and not from the token endpoint, so other
            // credentials would not help.
            let is_of_the_secret =
                refusal.kind == ErrorKind::Rejected && refusal.error().status().is_some();
            let way_out = match is_of_the_secret {
                true => "; change the credentials or call refresh() to override",
                false => "; call refresh() to override",
            };
            return Some(answer(refusal.error(), left, way_out));
        }
        if let Some(left) = self.too_many_refused(now, asker) {
            let error = self.refusals.last().map(Remembered::error).unwrap_or_else(|| {
                Error::new(ErrorKind::Rejected, "the provider refused the credentials")
            });
            let another = match asker.cap.is_absolute {
                true => "no secret is tried before".to_owned(),
                false => {
                    format!(
                        "another secret is tried once in {} minutes",
                        NEXT_SECRET.as_secs() / 60
                    )
                }
            };
            let note = format!(
                "; {} requests of this account were refused within an hour, so {another}; call refresh() to override",
                asker.cap.most
            );
            return Some(answer(error, left, &note));
        }
        let pauses = self.outages().filter(|outage| outage.is_for_who_allows(asker.allows));
        let pauses = pauses.filter_map(|outage| Some((outage, outage.left(now, PAUSED)?)));
        if let Some((outage, left)) = pauses.max_by_key(|(_, left)| *left) {
            let note =
                if outage.allowed.is_some() { " for callers with so little time" } else { "" };
            return Some(answer(outage.error(), left, note));
        }
        if !asker.renews {
            return None;
        }
        if let Some(renewal) = &self.renewal
            && let Some(left) = renewal.left(now, LONGEST)
        {
            return Some(answer(renewal.error(), left, " for a renewal"));
        }
        let next = self.next_renewal?.checked_duration_since(now.monotonic)?;
        let busy = Error::new(ErrorKind::Timeout, "another process renews the token");
        Some(busy.with_retry_after(Some(next))).filter(|_| !next.is_zero())
    }

    /// What stands longest against this secret.
    fn refusal_of(&self, now: Now, secret: u64) -> Option<(&Remembered, Duration)> {
        self.refusals
            .iter()
            .filter(|refusal| refusal.is_for(secret) == Some(true))
            .filter_map(|refusal| Some((refusal, refusal.left(now, LONGEST)?)))
            .max_by_key(|(_, left)| *left)
    }

    /// How long this secret waits since so many requests were refused within the last hour.
    fn too_many_refused(&self, now: Now, asker: Asker) -> Option<Duration> {
        let Asker { secret, cap, .. } = asker;
        if is_its(&self.accepted, secret) && !cap.is_absolute {
            return None;
        }
        let until = self.cap_ends(now, cap.most)?;
        let was_refused = self.refusals.iter().any(|refusal| is_its(&refusal.secret, secret));
        let last = self.refused_at.iter().filter(|at| is_recent(at, now)).max()?;
        let waits_for_all = was_refused || cap.is_absolute;
        let until = if waits_for_all { until } else { until.min(*last + NEXT_SECRET) };
        until.duration_since(now.wall).ok().filter(|left| !left.is_zero())
    }

    /// Until when there are so many refused requests in the last hour.
    fn cap_ends(&self, now: Now, most: usize) -> Option<SystemTime> {
        let mut recent: Vec<_> = self.refused_at.iter().filter(|at| is_recent(at, now)).collect();
        recent.sort_unstable();
        let first = recent.len().checked_sub(most)?;
        recent.get(first).map(|at| **at + HOUR)
    }

    fn outages(&self) -> impl Iterator<Item = &Remembered> {
        [&self.outage, &self.own_outage, &self.too_slow].into_iter().flatten()
    }

    /// How long a refusal still holds this secret back.
    pub(crate) fn refused_for(&self, now: Now, asker: Asker) -> Option<Duration> {
        let refused = self.refusal_of(now, asker.secret).map(|(_, left)| left);
        refused.max(self.too_many_refused(now, asker))
    }

    /// Whether the provider failed when it was last asked. Then the next fetch makes a single attempt, to
    /// find out whether the outage is over.
    pub(crate) fn is_probing(&self, now: Now, asker: Asker) -> bool {
        let its = self.outages().filter(|outage| outage.is_for_who_allows(asker.allows));
        its.chain(&self.renewal).any(|failed| failed.times_within(now, LAPSE) > 0)
    }

    /// Requests in a row that were to renew a good token, and failed.
    pub(crate) fn failed_renewals(&self, now: Now) -> u32 {
        self.renewal.as_ref().map_or(0, |renewal| renewal.times_within(now, LAPSE))
    }

    /// Takes note of a fetch that failed. `Some` is for how long the same caller would be held back.
    pub(crate) fn note_failure(&mut self, now: Now, failed: &FailedFetch<'_>) -> Option<Duration> {
        let FailedFetch { error, asker, .. } = *failed;
        if error.is_remembered() {
            self.notes += 1;
            let secret = error.may_lock_account().then_some(asker.secret);
            if secret.is_some() && !failed.is_forced {
                self.refused_at.push(now.wall);
                keep_last(MOST_REFUSED, &mut self.refused_at);
            }
            return self.refuse(now, error, secret, None);
        }
        // Nothing was sent, or it failed in this process: that says nothing about the provider.
        let holds = error.holds_back();
        if failed.requests == 0 || holds == HoldsBack::Nobody {
            return None;
        }
        self.notes += 1;
        self.last_failure = Remembered::of(error, now, Duration::ZERO, 1);
        let allowed = error.ran_out_of_time().then_some(asker.allows);
        // In a row is whatever concerned this caller: those who had less time do not count.
        let known = self.outages().chain(&self.renewal);
        let known = known.filter(|known| known.is_for_who_allows(asker.allows));
        let before = known.map(|known| known.times_within(now, LAPSE)).max().unwrap_or(0);
        let renewals = self.failed_renewals(now);
        if asker.renews {
            // 1 % of the token's lifetime, then 2, 4 and 5 %.
            let share = (failed.lifetime / 100 * (1 << renewals.min(3))).min(failed.lifetime / 20);
            let wait = share.max(pause(renewals + 1, failed.chance)).min(LONGEST);
            if holds == HoldsBack::Process {
                self.next_renewal = now.monotonic.checked_add(wait);
                return None;
            }
            let times = renewals.saturating_add(failed.requests);
            self.renewal = Remembered::of(error, now, wait, times);
            // Who has no token may ask, in spite of one attempt at a renewal; but not in the time that was
            // not enough.
            allowed?;
        }
        let times = before.saturating_add(failed.requests);
        let place = match (holds, allowed) {
            (HoldsBack::Process, _) => &mut self.own_outage,
            (_, Some(_)) => &mut self.too_slow,
            (_, None) => &mut self.outage,
        };
        let wait = pause(times, failed.chance);
        let noted = Remembered::of(error, now, wait, times)?;
        *place = Some(Remembered { allowed, ..noted });
        Some(wait)
    }

    /// A refusal of this secret or, without one, of all; after so many others, where that is known.
    fn refuse(
        &mut self,
        now: Now,
        error: &Error,
        secret: Option<u64>,
        times: Option<u32>,
    ) -> Option<Duration> {
        let is_alike = |known: &Remembered| match secret {
            Some(secret) => is_its(&known.secret, secret),
            None => known.secret.is_none(),
        };
        if let Some(secret) = secret {
            self.accepted.take_if(|mark| mark.is_of(secret) == Some(true));
        }
        let known = self.refusals.iter().position(is_alike).map(|at| self.refusals.remove(at));
        let before = known.as_ref().map_or(0, |known| known.times_within(now, HOUR));
        let times = times.unwrap_or(before);
        let own = FIRST.saturating_mul(4u32.pow(times.min(4))).min(LONGEST);
        let wait = error.retry_after().unwrap_or(own).clamp(SHORTEST, LONGEST);
        self.last_failure = Remembered::of(error, now, Duration::ZERO, 1);
        let noted = Remembered::of(error, now, wait, times.saturating_add(1))?;
        let mark = secret.map(|secret| {
            known
                .as_ref()
                .and_then(|known| known.secret.clone())
                .unwrap_or_else(|| Mark::of(secret))
        });
        let standing = known.filter(|known| known.left(now, LONGEST) > Some(wait));
        let refusal = match standing {
            // An earlier one that lasts longer stays.
            Some(standing) => Remembered { times: noted.times, at: noted.at, ..standing },
            None => Remembered { secret: mark, ..noted },
        };
        let left = refusal.left(now, LONGEST);
        self.refusals.push(refusal);
        keep_last(MOST_REFUSALS, &mut self.refusals);
        left
    }

    /// A token came: what was remembered of its secret is over, and what was for all. What the API said of
    /// tokens stands, since it may say it of this one, too.
    pub(crate) fn note_success(&mut self, now: Now, secret: u64) {
        self.notes += 1;
        let stands = |mark: &Option<Mark>| mark.is_some() && !is_its(mark, secret);
        self.refusals.retain(|refusal| stands(&refusal.secret));
        [self.outage, self.own_outage, self.too_slow, self.renewal, self.last_failure] =
            [const { None }; 5];
        self.succeeded_at = Some(now.wall);
        self.next_renewal = None;
        self.refused_at.retain(|at| is_recent(at, now));
        if self.refused_at.is_empty() {
            self.accepted = None;
        } else if !is_its(&self.accepted, secret) {
            self.accepted = Some(Mark::of(secret));
        }
    }

    /// The API answered 401 to this token; `age` is how old it was where it was the current one. An API that
    /// does so to one fresh token after the other: the token is not what is wrong.
    pub(crate) fn note_revoked(
        &mut self,
        now: Now,
        token: &str,
        age: Option<Duration>,
        replaces: bool,
    ) {
        if self.has_revoked(token) {
            return;
        }
        self.revoked.push(sha256_hex(token.as_bytes()));
        keep_last(MOST_REVOKED, &mut self.revoked);
        let Some(age) = age else { return };
        // An older one was accepted for a while, so it starts the count anew.
        self.fresh_revoked = if age < FRESH { self.fresh_revoked.saturating_add(1) } else { 0 };
        if let Some(times) = self.fresh_revoked.checked_sub(MOST_FRESH) {
            self.refuse(now, &fresh_tokens_revoked(replaces), None, Some(times));
        }
    }

    /// The API took a token.
    pub(crate) fn note_accepted(&mut self) {
        self.api_accepts |= self.fresh_revoked > 0;
        self.fresh_revoked = 0;
    }

    /// Another process renews the token: it is looked at again after a hundredth of its life.
    pub(crate) fn note_renewed_elsewhere(&mut self, now: Now, lifetime: Duration) {
        self.next_renewal = now.monotonic.checked_add(lifetime / 100);
    }

    /// The API answered 401 to this token.
    pub(crate) fn has_revoked(&self, token: &str) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&sha256_hex(token.as_bytes()))
    }

    /// Whether the API answered 401 to any token of late, and to how many as far as is remembered.
    pub(crate) fn revoked(&self) -> usize {
        self.revoked.len()
    }

    /// Whether the API rejects fresh tokens, so that another one would not help.
    pub(crate) fn blames_the_api(&self, now: Now) -> bool {
        let is_for_all = |refusal: &Remembered| refusal.secret.is_none();
        self.fresh_revoked >= MOST_FRESH
            && self
                .refusals
                .iter()
                .any(|known| is_for_all(known) && known.left(now, LONGEST).is_some())
    }
}

impl Remembered {
    /// Whether it holds this secret back. `None` where it is not known whose it is.
    fn is_for(&self, secret: u64) -> Option<bool> {
        self.secret.as_ref().map_or(Some(true), |mark| mark.is_of(secret))
    }

    /// Whether it holds back who allows so much time: a tenth more than was not enough is no promise.
    fn is_for_who_allows(&self, time: Duration) -> bool {
        self.allowed.is_none_or(|allowed| time <= allowed.saturating_add(allowed / 10))
    }
}

/// Whether it is known that the mark is this secret's.
fn is_its(mark: &Option<Mark>, secret: u64) -> bool {
    mark.as_ref().is_some_and(|mark| mark.is_of(secret) == Some(true))
}

/// Within the last hour. One from the future is none: a clock was wrong.
fn is_recent(at: &SystemTime, now: Now) -> bool {
    now.wall.duration_since(*at).is_ok_and(|ago| ago < HOUR)
}

fn fresh_tokens_revoked(replaces: bool) -> Error {
    Cause::FreshTokensRevoked.error(match replaces {
        false => {
            "the API answered 401 to one fresh token after the other, so the token is not what is wrong; check that the API's address belongs to this environment, and that the account may use it"
        }
        // Each new token ends the one before.
        true => {
            "the API answered 401 to one fresh token after the other: another program, or another store, fetches tokens for this account, and each ends the one before; let all of them share one store. If there is none, check that the API's address belongs to this environment"
        }
    })
}

/// How long to wait after so many failed requests in a row. `chance` is any number, to spread many
/// clients.
fn pause(failures: u32, chance: u64) -> Duration {
    let index = (failures.max(1) as usize - 1).min(PAUSES.len() - 1);
    let pause = Duration::from_secs(PAUSES[index]);
    pause + pause * (chance % 200) as u32 / 1000
}

fn keep_last<T>(most: usize, list: &mut Vec<T>) {
    list.drain(..list.len().saturating_sub(most));
}
