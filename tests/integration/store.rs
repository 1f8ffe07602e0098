//! Sources that share a store, as processes do: one fetch for all, invalidation seen by all,
//! refusals remembered for all.
//!
//! Each source here stands for a process: they have nothing in common but the directory. Real
//! processes are in `cli/tests`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paytoken::store::{Account, Store as _};
use paytoken::{
    ClientCertificate, Environment, Error, ErrorKind, EventKind, FileStore, Provider, TokenOptions,
};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder, credentials_with, until, with_certificate};

use crate::processes::{Folder, key, process, process_with, secret, secs};
use crate::support::{Acting, Does, Step, lifetime, together};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

#[test]
fn forty_processes_make_one_fetch_on_an_empty_store_and_one_at_expiry() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        sandbox.set_delay(provider, Duration::from_millis(50));
        for round in 1..=2 {
            let tokens = together(40, |_| secret(&process(&sandbox, provider, &folder, &clock)));
            assert!(tokens.iter().all(|token| *token == tokens[0]), "{provider}");
            assert_eq!(sandbox.token_requests(provider), round, "{provider}");
            clock.advance(lifetime(provider));
        }
        assert_eq!(folder.files("new"), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_stored_token_has_the_age_it_has_and_everything_it_came_with() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let first = process(&sandbox, provider, &folder, &clock).token().unwrap();
        clock.advance(secs(200));
        let second = process(&sandbox, provider, &folder, &clock).token().unwrap();
        assert_eq!(second.secret(), first.secret());
        assert_eq!(second.scope(), first.scope());
        let difference = second.remaining().abs_diff(first.remaining());
        // Of 200 s; between the two questions a busy machine may let pass a little.
        assert!(difference < secs(10), "{difference:?}");
    }
}

#[test]
fn a_stored_token_in_its_window_is_renewed_by_the_next_process_and_serves_where_that_fails() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let first = secret(&process(&sandbox, NTX, &folder, &clock));
    clock.advance(secs(480));
    sandbox.fault_always(NTX, Some(Fault::Status(500)));
    assert_eq!(secret(&process(&sandbox, NTX, &folder, &clock)), first);
    assert_eq!(secret(&process(&sandbox, NTX, &folder, &clock)), first);
    assert_eq!(sandbox.token_requests(NTX), 2, "one attempt");
    sandbox.fault_always(NTX, None);
    // 1 % of the token's life.
    clock.advance(secs(6));
    assert_ne!(secret(&process(&sandbox, NTX, &folder, &clock)), first);
    assert_eq!(sandbox.token_requests(NTX), 3);
}

#[test]
fn an_invalidation_reaches_every_process_at_its_next_look_and_no_newer_token() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let [one, two, three] = [0; 3].map(|_| process(&sandbox, provider, &folder, &clock));
        let old = one.token().unwrap();
        assert_eq!((secret(&two), secret(&three)), (old.secret().into(), old.secret().into()));
        one.invalidate(&old).unwrap();
        // Looked at twice a second.
        clock.advance(Duration::from_millis(1_001));
        let new = secret(&two);
        assert_ne!(new, old.secret(), "{provider}");
        assert_eq!((secret(&one), secret(&three)), (new.clone(), new.clone()), "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
        // Late news of the old token harms nobody.
        three.invalidate(&old).unwrap();
        clock.advance(secs(2));
        assert_eq!(
            (secret(&one), secret(&two), secret(&three)),
            (new.clone(), new.clone(), new),
            "{provider}"
        );
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn a_process_with_a_good_token_looks_at_the_store_twice_a_second_and_never_locks() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    secret(&process(&sandbox, NTX, &folder, &clock));
    let counts = Arc::new([0; 4].map(AtomicUsize::new));
    let counted = counts.clone();
    let store = Acting(folder.store(), move |step| {
        counted[step as usize].fetch_add(1, Ordering::SeqCst);
        Does::AsAsked
    });
    let source = builder(&sandbox, NTX).store(store).clock(clock.clone()).build().unwrap();
    for _ in 0..100 {
        for _ in 0..10 {
            secret(&source);
        }
        clock.advance(Duration::from_millis(100));
    }
    let [reads, stamps, locks, writes] =
        [0, 1, 2, 3].map(|which: usize| counts[which].load(Ordering::SeqCst));
    assert_eq!((locks, writes), (0, 0));
    // Ten seconds; the first read is the cold one, the second follows the first stamp.
    assert!((18..=20).contains(&stamps), "{stamps} stamps");
    assert_eq!(reads, 2);
}

#[test]
fn a_refusal_is_remembered_for_every_process_until_the_secret_changes() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let with = |secret: &str| process_with(&sandbox, provider, &folder, &clock, secret);
        assert_eq!(with("wrong-secret").token().unwrap_err().kind(), ErrorKind::Rejected);
        let error = with("wrong-secret").token().unwrap_err();
        assert_eq!((error.kind(), error.status().is_some()), (ErrorKind::Rejected, true));
        assert!(error.to_string().contains("remembered"), "{error}");
        assert_eq!(error.provider(), Some(provider));
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        // Force overrides.
        assert!(with("wrong-secret").refresh().is_err());
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
        // Another secret is not held back, and its success is remembered instead.
        let id = sandbox.client_id(provider).to_owned();
        sandbox.change_secret(provider, &id, "another-secret");
        secret(&with("another-secret"));
        assert_eq!(sandbox.token_requests(provider), 3, "{provider}");
        let text = fs::read_to_string(folder.entry()).unwrap();
        assert!(!text.contains("another-secret") && !text.contains("wrong-secret"));
    }
}

#[test]
fn a_refusal_of_a_certificate_without_its_key_does_not_hold_back_who_has_the_key() {
    let (sandbox, folder) = (Sandbox::start().unwrap(), Folder::new());
    let alone = ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap();
    let without = || with_certificate(&sandbox, alone.clone()).store(folder.store());
    for _ in 0..2 {
        let error = without().build().unwrap().token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
    }
    let connections = sandbox.counts(NTX).connections;
    assert_eq!(connections, 1, "the refusal is remembered for those without a key");
    builder(&sandbox, NTX).store(folder.store()).build().unwrap().token().unwrap();
}

#[test]
fn a_process_that_is_held_back_takes_the_token_that_another_has_fetched_since() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let found = Arc::<Mutex<Vec<Duration>>>::default();
        let told = found.clone();
        let one = builder(&sandbox, provider).store(folder.store()).clock(clock.clone());
        let one = one.on_event(move |event| {
            if let EventKind::Found { remaining, .. } = event.kind {
                told.lock().unwrap().push(remaining);
            }
        });
        let (one, two) = (one.build().unwrap(), process(&sandbox, provider, &folder, &clock));
        sandbox.fault_next(provider, 1, Fault::Status(401));
        assert_eq!(one.token().unwrap_err().kind(), ErrorKind::Rejected);
        let token = two.refresh().unwrap();
        assert_eq!(secret(&one), token.secret(), "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
        assert_eq!(*found.lock().unwrap(), [token.remaining()], "it is told");
        assert_eq!((one.status().requests, one.status().tokens), (1, 1));
    }
}

#[test]
fn a_token_that_another_process_is_replacing_is_not_handed_out() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let [one, two] = [0; 2].map(|_| process(&sandbox, SEND, &folder, &clock));
    let old = secret(&one);
    assert_eq!(secret(&two), old);
    clock.advance(secs(10));
    let hold = sandbox.hold(SEND);
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| one.refresh().unwrap().secret().to_owned());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        clock.advance(Duration::from_millis(1_001));
        let cached_only = TokenOptions::new().deadline(Duration::ZERO);
        assert_eq!(two.token_with(&cached_only).unwrap_err().kind(), ErrorKind::Timeout);
        let waiting = scope.spawn(|| secret(&two));
        hold.release();
        let new = replacing.join().unwrap();
        assert_eq!(waiting.join().unwrap(), new);
        assert_ne!(new, old);
    });
    assert_eq!(sandbox.token_requests(SEND), 2);
}

#[test]
fn a_cron_job_every_minute_for_an_hour_with_a_wrong_password_asks_at_most_six_times() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        for _ in 0..60 {
            let process = process_with(&sandbox, provider, &folder, &clock, "wrong-secret");
            let error = process.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected, "{provider}");
            clock.advance(secs(60));
        }
        let requests = sandbox.token_requests(provider);
        assert!((2..=6).contains(&requests), "{provider}: {requests} requests");
    }
}

#[test]
fn a_clock_that_jumps_a_day_between_two_processes_never_makes_a_token_live_longer() {
    let day = secs(86_400);
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        // Forward: every stored token has ended.
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let first = secret(&process(&sandbox, provider, &folder, &clock));
        clock.step_wall_forward(day);
        assert_ne!(
            secret(&process(&sandbox, provider, &folder, &clock)),
            first,
            "{provider} forward"
        );

        // Back: the token is from the future, its age unknown; it is not used.
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let first = secret(&process(&sandbox, provider, &folder, &clock));
        clock.step_wall_back(day);
        assert_ne!(secret(&process(&sandbox, provider, &folder, &clock)), first, "{provider} back");

        // Back by less than its age: that much can be hidden, and no more. The token is served at
        // most so much longer than it lives, less the margin at its end.
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let token = process(&sandbox, provider, &folder, &clock).token().unwrap();
        let (first, life) = (token.secret(), token.lifetime());
        let step = life / 4;
        clock.advance(life / 2);
        clock.step_wall_back(step);
        // Over before anything could be sent.
        let stored_only = TokenOptions::new().deadline(Duration::from_nanos(1));
        let served = |clock: &ManualClock| {
            let token = process(&sandbox, provider, &folder, clock).token_with(&stored_only);
            token.is_ok_and(|token| token.secret() == first)
        };
        assert!(served(&clock));
        let margin = (life / 20).min(secs(30));
        clock.advance(life / 2 + step - margin - Duration::from_millis(5));
        assert!(served(&clock), "{provider}: hidden by the step");
        clock.advance(Duration::from_millis(10));
        assert!(!served(&clock), "{provider}: over");
    }
}

#[test]
fn another_process_s_renewal_is_not_waited_for_while_the_token_is_good() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let [one, two] = [0; 2].map(|_| process(&sandbox, NTX, &folder, &clock));
    let first = secret(&one);
    assert_eq!(secret(&two), first);
    clock.advance(secs(480));
    let hold = sandbox.hold(NTX);
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| secret(&one));
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        for _ in 0..10 {
            assert_eq!(secret(&two), first); // would hang if it waited for the lock
        }
        assert_eq!(two.status().failures, 0);
        hold.release();
        let new = renewing.join().unwrap();
        assert_ne!(new, first);
        clock.advance(secs(1) + Duration::from_millis(1));
        assert_eq!(secret(&two), new);
    });
    assert_eq!(sandbox.token_requests(NTX), 2);
}

#[test]
fn the_wait_for_a_lock_is_bounded_and_send_never_fetches_without_it() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let store = folder.store();
        let guard = store.lock(&key(&sandbox, provider), PATIENCE, PATIENCE).unwrap().unwrap();
        let process = || builder(&sandbox, provider).store(folder.store()).clock(clock.clone());
        let source = process().timeout(Duration::from_millis(150)).build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("another process"), "{error}");
        assert_eq!(sandbox.token_requests(provider), 0, "{provider}");
        drop(guard);
        assert!(process().build().unwrap().token().is_ok());
    }
}

#[cfg(unix)]
#[cfg(unix)]
#[test]
fn forced_by_many_at_once_there_is_one_fetch_too() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let sources: Vec<_> = (0..8)
            .map(|_| {
                let asked = asked.clone();
                let store = Acting(folder.store(), move |step| {
                    asked.fetch_add(usize::from(step == Step::Lock), Ordering::SeqCst);
                    Does::AsAsked
                });
                builder(&sandbox, provider).store(store).clock(clock.clone()).build().unwrap()
            })
            .collect();
        let first = secret(&sources[0]);
        clock.advance(secs(10));
        asked.store(0, Ordering::SeqCst);
        let hold = sandbox.hold(provider);
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let refreshing: Vec<_> =
                sources.iter().map(|source| scope.spawn(|| source.refresh().unwrap())).collect();
            until("all are there", || asked.load(Ordering::SeqCst) >= 8);
            hold.release();
            let ends = refreshing.into_iter().map(|thread| thread.join().unwrap());
            ends.map(|token| token.secret().to_owned()).collect()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0] && *token != first), "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn a_process_killed_while_it_replaces_a_token_leaves_no_dead_one_behind() {
    // Killed here means: its guard is dropped without a word, after the request was sent.
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let first = secret(&process(&sandbox, SEND, &folder, &clock));
    clock.advance(secs(10));
    let writes = AtomicUsize::new(0);
    let dying = Acting(folder.store(), move |step| {
        // The first one is before the request.
        if step == Step::Write && writes.fetch_add(1, Ordering::SeqCst) == 1 {
            panic!("killed after the request");
        }
        Does::AsAsked
    });
    let dying = builder(&sandbox, SEND).store(dying).clock(clock.clone()).build().unwrap();
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dying.refresh()));
    assert!(killed.is_err());
    assert!(!sandbox.is_valid(SEND, &first), "the provider has ended it");
    let next = secret(&process(&sandbox, SEND, &folder, &clock));
    assert!(sandbox.is_valid(SEND, &next));
    assert_eq!(sandbox.token_requests(SEND), 3, "one more than without the kill");
}

#[test]
fn a_short_lived_program_gets_the_token_without_a_secret() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    // The real clock, since that program has no other.
    let source = builder(&sandbox, NTX).store(folder.store()).build().unwrap();
    let store = folder.store();
    let account = Account::new(
        &credentials_with(&sandbox, NTX, "not needed"),
        Environment::Sandbox,
        Some(&sandbox.url(NTX)),
    )
    .unwrap();
    assert!(account.stored_token(&store, Duration::ZERO).unwrap().is_none());
    let token = source.token().unwrap();
    let found = account.stored_token(&store, Duration::ZERO).unwrap().unwrap();
    assert_eq!(found.secret(), token.secret());
    assert!(account.stored_token(&store, secs(601)).unwrap().is_none(), "not good for so long");
    let status = account.stored_status(&store).unwrap();
    assert!(status.token.unwrap().remaining > secs(590));
    assert!(!account.invalidate(&store, "another token", PATIENCE).unwrap());
    assert!(account.invalidate(&store, token.secret(), PATIENCE).unwrap());
    assert!(account.stored_token(&store, Duration::ZERO).unwrap().is_none());
    assert!(account.stored_status(&store).unwrap().was_revoked);
}

#[test]
fn a_worker_keeps_its_token_to_itself() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let source = process(&sandbox, NTX, &folder, &clock);
    let shared = secret(&source);
    let own = secret(&source.worker());
    assert_ne!(shared, own);
    assert_eq!(secret(&process(&sandbox, NTX, &folder, &clock)), shared);
    let _: Error = FileStore::open("/dev/null/x").unwrap_err();
}
