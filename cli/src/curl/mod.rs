//! `paytoken curl`: curl with a token, which neither an argument nor a variable shows, and once more
//! with another one where the API answers 401.

mod address;
mod arguments;
mod heads;
mod options;
mod process;
mod stdin;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use log::info;
use paytoken::Token;

use self::address::Hosts;
use self::arguments::Arguments;
use self::options::Takes;
use self::process::{Curl, Run};
use self::stdin::Stdin;
use crate::command_line::{CurlOptions, Wanted};
use crate::exit::Failure;
use crate::invalidate::drop_from;
use crate::logger;
use crate::settings::{SYSTEM, Target, holds_a_key, is_no_file};
use crate::signals;
use crate::terminal::tell;
use crate::token;

pub(crate) fn run(target: &Target, wanted: &Wanted, options: &CurlOptions) -> Result<(), Failure> {
    let facts = target.provider().facts();
    let hosts = Hosts::new(Some(&target.base_url()?), facts.api, &options.allowed_hosts);
    let hosts = hosts.map_err(Failure::Usage)?;
    let arguments = Arguments::read(&options.arguments, &facts.header.to_ascii_lowercase())
        .map_err(|problem| {
            Failure::Usage(format!(
                "curl: {problem}; for what only curl can judge: paytoken header {} | curl -H @- …",
                target.name
            ))
        })?;
    for address in arguments.values(Takes::Address) {
        hosts.check(address).map_err(|problem| Failure::Usage(format!("curl: {problem}")))?;
    }
    let own = own_options(target, &arguments, options, &hosts)?;
    let obstacle = match options.may_replay {
        true => arguments.obstacle(),
        false => Some("--no-replay says so"),
    };
    let stdin = Stdin::of(arguments.reads_stdin(), obstacle.is_none())?;
    let token = token::obtain(target, wanted)?;
    target.forget_secrets();
    logger::tell_warnings(None);
    let sent = arguments.stamps();
    let curl = Curl { own: &own, arguments: &arguments, stdin: &stdin, sent };
    let mut first = curl.run_and_watch(&token, obstacle.is_none())?;
    let another = match first.heads.reject_the_token() {
        true => other_token(target, &token, &first, obstacle, &curl).map(Some),
        false => Ok(None),
    };
    let code = match another {
        Ok(Some(token)) => {
            info!("{}: curl runs once more, with another token", target.name);
            curl.run(&token)?
        }
        not_again => {
            first.release();
            not_again.err().iter().for_each(tell);
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
        let dropped = target
            .account()
            .and_then(|account| drop_from(store, target, &account, rejected.secret()));
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
    let not_again = |obstacle: &str| {
        format!(
            "{name}: the API answered 401, and that token is dropped; curl is not run again, since {obstacle}; the next run gets another token"
        )
    };
    let are_all = first.heads.all_reject_the_token(curl.arguments.calls(), first.retries);
    let obstacle = obstacle
        .or((!are_all).then_some("other answers came, too"))
        .or((!first.has_ended_with_answers()).then_some("curl did not end with an answer"))
        .or((!first.is_held()).then_some("its output is long, and has been shown"))
        .or(signals::last().map(|_| "a signal came"))
        .or((!curl.stdin.can_be_read_again()).then_some("its stdin is neither a file nor a pipe"));
    if let Some(obstacle) = obstacle {
        return Err(not_again(obstacle));
    }
    let wanted = Wanted { min_validity: std::time::Duration::ZERO, force: false };
    let token = token::fetch(target, store, &wanted).map_err(|failure| {
        format!("{name}: the API answered 401, and no other token is available: {failure}")
    })?;
    match curl.arguments.stamps() == curl.sent {
        true => Ok(token),
        false => Err(not_again("a file that it sends has changed")),
    }
}

/// What curl is told beside the token; the user's own options come later, and count.
fn own_options(
    target: &Target,
    arguments: &Arguments,
    options: &CurlOptions,
    hosts: &Hosts,
) -> Result<Vec<OsString>, Failure> {
    // What a proxy says to CONNECT is not the API's answer.
    let mut own: Vec<OsString> = vec!["--suppress-connect-headers".into(), "--proto".into()];
    match hosts.plain() {
        // A proxy would read a token in plain http. It is named without the brackets of an address.
        Some(host) => {
            let host = host.trim_matches(['[', ']']);
            own.extend(["=http,https", "--noproxy", host].map(OsString::from));
        }
        None => own.push("=https".into()),
    }
    // Without a certificate the key is for assertions, which curl makes none of.
    let has_certificate =
        target.provider().facts().takes_certificate && target.path("CLIENT_CERT").is_some();
    let of_certificate = |variable| target.path(variable).filter(|_| has_certificate);
    // curl's own default is the system's.
    let ca = target.settings.ca.clone().filter(|path| path.as_os_str() != SYSTEM);
    for (option, path, what) in [
        ("--cert", of_certificate("CLIENT_CERT"), "the certificate"),
        ("--key", of_certificate("CLIENT_KEY"), "the private key"),
        ("--cacert", ca, "--ca"),
    ] {
        let Some(path) = path else { continue };
        // curl opens it, and it has been read.
        if is_no_file(&path) {
            return Err(Failure::Configuration(format!(
                "{}: {what} is not a regular file, and curl has to read it, too; put it into one",
                target.name
            )));
        }
        // A stored token needs none of them, so the library may not have looked at them.
        if let Ok(metadata) = std::fs::metadata(&path) {
            paytoken::Settings::check_file(&path, &metadata, holds_a_key(&path))
                .map_err(|error| Failure::Configuration(format!("{}: {error}", target.name)))?;
        }
        let value = match option {
            // A colon would begin a password.
            "--cert" => escaped(path.as_os_str()),
            _ => path.into(),
        };
        own.extend([option.into(), value]);
    }
    // curl shows its progress where its output is no terminal: ours is one, and its is a pipe.
    let is_said = ["silent", "show-error", "progress-bar", "no-progress-meter"]
        .iter()
        .any(|name| arguments.has(name));
    if options.may_replay && !is_said && io::stdout().is_terminal() {
        own.extend(["--silent", "--show-error"].map(OsString::from));
    }
    Ok(own)
}

fn escaped(path: &OsStr) -> OsString {
    let escape = |byte: &u8| b":\\".contains(byte).then_some(b'\\').into_iter().chain([*byte]);
    OsString::from_vec(path.as_bytes().iter().flat_map(escape).collect())
}
