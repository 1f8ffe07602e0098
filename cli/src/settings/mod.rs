//! What a PROVIDER on the command line stands for, with all that is set for it: an option counts
//! before a variable, and that before the settings file.
//!
//! The library reads variables; the settings file is shown to it as variables, too. An account that
//! the file names takes none of its provider's variables from the environment: they are another
//! account's.

mod file;
mod keys;
mod lookup;
mod providers;
mod secret_command;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use paytoken::{Environment, Error, FieldKind, Provider, Settings, TokenSource};
use zeroize::Zeroizing;

use self::file::DEFAULTS;
pub(crate) use self::file::SettingsFile;
pub(crate) use self::keys::{SYSTEM, home, variable};
pub(crate) use self::lookup::Origin;
use self::lookup::{Lookup, Secrets};
pub(crate) use self::providers::Source;
use crate::command_line::{Options, is_a_plain_word, providers};
use crate::deadline::{self, Deadline};
use crate::exit::Failure;
use crate::store::SharedStore;
use crate::words;

/// One account, ready to be asked for.
pub(crate) struct Target {
    /// As on the command line.
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// From so long before its end on, a certificate is warned of.
    pub(crate) certificate_warning: Duration,
    options: Options,
    lookup: Arc<Lookup>,
}

/// The settings file, if there is one.
pub(crate) fn open_file() -> Result<Option<SettingsFile>, Failure> {
    SettingsFile::open().map_err(Failure::Configuration)
}

/// The provider of this name, or what is wrong with its description; `None` where there is none.
pub(crate) fn named(name: &str, file: Option<&SettingsFile>) -> Option<Result<Provider, String>> {
    providers::named(name, file.and_then(SettingsFile::descriptions))
}

/// Those that could be used, each with where it is known from.
pub(crate) fn all_providers(file: Option<&SettingsFile>) -> Vec<(String, Source)> {
    providers::all(file.and_then(SettingsFile::descriptions))
}

/// Whether somebody meant to use this account: it has a table in the file or, as a provider, an id or a
/// secret in the environment.
pub(crate) fn is_set_up(name: &str, file: Option<&SettingsFile>) -> bool {
    let is_in_file = file.is_some_and(|file| file.accounts().any(|account| account == name));
    // A variable alone that looks like one of the catalogue's may be another program's.
    let descriptions = file.and_then(SettingsFile::descriptions);
    let is_of_catalogue = providers::source(name, descriptions) == Some(Source::Catalogue);
    let is_in_environment = |provider: Provider| {
        let facts = provider.facts();
        let needed = [FieldKind::Identity, FieldKind::Secret];
        let fields = facts.fields.iter().filter(|field| needed.contains(&field.kind));
        let mut names = fields.map(|field| facts.variable(field.variable));
        let is_set = |name: String| variable(&name).or(variable(&format!("{name}_FILE"))).is_some();
        if is_of_catalogue { names.all(is_set) } else { names.any(is_set) }
    };
    is_in_file || named(name, file).is_some_and(|it| it.is_ok_and(is_in_environment))
}

impl Target {
    pub(crate) fn open(
        name: &str,
        file: Option<&SettingsFile>,
        options: &Options,
    ) -> Result<Self, Failure> {
        let mut of_file = match file {
            Some(file) => file.account(name).map_err(Failure::Configuration)?,
            None => None,
        };
        let of_name = named(name, file).transpose().map_err(|what| {
            let place = file.map(|file| format!("{}: ", file.path().display()));
            Failure::Configuration(place.unwrap_or_default() + &what)
        })?;
        let Some(provider) = of_file.as_ref().map(|account| account.provider).or(of_name) else {
            return Err(unknown(name, file));
        };
        // An account of another provider, that is only called like one of the catalogue.
        let of_name = of_name.filter(|named| *named == provider);
        let time = |key| of_file.as_ref().and_then(|account: &file::Account| account.time(key));
        let timeout = options.timeout.or_else(|| time("timeout"));
        let deadline = Deadline::after(timeout.unwrap_or(deadline::DEFAULT));
        let certificate_warning = time("certificate_warning").unwrap_or(CERTIFICATE_WARNING);
        let connect_timeout = options.connect_timeout.or_else(|| time("connect_timeout"));
        let known = of_file.as_mut().map(file::Account::take_secrets).unwrap_or_default();
        let lookup = Arc::new(Lookup {
            names: keys::names(provider.facts()),
            name: name.to_owned(),
            of_file,
            file: file.map(|file| file.path().to_owned()).unwrap_or_default(),
            takes_variables: of_name.is_some(),
            deadline: Mutex::new(deadline),
            secrets: Mutex::new(Secrets { known, failed: None }),
        });
        let variables = lookup.clone();
        let settings = Settings::from_variables(provider, move |name| variables.value(name));
        let mut settings = settings.map_err(|error| lookup.failure(&error, options))?;
        settings.environment = options.environment.or(settings.environment);
        settings.base_url = options.base_url.clone().or(settings.base_url);
        settings.ca = options.ca.clone().or(settings.ca);
        settings.store = options.store.clone().or(settings.store);
        let options = Options { connect_timeout, ..options.clone() };
        Ok(Self { name: name.to_owned(), settings, certificate_warning, options, lookup })
    }

    pub(crate) fn provider(&self) -> Provider {
        self.settings.provider
    }

    /// Until when the command has to end.
    pub(crate) fn deadline(&self) -> Deadline {
        self.lookup.deadline()
    }

    /// Gives another token as much time as the first had: curl's own run does not count.
    pub(crate) fn restart(&self) {
        let limit = self.deadline().limit();
        *self.lookup.deadline.lock().unwrap_or_else(PoisonError::into_inner) =
            Deadline::after(limit);
    }

    /// Wipes the secrets that are known, once there is a token, for as long as curl runs. One that is
    /// needed again is read again, and a command is run again.
    pub(crate) fn forget_secrets(&self) {
        self.lookup.secrets().known.clear();
    }

    pub(crate) fn environment(&self) -> Result<Environment, Failure> {
        self.settings.environment().map_err(|error| self.failure(&error))
    }

    /// The provider's address, checked: what was set may hold a password.
    pub(crate) fn base_url(&self) -> Result<String, Failure> {
        self.settings.address().map_err(|error| self.failure(&error))
    }

    pub(crate) fn store(&self) -> Result<Option<SharedStore>, Failure> {
        if self.options.no_store {
            return Ok(None);
        }
        let keys = self.settings_in_time().sealing_keys();
        let store = keys.and_then(|keys| {
            let tls = || self.settings_in_time().store_tls();
            SharedStore::open(self.settings.store.as_deref(), keys, tls)
        });
        store.map(Some).map_err(|error| self.failure(&error))
    }

    pub(crate) fn account(&self) -> Result<paytoken::store::Account, Failure> {
        self.settings_in_time().account().map_err(|error| self.failure(&error))
    }

    /// Whether a fetch would find what the account alone does without: the secret, the private key and
    /// the authorities. No command is run, no secret's file is read, and no pipe is waited for.
    pub(crate) fn check_the_rest(&self) -> Result<(), Failure> {
        let lookup = self.lookup.clone();
        let unrun = move |name: &str| match lookup.origin(name) {
            Origin::File(key) if key.ends_with("_command") => {
                (!name.ends_with("_FILE")).then(|| "what the command prints".into())
            }
            _ => lookup.value(name),
        };
        if let Some((key, program)) = self.lookup.of_file.as_ref().and_then(file::Account::absent) {
            let (place, program) = (self.lookup.place(key), program.display());
            return Err(Failure::Configuration(format!(
                "{place}: there is no program {program}; correct its path"
            )));
        }
        let check = || {
            Settings::from_variables(self.provider(), unrun)?.check_secrets()?;
            match self.settings.ca.as_deref().is_some_and(|path| is_no_file(path) && !path.is_dir())
            {
                true => Ok(()),
                false => self.settings_in_time().root_certificates_pem().map(drop),
            }
        };
        check().map_err(|error| self.failure(&error))
    }

    pub(crate) fn source(&self, store: Option<SharedStore>) -> Result<TokenSource, Failure> {
        let mut settings = self.settings_in_time();
        settings.store = None; // opened already
        let source = || {
            let mut builder = settings.builder()?;
            if let Some(limit) = self.options.connect_timeout {
                builder = builder.connect_timeout(limit);
            }
            if let Some(store) = store {
                builder = builder.store(store.into_store());
            }
            builder.build()
        };
        source().map_err(|error| self.failure(&error))
    }

    /// For what reads files, which may be pipes that are never written: with the time that is left.
    fn settings_in_time(&self) -> Settings {
        let mut settings = self.settings.clone();
        settings.timeout = Some(self.deadline().left().max(LEAST));
        settings
    }

    /// The path that this variable of the provider holds, wherever it is set.
    pub(crate) fn path(&self, variable: &str) -> Option<PathBuf> {
        self.lookup.value(&self.provider().facts().variable(variable)).map(PathBuf::from)
    }

    /// The text of an id or a secret, wherever it is set; `None` where it cannot be read.
    pub(crate) fn text_of(&self, variable: &str) -> Option<Zeroizing<String>> {
        const LARGEST: u64 = 64 * 1024;
        let name = self.provider().facts().variable(variable);
        if let Some(text) = self.lookup.value(&name) {
            return text.into_string().ok().map(Zeroizing::new);
        }
        let content = content(&self.path(&format!("{variable}_FILE"))?, LARGEST)?;
        let text = std::str::from_utf8(&content).ok()?;
        Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Where `NTXPAY_CLIENT_ID`, `PAYTOKEN_CA` and so on come from.
    pub(crate) fn origin(&self, variable: &str) -> Origin {
        let facts = self.provider().facts();
        let options = &self.options;
        let by_option = match variable.strip_prefix(facts.prefix).unwrap_or(variable) {
            "_ENVIRONMENT" if options.environment.is_some() => Some("--environment"),
            "_BASE_URL" if options.base_url.is_some() => Some("--base-url"),
            "PAYTOKEN_CA" if options.ca.is_some() => Some("--ca"),
            "PAYTOKEN_STORE" if options.store.is_some() => Some("--store"),
            _ => None,
        };
        if let Some(option) = by_option {
            return Origin::Option(option);
        }
        self.lookup.origin(variable)
    }

    /// Why this key of the settings file gives no secret.
    pub(crate) fn problem(&self, key: &str) -> Option<String> {
        let secrets = self.lookup.secrets();
        secrets
            .failed
            .as_ref()
            .filter(|(failed, _)| *failed == key)
            .map(|(_, problem)| problem.text.clone())
    }

    /// Where in the settings file.
    pub(crate) fn place(&self, key: &str) -> String {
        self.lookup.place(key)
    }

    /// In the words of whoever set what is wrong.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        self.lookup.failure(error, &self.options)
    }
}

/// A time-out of nothing is a mistake to the library, and here it means that the time is up.
const LEAST: Duration = Duration::from_millis(1);

/// As the library's own record of it.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(30 * 86_400);

/// Whether reading it may take for ever.
pub(crate) fn is_no_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// A certificate's file may hold the private key, too.
pub(crate) fn holds_a_key(path: &Path) -> bool {
    const LARGEST: u64 = 1024 * 1024;
    let content = content(path, LARGEST).unwrap_or_default();
    content.windows(PRIVATE_KEY.len()).any(|part| part == PRIVATE_KEY)
}

/// So much of a file; `None` where it cannot be read.
fn content(path: &Path, largest: u64) -> Option<Zeroizing<Vec<u8>>> {
    if is_no_file(path) {
        return None;
    }
    // Sized at once: growing would leave an unwiped copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(largest as usize + 1));
    std::fs::File::open(path).ok()?.take(largest).read_to_end(&mut content).ok()?;
    Some(content)
}

const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

fn unknown(name: &str, file: Option<&SettingsFile>) -> Failure {
    let accounts: Vec<&str> = file.map(|file| file.accounts().collect()).unwrap_or_default();
    let all = all_providers(file);
    let known = all.iter().map(|(name, _)| name.as_str());
    // What is no plain word may be a secret in the wrong place.
    let word = if is_a_plain_word(name) { format!(" '{name}'") } else { String::new() };
    if name == DEFAULTS {
        return Failure::Usage(format!(
            "PROVIDER{word}: [{DEFAULTS}] is what all accounts share, and no account; use one of them"
        ));
    }
    match words::closest(name, known.chain(accounts.iter().copied())) {
        Some(close) => {
            Failure::Usage(format!("PROVIDER{word} is not known: did you mean {close}?"))
        }
        None => {
            let mut known = providers() + ", another of `paytoken providers`";
            match file {
                Some(_) if accounts.is_empty() => {}
                Some(_) => {
                    known +=
                        &format!(", or an account of the settings file ({})", accounts.join(", "))
                }
                None => known += &format!("; {}", no_file()),
            }
            Failure::Usage(format!("PROVIDER{word} is not known: use {known}"))
        }
    }
}

/// Where none was found, where it was looked for.
fn no_file() -> String {
    match file::of_user() {
        Some(path) => format!(
            "no settings file was found: PAYTOKEN_CONFIG is not set, and there is no {}",
            path.display()
        ),
        None => {
            "there is no home directory to look for a settings file in: set PAYTOKEN_CONFIG".into()
        }
    }
}

/// There is no account to look at.
pub(crate) fn nothing_is_set_up(file: Option<&SettingsFile>) -> Failure {
    let where_to = match file {
        Some(file) => format!("{} names no account", file.path().display()),
        None => no_file(),
    };
    Failure::Configuration(format!(
        "no account is set up: the environment has no variable of {}, and {where_to}",
        providers()
    ))
}
