//! What a pasted block or an example finds around it: the sandbox, its variables, an empty folder.

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shared one, as in the shell of `paytoken-sandbox --run`, where HTTP clients trust it.
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

    /// A command with the sandbox's variables and nothing else of ours, in the empty folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.0.command(program);
        command
            .env("SSL_CERT_FILE", self.folder.join("ca.pem"))
            .env("HOME", &self.folder)
            .current_dir(&self.folder);
        command
    }
}

/// A program that cargo has built beside this test.
pub(crate) fn program(path: &Path, how: &str) -> PathBuf {
    assert!(path.is_file(), "{} is not there; {how} builds it", path.display());
    path.to_owned()
}
