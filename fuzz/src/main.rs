//! Mutates seeds and feeds them to everything of paytoken that reads what others wrote.
//!
//! ```sh
//! cargo run --release -p paytoken-fuzz              # every target, 10 s each
//! FUZZ_SECONDS=600 cargo run --release -p paytoken-fuzz -- entry pem
//! cargo test -p paytoken-fuzz                       # the same targets, as tests
//! ```
//!
//! Chance is seeded, so a run repeats exactly; `FUZZ_SEED` makes it another one. Of each target it
//! is asked that nothing panics, that no token leaves which does not belong in a header, that no
//! error shows the secret, and that memory stays within a small multiple of the input.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)] // a program
#![allow(clippy::unwrap_used)]

mod findings;
mod memory;
mod mutate;
mod server;
mod target;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use findings::Findings;
use mutate::Mutator;
use target::Target;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<_> = target::ALL
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wish| wish == name))
        .collect();
    if chosen.len() < wanted.len() {
        let names: Vec<_> = target::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("a target is not known; there are: {}", names.join(", "));
        return ExitCode::from(64);
    }
    // Side by side: most of the time goes into waiting for loopback.
    let runs: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> =
            chosen.iter().map(|(name, make)| scope.spawn(|| run(name, *make))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    println!("| target | executions | per second | accepted | largest use of memory | findings |");
    println!("|---|--:|--:|--:|--:|--:|");
    for run in &runs {
        println!("{}", run.row());
    }
    let findings: Vec<_> = runs.iter().flat_map(|run| run.findings.describe(run.name)).collect();
    for finding in &findings {
        println!("\n{finding}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What came of one target.
struct Run {
    name: &'static str,
    executions: u64,
    accepted: u64,
    largest: usize,
    took: Duration,
    findings: Findings,
}

impl Run {
    fn row(&self) -> String {
        format!(
            "| {} | {} | {:.0} | {} | {} KiB | {} |",
            self.name,
            self.executions,
            self.executions as f64 / self.took.as_secs_f64(),
            self.accepted,
            self.largest / 1024,
            self.findings.len()
        )
    }
}

/// Feeds a target until its time is over: first each seed as it is, then mutations.
fn run(name: &'static str, make: fn() -> Box<dyn Target>) -> Run {
    let mut target = make();
    let seeds: Vec<Vec<u8>> = target.seeds().iter().map(|seed| seed.to_vec()).collect();
    let mut mutator = Mutator::new(setting("FUZZ_SEED").unwrap_or(1), target.words());
    let time = Duration::from_secs(setting("FUZZ_SECONDS").unwrap_or(10));
    let (mut executions, mut accepted, mut largest) = (0, 0, 0);
    let mut findings = Findings::default();
    let began = Instant::now();
    while began.elapsed() < time {
        let input = match seeds.get(executions as usize) {
            Some(seed) => seed.clone(),
            None => mutator.mutate(&seeds),
        };
        executions += 1;
        let mark = memory::mark();
        let outcome = findings.watch(&input, || target.execute(&input));
        let used = memory::since(mark);
        largest = largest.max(used);
        if let Some(outcome) = outcome {
            accepted += u64::from(outcome.is_accepted);
            for (rule, what) in outcome.broken {
                findings.add(rule, &what, &input);
            }
        }
        if used > target.allowance() + 64 * input.len() {
            findings.add("memory", &format!("{used} bytes"), &input);
        }
    }
    Run { name, executions, accepted, largest, took: began.elapsed(), findings }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(name: &str) {
        let (name, make) = target::ALL.iter().find(|(known, _)| *known == name).unwrap();
        let run = run(name, *make);
        println!("{}", run.row());
        assert!(run.executions > 0);
        assert_eq!(run.findings.describe(name), Vec::<String>::new());
    }

    #[test]
    fn dates_of_any_shape_are_read_or_not() {
        holds("date");
    }

    #[test]
    fn pem_of_any_shape_becomes_a_header_without_a_key_or_an_error() {
        holds("pem");
    }

    #[test]
    fn settings_of_any_shape_are_taken_or_refused() {
        holds("setting");
    }

    #[test]
    fn a_store_entry_of_any_shape_gives_a_token_for_a_header_or_none() {
        holds("entry");
    }

    #[test]
    fn answers_of_any_shape_are_a_token_for_a_header_or_an_error_without_the_secret() {
        for name in ["ntx-pay", "nexter-pay", "send-payments"] {
            holds(name);
        }
    }

    #[test]
    fn error_bodies_and_waits_of_any_shape_give_an_error_without_the_secret() {
        holds("refusal");
        holds("retry-after");
    }
}
