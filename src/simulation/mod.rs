//! Many processes, their threads, one account, one provider, one store, and everything that can go
//! wrong with them: the real source, flights, sharing, book and entries, played through histories
//! that each follow from one seed. What must hold is in `judge`.
//!
//! ```sh
//! RUSTFLAGS="--cfg paytoken_model" cargo test -p paytoken --lib simulation -- --nocapture
//! PAYTOKEN_HISTORIES=1000000 PAYTOKEN_SEED=1 RUSTFLAGS=… cargo test --release …
//! ```
//!
//! A failure prints its seed; `PAYTOKEN_SEED=that PAYTOKEN_HISTORIES=1` repeats it, and
//! `PAYTOKEN_STORY=1` tells what happened.

#![allow(clippy::print_stdout)] // the number of histories is the result

mod judge;
mod plan;
mod process;
mod provider;
mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::thread::JoinHandle;
use shuttle::{Config, MaxSteps, Runner, thread};

use self::judge::Judge;
use self::plan::Plan;
use self::process::Process;
use self::provider::Endpoint;
use self::store::Shelf;
use crate::base::sync::simulated::{self, Chance, Seeds, now};
use crate::store::Account;
use crate::types::environment::Environment;
use crate::types::key::StoreKey;

/// In the gate.
const HISTORIES: u64 = 10_000;

/// Once a machine has found a fault, its history stays here.
const KEPT: [u64; 0] = [];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seeds: std::ops::Range<u64>) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.max_steps = MaxSteps::FailAfter(2_000_000);
    config.failure_persistence = shuttle::FailurePersistence::None;
    let history = || history(simulated::seed());
    let runner = Runner::new(Seeds::new(seeds), config);
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| runner.run(history))) {
        println!("history {} failed", simulated::seed());
        std::panic::resume_unwind(failure);
    }
}

fn history(seed: u64) {
    let clock = thread::spawn(simulated::run_clock);
    let mut chance = Chance::new(seed);
    let case = Arc::new(Case::new(Plan::of(&mut chance), chance));
    let fate = {
        let case = case.clone();
        thread::spawn(move || case.fate())
    };
    let threads: Vec<_> = (0..case.plan.processes).flat_map(|_| Process::start(&case)).collect();
    for thread in threads {
        thread.join().expect("checked by the judge");
    }
    case.is_over();
    fate.join().expect("nothing fails there");
    case.finale();
    simulated::end();
    clock.join().expect("nothing fails there");
}

#[test]
fn no_history_breaks_a_promise() {
    for seed in KEPT {
        run(seed..seed + 1);
    }
    let histories = number("PAYTOKEN_HISTORIES").unwrap_or(HISTORIES);
    let first = number("PAYTOKEN_SEED").unwrap_or(0);
    // Two threads of the machine; a history's own are tasks of one of them.
    let middle = first + histories / 2;
    std::thread::scope(|scope| {
        let half = scope.spawn(move || run(first..middle));
        run(middle..first + histories);
        half.join().expect("a history failed");
    });
    println!("simulation: {histories} histories from seed {first}: {}", judge::tally());
}

/// The secret that the provider knows; the others are wrong.
const RIGHT: usize = 0;

/// Everything of one history.
struct Case {
    plan: Plan,
    chance: Mutex<Chance>,
    endpoint: Mutex<Endpoint>,
    shelf: Shelf,
    judge: Mutex<Judge>,
    key: StoreKey,
    processes: Mutex<Vec<process::State>>,
    /// Of processes that took the place of dead ones.
    successors: Mutex<Vec<JoinHandle<()>>>,
    is_over: AtomicBool,
    tells: bool,
}

impl Case {
    fn new(plan: Plan, chance: Chance) -> Self {
        let account = Account::new(
            &process::credentials(&plan, RIGHT),
            Environment::Sandbox,
            Some("https://api.example"),
        );
        let case = Self {
            chance: Mutex::new(chance),
            endpoint: Mutex::default(),
            shelf: Shelf::default(),
            judge: Mutex::default(),
            key: account.unwrap().key().clone(),
            processes: Mutex::default(),
            successors: Mutex::default(),
            is_over: AtomicBool::new(false),
            tells: std::env::var_os("PAYTOKEN_STORY").is_some(),
            plan,
        };
        case.tell(|| format!("{:?}", case.plan));
        case
    }

    fn tell(&self, story: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>10.3} {}", now().as_secs_f64(), story());
        }
    }
}

/// After too many refusals within an hour that hour is waited for; nothing else holds anybody longer.
const PATIENCE: Duration = Duration::from_secs(70 * 60);
