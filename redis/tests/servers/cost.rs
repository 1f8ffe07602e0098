//! What Redis is asked: while tokens are good, at a renewal, and by who waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::TokenSource;
use paytoken::store::Store as _;
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::redis::Server;
use paytoken_testing::{ManualClock, PATIENCE, builder, say, until};

use crate::conformance::key;
use crate::support::{NTX, SEND};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("while_tokens_are_good_a_source_asks_one_command_a_second", while_good),
        trial("a_renewal_of_twelve_machines_costs_so_many_commands", at_renewal),
        trial("a_lock_is_handed_over_as_soon_as_it_is_free", hand_over),
        trial("an_invalidated_token_is_handed_out_nowhere_a_second_later", invalidated),
    ]
}

/// Those that clients send, without those in scripts and the tests' own.
fn sent(server: &Server) -> Vec<(String, u64)> {
    let is_ours = |name: &str| matches!(name, "eval" | "hget" | "wait" | "auth" | "select");
    let mut calls = server.calls();
    // A lock that is had reads the entry in its script, and ends with a DEL.
    let scripted = calls.iter().find(|(name, _)| name == "del").map_or(0, |(_, count)| *count);
    for (name, count) in &mut calls {
        if name == "hget" {
            *count = count.saturating_sub(scripted);
        }
    }
    calls.retain(|(name, _)| is_ours(name));
    calls.sort();
    calls
}

fn total(server: &Server) -> u64 {
    sent(server).iter().map(|(_, count)| count).sum()
}

fn while_good() {
    let (server, sandbox) = (Server::start(&[]), Sandbox::start().unwrap());
    let sources: Vec<TokenSource> = [NTX, SEND, NTX, SEND]
        .iter()
        .map(|&provider| {
            let store = RedisStore::open(&server.url).unwrap();
            builder(&sandbox, provider).store(store).build().unwrap()
        })
        .collect();
    sources.iter().for_each(|source| _ = source.token().unwrap());
    server.ask(&["CONFIG", "RESETSTAT"]);
    let (began, is_over) = (Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        for source in sources.iter().flat_map(|source| [source; 4]) {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    source.token().unwrap();
                    // As a program that makes hundreds of calls a second.
                    thread::sleep(Duration::from_millis(3));
                }
            });
        }
        let watched = catch_unwind(AssertUnwindSafe(|| {
            until("each has looked three times", || total(&server) >= 3 * sources.len() as u64);
        }));
        is_over.store(true, Ordering::SeqCst);
        watched.expect("they look");
    });
    let (commands, seconds) = (total(&server), began.elapsed().as_secs());
    say(&format!("4 sources, 16 threads, {seconds} s: {:?}", sent(&server)));
    let most = sources.len() as u64 * (seconds + 2);
    assert!(commands <= most, "{:?}", sent(&server));
}

fn at_renewal() {
    const MACHINES: usize = 12;
    let (server, sandbox, clock) =
        (Server::start(&[]), Sandbox::start().unwrap(), ManualClock::new());
    let sources: Vec<TokenSource> = (0..MACHINES)
        .map(|_| {
            let store = RedisStore::open(&server.url).unwrap();
            builder(&sandbox, SEND).store(store).clock(clock.clone()).build().unwrap()
        })
        .collect();
    sources.iter().for_each(|source| _ = source.token().unwrap());
    assert_eq!(sandbox.token_requests(SEND), 1);
    let renew = |delay| {
        sandbox.set_delay(SEND, Duration::from_millis(delay));
        let began = Instant::now();
        clock.advance(Duration::from_secs(286));
        server.ask(&["CONFIG", "RESETSTAT"]);
        let start = Barrier::new(MACHINES);
        thread::scope(|scope| {
            for source in &sources {
                scope.spawn(|| {
                    start.wait();
                    source.token().unwrap();
                });
            }
        });
        let took = began.elapsed().as_millis() as u64;
        let commands = total(&server);
        say(&format!(
            "12 machines renew in {took} ms, /auth takes {delay} ms: {commands} commands: {:?}",
            sent(&server)
        ));
        (commands, took)
    };
    for delay in [0, 250] {
        // Each begins with one read and, without waiting, one lock; who gets it writes twice and
        // unlocks; the others read the new token. Who waits asks at most every 20 ms, and reads
        // every 100 ms.
        let (commands, took) = renew(delay);
        assert!(commands <= 5 + 11 * 4 + 11 * (1 + took / 10), "{commands} in {took} ms");
    }
    assert_eq!(sandbox.token_requests(SEND), 3);
    // One alone, who needs not wait.
    clock.advance(Duration::from_secs(286));
    server.ask(&["CONFIG", "RESETSTAT"]);
    sources[0].token().unwrap();
    let alone = sent(&server);
    say(&format!("a renewal by one machine: {alone:?}"));
    assert_eq!(alone.iter().map(|(_, count)| count).sum::<u64>(), 5, "{alone:?}");
    server.ask(&["CONFIG", "RESETSTAT"]);
    sources[1..].iter().for_each(|source| _ = source.token().unwrap());
    let others = sent(&server);
    say(&format!("eleven others afterwards: {others:?}"));
    assert_eq!(others.iter().map(|(_, count)| count).sum::<u64>(), 11, "{others:?}");
}

/// Whoever waits asks at least every 40 ms, also after a long wait, so that a lock that is freed is soon
/// theirs.
fn hand_over() {
    const ASKS: u64 = 60;
    let server = Server::start(&[]);
    let [one, two] = [0, 1].map(|_| RedisStore::open(&server.url).unwrap());
    let (key, hold) = (key(), Duration::from_secs(60));
    let guard = one.lock(&key, Duration::ZERO, hold).unwrap().unwrap();
    server.ask(&["CONFIG", "RESETSTAT"]);
    let began = Instant::now();
    let asks = || {
        let calls = server.calls();
        calls.iter().find(|(name, _)| name == "eval").map_or(0, |(_, count)| *count)
    };
    thread::scope(|scope| {
        let waiter = scope.spawn(|| two.lock(&key, 2 * PATIENCE, hold).unwrap().is_some());
        // With waits that went on growing, it would take hours.
        until("whoever waits has asked sixty times", || asks() >= ASKS);
        say(&format!("{ASKS} times asked for a lock in {:?}", began.elapsed()));
        assert!(!waiter.is_finished(), "it was had, or given up, while it was held");
        let (asked, freed) = (asks(), Instant::now());
        drop(guard);
        assert!(waiter.join().unwrap());
        // One to free it, one that was refused just before, one that gets it, one to free it again.
        assert!(asks() - asked <= 4, "{} times asked after it was free", asks() - asked);
        say(&format!("hand-over: {:?}", freed.elapsed()));
    });
}

fn invalidated() {
    let (server, sandbox) = (Server::start(&[]), Sandbox::start().unwrap());
    for provider in [NTX, SEND] {
        let sources = [0, 1].map(|_| {
            let store = RedisStore::open(&server.url).unwrap();
            builder(&sandbox, provider).store(store).build().unwrap()
        });
        for round in 1..=2 {
            let tokens = [0, 1].map(|index: usize| sources[index].token().unwrap());
            assert_eq!(tokens[0].secret(), tokens[1].secret());
            // It has looked by then, and knows the stamp of this token's entry.
            let began = Instant::now();
            until("it has looked", || {
                sources[1].token().unwrap();
                began.elapsed() > Duration::from_millis(1_200)
            });
            sources[0].invalidate(&tokens[0]).unwrap();
            let since = Instant::now();
            loop {
                // Who asked within the second may get it; a busy machine may come late to ask.
                let asked = Instant::now();
                let token = sources[1].token().unwrap();
                if token.secret() != tokens[0].secret() {
                    break;
                }
                let is_late = asked.duration_since(since) > Duration::from_millis(1_100);
                assert!(!is_late, "{provider}: handed out after {:?}", since.elapsed());
            }
            sources[0].token().unwrap();
            assert_eq!(sandbox.token_requests(provider), 1 + round);
        }
    }
}
