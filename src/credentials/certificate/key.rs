//! Private keys: made ready for TLS and for signatures, or what is wrong with them and how to fix it.

use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;

use super::FieldNames;
use super::der::{self, BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE};
use super::pem::{self, Block};
use crate::types::error::{Error, Result};

/// A key that can sign. (ring's copy of it is not wiped on drop; there is no other.)
pub(in crate::credentials) type Key = Arc<dyn SigningKey>;

/// What a key is for, as errors tell it.
pub(in crate::credentials) struct Purpose {
    pub(super) error: fn(String) -> Error,
    name: &'static str,
    keys: &'static str,
    /// What has to be done with a new key.
    next: &'static str,
}

impl Purpose {
    pub(super) const TLS: Self = Self {
        error: |text| Error::certificate(text),
        name: "TLS",
        keys: "RSA (2048 to 4096 bits), EC P-256 or P-384, or Ed25519",
        next: "ask the provider for a certificate for it",
    };
    pub(super) const ASSERTIONS: Self = Self {
        error: |text| Error::configuration(text),
        name: "client assertions",
        keys: "RSA (2048 to 4096 bits), EC P-256 or Ed25519",
        next: "register its public part with the provider",
    };

    fn damaged(&self) -> String {
        let Self { name, keys, .. } = self;
        format!("not usable for {name}, or damaged; use {keys}, and copy the file again")
    }

    fn dsa(&self) -> String {
        self.another(&format!("DSA keys are not used in {}", self.name))
    }

    /// The advice where no command fixes a key.
    pub(super) fn another(&self, problem: &str) -> String {
        format!(
            "{problem}; make another (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY) and {}",
            self.next
        )
    }
}

/// The one key in a text.
pub(in crate::credentials) fn sole(text: &[u8], field: FieldNames<'_>) -> Result<Key> {
    let blocks = pem::blocks(text);
    let mut keys = blocks.iter().filter_map(|block| of(block, field));
    let key = keys.next().unwrap_or_else(|| Err(field.no_key(text)))?;
    match keys.next() {
        None => Ok(key),
        Some(_) => {
            Err(field.key_error("holds more than one private key; keep the one that signs alone"))
        }
    }
}

/// The key in a block: `None` where the block is of another kind.
pub(super) fn of(block: &Block, field: FieldNames<'_>) -> Option<Result<Key>> {
    let label = block.label.strip_suffix("PRIVATE KEY")?;
    if block.is_encrypted || label == "ENCRYPTED " {
        return Some(Err(field.error(
            "the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN) and keep that file 0600",
        )));
    }
    if label == "OPENSSH " {
        return Some(Err(field.key_error(
            "it is in OpenSSH's own format; convert it: ssh-keygen -p -m PKCS8 -N \"\" -f KEY",
        )));
    }
    let Some(der) = &block.der else {
        return Some(Err(field.error(pem::DAMAGED)));
    };
    Some(any_supported_type(&by_shape(der)).map_err(|error| {
        let purpose = field.purpose;
        let problem = if label == "DSA " { purpose.dsa() } else { problem(der, purpose) };
        field.key_error(&problem).with_source(error)
    }))
}

/// The label may be wrong; what is inside is not.
fn by_shape(der: &[u8]) -> PrivateKeyDer<'_> {
    let second = der::only(der, SEQUENCE)
        .and_then(|inside| der::of_tag(inside, INTEGER))
        .and_then(|(_, rest)| der::value(rest));
    match second {
        Some((INTEGER, ..)) => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        Some((OCTET_STRING, ..)) => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
        _ => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
    }
}

/// What is wrong with a key that cannot be used.
fn problem(der: &[u8], purpose: &Purpose) -> String {
    match by_shape(der) {
        PrivateKeyDer::Pkcs1(key) => of_rsa(key.secret_pkcs1_der(), purpose),
        PrivateKeyDer::Sec1(key) => of_ec(key.secret_sec1_der(), None, purpose),
        _ => of_pkcs8(der, purpose),
    }
    .unwrap_or_else(|| purpose.damaged())
}

/// PrivateKeyInfo (RFC 5208 §5): version, algorithm, key.
fn of_pkcs8(der: &[u8], purpose: &Purpose) -> Option<String> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const DSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
    const X25519: &[u8] = &[0x2b, 0x65, 0x6e];
    const X448: &[u8] = &[0x2b, 0x65, 0x6f];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    const ED448: &[u8] = &[0x2b, 0x65, 0x71];

    let (_, rest) = der::of_tag(der::only(der, SEQUENCE)?, INTEGER)?;
    let (algorithm, rest) = der::of_tag(rest, SEQUENCE)?;
    let (algorithm, parameters) = der::of_tag(algorithm, OID)?;
    let (key, _) = der::of_tag(rest, OCTET_STRING)?;
    let problem = match algorithm {
        RSA => return of_rsa(key, purpose),
        EC => return of_ec(key, Some(parameters), purpose),
        RSA_PSS => "a key for RSA-PSS alone is not supported",
        DSA_OID => return Some(purpose.dsa()),
        X25519 | X448 => "a key for key agreement (X25519, X448) cannot sign",
        ED25519 => return None,
        ED448 => "Ed448 is not supported",
        _ => "its algorithm is not supported",
    };
    Some(purpose.another(problem))
}

/// RSAPrivateKey (RFC 8017 §A.1.2): version, modulus, …
fn of_rsa(der: &[u8], purpose: &Purpose) -> Option<String> {
    let (_, rest) = der::of_tag(der::only(der, SEQUENCE)?, INTEGER)?;
    let (modulus, _) = der::of_tag(rest, INTEGER)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let bits = 8 * (modulus.len() - first) - modulus[first].leading_zeros() as usize;
    let is = match bits {
        0..2048 => "too short: 2048 is the least",
        2048..=4096 => return None,
        _ => "too long: 4096 is the most",
    };
    Some(purpose.another(&format!("RSA of {bits} bits is {is}")))
}

/// ECPrivateKey (RFC 5915 §3): version, key, [0] curve, [1] public key.
fn of_ec(der: &[u8], parameters: Option<&[u8]>, purpose: &Purpose) -> Option<String> {
    const CURVE: u8 = 0xa0;
    const PUBLIC: u8 = 0xa1;

    let (_, rest) = der::of_tag(der::only(der, SEQUENCE)?, INTEGER)?;
    let (_, mut rest) = der::of_tag(rest, OCTET_STRING)?;
    let mut curve = parameters;
    if let Some((own, after)) = der::of_tag(rest, CURVE) {
        curve = curve.or(Some(own));
        rest = after;
    }
    match curve.and_then(der::value) {
        Some((SEQUENCE, ..)) => {
            return Some(
                "its curve is written out in numbers; name it: openssl ec -in KEY -param_enc named_curve -out NEW".into(),
            );
        }
        Some((OID, curve, _)) => {
            if let Some(name) = unsupported_curve(curve) {
                return Some(purpose.another(&format!("EC {name} is not supported")));
            }
        }
        _ => {}
    }
    let point = der::of_tag(rest, PUBLIC).and_then(|(bits, _)| der::of_tag(bits, BIT_STRING));
    match point.map(|(bits, _)| bits.get(1)) {
        None => Some("its public part is missing; add it: openssl ec -in KEY -out NEW".into()),
        Some(Some(2 | 3)) => Some(
            "its public part is compressed; write it out: openssl ec -in KEY -conv_form uncompressed -out NEW".into(),
        ),
        _ => None,
    }
}

/// The name of a curve that ring cannot sign with.
fn unsupported_curve(oid: &[u8]) -> Option<&'static str> {
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
    const P224: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x21];
    const SECP256K1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x0a];
    const BRAINPOOL: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01];

    match oid {
        P256 | P384 => None,
        P521 => Some("P-521"),
        P224 => Some("P-224"),
        SECP256K1 => Some("secp256k1"),
        brainpool if brainpool.starts_with(BRAINPOOL) => Some("brainpool"),
        _ => Some("on this curve"),
    }
}
