//! Where sources share their tokens: a directory or, in a library built with the feature `redis`, a
//! server. Sealed where there are keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use paytoken::store::{Place as Named, Sealed, SealingKeys, Store};
use paytoken::{FileStore, Secret, Settings, StoreTls};

use crate::code;
use crate::error::Failure;

pub(crate) enum Place {
    Directory(PathBuf),
    Server {
        /// It can hold a password.
        url: Secret,
        /// Where it comes from.
        setting: &'static str,
    },
}

pub(crate) enum Keys {
    /// Read when a source is made.
    File(PathBuf),
    Loaded(SealingKeys),
}

/// What TLS to a server takes.
pub(crate) struct Tls {
    pub(crate) files: StoreTls,
    /// Where authorities and certificate come from.
    pub(crate) names: [&'static str; 2],
}

impl Tls {
    pub(crate) const VARIABLES: [&'static str; 2] =
        ["PAYTOKEN_STORE_CA", "PAYTOKEN_STORE_CLIENT_CERT"];
    /// The last one's is the key.
    pub(crate) const SETTERS: [&'static str; 3] = [
        "paytoken_config_set_store_ca_file",
        "paytoken_config_set_store_certificate_file",
        "paytoken_config_set_store_private_key_file",
    ];
}

impl Place {
    pub(crate) fn of_setter(url: &str) -> Self {
        Self::Server { url: Secret::from(url), setting: "paytoken_config_set_store_url" }
    }

    pub(crate) fn from_environment(settings: &Settings) -> Result<Option<Self>, Failure> {
        const SETTING: &str = "PAYTOKEN_STORE";
        let Some(value) = &settings.store else { return Ok(None) };
        Ok(Some(match Named::named(SETTING, value)? {
            Named::Server(url) => Self::Server { url: Secret::from(url), setting: SETTING },
            _ => Self::Directory(value.clone()),
        }))
    }
}

/// The store of a source, where there is one.
pub(crate) fn open(
    place: Option<&Place>,
    keys: Option<SealingKeys>,
    tls: Tls,
) -> Result<Option<Arc<dyn Store>>, Failure> {
    let Some(place) = place else { return Ok(None) };
    Ok(Some(match place {
        Place::Directory(directory) => seal(open_directory(directory)?, keys),
        Place::Server { url, setting } if is_address(url) => {
            seal(open_server(url.expose(), setting, tls)?, keys)
        }
        Place::Server { setting, .. } => {
            return Err(wrong(format!(
                "{setting}: is no address; write redis://host:port, or give a directory to paytoken_config_set_store_directory"
            )));
        }
    }))
}

fn is_address(url: &Secret) -> bool {
    matches!(Named::named("", Path::new(url.expose())), Ok(Named::Server(_)))
}

fn seal(store: impl Store + 'static, keys: Option<SealingKeys>) -> Arc<dyn Store> {
    match keys {
        Some(keys) => Arc::new(Sealed::new(store, keys)),
        None => Arc::new(store),
    }
}

fn open_directory(directory: &Path) -> Result<FileStore, Failure> {
    match Named::named("paytoken_config_set_store_directory", directory)? {
        // Not repeated: it can hold a password.
        Named::Server(_) => Err(wrong(
            "paytoken_config_set_store_directory: is an address, not a directory; give it to paytoken_config_set_store_url",
        )),
        _ => Ok(FileStore::open(directory)?),
    }
}

#[cfg(feature = "redis")]
fn open_server(url: &str, setting: &str, tls: Tls) -> Result<paytoken_redis::RedisStore, Failure> {
    let [ca, certificate] = tls.names;
    paytoken_redis::RedisStore::builder(url).tls(tls.files).build().map_err(|error| {
        let text = error.to_string();
        wrong(match text.split_once(": ") {
            Some(("root_certificates_pem", what)) => format!("{ca}: {what}"),
            Some(("client_certificate_pem", what)) => format!("{certificate}: {what}"),
            _ => format!("{setting}: {text}"),
        })
    })
}

#[cfg(not(feature = "redis"))]
fn open_server(_: &str, setting: &str, _: Tls) -> Result<FileStore, Failure> {
    Err(wrong(format!(
        "{setting}: is an address, and this library was built for directories only; build it with `make -C capi install FEATURES=redis`, or give a directory"
    )))
}

fn wrong(sentence: impl Into<Vec<u8>>) -> Failure {
    Failure::new(code::CONFIGURATION, sentence)
}
