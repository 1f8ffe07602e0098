//! What any store has to do, on real servers, by every way to reach them.

use std::time::Duration;

use libtest_mimic::Trial;
use paytoken::Provider;
use paytoken::store::{Store as _, StoreKey, conformance};
use paytoken_redis::RedisStore;
use paytoken_testing::redis::Server;
use paytoken_testing::{is_installed, say, sealing, until};

use crate::support::logged;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_redis_on_a_socket_does_what_a_store_has_to", on_a_socket),
        trial("a_redis_on_a_port_does_so_for_a_user_who_may_do_no_more_than_the_page_says", by_acl),
        trial("a_valkey_does_what_a_store_has_to", on_valkey),
        trial("the_pages_administrator_gives_the_user_another_password", another_password),
        trial("a_lock_is_lost_with_its_lease_and_with_its_key", lost_locks),
        trial("a_dead_holders_lock_is_free_when_its_lease_ends", dead_holder),
        trial("a_lock_whose_answer_was_lost_is_its_machines_and_nobody_elses", lost_answer),
        trial("a_lock_that_cannot_end_or_ends_later_than_any_of_ours_is_taken_over", stale_locks),
        trial("a_user_without_the_right_to_see_it_has_it_as_before", stale_locks_by_right),
        trial("with_replicas_that_must_have_it_a_lock_needs_them", replicas),
        trial("what_lies_under_a_key_of_ours_and_is_no_entry_is_none", foreign_values),
        trial("what_does_not_open_in_a_sealed_redis_is_never_believed", sealed),
        trial(
            "a_fleet_on_redis_is_sealed_unsealed_and_gets_another_key_without_a_lost_token",
            keys,
        ),
        trial("entries_and_locks_end_with_their_use", times_to_live),
    ]
}

fn on_a_socket() {
    let server = Server::start(&[]);
    conformance::check(|| RedisStore::open(&server.url).unwrap());
}

fn sealed() {
    let server = Server::start(&[]);
    let store = RedisStore::open(&server.url).unwrap();
    let put = |key: &StoreKey, bytes: &[u8]| sealing::write(&store, key, bytes);
    sealing::check_refusals(|| RedisStore::open(&server.url).unwrap(), put);
}

fn keys() {
    for &provider in Provider::ALL {
        for (what, order) in sealing::orders() {
            let server = Server::start(&[]);
            let open = || RedisStore::open(&server.url).unwrap();
            assert_eq!(sealing::play(provider, open, &order), 0, "{provider}: {what}");
        }
    }
}

/// The line of `docs/redis.md` that makes the user.
fn acl_line() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis.md");
    let page = std::fs::read_to_string(page).unwrap();
    let line = page.lines().find(|line| line.starts_with("user paytoken ")).unwrap();
    line.to_owned()
}

/// The user of the page, with this password.
pub(crate) fn make_page_user(server: &Server, password: &str) {
    let (line, password) = (acl_line(), format!(">{password}"));
    let mut words = vec!["ACL", "SETUSER"];
    let of = |word| if word == ">PASSWORD" { password.as_str() } else { word };
    words.extend(line.split(' ').skip(1).map(of));
    server.ask(&words);
}

fn by_acl() {
    let server = Server::start_on_port(&[]);
    let line = acl_line();
    make_page_user(&server, "pass/word@#");
    server.ask(&["ACL", "SETUSER", "default", "off"]);
    let port = server.port.unwrap();
    let url = format!("redis://paytoken:pass%2Fword%40%23@localhost:{port}/3");
    conformance::check(|| RedisStore::open(&url).unwrap());
    // Nothing less, with replicas too, and nothing more: each right that the line gives is needed.
    assert!(!is_needed("+eval"), "a right is missing");
    for right in line.split(' ').filter(|word| word.starts_with('+')) {
        assert!(is_needed(&right.replacen('+', "-", 1)), "{right} is not needed");
    }
}

/// The page's users as a file, and its lines for another password, one after the other.
fn another_password() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis.md");
    let page = std::fs::read_to_string(page).unwrap();
    let users = page.split("```\nuser paytoken ").nth(1).unwrap().split("```").next().unwrap();
    let folder = paytoken_testing::temporary_folder();
    let file = folder.path().join("users.acl");
    std::fs::write(&file, format!("user paytoken {users}")).unwrap();
    let server = Server::start(&["--aclfile", file.to_str().unwrap()]);
    let lets_in = |password: &str| {
        let url = format!("{}?user=paytoken&pass={password}", server.url);
        RedisStore::open(&url).unwrap().stamp(&key())
    };
    let administer = |line: &str| {
        let url = format!("{}?user=admin&pass=ANOTHER", server.url);
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let words = line.split(' ').map(|word| word.trim_matches('\''));
        let mut words = words.skip_while(|word| *word != "--askpass").skip(1);
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = command.arg(word));
        command.query::<redis::Value>(&mut connection).unwrap();
    };
    let nobody = RedisStore::open(&server.url).unwrap().stamp(&key()).unwrap_err();
    assert!(nobody.to_string().contains("asks for a password"), "{nobody}");
    lets_in("PASSWORD").unwrap();
    let running = RedisStore::open(&format!("{}?user=paytoken&pass=PASSWORD", server.url)).unwrap();
    running.stamp(&key()).unwrap();
    let page = page.replace("\\\n  ", "");
    let lines: Vec<_> =
        page.lines().filter(|line| line.starts_with("redis-cli --user admin")).collect();
    let [add, take, end, save] = lines[..] else { panic!("{lines:?}") };
    administer(add);
    for password in ["PASSWORD", "NEW"] {
        lets_in(password).unwrap();
    }
    administer(take);
    lets_in("NEW").unwrap();
    lets_in("PASSWORD").unwrap_err();
    // A connection that was logged in before stays so until it is ended.
    running.stamp(&key()).unwrap();
    administer(end);
    running.stamp(&key()).unwrap_err();
    administer(save);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.lines().filter(|line| line.contains(" off")).count(), 1, "{kept}");
    administer("--askpass ACL LOAD");
    lets_in("NEW").unwrap();
    lets_in("PASSWORD").unwrap_err();
}

/// Whether a user without this right fails at something.
fn is_needed(taken: &str) -> bool {
    let server = Server::start(&[]);
    make_page_user(&server, "p");
    server.ask(&["ACL", "SETUSER", "paytoken", taken]);
    let builder = || RedisStore::builder(&format!("{}?user=paytoken&pass=p&db=1", server.url));
    let (store, key) = (builder().build().unwrap(), key());
    if store.stamp(&key).is_err() {
        return true;
    }
    let Ok(Some(mut guard)) = store.lock(&key, Duration::ZERO, Duration::from_secs(5)) else {
        return true;
    };
    let is_refused =
        guard.write(b"entry", Duration::from_secs(60)).is_err() || guard.read().is_err();
    drop(guard);
    // What could not be unlocked is held.
    let script = "redis.call('SELECT', 1) return redis.call('EXISTS', ARGV[1])";
    let is_held = server.ask(&["EVAL", script, "0", &format!("paytoken:{{{key}}}:lock")]);
    // There are no replicas, which has to be found out by asking.
    let wait = Duration::from_millis(1);
    let replicated = builder().min_replicas(1, wait).build().unwrap();
    let error = replicated.lock(&key, Duration::ZERO, Duration::from_secs(5)).map(|_| ());
    is_refused
        || is_held != redis::Value::Int(0)
        || !error.unwrap_err().to_string().contains("has 0 replicas")
}

/// A key as the library makes them.
pub(crate) fn key() -> StoreKey {
    let credentials =
        paytoken::Credentials::new(Provider::SendPayments, "merchant-7", "not-real", None).unwrap();
    let url = Some("https://send.example");
    paytoken::store::Account::new(&credentials, paytoken::Environment::Sandbox, url)
        .unwrap()
        .key()
        .clone()
}

fn on_valkey() {
    if !is_installed("valkey-server") {
        say("not run: valkey-server is not installed here (Debian 12 does not have it)");
        return;
    }
    let server = Server::start_as("valkey-server", &[]);
    conformance::check(|| {
        RedisStore::open(&server.url.replace("redis+unix", "valkey+unix")).unwrap()
    });
}

fn lost_locks() {
    let server = Server::start(&[]);
    let open = || RedisStore::open(&server.url).unwrap();
    let lock = |key: &StoreKey| format!("paytoken:{{{key}}}:lock");
    conformance::lost_lock(open, |key| {
        assert_eq!(server.ask(&["DEL", &lock(key)]), redis::Value::Int(1))
    });
    conformance::lost_lock(open, |key| {
        server.ask(&["PEXPIRE", &lock(key), "1"]);
        until("the lease ends", || server.ask(&["EXISTS", &lock(key)]) == redis::Value::Int(0));
    });
}

fn dead_holder() {
    let server = Server::start(&[]);
    conformance::dead_holder(
        || RedisStore::open(&server.url).unwrap(),
        |key| {
            let store = RedisStore::open(&server.url).unwrap();
            let hold = Duration::from_secs(2);
            std::mem::forget(store.lock(key, Duration::ZERO, hold).unwrap().unwrap());
        },
    );
}

fn lost_answer() {
    let server = Server::start(&[]);
    let open = || RedisStore::builder(&server.url).timeout(Duration::from_millis(200)).build();
    let (own, other, key) = (open().unwrap(), open().unwrap(), key());
    let lock = |store: &RedisStore| {
        let (wait, hold) = (Duration::ZERO, Duration::from_secs(60));
        store.lock(&key, wait, hold).map(|guard| guard.is_some())
    };
    let name = format!("paytoken:{{{key}}}:lock");
    let is_held = || server.ask(&["EXISTS", &name]) == redis::Value::Int(1);
    assert!(lock(&own).unwrap());
    // It takes the command and answers when nobody listens any more.
    server.pause();
    lock(&own).unwrap_err();
    server.resume();
    until("the lock is taken", is_held);
    assert!(!lock(&other).unwrap(), "it is not the other's");
    assert!(lock(&own).unwrap(), "its own machine has to wait for its lease");
    assert!(!is_held());
    // The same for an unlock that was not heard of: whether it was done or not.
    let guard = own.lock(&key, Duration::ZERO, Duration::from_secs(60)).unwrap().unwrap();
    server.pause();
    drop(guard);
    server.resume();
    assert!(lock(&own).unwrap() && lock(&other).unwrap());
}

/// What an earlier version has as the lock's value, and this one.
const EARLIER: &str = "0123456789abcdef0123456789abcdef";
const TODAYS: &str = "0123456789abcdef0123456789abcdef:20000";

fn stale_locks() {
    let server = Server::start(&[]);
    let (store, key) = (RedisStore::open(&server.url).unwrap(), key());
    let name = format!("paytoken:{{{key}}}:lock");
    let warnings = || {
        logged(&server.folder.to_string_lossy())
            .iter()
            .filter(|line| line.contains("taken over"))
            .count()
    };
    let long = "0".repeat(100_000);
    let stale: &[&[&[&str]]] = &[
        &[&["SET", &name, EARLIER]],
        &[&["SET", &name, TODAYS]],
        &[&["SET", &name, ""]],
        &[&["SET", &name, &long]],
        &[&["SET", &name, TODAYS, "PX", "20000"], &["PERSIST", &name]],
        &[&["SET", &name, TODAYS, "PX", "60000"]],
        &[&["SET", &name, EARLIER, "EX", "3600"]],
        &[&["SET", &name, "something", "EX", "86400"]],
        &[&["SET", &name, "something", "PX", "9000000000000000"]],
        // What says of itself that it is for long is none of ours either.
        &[&["SET", &name, "ab:99999999999999999999", "EX", "864000"]],
        &[&["SET", &name, &format!("ab:{}", "9".repeat(400)), "EX", "864000"]],
        &[&["RPUSH", &name, "a"]],
        &[&["HSET", &name, "a", "b"], &["PEXPIRE", &name, "20000"]],
        &[&["SADD", &name, "a"]],
    ];
    for (index, commands) in stale.iter().enumerate() {
        for words in *commands {
            server.ask(words);
        }
        let guard = store.lock(&key, Duration::ZERO, Duration::from_secs(20)).unwrap();
        let mut guard = guard.unwrap_or_else(|| panic!("{commands:?} blocks"));
        assert_eq!(guard.read().unwrap().is_some(), index > 0, "{commands:?}");
        guard.write(b"entry", Duration::from_secs(60)).unwrap();
        // It is a lock like any other: another waits for it.
        let other = RedisStore::open(&server.url).unwrap();
        let is_held =
            || other.lock(&key, Duration::ZERO, Duration::from_secs(20)).unwrap().is_none();
        assert!(is_held(), "{commands:?}");
        drop(guard);
        assert_eq!(server.ask(&["EXISTS", &name]), redis::Value::Int(0), "{commands:?}");
        assert_eq!(warnings(), index + 1, "{commands:?}");
    }
    // What ends in time is another's, whoever that is.
    for (value, left) in [(TODAYS, "20000"), (TODAYS, "39000"), (EARLIER, "500000"), ("x", "20000")]
    {
        server.ask(&["SET", &name, value, "PX", left]);
        assert!(store.lock(&key, Duration::ZERO, Duration::from_secs(1)).unwrap().is_none());
        let ends: u64 = redis::from_redis_value(server.ask(&["PTTL", &name])).unwrap();
        assert!(ends.abs_diff(left.parse().unwrap()) < 10_000, "it is as it was");
        server.ask(&["DEL", &name]);
    }
    assert_eq!(warnings(), stale.len());
    // Whose lock was taken over writes nothing any more.
    let lock = || store.lock(&key, Duration::ZERO, Duration::from_secs(20)).unwrap().unwrap();
    let mut first = lock();
    server.ask(&["PERSIST", &name]);
    let second = lock();
    assert!(first.write(b"late", Duration::from_secs(60)).is_err());
    drop(first);
    assert_eq!(server.ask(&["EXISTS", &name]), redis::Value::Int(1));
    drop(second);
}

fn stale_locks_by_right() {
    let server = Server::start(&[]);
    make_page_user(&server, "p");
    let key = key();
    let name = format!("paytoken:{{{key}}}:lock");
    let is_had = |rights: &[&str]| {
        server.ask(&["SET", &name, EARLIER]);
        server.ask(&[&["ACL", "SETUSER", "paytoken"], rights].concat());
        let store = RedisStore::open(&format!("{}?user=paytoken&pass=p", server.url)).unwrap();
        let guard = store.lock(&key, Duration::ZERO, Duration::from_secs(20)).unwrap();
        guard.is_some()
    };
    assert!(is_had(&[]), "the page's rights are enough");
    assert!(!is_had(&["-pexpire"]));
    // As before Redis 7, whose PEXPIRE says nothing.
    assert!(is_had(&["-pexpire", "+pttl"]));
}

fn replicas() {
    let master = Server::start_on_port(&[]);
    let waiting = |wait| RedisStore::builder(&master.url).min_replicas(1, wait).build().unwrap();
    // Long where the replica is there: many servers may share a busy machine.
    let open = || waiting(Duration::from_secs(5));
    let key = key();
    let lock =
        |store: &RedisStore| store.lock(&key, Duration::ZERO, Duration::from_secs(60)).map(|_| ());
    let error = lock(&waiting(Duration::from_millis(100))).unwrap_err();
    assert!(
        error.to_string().contains("has 0 replicas that took it in time, and 1 must"),
        "{error}"
    );
    // What it could not have, it has not kept.
    lock(&RedisStore::open(&master.url).unwrap()).unwrap();
    let mut replica = master.start_replica();
    conformance::check(open);
    let store = open();
    let mut guard = store.lock(&key, Duration::ZERO, Duration::from_secs(60)).unwrap().unwrap();
    let stored =
        |server: &Server| server.ask(&["HEXISTS", &format!("paytoken:{{{key}}}"), "entry"]);
    guard.write(b"entry", Duration::from_secs(60)).unwrap();
    assert_eq!(stored(&replica), redis::Value::Int(1), "it has it when the write is over");
    replica.kill();
    assert!(guard.write(b"another", Duration::from_secs(60)).is_err());
}

fn foreign_values() {
    let server = Server::start(&[]);
    let (store, key) = (RedisStore::open(&server.url).unwrap(), key());
    let name = format!("paytoken:{{{key}}}");
    let write = || {
        let mut guard = store.lock(&key, Duration::ZERO, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(guard.read().unwrap(), None);
        guard.write(b"entry", Duration::from_secs(60)).unwrap();
        drop(guard);
        assert_eq!(store.read(&key).unwrap().as_deref(), Some(&b"entry"[..]));
        server.ask(&["DEL", &name]);
    };
    for words in [
        &["SET", &name, "text"][..],
        &["RPUSH", &name, "a", "b"],
        &["HSET", &name, "other", "field"],
        &["SADD", &name, "member"],
    ] {
        server.ask(words);
        assert_eq!(store.read(&key).unwrap(), None, "{words:?}");
        assert_eq!(store.stamp(&key).unwrap(), Some(0), "{words:?}");
        write();
    }
    // Longer than any entry, and than what is read of an answer: there, and not to be read.
    server.ask(&["HSET", &name, "entry", &"x".repeat(2_000_000)]);
    assert_eq!(store.read(&key).unwrap().as_deref(), Some(&b""[..]));
    write();
}

fn times_to_live() {
    let server = Server::start(&[]);
    let store = RedisStore::builder(&server.url).prefix("shop").database(2).build().unwrap();
    let key = key();
    let hold = Duration::from_secs(20);
    let mut guard = store.lock(&key, Duration::ZERO, hold).unwrap().unwrap();
    let left = |name: &str| -> i64 {
        let script = "redis.call('SELECT', 2) return redis.call('PTTL', ARGV[1])";
        redis::from_redis_value(server.ask(&["EVAL", script, "0", name])).unwrap()
    };
    let (entry, lock) = (format!("shop:{{{key}}}"), format!("shop:{{{key}}}:lock"));
    assert!((1..=5_000).contains(&left(&lock)), "{}", left(&lock));
    assert_eq!(left(&entry), -2, "there is none");
    guard.write(b"entry", Duration::from_secs(3600)).unwrap();
    assert_eq!(guard.read().unwrap().as_deref(), Some(&b"entry"[..]), "not as it was before");
    assert!((3_590_000..=3_600_000).contains(&left(&entry)), "{}", left(&entry));
    // A write begins the lease anew: what follows has all of it.
    let script = "redis.call('SELECT', 2) return redis.call('PEXPIRE', ARGV[1], 60000)";
    server.ask(&["EVAL", script, "0", &lock]);
    guard.write(b"entry", Duration::ZERO).unwrap();
    assert!((1..=5_000).contains(&left(&lock)), "{}", left(&lock));
    until("an entry that need not be kept is gone", || left(&entry) == -2);
    // Whatever is asked for.
    guard.write(b"entry", Duration::MAX).unwrap();
    assert!(left(&entry) > 3_600_000);
    drop(guard);
    assert_eq!(left(&lock), -2);
    for hold in [Duration::MAX, Duration::ZERO] {
        drop(store.lock(&key, Duration::MAX, hold).unwrap().unwrap());
    }
}
