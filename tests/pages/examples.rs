//! Each example, run as a user would run it, against the sandbox.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use paytoken::Provider::{self, NexterPay, NtxPay, SendPayments};
use paytoken_sandbox::Fault;

use crate::world::{World, program};
use crate::{built, root};

/// The examples, and what each prints.
const EXAMPLES: [(&str, &[&str]); 10] = [
    ("catalogue", &["Mexico"]),
    ("create_account", &["created:", "shop-1001"]),
    ("described", &["market: a token that lives 300s", "requests: 1"]),
    ("cron_job", &["requests: 1; good for "]),
    (
        "merchants",
        &[
            "ntx-pay: 1 request, 1 token",
            "nexter-pay: 1 request, 1 token",
            "send-payments: 1 request, 1 token",
            " merchants are left",
        ],
    ),
    (
        "metrics",
        &[
            "HTTP/1.1 200 OK",
            "paytoken_events_total{account=\"merchant-7\",kind=\"fetched\"} 2",
            "paytoken_events_total{account=\"merchant-7\",kind=\"invalidated\"} 1",
        ],
    ),
    ("own_store", &["first source, requests: 1", "second source, requests: 0"]),
    ("private_network", &["the way is free", "a token that lives 300s"]),
    ("spei_balance", &["1250.00"]),
    (
        "workers",
        &[
            "ntx-pay: 4 workers, different tokens: 4",
            "send-payments: 4 workers, different tokens: 1",
        ],
    ),
];

fn example(name: &str) -> PathBuf {
    program(&built().join("examples").join(name), "cargo build --examples")
}

fn run(world: &World, name: &str) -> Output {
    world.command(example(name)).output().unwrap()
}

fn says(output: &Output, expected: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for line in expected {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
}

#[test]
fn every_example_does_what_it_says() {
    for (name, expected) in EXAMPLES {
        says(&run(&World::new(), name), expected);
    }
}

#[test]
fn no_example_is_left_out() {
    let mut left_out: Vec<_> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    left_out.retain(|name| EXAMPLES.iter().all(|(known, _)| known != name));
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn every_example_is_read_at_once() {
    for (name, _) in EXAMPLES {
        let text = fs::read_to_string(root().join(format!("examples/{name}.rs"))).unwrap();
        assert!(text.lines().count() <= 70, "{name} has {} lines", text.lines().count());
    }
}

#[test]
fn a_revoked_token_costs_each_api_example_one_replay() {
    for (name, provider) in
        [("spei_balance", NtxPay), ("catalogue", NexterPay), ("create_account", SendPayments)]
    {
        let world = World::new();
        world.sandbox.api_fault_next(provider, 1, Fault::Status(401));
        let output = run(&world, name);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(requests(&world, provider), (2, 2), "{name}");
    }
}

#[test]
fn an_account_whose_creation_may_have_arrived_is_looked_for_and_never_sent_again() {
    for (fault, expected) in [
        (Fault::Status(503), "unknown (503"),
        (Fault::Reset, "unknown ("),
        (Fault::Status(500), "it is not there"),
    ] {
        let world = World::new();
        world.sandbox.api_fault_next(SendPayments, 1, fault.clone());
        says(&run(&world, "create_account"), &[expected, "looking for shop-1001"]);
        let received = world.sandbox.received(SendPayments);
        let posts = received.iter().filter(|request| request.starts_with(b"POST /accounts "));
        let looks = received.iter().filter(|request| request.starts_with(b"GET /accounts "));
        assert_eq!((posts.count(), looks.count()), (1, 1), "{fault:?}");
    }
}

#[test]
fn the_cron_job_shares_its_token_between_runs_and_its_exit_code_says_what_to_do() {
    let world = World::new();
    says(&run(&world, "cron_job"), &["requests: 1"]);
    says(&run(&world, "cron_job"), &["requests: 0"]);
    let refused = world
        .command(example("cron_job"))
        .env("SENDPAYMENTS_CLIENT_SECRET", "wrong")
        .env("PAYTOKEN_STORE", world.folder.join("another"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    let unset = world.command(example("cron_job")).env("SENDPAYMENTS_ENVIRONMENT", "moon").output();
    assert_eq!(unset.unwrap().status.code(), Some(78));
}

#[test]
fn the_private_networks_example_goes_through_its_proxy() {
    let world = World::new();
    let (address, tunnels) = proxy();
    let output = world
        .command(example("private_network"))
        .env("COMPANY_PROXY", format!("http://{address}"))
        .output()
        .unwrap();
    says(&output, &["the way is free", "a token that lives 300s"]);
    assert_eq!(tunnels.load(Ordering::SeqCst), 2, "one for the probe, one for the token");
}

fn requests(world: &World, provider: Provider) -> (usize, usize) {
    let counts = world.sandbox.counts(provider);
    (counts.token_requests, counts.api_requests)
}

/// A proxy that knows CONNECT alone, and how many tunnels it has made. It ends with the test.
fn proxy() -> (std::net::SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tunnels = Arc::new(AtomicU32::new(0));
    let count = tunnels.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let count = count.clone();
            thread::spawn(move || tunnel(client, &count));
        }
    });
    (address, tunnels)
}

fn tunnel(client: TcpStream, count: &AtomicU32) -> io::Result<()> {
    let mut head = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let target = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        head.read_line(&mut line)?;
    }
    let server = TcpStream::connect(target)?;
    count.fetch_add(1, Ordering::SeqCst);
    let mut to_client = client.try_clone()?;
    to_client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let mut from_server = server.try_clone()?;
    thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    io::copy(&mut head, &mut &server)?;
    server.shutdown(std::net::Shutdown::Write)
}
