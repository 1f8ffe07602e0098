//! What must hold at every step of every history.

mod pace;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shuttle::current::me;

use super::plan::replaces;
use super::provider::{Moment, name_of, number_of};
use super::{Case, RIGHT};
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::base::sync::simulated::{machine_time, now, slipped};
use crate::policy::book::Cap;
use crate::store::entry::Entry;
use crate::token::Token;
use crate::token::renewal::end_margin;
use crate::types::error::{Error, HoldsBack, Result};
use crate::types::facts::Renewal;
use crate::types::options::TokenOptions;

static CALLS: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static DEATHS: AtomicU64 = AtomicU64::new(0);
static LOST_LEASES: AtomicU64 = AtomicU64::new(0);

/// What all histories were made of.
pub(super) fn tally() -> String {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{} tokens handed out or refused, {} requests, {} processes died, {} leases lost",
        count(&CALLS),
        count(&REQUESTS),
        count(&DEATHS),
        count(&LOST_LEASES)
    )
}

/// What others did becomes known within this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// Steps of a store and of the world take a little.
const A_LITTLE: Duration = Duration::from_secs(1);

/// A token's age is counted from the request, which takes no longer than this.
const UNDER_WAY: Duration = Duration::from_secs(17);

const HOUR: Duration = Duration::from_secs(3600);

/// One call for a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) at: Duration,
    began: Duration,
    slipped: Duration,
    is_forced: bool,
    is_hurried: bool,
    /// It takes nothing but memory.
    must_not_wait: bool,
    min_validity: Duration,
    /// The time that it allows.
    limit: Duration,
}

impl Ask {
    /// `timeout` is the source's.
    pub(super) fn of(
        options: &TokenOptions,
        at: Duration,
        began: Duration,
        timeout: Duration,
    ) -> Self {
        Self {
            at,
            began,
            slipped: slipped(),
            is_forced: options.force,
            is_hurried: options.deadline.is_some(),
            must_not_wait: options.deadline == Some(Duration::ZERO),
            min_validity: options.min_validity,
            limit: options.deadline.unwrap_or(timeout),
        }
    }
}

#[derive(Default)]
pub(super) struct Judge {
    /// By task: when it read the clock last, and what it asks for.
    read: Vec<Duration>,
    asks: Vec<Option<Ask>>,
    requests: Vec<Request>,
    /// By process: the newest token that it was handed, and since when it has that.
    newest: Vec<Option<(usize, Duration)>>,
    lost_leases: Vec<(usize, Duration)>,
    died: Option<Duration>,
    /// When the store last forgot what it had been told.
    failed_over: Option<Duration>,
    /// A request may have arrived, and nobody has what came of it.
    uncertain: Option<Duration>,
}

struct Request {
    process: usize,
    task: usize,
    secret: usize,
    begun: Duration,
    /// When the call began that it is for.
    asked: Duration,
    ended: Option<Duration>,
    /// Nobody waits for it any more.
    is_orphaned: bool,
    is_forced: bool,
    is_hurried: bool,
    /// The most time that it can have had: its source's time-out.
    allowed: Duration,
    ran_out_of_time: bool,
    /// Time that slipped by between the call and the request.
    slipped_before: Duration,
    /// The token that it brought.
    token: Option<usize>,
    /// Its process had a good token.
    renews: bool,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    UnderWay,
    Token,
    /// 401 or 403.
    Refused,
    Limited(Duration),
    Failed,
    /// This machine was short of something.
    NotSent,
}

fn at<T: Default + Clone>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

impl Judge {
    pub(super) fn clock_was_read(&mut self, now: Duration) {
        *at(&mut self.read, me().into()) = now;
    }

    pub(super) fn begins(&mut self, ask: Ask) {
        *at(&mut self.asks, me().into()) = Some(ask);
    }

    pub(super) fn ends(&mut self) {
        *at(&mut self.asks, me().into()) = None;
    }

    /// Of the current task; a renewal in the background asks for nothing.
    fn ask(&mut self) -> Ask {
        at(&mut self.asks, me().into()).clone().unwrap_or_default()
    }

    pub(super) fn process_died(&mut self, process: usize) {
        DEATHS.fetch_add(1, Ordering::Relaxed);
        self.died = Some(now());
        for request in &mut self.requests {
            if request.process == process && request.ended.is_none() {
                request.is_orphaned = true;
                self.uncertain = Some(now());
            }
        }
    }

    pub(super) fn lost_its_lease(&mut self, process: usize) {
        LOST_LEASES.fetch_add(1, Ordering::Relaxed);
        self.lost_leases.push((process, now()));
    }

    pub(super) fn store_failed_over(&mut self) {
        self.failed_over = Some(now());
    }

    fn has_lost_its_lease_since(&self, process: usize, since: Duration) -> bool {
        self.lost_leases.iter().any(|(who, when)| *who == process && *when >= since)
    }
}

impl Case {
    /// A call ends by its deadline.
    pub(super) fn took(&self, process: usize, ask: &Ask, limit: Duration) {
        let took = machine_time() - ask.began;
        let most = limit + (slipped() - ask.slipped) + A_LITTLE;
        assert!(took <= most, "process {process}: a call took {took:?} of {limit:?}");
    }

    /// A token that is handed out.
    pub(super) fn handed_out(&self, process: usize, token: &Token, asked: Duration) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let number = number_of(token.secret()).expect("no token of this provider");
        let decided = {
            let mut judge = lock(&self.judge);
            let newest = at(&mut judge.newest, process);
            if newest.is_none_or(|(known, _)| known != number) {
                *newest = Some((number, now()));
            }
            *at(&mut judge.read, me().into())
        };
        let endpoint = lock(&self.endpoint);
        let issued = &endpoint.issued[number];
        // One that came through the store is as old as the wall clock says, and on a machine that
        // slept every one. (Where a newer one could not be written, an older one may come back.)
        let is_own = issued.brought_to == Some(process)
            && !self.plan.repeats_tokens
            && !self.plan.machines_stop
            && !self.plan.store_fails
            && !self.plan.store_fails_over
            && !self.plan.network_splits;
        let end = issued.ends + if is_own { Duration::ZERO } else { self.clocks_apart() };
        assert!(
            end >= decided,
            "process {process}: {number} had ended at {end:?}, handed out at {decided:?}"
        );
        // Whoever could not look may not know, and nobody what the store has forgotten.
        let failed_over = lock(&self.judge).failed_over;
        let knows = |since: Moment| {
            failed_over.is_none_or(|failed_over| failed_over < since.at)
                && asked > since.at + KNOWN_WITHIN + (slipped() - since.slipped)
                && self.store_failed(process).is_none_or(|failed| failed < since.at)
                && self.awake_since(process).is_none_or(|awake| asked > awake + KNOWN_WITHIN)
        };
        if let Some(at) = issued.invalidated {
            assert!(
                !knows(at),
                "process {process}: {number} was invalidated at {at:?}, handed out to who asked at {asked:?}"
            );
        }
        if let Some(superseded) = issued.superseded.filter(|superseded| !superseded.is_excused) {
            let is_lost =
                lock(&self.judge).lost_leases.iter().any(|(_, when)| *when >= issued.made);
            let at = superseded.at;
            assert!(
                is_lost || !knows(at),
                "process {process}: {number} was superseded at {at:?}, handed out to who asked at {asked:?}"
            );
        }
    }

    /// A call that got none.
    pub(super) fn went_without(&self, process: usize, ask: &Ask, error: &Error) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        self.is_held_back_by_no_other(process, ask, error);
        if ask.is_forced
            || ask.must_not_wait
            || !ask.min_validity.is_zero()
            || self.plan.clocks_disagree
        {
            return;
        }
        let mut judge = lock(&self.judge);
        let Some((number, since)) = *at(&mut judge.newest, process) else { return };
        if since >= ask.at {
            return;
        }
        let endpoint = lock(&self.endpoint);
        let issued = &endpoint.issued[number];
        let margin = end_margin(self.plan.life()) + UNDER_WAY;
        let is_good = issued.invalidation_began.is_none()
            && issued.superseded.is_none()
            && issued.ends > now() + margin
            && !self.plan.repeats_tokens
            // An entry remembers eight; then nobody knows whether it was one of those before.
            && endpoint.issued.iter().filter(|other| other.invalidation_began.is_some()).count() < 8;
        // A replacement that was never heard of again may have been made.
        let is_excused = replaces(self.plan.provider)
            && (self.plan.store_fails
                || self.plan.network_splits
                || judge.failed_over.is_some_and(|since| since >= issued.made)
                || error.ran_out_of_time()
                || ask.is_hurried
                || judge.died.is_some_and(|since| since >= issued.made)
                || judge.uncertain.is_some_and(|since| since >= issued.made)
                || judge.lost_leases.iter().any(|(_, since)| *since >= issued.made)
                || judge.requests.iter().any(|request| {
                    request.begun >= issued.made
                        && request.ended.is_none_or(|ended| ended >= ask.at)
                }));
        // With a wrong secret a process has only what it finds, and its own forced requests fail.
        let is_excused = is_excused || self.plan.some_force && !self.has_right_secret(process);
        assert!(
            !is_good || is_excused,
            "process {process} had the good {number}, and now: {error}"
        );
    }

    pub(super) fn request_begins(&self, process: usize, secret: usize) {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        let mut judge = lock(&self.judge);
        let ask = judge.ask();
        let newest = *at(&mut judge.newest, process);
        let now = now();
        let margin = end_margin(self.plan.life());
        let renews = newest.is_some_and(|(number, _)| {
            let issued = &lock(&self.endpoint).issued[number];
            issued.superseded.is_none()
                && issued.invalidation_began.is_none()
                && issued.ends > now + margin
        });
        let request = Request {
            process,
            task: me().into(),
            secret,
            begun: now,
            asked: ask.at,
            ended: None,
            is_orphaned: false,
            is_forced: ask.is_forced,
            is_hurried: ask.is_hurried,
            allowed: self.timeout_of(process),
            ran_out_of_time: false,
            slipped_before: slipped() - ask.slipped,
            token: None,
            renews,
            outcome: Outcome::UnderWay,
        };
        self.tell(|| format!("process {process} sends a request"));
        self.overlaps(&judge, &request);
        if !ask.is_forced && self.plan.is_calm() {
            self.is_needed(&ask, process);
            // Who does not know yet that a token was revoked renews it.
            let some_may_renew = newest.is_some_and(|(number, _)| {
                lock(&self.endpoint).issued[number].invalidation_began.is_some()
            });
            // Nor does the judge know whether a token that lives for a moment was being renewed.
            let is_unclear = some_may_renew || self.plan.lives_are_short;
            let most_failures = if is_unclear { 4 } else { 3 };
            let cap = Cap::of(self.plan.provider.facts());
            judge.is_in_pace(&request, self.plan.machines_stop, most_failures, cap);
            self.keeps_distance(&judge, &request);
        }
        judge.requests.push(request);
    }

    /// Where a new token ends the one before, one request at a time.
    fn overlaps(&self, judge: &Judge, request: &Request) {
        if !replaces(self.plan.provider) {
            return;
        }
        let open =
            judge.requests.iter().filter(|other| other.ended.is_none() && !other.is_orphaned);
        for other in open {
            assert!(
                judge.has_lost_its_lease_since(other.process, other.asked)
                    || judge.has_lost_its_lease_since(request.process, request.asked),
                "processes {} and {} ask at the same time",
                other.process,
                request.process
            );
        }
        let holder = self.shelf.holder();
        assert!(
            holder == Some(request.process)
                || judge.lost_leases.iter().any(|(who, _)| *who == request.process)
                || self.plan.has_leases,
            "process {} asks without the lock",
            request.process
        );
    }

    /// No request while the store has a token that would do. (A machine that sleeps between asking
    /// and being answered takes the token for older than it is.)
    fn is_needed(&self, ask: &Ask, process: usize) {
        if self.plan.repeats_tokens || self.plan.machines_stop {
            return;
        }
        let life = self.plan.life();
        let rest_of_window = match self.plan.provider.facts().renewal {
            Renewal::Coexists { renew_from_percent } => life * (100 - renew_from_percent) / 100,
            Renewal::ReplacesPrevious => end_margin(life),
        };
        let entry = self.shelf.entry();
        let Some(entry) = entry.and_then(|bytes| Entry::try_decode(&bytes, &self.key)) else {
            return;
        };
        let endpoint = lock(&self.endpoint);
        for (number, issued) in endpoint.issued.iter().enumerate() {
            let left = issued.ends.saturating_sub(now());
            let would_do = issued.invalidation_began.is_none()
                && issued.superseded.is_none()
                && left > rest_of_window + UNDER_WAY
                && left > ask.min_validity + UNDER_WAY;
            assert!(
                !would_do || !entry.is_about(&name_of(number)),
                "process {process} asks, and {number} is good for {left:?}"
            );
        }
    }

    pub(super) fn request_ends(
        &self,
        process: usize,
        secret: usize,
        result: &Result<(Secret, Duration)>,
    ) {
        let mut judge = lock(&self.judge);
        let task: usize = me().into();
        let outcome = match result {
            Ok(_) => Outcome::Token,
            Err(error) => match error.status() {
                Some(401 | 403) => Outcome::Refused,
                Some(429) => Outcome::Limited(error.retry_after().unwrap_or_default()),
                _ if error.holds_back() == HoldsBack::Nobody => Outcome::NotSent,
                _ => Outcome::Failed,
            },
        };
        self.tell(|| format!("process {process}: {result:?}"));
        if matches!(result, Err(error) if error.may_have_arrived()) {
            judge.uncertain = Some(now());
        }
        debug_assert!(secret == RIGHT || outcome != Outcome::Token);
        let request =
            judge.requests.iter_mut().rfind(|request| request.task == task).expect("it began");
        request.ended = Some(now());
        request.outcome = outcome;
        request.ran_out_of_time = matches!(result, Err(error) if error.ran_out_of_time());
        request.token = result.as_ref().ok().and_then(|(token, _)| number_of(token.expose()));
    }
}
