//! The `paytoken` command: tokens for shell scripts and cron jobs.
//!
//! A file or folder per command; `command_line` is what it is told, `settings` with what it goes to
//! work, `exit` how it ends, `words` how it speaks.

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("the command is for Unix; elsewhere use the library");

mod bounded;
mod catalogue;
mod check;
mod child;
mod command_line;
mod curl;
mod deadline;
mod description;
mod exit;
mod invalidate;
mod logger;
#[cfg(feature = "pages")]
mod pages;
mod providers;
mod purge;
mod settings;
mod signals;
mod status;
mod store;
mod terminal;
mod token;
mod words;

use std::alloc::System;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, setrlimit};
use zeroizing_alloc::ZeroAlloc;

use crate::command_line::Command;
use crate::exit::Failure;
use crate::settings::Target;

/// Wipes what is given back: parsers, and the standard library, leave copies of secrets behind, and a
/// curl that runs for hours keeps this process in memory as long.
#[global_allocator]
static WIPED: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // A core dump would hold the secret; curl, which holds the token, makes none either.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Past a limit on files' sizes, writing then fails, which is told; else we would be killed.
    let was_passed = Arc::new(AtomicBool::new(false));
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, was_passed);
    child::can_be_waited_for();
    signals::end_the_first_process();
    let result = run();
    logger::tell_warnings(result.as_ref().err());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Code(_)) {
                terminal::tell(&failure);
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run() -> Result<(), Failure> {
    let (command, options) = command_line::parse(std::env::args_os())?;
    logger::start(options.verbose);
    let file = match command {
        Command::Print(text) => return terminal::print(&text),
        Command::NewStoreKey => return store::print_new_key(),
        #[cfg(feature = "pages")]
        Command::Completions { shell } => return pages::completions(&shell),
        #[cfg(feature = "pages")]
        Command::Manual => return pages::manual(),
        // These say so in their JSON, too, where the settings cannot be read.
        Command::Status { account, json } => {
            return status::run(account.as_deref(), settings::open_file(), &options, json);
        }
        Command::Check { account, fetch, force, json } => {
            let wish = check::Wish { fetch, force, json };
            return check::run(account.as_deref(), settings::open_file(), &options, &wish);
        }
        _ => settings::open_file()?,
    };
    let open = |name: &str| Target::open(name, file.as_ref(), &options);
    match &command {
        Command::Token { account, wanted, json } => {
            token::print_token(&open(account)?, wanted, *json)
        }
        Command::Header { account, wanted } => token::print_header(&open(account)?, wanted),
        Command::Curl { account, wanted, curl } => {
            let target = open(account)?;
            // It holds other accounts' secrets, and curl may run for hours.
            drop(file);
            curl::run(&target, wanted, curl)
        }
        Command::Invalidate { account } => invalidate::run(&open(account)?),
        #[cfg(feature = "pages")]
        Command::Accounts => pages::accounts(file.as_ref()),
        Command::Providers { json } => providers::run(file.as_ref(), *json),
        Command::Purge { json } => purge::run(&options, file.as_ref(), *json),
        _ => Ok(()),
    }
}
