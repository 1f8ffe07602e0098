//! `cargo run --release -p paytoken-soak -- --minutes 20`: 32 threads with sources of their own, and
//! four processes of eight threads that share a store and are killed at random; three providers,
//! tokens that live twenty seconds, and faults at random. At the end it says whether anybody got a
//! token that was ended, known to be rejected, or somebody else's; whether more was asked for than
//! the rules allow; and whether memory and file descriptors stayed flat. Exit code 1 where not.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)] // a program

mod account;
mod caller;
mod chance;
mod chaos;
mod fleet;
mod gauge;
mod judge;
mod line;
mod recipe;
mod report;
mod worker;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use paytoken::Provider;
use paytoken_sandbox::Sandbox;
use paytoken_testing::temporary_folder;

use account::{Account, SECRET, WRONG};
use chance::Chance;
use fleet::Fleet;
use judge::{Judge, Told};
use line::Teller;
use recipe::Recipe;
use report::Report;

const THREADS: usize = 32;
const WORKERS: usize = 4;
const ACCOUNTS_PER_PROVIDER: usize = 3;
const SHARED_ACCOUNTS_PER_PROVIDER: usize = 2;
/// An API may refuse a token after ten seconds: one that refuses fresh ones is another fault.
pub(crate) const LIFETIME: Duration = Duration::from_secs(20);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);
/// The sandbox forgets ended tokens only beyond this many.
const RECORDS_THE_SANDBOX_KEEPS: usize = 16 * 1024 + 64;

fn main() -> ExitCode {
    if let Some(number) = std::env::var_os(fleet::WORKER) {
        worker::run(number.to_str().and_then(|number| number.parse().ok()).expect("a number"));
        return ExitCode::SUCCESS;
    }
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
    let (teller, told) = mpsc::channel();
    let own: Teller = {
        let teller = teller.clone();
        Arc::new(move |line| drop(teller.send(Told { process: 0, line })))
    };
    let each = |count| {
        Provider::ALL.iter().flat_map(move |&provider| (0..count).map(move |n| (provider, n)))
    };
    let accounts: Vec<Account> = each(ACCOUNTS_PER_PROVIDER)
        .map(|(provider, number)| Account::new(&sandbox, provider, number, &own))
        .collect();
    let wrong: Vec<Account> =
        each(1).map(|(provider, _)| Account::wrong(&quiet, provider, &own)).collect();
    let shared: Vec<Recipe> = each(SHARED_ACCOUNTS_PER_PROVIDER)
        .map(|(provider, number)| {
            let id = format!("{provider}-shared-{number}");
            sandbox.add_client(provider, &id, SECRET);
            Recipe::new(&sandbox, provider, &id, SECRET)
        })
        .collect();
    let shared_wrong: Vec<Recipe> = each(1)
        .map(|(provider, _)| {
            Recipe::new(&quiet, provider, &format!("{provider}-shared-wrong"), WRONG)
        })
        .collect();

    eprintln!("filling the sandbox's memory, so that what grows later is not its own");
    fill(&sandbox);
    for &provider in Provider::ALL {
        sandbox.set_lifetime(provider, LIFETIME);
    }
    sandbox.reset_counts();

    eprintln!("{minutes} minutes with {THREADS} threads and {WORKERS} processes");
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(minutes * 60.0);
    let is_over = AtomicBool::new(false);
    let store = temporary_folder();
    let mut report = Report::new(&sandbox, &quiet, &accounts, &wrong, &shared, &shared_wrong);
    let order = worker::order(store.path(), &shared, &shared_wrong);
    let mut fleet = Fleet::start(WORKERS, order, teller).expect("processes can be started");
    let judge = Judge::new(
        accounts
            .iter()
            .map(|account| (account.provider, account.id.clone()))
            .chain(shared.iter().map(|recipe| (recipe.provider, recipe.id.clone())))
            .chain(shared_wrong.iter().map(|recipe| (recipe.provider, recipe.id.clone()))),
    );
    let has_all = AtomicBool::new(false);
    let judge = thread::scope(|scope| {
        let (simulated, is_told) = (&sandbox, &has_all);
        let judge = scope.spawn(move || judge.run(simulated, told, is_told));
        let callers: Vec<_> = (0..THREADS)
            .map(|number| {
                let (sandbox, accounts, wrong, is_over) = (&sandbox, &accounts, &wrong, &is_over);
                scope.spawn(move || {
                    caller::run(sandbox, accounts, wrong, is_over, Chance::new(number as u64 + 1));
                })
            })
            .collect();
        scope.spawn(|| chaos::run(&sandbox, &is_over, Chance::new(4711)));
        watch(until, &mut fleet, &mut report);
        is_over.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.join().expect("no caller panics");
        }
        report.kills = fleet.kills();
        report.all_workers_ran = fleet.stop();
        has_all.store(true, Ordering::Relaxed);
        judge.join().expect("the judge does not panic")
    });
    if report.print(&judge, store.path(), began.elapsed()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Samples what the processes hold, looks for requests at the same time, and kills workers at
/// random; but the first one, which is there all the time, so that a leak would show.
fn watch(until: Instant, fleet: &mut Fleet, report: &mut Report<'_>) {
    let mut chance = Chance::new(31);
    let mut next_sample = Instant::now();
    let mut last_kill = None;
    let wait = |chance: &mut Chance| Duration::from_millis(2_000 + chance.below(16_000));
    let mut next_kill = Instant::now() + wait(&mut chance);
    loop {
        let now = Instant::now();
        if now >= until {
            return;
        }
        report.look_for_overlaps(last_kill);
        if now >= next_sample {
            next_sample += Duration::from_secs(1);
            report.own.sample(std::process::id());
            report.worker.sample(fleet.process_id(0));
        }
        if now >= next_kill {
            let index = 1 + chance.below(fleet.len() as u64 - 1) as usize;
            fleet.replace(index).expect("processes can be started");
            last_kill = Some(Instant::now());
            next_kill = Instant::now() + wait(&mut chance);
        }
        thread::sleep(Duration::from_millis(20));
    }
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
    let nobody: Teller = Arc::new(|_| {});
    let nobody = &nobody;
    thread::scope(|scope| {
        for &provider in Provider::ALL {
            scope.spawn(move || {
                // They end at once, so that the sandbox can forget them, and the source refuses them.
                sandbox.set_lifetime(provider, Duration::from_millis(1));
                let filler = Account::new(sandbox, provider, ACCOUNTS_PER_PROVIDER, nobody);
                for _ in 0..RECORDS_THE_SANDBOX_KEEPS {
                    let _ = filler.source.refresh();
                }
            });
        }
    });
}
