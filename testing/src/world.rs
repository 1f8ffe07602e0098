//! The sandbox with its files in a temporary folder, and programs that are set up to reach it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use paytoken_sandbox::Sandbox;
use tempfile::TempDir;

/// A sandbox, and a folder with what a program needs to reach it. The folder goes with this value.
pub struct World {
    /// The providers.
    pub sandbox: Sandbox,
    /// Where `ca.pem`, `client.cert.pem` and `client.key.pem` are.
    pub folder: PathBuf,
    /// They lead to the sandbox.
    pub variables: Vec<(String, String)>,
    _temporary: TempDir,
}

impl World {
    /// Starts it.
    #[allow(clippy::new_without_default)] // each is another
    pub fn new() -> Self {
        let (sandbox, temporary) = (Sandbox::start().unwrap(), temporary_folder());
        let variables = variables(&sandbox, temporary.path());
        let folder = temporary.path().to_owned();
        Self { sandbox, folder, variables, _temporary: temporary }
    }

    /// A program with nothing in its environment but `PATH` and what leads to the sandbox.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Writes the sandbox's certificates and its client's key into the folder; returns the variables
/// that lead to the sandbox.
pub fn variables(sandbox: &Sandbox, folder: &Path) -> Vec<(String, String)> {
    let [ca, certificate, key] = [
        ("ca.pem", sandbox.ca_pem()),
        ("client.cert.pem", sandbox.client_certificate_pem()),
        ("client.key.pem", sandbox.client_key_pem()),
    ]
    .map(|(name, text)| {
        let path = folder.join(name);
        write_private(&path, text);
        path.to_str().unwrap().to_owned()
    });
    sandbox.variables(&ca, &certificate, &key)
}

/// Writes a file that nobody else can read, as one with a secret has to be.
pub fn write_private(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::write(&path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A private folder, empty, with a name short enough for a socket in it. It goes with this value.
pub fn temporary_folder() -> TempDir {
    temporary_folder_in(&std::env::temp_dir())
}

/// The same in another place.
pub fn temporary_folder_in(parent: &Path) -> TempDir {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.prefix("paytoken-").tempdir_in(parent).unwrap()
}
