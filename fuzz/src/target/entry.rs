//! Entries of a store shared with others: bytes of any shape, most of them with a checksum that fits.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paytoken::store::{Account, Store, StoreGuard, StoreKey};
use paytoken::{Credentials, Environment, Secret, TokenOptions, TokenSource};

use super::{Outcome, SECRET, Target, lines};

pub(crate) struct Entries {
    account: Account,
    bytes: Memory,
}

const URL: &str = "https://send.example";

fn credentials() -> Credentials {
    Credentials::NexterPay { user_name: "merchant".into(), password: Secret::from(SECRET) }
}

/// One entry, whatever its key.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Entries {
    pub(crate) fn new() -> Self {
        let bytes = Memory::default();
        let account = Account::new(&credentials(), Environment::Sandbox, Some(URL)).unwrap();
        Self { account, bytes }
    }

    /// One that has seen nothing yet.
    fn source(&self) -> TokenSource {
        TokenSource::builder(credentials(), Environment::Sandbox)
            .base_url(URL)
            .store(self.bytes.clone())
            .build()
            .unwrap()
    }

    /// The content under a first line that fits it, about this account and this moment.
    fn entry(&self, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string();
        replace(&mut content, b"ACCOUNT", self.account.key().as_str().as_bytes());
        replace(&mut content, b"NOW", now.as_bytes());
        let digest = ring::digest::digest(&ring::digest::SHA256, &content);
        let hexadecimal: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        [format!("paytoken-entry-1 {hexadecimal}\n").as_bytes(), &content].concat()
    }
}

fn replace(text: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    if let Some(at) = text.windows(from.len()).position(|part| part == from) {
        text.splice(at..at + from.len(), to.iter().copied());
    }
}

impl Target for Entries {
    fn seeds(&self) -> Vec<Vec<u8>> {
        lines(include_bytes!("../../seeds/entries.txt"))
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"\\r\\n",
            b"\\u0000",
            b"NOW",
            b"ACCOUNT",
            b"null",
            b"18446744073709551615",
            b"-1",
            b"{}",
            b"\"secret\":\"\"",
            b"\"lifetime\":1",
            b"1e400",
            b"[[[[",
            b"\"\"",
        ]
    }

    fn allowance(&self) -> usize {
        256 * 1024
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        // Chance that the input itself decides, so that the same input always takes the same way.
        let chance = ring::digest::digest(&ring::digest::SHA256, input).as_ref()[0];
        let bytes = if chance.is_multiple_of(4) { input.to_vec() } else { self.entry(input) };
        *self.bytes.0.lock().unwrap() = bytes;
        let mut outcome = Outcome::default();
        match self.account.stored_token(&self.bytes, Duration::ZERO) {
            Ok(Some(token)) => outcome = Outcome::token(&token),
            Ok(None) => {}
            Err(error) => outcome = Outcome::error(&error),
        }
        match self.account.stored_status(&self.bytes) {
            Ok(status) => {
                let is_long = |left: Duration| left > Duration::from_secs(15 * 60);
                if status.blocked_for.is_some_and(is_long) {
                    outcome.broken.push(("refusal of bounded length", format!("{status:?}")));
                }
            }
            Err(error) => outcome.broken.extend(Outcome::error(&error).broken),
        }
        // A remembered refusal costs a slow derivation each time, so not for every input.
        let is_slow = input.windows(7).any(|part| part == b"\"salt\":");
        if !is_slow || chance == 1 {
            // No time for a request: the store is looked at, and nothing else.
            let result = self.source().token_with(&TokenOptions::new().deadline(Duration::ZERO));
            outcome.broken.extend(Outcome::of(&result).broken);
        }
        outcome
    }
}

impl Store for Memory {
    fn read(&self, _: &StoreKey) -> paytoken::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }

    fn lock(
        &self,
        _: &StoreKey,
        _: Duration,
        _: Duration,
    ) -> paytoken::Result<Option<Box<dyn StoreGuard + '_>>> {
        Ok(None) // somebody else has it, always
    }
}
