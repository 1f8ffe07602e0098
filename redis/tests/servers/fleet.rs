//! Fleets of real processes that share one account of Send Payments, where each new token ends the
//! one before; and what becomes of them when a holder of the lock, or Redis, is lost in the middle.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::TokenSource;
use paytoken::store::Store as _;
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::machine::{self, Report};
use paytoken_testing::redis::{Server, signal, stop};
use paytoken_testing::{builder, has_tool, say, until};
use rustix::process::Signal;

use crate::conformance::key;
use crate::support::{SEND, settle};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("twelve_machines_of_four_threads_share_five_second_tokens", twelve_machines),
        trial("a_holder_that_is_killed_is_followed_within_the_time_of_who_waits", killed_holder),
        trial("a_holder_that_lives_keeps_its_lock_for_longer_than_its_lease", living_holder),
        trial("a_holder_without_a_thread_has_one_lease_for_all_of_its_time", without_threads),
        trial("a_holder_that_is_stopped_past_its_lease_harms_nobody", stopped_holder),
        trial("a_redis_that_restarts_empty_in_the_middle_costs_one_more_request", restarted),
        trial("a_redis_that_stops_in_the_middle_costs_no_token", stopped_redis),
    ]
}

/// The shared one, with a Redis.
pub(crate) struct World {
    shared: paytoken_testing::World,
    pub(crate) server: Server,
}

impl World {
    pub(crate) fn new(server: Server) -> Self {
        Self { shared: paytoken_testing::World::new(), server }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.shared.sandbox
    }

    /// A machine of one's own.
    pub(crate) fn machine(&self, threads: u64, seconds: u64) -> Child {
        let mut command = machine::command(&self.shared, threads, seconds);
        command.env("MACHINE_REDIS_URL", &self.server.url).spawn().unwrap()
    }

    /// A machine in this process.
    pub(crate) fn source(&self, timeout: Duration) -> TokenSource {
        let store = RedisStore::open(&self.server.url).unwrap();
        builder(self.sandbox(), SEND).store(store).timeout(timeout).build().unwrap()
    }

    fn requests(&self) -> usize {
        self.shared.sandbox.token_requests(SEND)
    }
}

/// A minute by hand, less where somebody waits.
fn seconds() -> u64 {
    let text = std::env::var("PAYTOKEN_SOAK_SECONDS").unwrap_or_else(|_| "15".into());
    text.parse().unwrap()
}

fn twelve_machines() {
    let world = World::new(Server::start(&[]));
    world.sandbox().set_lifetime(SEND, Duration::from_secs(5));
    let began = Instant::now();
    let machines: Vec<Child> = (0..12).map(|_| world.machine(4, seconds())).collect();
    let reports: Vec<Report> = machines.into_iter().map(Report::of).collect();
    let took = began.elapsed();
    let counts = world.sandbox().counts(SEND);
    let sum = |part: fn(&Report) -> u64| reports.iter().map(part).sum::<u64>();
    say(&format!(
        "{took:?}: {} calls, {} replayed, longest {} ms, {} /auth, at most {} at a time; fetched by {:?}",
        sum(|report| report.calls),
        sum(|report| report.replays),
        reports.iter().map(|report| report.longest).max().unwrap(),
        counts.token_requests,
        counts.max_concurrent_token_requests,
        reports.iter().map(|report| report.fetched).collect::<Vec<_>>(),
    ));
    say(&format!("Redis was asked: {:?}", world.server.calls()));
    assert_eq!(counts.max_concurrent_token_requests, 1, "two /auth overlapped");
    // A token serves for 4.75 s.
    let lifetimes = took.as_millis() as usize / 4750;
    assert!(counts.token_requests <= lifetimes + 1, "{counts:?} in {took:?}");
    assert_eq!(sum(|report| report.refused), 0, "a superseded token's 401 reached a caller");
    assert_eq!(sum(|report| report.errors), 0);
    assert_eq!(sum(|report| report.fetched), counts.token_requests as u64);
    assert!(sum(|report| report.calls) > 12 * 4 * 10);
}

/// A machine that has the lock, and whose request the sandbox holds.
fn in_the_middle(world: &World) -> (Child, paytoken_sandbox::Hold) {
    let hold = world.sandbox().hold(SEND);
    let machine = world.machine(1, 60);
    until("its request is there", || world.requests() == 1);
    (machine, hold)
}

/// How long the lock has left that somebody has (ms).
fn lease(server: &Server) -> i64 {
    let keys: Vec<String> =
        redis::from_redis_value(server.ask(&["KEYS", "paytoken:*:lock"])).unwrap();
    let [lock] = &keys[..] else { panic!("{keys:?}") };
    redis::from_redis_value(server.ask(&["PTTL", lock])).unwrap()
}

fn killed_holder() {
    let world = World::new(Server::start(&[]));
    let (mut holder, hold) = in_the_middle(&world);
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(hold);
    let began = Instant::now();
    let token = world.source(Duration::from_secs(15)).token().unwrap();
    say(&format!("a token {:?} after the holder's death", began.elapsed()));
    assert!(world.sandbox().is_valid(SEND, token.secret()));
    assert_eq!(world.requests(), 2);
}

fn living_holder() {
    let world = World::new(Server::start(&[]));
    let (mut holder, hold) = in_the_middle(&world);
    let waiting = std::thread::spawn({
        let source = world.source(Duration::from_secs(60));
        move || source.token()
    });
    // Five of them are longer than a lease.
    for _ in 0..5 {
        let mut before = lease(&world.server);
        assert!(before <= 5_000, "{before} ms");
        until("the lease is renewed", || {
            let left = lease(&world.server);
            left > std::mem::replace(&mut before, left)
        });
    }
    assert_eq!(world.requests(), 1, "another asks beside it");
    drop(hold);
    let token = waiting.join().unwrap().unwrap();
    assert!(world.sandbox().is_valid(SEND, token.secret()));
    assert_eq!(world.requests(), 1);
    holder.kill().unwrap();
    holder.wait().unwrap();
}

/// As another user, who may have no more than the one thread that it begins with.
fn without_threads() {
    if !["setpriv", "prlimit"].into_iter().all(has_tool) || !rustix::process::getuid().is_root() {
        return;
    }
    let server = Server::start_on_port(&[]);
    let mut holder = Command::new("setpriv")
        .args(["--reuid", "61234", "--clear-groups", "prlimit", "--nproc=1"])
        .arg(std::env::current_exe().unwrap())
        .arg("hold-a-lock")
        .env("MACHINE_REDIS_URL", &server.url)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    until("it has the lock", || {
        server.ask(&["KEYS", "paytoken:*:lock"]) != redis::Value::Array(vec![])
            || holder.try_wait().unwrap().is_some()
    });
    // The lock is taken for a short lease, and that is made longer once there turns out to be no thread.
    until("it has one lease for all of its time", || {
        (30_000..=60_000).contains(&lease(&server)) || holder.try_wait().unwrap().is_some()
    });
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(server.ask(&["KEYS", "paytoken:*:lock"]), redis::Value::Array(vec![]));
}

/// Holds a lock until its stdin ends.
pub(crate) fn hold_a_lock() {
    let store = RedisStore::open(&std::env::var("MACHINE_REDIS_URL").unwrap()).unwrap();
    let minute = Duration::from_secs(60);
    let guard = store.lock(&key(), Duration::ZERO, minute).unwrap().unwrap();
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    drop(guard);
}

fn stopped_holder() {
    let world = World::new(Server::start(&[]));
    let (mut holder, hold) = in_the_middle(&world);
    stop(&holder);
    drop(hold);
    // Its request may have been answered: it stands still and cannot tell.
    let follower = world.source(Duration::from_secs(15));
    let token = follower.token().unwrap();
    assert_eq!(world.requests(), 2, "one for each lease");
    assert!(world.sandbox().is_valid(SEND, token.secret()));
    signal(&holder, Signal::CONT);
    // It comes to, cannot write, and takes the newer token over: 401s are replayed, none comes through.
    let third = world.source(Duration::from_secs(15));
    let until_it_has_called = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until_it_has_called {
        let token = third.token().unwrap();
        assert!(world.sandbox().is_valid(SEND, token.secret()), "a dead token is in the store");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.requests(), 2, "it asked again");
    assert_eq!(follower.token().unwrap().secret(), token.secret());
    holder.kill().unwrap();
    holder.wait().unwrap();
}

/// Two machines in this process, one of which is fetching; `disturb` comes in the middle. Both end
/// with the same valid token.
fn disturbed(most_requests: usize, mut disturb: impl FnMut(&mut Server)) {
    let mut world = World::new(Server::start(&[]));
    let sources = [0, 1].map(|_| world.source(Duration::from_secs(10)));
    let hold = world.sandbox().hold(SEND);
    let began = Instant::now();
    let first = std::thread::spawn({
        let source = sources[0].clone();
        move || source.token()
    });
    until("its request is there", || world.requests() == 1);
    disturb(&mut world.server);
    let second = std::thread::spawn({
        let source = sources[1].clone();
        move || source.token()
    });
    until("the other is there, too, or waits", || {
        world.requests() == most_requests || began.elapsed() > Duration::from_secs(2)
    });
    drop(hold);
    let [first, second] = [first, second].map(|thread| thread.join().unwrap());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    second.unwrap();
    first.unwrap();
    assert!(world.requests() <= most_requests, "{}", world.requests());
    settle(world.sandbox(), &sources);
    assert!(world.requests() <= most_requests + 1, "{}", world.requests());
    assert!(world.sandbox().counts(SEND).max_concurrent_token_requests <= most_requests);
}

fn restarted() {
    disturbed(2, |server| {
        server.kill();
        server.start_again();
    });
}

fn stopped_redis() {
    let mut world = World::new(Server::start(&[]));
    let source = world.source(Duration::from_secs(10));
    let hold = world.sandbox().hold(SEND);
    let fetching = std::thread::spawn({
        let source = source.clone();
        move || source.token()
    });
    until("its request is there", || world.requests() == 1);
    world.server.kill();
    drop(hold);
    let token = fetching.join().unwrap().expect("what was fetched is a token, stored or not");
    assert!(world.sandbox().is_valid(SEND, token.secret()));
    assert_eq!(source.token().unwrap().secret(), token.secret());
    // Another machine has none, and fetches none without the lock.
    let error = world.source(Duration::from_secs(2)).token().unwrap_err();
    assert_eq!(error.kind(), paytoken::ErrorKind::Store, "{error}");
    assert_eq!(world.requests(), 1);
    world.server.start_again();
    let newer = world.source(Duration::from_secs(2)).token().unwrap();
    assert!(world.sandbox().is_valid(SEND, newer.secret()));
    until("the first takes it over", || source.token().unwrap().secret() == newer.secret());
    assert_eq!(world.requests(), 2);
}
