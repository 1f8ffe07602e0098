//! What one process does to a shared store, and what another makes of it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use paytoken::store::Store;
use paytoken::{ErrorKind, Provider, TokenOptions};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{ManualClock, PATIENCE, builder, credentials_with, reach};

use crate::processes::{Folder, account, process, secret, secs};
use crate::support::{Acting, Does, Step, lifetime};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

/// A little more than the time between two looks at the store.
const A_LOOK_LATER: Duration = Duration::from_millis(1_001);

#[test]
fn news_of_another_or_an_older_token_leaves_a_good_one_alone() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let [one, two] = [0; 2].map(|_| process(&sandbox, NTX, &folder, &clock));
    let mine = secret(&one);
    let entry_of_mine = fs::read(folder.entry()).unwrap();
    clock.advance(secs(1));
    two.refresh().unwrap();
    two.invalidate(&two.token().unwrap()).unwrap();
    clock.advance(A_LOOK_LATER);
    assert_eq!(secret(&one), mine, "another one was rejected");
    assert_eq!(sandbox.token_requests(NTX), 2);
    clock.advance(secs(1));
    let newer = two.refresh().unwrap();
    fs::write(folder.entry(), entry_of_mine).unwrap();
    clock.advance(A_LOOK_LATER);
    assert_eq!(secret(&two), newer.secret(), "the stored one is older");
}

#[test]
fn a_failed_replacement_brings_the_stored_token_back_unless_it_may_have_ended() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, SEND, &folder, &clock);
    let old = secret(&one);
    sandbox.fault_next(SEND, 1, Fault::Status(401));
    assert_eq!(one.refresh().unwrap_err().kind(), ErrorKind::Rejected);
    assert_eq!(secret(&process(&sandbox, SEND, &folder, &clock)), old, "it was refused");
    assert_eq!(sandbox.token_requests(SEND), 2);
    sandbox.fault_next(SEND, 3, Fault::LostAnswer);
    assert_eq!(one.refresh().unwrap_err().kind(), ErrorKind::Transport);
    clock.advance(secs(61)); // the refusal above stands for a minute
    assert_ne!(secret(&process(&sandbox, SEND, &folder, &clock)), old, "it may have ended");
}

#[test]
fn while_one_process_renews_all_others_have_the_token_where_tokens_coexist() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let one = process(&sandbox, NTX, &folder, &clock);
    let old = secret(&one);
    clock.advance(secs(500));
    let hold = sandbox.hold(NTX);
    thread::scope(|scope| {
        scope.spawn(|| one.token().unwrap());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let at_once = TokenOptions::new().deadline(secs(1));
        let other = process(&sandbox, NTX, &folder, &clock);
        let found = other.token_with(&at_once).map(|token| token.secret().to_owned());
        hold.release();
        assert_eq!(found.unwrap(), old);
    });
}

#[test]
fn a_refusal_of_another_secret_holds_nobody_back_and_one_of_this_secret_does() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let with = |secret: &str| {
        let credentials = credentials_with(&sandbox, SEND, secret);
        reach(&sandbox, SEND, credentials)
            .store(folder.store())
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let right = sandbox.client_secret(SEND).to_owned();
    let one = with(&right);
    assert_eq!(with("wrong").token().unwrap_err().kind(), ErrorKind::Rejected);
    one.token().unwrap();
    sandbox.change_secret(SEND, sandbox.client_id(SEND), "a newer one");
    clock.advance(lifetime(SEND));
    assert_eq!(with(&right).token().unwrap_err().kind(), ErrorKind::Rejected);
    let asked = sandbox.token_requests(SEND);
    assert_eq!(one.token().unwrap_err().kind(), ErrorKind::Rejected);
    assert_eq!(sandbox.token_requests(SEND), asked, "it is known");
}

#[test]
fn the_stored_status_tells_what_holds_requests_back_an_outage_or_an_hour_s_refusals() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let status = |folder: &Folder| account(&sandbox, SEND).stored_status(&folder.store()).unwrap();
    sandbox.fault_always(SEND, Some(Fault::Status(500)));
    builder(&sandbox, SEND).store(folder.store()).build().unwrap().token().unwrap_err();
    let paused = status(&folder);
    assert_eq!(paused.last_error, Some(ErrorKind::ServerUnavailable));
    assert!(paused.blocked_for.unwrap() < secs(6) && !paused.was_revoked);

    sandbox.fault_always(SEND, None);
    let folder = Folder::new();
    for number in 0..6 {
        let other = credentials_with(&sandbox, SEND, &format!("wrong {number}"));
        let process = reach(&sandbox, SEND, other).store(folder.store()).build().unwrap();
        process.token().unwrap_err();
    }
    let capped = status(&folder);
    assert_eq!(capped.last_error, Some(ErrorKind::Rejected));
    assert!(capped.blocked_for.unwrap() > secs(3500), "{capped:?}");
}

#[test]
fn the_stored_status_tells_a_refusal_from_a_rejected_token() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let store = folder.store();
    let status = || {
        let account = account(&sandbox, SEND);
        assert_eq!(account.provider(), SEND);
        account.stored_status(&store).unwrap()
    };
    assert!(!status().was_revoked && status().blocked_for.is_none());
    let wrong = reach(&sandbox, SEND, credentials_with(&sandbox, SEND, "wrong"));
    wrong.store(folder.store()).build().unwrap().token().unwrap_err();
    let refused = status();
    assert!(!refused.was_revoked && refused.token.is_none());
    assert_eq!(refused.last_error, Some(ErrorKind::Rejected));
    assert!(refused.blocked_for.unwrap() > secs(50));
    builder(&sandbox, SEND).store(folder.store()).build().unwrap().token().unwrap();
    assert!(!status().was_revoked && status().token.is_some());
}

#[test]
fn a_store_without_stamps_is_read_at_every_look() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let [one, two] = [0; 2].map(|_| {
        let store = Acting(folder.store(), |step| match step {
            Step::Stamp => Does::HasNone,
            _ => Does::AsAsked,
        });
        builder(&sandbox, NTX).store(store).clock(clock.clone()).build().unwrap()
    });
    for _ in 0..3 {
        assert_eq!(secret(&one), secret(&two));
        clock.advance(secs(1));
        let newer = one.refresh().unwrap();
        clock.advance(A_LOOK_LATER);
        assert_eq!(secret(&two), newer.secret());
    }
}

#[test]
fn a_directory_that_has_become_a_file_is_an_error_and_not_an_empty_store() {
    let (sandbox, folder) = (Sandbox::start().unwrap(), Folder::new());
    let store = folder.store();
    let account = account(&sandbox, SEND);
    assert!(store.read(account.key()).unwrap().is_none());
    assert!(!folder.path.exists(), "looking makes nothing");
    fs::write(&folder.path, "in the way").unwrap();
    let read = store.read(account.key()).unwrap_err();
    let locked = store.lock(account.key(), Duration::ZERO, PATIENCE).err().unwrap();
    fs::remove_file(&folder.path).unwrap();
    for (error, what) in [(read, "cannot be read"), (locked, "is not a directory")] {
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn where_the_store_cannot_be_used_tokens_that_coexist_are_fetched_and_it_is_told() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for broken in [Step::Read, Step::Lock, Step::Write] {
            for requires_store in [false, true] {
                sandbox.reset_counts();
                let (folder, clock) = (Folder::new(), ManualClock::new());
                let store = Acting(folder.store(), move |step| match step == broken {
                    true => Does::Fails,
                    false => Does::AsAsked,
                });
                let told = Arc::new(AtomicUsize::new(0));
                let count = told.clone();
                let source = builder(&sandbox, provider)
                    .store(store)
                    .clock(clock.clone())
                    .require_store(requires_store)
                    .on_event(move |event| {
                        if event.kind.name() == "store_unusable" {
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                    })
                    .build()
                    .unwrap();
                let case = format!("{provider}, {broken:?}, {requires_store}");
                // What was fetched is a token, though it cannot be written.
                let is_known_in_time = broken != Step::Write;
                if provider == SEND || requires_store && is_known_in_time {
                    let error = source.token().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Store, "{case}: {error}");
                    assert_eq!(sandbox.token_requests(provider), 0, "{case}");
                    assert_eq!(source.status().store_failed, Some(Duration::ZERO), "{case}");
                    continue;
                }
                let first = secret(&source);
                for _ in 0..10 {
                    clock.advance(A_LOOK_LATER);
                    assert_eq!(secret(&source), first, "{case}: it is good");
                }
                assert_eq!(sandbox.token_requests(provider), 1, "{case}");
                let told = told.load(Ordering::SeqCst);
                match broken {
                    // At the fetch, and when looking began to fail.
                    Step::Read => assert_eq!(told, 2, "{case}"),
                    _ => assert_eq!(told, 1, "{case}"),
                }
                // Where looking fails, it failed just now; else at the fetch.
                let failed = if broken == Step::Read { Duration::ZERO } else { A_LOOK_LATER * 10 };
                assert_eq!(source.status().store_failed, Some(failed), "{case}");
                // A refusal slows this process down all the same.
                clock.advance(lifetime(provider));
                sandbox.fault_always(provider, Some(Fault::Status(401)));
                for _ in 0..10 {
                    source.token().unwrap_err();
                }
                assert_eq!(sandbox.token_requests(provider), 2, "{case}");
                sandbox.fault_always(provider, None);
            }
        }
    }
}

#[test]
fn a_token_that_was_revoked_while_the_store_was_away_does_not_come_back_with_it() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let is_away = Arc::new(AtomicBool::new(false));
    let away = is_away.clone();
    let store = Acting(folder.store(), move |_| match away.load(Ordering::SeqCst) {
        true => Does::Fails,
        false => Does::AsAsked,
    });
    let source = builder(&sandbox, NTX).store(store).clock(clock.clone()).build().unwrap();
    let revoked = source.token().unwrap();
    is_away.store(true, Ordering::SeqCst);
    clock.advance(secs(30));
    source.invalidate(&revoked).unwrap_err();
    let unshared = secret(&source);
    assert_ne!(unshared, revoked.secret());
    is_away.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        clock.advance(A_LOOK_LATER);
        assert_eq!(secret(&source), unshared);
    }
}

#[test]
fn an_entry_is_read_back_under_its_lock() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.directory(), folder.path);
    let account = account(&sandbox, SEND);
    let key = account.key();
    assert_eq!(format!("{key:?}"), format!("StoreKey({})", key.as_str()));
    let mut guard = store.lock(key, PATIENCE, PATIENCE).unwrap().unwrap();
    guard.write(b"anything", secs(60)).unwrap();
    assert_eq!(guard.read().unwrap().unwrap().as_slice(), b"anything");
}

#[test]
fn a_store_that_stops_working_costs_no_token_and_a_rejected_one_is_dropped_all_the_same() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let is_moody = Arc::new(AtomicBool::new(false));
        let told = is_moody.clone();
        let store = Acting(folder.store(), move |step| match step {
            Step::Stamp if told.load(Ordering::SeqCst) => Does::Fails,
            Step::Lock if told.load(Ordering::SeqCst) => Does::HasNone,
            _ => Does::AsAsked,
        });
        let source = builder(&sandbox, provider).store(store).clock(clock.clone()).build().unwrap();
        let token = source.token().unwrap();
        is_moody.store(true, Ordering::SeqCst);
        clock.advance(A_LOOK_LATER);
        assert_eq!(secret(&source), token.secret(), "{provider}");
        let error = source.invalidate(&token).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{provider}");
        assert!(error.to_string().contains("it is dropped here"), "{provider}: {error}");
        let now = TokenOptions::new().deadline(Duration::ZERO);
        assert!(source.token_with(&now).is_err(), "{provider}: the store still has it");
        is_moody.store(false, Ordering::SeqCst);
        assert_ne!(secret(&source), token.secret(), "{provider}");
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn while_one_thread_waits_for_a_slow_store_the_others_go_on_for_a_second_at_most() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let looks = Arc::new(AtomicUsize::new(0));
        let ((began, begins), (end, ends)) = (mpsc::channel(), mpsc::channel::<()>());
        let (count, ends) = (looks.clone(), Mutex::new(ends));
        let slow = Acting(folder.store(), move |step| {
            // The second look takes until it is let go.
            if step == Step::Stamp && count.fetch_add(1, Ordering::SeqCst) == 1 {
                began.send(()).unwrap();
                let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
            }
            Does::AsAsked
        });
        let source = builder(&sandbox, provider).store(slow).clock(clock.clone()).build().unwrap();
        let token = source.token().unwrap();
        let another = process(&sandbox, provider, &folder, &clock);
        clock.advance(Duration::from_millis(500));
        secret(&source);
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        clock.advance(Duration::from_millis(800));
        thread::scope(|scope| {
            let end = end; // also when an assertion fails
            let looking = scope.spawn(|| secret(&source));
            begins.recv_timeout(PATIENCE).unwrap();
            another.invalidate(&token).unwrap();
            for _ in 0..10 {
                assert_eq!(secret(&source), token.secret(), "{provider}");
                assert_eq!(source.cached().unwrap().secret(), token.secret());
            }
            assert_eq!(looks.load(Ordering::SeqCst), 2, "one looks");
            // Now the last look is more than a second ago.
            clock.advance(Duration::from_millis(201));
            assert_ne!(secret(&source), token.secret(), "{provider}");
            end.send(()).unwrap();
            assert_ne!(looking.join().unwrap(), token.secret(), "{provider}");
        });
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn who_must_not_wait_is_answered_from_memory_and_not_at_all_once_a_look_is_overdue() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let steps = Arc::new(AtomicUsize::new(0));
        let count = steps.clone();
        let store = Acting(folder.store(), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Does::AsAsked
        });
        let source = builder(&sandbox, provider).store(store).clock(clock.clone()).build().unwrap();
        let ways: [&dyn Fn() -> Option<String>; 2] =
            [&|| source.cached().map(|token| token.secret().to_owned()), &|| match source
                .token_with(&TokenOptions::new().deadline(Duration::ZERO))
            {
                Ok(token) => Some(token.secret().to_owned()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                    None
                }
            }];
        let from_memory = || {
            let before = steps.load(Ordering::SeqCst);
            let [first, second] = ways.map(|way| way());
            assert_eq!(first, second, "{provider}");
            assert_eq!(steps.load(Ordering::SeqCst), before, "{provider}: the store was asked");
            first
        };
        // Another process has a token, which is not in this one's memory.
        let another = process(&sandbox, provider, &folder, &clock);
        another.token().unwrap();
        assert_eq!(from_memory(), None, "{provider}");
        let token = secret(&source);
        for round in 0..3 {
            // The store is to be asked every 500 ms, and that may take 500 ms.
            for wait in [0, 499, 2, 498] {
                clock.advance(Duration::from_millis(wait));
                assert_eq!(from_memory().as_deref(), Some(&*token), "{provider}, round {round}");
            }
            clock.advance(Duration::from_millis(1));
            assert_eq!(from_memory(), None, "{provider}, round {round}: nobody has looked");
            assert_eq!(secret(&source), token, "{provider}, round {round}: it was good");
        }
        // What another process does is known by then.
        another.invalidate(&another.token().unwrap()).unwrap();
        clock.advance(A_LOOK_LATER);
        assert_eq!(from_memory(), None, "{provider}");
        let newer = secret(&source);
        assert_ne!(newer, token, "{provider}");
        assert_eq!(from_memory(), Some(newer), "{provider}");
    }
}
