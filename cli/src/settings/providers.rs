//! The providers that names stand for: built in, described in the settings file, or in the catalogue.

use paytoken::Provider;
use toml::Value;

use super::file::{Problem, SettingsFile};
use crate::catalogue;

/// The table of descriptions.
pub(super) const PROVIDERS: &str = "providers";

/// Where a provider is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    BuiltIn,
    File,
    Catalogue,
}

/// The provider of this name, or what is wrong with its description; `None` where there is none. One that the settings file describes takes the
/// place of the catalogue's.
pub(crate) fn named(name: &str, file: Option<&SettingsFile>) -> Option<Result<Provider, Problem>> {
    match source(name, file)? {
        Source::BuiltIn => name.parse().ok().map(Ok),
        Source::File => {
            let described = described(name, file?.description(name)?);
            Some(described.map_err(|what| format!("[{PROVIDERS}.{name}] {what}")))
        }
        Source::Catalogue => {
            let tables = catalogue::text(name)?.parse::<toml::Table>().ok()?;
            Some(described(name, tables.get(PROVIDERS)?.get(name)?))
        }
    }
}

/// Those that could be used: built in, described, and in the catalogue.
pub(crate) fn all(file: Option<&SettingsFile>) -> Vec<(String, Source)> {
    let built_in = Provider::ALL.iter().map(|provider| provider.facts().name.to_owned());
    let described = file.into_iter().flat_map(SettingsFile::descriptions).map(str::to_owned);
    let catalogue = catalogue::NAMES.iter().map(|name| (*name).to_owned());
    let mut all: Vec<_> = built_in.chain(described).collect();
    all.extend(catalogue.filter(|name| file.is_none_or(|file| file.description(name).is_none())));
    all.into_iter().filter_map(|name| source(&name, file).map(|source| (name, source))).collect()
}

pub(crate) fn source(name: &str, file: Option<&SettingsFile>) -> Option<Source> {
    if Provider::ALL.iter().any(|provider| provider.facts().name == name) {
        return Some(Source::BuiltIn);
    }
    if file.is_some_and(|file| file.description(name).is_some()) {
        return Some(Source::File);
    }
    catalogue::text(name).map(|_| Source::Catalogue)
}

fn described(name: &str, table: &Value) -> Result<Provider, Problem> {
    let Some(keys) = table.as_table() else {
        return Err("has to be a table".into());
    };
    if let Some(key) = date_in(table) {
        return Err(format!("{key}: has to be a text in quotes"));
    }
    let mut text = format!("{{\"name\":{}", json(&Value::from(name)));
    for (key, value) in keys {
        text += &format!(",{}:{}", json(&Value::from(key.as_str())), json(value));
    }
    text.push('}');
    Provider::described(&text).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix(&format!("description of {name}: ")).unwrap_or(&text).to_owned()
    })
}

fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The key of a date, which TOML has and JSON has not.
fn date_in(value: &Value) -> Option<String> {
    match value {
        Value::Table(table) => table.iter().find_map(|(key, value)| match value {
            Value::Datetime(_) => Some(key.clone()),
            value => date_in(value),
        }),
        Value::Array(items) => items.iter().find_map(date_in),
        _ => None,
    }
}
