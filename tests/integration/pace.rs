//! Every way to ask has a pace, counted in requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paytoken::{Attempt, Error, ErrorKind, Provider, Secret, TokenOptions, TokenSource};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, builder};

use crate::processes::{Folder, process, secret, secs};
use crate::support::{lifetime, together};

const STEP: Duration = Duration::from_millis(100);

#[test]
fn eight_threads_make_three_requests_in_the_first_five_seconds_of_an_outage() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        let clock = ManualClock::new();
        let source = builder(&sandbox, provider).clock(clock.clone()).build().unwrap();
        for step in 0..50 {
            for error in together(8, |_| source.token().unwrap_err()) {
                assert_eq!(error.kind(), ErrorKind::ServerUnavailable);
                assert!(error.retry_after().is_some() && error.is_retryable(), "{error}");
            }
            assert_eq!(sandbox.token_requests(provider), 3, "{provider}, {step}");
            clock.advance(STEP);
        }
        // A person may ask at once.
        source.refresh().unwrap_err();
        assert_eq!(sandbox.token_requests(provider), 6, "{provider}");
        // When the provider is well again, so are the callers, within the pause.
        sandbox.fault_always(provider, None);
        clock.advance(Duration::from_secs(18));
        source.token().unwrap();
    }
}

#[test]
fn an_outage_that_one_process_has_met_is_everybody_s_answer() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        let (folder, clock) = (Folder::new(), ManualClock::new());
        for step in 0..50 {
            let process = builder(&sandbox, provider).store(folder.store()).clock(clock.clone());
            let error = process.build().unwrap().token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ServerUnavailable);
            assert!(error.retry_after().is_some(), "{error}");
            assert_eq!(sandbox.token_requests(provider), 3, "{provider}, {step}");
            clock.advance(STEP);
        }
        sandbox.fault_always(provider, None);
        clock.advance(Duration::from_secs(2));
        builder(&sandbox, provider)
            .store(folder.store())
            .clock(clock)
            .build()
            .unwrap()
            .token()
            .unwrap();
    }
}

#[test]
fn many_processes_that_renew_in_an_outage_ask_no_more_often_than_one_may() {
    let sandbox = Sandbox::start().unwrap();
    for provider in [Provider::NtxPay, Provider::NexterPay] {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let processes: Vec<_> =
            (0..20).map(|_| process(&sandbox, provider, &folder, &clock)).collect();
        let old = secret(&processes[0]);
        for process in &processes {
            assert_eq!(secret(process), old, "{provider}");
        }
        clock.advance(lifetime(provider) * 91 / 100);
        sandbox.reset_counts();
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        for step in 0..50 {
            // The token is still good: nobody fails, nobody waits.
            for process in &processes {
                assert_eq!(secret(process), old, "{provider}");
            }
            let requests = sandbox.token_requests(provider);
            assert!((1..=3).contains(&requests), "{provider}, {step}: {requests}");
            clock.advance(STEP);
        }
        // Whoever has no token may ask at once.
        let other = process(&sandbox, provider, &folder, &clock);
        other.refresh().unwrap_err();
        sandbox.fault_always(provider, None);
        // Two failures: 2 % of the token's life.
        clock.advance(lifetime(provider) / 50);
        let newer = secret(&process(&sandbox, provider, &folder, &clock));
        assert_ne!(newer, old, "{provider}");
    }
}

#[test]
fn an_outage_written_by_a_clock_that_is_ahead_holds_nobody_back() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NtxPay;
    let folder = Folder::new();
    let process = |clock: &ManualClock| {
        builder(&sandbox, provider).store(folder.store()).clock(clock.clone()).build().unwrap()
    };
    sandbox.fault_always(provider, Some(Fault::Status(500)));
    let ahead = ManualClock::new();
    ahead.advance(Duration::from_secs(86_400));
    process(&ahead).token().unwrap_err();
    sandbox.fault_always(provider, None);
    process(&ManualClock::new()).token().unwrap();
}

#[test]
fn callers_in_a_hurry_do_not_hammer_a_slow_provider_and_a_patient_one_gets_a_token() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let process = |time: Duration| {
            let builder = builder(&sandbox, provider).clock(clock.clone()).retries(0);
            builder.store(folder.store()).timeout(time).build().unwrap()
        };
        sandbox.reset_counts();
        sandbox.fault_next(provider, 1, Fault::Delay(secs(60)));
        // Each is a process of its own, which allows too little.
        for _ in 0..20 {
            let error = process(STEP * 5).token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{provider}: {error}");
        }
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        process(secs(15)).token().unwrap();
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
        process(STEP).token().unwrap();
    }
}

#[test]
fn where_all_callers_are_in_a_hurry_a_token_comes_in_the_end_for_one_request() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        // Alone, and with a store.
        for shares in [false, true] {
            let mut builder = builder(&sandbox, provider);
            if shares {
                builder = builder.store(folder.store());
            }
            let source = builder.build().unwrap();
            sandbox.reset_counts();
            let hold = sandbox.hold(provider);
            let hurried = TokenOptions::new().deadline(STEP);
            for _ in 0..3 {
                let error = source.token_with(&hurried).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout, "{provider}: {error}");
            }
            assert!(hold.wait_for_arrivals(1, secs(10)));
            hold.release();
            let deadline = TokenOptions::new().deadline(secs(10));
            source.token_with(&deadline).unwrap();
            assert_eq!(sandbox.token_requests(provider), 1, "{provider}, shares: {shares}");
            assert!(source.finish(secs(10)), "its thread ends");
        }
    }
}

#[test]
fn an_api_that_answers_401_to_every_token_costs_three_of_them_and_its_answer_is_handed_back() {
    for &provider in Provider::ALL {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let source = TokenSource::from_fn(provider, move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Ok((Secret::new(format!("t-{number}")), Duration::from_secs(300)))
        });
        let mut answers = 0;
        for _ in 0..50 {
            match source.call(|_| Ok::<_, Error>(Attempt::Unauthorized("401"))) {
                Ok(answer) => {
                    assert_eq!(answer, "401");
                    answers += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Rejected);
                    assert!(error.to_string().contains("fresh token"), "{error}");
                    assert!(error.retry_after().is_some());
                }
            }
        }
        assert_eq!((count.load(Ordering::SeqCst), answers), (3, 3), "{provider}");
    }
}
