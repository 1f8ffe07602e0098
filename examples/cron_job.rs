//! A cron job's program: many short runs share one token, and the exit code says what to do.
//!
//! Set Send's variables (see docs/providers.md), then `cargo run --example cron_job`. The second run
//! within five minutes sends no request for a token.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use paytoken::{Error, ErrorKind, FileStore, Provider, Settings};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}"); // one sentence that ends with how to fix it
            match error.kind() {
                ErrorKind::Rejected | ErrorKind::Forbidden => ExitCode::from(77), // a person
                ErrorKind::Configuration | ErrorKind::Certificate => ExitCode::from(78),
                // Later. Do not try again in a loop: the next run of cron does.
                _ if error.is_retryable() => ExitCode::from(75),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> Result<(), Error> {
    let settings = Settings::from_env(Provider::SendPayments)?;
    // PAYTOKEN_STORE where it is set; else the user's own, the same under cron and in a shell.
    let store = match &settings.store {
        Some(directory) => FileStore::open(directory)?,
        None => FileStore::open_default()?,
    };
    let source = settings.builder()?.store(store).build()?;
    let token = source.token()?;
    println!("requests: {}; good for {:?} more", source.status().requests, token.remaining());
    Ok(())
}
