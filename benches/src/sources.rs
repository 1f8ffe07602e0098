//! Sources that reach the sandbox.

use paytoken::{Builder, ClientCertificate, Credentials, Environment, TokenSource};
use paytoken_sandbox::{Sandbox, Service};

/// The sandbox's own client.
pub fn credentials(sandbox: &Sandbox, service: Service) -> Credentials {
    let certificate = || {
        let certificate = ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap();
        certificate.with_private_key(sandbox.client_key_pem()).unwrap()
    };
    let certificate = service.facts().takes_certificate.then(certificate);
    let (id, secret) = (sandbox.client_id(service), sandbox.client_secret(service));
    Credentials::new(service, id, secret, certificate).unwrap()
}

/// A builder that reaches the sandbox.
pub fn builder(sandbox: &Sandbox, service: Service) -> Builder {
    TokenSource::builder(credentials(sandbox, service), Environment::Sandbox)
        .base_url(&sandbox.url(service))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
}

/// A source that reaches the sandbox.
pub fn source(sandbox: &Sandbox, service: Service) -> TokenSource {
    builder(sandbox, service).build().unwrap()
}
