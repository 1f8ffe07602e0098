//! Answers of the token endpoints, through a real connection: bodies of success, bodies of
//! refusal, waits.

use std::time::Duration;

use paytoken::{ClientCertificate, Credentials, Environment, Provider, TokenSource};

use super::{Outcome, SECRET, Target, lines};
use crate::server::Server;

pub(crate) struct Answers {
    server: Server,
    source: TokenSource,
    seeds: &'static [u8],
    /// What of the answer is the input.
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    /// The body of a 201.
    Body,
    /// The status, three digits, and the body.
    StatusAndBody,
    /// `Retry-After`, and `Date` behind a bar.
    Waits,
}

impl Answers {
    pub(crate) fn ntx_pay() -> Self {
        Self::new(Provider::NtxPay, include_bytes!("../../seeds/ntx-pay.txt"), Part::Body)
    }

    pub(crate) fn nexter_pay() -> Self {
        Self::new(Provider::NexterPay, include_bytes!("../../seeds/nexter-pay.txt"), Part::Body)
    }

    pub(crate) fn send_payments() -> Self {
        let seeds = include_bytes!("../../seeds/send-payments.txt");
        Self::new(Provider::SendPayments, seeds, Part::Body)
    }

    pub(crate) fn refusal() -> Self {
        let seeds = include_bytes!("../../seeds/refusals.txt");
        Self::new(Provider::NexterPay, seeds, Part::StatusAndBody)
    }

    pub(crate) fn retry_after() -> Self {
        Self::new(Provider::SendPayments, include_bytes!("../../seeds/waits.txt"), Part::Waits)
    }

    /// Token and lifetime stand deep in the answer, and its end in three ways.
    pub(crate) fn pointer() -> Self {
        Self::described(providers()[0], include_bytes!("../../seeds/pointers.txt"))
    }

    /// The whole answer is the token.
    pub(crate) fn bare() -> Self {
        Self::described(providers()[1], include_bytes!("../../seeds/nexter-pay.txt"))
    }

    fn described(provider: Provider, seeds: &'static [u8]) -> Self {
        let values = [("client_id", "merchant"), ("client_secret", SECRET)];
        Self::of(Credentials::described(provider, values, None).unwrap(), seeds, Part::Body)
    }

    fn new(provider: Provider, seeds: &'static [u8], part: Part) -> Self {
        let takes_certificate = provider.facts().takes_certificate;
        let certificate = takes_certificate.then(ClientCertificate::injected_by_proxy);
        let credentials = Credentials::new(provider, "merchant", SECRET, certificate).unwrap();
        Self::of(credentials, seeds, part)
    }

    fn of(credentials: Credentials, seeds: &'static [u8], part: Part) -> Self {
        let server = Server::start();
        let source = TokenSource::builder(credentials, Environment::Sandbox)
            .base_url(&format!("http://{}", server.address))
            .retries(0)
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        Self { server, source, seeds, part }
    }
}

/// What fits into a header line.
fn line(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| (b' '..=b'~').contains(byte)).collect()
}

impl Target for Answers {
    fn seeds(&self) -> Vec<Vec<u8>> {
        lines(self.seeds)
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"null",
            b"true",
            b"1e400",
            b"-0",
            b"99999999999999999999",
            b"\"\"",
            b"\\u0000",
            b"\\r\\n",
            b"\"error\":",
            b"\"message\":",
            b"[[[[[[[[",
            b"{\"a\":",
            b"\xef\xbb\xbf",
            b"\xff",
            b"\"expires_in\":",
            b"\"expiresAt\":",
            b"\"access_token\":",
            b"\"t~\":",
            b"\"a/b\":",
            b"\"data\":[60,",
            b"1767225600000",
            b"2099-01-01T00:00:00+0000",
            b"p-/ x\\\"y",
            b"p-/",
            b"p-%2F%20x%22y",
            b"p-/ x&quot;y",
            b"cC0vIHgieQ",
            b"<html>",
            b"Bearer",
            b"NaN",
            b" ",
            b"Sun, 06 Nov 1994 08:49:37 GMT",
        ]
    }

    fn allowance(&self) -> usize {
        1024 * 1024
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        let json: &[u8] = b"Content-Type: application/json\r\n";
        match self.part {
            Part::Body => self.server.answer(201, json, input),
            Part::StatusAndBody => {
                let (digits, body) = input.split_at(input.len().min(3));
                let number = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit % 16));
                self.server.answer(200 + number % 400, json, body);
            }
            Part::Waits => {
                let mut parts = input.splitn(2, |byte| *byte == b'|').map(line);
                let wait = parts.next().unwrap_or_default();
                let date = parts.next().unwrap_or_default();
                let head = [b"Retry-After: ", &wait[..], b"\r\nDate: ", &date, b"\r\n"].concat();
                self.server.answer(503, &head, b"{\"message\":\"later\"}");
            }
        }
        let result = self.source.refresh();
        let mut outcome = Outcome::of(&result);
        match &result {
            Ok(token) if token.lifetime() > Duration::from_secs(86_400) => {
                outcome.broken.push(("lifetime of a day at most", format!("{token:?}")));
            }
            Err(error) if error.retry_after() > Some(Duration::from_secs(900)) => {
                outcome.broken.push(("wait of a quarter of an hour at most", error.to_string()));
            }
            _ => {}
        }
        outcome
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.server.stop();
    }
}

/// Those whose answers are read. Who describes others in this process describes them first: it keeps so many
/// and no more.
pub(super) fn providers() -> [Provider; 2] {
    let pointer = r#"{"name": "of-fuzzed-pointers", "token_endpoint": "/token", "auth": "client_secret_post",
        "renewal": "coexists", "token": "/data/1/a~1b/t~0", "expires_in": "/data/0",
        "expires_at": "/at", "jwt_expiry": true, "lifetime": "1d"}"#;
    let bare = r#"{"name": "of-fuzzed-tokens", "token_endpoint": "/token", "auth": "client_secret_post",
        "renewal": "coexists", "token": "", "jwt_expiry": true, "lifetime": "1d"}"#;
    [pointer, bare].map(|json| Provider::described(json).unwrap())
}
