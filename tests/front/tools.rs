//! The programs these tests need, and sources to test with.

use std::io::Write as _;
use std::process::{Command, Stdio};

use paytoken::{Builder, ClientCertificate, Credentials, Environment, Secret, TokenSource};
use paytoken_testing::{has_tool, is_installed};

use crate::authority::Identity;

/// Debian keeps nginx out of a user's `PATH`.
pub fn nginx_program() -> &'static str {
    if is_installed("nginx") { "nginx" } else { "/usr/sbin/nginx" }
}

/// Whether the tests can run; without the programs it says so, and fails where `CI=true`.
pub fn are_here() -> bool {
    has_tool(nginx_program()) && has_tool("openssl")
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
