//! What a pasted block or an example finds around it: the sandbox, its variables, an empty folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use paytoken_sandbox::Sandbox;

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("paytoken-pages-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let sandbox = Sandbox::start().unwrap();
        for (name, text) in [
            ("ca.pem", sandbox.ca_pem()),
            ("client.cert.pem", sandbox.client_certificate_pem()),
            ("client.key.pem", sandbox.client_key_pem()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        Self { sandbox, folder }
    }

    /// A command with the sandbox's variables and nothing else of ours, in the empty folder. Its
    /// system trusts the sandbox's authority, so that any HTTP client does.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let path = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        let ca = path("ca.pem");
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.sandbox.variables(&ca, &path("client.cert.pem"), &path("client.key.pem")))
            .env("SSL_CERT_FILE", ca)
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.folder)
            .current_dir(&self.folder);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A program that cargo has built beside this test.
pub(crate) fn program(path: &Path, how: &str) -> PathBuf {
    assert!(path.is_file(), "{} is not there; {how} builds it", path.display());
    path.to_owned()
}
