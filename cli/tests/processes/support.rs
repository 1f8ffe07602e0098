//! A sandbox with its files on disk, and the command set up to reach it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use paytoken_sandbox::{Sandbox, Service};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "paytoken-cli-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let sandbox = Sandbox::start().unwrap();
        fs::write(folder.join("ca.pem"), sandbox.ca_pem()).unwrap();
        fs::write(folder.join("cert.pem"), sandbox.client_certificate_pem()).unwrap();
        fs::write(folder.join("key.pem"), sandbox.client_key_pem()).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join("key.pem"), private).unwrap();
        Self { sandbox, folder }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let file = |name| self.folder.join(name).to_string_lossy().into_owned();
        let mut variables =
            self.sandbox.variables(&file("ca.pem"), &file("cert.pem"), &file("key.pem"));
        variables.push(("PAYTOKEN_STORE".to_owned(), self.store().to_string_lossy().into_owned()));
        variables
    }

    /// `program` with nothing in its environment but what leads to the sandbox.
    pub(crate) fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.variables())
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

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) const PAYTOKEN: &str = env!("CARGO_BIN_EXE_paytoken");

/// stdout of a command that worked.
pub(crate) fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Whether a tool is there. In CI it has to be; elsewhere its absence is said aloud.
pub(crate) fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{tool} has to be installed in CI");
    if !found {
        // Past the test harness, which keeps what a passing test prints.
        let message = format!("not checked: {tool} is not installed here\n");
        std::io::stderr().write_all(message.as_bytes()).unwrap();
    }
    found
}

/// Asks again and again until it is so; there is no event to wait for in another process.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::yield_now();
    }
}
