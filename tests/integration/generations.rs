//! What processes tell each other through a store, where clocks and timing are against them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use paytoken::{ErrorKind, Provider};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder};

use crate::processes::{Folder, process, process_with, secret, secs};
use crate::support::{Acting, Does, Step};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

#[test]
fn a_token_stays_revoked_across_a_success_by_a_clock_that_was_set_back() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock, slow) = (Folder::new(), ManualClock::new(), ManualClock::new());
        let one = process(&sandbox, provider, &folder, &clock);
        let revoked = one.token().unwrap();
        let other = process(&sandbox, provider, &folder, &clock);
        assert_eq!(secret(&other), revoked.secret());
        one.invalidate(&revoked).unwrap();
        // A third process, whose wall clock is behind, fetches the next token.
        slow.step_wall_back(secs(5));
        let next = secret(&process(&sandbox, provider, &folder, &slow));
        assert_ne!(next, revoked.secret());
        clock.advance(secs(2));
        assert_eq!(secret(&other), next, "{provider}");
    }
}

#[test]
fn a_stored_token_that_has_ended_does_not_displace_a_good_one() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, NTX, &folder, &clock);
    let good = secret(&one);
    // Another process fetches a short one, which ends at once.
    sandbox.set_lifetime(NTX, secs(2));
    clock.advance(secs(1));
    process(&sandbox, NTX, &folder, &clock).refresh().unwrap();
    clock.advance(secs(3));
    assert_eq!(secret(&one), good);
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn one_failed_read_does_not_hide_a_revoked_token_for_good() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let fails = Arc::new(AtomicBool::new(false));
        let (store, told) = (folder.store(), fails.clone());
        let store = Acting(store, move |step| match step {
            Step::Read if told.swap(false, Ordering::SeqCst) => Does::Fails,
            _ => Does::AsAsked,
        });
        let source = builder(&sandbox, provider).store(store).clock(clock.clone()).build().unwrap();
        let token = source.token().unwrap();
        process(&sandbox, provider, &folder, &clock).invalidate(&token).unwrap();
        clock.advance(secs(2));
        fails.store(true, Ordering::SeqCst);
        assert_eq!(secret(&source), token.secret(), "the entry could not be read");
        clock.advance(secs(2));
        assert_ne!(secret(&source), token.secret(), "{provider}");
    }
}

#[test]
fn a_token_that_is_revoked_while_it_is_replaced_does_not_come_back() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, SEND, &folder, &clock);
    let token = one.token().unwrap();
    let other = process(&sandbox, SEND, &folder, &clock);
    // A refusal puts the old token back into the store.
    sandbox.fault_next(SEND, 1, Fault::Status(429));
    let hold = sandbox.hold(SEND);
    thread::scope(|scope| {
        let replacing = scope.spawn(|| one.refresh());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let revoking = scope.spawn(|| other.invalidate(&token));
        hold.release();
        assert_eq!(replacing.join().unwrap().unwrap_err().kind(), ErrorKind::RateLimited);
        revoking.join().unwrap().unwrap();
    });
    let third = process(&sandbox, SEND, &folder, &clock);
    match third.token() {
        Ok(next) => assert_ne!(next.secret(), token.secret()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::RateLimited),
    }
}

#[test]
fn a_secret_that_differs_at_each_run_is_refused_a_dozen_times_an_hour_at_most() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    for minute in 0..60 {
        let secret = format!("wrong-secret-{minute}");
        let source = process_with(&sandbox, NTX, &folder, &clock, &secret);
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        assert!(error.retry_after().is_some());
        clock.advance(secs(60));
    }
    // Six at once, then one every ten minutes.
    assert_eq!(sandbox.token_requests(NTX), 11);
    // A person may override; and within ten minutes the right secret works by itself.
    clock.advance(secs(600));
    process(&sandbox, NTX, &folder, &clock).token().unwrap();
    assert_eq!(sandbox.token_requests(NTX), 12);
}

#[test]
fn a_provider_that_asks_for_less_is_obeyed_and_is_no_refusal_of_the_account() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    sandbox.fault_next(NTX, 8, Fault::TooManyRequests { retry_after: Some("1".into()) });
    for _ in 0..8 {
        let error = process(&sandbox, NTX, &folder, &clock).token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        clock.advance(secs(2));
    }
    process(&sandbox, NTX, &folder, &clock).token().unwrap();
}

#[test]
fn two_stale_secrets_in_turn_are_each_remembered() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    for run in 0..6 {
        for secret in ["stale-secret-a", "stale-secret-b"] {
            let source = process_with(&sandbox, NTX, &folder, &clock, secret);
            assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Rejected, "{run}");
        }
        clock.advance(secs(1));
    }
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn a_refusal_written_by_a_clock_that_is_ahead_holds_nobody_back() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, ahead) = (Folder::new(), ManualClock::new());
        ahead.advance(secs(86_400));
        sandbox.fault_next(provider, 1, Fault::Status(401));
        process(&sandbox, provider, &folder, &ahead).token().unwrap_err();
        process(&sandbox, provider, &folder, &ManualClock::new()).token().unwrap();
    }
}

#[test]
fn a_forced_failure_leaves_a_standing_refusal_as_it_is() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let refused = process(&sandbox, provider, &folder, &clock);
        sandbox.fault_next(provider, 1, Fault::Status(401));
        refused.token().unwrap_err();
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        assert_eq!(refused.refresh().unwrap_err().kind(), ErrorKind::ServerUnavailable);
        sandbox.fault_always(provider, None);
        // When the outage's pause is over, the refusal still stands, as what it is.
        clock.advance(secs(20));
        let before = sandbox.token_requests(provider);
        let error = process(&sandbox, provider, &folder, &clock).token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{provider}: {error}");
        assert_eq!(sandbox.token_requests(provider), before);
        clock.advance(secs(60));
        process(&sandbox, provider, &folder, &clock).token().unwrap();
    }
}

#[test]
fn another_process_s_success_ends_a_refusal_here() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let refused = process(&sandbox, provider, &folder, &clock);
        sandbox.fault_next(provider, 1, Fault::Status(429));
        refused.token().unwrap_err();
        sandbox.set_lifetime(provider, secs(30));
        process(&sandbox, provider, &folder, &clock).refresh().unwrap();
        assert!(refused.token().is_ok(), "{provider}: it is in the store");
        // After that token's end, this one asks for itself, within the minute.
        clock.advance(secs(31));
        assert!(refused.token().is_ok(), "{provider}");
    }
}

#[test]
fn with_a_full_disk_coexisting_tokens_go_on_and_send_sends_nothing() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let full = Acting(folder.store(), |step| match step {
            Step::Write => Does::Fails,
            _ => Does::AsAsked,
        });
        let source = builder(&sandbox, provider).store(full).build().unwrap();
        match provider {
            SEND => assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Store),
            _ => assert!(source.token().is_ok(), "{provider}"),
        }
        let requests = if provider == SEND { 0 } else { 1 };
        assert_eq!(sandbox.token_requests(provider), requests, "{provider}");
    }
}

#[test]
fn a_version_s_additions_are_kept_by_one_that_does_not_know_them() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, NTX, &folder, &clock);
    let token = secret(&one);
    let path = folder.entry();
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, content) = text.split_once('\n').unwrap();
    let content = content.replacen('{', r#"{"from_tomorrow":{"a":[1,"b"]},"#, 1);
    let version = head.split(' ').next().unwrap();
    std::fs::write(&path, format!("{version} {}\n{content}", sha256(&content))).unwrap();
    let other = process(&sandbox, NTX, &folder, &clock);
    assert_eq!(secret(&other), token, "it is understood all the same");
    other.refresh().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""from_tomorrow":{"a":[1,"b"]}"#), "it was lost");
}

fn sha256(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
