//! `herd renewal|ended|empty THREADS`: prints whether each thread got a token and its wait in ns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, sync::Arc};

use paytoken::{Clock, Credentials, Environment, Now, Provider, TokenSource};
use paytoken_peers::{on_threads, variable, wait_for_go};

/// The system's clocks, moved forward.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Clock for Ahead {
    fn now(&self) -> Now {
        let ahead = Duration::from_secs(self.0.load(Ordering::Relaxed));
        let now = Now::from_system();
        Now { monotonic: now.monotonic + ahead, wall: now.wall + ahead }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let threads: usize = words[1].parse().expect("THREADS");
    let clock = Ahead::default();
    let credentials = Credentials::from_env(Provider::NtxPay).expect("credentials");
    let source = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&variable("NTXPAY_BASE_URL"))
        .root_certificates_pem(&fs::read(variable("PAYTOKEN_CA")).expect("a CA"))
        .clock(clock.clone())
        .build()
        .expect("a source");
    // The token lives 600 s; from 480 s on the library wants a new one.
    let ahead = match words[0].as_str() {
        "renewal" => Some(510),
        "ended" => Some(601),
        "empty" => None,
        _ => panic!("renewal, ended or empty"),
    };
    if let Some(ahead) = ahead {
        source.token().expect("a token");
        clock.0.store(ahead, Ordering::Relaxed);
    }
    wait_for_go();
    let failed = Mutex::new(0);
    let (_, waits) = on_threads(threads, || {
        if source.token().is_err() {
            *failed.lock().expect("no panic") += 1;
        }
    });
    println!("{}", failed.into_inner().expect("no panic"));
    for wait in waits {
        println!("{}", wait.as_nanos());
    }
}
