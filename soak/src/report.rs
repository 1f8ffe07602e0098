//! The table at the end, and whether all is well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use paytoken::Provider;
use paytoken_sandbox::Sandbox;

use crate::account::Account;
use crate::gauge::{Gauge, Level};

/// `retries` is left at its default of two.
const ATTEMPTS: u64 = 3;
/// The shortest lifetime a fault sets, and the earliest renewal of it.
const SHORTEST_TURN: f64 = 1.0 * 0.8;

pub(crate) fn print(
    sandbox: &Sandbox,
    quiet: &Sandbox,
    accounts: &[Account],
    wrong: &[Account],
    gauge: &Gauge,
    took: Duration,
) -> bool {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut is_good = true;
    println!("Soak of {:.1} minutes, {} threads\n", took.as_secs_f64() / 60.0, crate::THREADS);
    println!(
        "| account | calls | got a token | errors | requests (allowed) | new tokens (allowed) | failed fetches | foreign | ended | known rejected | dead |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for account in accounts {
        let tally = &account.tally;
        let status = account.source.status();
        let sent = sandbox.token_requests_by(account.provider, &account.id) as u64;
        let allowed_requests = (status.tokens + status.failures) * ATTEMPTS;
        // One for each turn, for each token that was given up, for each demand, for each failure.
        let allowed_tokens = (took.as_secs_f64() / SHORTEST_TURN) as u64
            + status.invalidations
            + load(&tally.demands)
            + status.failures
            + 1;
        let bad = [&tally.foreign, &tally.expired, &tally.known_rejected, &tally.dead].map(load);
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
    println!("\n| check | found | allowed | |");
    println!("|---|--:|--:|---|");
    let mut row = |what: &str, found: u64, allowed: u64| {
        let verdict = if found <= allowed { "ok" } else { "**too many**" };
        println!("| {what} | {found} | {allowed} | {verdict} |");
        is_good &= found <= allowed;
    };
    for &provider in Provider::ALL {
        let counts = sandbox.counts(provider);
        let most = counts.max_concurrent_token_requests as u64;
        let accounts = accounts.iter().filter(|account| account.provider == provider).count();
        row(&format!("{provider}: token requests at one time"), most, accounts as u64);
    }
    let all = || accounts.iter().map(|account| &account.tally);
    let most = all().map(|tally| load(&tally.most_attempts)).max().unwrap_or_default();
    row("requests of one fetch", most, ATTEMPTS);
    // Or all that follows from success would hold for want of any.
    let failing = all().filter(|tally| load(&tally.errors) * 2 > load(&tally.calls)).count();
    row("accounts with more errors than tokens", failing as u64, 0);
    for account in wrong {
        let sent = quiet.token_requests(account.provider) as u64;
        let calls = load(&account.tally.calls);
        let what = format!("{}: requests for {calls} calls with a wrong secret", account.provider);
        row(&what, sent, allowed_refusals(took));
        let tokens = load(&account.tally.foreign);
        row(&format!("{}: tokens for a wrong secret", account.provider), tokens, 0);
    }
    let mut level = |what: &str, level: Level| {
        row(&format!("{what}, from {}", level.early), level.late, level.early + level.allowed);
        level.is_flat()
    };
    level("memory in KiB", gauge.memory());
    level("file descriptors", gauge.descriptors());
    println!("\n{}", if is_good { "All is well." } else { "Something is wrong: see above." });
    is_good
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
