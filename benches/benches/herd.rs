//! Many threads at a slow or failing provider: requests made, and how long callers wait.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)] // it measures

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Clock, Now, TokenSource};
use paytoken_bench::shown;
use paytoken_sandbox::{Fault, Sandbox, Service};
use paytoken_testing::builder;

const NTX: Service = Service::NtxPay;
const PROVIDER_TAKES: Duration = Duration::from_millis(300);
const THREADS: usize = 64;

/// Both clocks, moved ahead by hand.
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
    println!("\n### 64 threads, the provider takes 300 ms\n");
    println!(
        "| | requests | errors | longest wait | longest wait but one |\n|---|--:|--:|--:|--:|"
    );
    let failing = Some(Fault::Status(500));
    herd("empty cache", None, None);
    herd("at expiry", Some(600), None);
    herd("in the window", Some(500), None);
    herd("in the window, the provider answers 500", Some(500), failing.clone());
    herd("empty cache, the provider answers 500", None, failing);
    herd("empty cache, the provider refuses", None, Some(Fault::Status(401)));
    for in_background in [false, true] {
        window(in_background);
    }
}

fn slow_sandbox() -> Sandbox {
    let sandbox = Sandbox::start().unwrap();
    sandbox.set_delay(NTX, PROVIDER_TAKES);
    sandbox
}

/// All threads ask at once, with a token of this age.
fn herd(what: &str, age: Option<u64>, fault: Option<Fault>) {
    let sandbox = slow_sandbox();
    let clock = Ahead::default();
    let source = builder(&sandbox, NTX).clock(clock.clone()).build().unwrap();
    if let Some(age) = age {
        source.token().unwrap();
        clock.0.store(age, Ordering::Relaxed);
    }
    sandbox.fault_always(NTX, fault);
    sandbox.reset_counts();
    let ready = Barrier::new(THREADS);
    let mut waits: Vec<(Duration, bool)> = thread::scope(|scope| {
        let ask = || {
            ready.wait();
            let began = Instant::now();
            let failed = source.token().is_err();
            (began.elapsed(), failed)
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    waits.sort();
    let errors = waits.iter().filter(|wait| wait.1).count();
    let (longest, second) = (shown(waits[THREADS - 1].0), shown(waits[THREADS - 2].0));
    let requests = sandbox.token_requests(NTX);
    println!("| {what} | {requests} | {errors} | {longest} | {second} |");
}

/// A million calls of two threads around a renewal that takes 300 ms.
fn window(in_background: bool) {
    const CALLS: usize = 500_000;
    let sandbox = slow_sandbox();
    let clock = Ahead::default();
    let source: TokenSource = builder(&sandbox, NTX)
        .clock(clock.clone())
        .renew_in_background(in_background)
        .build()
        .unwrap();
    source.token().unwrap();
    clock.0.store(500, Ordering::Relaxed);
    sandbox.reset_counts();
    let renewed = AtomicBool::new(false);
    let mut waits: Vec<Duration> = thread::scope(|scope| {
        let ask = || {
            let mut waits = Vec::with_capacity(CALLS);
            // At least so many, and until the renewal has come.
            while waits.len() < CALLS || !renewed.load(Ordering::Relaxed) {
                let began = Instant::now();
                let token = source.token().unwrap();
                waits.push(began.elapsed());
                if waits.len().is_multiple_of(1000) && token.remaining() > Duration::from_secs(300)
                {
                    renewed.store(true, Ordering::Relaxed);
                }
            }
            waits
        };
        let threads = [scope.spawn(ask), scope.spawn(ask)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    waits.sort();
    let at = |share: f64| shown(waits[((waits.len() - 1) as f64 * share) as usize]);
    let how = if in_background { "in the background" } else { "by a caller" };
    println!(
        "\nNTX window, renewal {how}: {} calls, {} request; 50 %: {}, 99 %: {}, 99.9 %: {}, 99.99 %: {}, longest: {}; {} calls over 1 ms",
        waits.len(),
        sandbox.token_requests(NTX),
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0),
        waits.iter().filter(|wait| **wait > Duration::from_millis(1)).count(),
    );
}
