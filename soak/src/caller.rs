//! One thread of a busy program: asks for tokens in every way there is, and judges what it gets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Attempt, Error, Provider, Token, TokenOptions};
use paytoken_sandbox::Sandbox;

use crate::LIFETIME;
use crate::account::{Account, count};
use crate::chance::Chance;
use crate::line::forced;
use crate::recipe::{is_old, owner};

/// A token is handed out with a twentieth of its life left at least. A thread that was kept from
/// running for longer than half of that is no judge.
const JUDGES_WITHIN: Duration = Duration::from_millis(25);

pub(crate) fn run(
    sandbox: &Sandbox,
    accounts: &[Account],
    wrong: &[Account],
    is_over: &AtomicBool,
    mut chance: Chance,
) {
    while !is_over.load(Ordering::Relaxed) {
        // A pause, as between two payments; nothing is waited for.
        thread::sleep(Duration::from_millis(5 + chance.below(20)));
        let account = chance.of(accounts);
        match chance.below(10_000) {
            0..20 => revoke(sandbox, account),
            20..22 => ask(sandbox, account, true, |account| forced(|| account.source.refresh())),
            22..24 => ask(sandbox, account, true, |account| {
                account.source.token_valid_for(LIFETIME * 3 / 5)
            }),
            24..500 => ask(sandbox, account, false, |account| {
                account.source.token_with(&TokenOptions::new().deadline(Duration::ZERO))
            }),
            500..1000 => call(sandbox, account),
            1000..2000 => {
                let account = chance.of(wrong);
                count(&account.tally.calls);
                match account.source.token() {
                    Ok(_) => count(&account.tally.foreign),
                    Err(_) => count(&account.tally.errors),
                }
            }
            _ => ask(sandbox, account, false, |account| account.source.token()),
        }
    }
}

/// Asks in some way, and judges the token.
fn ask(
    sandbox: &Sandbox,
    account: &Account,
    is_demand: bool,
    get: impl FnOnce(&Account) -> Result<Token, Error>,
) {
    let requests = || sandbox.token_requests_by(account.provider, &account.id);
    let requests_before = requests();
    let began = Instant::now();
    if is_demand {
        count(&account.tally.demands);
    }
    count(&account.tally.calls);
    let Ok(token) = get(account) else {
        count(&account.tally.errors);
        return;
    };
    count(&account.tally.tokens);
    let remaining = token.remaining();
    let is_prompt = began.elapsed() < JUDGES_WITHIN;
    if remaining.is_zero() && is_prompt {
        count(&account.tally.expired);
    }
    if account.rejected.has(token.secret(), began) {
        count(&account.tally.known_rejected);
    }
    if owner(token.secret()) != Some((account.provider, account.id.clone())) {
        count(&account.tally.foreign);
    }
    let is_valid = sandbox.is_valid(account.provider, token.secret());
    let ended_meanwhile = token.remaining().is_zero()
        || account.revoked.has(token.secret(), Instant::now())
        // At Send any request may just have ended it.
        || account.provider == Provider::SendPayments && requests() != requests_before;
    if !is_valid && !ended_meanwhile {
        count(&account.tally.dead);
    }
}

/// The provider ends a token; the API's 401 makes it known.
fn revoke(sandbox: &Sandbox, account: &Account) {
    count(&account.tally.calls);
    let Ok(token) = account.source.token() else {
        count(&account.tally.errors);
        return;
    };
    if !is_old(&token) {
        return;
    }
    account.revoked.note(token.secret());
    sandbox.revoke(token.secret());
    account.source.invalidate(&token).expect("there is no store that could fail");
    account.rejected.note(token.secret());
}

/// An API call with its one replay.
fn call(sandbox: &Sandbox, account: &Account) {
    count(&account.tally.calls);
    let mut attempts = 0;
    let answer = account.source.call(|token| {
        attempts += 1;
        let is_valid = sandbox.is_valid(account.provider, token.secret());
        Ok::<_, Error>(match is_valid {
            true => Attempt::Done(()),
            false => Attempt::Unauthorized(()),
        })
    });
    assert!(attempts <= 2, "a call was replayed more than once");
    if answer.is_err() {
        count(&account.tally.errors);
    }
}
