//! Credentials by provider, and sources that reach the sandbox.

use paytoken::{Builder, ClientCertificate, Credentials, Environment, Provider, TokenSource};
use paytoken_sandbox::Sandbox;

/// The sandbox's own client.
pub fn credentials(sandbox: &Sandbox, provider: Provider) -> Credentials {
    credentials_with(sandbox, provider, sandbox.client_secret(provider))
}

/// The sandbox's own client with this secret.
pub fn credentials_with(sandbox: &Sandbox, provider: Provider, secret: &str) -> Credentials {
    let certificate = provider.facts().takes_certificate.then(|| {
        ClientCertificate::from_pem(sandbox.client_certificate_pem())
            .unwrap()
            .with_private_key(sandbox.client_key_pem())
            .unwrap()
    });
    Credentials::new(provider, sandbox.client_id(provider), secret, certificate).unwrap()
}

/// Credentials for a server that is no sandbox and asks for no certificate: a proxy injects it.
pub fn injected_credentials(provider: Provider, id: &str, secret: &str) -> Credentials {
    let certificate = provider.facts().takes_certificate.then(ClientCertificate::injected_by_proxy);
    Credentials::new(provider, id, secret, certificate).unwrap()
}

/// A builder that reaches the sandbox with its own client.
pub fn builder(sandbox: &Sandbox, provider: Provider) -> Builder {
    reach(sandbox, provider, credentials(sandbox, provider))
}

/// A builder that reaches the sandbox's NTX Pay with this certificate.
pub fn with_certificate(sandbox: &Sandbox, certificate: ClientCertificate) -> Builder {
    let provider = Provider::NtxPay;
    let (id, secret) = (sandbox.client_id(provider), sandbox.client_secret(provider));
    reach(sandbox, provider, Credentials::new(provider, id, secret, Some(certificate)).unwrap())
}

/// A builder that reaches the sandbox with these credentials.
pub fn reach(sandbox: &Sandbox, provider: Provider, credentials: Credentials) -> Builder {
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&sandbox.url(provider))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
}
