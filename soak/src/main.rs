//! `cargo run --release -p paytoken-soak -- --minutes 20`: 32 threads, three providers, tokens that
//! live two seconds, and faults at random. At the end it says whether anybody got a token that was
//! ended, known to be rejected, or somebody else's; whether more was asked for than the rules
//! allow; and whether memory and file descriptors stayed flat. Exit code 1 where not.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)] // a program

mod account;
mod caller;
mod chance;
mod chaos;
mod gauge;
mod report;

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::Provider;
use paytoken_sandbox::Sandbox;

use account::Account;
use chance::Chance;
use gauge::Gauge;

const THREADS: usize = 32;
const ACCOUNTS_PER_PROVIDER: usize = 3;
pub(crate) const LIFETIME: Duration = Duration::from_secs(2);
/// The sandbox forgets ended tokens only beyond this many.
const RECORDS_THE_SANDBOX_KEEPS: usize = 16 * 1024 + 64;

fn main() -> ExitCode {
    let minutes = match minutes() {
        Ok(minutes) => minutes,
        Err(problem) => {
            eprintln!("{problem}\nusage: paytoken-soak [--minutes N]");
            return ExitCode::from(64);
        }
    };
    if let Err(error) = use_one_heap() {
        eprintln!("cannot start again with {ONE_HEAP}=1: {error}");
        return ExitCode::FAILURE;
    }
    let sandbox = Sandbox::start().expect("loopback is there");
    // Wrong secrets go to a sandbox of their own, so that no random fault changes the answer.
    let quiet = Sandbox::start().expect("loopback is there");
    let accounts: Vec<Account> = Provider::ALL
        .iter()
        .copied()
        .flat_map(|provider| (0..ACCOUNTS_PER_PROVIDER).map(move |number| (provider, number)))
        .map(|(provider, number)| Account::new(&sandbox, provider, number))
        .collect();
    let wrong: Vec<Account> =
        Provider::ALL.iter().copied().map(|provider| Account::wrong(&quiet, provider)).collect();

    eprintln!("filling the sandbox's memory, so that what grows later is not its own");
    fill(&sandbox);
    for &provider in Provider::ALL {
        sandbox.set_lifetime(provider, LIFETIME);
    }
    sandbox.reset_counts();

    eprintln!("{minutes} minutes with {THREADS} threads");
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(minutes * 60.0);
    let is_over = AtomicBool::new(false);
    let mut gauge = Gauge::default();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (sandbox, accounts, wrong, is_over) = (&sandbox, &accounts, &wrong, &is_over);
            scope.spawn(move || {
                caller::run(sandbox, accounts, wrong, is_over, Chance::new(number as u64 + 1));
            });
        }
        scope.spawn(|| chaos::run(&sandbox, &is_over, Chance::new(4711)));
        while Instant::now() < until {
            thread::sleep(Duration::from_secs(1).min(until - Instant::now()));
            gauge.sample();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let is_good = report::print(&sandbox, &quiet, &accounts, &wrong, &gauge, began.elapsed());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// glibc's own. Any other allocator ignores it.
const ONE_HEAP: &str = "MALLOC_ARENA_MAX";

/// Starts this program again with one heap for all threads. With a heap for each, memory grows for
/// half an hour while threads take turns with them, and a leak would not stand out.
fn use_one_heap() -> std::io::Result<()> {
    use std::os::unix::process::CommandExt as _;

    if std::env::var_os(ONE_HEAP).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    Err(Command::new(program).args(std::env::args_os().skip(1)).env(ONE_HEAP, "1").exec())
}

fn minutes() -> Result<f64, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => Ok(20.0),
        [name, value] if name == "--minutes" => value
            .parse()
            .ok()
            .filter(|minutes| (0.05..=10_000.0).contains(minutes))
            .ok_or_else(|| format!("--minutes: {value:?} is not a number of minutes")),
        _ => Err("unknown arguments".into()),
    }
}

/// Issues as many tokens as the sandbox remembers.
fn fill(sandbox: &Sandbox) {
    thread::scope(|scope| {
        for &provider in Provider::ALL {
            scope.spawn(move || {
                // They end at once, so that the sandbox can forget them, and the source refuses them.
                sandbox.set_lifetime(provider, Duration::from_millis(1));
                let filler = Account::new(sandbox, provider, ACCOUNTS_PER_PROVIDER);
                for _ in 0..RECORDS_THE_SANDBOX_KEEPS {
                    let _ = filler.source.refresh();
                }
            });
        }
    });
}
