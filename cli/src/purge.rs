//! `paytoken purge`: removes entries that nobody has written for long.

use std::path::PathBuf;
use std::time::Duration;

use paytoken::FileStore;
use paytoken::store::Place;
use serde_json::json;

use crate::command_line::Options;
use crate::exit::Failure;
use crate::settings::{SettingsFile, variable};
use crate::terminal::print;
use crate::words;

/// No refusal and no revoked token is of use for so long, nor a token of a provider that is built in.
const LONG_AGO: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) fn run(
    options: &Options,
    file: Option<&SettingsFile>,
    as_json: bool,
) -> Result<(), Failure> {
    if options.no_store {
        return Err(Failure::Usage("purge: there is nothing to purge without a store".into()));
    }
    let of_environment = || variable("PAYTOKEN_STORE").map(PathBuf::from);
    let (setting, value) = match (&options.store, of_environment(), file) {
        (Some(value), ..) => ("--store", Some(value.clone())),
        (None, None, Some(file)) => ("store", file.shared_store().map_err(Failure::Configuration)?),
        (None, value, _) => ("PAYTOKEN_STORE", value),
    };
    let result = match value.as_deref().map(|value| (value, Place::named(setting, value))) {
        None => FileStore::open_default(),
        Some((_, Ok(Place::Server(_)))) => {
            return Err(Failure::Usage(
                "purge: a server forgets entries by itself, when they are of no use any more"
                    .into(),
            ));
        }
        Some((directory, Ok(_))) => FileStore::open(directory),
        Some((_, Err(error))) => Err(error),
    };
    let result = result.and_then(|store| {
        let removed = store.remove_unused(LONG_AGO)?;
        Ok((store, removed))
    });
    let (store, removed) =
        result.map_err(|error| Failure::of(error.kind(), words::sentence(&error)))?;
    let directory = store.directory().display();
    print(&match as_json {
        true => format!("{}\n", json!({"removed": removed, "store": directory.to_string()})),
        false => format!("{removed} removed from {directory}, not written for 7 days\n"),
    })
}
