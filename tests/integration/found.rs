//! What the simulation (`src/simulation`) and other histories of many processes found, each as a short
//! one that always happens.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use paytoken::{ErrorKind, Provider, Secret, Token, TokenSource};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder};

use crate::processes::{Folder, process, process_with, secret, secs};
use crate::support::{Acting, Does, Step, lifetime};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

#[test]
fn a_provider_that_repeats_a_token_that_its_api_refused_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Made in the same second, the first three are the same.
    let source = TokenSource::from_fn(NTX, move || {
        let number = count.fetch_add(1, Ordering::SeqCst) / 3;
        Ok((Secret::new(format!("token-{number}")), secs(600)))
    });
    let token = source.token().unwrap();
    source.invalidate(&token).unwrap();
    assert_eq!(source.token().unwrap().secret(), "token-1");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[test]
fn slower_please_is_for_every_secret_of_the_account() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        sandbox.fault_next(provider, 1, Fault::Status(429));
        let error = process(&sandbox, provider, &folder, &clock).token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        let requests = sandbox.token_requests(provider);
        let other = process_with(&sandbox, provider, &folder, &clock, "another");
        assert_eq!(other.token().unwrap_err().kind(), ErrorKind::RateLimited);
        assert_eq!(sandbox.token_requests(provider), requests, "{provider}");
    }
}

#[test]
fn a_refusal_of_one_secret_does_not_end_the_wait_that_is_for_all() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    sandbox.fault_next(NTX, 1, Fault::Status(429));
    let wrong = process_with(&sandbox, NTX, &folder, &clock, "wrong");
    assert_eq!(wrong.token().unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(wrong.refresh().unwrap_err().kind(), ErrorKind::Rejected);
    let error = process(&sandbox, NTX, &folder, &clock).token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn who_still_has_an_older_token_hears_that_it_was_revoked() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let idle = process(&sandbox, NTX, &folder, &clock);
    let old = idle.token().unwrap();
    let other = process(&sandbox, NTX, &folder, &clock);
    clock.advance(secs(1));
    let newer = other.refresh().unwrap();
    // Both are revoked, the older one when it is not the stored one any more.
    other.invalidate(&old).unwrap();
    other.invalidate(&newer).unwrap();
    sandbox.fault_always(NTX, Some(Fault::Status(500)));
    clock.advance(secs(2));
    assert!(idle.token().is_err(), "its token was revoked");
}

#[test]
fn a_revoked_token_is_not_forgotten_among_many() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let idle = process(&sandbox, NTX, &folder, &clock);
    idle.token().unwrap();
    let other = process(&sandbox, NTX, &folder, &clock);
    for _ in 0..10 {
        let token = other.token().unwrap();
        clock.advance(secs(15)); // it was accepted for a while
        other.invalidate(&token).unwrap();
    }
    sandbox.fault_always(NTX, Some(Fault::Status(500)));
    assert!(idle.token().is_err(), "the entry names eight, and this one was before them");
}

#[test]
fn a_renewal_in_the_background_hides_no_invalidation() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let build = builder(&sandbox, NTX).store(folder.store()).clock(clock.clone());
    let idle = build.renew_in_background(true).build().unwrap();
    let token = idle.token().unwrap();
    clock.advance(secs(500));
    process(&sandbox, NTX, &folder, &clock).invalidate(&token).unwrap();
    clock.advance(secs(2));
    if let Ok(next) = idle.token() {
        assert_ne!(next.secret(), token.secret());
    }
}

#[test]
fn a_replacement_that_fails_elsewhere_is_waited_for() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let replacing = process(&sandbox, SEND, &folder, &clock);
    let token = replacing.token().unwrap();
    // Its own secret is wrong, so it lives on what others fetch.
    let poor = process_with(&sandbox, SEND, &folder, &clock, "wrong");
    clock.advance(secs(1));
    poor.refresh().unwrap_err();
    clock.advance(secs(2));
    assert_eq!(poor.token().unwrap().secret(), token.secret());
    sandbox.fault_next(SEND, 1, Fault::Status(429));
    let hold = sandbox.hold(SEND);
    thread::scope(|scope| {
        let failing = scope.spawn(|| replacing.refresh());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        clock.advance(secs(2));
        let waiting = scope.spawn(|| poor.token());
        hold.release();
        failing.join().unwrap().unwrap_err();
        assert_eq!(waiting.join().unwrap().unwrap().secret(), token.secret());
    });
}

#[test]
fn two_replacements_that_nobody_could_store_are_not_taken_for_one() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    // Each takes the stored token out, and cannot write the new one.
    let process = || {
        let writes = AtomicUsize::new(0);
        let store = Acting(folder.store(), move |step| match step {
            Step::Write if writes.fetch_add(1, Ordering::SeqCst) == 1 => Does::Fails,
            _ => Does::AsAsked,
        });
        builder(&sandbox, SEND).store(store).clock(clock.clone()).build().unwrap()
    };
    let one = process();
    let first = one.token().unwrap();
    assert_ne!(process().token().unwrap().secret(), first.secret());
    clock.advance(secs(2));
    assert_ne!(one.token().unwrap().secret(), first.secret(), "it was replaced");
}

#[test]
fn runs_whose_api_refuses_every_fresh_token_are_held_back_together() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let mut refused = 0;
        for _ in 0..30 {
            match process(&sandbox, provider, &folder, &clock).token() {
                // Each run is a process of its own; its API answers 401.
                Ok(token) => {
                    process(&sandbox, provider, &folder, &clock).invalidate(&token).unwrap();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
                    assert!(error.to_string().contains("fresh token"), "{error}");
                    refused += 1;
                }
            }
            clock.advance(secs(1));
        }
        assert_eq!((sandbox.token_requests(provider), refused), (3, 27), "{provider}");
        // One more after a minute, and it holds for longer.
        clock.advance(secs(60));
        let token = process(&sandbox, provider, &folder, &clock).token().unwrap();
        process(&sandbox, provider, &folder, &clock).invalidate(&token).unwrap();
        clock.advance(secs(60));
        process(&sandbox, provider, &folder, &clock).token().unwrap_err();
        assert_eq!(sandbox.token_requests(provider), 4, "{provider}");
    }
}

#[test]
fn a_refusal_of_one_secret_does_not_end_an_outage_that_others_wait_out() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    sandbox.fault_always(NTX, Some(Fault::Status(500)));
    process(&sandbox, NTX, &folder, &clock).token().unwrap_err();
    sandbox.fault_always(NTX, None);
    let wrong = process_with(&sandbox, NTX, &folder, &clock, "wrong");
    assert_eq!(wrong.refresh().unwrap_err().kind(), ErrorKind::Rejected);
    let requests = sandbox.token_requests(NTX);
    let error = process(&sandbox, NTX, &folder, &clock).token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerUnavailable, "{error}");
    assert_eq!(sandbox.token_requests(NTX), requests);
}

#[test]
fn a_clock_that_is_set_back_does_not_revive_a_token_through_the_store() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let source = process(&sandbox, provider, &folder, &clock);
        let first = secret(&source);
        clock.advance(lifetime(provider) / 2);
        clock.step_wall_back(lifetime(provider) * 2 / 5);
        clock.advance(lifetime(provider) / 2);
        assert_ne!(secret(&source), first, "{provider}: it has ended");
    }
}

#[test]
fn a_forced_request_that_fails_does_not_shorten_an_outage() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let process = || process(&sandbox, provider, &folder, &clock);
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        process().token().unwrap_err();
        let forced = builder(&sandbox, provider).store(folder.store()).clock(clock.clone());
        forced.retries(0).build().unwrap().refresh().unwrap_err();
        let requests = sandbox.token_requests(provider);
        clock.advance(secs(6));
        process().token().unwrap_err();
        assert_eq!(sandbox.token_requests(provider), requests, "{provider}: four have failed");
        clock.advance(secs(6));
        process().token().unwrap_err();
        assert_eq!(sandbox.token_requests(provider), requests + 1, "{provider}: one finds out");
    }
}

/// A process's first token, and the entry as it was while that was fetched: what a server still has
/// that has lost its last write.
fn with_an_earlier_entry(
    sandbox: &Sandbox,
    one: &TokenSource,
    folder: &Folder,
) -> (Token, Vec<u8>) {
    let hold = sandbox.hold(SEND);
    thread::scope(|scope| {
        let fetching = scope.spawn(|| one.token());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let earlier = fs::read(folder.entry()).unwrap();
        hold.release();
        (fetching.join().unwrap().unwrap(), earlier)
    })
}

#[test]
fn a_token_is_revoked_for_all_though_the_store_has_lost_it() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let [one, other] = [0; 2].map(|_| process(&sandbox, SEND, &folder, &clock));
    let (token, earlier) = with_an_earlier_entry(&sandbox, &one, &folder);
    assert_eq!(other.token().unwrap().secret(), token.secret());
    fs::write(folder.entry(), earlier).unwrap();
    clock.advance(secs(2));
    assert_eq!(other.token().unwrap().secret(), token.secret(), "nobody has replaced it");
    one.invalidate(&token).unwrap();
    clock.advance(secs(2));
    assert_ne!(other.token().unwrap().secret(), token.secret());
}

#[test]
fn a_replacement_by_who_does_not_know_what_the_store_has_lost_is_noticed() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, SEND, &folder, &clock);
    let (token, earlier) = with_an_earlier_entry(&sandbox, &one, &folder);
    fs::write(folder.entry(), earlier).unwrap();
    // A token may have been made, and nobody has it.
    sandbox.fault_next(SEND, 1, Fault::Status(500));
    let unaware = builder(&sandbox, SEND).store(folder.store()).clock(clock.clone());
    unaware.retries(0).build().unwrap().token().unwrap_err();
    clock.advance(secs(5));
    assert_ne!(one.token().unwrap().secret(), token.secret());
}

#[test]
fn who_knows_more_than_the_store_goes_on_counting_from_there() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let [one, other] = [0; 2].map(|_| process(&sandbox, SEND, &folder, &clock));
    let (first, earlier) = with_an_earlier_entry(&sandbox, &one, &folder);
    clock.advance(secs(1));
    let token = one.refresh().unwrap();
    assert_ne!(token.secret(), first.secret());
    assert_eq!(other.token().unwrap().secret(), token.secret());
    fs::write(folder.entry(), earlier).unwrap();
    sandbox.fault_next(SEND, 3, Fault::Status(500));
    clock.advance(secs(1));
    one.refresh().unwrap_err();
    clock.advance(secs(20));
    assert_ne!(other.token().unwrap().secret(), token.secret(), "it may have been replaced");
}

#[test]
fn a_token_that_could_not_be_stored_is_kept_by_who_has_it() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let writes = AtomicUsize::new(0);
    let store = Acting(folder.store(), move |step| match step {
        Step::Write if writes.fetch_add(1, Ordering::SeqCst) == 1 => Does::Fails,
        _ => Does::AsAsked,
    });
    let one = builder(&sandbox, SEND).store(store).clock(clock.clone()).build().unwrap();
    let token = one.token().unwrap();
    clock.advance(secs(2));
    assert_eq!(one.token().unwrap().secret(), token.secret());
    assert_eq!(sandbox.token_requests(SEND), 1);
}
