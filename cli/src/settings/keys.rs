//! The keys of the settings file: which there are, and how what stands there is read.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paytoken::store::Place;
use paytoken::{Facts, FieldKind};
use toml::Value;

use crate::command_line::duration;
use crate::words::closest;

/// What `ca` says where the system's authorities are meant.
pub(crate) const SYSTEM: &str = "system";

pub(super) type Values = Vec<(&'static str, Setting)>;

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

/// What an account's table may hold, and in it what these names say.
pub(super) fn read<'a>(
    settings: impl Iterator<Item = (&'a String, &'a Value)>,
    names: Vec<Name>,
    not_known: impl Fn(&str) -> String,
    file: &Path,
) -> Result<Values, String> {
    let mut keys: Vec<_> = names.into_iter().map(|(key, _, kind)| (key, kind)).collect();
    keys.extend(TIMES.map(|key| (key, Kind::Time)));
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

/// What all accounts may share: `[defaults]` takes these, and the times.
pub(super) fn shared_names() -> Vec<Name> {
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

const TIMES: [&str; 3] = ["timeout", "connect_timeout", "certificate_warning"];

/// Whether `[defaults]` may have it.
pub(super) fn is_shared(key: &str) -> bool {
    TIMES.contains(&key) || shared_names().iter().any(|(known, ..)| *known == key)
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
    for field in facts.fields {
        if field.kind == FieldKind::PrivateKey {
            names.push((field.name, facts.variable(field.variable), Kind::Path));
            continue;
        }
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
        "client_secret" => ["client_secret_file", "client_secret_command"],
        // Kept for as long as the command runs, as the description itself is.
        name => ["file", "command"].map(|way| &*format!("{name}_{way}").leak()),
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

#[cfg(test)]
mod tests {
    use paytoken::Provider;

    use super::*;

    /// A placeholder of a setting's name would send that setting's value, such as the key that seals the store.
    #[test]
    fn no_setting_is_a_placeholder() {
        let own: Vec<_> = Provider::ALL.iter().flat_map(|it| it.facts().fields).collect();
        let all = Provider::ALL.iter().flat_map(|provider| names(provider.facts()));
        let keys = all.map(|(key, ..)| key).chain(TIMES).chain(["provider"]);
        let mut count = 0;
        for key in keys.filter(|key| !own.iter().any(|field| field.name == stem(key))) {
            count += 1;
            let error = Provider::described(&format!(
                r#"{{"name": "odd", "token_endpoint": "/t", "auth": "none", "renewal": "coexists",
                    "headers": {{"x": "{{{}}}"}}, "secrets": ["{0}"]}}"#,
                stem(key)
            ));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("is a setting's name"), "{key}: {error}");
        }
        assert!(count > 10, "{count}");
    }

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
}
