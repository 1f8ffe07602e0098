//! How often the provider may be asked, and who may be held back.

use std::time::Duration;

use super::{Ask, HOUR, Judge, Outcome, Request};
use crate::base::sync::lock;
use crate::base::sync::simulated::now;
use crate::policy::book::Cap;
use crate::simulation::{Case, RIGHT};
use crate::types::error::Error;

impl Case {
    /// What one machine or caller is short of holds back nobody else.
    pub(super) fn is_held_back_by_no_other(&self, process: usize, ask: &Ask, error: &Error) {
        let text = error.to_string();
        if !text.contains("[remembered") {
            return;
        }
        assert!(
            !text.contains("no descriptor is left"),
            "process {process} is held back by what a machine is short of: {error}"
        );
        if text.contains("with so little time") && !self.plan.machines_stop {
            let left = ask.limit.saturating_sub(now() - ask.at);
            let judge = lock(&self.judge);
            let most = judge.requests.iter().filter(|other| other.outcome == Outcome::Failed);
            let most = most.map(|other| other.allowed).max().unwrap_or_default();
            assert!(
                most * 6 / 5 + Duration::from_millis(10) >= left,
                "process {process} allowed {:?} and is held back by who allowed {most:?}: {error}",
                ask.limit
            );
        }
    }

    /// A second between requests that brought tokens, but where the API has revoked one.
    pub(super) fn keeps_distance(&self, judge: &Judge, request: &Request) {
        let endpoint = lock(&self.endpoint);
        let near = judge.requests.iter().filter(|other| {
            let second = Duration::from_secs(1).saturating_sub(other.slipped_before);
            other.process == request.process && other.begun + second > request.begun
        });
        for other in near.filter(|other| !other.is_forced) {
            let is_revoked = |token: usize| endpoint.issued[token].invalidation_began.is_some();
            assert!(
                other.token.is_none_or(is_revoked),
                "process {} asked at {:?}, had a token, and asks again",
                request.process,
                other.begun
            );
        }
    }
}

impl Judge {
    /// Requests that nobody forces, of processes that see each other.
    pub(super) fn is_in_pace(
        &self,
        request: &Request,
        machines_stop: bool,
        most_failures: usize,
        cap: Cap,
    ) {
        let now = request.begun;
        // A token that came ends what was remembered.
        let since = self.requests.iter().filter(|other| other.outcome == Outcome::Token);
        let since = since.filter_map(|other| other.ended).max().unwrap_or_default();
        let ended = |other: &Request| other.ended.filter(|ended| *ended >= since);
        let within =
            |other: &Request, time: Duration| ended(other).is_some_and(|ended| ended + time > now);
        let refused = |other: &Request| other.outcome == Outcome::Refused;
        let who = request.process;

        // The secret that brought the last token goes on; so does nobody else but once in ten minutes.
        let last = |secret: usize, outcome: Outcome| {
            let its = self.requests.iter().filter(|other| other.secret == secret);
            its.filter(|other| other.outcome == outcome).filter_map(|other| other.ended).max()
        };
        let (token, refusal) = (last(RIGHT, Outcome::Token), last(RIGHT, Outcome::Refused));
        let is_accepted = request.secret == RIGHT && token.is_some() && token > refusal;
        let ago = |time: Duration| {
            let unforced = self.requests.iter().filter(|other| refused(other) && !other.is_forced);
            unforced.filter(|other| other.ended.is_some_and(|ended| ended + time > now)).count()
        };
        let may_go_on = !cap.is_absolute && (is_accepted || ago(Duration::from_secs(600)) == 0);
        assert!(
            may_go_on || ago(HOUR) < cap.most,
            "process {who} asks after {} refusals within an hour",
            ago(HOUR)
        );
        // A success of one secret leaves another's refusals.
        let stands = |other: &Request| request.secret != RIGHT || other.ended >= Some(since);
        let same = |other: &Request| {
            let minute = Duration::from_secs(60);
            refused(other)
                && other.secret == request.secret
                && other.ended.is_some_and(|ended| ended + minute > now)
        };
        assert!(
            !self.requests.iter().any(|other| same(other) && stands(other)),
            "process {who} asks within a minute of a refusal of its secret"
        );
        let limited = |other: &Request| matches!(other.outcome, Outcome::Limited(wait) if within(other, wait));
        assert!(
            !self.requests.iter().any(limited),
            "process {who} asks earlier than it was told to"
        );

        let few = Duration::from_secs(5);
        let alike = |other: &Request| {
            other.outcome == Outcome::Failed
                && !other.is_forced
                && within(other, few)
                && (other.is_hurried, other.renews) == (request.is_hurried, request.renews)
                && (!request.is_hurried || other.process == who)
                && (!other.ran_out_of_time || other.allowed >= request.allowed)
        };
        let alike: Vec<_> = self.requests.iter().filter(|other| alike(other)).collect();
        // Who ran out of time holds back those alone who have as little, so one more may ask.
        let most = most_failures + usize::from(alike.iter().any(|other| other.ran_out_of_time));
        // Whoever has lost its lease asks beside its successor, and whoever stood still has failed
        // since long.
        let is_alone = !machines_stop && self.lost_leases.iter().all(|(_, when)| *when + few < now);
        assert!(
            alike.len() < most || !is_alone,
            "process {who} asks after {} failures within five seconds",
            alike.len()
        );
    }
}
