//! `paytoken curl`: curl with a token, which neither an argument nor a variable shows, and once more
//! with another one where the API answers 401.

mod address;
mod arguments;
mod config;
mod heads;
mod process;
mod signals;
mod stdin;
mod their_config;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use log::info;
use paytoken::Token;

use self::address::Hosts;
use self::arguments::Arguments;
use self::config::Settings;
use self::process::{Curl, Run, code};
use self::signals::PassOn;
use self::stdin::Stdin;
use crate::command_line::{CurlOptions, Wanted};
use crate::exit::Failure;
use crate::logger;
use crate::settings::{SYSTEM, Target, is_no_file};
use crate::terminal::tell;
use crate::token;

/// Of the one option that is never passed on.
const TRUSTED: &str =
    "--location-trusted would send the token wherever a redirect leads; use --location";

pub(crate) fn run(target: &Target, wanted: &Wanted, options: &CurlOptions) -> Result<(), Failure> {
    let arguments = Arguments::read(options.arguments.clone());
    let hosts =
        Hosts::new(target.base_url().as_deref(), &options.allowed_hosts).map_err(Failure::Usage)?;
    for address in arguments.addresses() {
        hosts.check(address).map_err(Failure::Usage)?;
    }
    if arguments.has("location-trusted") {
        return Err(Failure::Usage(format!("curl: {TRUSTED}")));
    }
    for path in arguments.values("config") {
        their_config::check(path).map_err(Failure::Usage)?;
    }
    let settings = settings(target, &arguments, options, hosts.may_be_plain())?;
    let obstacle = match options.may_replay {
        true => arguments.obstacle(),
        false => Some("--no-replay says so"),
    };
    let stdin = Stdin::of(arguments.read_stdin(), obstacle.is_none())?;
    let token = token::obtain(target, wanted)?;
    logger::tell_warnings(None);
    let signals = PassOn::start();
    let curl =
        Curl { arguments: &arguments, settings: &settings, stdin: &stdin, signals: &signals };
    let mut first = curl.run_and_watch(&token, obstacle.is_none())?;
    let code = match first.heads.reject_the_token() {
        true => match other_token(target, &token, &first, obstacle, &curl) {
            Ok(token) => {
                info!("{}: curl runs once more, with another token", target.name);
                code(curl.run(&token)?)
            }
            Err(reason) => {
                first.release();
                tell(reason);
                first.code()
            }
        },
        false => {
            first.release();
            first.code()
        }
    };
    match code {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

/// After a 401: drops the token, and gets another one, if the same call can be made again.
fn other_token(
    target: &Target,
    rejected: &Token,
    first: &Run,
    obstacle: Option<&str>,
    curl: &Curl<'_>,
) -> Result<Token, String> {
    target.restart();
    let name = &target.name;
    let store = target.store().map_err(|failure| failure.to_string())?;
    if let Some(store) = &store {
        let dropped = target.account().and_then(|account| {
            let limit = target.deadline().left();
            account
                .invalidate(store.store(), rejected.secret(), limit)
                .map_err(|error| target.failure(&error))
        });
        match dropped {
            Ok(true) => info!("{name}: the API answered 401, and that token is dropped"),
            Ok(false) => info!("{name}: the API answered 401 to a token that has been replaced"),
            Err(failure) => {
                return Err(format!(
                    "{name}: the API answered 401, and that token could not be dropped from the store: {failure}"
                ));
            }
        }
    }
    let calls = curl.arguments.calls().unwrap_or_default();
    let obstacle = obstacle
        .or((!first.heads.all_reject_the_token(calls)).then_some("other answers came, too"))
        .or((!first.is_held()).then_some("its output is long, and has been shown"))
        .or(curl.signals.last().map(|_| "a signal came"))
        .or((!curl.stdin.rewind())
            .then_some("its stdin is read, and is more than 1 MiB or no pipe"));
    if let Some(obstacle) = obstacle {
        return Err(format!(
            "{name}: the API answered 401, and that token is dropped; curl is not run again, since {obstacle}; the next run gets another token"
        ));
    }
    let wanted = Wanted { min_validity: std::time::Duration::ZERO, force: false };
    token::fetch(target, store, &wanted).map_err(|failure| {
        format!("{name}: the API answered 401, and no other token is available: {failure}")
    })
}

fn settings(
    target: &Target,
    arguments: &Arguments,
    options: &CurlOptions,
    may_be_plain: bool,
) -> Result<Settings, Failure> {
    let file = |path: Option<PathBuf>, what: &str| match path {
        // curl opens it, and it has been read.
        Some(path) if is_no_file(&path) => Err(Failure::Configuration(format!(
            "{}: {what} is not a regular file, and curl has to read it, too; put it into one",
            target.name
        ))),
        path => Ok(path),
    };
    let certificate = target.provider().facts().takes_certificate;
    let of_certificate = |variable| if certificate { target.path(variable) } else { None };
    let is_said = ["silent", "show-error", "progress-bar", "progress-meter", "no-progress-meter"]
        .iter()
        .any(|name| arguments.has(name));
    Ok(Settings {
        certificate: file(of_certificate("CLIENT_CERT"), "the certificate")?,
        key: file(of_certificate("CLIENT_KEY"), "the private key")?,
        // curl's own default is the system's.
        ca: file(target.settings.ca.clone().filter(|path| path.as_os_str() != SYSTEM), "--ca")?,
        may_be_plain,
        is_quiet: options.may_replay && !is_said && io::stdout().is_terminal(),
    })
}
