//! The command line as it is defined once: for parsing, for the help, for completions and for the
//! manual page.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command, value_parser};
use paytoken::{Environment, Provider};

use crate::deadline::DEFAULT;

/// How much of the definition is made: each run needs little of it, and pays for all that is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The command that is asked for, without the help's last part.
    Parsing,
    Whole,
}

pub(crate) fn command(extent: Extent) -> Command {
    let subcommand = |name: &'static str, about: &'static str, details: fn(Command) -> Command| {
        let command = Command::new(name).about(about);
        match extent {
            Extent::Parsing => command.defer(details),
            Extent::Whole => details(command),
        }
    };
    let command = Command::new("paytoken")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Bearer tokens of payment providers' APIs, for shell scripts and cron jobs.")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .max_term_width(100)
        .args(common())
        .subcommands([
            subcommand("token", "Prints the token, from the shared store when it is still good", token),
            subcommand("header", "Prints \"Authorization: Bearer …\", made for curl -H @-", |command| {
                command.arg(provider()).args(wanted())
            }),
            subcommand("curl", "Runs curl with the token, which never shows in an argument or a variable", curl),
            subcommand("check", "Says what is set up right and wrong; sends no credentials", check),
            subcommand("invalidate", "Reads a token that the API answered 401 to on stdin, and drops it from the store", invalidate),
            subcommand("status", "Shows the stored token, the last success and error, the certificate's days, the store; never a secret", status),
            subcommand("providers", "Lists the providers: built in, described in the settings file, or in the catalogue", |command| {
                command.arg(json("The list as JSON"))
            }),
            subcommand("purge", "Removes entries of the store that nobody has written for 7 days", |command| {
                command.arg(json("The result as JSON"))
            }),
            subcommand("new-store-key", "Prints a new key to seal a store's entries with", |command| {
                command.after_help(NEW_STORE_KEY)
            }),
        ]);
    #[cfg(feature = "pages")]
    let command = command.subcommands([
        subcommand("completions", "Prints the completions for a shell", completions),
        subcommand("man", "Prints the manual page, for man -l -", |command| {
            command.after_help("Example\n  paytoken man > ~/.local/share/man/man1/paytoken.1")
        }),
    ]);
    match extent {
        Extent::Parsing => command,
        Extent::Whole => command.after_help(after_help()),
    }
}

fn token(command: Command) -> Command {
    command
        .arg(provider())
        .args(wanted())
        .arg(json("The token as JSON: access_token, token_type, expires_in, expires_at, scope"))
}

fn invalidate(command: Command) -> Command {
    command.arg(provider()).after_help(
        "Exit code 65 where nothing was dropped: the token on stdin is not the stored one.",
    )
}

fn provider() -> Arg {
    Arg::new("provider")
        .value_name("PROVIDER")
        .required(true)
        .value_parser(AccountName)
        .hide_possible_values(true)
        .help(format!(
            "{}, another of `paytoken providers`, or an account of the settings file",
            providers()
        ))
}

/// Any text: which names there are, the settings file says. Completions begin with the providers'.
#[derive(Clone)]
struct AccountName;

impl TypedValueParser for AccountName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = Provider::ALL.iter().map(|provider| provider.facts().name);
        Some(Box::new(names.map(PossibleValue::new)))
    }
}

/// `ntx-pay, nexter-pay or send-payments`
pub(crate) fn providers() -> String {
    let names: Vec<_> = Provider::ALL.iter().map(|provider| provider.facts().name).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn curl(command: Command) -> Command {
    command
        .arg(provider())
        .args(wanted())
        .arg(switch("no-replay", "Do not run curl again after a 401"))
        .arg(
            Arg::new("allow-host")
                .long("allow-host")
                .value_name("HOST")
                .action(ArgAction::Append)
                .help(
                    "Also send the token, and show the certificate, to this host; by default to the provider's address alone",
                ),
        )
        .arg(
            Arg::new("curl-arguments")
                .value_name("CURL-ARGUMENTS")
                .num_args(1..)
                .required(true)
                .last(true)
                .value_parser(value_parser!(std::ffi::OsString))
                .help("As for curl itself, as far as they are known to be safe"),
        )
        .after_help(CURL)
}

const CURL: &str = "\
Example
  paytoken curl ntx-pay -- -sS --fail https://sandbox.mx.ntxpay.com/api/balance

curl gets the header, NTX Pay's certificate and key, and --cacert from --ca. Options of curl's are
passed on when they are known to be safe: docs/command.md lists them. For others there is
  paytoken header ntx-pay | curl -H @- ...
Where the API answers 401 to all that was asked, that very token is dropped, and curl runs once more
with another one; what it wrote the first time is not shown. It is not run again if it may have done
something: another answer than 401, a time-out, input that is read once.

The exit code is curl's, 128 and the signal's number if one ended it, 127 where there is no curl.
Without a token, curl is not run, and the code is one of paytoken --help, with a line on stderr that
begins with \"paytoken:\".";

fn check(command: Command) -> Command {
    command
        .arg(provider().required(false))
        .arg(switch("fetch", "Also get a token: sends the credentials"))
        .arg(switch("force", "With --fetch, even if that invalidates a good token (Send Payments)"))
        .arg(json("The table as JSON"))
        .after_help(
            "\
Without a PROVIDER: a line for each account that the settings file or the environment sets up.
Exit code 0 when nothing is wrong (warnings do not count), else 78.",
        )
}

fn status(command: Command) -> Command {
    command.arg(provider().required(false)).arg(json("The same as JSON")).after_help(STATUS)
}

const STATUS: &str = "\
Exit codes, for monitoring; of several accounts, the highest
  0   a good token is stored, or nothing keeps one from being fetched
  1   a warning: the stored token is good, and its renewals fail
  2   a warning: the certificate ends within 30 days (certificate_warning in the settings file)
  69  no good token: at the last request, the provider or the network was down
  74  the store cannot be read
  75  no good token: at the last request, too slow, or too many requests
  76  no good token: the last answer was not what is documented
  77  no good token: the provider refused the credentials
  78  a setting is wrong, whatever is stored; or the certificate has expired or was refused

An error counts until a token comes, however long ago it was. No secret's file is read, and no command
that prints one is run. With --json there is an answer in each of these cases.";

const NEW_STORE_KEY: &str = "\
Example
  (umask 077; paytoken new-store-key > ~/.config/paytoken/store.key)

Name that file in PAYTOKEN_STORE_KEY_FILE, or as store_key_file in the settings file, for every job
that shares the store. The first line seals, all open. To change the key, add the new one as the
second line for every job, then put it first for every job, and remove the old one after an hour, or
after the longest life of a token if that is longer.
To seal a store that jobs use: PAYTOKEN_ACCEPT_UNSEALED=write for every job, then =read, then none.";

/// For a shell's completions: prints the settings file's accounts.
#[cfg(feature = "pages")]
pub(super) const ACCOUNTS: &str = "accounts";

#[cfg(feature = "pages")]
fn completions(command: Command) -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(clap::builder::PossibleValuesParser::new([
            "bash".into(),
            "fish".into(),
            "zsh".into(),
            // What the scripts run.
            PossibleValue::new(ACCOUNTS).hide(true),
        ]))
        .hide_possible_values(true)
        .help("bash, fish or zsh");
    command.arg(shell).after_help(
        "Example\n  paytoken completions bash > ~/.local/share/bash-completion/completions/paytoken\n\nThey know the providers, and the accounts that the settings file names.",
    )
}

/// What token, header and curl have in common.
fn wanted() -> [Arg; 2] {
    [
        Arg::new("min-validity")
            .long("min-validity")
            .value_name("TIME")
            .help("The token has to be good for at least this long (60s, 1m30s)"),
        switch("force", "Get a new token, even if the stored one is good"),
    ]
}

/// These may stand before the command, too.
fn common() -> Vec<Arg> {
    let valued = |name: &'static str, value: &'static str, help: String| {
        Arg::new(name).long(name).value_name(value).help(help).global(true)
    };
    let path = |name, value, help: &str| {
        valued(name, value, help.to_owned()).value_parser(value_parser!(std::ffi::OsString))
    };
    let environments: Vec<_> = Environment::ALL.iter().map(ToString::to_string).collect();
    vec![
        valued("environment", "NAME", format!("{} (default: sandbox)", environments.join(" or "))),
        valued("base-url", "URL", "The provider's address, where its document states none".into()),
        valued(
            "timeout",
            "TIME",
            format!(
                "For the whole command, except curl's own run (default: {}s)",
                DEFAULT.as_secs()
            ),
        ),
        valued(
            "connect-timeout",
            "TIME",
            "Of that time, for each step of connecting to the provider (default: 5s)".into(),
        ),
        path(
            "store",
            "DIR",
            "The shared store (or a server's address, redis://…, if this command was built for it); default: the directory paytoken in $CACHE_DIRECTORY (set by systemd), else in $XDG_CACHE_HOME, else in ~/.cache",
        ),
        switch("no-store", "Do not use a store").global(true),
        path("ca", "FILE", "Certificate authorities (PEM) instead of the built-in ones"),
        switch("verbose", "Log each step to stderr").short('v').global(true),
    ]
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn json(help: &'static str) -> Arg {
    switch("json", help)
}

fn after_help() -> String {
    AFTER.replace("{CREDENTIALS}", credentials().trim_end())
}

/// A line per provider with the variables that hold its credentials.
fn credentials() -> String {
    let mut lines = String::new();
    for provider in Provider::ALL {
        let facts = provider.facts();
        let name = |variable| facts.variable(variable);
        let fields: Vec<_> = facts.fields.iter().map(|field| name(field.variable)).collect();
        lines += &format!("  {provider:<15}{}", fields.join(", "));
        if facts.takes_certificate {
            let (certificate, key) = (name("CLIENT_CERT"), name("CLIENT_KEY"));
            lines += &format!(",\n{:17}and files named by {certificate}, {key}", "");
        }
        lines.push('\n');
    }
    lines
}

const AFTER: &str = "\
Examples
  paytoken curl ntx-pay -- -sS --fail https://sandbox.mx.ntxpay.com/api/balance
  paytoken header ntx-pay | curl -H @- https://sandbox.mx.ntxpay.com/api/balance
  TOKEN=$(paytoken token send-payments --min-validity 60s)

Settings: an option counts before a variable, and that before the
settings file. Secrets never stand on the command line. Variables:
{CREDENTIALS}
Each identifier and secret also from a file:
NTXPAY_CLIENT_SECRET_FILE=/run/secrets/ntx. NTXPAY_BASE_URL,
NTXPAY_ENVIRONMENT and so on; PAYTOKEN_STORE; PAYTOKEN_STORE_KEY_FILE, a
file with keys that seal its entries; PAYTOKEN_ACCEPT_UNSEALED, while
sealing is turned on or off (read, write); PAYTOKEN_STORE_CA,
PAYTOKEN_STORE_CLIENT_CERT and PAYTOKEN_STORE_CLIENT_KEY for a server by
TLS; PAYTOKEN_CA. The settings file is $PAYTOKEN_CONFIG, else
paytoken/config.toml in $XDG_CONFIG_HOME, else in ~/.config:
  [defaults]      # what all accounts share: store, ca, timeout …
  store = \"…\"
  [merchant-7]    # an account: paytoken curl merchant-7 -- …
  provider = \"send-payments\"
  base_url = \"https://…\"
  client_id = \"…\"
  client_secret_file = \"send-secret\"    # or client_secret,
                    # or client_secret_command = [\"pass\", \"send\"]

Exit codes
   0  it worked
   1  status: a good token is stored, and its renewals fail
   2  status: the certificate ends soon
  64  the command line is wrong
  65  invalidate: nothing dropped
  66  nothing on stdin
  69  provider or network is down
  74  the store, or stdout, failed
  75  too slow, or too many requests: try later
  76  the answer is not what is documented
  77  refused: wrong credentials, suspended account
  78  a setting or a certificate is wrong; check: something is wrong
 127  curl: there is none
";
