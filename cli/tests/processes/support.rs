//! A sandbox with its files on disk, and the command set up to reach it.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use paytoken_sandbox::Service;

/// The shared one, with a store.
pub(crate) struct World(paytoken_testing::World);

impl Deref for World {
    type Target = paytoken_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self(paytoken_testing::World::new())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// `program` with nothing in its environment but what leads to the sandbox and the store.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.command(program.as_ref());
        command
            .env("PAYTOKEN_STORE", self.store())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn paytoken(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(PAYTOKEN);
        command.args(arguments);
        command
    }

    /// The token that `paytoken token` prints.
    pub(crate) fn token(&self, service: Service) -> String {
        text(self.paytoken(&["token", service.facts().name]).output().unwrap())
    }

    /// Stores a token that the API refuses. The store forgets those before it: several in a row say
    /// that the fault is not the token.
    pub(crate) fn store_revoked_token(&self, service: Service) {
        let _ = fs::remove_dir_all(self.store());
        self.sandbox.revoke(&self.token(service));
    }

    pub(crate) fn entry(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.store()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|ending| ending == "entry")).unwrap()
    }
}

pub(crate) const PAYTOKEN: &str = env!("CARGO_BIN_EXE_paytoken");

/// stdout of a command that worked.
pub(crate) fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
