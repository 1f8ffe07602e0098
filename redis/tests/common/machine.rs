//! One machine of a fleet, as a process: threads that call Send Payments' API with tokens from the
//! store, and one line at the end that says what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Attempt, Credentials, Environment, Error, Event, EventKind, Provider, TokenSource};
use paytoken_redis::RedisStore;

/// What a machine reports, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    /// Calls that were answered 401 and run once more.
    pub(crate) replays: u64,
    /// Answers other than 200 that reached the caller.
    pub(crate) refused: u64,
    /// Calls that got no token.
    pub(crate) errors: u64,
    /// The longest that a call took, API and all, in milliseconds.
    pub(crate) longest: u64,
    /// Tokens that this machine fetched.
    pub(crate) fetched: u64,
    /// Tokens that it waited for, and found in the store.
    // The example shows it.
    #[allow(dead_code)]
    pub(crate) found: u64,
}

impl Report {
    // The example and the tests read it, and the machine does not.
    #[allow(dead_code)]
    pub(crate) fn parse(line: &str) -> Self {
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

/// Runs for `MACHINE_SECONDS` with `MACHINE_THREADS` threads.
pub(crate) fn run() {
    let ca = std::fs::read(variable("PAYTOKEN_CA")).expect("the authority can be read");
    let url = variable("SENDPAYMENTS_BASE_URL");
    let events = Arc::new([const { AtomicU64::new(0) }; 2]);
    let told = events.clone();
    let credentials = Credentials::from_env(Provider::SendPayments).expect("credentials");
    let source = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&url)
        .root_certificates_pem(&ca)
        .store(RedisStore::open(&variable("MACHINE_REDIS_URL")).expect("a URL"))
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
