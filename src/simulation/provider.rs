//! The token endpoint and the API behind it: what they know, and what answers cost.

use std::time::Duration;

use super::plan::{Mood, Plan, replaces};
use super::{Case, RIGHT};
use crate::base::clock::Deadline;
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::base::sync::simulated::{now, sleep, slipped};
use crate::policy::outcome::Cause;
use crate::types::error::Result;

/// A token as its provider knows it.
pub(super) struct Issued {
    pub(super) made: Duration,
    pub(super) ends: Duration,
    /// The process whose request brought it, and which counts its age by two clocks.
    pub(super) brought_to: Option<usize>,
    /// A newer one took its place.
    pub(super) superseded: Option<Superseded>,
    /// The API answers 401 to it from then on.
    pub(super) revoked: Option<Duration>,
    /// A caller began to tell the others so, and was told that it is done.
    pub(super) invalidation_began: Option<Duration>,
    pub(super) invalidated: Option<Moment>,
}

/// A moment, and how much time had slipped by until then: threads that could go on did not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) slipped: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { at: now(), slipped: slipped() }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Superseded {
    pub(super) at: Moment,
    /// By a request that its client had given up, or whose lock was lost: nobody could know.
    pub(super) is_excused: bool,
}

#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) issued: Vec<Issued>,
    under_way: Vec<UnderWay>,
    arrivals: u64,
}

/// A request that has not arrived yet.
struct UnderWay {
    number: u64,
    process: usize,
    arrives: Duration,
    secret: usize,
    slipped: Duration,
    is_given_up: bool,
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
enum Answer {
    Token(usize, Duration),
    Cut,
    Failing,
    WrongSecret,
    Refused,
    Limited(Duration),
}

pub(super) fn name_of(token: usize) -> String {
    format!("token-{token}")
}

pub(super) fn number_of(token: &str) -> Option<usize> {
    token.strip_prefix("token-")?.parse().ok()
}

impl Endpoint {
    /// What has arrived by now has its effect.
    fn settle(&mut self, plan: &Plan) {
        let now = now();
        while let Some(at) = (0..self.under_way.len())
            .filter(|at| self.under_way[*at].answer.is_none() && self.under_way[*at].arrives <= now)
            .min_by_key(|at| self.under_way[*at].arrives)
        {
            let UnderWay { arrives, secret, slipped, is_given_up, .. } = self.under_way[at];
            let arrives = Moment { at: arrives, slipped };
            let answer = self.answer(plan, arrives, secret, is_given_up);
            self.under_way[at].answer = Some(answer);
        }
        self.under_way.retain(|request| !(request.is_given_up && request.answer.is_some()));
    }

    fn answer(&mut self, plan: &Plan, arrives: Moment, secret: usize, is_given_up: bool) -> Answer {
        let at = arrives.at;
        match plan.mood(at) {
            Mood::Refusing => return Answer::Refused,
            Mood::Limiting(wait) => return Answer::Limited(wait),
            _ if secret != RIGHT => return Answer::WrongSecret,
            // It fails before, or after, it has made one.
            Mood::Failing if self.arrivals % 3 != 0 => return Answer::Failing,
            _ => {}
        }
        let (token, left) = self.make(plan, arrives, is_given_up);
        match plan.mood(at) {
            Mood::Failing => Answer::Failing,
            Mood::Dropping => Answer::Cut,
            _ => Answer::Token(token, left),
        }
    }

    fn make(&mut self, plan: &Plan, arrives: Moment, is_given_up: bool) -> (usize, Duration) {
        let at = arrives.at;
        if plan.repeats_tokens
            && let Some(last) = self.issued.last()
            && last.ends.saturating_sub(at) > Duration::from_secs(60)
            && (last.invalidation_began.is_none() || !plan.is_well(at))
        {
            return (self.issued.len() - 1, last.ends - at);
        }
        if replaces(plan.provider) {
            for token in &mut self.issued {
                token.superseded.get_or_insert(Superseded { at: arrives, is_excused: is_given_up });
            }
        }
        let life = plan.life();
        self.issued.push(Issued {
            made: at,
            ends: at + life,
            brought_to: None,
            superseded: None,
            revoked: None,
            invalidation_began: None,
            invalidated: None,
        });
        (self.issued.len() - 1, life)
    }

    /// Nobody waits for what this process has sent.
    pub(super) fn process_died(&mut self, process: usize) {
        let its = self.under_way.iter_mut().filter(|request| request.process == process);
        its.for_each(|request| request.is_given_up = true);
    }

    /// Whether the API takes this token.
    pub(super) fn accepts(&mut self, plan: &Plan, token: usize) -> bool {
        self.settle(plan);
        let token = &self.issued[token];
        let now = now();
        plan.mood(now) != Mood::ApiRefuses
            && token.superseded.is_none()
            && token.revoked.is_none()
            && token.ends > now
    }
}

impl Case {
    /// One request, as the transport makes it.
    pub(super) fn request(
        &self,
        process: usize,
        secret: usize,
        deadline: Deadline,
    ) -> Result<(Secret, Duration)> {
        self.step(process);
        self.request_begins(process, secret);
        let result = self.exchange(process, secret, deadline);
        self.request_ends(process, secret, &result);
        self.step(process);
        result
    }

    fn exchange(
        &self,
        process: usize,
        secret: usize,
        deadline: Deadline,
    ) -> Result<(Secret, Duration)> {
        if self.plan.machines_are_short && !self.plan.is_well(now()) && self.percent(20) {
            return Err(Cause::NoDescriptor.error_sent("no descriptor is left here", false));
        }
        let slow = self.plan.mood(now()) == Mood::Slow;
        let (there, back) = {
            let mut chance = lock(&self.chance);
            let most = if slow { 30_000 } else { 400 };
            (Duration::from_millis(chance.below(most)), Duration::from_millis(chance.below(most)))
        };
        if self.plan.mood(now()) == Mood::Unreachable {
            sleep(there.min(deadline.remaining()));
            return Err(Cause::ConnectionRefused.error_sent("refused", false));
        }
        let number = {
            let mut endpoint = lock(&self.endpoint);
            endpoint.settle(&self.plan);
            endpoint.arrivals += 1;
            let number = endpoint.arrivals;
            let request = UnderWay {
                number,
                process,
                arrives: now() + there,
                secret,
                slipped: slipped(),
                is_given_up: false,
                answer: None,
            };
            endpoint.under_way.push(request);
            number
        };
        // A process that dies here may have sent it, or not.
        let begun = now();
        sleep(there.min(deadline.remaining()));
        if self.is_dead(process) && lock(&self.chance).percent(50) {
            lock(&self.endpoint).under_way.retain(|request| request.number != number);
        }
        self.step(process);
        sleep((begun + there + back).saturating_sub(now()).min(deadline.remaining()));
        self.step(process);
        let mut endpoint = lock(&self.endpoint);
        endpoint.settle(&self.plan);
        let at = endpoint.under_way.iter().position(|request| request.number == number);
        let at = at.expect("nobody else takes it");
        if endpoint.under_way[at].answer.is_none() || deadline.remaining().is_zero() {
            match endpoint.under_way[at].answer {
                None => endpoint.under_way[at].is_given_up = true,
                Some(_) => _ = endpoint.under_way.remove(at),
            }
            return Err(Cause::AnswerTooSlow.error_sent("too slow", true));
        }
        match endpoint.under_way.remove(at).answer.expect("it has one") {
            Answer::Token(token, left) => {
                endpoint.issued[token].brought_to = Some(process);
                Ok((Secret::new(name_of(token)), left))
            }
            Answer::Cut => Err(Cause::Cut.error_sent("cut", true)),
            Answer::Failing => Err(Cause::ServerFailing.error("500").with_status(500)),
            Answer::WrongSecret => Err(Cause::CredentialsRefused.error("401").with_status(401)),
            Answer::Refused => Err(Cause::AccountRefused.error("403").with_status(403)),
            Answer::Limited(wait) => {
                let error = Cause::TooManyRequests.error("429").with_status(429);
                Err(error.with_retry_after(Some(wait)))
            }
        }
    }
}
