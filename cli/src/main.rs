//! The `paytoken` command: a token on stdout, for shell scripts and cron jobs.
//!
//! `main.rs` is what it does, `arguments.rs` what it is told, `exit.rs` how it ends.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr)] // a command's errors go there

mod arguments;
mod exit;
mod logger;
mod status;

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use paytoken::store::Account;
use paytoken::{Error, ErrorKind, FileStore, Provider, Settings, Token, TokenOptions, TokenSource};

use crate::arguments::{Command, Options};
use crate::exit::Failure;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("paytoken: {failure}");
            failure.exit_code()
        }
    }
}

fn run() -> Result<(), Failure> {
    let (command, options) = arguments::parse(std::env::args_os())?;
    if options.verbose {
        logger::to_stderr();
    }
    match command {
        Command::Help => print(&arguments::help()),
        Command::Version => print(concat!("paytoken ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Token(provider) => {
            let token = token(provider, &options)?;
            print(&format!("{}\n", token.secret()))
        }
        Command::Header(provider) => {
            let token = token(provider, &options)?;
            print(&format!("{}: {}\n", token.header_name(), token.header_value()))
        }
        Command::Invalidate(provider) => invalidate(provider, &options),
        Command::Status(providers) => status::show(&providers, &options),
    }
}

/// From the store when it is good there: then no secret and no key is read, and no TLS is set up.
fn token(provider: Provider, options: &Options) -> Result<Token, Failure> {
    let settings = options.settings(provider)?;
    let store = store(options)?;
    if let Some(store) = &store
        && !options.force
        && let Some(token) = settings.account()?.stored_token(store, options.min_validity)?
    {
        return Ok(token);
    }
    let asked = TokenOptions::new().min_validity(options.min_validity).force(options.force);
    Ok(source(settings, options, store)?.token_with(&asked)?)
}

fn source(
    mut settings: Settings,
    options: &Options,
    store: Option<FileStore>,
) -> Result<TokenSource, Failure> {
    settings.store = None; // opened already
    if options.ca.is_some() {
        settings.ca = None;
    }
    let mut builder = settings.builder()?.timeout(options.timeout);
    if let Some(path) = &options.ca {
        let pem = std::fs::read(path).map_err(|error| {
            Failure::Configuration(format!("--ca: cannot read {}: {error}", path.display()))
        })?;
        builder = builder.root_certificates_pem(&pem);
    }
    if let Some(store) = store {
        builder = builder.store(store);
    }
    Ok(builder.build()?)
}

fn account(provider: Provider, options: &Options) -> Result<Account, Error> {
    options.settings(provider)?.account()
}

fn store(options: &Options) -> Result<Option<FileStore>, Error> {
    let named = options.store.clone().or_else(|| {
        std::env::var_os("PAYTOKEN_STORE").filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    match named {
        _ if options.no_store => Ok(None),
        Some(directory) => FileStore::open(directory).map(Some),
        None => FileStore::open_default().map(Some),
    }
}

/// Reads the token that the API rejected, alone or as the header it was sent in.
fn invalidate(provider: Provider, options: &Options) -> Result<(), Failure> {
    const LONGEST: u64 = 64 * 1024;
    let Some(store) = store(options)? else {
        return Err(Failure::Usage(
            "invalidate: there is nothing to invalidate without a store".into(),
        ));
    };
    let mut text = String::new();
    io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|_| Failure::NoInput("invalidate: what came on stdin is not text".into()))?;
    let Some(rejected) = text.split_whitespace().last() else {
        return Err(Failure::NoInput(
            "invalidate: nothing on stdin; pipe the rejected token into it".into(),
        ));
    };
    match account(provider, options)?.invalidate(&store, rejected, options.timeout) {
        Ok(_) => Ok(()), // another one is stored by now: just as well
        Err(error) => Err(error.into()),
    }
}

/// Whoever reads may stop reading: a broken pipe is not an error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Configuration | ErrorKind::Certificate => {
                Self::Configuration(error.to_string())
            }
            ErrorKind::Rejected | ErrorKind::Forbidden => Self::Refused(error.to_string()),
            ErrorKind::RateLimited | ErrorKind::Timeout => Self::Temporary(error.to_string()),
            ErrorKind::Transport | ErrorKind::ServerUnavailable => {
                Self::Unavailable(error.to_string())
            }
            ErrorKind::InvalidResponse => Self::Protocol(error.to_string()),
            ErrorKind::Store => Self::Store(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
