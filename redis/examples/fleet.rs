//! Twelve machines, one account of Send Payments, one Redis: `cargo run -p paytoken-redis --example
//! fleet`. Starts a Redis (redis-server has to be installed) on a socket in a temporary folder, and
//! the sandbox; the machines are processes of their own. Each new token ends the one before, so every
//! request too many would show as a 401.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)] // it is an example

use std::process::{Child, ExitCode};
use std::time::Duration;

use paytoken_redis::RedisStore;
use paytoken_sandbox::Service;
use paytoken_testing::machine::{self, Report};
use paytoken_testing::redis::Server;
use paytoken_testing::{World, is_installed};

const MACHINES: usize = 12;
const THREADS: u64 = 4;
const SECONDS: u64 = 15;
const LIFETIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("machine") {
        machine::run(RedisStore::open(&std::env::var("MACHINE_REDIS_URL").unwrap()).unwrap());
        return ExitCode::SUCCESS;
    }
    if !is_installed("redis-server") {
        eprintln!(
            "redis-server is not installed here; install it (Debian: apt-get install redis-server) and run this again"
        );
        return ExitCode::from(69);
    }
    let world = World::new();
    let sandbox = &world.sandbox;
    sandbox.set_lifetime(Service::SendPayments, LIFETIME);
    sandbox.set_delay(Service::SendPayments, Duration::from_millis(200));
    let redis = Server::start(&[]);
    println!(
        "{MACHINES} machines, {THREADS} threads each, {SECONDS} s; tokens live {} s, /auth takes 200 ms\n",
        LIFETIME.as_secs()
    );
    let machine = |_| {
        let mut command = machine::command(&world, THREADS, SECONDS);
        command.env("MACHINE_REDIS_URL", &redis.url).spawn().unwrap()
    };
    let machines: Vec<Child> = (0..MACHINES).map(machine).collect();
    println!("machine    calls  fetched  waited  replayed  401 to callers  errors  longest");
    let mut total = Report::default();
    for (number, machine) in machines.into_iter().enumerate() {
        let report = Report::of(machine);
        let Report { calls, replays, refused, errors, longest, fetched, found } = report;
        println!(
            "{:7} {calls:8} {fetched:8} {found:7} {replays:9} {refused:15} {errors:7} {longest:5} ms",
            number + 1
        );
        total.calls += calls;
        total.fetched += fetched;
    }
    let counts = sandbox.counts(Service::SendPayments);
    println!(
        "\n{} calls with {} tokens: {} requests to /auth, at most {} at a time",
        total.calls, total.fetched, counts.token_requests, counts.max_concurrent_token_requests
    );
    let mut asked = redis.calls();
    asked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let asked: Vec<_> = asked.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("Redis was asked, what scripts do counted too: {}", asked.join(", "));
    ExitCode::SUCCESS
}
