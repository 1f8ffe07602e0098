//! An HTTP client beside the library, for calls of the API.

use paytoken_sandbox::Sandbox;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::PATIENCE;

/// A plain client that trusts the sandbox's authority, shows its client certificate where one is asked for, and
/// gives each answer, whatever its status.
pub fn agent(sandbox: &Sandbox) -> ureq::Agent {
    let pem = |text: &str| Certificate::from_pem(text.as_bytes()).unwrap();
    let key = PrivateKey::from_pem(sandbox.client_key_pem().as_bytes()).unwrap();
    let identity = ClientCert::new_with_certs(&[pem(sandbox.client_certificate_pem())], key);
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[pem(sandbox.ca_pem())]))
        .client_cert(Some(identity))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).proxy(None);
    config.http_status_as_error(false).timeout_global(Some(PATIENCE)).build().new_agent()
}
