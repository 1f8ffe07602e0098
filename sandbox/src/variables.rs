//! The environment variables that point a program at the sandbox.

use paytoken::{Environment, FieldKind};

use crate::Sandbox;

/// All that `Settings::from_env` of the library reads, for each provider.
pub(crate) fn of(
    sandbox: &Sandbox,
    ca: &str,
    certificate: &str,
    key: &str,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for service in sandbox.services() {
        let facts = service.facts();
        let mut set = |name, value| all.push((facts.variable(name), value));
        set("ENVIRONMENT", Environment::Sandbox.to_string());
        set("BASE_URL", sandbox.url(service));
        for field in facts.fields {
            let value = match field.kind {
                FieldKind::Secret => sandbox.client_secret(service),
                FieldKind::Identity => sandbox.client_id(service),
                FieldKind::PrivateKey => key,
                _ => continue,
            };
            set(field.variable, value.to_owned());
        }
        if facts.requires_certificate {
            set("CLIENT_CERT", certificate.to_owned());
            set("CLIENT_KEY", key.to_owned());
        }
    }
    all.push(("PAYTOKEN_CA".to_owned(), ca.to_owned()));
    all.push(("PAYTOKEN_SANDBOX_CONTROL".to_owned(), sandbox.control_url()));
    all
}
