//! When a token is renewed, when it counts as ended, what survives a failure, and what is
//! remembered. Time is moved by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use paytoken::{Attempt, Error, ErrorKind, EventKind, Provider, TokenOptions, TokenSource};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder, credentials_with, reach};

use crate::support::{ApiClient, lifetime, source};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn secret(source: &TokenSource) -> String {
    source.token().unwrap().secret().to_owned()
}

#[test]
fn windows_are_fractions_of_the_lifetime() {
    let sandbox = Sandbox::start().unwrap();
    // Where the window begins; for Send that is where the token counts as ended.
    for (provider, window) in [(NTX, 480), (Provider::NexterPay, 32_400), (SEND, 285)] {
        let (source, clock) = source(&sandbox, provider);
        let first = secret(&source);
        clock.advance(secs(window - 1));
        assert_eq!(secret(&source), first, "{provider}");
        clock.advance(secs(1));
        assert_ne!(secret(&source), first, "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn windows_scale_down_with_short_tokens() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_lifetime(NTX, secs(10));
    let (source, clock) = source(&sandbox, NTX);
    let first = secret(&source);
    clock.advance(Duration::from_millis(7_900));
    assert_eq!(secret(&source), first);
    clock.advance(Duration::from_millis(100));
    assert_ne!(secret(&source), first);
}

#[test]
fn the_last_five_percent_at_most_thirty_seconds_count_as_ended() {
    let sandbox = Sandbox::start().unwrap();
    for (provider, margin) in [(NTX, 30), (Provider::NexterPay, 30), (SEND, 15)] {
        let (source, clock) = source(&sandbox, provider);
        let token = source.token().unwrap();
        let first = token.secret();
        sandbox.fault_always(provider, Some(Fault::Status(500)));
        let no_fetch = TokenOptions::new().deadline(Duration::ZERO);
        clock.advance(token.lifetime() - secs(margin) - Duration::from_millis(1));
        assert_eq!(source.token_with(&no_fetch).unwrap().secret(), first, "{provider}");
        clock.advance(Duration::from_millis(1));
        assert!(source.token_with(&no_fetch).is_err(), "{provider}");
    }
}

#[test]
fn the_earlier_of_two_clocks_ends_a_token() {
    let sandbox = Sandbox::start().unwrap();
    let day = secs(86_400);
    type Step = fn(&ManualClock, Duration);
    let moves: [(&str, Step, bool); 3] = [
        ("a suspended machine: only the wall clock went on", ManualClock::step_wall_forward, true),
        ("only the monotonic clock went on", ManualClock::advance_monotonic_only, true),
        ("the wall clock was set back", ManualClock::step_wall_back, false),
    ];
    for &provider in Provider::ALL {
        for (what, step, ends) in moves {
            let (source, clock) = source(&sandbox, provider);
            let first = secret(&source);
            step(&clock, day);
            assert_eq!(secret(&source) != first, ends, "{provider}: {what}");
        }
        // Set back, the token still ends when its time has really passed.
        let (source, clock) = source(&sandbox, provider);
        let first = source.token().unwrap();
        clock.step_wall_back(day);
        clock.advance(lifetime(provider));
        assert_eq!(first.remaining(), Duration::ZERO);
        assert_ne!(secret(&source), first.secret(), "{provider}");
    }
}

#[test]
fn a_failed_renewal_leaves_the_valid_token_in_use_and_waits_before_the_next() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, NTX);
    let first = secret(&source);
    sandbox.fault_always(NTX, Some(Fault::Reset));
    clock.advance(secs(480));
    let mut requests = 1;
    // 1 % of the lifetime, doubling up to 5 %.
    for wait in [6, 12, 24, 30] {
        assert_eq!(secret(&source), first);
        requests += 1;
        clock.advance(secs(wait) - Duration::from_millis(1));
        assert_eq!(secret(&source), first);
        assert_eq!(sandbox.token_requests(NTX), requests, "before {wait} s");
        clock.advance(Duration::from_millis(1));
    }
    sandbox.fault_always(NTX, None);
    assert_ne!(secret(&source), first);
}

#[test]
fn refresh_gets_a_new_token_and_leaves_the_old_where_it_fails() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        let first = secret(&source);
        let second = source.refresh().unwrap().secret().to_owned();
        assert_ne!(first, second);
        assert_eq!(secret(&source), second);
        // A refusal cannot have made a token: also Send's stays.
        sandbox.fault_next(provider, 1, Fault::Status(400));
        assert_eq!(source.refresh().unwrap_err().kind(), ErrorKind::Rejected);
        assert_eq!(secret(&source), second, "{provider}");
        // It was remembered, and refresh overrides.
        assert!(source.refresh().is_ok(), "{provider}");
    }
}

#[test]
fn a_lost_answer_ends_the_old_token_only_where_a_new_one_replaces_it() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let clock = ManualClock::new();
        let source = builder(&sandbox, provider).clock(clock.clone()).retries(0).build().unwrap();
        let first = secret(&source);
        sandbox.fault_next(provider, 1, Fault::LostAnswer);
        assert_eq!(source.refresh().unwrap_err().kind(), ErrorKind::Transport);
        clock.advance(secs(2)); // the pause after a failure
        assert_eq!(secret(&source) == first, provider != SEND, "{provider}");
        assert!(sandbox.is_valid(provider, &secret(&source)), "{provider}");
    }
}

#[test]
fn a_token_is_valid_for_as_long_as_was_asked_or_there_is_an_error() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, clock) = source(&sandbox, provider);
        let life = lifetime(provider);
        let first = source.token_valid_for(life / 2).unwrap();
        clock.advance(life * 6 / 10);
        let second = source.token_valid_for(life / 2).unwrap();
        assert_ne!(first.secret(), second.secret(), "{provider}");
        assert!(second.remaining() >= life / 2);
        let requests = sandbox.token_requests(provider);
        let most = life * 8 / 10 - secs(1); // a token may live a second less than that
        clock.advance(life * 3 / 10);
        for too_long in [most + secs(2), life + secs(1)] {
            let error = source.token_valid_for(too_long).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{provider}");
            assert!(error.to_string().contains("min_validity"), "{error}");
        }
        assert_eq!(sandbox.token_requests(provider), requests, "{provider}: no request");
        assert_eq!(secret(&source), second.secret(), "{provider}: the token stays");
        assert!(source.token_valid_for(most).unwrap().remaining() >= most, "{provider}");
    }
}

#[test]
fn a_token_shorter_than_asked_is_one_error_not_a_loop() {
    let sandbox = Sandbox::start().unwrap();
    for provider in [NTX, SEND] {
        sandbox.set_lifetime(provider, secs(100));
        let (source, _) = source(&sandbox, provider);
        for _ in 0..3 {
            let error = source.token_valid_for(secs(200)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
    }
}

#[test]
fn a_token_that_has_ended_when_it_comes_is_one_error_not_a_loop() {
    let sandbox = Sandbox::start().unwrap();
    let clock = ManualClock::new();
    let during = clock.clone();
    let source = builder(&sandbox, NTX)
        .clock(clock)
        // The machine is suspended for an hour while the request is on its way.
        .on_event(move |_| during.step_wall_forward(secs(3600)))
        .build()
        .unwrap();
    assert_eq!(source.token().unwrap_err().kind(), ErrorKind::InvalidResponse);
    assert_eq!(sandbox.token_requests(NTX), 1);
}

#[test]
fn wrong_credentials_are_remembered_longer_each_time_until_refresh_or_success() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let clock = ManualClock::new();
        let source =
            reach(&sandbox, provider, credentials_with(&sandbox, provider, "wrong-secret"))
                .clock(clock.clone())
                .build()
                .unwrap();
        let mut requests = 0;
        for wait in [60, 240, 900, 900] {
            assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Rejected, "{provider}");
            requests += 1;
            clock.advance(secs(wait) - Duration::from_millis(1));
            let error = source.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert_eq!(source.status().blocked_for, error.retry_after());
            assert!(error.retry_after().unwrap() <= Duration::from_millis(1));
            assert!(error.to_string().contains("remembered"), "{error}");
            assert_eq!(sandbox.token_requests(provider), requests, "{provider}");
            clock.advance(Duration::from_millis(1));
        }
        assert!(source.refresh().is_err());
        assert_eq!(sandbox.token_requests(provider), requests + 1, "{provider}");
        // Corrected at the provider's side: refresh gets through, and all is forgotten.
        let id = sandbox.client_id(provider).to_owned();
        sandbox.change_secret(provider, &id, "wrong-secret");
        source.refresh().unwrap();
        assert_eq!(source.status().blocked_for, None);
    }
}

#[test]
fn a_suspended_account_and_a_rate_limit_are_remembered_too() {
    let sandbox = Sandbox::start().unwrap();
    let too_many = Fault::TooManyRequests { retry_after: Some("7".into()) };
    let busy = Fault::Unavailable { retry_after: Some("9".into()) };
    for (fault, kind, wait) in [
        (Fault::Status(403), ErrorKind::Forbidden, 60),
        (too_many, ErrorKind::RateLimited, 7),
        (busy, ErrorKind::ServerUnavailable, 9),
    ] {
        for &provider in Provider::ALL {
            sandbox.reset_counts();
            let (source, clock) = source(&sandbox, provider);
            sandbox.fault_next(provider, 1, fault.clone());
            assert_eq!(source.token().unwrap_err().kind(), kind);
            clock.advance(secs(wait) - Duration::from_millis(1));
            assert_eq!(source.token().unwrap_err().kind(), kind);
            assert_eq!(sandbox.token_requests(provider), 1, "{provider} {kind:?}");
            clock.advance(Duration::from_millis(1));
            assert!(source.token().is_ok());
        }
    }
}

#[test]
fn a_refused_renewal_leaves_the_valid_token_in_use() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, NTX);
    let first = secret(&source);
    clock.advance(secs(480));
    sandbox.fault_always(NTX, Some(Fault::Status(401)));
    for _ in 0..50 {
        assert_eq!(secret(&source), first);
        clock.advance(secs(1));
    }
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn invalidate_drops_that_token_and_no_other() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        let first = source.token().unwrap();
        source.invalidate(&first).unwrap();
        let second = source.token().unwrap();
        assert_ne!(first.secret(), second.secret());
        // The older one, once more, from a thread that was late.
        source.invalidate(&first).unwrap();
        source.invalidate_secret("some other text").unwrap();
        assert_eq!(secret(&source), second.secret());
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
        assert_eq!(source.status().invalidations, 1);
    }
}

#[test]
fn an_invalidation_during_a_renewal_is_not_lost_even_if_the_renewal_fails() {
    let sandbox = Sandbox::start().unwrap();
    for does_fail in [false, true] {
        let clock = ManualClock::new();
        let source = builder(&sandbox, NTX).clock(clock.clone()).build().unwrap();
        let first = source.token().unwrap();
        clock.advance(secs(480));
        if does_fail {
            sandbox.fault_next(NTX, 1, Fault::Status(500));
        }
        let hold = sandbox.hold(NTX);
        thread::scope(|scope| {
            let renewing = scope.spawn(|| source.token().unwrap());
            assert!(hold.wait_for_arrivals(1, PATIENCE));
            source.invalidate(&first).unwrap();
            let other = scope.spawn(|| source.token().unwrap());
            hold.release();
            assert_ne!(renewing.join().unwrap().secret(), first.secret(), "fails: {does_fail}");
            assert_ne!(other.join().unwrap().secret(), first.secret(), "fails: {does_fail}");
        });
        assert_ne!(secret(&source), first.secret());
    }
}

#[test]
fn an_invalidation_during_a_replacement_keeps_the_old_token_from_coming_back() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, SEND);
    let first = source.token().unwrap();
    // A refusal would put the old token back.
    sandbox.fault_next(SEND, 1, Fault::Status(400));
    let hold = sandbox.hold(SEND);
    thread::scope(|scope| {
        let refreshing = scope.spawn(|| source.refresh());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        source.invalidate(&first).unwrap();
        hold.release();
        assert!(refreshing.join().unwrap().is_err());
    });
    let no_fetch = TokenOptions::new().deadline(Duration::ZERO);
    assert!(source.token_with(&no_fetch).is_err());
}

#[test]
fn a_revoked_token_costs_one_replay_and_the_caller_sees_success() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        let api = ApiClient::new(&sandbox, provider);
        source.token().unwrap();
        sandbox.revoke_all(provider);
        let attempts = AtomicUsize::new(0);
        let status = source.call(|token| {
            attempts.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>(match api.status(token) {
                401 => Attempt::Unauthorized(401),
                status => Attempt::Done(status),
            })
        });
        assert_eq!(status.unwrap(), 200, "{provider}");
        assert_eq!(attempts.into_inner(), 2, "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn a_call_is_replayed_once_at_the_most_and_only_where_it_may_be() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, NTX);
    for (answer, expected_runs, expected_requests) in [
        (Attempt::Done("payment timed out"), 1, 1),
        (Attempt::UnauthorizedFinal("no"), 1, 1),
        (Attempt::Unauthorized("no"), 2, 3),
    ] {
        let mut runs = 0;
        let result = source.call(|_| {
            runs += 1;
            Ok::<_, Error>(answer.clone())
        });
        assert!(result.is_ok());
        assert_eq!(runs, expected_runs, "{answer:?}");
        assert_eq!(sandbox.token_requests(NTX), expected_requests, "{answer:?}");
    }
    // An error of the closure is the caller's: no replay, no invalidation.
    let mut runs = 0;
    let current = secret(&source);
    let result: Result<(), Box<dyn std::error::Error>> = source.call(|_| {
        runs += 1;
        Err("the connection broke".into())
    });
    assert_eq!((result.unwrap_err().to_string().as_str(), runs), ("the connection broke", 1));
    assert_eq!(secret(&source), current);
}

#[test]
fn a_final_401_drops_the_token() {
    let sandbox = Sandbox::start().unwrap();
    let (source, _) = source(&sandbox, NTX);
    let first = secret(&source);
    source.call(|_| Ok::<_, Error>(Attempt::UnauthorizedFinal(()))).unwrap();
    assert_ne!(secret(&source), first);
}

#[test]
fn a_worker_has_its_own_token_where_tokens_coexist_and_the_shared_one_elsewhere() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (source, _) = source(&sandbox, provider);
        let worker = source.worker();
        let coexists = provider != SEND;
        assert_eq!(secret(&source) != secret(&worker), coexists, "{provider}");
        assert_eq!(secret(&source), secret(&source.clone()));
    }
}

#[test]
fn workers_remember_a_refusal_together() {
    let sandbox = Sandbox::start().unwrap();
    let source =
        reach(&sandbox, NTX, credentials_with(&sandbox, NTX, "wrong-secret")).build().unwrap();
    for _ in 0..5 {
        assert_eq!(source.worker().token().unwrap_err().kind(), ErrorKind::Rejected);
    }
    assert_eq!(sandbox.token_requests(NTX), 1);
}

#[test]
fn a_certificate_that_expires_in_a_running_program_is_an_error_before_anything_is_sent() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, NTX);
    source.token().unwrap();
    clock.advance(secs(100 * 365 * 86_400));
    assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Certificate);
    assert_eq!(sandbox.token_requests(NTX), 1);
}

#[test]
fn status_tells_ages_and_counts() {
    let sandbox = Sandbox::start().unwrap();
    let (source, clock) = source(&sandbox, NTX);
    assert!(source.status().token.is_none());
    source.token().unwrap();
    clock.advance(secs(500));
    sandbox.fault_next(NTX, 1, Fault::Status(500));
    source.token().unwrap();
    clock.advance(secs(3));
    let status = source.status();
    let token = status.token.unwrap();
    assert_eq!((token.age, token.remaining), (secs(503), secs(97)));
    assert_eq!((status.requests, status.tokens, status.failures), (2, 1, 1));
    assert_eq!(status.last_error, Some((ErrorKind::ServerUnavailable, secs(3))));
    assert_eq!(status.blocked_for, None);
}

#[test]
fn an_event_tells_how_long_a_refusal_is_remembered() {
    let sandbox = Sandbox::start().unwrap();
    let seen: Arc<Mutex<Vec<EventKind>>> = Arc::default();
    let (kept, clock) = (seen.clone(), ManualClock::new());
    let source = builder(&sandbox, Provider::SendPayments)
        .clock(clock.clone())
        .on_event(move |event| kept.lock().unwrap().push(event.kind.clone()))
        .retries(0)
        .build()
        .unwrap();
    let failure = |fault| {
        clock.advance(secs(2)); // the pause after a failure
        sandbox.fault_next(Provider::SendPayments, 1, fault);
        source.token().unwrap_err();
        match seen.lock().unwrap().pop() {
            Some(EventKind::Failed { remembered_for, still_has_token: false, .. }) => {
                remembered_for
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure(Fault::Status(500)), None);
    let left = failure(Fault::Status(401)).unwrap();
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(50), "{left:?}");
}
