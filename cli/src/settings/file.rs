//! The settings file: TOML, a table per provider and per account that it names.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paytoken::store::Place;
use paytoken::{Facts, Provider, Settings};
use toml::{Table, Value};
use zeroize::Zeroizing;

use crate::command_line::duration;
use crate::store;
use crate::words::closest;

/// A larger file holds no settings.
const LARGEST: u64 = 1024 * 1024;

/// The table of what all accounts share.
pub(super) const DEFAULTS: &str = "defaults";

/// What `ca` says where the system's authorities are meant.
pub(crate) const SYSTEM: &str = "system";

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
    /// Where it stands in the file itself: [`Setting::Secret`] among the values.
    secret: Option<Zeroizing<String>>,
    values: Values,
    /// What `[defaults]` adds.
    defaults: Values,
    /// Not where `[defaults]` is all that the file says of it.
    pub(super) has_table: bool,
}

type Values = Vec<(&'static str, Setting)>;

/// Where a setting's value is.
#[derive(PartialEq)]
pub(crate) enum Setting {
    Inline(String),
    /// In the file, and kept apart from it, since it is forgotten before curl runs.
    Secret,
    Path(PathBuf),
    Time(Duration),
    /// The program first.
    Command(Vec<OsString>),
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
        Ok(Self { path, tables, metadata })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all accounts' tables.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.iter().filter(|(_, value)| value.is_table());
        tables.map(|(name, _)| name.as_str()).filter(|name| *name != DEFAULTS)
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
            let is_account = value.get("provider").is_some() || name.parse::<Provider>().is_ok();
            *name != DEFAULTS && !is_account && closest(&name.to_lowercase(), [DEFAULTS]).is_some()
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
        let mut account = match (self.tables.get(name).and_then(Value::as_table), name.parse()) {
            _ if name == DEFAULTS => return Ok(None),
            (Some(table), _) => Account::read(name, table, &self.path).map_err(problem)?,
            (None, Ok(provider)) if self.tables.contains_key(DEFAULTS) => {
                Account::of(provider, false)
            }
            (None, _) => return Ok(None),
        };
        account.add(self.defaults()?);
        // Whoever can change the file says where the secret goes, and which command is run.
        Settings::check_file(&self.path, &self.metadata, account.holds_a_secret())
            .map_err(|error| problem(error.to_string()))?;
        Ok(Some(account))
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

/// A variable of the environment; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `$HOME`, else that of the password file, as in a unit. Users that only a directory service knows
/// have HOME.
pub(crate) fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    home.or_else(|| {
        const LARGEST: u64 = 16 * 1024 * 1024;
        let mut users = Vec::new();
        File::open("/etc/passwd").ok()?.take(LARGEST).read_to_end(&mut users).ok()?;
        // A name in it that is not UTF-8 is no reason to find nobody.
        let users = String::from_utf8_lossy(&users);
        let ourselves = rustix::process::geteuid().as_raw().to_string();
        let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let home =
            users.find(|fields| fields.get(2) == Some(&&*ourselves))?.get(5).map(PathBuf::from);
        home.filter(|home| home.is_absolute())
    })
}

/// What an account's table may hold, and in it what these names say.
fn read<'a>(
    settings: impl Iterator<Item = (&'a String, &'a Value)>,
    names: Vec<Name>,
    not_known: impl Fn(&str) -> String,
    file: &Path,
) -> Result<Values, String> {
    let mut keys: Vec<_> = names.into_iter().map(|(key, _, kind)| (key, kind)).collect();
    keys.extend(["timeout", "connect_timeout"].map(|key| (key, Kind::Time)));
    let read = |(key, value): (&String, &Value)| {
        let Some(&(key, kind)) = keys.iter().find(|(known, _)| known == key) else {
            let close = closest(key, keys.iter().map(|(known, _)| *known));
            let close = close.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            return Err(format!("{key}: {}{close}", not_known(key)));
        };
        let setting = match (key, value.as_str()) {
            // Not a path: a file of that name is "./system".
            ("ca" | "store_ca", Some(SYSTEM)) => Ok(Setting::Path(SYSTEM.into())),
            _ => setting(kind, value, file).map_err(|what| format!("{key}: {what}")),
        };
        Ok((key, setting?))
    };
    settings.map(read).collect()
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
        Self { provider, secret: None, values: Vec::new(), defaults: Vec::new(), has_table }
    }

    /// A key goes with its certificate, so where that is the account's own, the default's key is not
    /// meant.
    fn add(&mut self, defaults: Values) {
        let has = |key| self.get(key).is_some();
        let is_hidden = |key| has(key) || (key == "store_private_key" && has("store_certificate"));
        self.defaults = defaults.into_iter().filter(|(key, _)| !is_hidden(*key)).collect();
    }

    fn read(name: &str, table: &Table, file: &Path) -> Result<Self, String> {
        let provider = match table.get("provider") {
            Some(Value::String(provider)) => provider.parse().map_err(|_| {
                format!("provider: not known; use {}", crate::command_line::providers())
            })?,
            Some(_) => return Err("provider: has to be a text in quotes".into()),
            None => name.parse().map_err(|_| {
                format!("provider is missing; use {}", crate::command_line::providers())
            })?,
        };
        if name.parse().is_ok_and(|named: Provider| named != provider) {
            return Err("provider: is another one than the table's name says; give the table a name of your own".into());
        }
        let mut account = Self::of(provider, true);
        let secret_name = provider.facts().secret.name;
        let settings = table.iter().filter(|(key, _)| *key != "provider");
        let not_known = |_: &str| format!("not known for {provider}");
        for (key, setting) in read(settings, names(provider.facts()), not_known, file)? {
            match setting {
                Setting::Inline(text) if key == secret_name => {
                    account.secret = Some(Zeroizing::new(text));
                    account.values.push((key, Setting::Secret));
                }
                setting => account.values.push((key, setting)),
            }
        }
        for key in [provider.facts().id.name, secret_name] {
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

    /// The secret that stands in the file.
    pub(super) fn take_secret(&mut self) -> Option<Zeroizing<String>> {
        self.secret.take()
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
        server.is_some_and(store::names_a_password)
            || self.get(self.provider.facts().secret.name).is_some()
    }
}

pub(super) fn stem(key: &'static str) -> &'static str {
    key.strip_suffix("_file").or_else(|| key.strip_suffix("_command")).unwrap_or(key)
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Time,
    Path,
    /// A path, or a server's address.
    Store,
    Command,
}

/// A key of the file, the variable that sets the same, and what stands there.
pub(super) type Name = (&'static str, String, Kind);

/// What all accounts may share: `[defaults]` takes these, and the two times.
fn shared_names() -> Vec<Name> {
    let names = [
        ("ca", "PAYTOKEN_CA", Kind::Path),
        ("store", "PAYTOKEN_STORE", Kind::Store),
        ("store_key_file", "PAYTOKEN_STORE_KEY", Kind::Path),
        ("accept_unsealed", "PAYTOKEN_ACCEPT_UNSEALED", Kind::Text),
        ("store_ca", "PAYTOKEN_STORE_CA", Kind::Path),
        ("store_certificate", "PAYTOKEN_STORE_CLIENT_CERT", Kind::Path),
        ("store_private_key", "PAYTOKEN_STORE_CLIENT_KEY", Kind::Path),
    ];
    names.map(|(key, variable, kind)| (key, variable.to_owned(), kind)).into()
}

/// All that both the file and the environment can say of a provider's account.
pub(super) fn names(facts: &Facts) -> Vec<Name> {
    let mut names = shared_names();
    names.push(("environment", facts.variable("ENVIRONMENT"), Kind::Text));
    names.push(("base_url", facts.variable("BASE_URL"), Kind::Text));
    if facts.takes_certificate {
        names.push(("certificate", facts.variable("CLIENT_CERT"), Kind::Path));
        names.push(("private_key", facts.variable("CLIENT_KEY"), Kind::Path));
    }
    for field in [facts.id, facts.secret] {
        let [file, command] = ways(field.name);
        for (key, kind) in [(field.name, Kind::Text), (file, Kind::Path), (command, Kind::Command)]
        {
            names.push((key, facts.variable(field.variable), kind));
        }
    }
    names
}

/// From a file, and from a command.
fn ways(name: &str) -> [&'static str; 2] {
    match name {
        "client_id" => ["client_id_file", "client_id_command"],
        "user_name" => ["user_name_file", "user_name_command"],
        "password" => ["password_file", "password_command"],
        _ => ["client_secret_file", "client_secret_command"],
    }
}

/// The value is never repeated: it may be a secret.
fn setting(kind: Kind, value: &Value, file: &Path) -> Result<Setting, String> {
    match (kind, value) {
        (Kind::Text, Value::String(text)) => Ok(Setting::Inline(text.clone())),
        (Kind::Time, Value::String(text)) => duration::parse(text)
            .filter(|time| !time.is_zero())
            .map(Setting::Time)
            .ok_or_else(|| "not a time; write it as \"90s\" or \"1m30s\"".into()),
        (Kind::Text | Kind::Time, _) => Err("has to be a text in quotes".into()),
        (Kind::Store, Value::String(text)) if !text.is_empty() => {
            match Place::named("", Path::new(text)) {
                Ok(Place::Server(address)) => Ok(Setting::Path(address.into())),
                Ok(_) => Ok(Setting::Path(absolute(text, file)?)),
                Err(error) => Err(error.to_string().trim_start_matches(": ").to_owned()),
            }
        }
        (Kind::Path, Value::String(path)) if !path.is_empty() => {
            Ok(Setting::Path(absolute(path, file)?))
        }
        (Kind::Path | Kind::Store, _) => Err("has to be a path in quotes".into()),
        (Kind::Command, Value::Array(words)) => {
            let words: Option<Vec<_>> = words.iter().map(Value::as_str).collect();
            match words.as_deref() {
                Some([program, arguments @ ..]) if !program.is_empty() => {
                    Ok(Setting::Command(command(program, arguments, file)?))
                }
                _ => Err("has to be texts in quotes, the program first".into()),
            }
        }
        (Kind::Command, _) => Err(
            "has to be an array, the program first, as in [\"pass\", \"show\", \"send\"]; no shell is used".into(),
        ),
    }
}

/// A program without a slash is looked for in PATH. The arguments stay as they are: only the program
/// knows which of them are paths, and on which machine.
fn command(program: &str, arguments: &[&str], file: &Path) -> Result<Vec<OsString>, &'static str> {
    let program = match program.contains('/') {
        true => absolute(program, file)?.into(),
        false => program.into(),
    };
    Ok([program].into_iter().chain(arguments.iter().map(OsString::from)).collect())
}

/// A relative path is meant from where the settings file is, wherever cron starts the command.
fn absolute(path: &str, file: &Path) -> Result<PathBuf, &'static str> {
    if let Some(rest) = path.strip_prefix("~/") {
        return Ok(home()
            .ok_or("there is no home directory for ~; write the whole path")?
            .join(rest));
    }
    if path.starts_with('~') {
        return Err("only ~/ is understood, not another user's home; write the whole path");
    }
    Ok(folder_of(file).join(path))
}

/// The folder of the settings file.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let folder = std::path::absolute(file).ok().and_then(|file| Some(file.parent()?.to_owned()));
    folder.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_relative_to_the_settings_file_or_to_the_home_directory() {
        let file = Path::new("/etc/paytoken/config.toml");
        let home = home().unwrap();
        let at = |kind, text: &str| match setting(kind, &Value::String(text.into()), file) {
            Ok(Setting::Path(path)) => path,
            _ => PathBuf::new(),
        };
        // Its arguments stay as they are.
        let program = |text: &str| match setting(Kind::Command, &vec![text, "./x"].into(), file) {
            Ok(Setting::Command(words)) if words[1] == "./x" => words[0].clone().into(),
            _ => PathBuf::new(),
        };
        let mut kinds = 0;
        for (key, _, kind) in Provider::ALL.iter().flat_map(|provider| names(provider.facts())) {
            let path = |text: &str| match kind {
                Kind::Command => program(text),
                kind => at(kind, text),
            };
            if matches!(kind, Kind::Text | Kind::Time) {
                continue;
            }
            kinds += 1;
            for (text, expected) in [
                ("./get", Path::new("/etc/paytoken").join("./get")),
                ("bin/get", "/etc/paytoken/bin/get".into()),
                ("../get", "/etc/paytoken/../get".into()),
                ("~/bin/get", home.join("bin/get")),
                ("./~/get", "/etc/paytoken/./~/get".into()),
                ("/usr/bin/get", "/usr/bin/get".into()),
            ] {
                assert_eq!(path(text).as_os_str(), expected.as_os_str(), "{key} = {text}");
            }
            for text in ["~you/get", ""] {
                assert_eq!(path(text), Path::new(""), "{key} = {text}");
            }
        }
        assert!(kinds >= 3 * 10, "{kinds}");
    }
    #[test]
    fn a_defaults_private_key_is_not_meant_beside_an_accounts_own_certificate() {
        let file = Path::new("/etc/paytoken/config.toml");
        let key_of = |own: &str| {
            let table = |text: &str| text.parse::<Table>().unwrap();
            let mut account = Account::read("ntx-pay", &table(own), file).unwrap();
            let shared = table("store_certificate = \"c\"\nstore_private_key = \"k\"");
            account.add(read_defaults(&shared, file).unwrap());
            match account.get("store_private_key") {
                Some(Setting::Path(path)) => path.to_str().unwrap().to_owned(),
                _ => String::new(),
            }
        };
        assert_eq!(key_of(""), "/etc/paytoken/k");
        assert_eq!(key_of("store_certificate = \"own\""), "");
        let both = "store_certificate = \"own\"\nstore_private_key = \"own.key\"";
        assert_eq!(key_of(both), "/etc/paytoken/own.key");
        assert_eq!(key_of("store_private_key = \"own.key\""), "/etc/paytoken/own.key");
    }
}
