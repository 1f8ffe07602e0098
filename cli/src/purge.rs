//! `paytoken purge`: removes entries that have not been used for long.

use std::time::Duration;

use paytoken::FileStore;
use serde_json::json;

use crate::command_line::Options;
use crate::exit::Failure;
use crate::terminal::print;
use crate::{store, words};

/// No token, no refusal and no revoked token is of use for so long.
const LONG_AGO: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) fn run(options: &Options, as_json: bool) -> Result<(), Failure> {
    if options.no_store {
        return Err(Failure::Usage("purge: there is nothing to purge without a store".into()));
    }
    let named = std::env::var_os("PAYTOKEN_STORE").filter(|value| !value.is_empty());
    let named = options.store.clone().or(named.map(Into::into));
    if named.as_deref().and_then(store::address).is_some() {
        let nothing = "purge: a server forgets entries by itself, when they are of no use any more";
        return Err(Failure::Usage(nothing.into()));
    }
    let result = match named {
        Some(directory) => FileStore::open(directory),
        None => FileStore::open_default(),
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
        false => format!("{removed} removed from {directory}, unused for 7 days\n"),
    })
}
