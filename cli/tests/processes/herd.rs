//! Many processes, one token.

use std::collections::HashSet;
use std::process::Child;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::machine::{self, Report};
use paytoken_testing::until;

use crate::support::{World, text};
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
        world.sandbox.set_delay(service, Duration::from_millis(100));
        let mut last = String::new();
        for round in [1, 3] {
            if round == 3 {
                // One of its own for the end of a token, so that those of forty outlive a slow start.
                world.sandbox.set_lifetime(service, Duration::from_secs(2));
                last = text(
                    world.paytoken(&["token", service.facts().name, "--force"]).output().unwrap(),
                );
                until("the last token ends", || !world.sandbox.is_valid(service, &last));
            }
            world.sandbox.set_lifetime(service, Duration::from_secs(300));
            let children: Vec<Child> = (0..40)
                .map(|_| world.paytoken(&["token", service.facts().name]).spawn().unwrap())
                .collect();
            let tokens: HashSet<String> =
                children.into_iter().map(|child| text(child.wait_with_output().unwrap())).collect();
            assert_eq!(tokens.len(), 1, "{service} round {round}");
            assert_eq!(world.sandbox.token_requests(service), round, "{service}");
            let token = tokens.into_iter().next().unwrap();
            assert_ne!(token, last, "{service} round {round}");
            last = token;
        }
    }
}

/// Of each worker; they call one after the other, with a pause.
const THREADS: u64 = 4;

/// How long the workers work; the minute, or shorter where somebody waits.
fn seconds() -> u64 {
    let text = std::env::var("PAYTOKEN_SOAK_SECONDS").unwrap_or_else(|_| "15".into());
    text.parse().unwrap()
}

fn eight_workers() {
    let world = World::new();
    let service = Service::SendPayments;
    world.sandbox.set_lifetime(service, Duration::from_secs(5));
    let began = Instant::now();
    let workers: Vec<Child> = (0..8)
        .map(|_| {
            let mut command = machine::command(&world, THREADS, seconds());
            command.env("PAYTOKEN_STORE", world.store()).spawn().unwrap()
        })
        .collect();
    let (mut calls, mut replays) = (0, 0);
    for worker in workers {
        let report = Report::of(worker);
        assert_eq!(report.refused, 0, "a superseded token's 401 reached a caller");
        assert_eq!(report.errors, 0, "a call got no token");
        calls += report.calls;
        replays += report.replays;
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
    let took = began.elapsed().as_millis();
    assert!(counts.token_requests as u128 <= took / 4750 + 1, "{counts:?} in {took} ms");
    assert!(calls > 8 * 10);
}
