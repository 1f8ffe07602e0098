//! Measuring: rounds of all candidates in turn, so that what disturbs one disturbs all; the
//! median of each; ratios to a floor of the same run.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)] // it measures

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How much is measured: a variable `ROUNDS`, else this many.
pub fn rounds(default: usize) -> usize {
    number("ROUNDS").unwrap_or(default)
}

/// Calls in a round: a variable `CALLS`, else this many. On a busy machine, more and shorter rounds
/// find moments when it was not.
pub fn calls(default: u32) -> u32 {
    number("CALLS").unwrap_or(default)
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// A named thing to measure, which answers how long one of it took.
pub struct Candidate<'a> {
    name: &'a str,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Candidate<'a> {
    /// Something that measures itself.
    pub fn new(name: &'a str, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// One call, timed.
    pub fn call<T>(name: &'a str, mut call: impl FnMut() -> T + 'a) -> Self {
        Self::new(name, move || {
            let began = Instant::now();
            std::hint::black_box(call());
            began.elapsed()
        })
    }

    /// The mean of many calls.
    pub fn calls<T>(name: &'a str, count: u32, mut call: impl FnMut() -> T + 'a) -> Self {
        Self::new(name, move || {
            let began = Instant::now();
            for _ in 0..count {
                std::hint::black_box(call());
            }
            began.elapsed() / count
        })
    }

    /// Wall time per call with so many threads calling at once: the time of all by the calls of all.
    pub fn threads(
        name: &'a str,
        threads: usize,
        calls: u32,
        work: impl Fn(u32) + Sync + 'a,
    ) -> Self {
        Self::new(name, move || {
            let ready = Barrier::new(threads);
            let each = calls / threads as u32;
            let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
                let run = || {
                    ready.wait();
                    let began = Instant::now();
                    work(each);
                    (began, Instant::now())
                };
                let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).collect()
            });
            let began = spans.iter().map(|span| span.0).min().unwrap();
            let ended = spans.iter().map(|span| span.1).max().unwrap();
            (ended - began) / (each * threads as u32)
        })
    }
}

/// Measures all in turn, prints a table with ratios to the first, and gives the medians.
pub fn compare(title: &str, rounds: usize, mut candidates: Vec<Candidate<'_>>) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    for round in 0..=rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            let time = (candidate.run)();
            // The first round warms up.
            if round > 0 {
                times.push(time);
            }
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    println!("\n### {title}\n");
    println!("| | median | least | to the first |\n|---|--:|--:|--:|");
    for ((candidate, median), times) in candidates.iter().zip(&medians).zip(&times) {
        println!(
            "| {} | {} | {} | {:.2} × |",
            candidate.name,
            shown(*median),
            shown(*times.iter().min().unwrap()),
            median.as_secs_f64() / medians[0].as_secs_f64()
        );
    }
    medians
}

/// The middle one; the slice is sorted.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// With a unit that leaves three figures.
pub fn shown(time: Duration) -> String {
    let ns = time.as_nanos();
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}
