//! What the programs share: the variables that `run` sets, and how ureq is set up.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// A variable; without it the program ends.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; start this through run"))
}

/// An agent for mutual TLS.
pub fn agent() -> ureq::Agent {
    let roots: Vec<Certificate<'static>> = certificates("PAYTOKEN_CA");
    let chain = certificates("NTXPAY_CLIENT_CERT");
    let key = PrivateKey::from_pem(&file("NTXPAY_CLIENT_KEY")).expect("a private key");
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(Some(ClientCert::new_with_certs(&chain, key)))
        .build();
    ureq::Agent::config_builder().tls_config(tls).max_redirects(0).build().new_agent()
}

fn certificates(variable_name: &str) -> Vec<Certificate<'static>> {
    parse_pem(&file(variable_name))
        .filter_map(|item| match item.expect("readable PEM") {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect()
}

fn file(variable_name: &str) -> Vec<u8> {
    fs::read(variable(variable_name)).expect("a readable file")
}

/// Tells `run` that everything is set up, and waits for its word.
pub fn wait_for_go() {
    println!("ready");
    io::stdout().flush().expect("stdout");
    io::stdin().lock().read_line(&mut String::new()).expect("stdin");
}

/// Runs `work` on all threads at once; returns the time from the first start to the last end, and
/// each thread's own.
pub fn on_threads(count: usize, work: impl Fn() + Clone + Send) -> (Duration, Vec<Duration>) {
    let barrier = Arc::new(Barrier::new(count));
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let (barrier, work) = (Arc::clone(&barrier), work.clone());
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    work();
                    (start, Instant::now())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let start = times.iter().map(|time| time.0).min().expect("a thread");
    let end = times.iter().map(|time| time.1).max().expect("a thread");
    (end - start, times.iter().map(|time| time.1 - time.0).collect())
}
