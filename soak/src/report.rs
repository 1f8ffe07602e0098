//! The table at the end, and whether all is well.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use paytoken::{Provider, Renewal};
use paytoken_sandbox::Sandbox;

use crate::account::Account;
use crate::gauge::{Gauge, Level};
use crate::judge::{Judge, KINDS};
use crate::recipe::Recipe;

/// `retries` is left at its default of two.
const ATTEMPTS: u64 = 3;
/// The shortest lifetime a fault sets, and the earliest renewal of it.
const SHORTEST_TURN: f64 = 1.0 * 0.8;
/// The longest that the sandbox works on one: a kilobyte, a byte each millisecond.
const KILLED_REQUEST_TAKES: Duration = Duration::from_secs(2);

pub(crate) struct Report<'a> {
    sandbox: &'a Sandbox,
    quiet: &'a Sandbox,
    accounts: &'a [Account],
    wrong: &'a [Account],
    shared: &'a [Recipe],
    shared_wrong: &'a [Recipe],
    pub(crate) own: Gauge,
    /// Of the worker that is never killed.
    pub(crate) worker: Gauge,
    pub(crate) kills: usize,
    pub(crate) all_workers_ran: bool,
    /// Overlapping requests of shared accounts, by account: how many were seen so far.
    seen_overlaps: Vec<usize>,
    overlaps: u64,
    overlaps_after_kills: u64,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        sandbox: &'a Sandbox,
        quiet: &'a Sandbox,
        accounts: &'a [Account],
        wrong: &'a [Account],
        shared: &'a [Recipe],
        shared_wrong: &'a [Recipe],
    ) -> Self {
        Self {
            sandbox,
            quiet,
            accounts,
            wrong,
            shared,
            shared_wrong,
            own: Gauge::default(),
            worker: Gauge::default(),
            kills: 0,
            all_workers_ran: false,
            seen_overlaps: vec![0; shared.len()],
            overlaps: 0,
            overlaps_after_kills: 0,
        }
    }

    /// The provider may still work on the request of a process that was just killed.
    pub(crate) fn look_for_overlaps(&mut self, last_kill: Option<Instant>) {
        let is_excused = last_kill.is_some_and(|at| at.elapsed() < KILLED_REQUEST_TAKES);
        let replaced = self
            .shared
            .iter()
            .zip(&mut self.seen_overlaps)
            .filter(|(recipe, _)| recipe.provider.facts().renewal == Renewal::ReplacesPrevious);
        for (recipe, seen) in replaced {
            let all = self.sandbox.overlapping_token_requests_by(recipe.provider, &recipe.id);
            let newer = (all - *seen) as u64;
            *seen = all;
            *(if is_excused { &mut self.overlaps_after_kills } else { &mut self.overlaps }) +=
                newer;
        }
    }

    pub(crate) fn print(mut self, judge: &Judge, store: &Path, took: Duration) -> bool {
        self.look_for_overlaps(None);
        println!(
            "Soak of {:.1} minutes, {} threads and {} processes, {} of which were killed and followed by others\n",
            took.as_secs_f64() / 60.0,
            crate::THREADS,
            crate::WORKERS,
            self.kills
        );
        let is_good = self.print_accounts(took) & self.print_shared(judge);
        let is_good = self.print_checks(judge, store, took) && is_good;
        println!("\n{}", if is_good { "All is well." } else { "Something is wrong: see above." });
        is_good
    }

    fn print_accounts(&self, took: Duration) -> bool {
        let mut is_good = true;
        println!(
            "| account | calls | got a token | errors | requests (allowed) | new tokens (allowed) | failed fetches | foreign | ended | known rejected | dead |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for account in self.accounts {
            let tally = &account.tally;
            let status = account.source.status();
            let sent = self.sandbox.token_requests_by(account.provider, &account.id) as u64;
            let allowed_requests = (status.tokens + status.failures) * ATTEMPTS;
            // One for each turn, for each token that was given up, for each demand, for each failure.
            let allowed_tokens = (took.as_secs_f64() / SHORTEST_TURN) as u64
                + status.invalidations
                + load(&tally.demands)
                + status.failures
                + 1;
            let bad =
                [&tally.foreign, &tally.expired, &tally.known_rejected, &tally.dead].map(load);
            println!(
                "| {} | {} | {} | {} | {sent} ({allowed_requests}) | {} ({allowed_tokens}) | {} | {} | {} | {} | {} |",
                account.id,
                load(&tally.calls),
                load(&tally.tokens),
                load(&tally.errors),
                status.tokens,
                status.failures,
                bad[0],
                bad[1],
                bad[2],
                bad[3],
            );
            is_good &= sent <= status.requests
                && status.requests <= allowed_requests
                && status.tokens <= allowed_tokens
                && bad == [0; 4];
        }
        is_good
    }

    fn print_shared(&self, judge: &Judge) -> bool {
        println!(
            "\n| shared account | got a token | errors | requests | new tokens | failed fetches | requests cut by a kill | invalidated | foreign |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        let mut is_good = true;
        for recipe in self.shared {
            let case = &judge.accounts[&recipe.id];
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                recipe.id,
                case.handed,
                case.errors,
                self.sandbox.token_requests_by(recipe.provider, &recipe.id),
                case.fetched,
                case.failed,
                case.orphans,
                case.invalidated,
                case.foreign
            );
            is_good &= case.foreign == 0;
        }
        is_good
    }

    fn print_checks(&self, judge: &Judge, store: &Path, took: Duration) -> bool {
        println!("\n| check | found | allowed | |");
        println!("|---|--:|--:|---|");
        let mut is_good = true;
        let mut row = |what: &str, found: u64, allowed: u64| {
            let verdict = if found <= allowed { "ok" } else { "**too many**" };
            println!("| {what} | {found} | {allowed} | {verdict} |");
            is_good &= found <= allowed;
        };
        let cases = || judge.accounts.values();
        row(
            "revoked tokens handed out more than a second after their invalidation",
            cases().map(|case| case.revoked).sum(),
            0,
        );
        row(
            "replaced tokens handed out more than a second after the next one",
            cases().map(|case| case.superseded).sum(),
            0,
        );
        for (kind, name) in KINDS.iter().enumerate() {
            let over = cases().map(|case| case.over_the_pace[kind]).sum();
            row(&format!("requests over the pace, after {name}"), over, 0);
        }
        row("overlapping requests of a shared account of Send Payments", self.overlaps, 0);
        row(
            &format!("the same just after one of {} kills", self.kills),
            self.overlaps_after_kills,
            self.kills as u64,
        );
        row("workers that ended by themselves", u64::from(!self.all_workers_ran), 0);
        // The order of what came later than that is not known.
        let lines: u64 = cases().map(|case| case.handed + case.errors + case.requests).sum();
        row(&format!("of {lines} lines, those that came too late"), judge.late, lines / 100);
        let files = std::fs::read_dir(store).map(|all| all.count() as u64).unwrap_or_default();
        let accounts = self.shared.len() + self.shared_wrong.len();
        row("files in the store", files, 2 * accounts as u64 + self.kills as u64);
        for &provider in Provider::ALL {
            let counts = self.sandbox.counts(provider);
            let most = counts.max_concurrent_token_requests as u64;
            let own = self.accounts.iter().filter(|account| account.provider == provider).count();
            let shared = self.shared.iter().filter(|recipe| recipe.provider == provider).count();
            let allowed = (own + shared) as u64 + self.overlaps_after_kills;
            row(&format!("{provider}: token requests at one time"), most, allowed);
        }
        let most = cases().map(|case| case.most_attempts).max().unwrap_or_default();
        row("requests of one fetch", u64::from(most), ATTEMPTS);
        // Or all that follows from success would hold for want of any.
        let tallies = self.accounts.iter().map(|account| &account.tally);
        let failing = tallies.filter(|tally| load(&tally.errors) * 2 > load(&tally.calls)).count();
        row("accounts with more errors than tokens", failing as u64, 0);
        let shared = self.shared.iter().map(|recipe| &judge.accounts[&recipe.id]);
        let failing = shared.filter(|case| case.errors > case.handed).count();
        row("shared accounts with more errors than tokens", failing as u64, 0);
        for account in self.wrong {
            let sent = self.quiet.token_requests_by(account.provider, &account.id) as u64;
            let calls = load(&account.tally.calls);
            let what =
                format!("{}: requests for {calls} calls with a wrong secret", account.provider);
            row(&what, sent, allowed_refusals(took));
            let tokens = load(&account.tally.foreign);
            row(&format!("{}: tokens for a wrong secret", account.provider), tokens, 0);
        }
        for recipe in self.shared_wrong {
            let (provider, case) = (recipe.provider, &judge.accounts[&recipe.id]);
            let sent = self.quiet.token_requests_by(provider, &recipe.id) as u64;
            let what = format!(
                "{provider}: requests for {} calls with a wrong secret in all processes",
                case.handed + case.errors
            );
            // A process that is killed may not have told of its refusal.
            row(&what, sent, allowed_refusals(took) + case.orphans);
            row(&format!("{provider}: tokens for a wrong secret in all processes"), case.handed, 0);
        }
        let mut level = |what: &str, level: Level| {
            row(&format!("{what}, from {}", level.early), level.late, level.early + level.allowed);
        };
        level("memory in KiB", self.own.memory());
        level("file descriptors", self.own.descriptors());
        level("a worker's memory in KiB", self.worker.memory());
        level("a worker's file descriptors", self.worker.descriptors());
        is_good
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A refusal is remembered for 60 s, then 240 s, then 900 s each.
fn allowed_refusals(took: Duration) -> u64 {
    let mut at = 0;
    let mut allowed = 0;
    for wait in [60, 240].into_iter().chain(std::iter::repeat(900)) {
        if at > took.as_secs() {
            break;
        }
        allowed += 1;
        at += wait;
    }
    allowed
}
