//! One machine of a fleet, or one worker of a machine, as a process: threads that call Send Payments'
//! API with tokens from a store, and one line at the end that says what came of it.

#![allow(clippy::print_stdout, clippy::print_stderr)] // how a process reports

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::store::Store;
use paytoken::{Attempt, Credentials, Environment, Error, Event, EventKind, Provider, TokenSource};

use crate::World;

/// What a machine reports, in this order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls of the API.
    pub calls: u64,
    /// Calls that were answered 401 and run once more.
    pub replays: u64,
    /// Answers other than 200 that reached the caller.
    pub refused: u64,
    /// Calls that got no token.
    pub errors: u64,
    /// The longest that a call took, API and all, in milliseconds.
    pub longest: u64,
    /// Tokens that this machine fetched.
    pub fetched: u64,
    /// Tokens that it waited for, and found in the store.
    pub found: u64,
}

/// This program once more, as a machine of this world: its first argument is `machine`, which has to
/// lead to [`run`].
pub fn command(world: &World, threads: u64, seconds: u64) -> Command {
    let mut command = world.command(std::env::current_exe().unwrap());
    command
        .arg("machine")
        .env("MACHINE_THREADS", threads.to_string())
        .env("MACHINE_SECONDS", seconds.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Report {
    /// Of a machine that ends well.
    pub fn of(machine: Child) -> Self {
        let output = machine.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self::parse(&String::from_utf8(output.stdout).unwrap())
    }

    fn parse(line: &str) -> Self {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [calls, replays, refused, errors, longest, fetched, found] = numbers[..] else {
            panic!("a machine reports {line:?}");
        };
        Self { calls, replays, refused, errors, longest, fetched, found }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} has to be set"))
}

fn number(name: &str) -> u64 {
    variable(name).parse().expect("a number")
}

/// Runs for `MACHINE_SECONDS` with `MACHINE_THREADS` threads, against the sandbox that the environment
/// leads to, and prints its [`Report`].
pub fn run(store: impl Store + 'static) {
    let ca = std::fs::read(variable("PAYTOKEN_CA")).expect("the authority can be read");
    let url = variable("SENDPAYMENTS_BASE_URL");
    let events = Arc::new([const { AtomicU64::new(0) }; 2]);
    let told = events.clone();
    let credentials = Credentials::from_env(Provider::SendPayments).expect("credentials");
    let source = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&url)
        .root_certificates_pem(&ca)
        .store(store)
        .on_event(move |event: &Event| match event.kind {
            EventKind::Fetched { .. } => _ = told[0].fetch_add(1, Ordering::Relaxed),
            EventKind::Found { .. } => _ = told[1].fetch_add(1, Ordering::Relaxed),
            _ => {}
        })
        .build()
        .expect("good settings");
    let (began, length) = (Instant::now(), Duration::from_secs(number("MACHINE_SECONDS")));
    let threads: Vec<_> = (0..number("MACHINE_THREADS"))
        .map(|_| {
            let (source, ca, url) = (source.clone(), ca.clone(), format!("{url}/accounts"));
            thread::spawn(move || call_for(&source, &ca, &url, began, length))
        })
        .collect();
    let mut report = Report::default();
    for thread in threads {
        let part = thread.join().expect("a thread that does not panic");
        report.calls += part.calls;
        report.replays += part.replays;
        report.refused += part.refused;
        report.errors += part.errors;
        report.longest = report.longest.max(part.longest);
    }
    let [fetched, found] = [&events[0], &events[1]].map(|count| count.load(Ordering::Relaxed));
    let Report { calls, replays, refused, errors, longest, .. } = report;
    println!("{calls} {replays} {refused} {errors} {longest} {fetched} {found}");
}

fn call_for(
    source: &TokenSource,
    ca: &[u8],
    url: &str,
    began: Instant,
    length: Duration,
) -> Report {
    let root = ureq::tls::Certificate::from_pem(ca).expect("a certificate");
    let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
    let agent = ureq::Agent::config_builder()
        .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let mut report = Report::default();
    while began.elapsed() < length {
        // A pause, as between two payments; nothing is waited for.
        thread::sleep(Duration::from_millis(20));
        let asked = Instant::now();
        let mut attempts = 0;
        let status = source.call(|token| {
            attempts += 1;
            let request = agent.get(url).header("Authorization", token.bearer());
            let mut answer = request.call().expect("the sandbox answers");
            answer.body_mut().read_to_vec().expect("with a body");
            Ok::<_, Error>(match answer.status().as_u16() {
                401 => Attempt::Unauthorized(401),
                status => Attempt::Done(status),
            })
        });
        report.calls += 1;
        report.replays += u64::from(attempts > 1);
        report.longest = report.longest.max(asked.elapsed().as_millis() as u64);
        match status {
            Ok(200) => {}
            Ok(_) => report.refused += 1,
            Err(error) => {
                eprintln!("{error}");
                report.errors += 1;
            }
        }
    }
    report
}
