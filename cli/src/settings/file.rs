//! The settings file: TOML, a table per provider and per account that it names.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paytoken::store::Place;
use paytoken::{Provider, Settings};
use toml::{Table, Value};
use zeroize::Zeroizing;

use super::keys::{Setting, Values, home, is_shared, names, read, shared_names, stem, variable};
use super::providers::{Source, named, source};
use crate::description::PROVIDERS;
use crate::store;
use crate::words::closest;

/// A larger file holds no settings.
const LARGEST: u64 = 1024 * 1024;

/// The table of what all accounts share.
pub(super) const DEFAULTS: &str = "defaults";

/// What is wrong with the file: a sentence that names it.
pub(super) type Problem = String;

pub(crate) struct SettingsFile {
    pub(super) path: PathBuf,
    tables: Table,
    metadata: Metadata,
}

/// One account's table.
pub(crate) struct Account {
    pub(crate) provider: Provider,
    /// Those that stand in the file itself: [`Setting::Secret`] among the values.
    secrets: Vec<(&'static str, Zeroizing<String>)>,
    values: Values,
    /// What `[defaults]` adds.
    defaults: Values,
    /// What it does not add, since here it is empty.
    turned_off: Vec<String>,
    /// Not where `[defaults]` is all that the file says of it.
    pub(super) has_table: bool,
}

impl SettingsFile {
    /// `$PAYTOKEN_CONFIG`, else the user's own; `None` where there is none.
    pub(super) fn open() -> Result<Option<Self>, Problem> {
        let (path, is_named) = match variable("PAYTOKEN_CONFIG") {
            Some(path) => (checked(path.into())?, true),
            None => match of_user() {
                Some(path) => (path, false),
                None => return Ok(None),
            },
        };
        // A named pipe that nobody writes to is not waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        match File::options().read(true).custom_flags(flags).open(&path) {
            Ok(file) => Self::read(path, file).map(Some),
            Err(error) if !is_named && is_absent(&error) => Ok(None),
            Err(error) => Err(format!("{}: cannot read the settings ({error})", path.display())),
        }
    }

    fn read(path: PathBuf, file: File) -> Result<Self, Problem> {
        let problem = |what: &str| format!("{}: {what}", path.display());
        let cannot_read = |error| problem(&format!("cannot read the settings ({error})"));
        let metadata = file.metadata().map_err(cannot_read)?;
        if !metadata.is_file() {
            return Err(problem("the settings have to be in a regular file"));
        }
        // Sized at once: growing would leave an unwiped copy behind.
        let mut text =
            Zeroizing::new(String::with_capacity(metadata.len().min(LARGEST) as usize + 1));
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(cannot_read)?;
        if text.len() as u64 > LARGEST {
            return Err(problem("larger than 1 MiB, so these are no settings"));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let tables = text.parse::<Table>().map_err(|error| problem(&mistake(text, &error)))?;
        let file = Self { path, tables, metadata };
        // All of them, so that it is known which variables hold secrets. What is wrong with one is told
        // to whoever uses it.
        for name in file.descriptions().into_iter().flat_map(Table::keys) {
            let _ = named(name, file.descriptions());
        }
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all accounts' tables.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.iter().filter(|(_, value)| value.is_table());
        tables.map(|(name, _)| name.as_str()).filter(|name| ![DEFAULTS, PROVIDERS].contains(name))
    }

    /// The providers that it describes, by name.
    pub(super) fn descriptions(&self) -> Option<&Table> {
        self.tables.get(PROVIDERS)?.as_table()
    }

    /// The store of all accounts.
    pub(crate) fn shared_store(&self) -> Result<Option<PathBuf>, Problem> {
        Ok(self.defaults()?.into_iter().find_map(|setting| match setting {
            ("store", Setting::Path(path)) => Some(path),
            _ => None,
        }))
    }

    fn defaults(&self) -> Result<Values, Problem> {
        // By its name and its keys it is meant as the defaults, which would then be missing in silence.
        let is_misspelt = |(name, value): &(&String, &Value)| {
            let is_account =
                value.get("provider").is_some() || source(name, self.descriptions()).is_some();
            ![DEFAULTS, PROVIDERS].contains(&&***name)
                && !is_account
                && closest(&name.to_lowercase(), [DEFAULTS]).is_some()
        };
        if let Some((name, _)) = self.tables.iter().find(is_misspelt) {
            return Err(format!(
                "{}: [{name}] has no provider, so it is no account: did you mean [{DEFAULTS}]?",
                self.path.display()
            ));
        }
        let Some(table) = self.tables.get(DEFAULTS).and_then(Value::as_table) else {
            return Ok(Values::new());
        };
        read_defaults(table, &self.path)
            .map_err(|what| format!("{}: [{DEFAULTS}] {what}", self.path.display()))
    }

    /// The table of this name, with what `[defaults]` adds. A provider without a table has that alone.
    pub(crate) fn account(&self, name: &str) -> Result<Option<Account>, Problem> {
        if let Some((stray, value)) = self.tables.iter().find(|(_, value)| !value.is_table()) {
            let is_list = value.as_array().is_some_and(|all| all.iter().any(Value::is_table));
            let path = self.path.display();
            return Err(match is_list {
                true => format!("{path}: [[{stray}]] is a list of tables; write [{stray}], once"),
                false => format!(
                    "{path}: {stray} stands outside of a table; put it below [ntx-pay], [nexter-pay], [send-payments], an account's name, or [defaults] where all accounts share it"
                ),
            });
        }
        let problem = |what| format!("{}: [{name}] {what}", self.path.display());
        let mut account = match self.tables.get(name).and_then(Value::as_table) {
            _ if [DEFAULTS, PROVIDERS].contains(&name) => return Ok(None),
            Some(table) => {
                let provider = self.provider_of(name, table).map_err(problem)?;
                Account::read(provider, table, &self.path).map_err(problem)?
            }
            None if self.tables.contains_key(DEFAULTS) => match named(name, self.descriptions()) {
                Some(provider) => Account::of(provider.map_err(problem)?, false),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        account.add(self.defaults()?).map_err(problem)?;
        // Whoever can change the file says where the secret goes, and which command is run.
        Settings::check_file(&self.path, &self.metadata, account.holds_a_secret())
            .map_err(|error| problem(error.to_string()))?;
        Ok(Some(account))
    }
}

impl SettingsFile {
    /// Whose account a table is.
    fn provider_of(&self, name: &str, table: &Table) -> Result<Provider, Problem> {
        let of_name = named(name, self.descriptions());
        let not_known = |what: &str| {
            let described = self.descriptions().into_iter().flat_map(Table::keys);
            let described: String = described.map(|name| format!(", {name}")).collect();
            format!(
                "provider{what}; use {}{described}, or one of `paytoken providers`",
                crate::command_line::providers()
            )
        };
        let provider = match table.get("provider") {
            Some(Value::String(provider)) => {
                named(provider, self.descriptions()).ok_or_else(|| not_known(": not known"))??
            }
            Some(_) => return Err("provider: has to be a text in quotes".into()),
            None => of_name.clone().ok_or_else(|| not_known(" is missing"))??,
        };
        let is_only_alike = source(name, self.descriptions()) == Some(Source::Catalogue);
        match of_name {
            Some(Ok(named)) if named != provider && !is_only_alike => Err("provider: is another one than the table's name says; give the table a name of your own".into()),
            _ => Ok(provider),
        }
    }
}

/// Where the user's own is looked for.
pub(super) fn of_user() -> Option<PathBuf> {
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(home()?.join(".config")));
    folder.map(|folder| folder.join("paytoken/config.toml"))
}

/// What is wrong with the text, without its values: one of them may be a secret.
fn mistake(text: &str, error: &toml::de::Error) -> String {
    let span = error.span().unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    if !error.message().starts_with("duplicate key") {
        return format!(
            "line {line} is not TOML; a text stands in quotes, as in client_id = \"…\""
        );
    }
    let key = text.get(span).unwrap_or_default();
    let begins_with = before.rsplit('\n').next().unwrap_or_default().trim_start();
    match begins_with.starts_with('[') {
        true => format!(
            "line {line}: the table [{key}] stands here for the second time; put all of it below the first"
        ),
        false => format!("line {line}: {key} stands here for the second time; keep one of the two"),
    }
}

/// A path that may be shown.
fn checked(path: PathBuf) -> Result<PathBuf, Problem> {
    match Place::named("PAYTOKEN_CONFIG", &path) {
        Ok(Place::Directory(_)) => Ok(path),
        _ => Err("PAYTOKEN_CONFIG: looks like an address, a secret or the content, and not like the path of the settings file; set it to that, with ./ before a name like this one".into()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_defaults(table: &Table, file: &Path) -> Result<Values, String> {
    let of_accounts = |key: &str| {
        let mut names = Provider::ALL.iter().flat_map(|provider| names(provider.facts()));
        key == "provider" || names.any(|(known, ..)| known == key)
    };
    let not_known = |key: &str| match of_accounts(key) {
        true => "belongs to one account; put it below that account's name".to_owned(),
        false => format!("not known for [{DEFAULTS}]"),
    };
    read(table.iter(), shared_names(), not_known, file)
}

impl Account {
    fn of(provider: Provider, has_table: bool) -> Self {
        let (values, defaults, turned_off) = (Vec::new(), Vec::new(), Vec::new());
        Self { provider, secrets: Vec::new(), values, defaults, turned_off, has_table }
    }

    /// A key goes with its certificate, so where that is the account's own, the default's key is not
    /// meant.
    fn add(&mut self, defaults: Values) -> Result<(), String> {
        let is_in = |key: &str| defaults.iter().any(|(known, _)| *known == key);
        if let Some(key) = self.turned_off.iter().find(|key| !is_in(key)) {
            return Err(format!(
                "{key}: is empty, and [{DEFAULTS}] has none that it could turn off"
            ));
        }
        let has = |key| self.get(key).is_some() || self.turned_off.iter().any(|off| off == key);
        let is_hidden = |key| has(key) || (key == "store_private_key" && has("store_certificate"));
        self.defaults = defaults.into_iter().filter(|(key, _)| !is_hidden(*key)).collect();
        Ok(())
    }

    fn read(provider: Provider, table: &Table, file: &Path) -> Result<Self, String> {
        let mut account = Self::of(provider, true);
        let fields = provider.facts().fields;
        let is_secret =
            |key: &str| fields.iter().any(|field| field.name == key && field.is_secret());
        let is_off =
            |(key, value): &(&String, &Value)| value.as_str() == Some("") && is_shared(key);
        account.turned_off = table.iter().filter(is_off).map(|(key, _)| key.clone()).collect();
        let is_setting = |entry: &(&String, &Value)| entry.0 != "provider" && !is_off(entry);
        let settings = table.iter().filter(is_setting);
        let not_known = |_: &str| format!("not known for {provider}");
        for (key, setting) in read(settings, names(provider.facts()), not_known, file)? {
            match setting {
                Setting::Inline(text) if is_secret(key) => {
                    account.secrets.push((key, Zeroizing::new(text)));
                    account.values.push((key, Setting::Secret));
                }
                setting => account.values.push((key, setting)),
            }
        }
        for key in fields.iter().map(|field| field.name) {
            let ways: Vec<_> = account
                .values
                .iter()
                .map(|(known, _)| *known)
                .filter(|known| stem(known) == key)
                .collect();
            if let [first, second, ..] = ways[..] {
                return Err(format!("{first} and {second} are both set; keep one of them"));
            }
        }
        Ok(account)
    }

    /// The secrets that stand in the file, by their keys.
    pub(super) fn take_secrets(&mut self) -> Vec<(&'static str, Zeroizing<String>)> {
        std::mem::take(&mut self.secrets)
    }

    /// Whether both say the same, the secret apart.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.values == other.values
            && self.defaults == other.defaults
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        let mut all = self.values.iter().chain(&self.defaults);
        all.find(|(known, _)| *known == key).map(|(_, setting)| setting)
    }

    /// Whether it is the account's only by `[defaults]`.
    pub(crate) fn is_default(&self, key: &str) -> bool {
        self.defaults.iter().any(|(known, _)| *known == key)
    }

    pub(super) fn time(&self, key: &str) -> Option<Duration> {
        match self.get(key) {
            Some(Setting::Time(time)) => Some(*time),
            _ => None,
        }
    }

    /// `client_secret_file` for `client_secret`, if that is how it is set.
    pub(crate) fn way(&self, key: &str) -> Option<&'static str> {
        let mut all = self.values.iter().chain(&self.defaults).map(|(known, _)| *known);
        all.find(|known| stem(known) == key)
    }

    /// A command whose program is named by its path, and is not there.
    pub(super) fn absent(&self) -> Option<(&'static str, &Path)> {
        self.values.iter().find_map(|(key, setting)| match setting {
            Setting::Command(words) => {
                let program = Path::new(words.first()?);
                (program.is_absolute() && !program.is_file()).then_some((*key, program))
            }
            _ => None,
        })
    }

    fn holds_a_secret(&self) -> bool {
        let server = match self.get("store") {
            Some(Setting::Path(path)) => store::address(path),
            _ => None,
        };
        let mut fields = self.provider.facts().fields.iter();
        server.is_some_and(store::names_a_password)
            || fields.any(|field| field.is_secret() && self.get(field.name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defaults_private_key_is_not_meant_beside_an_accounts_own_certificate() {
        let file = Path::new("/etc/paytoken/config.toml");
        let key_of = |own: &str| {
            let table = |text: &str| text.parse::<Table>().unwrap();
            let mut account = Account::read(Provider::NtxPay, &table(own), file).unwrap();
            let shared = table("store_certificate = \"c\"\nstore_private_key = \"k\"");
            account.add(read_defaults(&shared, file).unwrap()).unwrap();
            match account.get("store_private_key") {
                Some(Setting::Path(path)) => path.to_str().unwrap().to_owned(),
                _ => String::new(),
            }
        };
        assert_eq!(key_of(""), "/etc/paytoken/k");
        assert_eq!(key_of("store_certificate = \"own\""), "");
        assert_eq!(key_of("store_certificate = \"\""), "");
        assert_eq!(key_of("store_private_key = \"\""), "");
        let both = "store_certificate = \"own\"\nstore_private_key = \"own.key\"";
        assert_eq!(key_of(both), "/etc/paytoken/own.key");
        assert_eq!(key_of("store_private_key = \"own.key\""), "/etc/paytoken/own.key");
    }
}
