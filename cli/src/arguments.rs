//! The command line and the environment: what is asked for, and with which settings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt as _;
use paytoken::{Environment, Error, Provider, Settings};

use crate::exit::Failure;

pub(crate) fn help() -> String {
    HELP.replace("{PROVIDERS}", &providers()).replace("{CREDENTIALS}", credentials().trim_end())
}

/// `ntx-pay, nexter-pay or send-payments`
fn providers() -> String {
    let names: Vec<_> = Provider::ALL.iter().map(|provider| provider.facts().name).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// A line per provider with the variables that hold its credentials.
fn credentials() -> String {
    let mut lines = String::new();
    for provider in Provider::ALL {
        let facts = provider.facts();
        let name = |variable| facts.variable(variable);
        let (id, secret) = (name(facts.id.variable), name(facts.secret.variable));
        lines += &format!("  {provider:<20}  {id}, {secret}");
        if facts.takes_certificate {
            let (certificate, key) = (name("CLIENT_CERT"), name("CLIENT_KEY"));
            lines += &format!(", and files named by\n{:24}{certificate} and {key}", "");
        }
        lines.push('\n');
    }
    lines
}

const HELP: &str = "\
Bearer tokens of payment providers' APIs, for shell scripts and cron jobs.

  paytoken header ntx-pay | curl -H @- https://sandbox.mx.ntxpay.com/api/balance
  TOKEN=$(paytoken token send-payments --min-validity 60s)
  paytoken status

Commands
  token PROVIDER        the token on stdout, from the shared store when it is still good
  header PROVIDER       \"Authorization: Bearer …\" on stdout, made for curl -H @-
  invalidate PROVIDER   reads a token that the API answered 401 to on stdin, and drops it
  status [PROVIDER]     ages, expiry, last error; never a secret

PROVIDER is {PROVIDERS}.

Options
  --environment NAME    sandbox (default) or production
  --base-url URL        the provider's address, where its document states none
  --min-validity TIME   the token has to be good for at least this long (60s, 2m)
  --force               a new token, even if the stored one is good
  --timeout TIME        for the whole command (default 15s)
  --store DIR           the shared store; default: the directory paytoken in
                        $CACHE_DIRECTORY (set by systemd), else in $XDG_CACHE_HOME,
                        else in ~/.cache
  --no-store            do not use a store
  --ca FILE             certificate authorities (PEM) instead of the built-in ones
  --json                status as JSON
  -v, --verbose         log each step to stderr
  -h, --help            this
  -V, --version

Secrets come from the environment, never from the command line:
{CREDENTIALS}
Each identifier and secret also from a file: NTXPAY_CLIENT_SECRET_FILE=/run/secrets/ntx.
Defaults of options: NTXPAY_BASE_URL, NTXPAY_ENVIRONMENT and so on; PAYTOKEN_STORE; PAYTOKEN_CA.

Exit codes
   0  it worked                       74  the store, or stdout, failed
  64  the command line is wrong       75  too slow, or too many requests: try later
  66  nothing on stdin                76  the answer is not what is documented
  69  provider or network is down     77  refused: wrong credentials, suspended account
                                      78  a setting or a certificate is wrong
";

pub(crate) enum Command {
    Help,
    Version,
    Token(Provider),
    Header(Provider),
    Invalidate(Provider),
    Status(Vec<Provider>),
}

pub(crate) struct Options {
    environment: Option<Environment>,
    base_url: Option<String>,
    pub(crate) min_validity: Duration,
    pub(crate) force: bool,
    pub(crate) timeout: Duration,
    pub(crate) store: Option<PathBuf>,
    pub(crate) no_store: bool,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
}

impl Options {
    /// From the command line, else from the environment.
    pub(crate) fn settings(&self, provider: Provider) -> Result<Settings, Error> {
        let mut settings = Settings::from_env(provider)?;
        settings.environment = self.environment.or(settings.environment);
        settings.base_url = self.base_url.clone().or(settings.base_url);
        Ok(settings)
    }
}

pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Command, Options), Failure> {
    let mut options = Options {
        environment: None,
        base_url: None,
        min_validity: Duration::ZERO,
        force: false,
        timeout: Duration::from_secs(15),
        store: None,
        no_store: false,
        ca: None,
        json: false,
        verbose: false,
    };
    let mut words: Vec<String> = Vec::new();
    let mut parser = lexopt::Parser::from_iter(arguments);
    let usage = |error: lexopt::Error| Failure::Usage(error.to_string());
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Short('h') | Long("help") => return Ok((Command::Help, options)),
            Short('V') | Long("version") => return Ok((Command::Version, options)),
            Short('v') | Long("verbose") => options.verbose = true,
            Long("force") => options.force = true,
            Long("no-store") => options.no_store = true,
            Long("json") => options.json = true,
            Long("environment") => {
                let text = parser.value().and_then(|value| value.string()).map_err(usage)?;
                let environment =
                    text.parse().map_err(|error: Error| Failure::Usage(format!("--{error}")))?;
                options.environment = Some(environment);
            }
            Long("base-url") => {
                options.base_url =
                    Some(parser.value().and_then(|value| value.string()).map_err(usage)?);
            }
            Long("min-validity") => options.min_validity = time("--min-validity", &mut parser)?,
            Long("timeout") => {
                options.timeout = time("--timeout", &mut parser)?;
                if options.timeout.is_zero() {
                    return Err(Failure::Usage("--timeout: must be more than nothing".into()));
                }
            }
            Long("store") => options.store = Some(parser.value().map_err(usage)?.into()),
            Long("ca") => options.ca = Some(parser.value().map_err(usage)?.into()),
            // Not repeated: it may be a secret that somebody put in the wrong place.
            Value(word) => words.push(
                word.into_string().map_err(|_| Failure::Usage("an argument is not text".into()))?,
            ),
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok((command(&words)?, options))
}

fn command(words: &[String]) -> Result<Command, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let provider = |name: &str| {
        name.parse::<Provider>()
            .map_err(|_| Failure::Usage(format!("PROVIDER is not known: use {}", providers())))
    };
    match words[..] {
        ["token", name] => provider(name).map(Command::Token),
        ["header", name] => provider(name).map(Command::Header),
        ["invalidate", name] => provider(name).map(Command::Invalidate),
        ["status", name] => Ok(Command::Status(vec![provider(name)?])),
        ["status"] => Ok(Command::Status(Provider::ALL.to_vec())),
        ["token" | "header" | "invalidate"] => {
            Err(Failure::Usage(format!("{} needs a PROVIDER: {}", words[0], providers())))
        }
        [] => Err(Failure::Usage("no command given".into())),
        ["token" | "header" | "invalidate" | "status", ..] => {
            Err(Failure::Usage("too many arguments (secrets come from the environment)".into()))
        }
        _ => Err(Failure::Usage("no such command: use token, header, invalidate or status".into())),
    }
}

/// `500ms`, `60s`, `2m`, `1h`; a bare number is seconds.
fn time(option: &str, parser: &mut lexopt::Parser) -> Result<Duration, Failure> {
    let bad = || Failure::Usage(format!("{option}: not a time; write it as 500ms, 60s, 2m or 1h"));
    let text = parser
        .value()
        .and_then(|value| value.string())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(bad)
}
