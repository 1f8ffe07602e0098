//! The command line: what is asked for, and with which options.

mod definition;
pub(crate) mod duration;
mod refusal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use paytoken::{Environment, Error};

pub(crate) use self::definition::{Extent, command as definition, providers};
pub(crate) use self::refusal::is_a_plain_word;
use crate::exit::Failure;
use crate::store;

/// What to do. An account is a provider's name, or one of the settings file's.
pub(crate) enum Command {
    /// The help, or the version.
    Print(String),
    NewStoreKey,
    Token {
        account: String,
        wanted: Wanted,
        json: bool,
    },
    Header {
        account: String,
        wanted: Wanted,
    },
    Curl {
        account: String,
        wanted: Wanted,
        curl: CurlOptions,
    },
    Check {
        account: Option<String>,
        fetch: bool,
        force: bool,
        json: bool,
    },
    Invalidate {
        account: String,
    },
    Status {
        account: Option<String>,
        json: bool,
    },
    Providers {
        json: bool,
    },
    Purge {
        json: bool,
    },
    #[cfg(feature = "pages")]
    Completions {
        shell: String,
    },
    #[cfg(feature = "pages")]
    Accounts,
    #[cfg(feature = "pages")]
    Manual,
}

/// Which token.
pub(crate) struct Wanted {
    pub(crate) min_validity: Duration,
    pub(crate) force: bool,
}

pub(crate) struct CurlOptions {
    pub(crate) may_replay: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) arguments: Vec<OsString>,
}

/// What every command takes.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) environment: Option<Environment>,
    pub(crate) base_url: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) store: Option<PathBuf>,
    pub(crate) no_store: bool,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) verbose: bool,
}

pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Command, Options), Failure> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // `paytoken help token` is `paytoken token --help`.
    if arguments.get(1).is_some_and(|word| word == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    // In a word of switches, too: -vh.
    let asks_for_help = |word: &OsString| {
        let word = word.as_encoded_bytes();
        word == b"--help"
            || (word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&b'h'))
    };
    let extent = match arguments.iter().any(asks_for_help) {
        true => Extent::Whole,
        false => Extent::Parsing,
    };
    let matches = match definition(extent).try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => {
            return Ok((Command::Print(error.render().to_string()), Options::default()));
        }
        Err(error) => {
            let mut sentence = refusal::sentence(&error);
            let has = |word: &str| arguments.iter().any(|argument| argument == word);
            if has("curl") && !has("--") {
                sentence += "; curl's own arguments stand after --";
            } else if has("invalidate") && sentence == refusal::TOO_MANY {
                sentence += "; invalidate reads the token from stdin";
            }
            return Err(Failure::Usage(sentence));
        }
    };
    // Whatever it is called, clap has found one.
    let Some((name, of_command)) = matches.subcommand() else {
        return Err(Failure::Usage("no command given".into()));
    };
    Ok((command(name, of_command)?, options(of_command)?))
}

fn command(name: &str, matches: &ArgMatches) -> Result<Command, Failure> {
    let account = || text(matches, "provider").unwrap_or_default();
    let json = || matches.get_flag("json");
    Ok(match name {
        "token" => Command::Token { account: account(), wanted: wanted(matches)?, json: json() },
        "header" => Command::Header { account: account(), wanted: wanted(matches)? },
        "curl" => Command::Curl {
            account: account(),
            wanted: wanted(matches)?,
            curl: CurlOptions {
                may_replay: !matches.get_flag("no-replay"),
                allowed_hosts: all(matches, "allow-host"),
                arguments: all(matches, "curl-arguments"),
            },
        },
        "check" => Command::Check {
            account: text(matches, "provider"),
            fetch: matches.get_flag("fetch"),
            force: matches.get_flag("force"),
            json: json(),
        },
        "invalidate" => Command::Invalidate { account: account() },
        "status" => Command::Status { account: text(matches, "provider"), json: json() },
        "providers" => Command::Providers { json: json() },
        "purge" => Command::Purge { json: json() },
        "new-store-key" => Command::NewStoreKey,
        #[cfg(feature = "pages")]
        "completions" => match text(matches, "shell").unwrap_or_default() {
            names if names == definition::ACCOUNTS => Command::Accounts,
            shell => Command::Completions { shell },
        },
        #[cfg(feature = "pages")]
        "man" => Command::Manual,
        _ => return Err(Failure::Usage("no such command".into())),
    })
}

fn wanted(matches: &ArgMatches) -> Result<Wanted, Failure> {
    Ok(Wanted {
        min_validity: time(matches, "min-validity")?.unwrap_or_default(),
        force: matches.get_flag("force"),
    })
}

fn options(matches: &ArgMatches) -> Result<Options, Failure> {
    let path = |name| matches.get_one::<OsString>(name).map(PathBuf::from);
    let environment = text(matches, "environment")
        .map(|text| text.parse().map_err(|error: Error| Failure::Usage(format!("--{error}"))));
    let limit = |name| match time(matches, name)? {
        Some(Duration::ZERO) => Err(Failure::Usage(format!("--{name}: must be more than nothing"))),
        limit => Ok(limit),
    };
    let store = path("store");
    if store.as_deref().and_then(store::address).is_some_and(store::names_a_password) {
        return Err(Failure::Usage(
            "--store: everybody can read a password on the command line; set PAYTOKEN_STORE, or store in the settings file".into(),
        ));
    }
    Ok(Options {
        environment: environment.transpose()?,
        base_url: text(matches, "base-url"),
        timeout: limit("timeout")?,
        connect_timeout: limit("connect-timeout")?,
        store,
        no_store: matches.get_flag("no-store"),
        ca: path("ca"),
        verbose: matches.get_flag("verbose"),
    })
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one(name).cloned()
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many(name).into_iter().flatten().cloned().collect()
}

fn time(matches: &ArgMatches, name: &str) -> Result<Option<Duration>, Failure> {
    let Some(text) = text(matches, name) else { return Ok(None) };
    match duration::parse(&text) {
        Some(time) => Ok(Some(time)),
        None => Err(Failure::Usage(format!(
            "--{name}: not a time; write it as 500ms, 90s, 1m30s, 2h or 1d"
        ))),
    }
}
