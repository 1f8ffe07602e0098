//! Every way to ask has a pace, counted in requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use paytoken::store::Store;
use paytoken::{
    Attempt, Builder, Environment, Error, ErrorKind, Provider, Secret, TokenOptions, TokenSource,
};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, builder, credentials};

use crate::processes::{Folder, key, process, process_with, secret, secs};
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
        // Each is a process of its own, which allows too little; those after the first even less, whatever
        // a busy machine takes of it.
        for time in std::iter::once(STEP * 10).chain([STEP * 5; 19]) {
            let error = process(time).token().unwrap_err();
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

#[test]
fn the_success_of_one_secret_leaves_what_is_remembered_of_another() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::SendPayments;
    // Half of a rotation: one job has the old secret, and tokens end within a minute.
    sandbox.set_lifetime(provider, secs(50));
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let mut refused = 0;
    for _ in 0..20 {
        process(&sandbox, provider, &folder, &clock).token().unwrap();
        clock.advance(secs(55));
        let before = sandbox.token_requests(provider);
        process_with(&sandbox, provider, &folder, &clock, "wrong").token().unwrap_err();
        refused += sandbox.token_requests(provider) - before;
        clock.advance(secs(5));
    }
    assert_eq!(refused, 3, "after 60 s and 240 s; the next is after 900 s");
}

#[test]
fn a_corrected_secret_heals_by_itself_and_forced_requests_with_a_wrong_one_hold_it_back_not_at_all()
{
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        for _ in 0..10 {
            let wrong = process_with(&sandbox, provider, &folder, &clock, "wrong");
            assert_eq!(wrong.refresh().unwrap_err().kind(), ErrorKind::Rejected);
        }
        let error = process_with(&sandbox, provider, &folder, &clock, "wrong").token().unwrap_err();
        assert_eq!(error.retry_after(), Some(secs(900)), "{error}");
        process(&sandbox, provider, &folder, &clock).token().unwrap();
    }
}

#[test]
fn a_refusal_of_this_secret_is_told_before_an_outage() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let wrong = || process_with(&sandbox, provider, &folder, &clock, "wrong").token();
        wrong().unwrap_err();
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        process(&sandbox, provider, &folder, &clock).token().unwrap_err();
        assert_eq!(wrong().unwrap_err().kind(), ErrorKind::Rejected, "{provider}");
    }
}

#[test]
fn what_this_machine_or_this_caller_is_short_of_holds_no_other_process_back() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let with_folder = || builder(&sandbox, provider).store(folder.store()).clock(clock.clone());
        // Trust that does not fit, a proxy that is not there, a time that is not enough.
        let untrusting = reach_untrusting(&sandbox, provider).store(folder.store());
        let hurried = with_folder().timeout(STEP).retries(0);
        let proxied = with_folder().proxy("http://127.0.0.1:1").retries(0);
        sandbox.fault_next(provider, 1, Fault::Delay(secs(60)));
        for (builder, kind) in [
            (hurried, ErrorKind::Timeout),
            (untrusting.clock(clock.clone()), ErrorKind::Certificate),
            (proxied, ErrorKind::Transport),
        ] {
            let error = builder.build().unwrap().token().unwrap_err();
            assert_eq!(error.kind(), kind, "{provider}: {error}");
        }
        with_folder().build().unwrap().token().unwrap();
    }
}

/// It trusts another authority than the sandbox's.
fn reach_untrusting(sandbox: &Sandbox, provider: Provider) -> Builder {
    let other = Sandbox::start().unwrap();
    let credentials = credentials(sandbox, provider);
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&sandbox.url(provider))
        .root_certificates_pem(other.ca_pem().as_bytes())
}

#[test]
fn a_token_that_lives_for_a_moment_is_asked_for_once_a_second() {
    let lifetime = secs(1);
    std::thread::scope(|scope| {
        for &provider in Provider::ALL {
            scope.spawn(move || lives_for(provider, lifetime));
        }
    });
}

fn lives_for(provider: Provider, lifetime: Duration) {
    let count = Arc::new(AtomicUsize::new(0));
    let source = || {
        let counter = count.clone();
        TokenSource::from_fn(provider, move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Ok((Secret::new(format!("token-{number}")), lifetime))
        })
    };
    let began = Instant::now();
    let paced = source();
    let most = TokenOptions::new().min_validity(lifetime / 2);
    for _ in 0..6 {
        // Each is asked for when half of the one before is over.
        let token = paced.token_with(&most).unwrap();
        paytoken_testing::until("it is old", || token.remaining() < lifetime / 2);
    }
    // What came after the first waited for the end of a second each.
    assert!(began.elapsed() > secs(5) - STEP, "{provider}: {:?}", began.elapsed());
    assert!(count.load(Ordering::SeqCst) <= 6, "{provider}");
    // A person, and an API that revokes, wait for nothing; else each would wait for a second.
    let began = Instant::now();
    for _ in 0..6 {
        let source = source();
        source.invalidate(&source.token().unwrap()).unwrap();
        source.token().unwrap();
        source.refresh().unwrap();
    }
    assert!(began.elapsed() < secs(5), "{provider}: {:?}", began.elapsed());
}

#[test]
fn every_wait_on_a_store_is_within_the_caller_s_deadline() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let source = builder(&sandbox, provider).store(folder.store()).build().unwrap();
        source.token().unwrap();
        let store = folder.store();
        let guard = store.lock(&key(&sandbox, provider), secs(10), secs(10)).unwrap().unwrap();
        let began = Instant::now();
        let options = TokenOptions::new().deadline(STEP * 5);
        let answer = source.call_with(&options, |_| Ok::<_, Error>(Attempt::Unauthorized(())));
        // Another process has the lock all the time; the source's own time-out is fifteen seconds.
        let took = began.elapsed();
        assert!(took < secs(8), "{provider}: {took:?}");
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout, "{provider}");
        drop(guard);
        assert!(source.finish(secs(20)));
    }
}
