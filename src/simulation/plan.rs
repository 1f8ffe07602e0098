//! What happens in one history: drawn from its seed before it begins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::sync::simulated::Chance;
use crate::types::environment::Environment;
use crate::types::names::Provider;

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) provider: Provider,
    pub(super) processes: u64,
    pub(super) threads: u64,
    pub(super) calls: u64,
    /// A lock ends by itself after a while; else with its holder.
    pub(super) has_leases: bool,
    pub(super) renews_in_background: bool,
    pub(super) retries: u32,
    // What can go wrong.
    pub(super) clocks_disagree: bool,
    pub(super) processes_die: bool,
    pub(super) store_fails: bool,
    /// A replica that never saw the last write takes over, and knows of no lock.
    pub(super) store_fails_over: bool,
    /// The network between a machine and the store is cut for a while.
    pub(super) network_splits: bool,
    pub(super) machines_stop: bool,
    pub(super) secrets_differ: bool,
    /// The same token again, as long as it lives.
    pub(super) repeats_tokens: bool,
    /// A second and a half, whatever the document says.
    pub(super) lives_are_short: bool,
    /// Now and then a machine has no descriptor left.
    pub(super) machines_are_short: bool,
    // What callers do.
    pub(super) some_force: bool,
    pub(super) some_hurry: bool,
    pub(super) some_want_long: bool,
    /// The provider's moods, each from its moment on.
    pub(super) spells: Vec<(Duration, Mood)>,
    /// Milliseconds: from then on nothing goes wrong.
    well_from: AtomicU64,
}

/// What the provider, and the API behind it, does to all who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// 500; a token may have been made.
    Failing,
    /// 403, to the right secret, too.
    Refusing,
    /// 429, with this wait.
    Limiting(Duration),
    /// Answers take up to half a minute.
    Slow,
    Unreachable,
    /// The answer is cut after the token was made.
    Dropping,
    /// The API answers 401 to every token.
    ApiRefuses,
}

impl Plan {
    pub(super) fn of(chance: &mut Chance) -> Self {
        let provider = match chance.below(12) {
            0..5 => Provider::SendPayments,
            5..9 => Provider::NtxPay,
            9 => Provider::NexterPay,
            10 => described("coexists"),
            _ => described("replaces-previous"),
        };
        let is_replacing = replaces(provider);
        let spells = match chance.below(5) {
            0..2 => Vec::new(),
            spells => Self::spells(chance, spells - 1),
        };
        let has_leases = chance.percent(33);
        let store_fails = chance.percent(15);
        // A write that fails after others were lost is more than generations can tell.
        let fault_of_servers = if has_leases && !store_fails { chance.below(4) } else { 0 };
        Self {
            provider,
            processes: 1 + chance.below(4),
            threads: 1 + chance.below(3),
            calls: 2 + chance.below(8),
            has_leases,
            renews_in_background: !is_replacing && chance.percent(15),
            retries: chance.below(3) as u32,
            clocks_disagree: chance.percent(20),
            processes_die: chance.percent(25),
            store_fails,
            store_fails_over: fault_of_servers == 1,
            network_splits: fault_of_servers == 2,
            machines_stop: chance.percent(20),
            secrets_differ: chance.percent(25),
            repeats_tokens: !is_replacing && chance.percent(15),
            lives_are_short: chance.percent(5),
            machines_are_short: chance.percent(15),
            some_force: chance.percent(25),
            some_hurry: chance.percent(30),
            some_want_long: chance.percent(25),
            spells,
            well_from: AtomicU64::new(u64::MAX),
        }
    }

    fn spells(chance: &mut Chance, count: u64) -> Vec<(Duration, Mood)> {
        let mut at = Duration::ZERO;
        let mut spells = Vec::new();
        for _ in 0..count {
            at += either(chance, 10_000, 400_000);
            let mood = match chance.below(8) {
                0 | 1 => Mood::Failing,
                2 => Mood::Refusing,
                3 => Mood::Limiting(Duration::from_secs(1 + chance.below(300))),
                4 => Mood::Slow,
                5 => Mood::Unreachable,
                6 => Mood::Dropping,
                _ => Mood::ApiRefuses,
            };
            spells.push((at, mood));
            at += Duration::from_millis(500) + either(chance, 20_000, 1_200_000);
            spells.push((at, Mood::Well));
        }
        spells
    }

    /// How long a token lives.
    pub(super) fn life(&self) -> Duration {
        match self.lives_are_short {
            true => Duration::from_millis(1500),
            false => {
                let documented =
                    self.provider.facts().in_environment(Environment::Sandbox).lifetime;
                documented.expect("each of these says so")
            }
        }
    }

    pub(super) fn be_well(&self, now: Duration) {
        self.well_from.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn is_well(&self, now: Duration) -> bool {
        now.as_millis() as u64 >= self.well_from.load(Ordering::Relaxed)
    }

    pub(super) fn mood(&self, now: Duration) -> Mood {
        if self.is_well(now) {
            return Mood::Well;
        }
        self.spells
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// Nothing happened that hides from processes what others did: then the pace is exact.
    pub(super) fn is_calm(&self) -> bool {
        !self.clocks_disagree
            && !self.processes_die
            && !self.store_fails
            && !self.store_fails_over
            && !self.network_splits
            && !(self.has_leases && (self.machines_stop || self.mood_is_slow()))
    }

    fn mood_is_slow(&self) -> bool {
        self.spells.iter().any(|(_, mood)| *mood == Mood::Slow)
    }
}

pub(super) fn replaces(provider: Provider) -> bool {
    provider.facts().renewal.replaces()
}

/// One that nobody built in.
fn described(renewal: &str) -> Provider {
    let text = format!(
        r#"{{"name": "of-{renewal}", "token_endpoint": "/token", "auth": "client_secret_post", "lifetime": "8m", "renewal": "{renewal}"}}"#
    );
    Provider::described(&text).expect("it is good")
}

/// Less than so many milliseconds, of two kinds.
pub(super) fn either(chance: &mut Chance, short: u64, long: u64) -> Duration {
    let most = if chance.percent(50) { short } else { long };
    Duration::from_millis(chance.below(most))
}
