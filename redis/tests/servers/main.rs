//! The store on real servers: what any store has to do, servers that are away or refuse, fail-over,
//! and fleets of real processes.
//!
//! This binary also plays a machine, and one that has a lock (`servers machine` and `servers hold-a-lock`
//! take their settings from the environment), and
//! runs itself once more in a network of its own (`servers cut-off`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr
)] // it is a test

mod conformance;
mod cost;
mod faults;
mod fleet;
mod partition;
mod proxy;
mod scene;
mod sentinel;
mod status;
mod support;
#[cfg(feature = "tls")]
mod tls;

use libtest_mimic::{Arguments, Trial};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("machine") => return machine(),
        Some("hold-a-lock") => return fleet::hold_a_lock(),
        Some("cut-off") => return partition::run(),
        _ => {}
    }
    support::keep_log();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    if arguments.list || paytoken_testing::has_tool("redis-server") {
        trials.extend(conformance::trials());
        trials.extend(cost::trials());
        trials.extend(faults::trials());
        trials.extend(fleet::trials());
        trials.extend(partition::trials());
        trials.extend(sentinel::trials());
        trials.extend(status::trials());
        #[cfg(feature = "tls")]
        trials.extend(tls::trials());
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// One of a fleet.
fn machine() {
    let url = std::env::var("MACHINE_REDIS_URL").unwrap();
    paytoken_testing::machine::run(paytoken_redis::RedisStore::open(&url).unwrap());
}

/// A test by its name, which is a sentence.
fn trial(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
