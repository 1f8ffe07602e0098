//! Many processes, one token.

use std::collections::HashSet;
use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken::{Attempt, Credentials, Environment, Error, FileStore, Provider, TokenSource};
use paytoken_sandbox::Service;

use crate::support::{World, text, until};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "forty_processes_at_once_make_one_request_on_an_empty_store_and_one_at_expiry",
            forty_at_once,
        ),
        trial("eight_processes_with_five_second_tokens_never_end_each_others", eight_workers),
    ]
}

fn forty_at_once() {
    let world = World::new();
    for &service in Service::ALL {
        world.sandbox.set_lifetime(service, Duration::from_secs(6));
        world.sandbox.set_delay(service, Duration::from_millis(100));
        let mut last = String::new();
        for round in 1..=2 {
            let children: Vec<Child> = (0..40)
                .map(|_| world.paytoken(&["token", service.facts().name]).spawn().unwrap())
                .collect();
            let tokens: HashSet<String> =
                children.into_iter().map(|child| text(child.wait_with_output().unwrap())).collect();
            assert_eq!(tokens.len(), 1, "{service} round {round}");
            assert_eq!(world.sandbox.token_requests(service), round, "{service}");
            let token = tokens.into_iter().next().unwrap();
            assert_ne!(token, last, "{service} round {round}");
            until("the token ends", || !world.sandbox.is_valid(service, &token));
            last = token;
        }
    }
}

/// How long the workers work; the minute, or shorter where somebody waits.
fn seconds() -> u64 {
    let text = std::env::var("PAYTOKEN_SOAK_SECONDS").unwrap_or_else(|_| "15".into());
    text.parse().unwrap()
}

fn eight_workers() {
    let world = World::new();
    let service = Service::SendPayments;
    world.sandbox.set_lifetime(service, Duration::from_secs(5));
    let workers: Vec<Child> = (0..8)
        .map(|_| {
            let mut command = world.program(std::env::current_exe().unwrap());
            command
                .arg("worker")
                .env("PAYTOKEN_SOAK_SECONDS", seconds().to_string())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut calls = 0;
    let mut replays = 0;
    for worker in workers {
        let report = text(worker.wait_with_output().unwrap());
        let numbers: Vec<u64> =
            report.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [done, replayed, refused] = numbers[..] else { panic!("{report}") };
        assert_eq!(refused, 0, "a superseded token's 401 reached a caller");
        calls += done;
        replays += replayed;
    }
    let counts = world.sandbox.counts(service);
    println!(
        "{} s: {calls} calls, {replays} replayed, {} tokens, at most {} /auth at a time",
        seconds(),
        counts.tokens_issued,
        counts.max_concurrent_token_requests
    );
    assert_eq!(counts.max_concurrent_token_requests, 1, "two /auth overlapped");
    // One per 4.75 s, and the first.
    assert!(counts.token_requests as u64 <= seconds() * 100 / 475 + 2, "{counts:?}");
    assert!(calls > 8 * 10);
}

/// One of the eight: gets tokens and calls the API until its time is over, then reports.
pub(crate) fn worker() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let mut ca = Vec::new();
    std::fs::File::open(variable("PAYTOKEN_CA")).unwrap().read_to_end(&mut ca).unwrap();
    let base_url = variable("SENDPAYMENTS_BASE_URL");
    let source = TokenSource::builder(
        Credentials::from_env(Provider::SendPayments).unwrap(),
        Environment::Sandbox,
    )
    .base_url(&base_url)
    .root_certificates_pem(&ca)
    .store(FileStore::open(variable("PAYTOKEN_STORE")).unwrap())
    .build()
    .unwrap();
    let roots =
        ureq::tls::RootCerts::new_with_certs(&[ureq::tls::Certificate::from_pem(&ca).unwrap()]);
    let agent = ureq::Agent::config_builder()
        .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let (mut calls, mut replays, mut refused) = (0u64, 0u64, 0u64);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds()) {
        let mut attempts = 0;
        let status = source
            .call(|token| {
                attempts += 1;
                let url = format!("{base_url}/accounts");
                let mut answer =
                    agent.get(url).header("Authorization", token.bearer()).call().unwrap();
                answer.body_mut().read_to_vec().unwrap();
                Ok::<_, Error>(match answer.status().as_u16() {
                    401 => Attempt::Unauthorized(401),
                    status => Attempt::Done(status),
                })
            })
            .unwrap();
        calls += 1;
        replays += attempts - 1;
        refused += u64::from(status != 200);
    }
    println!("{calls} {replays} {refused}");
}
