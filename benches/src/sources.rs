//! Sources that reach the sandbox.

use paytoken::{
    Builder, ClientCertificate, Credentials, Environment, Provider, Secret, TokenSource,
};
use paytoken_sandbox::{Sandbox, Service};

/// The provider that a service plays.
pub fn provider(service: Service) -> Provider {
    match service {
        Service::NtxPay => Provider::NtxPay,
        Service::NexterPay => Provider::NexterPay,
        Service::SendPayments => Provider::SendPayments,
    }
}

/// The sandbox's own client.
pub fn credentials(sandbox: &Sandbox, service: Service) -> Credentials {
    let id = sandbox.client_id(service).to_owned();
    let secret = Secret::from(sandbox.client_secret(service));
    match service {
        Service::NtxPay => Credentials::NtxPay {
            client_id: id,
            client_secret: secret,
            certificate: ClientCertificate::from_pem(sandbox.client_certificate_pem())
                .unwrap()
                .with_private_key(sandbox.client_key_pem())
                .unwrap(),
        },
        Service::NexterPay => Credentials::NexterPay { user_name: id, password: secret },
        Service::SendPayments => Credentials::SendPayments { client_id: id, client_secret: secret },
    }
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
