//! The providers that names stand for: built in, described in the settings file, or in the catalogue.

use paytoken::Provider;
use toml::{Table, Value};

use crate::catalogue;
use crate::description::{PROVIDERS, described};

/// Where a provider is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    BuiltIn,
    File,
    Catalogue,
}

/// The provider of this name, or what is wrong with its description; `None` where there is none. One that
/// the settings file describes takes the place of the catalogue's.
pub(super) fn named(name: &str, descriptions: Option<&Table>) -> Option<Result<Provider, String>> {
    match source(name, descriptions)? {
        Source::BuiltIn => name.parse().ok().map(Ok),
        Source::File => {
            let table = descriptions?.get(name)?;
            // So that what is wrong is said of this one, and not of an account of the catalogue's.
            let prefix = table.get("prefix_of_variables").and_then(Value::as_str);
            let of_other = |other: &&&str| {
                **other != name && Some(other.to_uppercase().replace('-', "_").as_str()) == prefix
            };
            if let Some(other) = catalogue::NAMES.iter().find(of_other) {
                return Some(Err(format!(
                    "[{PROVIDERS}.{name}] prefix_of_variables: the catalogue's {other} has it; set another"
                )));
            }
            let described = described(name, table);
            Some(described.map_err(|what| format!("[{PROVIDERS}.{name}] {what}")))
        }
        Source::Catalogue => catalogue::provider(name),
    }
}

/// Those that could be used: built in, described, and in the catalogue.
pub(super) fn all(descriptions: Option<&Table>) -> Vec<(String, Source)> {
    let built_in = Provider::ALL.iter().map(|provider| provider.facts().name);
    let described = descriptions.into_iter().flat_map(Table::keys).map(String::as_str);
    let mut names: Vec<&str> = built_in.chain(described).collect();
    names.extend(
        catalogue::NAMES.iter().filter(|name| {
            descriptions.is_none_or(|descriptions| !descriptions.contains_key(**name))
        }),
    );
    let known = |name: &str| Some((name.to_owned(), source(name, descriptions)?));
    names.into_iter().filter_map(known).collect()
}

pub(super) fn source(name: &str, descriptions: Option<&Table>) -> Option<Source> {
    if Provider::ALL.iter().any(|provider| provider.facts().name == name) {
        return Some(Source::BuiltIn);
    }
    if descriptions.is_some_and(|descriptions| descriptions.contains_key(name)) {
        return Some(Source::File);
    }
    catalogue::NAMES.contains(&name).then_some(Source::Catalogue)
}
