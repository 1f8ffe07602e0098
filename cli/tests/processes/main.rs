//! The command as real processes that race on a real store, die at any moment, and are watched by
//! strace.
//!
//! This binary also plays a worker: `processes machine` is a long-lived program with a store.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr
)] // it is a test

mod checks;
mod command;
mod crashes;
mod cron;
mod curl;
mod curl_lines;
mod described;
mod described_cases;
mod foreign;
mod herd;
mod memory;
mod pipes;
#[cfg(feature = "redis")]
mod redis_tables;
mod places;
mod secret_commands;
mod settings;
mod signals;
mod status;
mod stores;
mod support;
mod tables;
mod usage;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("machine") {
        let store = std::env::var_os("PAYTOKEN_STORE").unwrap();
        return paytoken_testing::machine::run(paytoken::FileStore::open(store).unwrap());
    }
    let trials = [
        checks::trials(),
        command::trials(),
        crashes::trials(),
        cron::trials(),
        curl::trials(),
        curl_lines::trials(),
        described::trials(),
        described_cases::trials(),
        foreign::trials(),
        herd::trials(),
        memory::trials(),
        pipes::trials(),
        places::trials(),
        #[cfg(feature = "redis")]
        redis_tables::trials(),
        secret_commands::trials(),
        settings::trials(),
        signals::trials(),
        status::trials(),
        stores::trials(),
        tables::trials(),
        usage::trials(),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit();
}

/// A test by its name, which is a sentence.
fn trial(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
