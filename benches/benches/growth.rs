//! One process, many merchants: cost per call and memory as their number grows. The sandbox is a
//! process of its own, so that the memory seen is the client's.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)] // it measures

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use paytoken::{Credentials, Environment, Secret, TokenCache};
use paytoken_sandbox::{Fault, Sandbox, Service};

const SEND: Service = Service::SendPayments;
const TOKEN: usize = 700;
const ROLE: &str = "PAYTOKEN_BENCH_SANDBOX";

fn main() {
    if std::env::var_os(ROLE).is_some() {
        return serve();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.next().unwrap().unwrap();
    let roots: String =
        lines.map(|line| line.unwrap() + "\n").take_while(|line| line != "\n").collect();
    println!("\n### Sources in one process (Send Payments, tokens of {TOKEN} bytes)\n");
    println!(
        "| sources | bytes per source, idle with its token | less the token | `TokenCache::token` | `TokenSource::token` |"
    );
    println!("|--:|--:|--:|--:|--:|");
    for number in [1, 10, 100, 1_000, 10_000] {
        measure(number, &url, &roots);
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Answers everything with one token until its standard input ends.
fn serve() {
    let sandbox = Sandbox::start().unwrap();
    let token = "t".repeat(TOKEN);
    let body = format!(r#"{{"accessToken":"{token}","expiresAt":"2100-01-01T00:00:00Z"}}"#);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    sandbox.fault_always(SEND, Some(Fault::Raw((head + &body).into_bytes())));
    println!("{}\n{}\n", sandbox.url(SEND), sandbox.ca_pem());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn measure(number: usize, url: &str, roots: &str) {
    let (url, roots) = (url.to_owned(), roots.to_owned());
    let cache = TokenCache::with(move |builder| {
        builder
            .base_url_for(paytoken::Provider::SendPayments, &url)
            .root_certificates_pem(roots.as_bytes())
    });
    let merchant = |index: usize| Credentials::SendPayments {
        client_id: format!("merchant-{index:06}"),
        client_secret: Secret::from(format!("not-a-real-secret-{index:06}")),
    };
    // The connection, the TLS set-up and the first pages are there before.
    cache.token(&merchant(usize::MAX >> 8), Environment::Sandbox).unwrap();
    let before = resident();
    for index in 0..number {
        cache.token(&merchant(index), Environment::Sandbox).unwrap();
    }
    let each = resident().saturating_sub(before) / number;
    let merchants: Vec<_> = (0..number).map(merchant).collect();
    let sources: Vec<_> = merchants
        .iter()
        .map(|merchant| cache.source(merchant, Environment::Sandbox).unwrap())
        .collect();
    let rounds = 1_000_000 / number;
    let per_call = |call: &dyn Fn(usize)| {
        let began = Instant::now();
        for _ in 0..rounds {
            (0..number).for_each(call);
        }
        began.elapsed().as_nanos() / (rounds * number) as u128
    };
    let by_credentials = per_call(&|index| {
        black_box(cache.token(&merchants[index], Environment::Sandbox).unwrap());
    });
    let by_source = per_call(&|index| {
        black_box(sources[index].token().unwrap());
    });
    if number < 1_000 {
        // Memory comes in pages: with few sources it says nothing.
        println!("| {number} | | | {by_credentials} ns | {by_source} ns |");
    } else {
        let rest = each.saturating_sub(TOKEN);
        println!("| {number} | {each} | {rest} | {by_credentials} ns | {by_source} ns |");
    }
}

/// Bytes of memory in use, from the kernel.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
