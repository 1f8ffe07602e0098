//! A cached call, beside the least that any cache could do: with 1, 2, 8 and 64 threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // it measures

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use paytoken_bench::{Candidate, compare, rounds, sources};
use paytoken_sandbox::{Sandbox, Service};

const CALLS: u32 = 2_000_000;

/// What a cache holds at the least.
struct Entry {
    token: Arc<str>,
    until: Instant,
    until_wall: SystemTime,
}

impl Entry {
    fn is_good(&self) -> bool {
        Instant::now() < self.until && SystemTime::now() < self.until_wall
    }
}

fn main() {
    let sandbox = Sandbox::start().unwrap();
    let source = sources::source(&sandbox, Service::SendPayments);
    source.token().unwrap();
    let token: Arc<str> = "a".repeat(600).into();
    let hour = std::time::Duration::from_secs(3600);
    let entry = || Entry {
        token: token.clone(),
        until: Instant::now() + hour,
        until_wall: SystemTime::now() + hour,
    };
    let (borrowed, swapped) = (entry(), ArcSwap::from_pointee(entry()));
    let locked = Mutex::new(entry());
    let version = AtomicU64::new(1);
    for threads in [1, 2, 8, 64] {
        compare(
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
                Candidate::threads("paytoken `token()`", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        black_box(source.token().unwrap());
                    }
                }),
                Candidate::threads("borrow + both clocks", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        if borrowed.is_good() {
                            black_box(&borrowed.token);
                        }
                    }
                }),
                Candidate::threads("arc-swap `load_full` + both clocks", threads, CALLS, |calls| {
                    for _ in 0..calls {
                        let entry = swapped.load_full();
                        if entry.is_good() {
                            black_box(entry.token.clone());
                        }
                    }
                }),
                Candidate::threads(
                    "copy per thread + version + both clocks",
                    threads,
                    CALLS,
                    |calls| {
                        let own = RefCell::new((1, entry()));
                        for _ in 0..calls {
                            let own = own.borrow();
                            if own.0 == version.load(Ordering::Acquire) && own.1.is_good() {
                                black_box(&own.1.token);
                            }
                        }
                    },
                ),
            ],
        );
    }
}
