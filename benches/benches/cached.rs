//! A cached call, by every way to ask, beside the least that any cache could do: with 1, 2, 8 and
//! 64 threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)] // it measures

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use paytoken::store::FileStore;
use paytoken::{Credentials, Environment, Secret, TokenCache};
use paytoken_bench::{Candidate, compare, rounds, shown, sources};
use paytoken_sandbox::{Fault, Sandbox, Service};

const CALLS: u32 = 1_000_000;
const SEND: Service = Service::SendPayments;
const MERCHANTS: usize = 10_000;
const THREADS: [usize; 4] = [1, 2, 8, 64];

/// What a cache holds at the least.
struct Entry {
    token: Arc<str>,
    until: Instant,
    until_wall: SystemTime,
}

fn main() {
    let sandbox = Sandbox::start().unwrap();
    // One answer for everybody: it is only asked for once by each.
    let body =
        format!(r#"{{"accessToken":"{}","expiresAt":"2100-01-01T00:00:00Z"}}"#, "t".repeat(600));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    sandbox.fault_always(SEND, Some(Fault::Raw((head + &body).into_bytes())));
    let hour = Duration::from_secs(3600);
    let locked = Mutex::new(Entry {
        token: "a".repeat(600).into(),
        until: Instant::now() + hour,
        until_wall: SystemTime::now() + hour,
    });
    let source = sources::source(&sandbox, SEND);
    source.token().unwrap();
    let folder = std::env::temp_dir().join(format!("paytoken-bench-{}", std::process::id()));
    let store = FileStore::open(&folder).unwrap();
    let stored = sources::builder(&sandbox, SEND).store(store).build().unwrap();
    stored.token().unwrap();
    let (alone, many) = (merchants(&sandbox, 1), merchants(&sandbox, MERCHANTS));
    let of_cache = |(cache, merchants): &(TokenCache, Vec<Credentials>), index: usize| {
        black_box(cache.token(&merchants[index], Environment::Sandbox).unwrap());
    };
    let begun = AtomicUsize::new(0);
    let mut of_threads = Vec::new();
    for threads in THREADS {
        of_threads.push(compare(
            &format!("cached call, threads: {threads}"),
            rounds(9),
            vec![
                Candidate::threads("Mutex + both clocks + Arc clone", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        let now = (Instant::now(), SystemTime::now());
                        let entry = locked.lock().unwrap();
                        if now.0 < entry.until && now.1 < entry.until_wall {
                            black_box(entry.token.clone());
                        }
                    }
                }),
                Candidate::threads("`token()`", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        black_box(source.token().unwrap());
                    }
                }),
                Candidate::threads("`token_valid_for(1 s)`", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        black_box(source.token_valid_for(Duration::from_secs(1)).unwrap());
                    }
                }),
                Candidate::threads("`token()` with a `FileStore`", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        black_box(stored.token().unwrap());
                    }
                }),
                Candidate::threads("`TokenCache::token`, one merchant", threads, CALLS, |calls| {
                    (0..calls).for_each(|_| of_cache(&alone, 0));
                }),
                Candidate::threads("the same one of 10,000", threads, CALLS, |calls| {
                    (0..calls).for_each(|_| of_cache(&many, MERCHANTS / 2));
                }),
                Candidate::threads("10,000 in no order", threads, CALLS, |calls| {
                    let mut index = begun.fetch_add(1, Ordering::Relaxed) * 97;
                    for _ in 0..calls {
                        index = (index + 7_919) % MERCHANTS;
                        of_cache(&many, index);
                    }
                }),
            ],
        ));
    }
    println!("\n### in all, ns a call by threads\n");
    let names = ["floor", "plain", "validity", "store", "cache", "one of 10,000", "all of 10,000"];
    for (row, name) in names.iter().enumerate() {
        let times = of_threads.iter().map(|times| shown(times[row])).collect::<Vec<_>>();
        println!("| {name} | {} |", times.join(" | "));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A cache of so many, each with its token.
fn merchants(sandbox: &Sandbox, number: usize) -> (TokenCache, Vec<Credentials>) {
    let (url, roots) = (sandbox.url(SEND), sandbox.ca_pem().to_owned());
    let cache = TokenCache::with(move |builder| {
        builder
            .base_url_for(paytoken::Provider::SendPayments, &url)
            .root_certificates_pem(roots.as_bytes())
    });
    let merchants: Vec<_> = (0..number)
        .map(|index| Credentials::SendPayments {
            client_id: format!("merchant-{index:06}"),
            client_secret: Secret::from(format!("not-a-real-secret-{index:06}")),
        })
        .collect();
    let began = Instant::now();
    for merchant in &merchants {
        cache.source(merchant, Environment::Sandbox).unwrap();
    }
    println!("{number} put in: {} each", shown(began.elapsed() / number as u32));
    for merchant in &merchants {
        cache.token(merchant, Environment::Sandbox).unwrap();
    }
    (cache, merchants)
}
