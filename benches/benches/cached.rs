//! A cached call, by every way to ask, beside the least that any cache could do: with 1, 2, 8 and
//! 64 threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)] // it measures

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use paytoken::store::FileStore;
use paytoken::{Credentials, Environment, Secret, TokenCache, TokenSource};
use paytoken_bench::{Candidate, calls, compare, rounds, shown};
use paytoken_sandbox::{Fault, Sandbox, Service};
use paytoken_testing::{builder, temporary_folder};

const SEND: Service = Service::SendPayments;
const MERCHANTS: usize = 10_000;
const THREADS: [usize; 4] = [1, 2, 8, 64];
/// More than the token has left when it is due.
const LONG: Duration = Duration::from_secs(100);

/// What a cache holds at the least.
struct Entry {
    token: Arc<str>,
    until: Instant,
    until_wall: SystemTime,
}

impl Entry {
    fn new() -> Self {
        let hour = Duration::from_secs(3600);
        let (until, until_wall) = (Instant::now() + hour, SystemTime::now() + hour);
        Self { token: "a".repeat(600).into(), until, until_wall }
    }

    fn token(&self, now: (Instant, SystemTime)) -> Option<Arc<str>> {
        (now.0 < self.until && now.1 < self.until_wall).then(|| self.token.clone())
    }
}

fn both_clocks() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

fn main() {
    let count = calls(1_000_000);
    let sandbox = Sandbox::start().unwrap();
    // One answer for everybody: it is only asked for once by each.
    let body =
        format!(r#"{{"accessToken":"{}","expiresAt":"2100-01-01T00:00:00Z"}}"#, "t".repeat(600));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    sandbox.fault_always(SEND, Some(Fault::Raw((head + &body).into_bytes())));
    let locked = Mutex::new(Entry::new());
    let source = builder(&sandbox, SEND).build().unwrap();
    source.token().unwrap();
    let folder = temporary_folder();
    let store = FileStore::open(folder.path()).unwrap();
    let stored = builder(&sandbox, SEND).store(store).build().unwrap();
    stored.token().unwrap();
    let (alone, many) = (merchants(&sandbox, 1), merchants(&sandbox, MERCHANTS));
    let of_cache = |(cache, merchants): &(TokenCache, Vec<Credentials>), index: usize| {
        black_box(cache.token(&merchants[index], Environment::Sandbox).unwrap());
    };
    // The least for many: by the id alone, and with whatever secret.
    let all: HashMap<String, Entry> =
        many.1.iter().map(|merchant| (merchant.id().to_owned(), Entry::new())).collect();
    let all = Mutex::new(all);
    let sources: Vec<TokenSource> = many
        .1
        .iter()
        .map(|merchant| many.0.source(merchant, Environment::Sandbox).unwrap())
        .collect();
    let begun = AtomicUsize::new(0);
    let in_no_order = |calls: u32, call: &dyn Fn(usize)| {
        let mut index = begun.fetch_add(1, Ordering::Relaxed) * 97;
        for _ in 0..calls {
            index = (index + 7_919) % MERCHANTS;
            call(index);
        }
    };
    let mut of_threads = Vec::new();
    for threads in THREADS {
        of_threads.push(compare(
            &format!("cached call, threads: {threads}"),
            rounds(9),
            vec![
                Candidate::threads("Mutex + both clocks + Arc clone", threads, count, |calls| {
                    for _ in 0..calls {
                        let now = both_clocks();
                        black_box(locked.lock().unwrap().token(now).unwrap());
                    }
                }),
                Candidate::threads("`token()`", threads, count, |calls| {
                    for _ in 0..calls {
                        black_box(source.token().unwrap());
                    }
                }),
                Candidate::threads("`token_valid_for(1 s)`", threads, count, |calls| {
                    for _ in 0..calls {
                        black_box(source.token_valid_for(Duration::from_secs(1)).unwrap());
                    }
                }),
                Candidate::threads("`token_valid_for(100 s)`", threads, count, |calls| {
                    for _ in 0..calls {
                        black_box(source.token_valid_for(LONG).unwrap());
                    }
                }),
                Candidate::threads("`token()` with a `FileStore`", threads, count, |calls| {
                    for _ in 0..calls {
                        black_box(stored.token().unwrap());
                    }
                }),
                Candidate::threads("`TokenCache::token`, one merchant", threads, count, |calls| {
                    (0..calls).for_each(|_| of_cache(&alone, 0));
                }),
                Candidate::threads("the same one of 10,000", threads, count, |calls| {
                    (0..calls).for_each(|_| of_cache(&many, MERCHANTS / 2));
                }),
            ],
        ));
        // What costs here is to fetch ten thousand entries from the machine's memory.
        of_threads.last_mut().unwrap().extend(compare(
            &format!("among 10,000 in no order, threads: {threads}"),
            rounds(9),
            vec![
                Candidate::threads("Mutex + map by id + both clocks", threads, count, |calls| {
                    in_no_order(calls, &|index| {
                        let now = both_clocks();
                        let all = all.lock().unwrap();
                        black_box(all[many.1[index].id()].token(now).unwrap());
                    });
                }),
                Candidate::threads("`token()` of 10,000 sources", threads, count, |calls| {
                    in_no_order(calls, &|index| {
                        black_box(sources[index].token().unwrap());
                    });
                }),
                Candidate::threads("`TokenCache::token`", threads, count, |calls| {
                    in_no_order(calls, &|index| of_cache(&many, index));
                }),
            ],
        ));
    }
    println!("\n### in all, ns a call by threads\n");
    let names = [
        "floor",
        "plain",
        "valid for 1 s",
        "valid for 100 s",
        "with a store",
        "cache, one merchant",
        "cache, one of 10,000",
        "map of 10,000 in no order",
        "plain of 10,000 in no order",
        "cache of 10,000 in no order",
    ];
    for (row, name) in names.iter().enumerate() {
        let times = of_threads.iter().map(|times| shown(times[row])).collect::<Vec<_>>();
        println!("| {name} | {} |", times.join(" | "));
    }
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
