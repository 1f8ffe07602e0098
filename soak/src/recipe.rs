//! All that it takes to make a source: known to the parent, sent to the workers on stdin.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paytoken::store::FileStore;
use paytoken::{ClientCertificate, Credentials, Environment, Event, Provider, Token, TokenSource};
use paytoken_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::TIMEOUT;

#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) provider: Provider,
    pub(crate) id: String,
    secret: String,
    url: String,
    authority: String,
    /// Certificate and key.
    certificate: Option<(String, String)>,
}

impl Recipe {
    pub(crate) fn new(sandbox: &Sandbox, provider: Provider, id: &str, secret: &str) -> Self {
        let certificate = provider.facts().takes_certificate.then(|| {
            let issued = sandbox.issue_client_certificate(id);
            (issued.certificate_pem, issued.key_pem)
        });
        Self {
            provider,
            id: id.to_owned(),
            secret: secret.to_owned(),
            url: sandbox.url(provider),
            authority: sandbox.ca_pem().to_owned(),
            certificate,
        }
    }

    pub(crate) fn source(
        &self,
        store: Option<&Path>,
        hook: impl Fn(&Event) + Send + Sync + 'static,
    ) -> TokenSource {
        let certificate = self.certificate.as_ref().map(|(certificate, key)| {
            ClientCertificate::from_pem(certificate)
                .and_then(|certificate| certificate.with_private_key(key))
                .expect("the sandbox's certificates are good")
        });
        let credentials = Credentials::new(self.provider, &*self.id, &*self.secret, certificate)
            .expect("a certificate where one is taken");
        let builder = TokenSource::builder(credentials, Environment::Sandbox)
            .base_url(&self.url)
            .root_certificates_pem(self.authority.as_bytes())
            .timeout(TIMEOUT)
            .on_event(hook);
        let builder = match store {
            Some(directory) => builder.store(FileStore::open(directory).expect("a private folder")),
            None => builder,
        };
        builder.build().expect("settings that are good")
    }

    pub(crate) fn to_json(&self) -> Value {
        let certificate = self.certificate.as_ref();
        json!([
            self.provider.to_string(),
            self.id,
            self.secret,
            self.url,
            self.authority,
            certificate.map(|(certificate, _)| certificate),
            certificate.map(|(_, key)| key),
        ])
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |index: usize| Some(value.get(index)?.as_str()?.to_owned());
        Some(Self {
            provider: text(0)?.parse().ok()?,
            id: text(1)?,
            secret: text(2)?,
            url: text(3)?,
            authority: text(4)?,
            certificate: text(5).zip(text(6)),
        })
    }
}

/// Whose token it is, as its payload says.
pub(crate) fn owner(token: &str) -> Option<(Provider, String)> {
    let payload = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let issuer = claims.get("iss")?.as_str()?.strip_prefix("https://")?.split('.').next()?;
    Some((issuer.parse().ok()?, claims.get("sub")?.as_str()?.to_owned()))
}

/// Whether an API that answers 401 to this token may have accepted it before. One that refuses
/// fresh tokens is another fault, and the library remembers it as a refusal.
pub(crate) fn is_old(token: &Token) -> bool {
    token.lifetime().saturating_sub(token.remaining()) > std::time::Duration::from_millis(10_200)
}
