//! Fail-over by Redis Sentinel, for real: the master is killed in the middle of a renewal.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::ErrorKind;
use paytoken::store::conformance;
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::redis::Trio;
use paytoken_testing::{builder, say, until};

use crate::support::{SEND, logged, settle};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("by_sentinel_the_master_is_found_and_a_new_one_followed", followed),
        trial("a_sentinel_that_names_no_host_is_not_followed", named_by_nobody),
        trial(
            "a_master_killed_in_the_middle_of_a_renewal_costs_no_valid_token",
            killed_in_the_middle,
        ),
    ]
}

fn followed() {
    let mut trio = Trio::start();
    let url = trio.url();
    conformance::check(|| RedisStore::open(&url).unwrap());
    let (sandbox, store) = (Sandbox::start().unwrap(), RedisStore::open(&url).unwrap());
    let source = builder(&sandbox, SEND).store(store.clone()).build().unwrap();
    let token = source.token().unwrap();
    trio.master.kill();
    let began = Instant::now();
    trio.until_the_replica_is_master();
    assert_eq!(source.token().unwrap().secret(), token.secret());
    source.invalidate(&token).unwrap();
    let newer = source.token().unwrap();
    assert!(sandbox.is_valid(SEND, newer.secret()));
    say(&format!("fail-over and a new token: {:?} after the master's death", began.elapsed()));
    assert_eq!(sandbox.token_requests(SEND), 2);
    // And is told, once for each store that has seen both.
    let [old, new, sentinel] =
        [&trio.master, &trio.replica, &trio.sentinel].map(|server| server.port.unwrap());
    let record = format!(
        "WARN store: the master main is at 127.0.0.1:{new} now, and was at 127.0.0.1:{old}: the Sentinel at 127.0.0.1:{sentinel} says so"
    );
    let told = logged(&format!("127.0.0.1:{new} now"));
    assert_eq!(told, [record]);
    let named = Some((format!("127.0.0.1:{new}"), format!("127.0.0.1:{sentinel}")));
    assert_eq!(store.server().unwrap().master_and_sentinel, named);
    assert_eq!(logged(&format!("127.0.0.1:{new} now")).len(), 1);
}

/// A Sentinel may name anything: what is no host is not connected to, and not shown.
fn named_by_nobody() {
    for name in ["", "\u{1b}[2J", "two words", "a\nb", "\u{202e}moc", "h/x", "u:p@h", "a,b"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!("*2\r\n${}\r\n{name}\r\n$1\r\n1\r\n", name.len());
        let sentinel = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let store = RedisStore::open(&format!("redis+sentinel://127.0.0.1:{port}/main")).unwrap();
        let error = store.server().unwrap_err().to_string();
        assert!(error.contains("does not answer as Redis does"), "{name:?}: {error}");
        assert!(name.is_empty() || !error.contains(name), "{error}");
        sentinel.join().unwrap();
    }
}

fn killed_in_the_middle() {
    for needs_replica in [false, true] {
        for is_behind in [false, true] {
            kill_in_the_middle(needs_replica, is_behind);
        }
    }
}

/// With `min_replicas`, or without; and with a replica that the lock does not reach, or one that it
/// does in a moment.
fn kill_in_the_middle(needs_replica: bool, is_behind: bool) {
    let mut trio = Trio::start();
    let sandbox = Sandbox::start().unwrap();
    let requests = || sandbox.token_requests(SEND);
    let machine = |wait: u64| {
        let store = RedisStore::builder(&trio.url());
        let store = match needs_replica {
            true => store.min_replicas(1, Duration::from_secs(wait)),
            false => store,
        };
        let store = store.build().unwrap();
        builder(&sandbox, SEND).store(store).timeout(Duration::from_secs(12)).build().unwrap()
    };
    // Long for the one that has a replica: the machine may be busy.
    let sources = [machine(if is_behind { 1 } else { 5 }), machine(1)];
    if is_behind {
        trio.master.ask(&["ACL", "SETUSER", "default", "-psync", "-sync", "-replconf"]);
        trio.master.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    }
    if is_behind && needs_replica {
        let error = sources[0].token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert_eq!(requests(), 0, "a request without the lock");
        return;
    }
    let hold = sandbox.hold(SEND);
    let first = std::thread::spawn({
        let source = sources[0].clone();
        move || source.token()
    });
    until("its request is there", || requests() == 1 || first.is_finished());
    if first.is_finished() {
        panic!("it made no request: {:?}", first.join().unwrap().err());
    }
    trio.master.kill();
    trio.until_the_replica_is_master();
    // Asked while the first one's request is under way.
    let hurried = paytoken::TokenOptions::new().deadline(Duration::from_secs(2));
    let asked = Instant::now();
    sources[1].token_with(&hurried).unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    let is_kept_out = requests() == 1;
    assert!(!is_behind || !is_kept_out, "the lock was not lost: this test says nothing");
    assert!(!needs_replica || is_kept_out, "the lock was lost");
    drop(hold);
    let token = first.join().unwrap().unwrap();
    let most = sandbox.counts(SEND).max_concurrent_token_requests;
    if needs_replica {
        // Now there is no replica, so nothing can be stored; what was fetched is good.
        assert!(sandbox.is_valid(SEND, token.secret()));
        assert_eq!(most, 1);
    } else {
        settle(&sandbox, &sources);
        // Where the lock was not on the replica: two at a time, and one to settle it.
        assert!(requests() <= if is_kept_out { 1 } else { 3 }, "{}", requests());
        assert!(most <= if is_kept_out { 1 } else { 2 }, "{most}");
    }
}
