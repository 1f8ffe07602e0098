//! What a program hands in: identifiers, secrets, addresses, names. Nothing is sent.

use std::time::Duration;

use paytoken::{Credentials, Environment, Provider, Secret, TokenSource};

use super::{Outcome, SECRET, Target, lines};

pub(crate) struct Settings;

impl Target for Settings {
    fn seeds(&self) -> Vec<Vec<u8>> {
        lines(include_bytes!("../../seeds/settings.txt"))
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"https://",
            b"http://",
            b"127.0.0.1",
            b"[::1]",
            b"localhost",
            b":443",
            b":99999",
            b"@",
            b"?",
            b"#",
            b"/",
            b"user:pass@",
            b"send-payments",
            b"production",
            b"\xc2\xa0",
            b"%2e%2e",
            b"..",
            b"http://[",
            b"]",
        ]
    }

    fn allowance(&self) -> usize {
        1024 * 1024
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        let text = String::from_utf8_lossy(input);
        let mut outcome = Outcome::default();
        for error in [text.parse::<Provider>().err(), text.parse::<Environment>().err()] {
            outcome.broken.extend(error.iter().flat_map(|error| Outcome::error(error).broken));
        }
        let build = |id: &str, secret: &str| {
            TokenSource::builder(
                Credentials::SendPayments {
                    client_id: id.to_owned(),
                    client_secret: Secret::from(secret),
                },
                Environment::Sandbox,
            )
        };
        let url = "https://send.example";
        let built = [
            build(&text, SECRET).base_url(url).build(),
            build("id", &text).base_url(url).build(),
            build("id", SECRET).base_url(&text).build(),
            build("id", SECRET).base_url(url).user_agent(&text).build(),
            build("id", SECRET).base_url(url).proxy(&text).build(),
            build("id", SECRET).base_url(url).authorization_header(&text, "Bearer").build(),
            build("id", SECRET).base_url(url).authorization_header("X", &text).build(),
            build("id", SECRET).base_url(url).root_certificates_pem(input).build(),
            build("id", SECRET)
                .base_url(url)
                .timeout(Duration::from_nanos(input.len() as u64))
                .build(),
        ];
        for result in built {
            match result {
                Ok(source) => {
                    outcome.is_accepted = true;
                    let shown = format!("{source:?} {:?}", source.status());
                    if shown.contains(SECRET) {
                        outcome.broken.push(("secret hidden in Debug", shown));
                    }
                }
                Err(error) => outcome.broken.extend(Outcome::error(&error).broken),
            }
        }
        outcome
    }
}
