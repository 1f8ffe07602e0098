//! The stand-in fuzzer, and the seeds of the guided one: see the library.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)] // a program
#![allow(clippy::unwrap_used)]

mod findings;
mod mutate;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use findings::Findings;
use mutate::Mutator;
use paytoken_fuzz::{ALL, Target, examine};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [option, directory] = &wanted[..]
        && option == "--corpus"
    {
        write_corpus(Path::new(directory)).unwrap();
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<_> = ALL
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wish| wish == name))
        .collect();
    if chosen.len() < wanted.len() {
        let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
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
    let seeds = target.seeds();
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
        if let Some((outcome, used)) = findings.watch(&input, || examine(&mut *target, &input)) {
            largest = largest.max(used);
            accepted += u64::from(outcome.is_accepted);
            for (rule, what) in outcome.broken {
                findings.add(rule, &what, &input);
            }
        }
    }
    Run { name, executions, accepted, largest, took: began.elapsed(), findings }
}

/// For each target a directory of seeds, and beside it the words as a dictionary.
fn write_corpus(directory: &Path) -> io::Result<()> {
    for (name, make) in ALL {
        let target = make();
        let own = directory.join(name);
        fs::create_dir_all(&own)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(own.join(format!("seed-{number}")), seed)?;
        }
        fs::write(directory.join(format!("{name}.dict")), dictionary(target.words()))?;
    }
    Ok(())
}

/// One quoted word a line.
fn dictionary(words: &[&[u8]]) -> String {
    let quoted = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    words
        .iter()
        .map(|word| format!("\"{}\"\n", word.iter().map(quoted).collect::<String>()))
        .collect()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(name: &str) {
        let (name, make) = ALL.iter().find(|(known, _)| *known == name).unwrap();
        let run = run(name, *make);
        println!("{}", run.row());
        assert!(run.executions > 0);
        assert_eq!(run.findings.describe(name), Vec::<String>::new());
    }

    #[test]
    fn a_word_of_a_dictionary_is_quoted() {
        assert_eq!(dictionary(&[b"\"a\\", b"\xff\r"]), "\"\\\"a\\\\\"\n\"\\xFF\\x0D\"\n");
    }

    #[test]
    fn dates_of_any_shape_are_read_or_not() {
        holds("date");
    }

    #[test]
    fn a_description_of_any_shape_gives_requests_that_can_be_sent_or_is_refused() {
        holds("description");
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
        for name in ["ntx-pay", "nexter-pay", "send-payments", "pointer", "bare"] {
            holds(name);
        }
    }

    #[test]
    fn error_bodies_and_waits_of_any_shape_give_an_error_without_the_secret() {
        holds("refusal");
        holds("retry-after");
    }
}
