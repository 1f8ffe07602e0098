//! PEM in, header value out: a certificate file of any shape, and a key file of any shape.

use paytoken::ClientCertificate;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};

use super::{Outcome, Target};

pub(crate) struct Pem {
    good: ClientCertificate,
    seeds: Vec<Vec<u8>>,
}

const CERTIFICATES: [&[u8]; 2] =
    [include_bytes!("../../seeds/certificate.pem"), include_bytes!("../../seeds/rsa.pem")];

impl Pem {
    /// Keys are made anew: none is kept in a file, so runs of this target differ in theirs.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a-seed.example".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let mut seeds: Vec<_> = CERTIFICATES.iter().map(|seed| seed.to_vec()).collect();
        let made = [format!("{certificate}{key}"), certificate.clone(), key];
        seeds.extend(made.map(String::into_bytes));
        Self { good: ClientCertificate::from_pem(certificate).unwrap(), seeds }
    }
}

impl Target for Pem {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----END CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\n",
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            b"-----BEGIN EC PRIVATE KEY-----\n",
            b"Proc-Type: 4,ENCRYPTED\n",
            b"\xef\xbb\xbf",
            b"\r\n",
            b"MII",
            b"====",
        ]
    }

    fn allowance(&self) -> usize {
        512 * 1024
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        let mut outcome = match ClientCertificate::from_pem(input) {
            Ok(certificate) => {
                let mut outcome = Outcome { is_accepted: true, ..Outcome::default() };
                let value = certificate.header_value().unwrap();
                let is_escaped = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
                let is_fine = value.bytes().all(is_escaped)
                    && value.len() <= 8171
                    && value.starts_with("-----BEGIN%20CERTIFICATE-----%0A")
                    && value.matches("BEGIN").count() == 1
                    && !value.contains("PRIVATE");
                if !is_fine {
                    outcome.broken.push(("one certificate in the header", value.to_owned()));
                }
                outcome
            }
            Err(error) => Outcome::error(&error),
        };
        if let Err(error) = self.good.clone().with_private_key(input) {
            outcome.broken.extend(Outcome::error(&error).broken);
        }
        outcome
    }
}
