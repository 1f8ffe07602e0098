//! Descriptions of providers: refused with a sentence, or what they say can be sent.

use std::time::Duration;

use paytoken::{ClientCertificate, Credentials, Environment, FieldKind, Provider, TokenSource};
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};

use super::{Outcome, SECRET, Target, lines};
use crate::server::Server;

pub(crate) struct Descriptions {
    server: Server,
    key: String,
    certificate: ClientCertificate,
}

impl Descriptions {
    pub(crate) fn new() -> Self {
        super::answer::providers();
        let server = Server::start();
        server.answer(200, b"", b"{\"access_token\":\"token-7\",\"expires_in\":60}");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a-seed.example".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let certificate = ClientCertificate::from_pem(certificate).unwrap();
        let certificate = certificate.with_private_key(&key).unwrap();
        Self { server, key, certificate }
    }

    /// Asks for a token with it.
    fn ask(&self, provider: Provider) -> Result<paytoken::Token, paytoken::Error> {
        let fields = provider.facts().fields.iter();
        let values = fields.filter_map(|field| match field.kind {
            FieldKind::Identity => Some((field.name, "merchant")),
            FieldKind::Secret => Some((field.name, SECRET)),
            FieldKind::PrivateKey => Some((field.name, &*self.key)),
            _ => None,
        });
        let certificate = provider.facts().requires_certificate.then(|| self.certificate.clone());
        TokenSource::builder(
            Credentials::described(provider, values, certificate)?,
            Environment::Sandbox,
        )
        .base_url(&format!("http://{}", self.server.address))
        .retries(0)
        .timeout(Duration::from_secs(5))
        .build()?
        .token()
    }
}

impl Target for Descriptions {
    fn seeds(&self) -> Vec<Vec<u8>> {
        lines(include_bytes!("../../seeds/descriptions.txt"))
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"\"token_endpoint\":\"",
            b"\"renewal\":\"coexists\"",
            b"\"auth\":\"none\"",
            b"\"body\":\"json\"",
            b"\"fields\":{",
            b"\"headers\":{",
            b"\"secrets\":[",
            b"\"identity\":[",
            b"\"{client_id}\"",
            b"{client_secret}",
            b"{k}",
            b"\"scope\":",
            b"\"token\":\"\"",
            b"\"lifetime\":\"1s\"",
            b"~1",
            b"~0",
            b"null",
            b"[]",
            b"{}",
            b"1e400",
            b"-0",
            b"\\u0000",
            b"\\ud800",
            b"\\r\\n",
            b"http://127.0.0.1",
            b"https://u:p@",
            b"?a=b",
            b"#",
            b"\xef\xbb\xbf",
            b"\xff",
            b"[[[[[[[[",
            b"{\"a\":",
        ]
    }

    fn allowance(&self) -> usize {
        2 * 1024 * 1024
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        let provider = match Provider::described(&String::from_utf8_lossy(input)) {
            Ok(provider) => provider,
            Err(error) => return Outcome::error(&error),
        };
        let facts = provider.facts();
        let in_print = |text: &str| !text.contains(char::is_control);
        let texts =
            [facts.name, facts.title, facts.endpoint, facts.prefix, facts.header, facts.scheme];
        let mut outcome = Outcome::of(&self.ask(provider));
        outcome.is_accepted = true;
        if !texts.into_iter().all(in_print) || !facts.endpoint.starts_with('/') {
            outcome.broken.push(("facts of print, and a path", format!("{facts:?}")));
        }
        if !(1..=6).contains(&facts.refusals_per_hour) {
            outcome.broken.push(("one to six refusals", facts.refusals_per_hour.to_string()));
        }
        outcome
    }
}

impl Drop for Descriptions {
    fn drop(&mut self) {
        self.server.stop();
    }
}
