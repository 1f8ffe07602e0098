//! Many threads, one request: on an empty cache, at expiry, under failures, and when a leader
//! dies. Where it matters who waits, a hold in the sandbox decides the order, not a clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Attempt, Error, ErrorKind, EventKind, Provider, Token, TokenOptions};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{PATIENCE, builder};

use crate::support::{ApiClient, lifetime, source, together};

#[test]
fn sixty_four_threads_on_an_empty_cache_and_at_expiry_make_one_request_each_time() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, clock) = source(&sandbox, provider);
        sandbox.set_delay(provider, Duration::from_millis(100));
        let mut last = String::new();
        for round in 1..=2 {
            let tokens = together(64, |_| source.token().unwrap().secret().to_owned());
            assert!(tokens.iter().all(|token| *token == tokens[0] && *token != last), "{provider}");
            assert_eq!(sandbox.token_requests(provider), round, "{provider}");
            last.clone_from(&tokens[0]);
            clock.advance(lifetime(provider));
        }
    }
}

#[test]
fn in_the_window_one_caller_renews_and_all_others_go_on_with_the_token_they_have() {
    let sandbox = Sandbox::start().unwrap();
    for (provider, percent) in [(Provider::NtxPay, 80), (Provider::NexterPay, 90)] {
        let (source, clock) = source(&sandbox, provider);
        let old = source.token().unwrap();
        clock.advance(lifetime(provider) * percent / 100);
        let hold = sandbox.hold(provider);
        thread::scope(|scope| {
            let leader = scope.spawn(|| source.token().unwrap());
            assert!(hold.wait_for_arrivals(1, PATIENCE));
            // The renewal cannot end before these have: they would hang if they waited for it.
            let others = together(63, |_| {
                let began = Instant::now();
                let token = source.token().unwrap();
                (token, began.elapsed())
            });
            for (token, _) in &others {
                assert_eq!(token.secret(), old.secret());
            }
            let longest = others.iter().map(|(_, took)| *took).max().unwrap();
            println!("{provider}: 63 callers beside a renewal waited {longest:?} at the most");
            hold.release();
            assert_ne!(leader.join().unwrap().secret(), old.secret());
        });
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn a_replaced_token_is_not_handed_out_while_its_successor_is_on_the_way() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, Provider::SendPayments);
    let old = source.token().unwrap();
    clock.advance(Duration::from_secs(200));
    let hold = sandbox.hold(Provider::SendPayments);
    thread::scope(|scope| {
        // A forced renewal: the old token would still be good for 100 s.
        let leader = scope.spawn(|| source.refresh().unwrap());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let cached_only = TokenOptions::new().deadline(Duration::ZERO);
        assert_eq!(source.token_with(&cached_only).unwrap_err().kind(), ErrorKind::Timeout);
        let others: Vec<_> = (0..15).map(|_| scope.spawn(|| source.token().unwrap())).collect();
        hold.release();
        let new = leader.join().unwrap();
        for other in others {
            assert_eq!(other.join().unwrap().secret(), new.secret());
        }
        assert_ne!(new.secret(), old.secret());
    });
    assert_eq!(sandbox.token_requests(Provider::SendPayments), 2);
}

#[test]
fn across_two_hundred_renewals_no_superseded_token_reaches_a_caller_and_no_two_fetches_overlap() {
    const THREADS: usize = 16;
    const ROUNDS: usize = 200;
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::SendPayments;
    let (source, clock) = source(&sandbox, provider);
    let refused = AtomicUsize::new(0);
    let replays = AtomicUsize::new(0);
    let barrier = Barrier::new(THREADS);
    together(THREADS, |index| {
        let api = ApiClient::new(&sandbox, provider);
        for round in 0..ROUNDS {
            barrier.wait();
            for call in 0..3 {
                if call == 1 && index == round % THREADS {
                    clock.advance(Duration::from_secs(286)); // past 95 % of 300 s
                }
                let mut attempts = 0;
                let status = source
                    .call(|token| {
                        attempts += 1;
                        Ok::<_, Error>(match api.status(token) {
                            401 => Attempt::Unauthorized(401),
                            status => Attempt::Done(status),
                        })
                    })
                    .unwrap();
                replays.fetch_add(attempts - 1, Ordering::Relaxed);
                if status != 200 {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            barrier.wait();
        }
    });
    let counts = sandbox.counts(provider);
    assert_eq!(refused.into_inner(), 0, "a 401 reached a caller");
    assert_eq!(counts.max_concurrent_token_requests, 1, "two fetches overlapped");
    assert_eq!(counts.token_requests, ROUNDS + 1);
    println!(
        "{ROUNDS} renewals, {} API calls, {} superseded on their way and replayed",
        counts.api_requests,
        replays.into_inner()
    );
}

#[test]
fn on_an_empty_cache_sixty_four_threads_share_one_failure() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        sandbox.set_delay(provider, Duration::from_millis(300));
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        let errors = together(64, |_| source.token().unwrap_err().kind());
        assert!(errors.iter().all(|kind| *kind == ErrorKind::ServerUnavailable), "{errors:?}");
        // One caller's: the first attempt and two retries.
        assert_eq!(sandbox.token_requests(provider), 3, "{provider}");
        assert_eq!(source.status().failures, 1);
    }
}

#[test]
fn in_the_window_a_failing_provider_costs_one_request_and_no_error() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, Provider::NtxPay);
    let old = source.token().unwrap();
    clock.advance(Duration::from_secs(500));
    sandbox.set_delay(Provider::NtxPay, Duration::from_millis(300));
    sandbox.fault_always(Provider::NtxPay, Some(Fault::Status(500)));
    for token in together(64, |_| source.token().unwrap()) {
        assert_eq!(token.secret(), old.secret());
    }
    assert_eq!(sandbox.token_requests(Provider::NtxPay), 2);
}

#[test]
fn an_event_hook_that_panics_at_any_moment_neither_blocks_nor_poisons_the_others() {
    fn is_request(kind: &EventKind) -> bool {
        matches!(kind, EventKind::Request { .. })
    }
    fn is_fetched(kind: &EventKind) -> bool {
        matches!(kind, EventKind::Fetched { .. })
    }
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for when in [is_request, is_fetched] {
            let has_panicked = AtomicBool::new(false);
            let source = builder(&sandbox, provider)
                .on_event(move |event| {
                    if when(&event.kind) && !has_panicked.swap(true, Ordering::SeqCst) {
                        panic!("the hook's own fault");
                    }
                })
                .build()
                .unwrap();
            let results = together(8, |_| catch_unwind(AssertUnwindSafe(|| source.token())));
            let panics = results.iter().filter(|result| result.is_err()).count();
            assert_eq!(panics, 1, "{provider}");
            assert!(results.into_iter().flatten().all(|token| token.is_ok()), "{provider}");
            assert!(source.token().is_ok(), "{provider}");
        }
    }
}

#[test]
fn an_api_closure_that_panics_leaves_the_source_as_it_was() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, Provider::NtxPay);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        source.call(|_| -> Result<Attempt<()>, Error> { panic!("the closure's own fault") })
    }));
    assert!(panicked.is_err());
    assert!(source.token().is_ok());
    assert_eq!(sandbox.token_requests(Provider::NtxPay), 1);
}

#[test]
fn a_leader_in_a_hurry_does_not_fail_those_who_have_time() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        let hold = sandbox.hold(provider);
        thread::scope(|scope| {
            let hurried = scope.spawn(|| {
                source.token_with(&TokenOptions::new().deadline(Duration::from_millis(1_500)))
            });
            assert!(hold.wait_for_arrivals(1, PATIENCE));
            let patient = scope.spawn(|| source.token());
            assert_eq!(hurried.join().unwrap().unwrap_err().kind(), ErrorKind::Timeout);
            // The flight that it began lands for the patient one.
            hold.release();
            patient.join().unwrap().unwrap();
        });
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
    }
}

#[test]
fn a_waiting_caller_gives_up_at_its_own_deadline() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, Provider::NtxPay);
    let hold = sandbox.hold(Provider::NtxPay);
    thread::scope(|scope| {
        let leader = scope.spawn(|| source.token());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let error = source
            .token_with(&TokenOptions::new().deadline(Duration::from_millis(20)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("has not come in time; the fetch goes on"), "{error}");
        hold.release();
        leader.join().unwrap().unwrap();
    });
}

#[test]
fn threads_that_meet_share_one_token_and_none_has_it_longer_than_it_counts() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, clock) = source(&sandbox, provider);
        let first = source.token().unwrap();
        let is_first = |token: Token| token.secret().as_ptr() == first.secret().as_ptr();
        let of_all = together(2, |_| (0..1000).all(|_| is_first(source.token().unwrap())));
        assert!(of_all.into_iter().all(|shared| shared), "one has a copy of its own");
        let second = source.refresh().unwrap();
        assert_ne!(second.secret(), first.secret(), "{provider}");
        let everywhere = |what: &str| {
            let seen = together(8, |_| source.token().unwrap().secret().to_owned());
            assert!(seen.iter().all(|secret| *secret == seen[0]), "{provider} {what}");
            seen[0].clone()
        };
        assert_eq!(everywhere("renewed"), second.secret(), "{provider}");
        source.invalidate(&second).unwrap();
        let third = everywhere("invalidated");
        assert_ne!(third, second.secret(), "{provider}");
        clock.advance(lifetime(provider));
        assert_ne!(everywhere("ended"), third, "{provider}");
        assert_eq!(sandbox.token_requests(provider), 4, "{provider}");
    }
}
