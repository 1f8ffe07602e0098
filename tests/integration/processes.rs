//! What stands for processes that share a store: a directory, and sources that have nothing else in
//! common.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use paytoken::store::{Account, StoreKey};
use paytoken::{Environment, FileStore, Provider, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{
    ManualClock, TempDir, builder, credentials, credentials_with, reach, temporary_folder,
};

/// A directory of the test's own, not there yet. What it is made in goes with this value.
pub struct Folder {
    pub path: PathBuf,
    _around: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        let around = temporary_folder();
        Self { path: around.path().join("store"), _around: around }
    }

    pub fn store(&self) -> FileStore {
        FileStore::open(&self.path).unwrap()
    }

    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        files.sort();
        files
    }

    pub fn entry(&self) -> PathBuf {
        let files = self.files("entry");
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

/// A process: a source with the folder for a store.
pub fn process(
    sandbox: &Sandbox,
    provider: Provider,
    folder: &Folder,
    clock: &ManualClock,
) -> TokenSource {
    builder(sandbox, provider).store(folder.store()).clock(clock.clone()).build().unwrap()
}

/// As `process`, with this secret instead of the right one.
pub fn process_with(
    sandbox: &Sandbox,
    provider: Provider,
    folder: &Folder,
    clock: &ManualClock,
    secret: &str,
) -> TokenSource {
    reach(sandbox, provider, credentials_with(sandbox, provider, secret))
        .store(folder.store())
        .clock(clock.clone())
        .build()
        .unwrap()
}

/// The account that all of them share.
pub fn account(sandbox: &Sandbox, provider: Provider) -> Account {
    let (credentials, url) = (credentials(sandbox, provider), sandbox.url(provider));
    Account::new(&credentials, Environment::Sandbox, Some(&url)).unwrap()
}

/// The name of its entry in the store.
pub fn key(sandbox: &Sandbox, provider: Provider) -> StoreKey {
    account(sandbox, provider).key().clone()
}

pub fn secret(source: &TokenSource) -> String {
    source.token().unwrap().secret().to_owned()
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
