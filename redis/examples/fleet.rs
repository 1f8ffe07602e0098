//! Twelve machines, one account of Send Payments, one Redis: `cargo run -p paytoken-redis --example
//! fleet`. Starts a Redis (redis-server has to be installed) on a socket in a temporary folder, and
//! the sandbox; the machines are processes of their own. Each new token ends the one before, so every
//! request too many would show as a 401.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)] // it is an example
#![allow(dead_code)] // the tests use more of what they share with it

#[path = "../tests/common/machine.rs"]
mod machine;
#[path = "../tests/common/server.rs"]
mod server;

use std::fs;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use machine::Report;
use paytoken_sandbox::{Sandbox, Service};
use server::Server;

const MACHINES: usize = 12;
const THREADS: u64 = 4;
const SECONDS: u64 = 15;
const LIFETIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("machine") {
        machine::run();
        return ExitCode::SUCCESS;
    }
    if Command::new("redis-server").arg("--version").output().is_err() {
        eprintln!(
            "redis-server is not installed here; install it (Debian: apt-get install redis-server) and run this again"
        );
        return ExitCode::from(69);
    }
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_lifetime(Service::SendPayments, LIFETIME);
    sandbox.set_delay(Service::SendPayments, Duration::from_millis(200));
    let redis = Server::start(&[]);
    let ca = redis.folder.join("ca.pem");
    fs::write(&ca, sandbox.ca_pem()).unwrap();
    println!(
        "{MACHINES} machines, {THREADS} threads each, {SECONDS} s; tokens live {} s, /auth takes 200 ms\n",
        LIFETIME.as_secs()
    );
    let machine = |_| {
        Command::new(std::env::current_exe().unwrap())
            .arg("machine")
            .envs(sandbox.variables(&ca.to_string_lossy(), "", ""))
            .env("MACHINE_REDIS_URL", &redis.url)
            .env("MACHINE_THREADS", THREADS.to_string())
            .env("MACHINE_SECONDS", SECONDS.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let machines: Vec<Child> = (0..MACHINES).map(machine).collect();
    println!("machine    calls  fetched  waited  replayed  401 to callers  errors  longest");
    let mut total = Report::default();
    for (number, machine) in machines.into_iter().enumerate() {
        let output = machine.wait_with_output().unwrap();
        let report = Report::parse(&String::from_utf8_lossy(&output.stdout));
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
