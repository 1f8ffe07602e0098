//! Where the runs of a user share tokens: a directory or, in a command built with the feature
//! `redis`, a server. Sealed where there is a key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paytoken::store::{Place as Named, Sealed, SealingKeys, Store, Unsealed};
use paytoken::{Error, FileStore, Result, StoreTls};

use crate::exit::Failure;
use crate::terminal::print;
use crate::words;

#[derive(Clone)]
pub(crate) struct SharedStore {
    store: Arc<dyn Store>,
    place: Place,
    /// How it is sealed, for people.
    sealed: &'static str,
}

#[derive(Clone)]
pub(crate) enum Place {
    Directory(PathBuf),
    Server(Server),
}

#[derive(Clone)]
pub(crate) struct Server {
    /// Without user and password.
    address: String,
    #[cfg(feature = "redis")]
    store: paytoken_redis::RedisStore,
}

#[cfg(feature = "redis")]
impl Server {
    pub(crate) fn status(&self) -> Result<paytoken_redis::ServerStatus> {
        self.store.server()
    }
}

impl SharedStore {
    pub(crate) fn open(
        setting: Option<&Path>,
        keys: Option<SealingKeys>,
        tls: impl FnOnce() -> Result<StoreTls>,
    ) -> Result<Self> {
        let sealed = match keys.as_ref().map(SealingKeys::accepts_unsealed) {
            None => "",
            Some(None) => ", sealed",
            Some(Some(Unsealed::Read)) => ", sealed, and accepts unsealed entries",
            Some(Some(Unsealed::Write)) => ", unsealed, and opens sealed entries",
        };
        let files = match setting {
            None => FileStore::open_default()?,
            Some(value) => match Named::named("PAYTOKEN_STORE", value)? {
                Named::Server(url) => {
                    let (store, server) = open_server(url, tls()?)?;
                    let place = Place::Server(server);
                    return Ok(Self { store: seal(store, keys), place, sealed });
                }
                _ => FileStore::open(value)?,
            },
        };
        let place = Place::Directory(files.directory().to_owned());
        Ok(Self { store: seal(files, keys), place, sealed })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn into_store(self) -> Arc<dyn Store> {
        self.store
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.starts_with(", sealed")
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

/// For people: where it is, and whether it is sealed.
impl fmt::Display for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        f.write_str(self.sealed)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => directory.display().fmt(f),
            Self::Server(server) => f.write_str(&server.address),
        }
    }
}

fn seal(store: impl Store + 'static, keys: Option<SealingKeys>) -> Arc<dyn Store> {
    match keys {
        Some(keys) => Arc::new(Sealed::new(store, keys)),
        None => Arc::new(store),
    }
}

/// The address of a server, where this is one.
pub(crate) fn address(setting: &Path) -> Option<&str> {
    match Named::named("", setting) {
        Ok(Named::Server(address)) => Some(address),
        _ => None,
    }
}

#[cfg(feature = "redis")]
fn open_server(url: &str, tls: StoreTls) -> Result<(paytoken_redis::RedisStore, Server)> {
    let store = paytoken_redis::RedisStore::builder(url).tls(tls).build().map_err(|error| {
        let text = error.to_string();
        Error::configuration(match text.split_once(": ") {
            Some(("root_certificates_pem", what)) => format!("PAYTOKEN_STORE_CA: {what}"),
            Some(("client_certificate_pem", what)) => format!("PAYTOKEN_STORE_CLIENT_CERT: {what}"),
            _ => format!("PAYTOKEN_STORE: {text}"),
        })
    })?;
    Ok((store.clone(), Server { address: without_secrets(url), store }))
}

#[cfg(not(feature = "redis"))]
fn open_server(_: &str, _: StoreTls) -> Result<(FileStore, Server)> {
    Err(Error::configuration(
        "PAYTOKEN_STORE: an address, and this command was built for directories only; build it with --features redis, or give a directory",
    ))
}

/// Whether a server's address holds a password: before the host, or among a socket's options. One
/// whose characters are not escaped as they have to be counts, too.
pub(crate) fn names_a_password(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let options = rest.split_once('?').map_or("", |(_, options)| options);
    rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
        || options.split('&').any(|option| option.starts_with("pass"))
}

/// The address without user, password and options.
#[cfg(feature = "redis")]
fn without_secrets(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// `paytoken new-store-key`.
pub(crate) fn print_new_key() -> std::result::Result<(), Failure> {
    let key = SealingKeys::generate();
    let key = key.map_err(|error| Failure::of(error.kind(), words::sentence(&error)))?;
    print(key.expose())
}
