//! The programs these tests need, a folder that cleans up after itself, and sources to test with.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use paytoken::{Builder, ClientCertificate, Credentials, Environment, Secret, TokenSource};

use crate::authority::Identity;

/// Debian keeps nginx out of a user's `PATH`.
pub fn nginx_program() -> &'static str {
    if runs("nginx", "-v") { "nginx" } else { "/usr/sbin/nginx" }
}

/// Whether the tests can run; without the programs it says so, and fails where `CI=true`.
pub fn are_here() -> bool {
    let missing: Vec<_> = [(nginx_program(), "-v"), ("openssl", "version")]
        .into_iter()
        .filter(|(program, argument)| !runs(program, argument))
        .map(|(program, _)| program)
        .collect();
    if missing.is_empty() {
        return true;
    }
    not_run(&format!("{} not installed", missing.join(" and ")));
    false
}

/// Says so on the console, past the test harness; fails where `CI=true`.
pub fn not_run(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "not run: {why}");
    std::io::stderr().write_all(format!("not run: {why}\n").as_bytes()).unwrap();
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What an openssl command prints, given this on its standard input.
pub fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder that goes with this value, also when a test panics.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("paytoken-front-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A builder for NTX Pay with this certificate, its key included.
pub fn builder(url: &str, roots: &str, identity: &Identity) -> Builder {
    let certificate = ClientCertificate::from_pem(&identity.certificate)
        .and_then(|certificate| certificate.with_private_key(&identity.key))
        .unwrap();
    with_certificate(url, roots, certificate)
}

pub fn with_certificate(url: &str, roots: &str, certificate: ClientCertificate) -> Builder {
    let credentials = Credentials::NtxPay {
        client_id: "client-of-the-front".into(),
        client_secret: Secret::from("not-a-real-secret"),
        certificate,
    };
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(url)
        .root_certificates_pem(roots.as_bytes())
}
