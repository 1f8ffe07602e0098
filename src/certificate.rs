//! A client certificate: PEM in; header value and TLS identity out.
//!
//! Everything that could go wrong with it on the wire is found here, before anything is sent:
//! ureq panics on an unusable identity at its first request.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::CertifiedKey;
use zeroize::{Zeroize as _, Zeroizing};

use crate::date;
use crate::error::{Error, Result};
use crate::files;

/// What a URL leaves as it is (RFC 3986 §2.3), and nginx in `$ssl_client_escaped_cert`; all else
/// becomes `%XX`.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// nginx's default header buffer is 8 KiB for the whole line; this is what is left for the value
/// behind `X-SSL-Client-Cert: ` and before the line end.
const LONGEST_HEADER_VALUE: usize = 8_171;

/// The object identifier of the curve P-521, which *ring* cannot sign with.
const P521_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// The X.509 client certificate NTX Pay issued, with or without its private key.
///
/// With a key it is both the `X-SSL-Client-Cert` header and the TLS client identity. Without one
/// it is the header alone. Where a proxy in front adds both, use
/// [`injected_by_proxy`](Self::injected_by_proxy).
///
/// Cheap to clone. `Debug` shows neither key nor certificate text; the key is wiped on drop.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Inner>);

enum Inner {
    Injected,
    Loaded(Loaded),
}

struct Loaded {
    /// Leaf first, as in the file.
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKey>,
    header_value: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl ClientCertificate {
    /// Reads one PEM text, which may hold the chain (leaf first) and the private key too.
    ///
    /// # Errors
    /// [`Certificate`](crate::ErrorKind::Certificate) when there is no certificate in it, when it
    /// is not X.509, when it is too long for the header, or when a key in it is unusable or does
    /// not match.
    pub fn from_pem(certificate: impl AsRef<[u8]>) -> Result<Self> {
        Self::from_parts(Pem::read("certificate", certificate.as_ref())?)
    }

    fn from_parts(pem: Pem) -> Result<Self> {
        if pem.certificates.is_empty() {
            return Err(Error::certificate(if pem.key.is_some() || pem.encrypted_key {
                "certificate: holds a private key but no certificate; give the file that has -----BEGIN CERTIFICATE----- and pass the key to with_private_key"
            } else {
                "certificate: no -----BEGIN CERTIFICATE----- block found; give the PEM file NTX Pay issued"
            }));
        }
        let leaf = &pem.certificates[0];
        let (not_before, not_after) = validity(leaf).ok_or_else(|| {
            Error::certificate("certificate: the first CERTIFICATE block is not an X.509 certificate; it may be damaged")
        })?;
        let header_value = header_value(leaf);
        if header_value.len() > LONGEST_HEADER_VALUE {
            return Err(Error::certificate(format!(
                "certificate: its X-SSL-Client-Cert header value is {} bytes, over the {LONGEST_HEADER_VALUE} that fit nginx's 8 KiB header buffer; ask NTX Pay for a smaller certificate (fewer names, an EC key)",
                header_value.len()
            )));
        }
        let mut loaded =
            Loaded { chain: pem.certificates, key: None, header_value, not_before, not_after };
        if let Some(key) = pem.key {
            loaded.adopt(key)?;
        } else if pem.encrypted_key {
            return Err(encrypted("certificate"));
        }
        Ok(Self(Arc::new(Inner::Loaded(loaded))))
    }

    /// Adds the private key: PKCS#8, SEC1 or PKCS#1 PEM, not encrypted; RSA from 2048 bits,
    /// EC P-256 or P-384, or Ed25519.
    ///
    /// # Errors
    /// [`Certificate`](crate::ErrorKind::Certificate) when there is no usable key in it or it does
    /// not belong to the certificate.
    pub fn with_private_key(self, pem: impl AsRef<[u8]>) -> Result<Self> {
        let pem = Pem::read("private_key", pem.as_ref())?;
        let Some(key) = pem.key else {
            return Err(if pem.encrypted_key {
                encrypted("private_key")
            } else {
                Error::certificate(
                    "private_key: no PRIVATE KEY block found; give the PEM file with -----BEGIN PRIVATE KEY-----",
                )
            });
        };
        let Inner::Loaded(loaded) = &*self.0 else {
            return Err(Error::configuration(
                "private_key: a certificate injected by a proxy has no key here; load it with from_pem instead",
            ));
        };
        let mut loaded = Loaded {
            chain: loaded.chain.clone(),
            key: None,
            header_value: loaded.header_value.clone(),
            not_before: loaded.not_before,
            not_after: loaded.not_after,
        };
        loaded.adopt(key)?;
        Ok(Self(Arc::new(Inner::Loaded(loaded))))
    }

    /// Reads the certificate from a file and its key from another.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem) and [`with_private_key`](Self::with_private_key);
    /// [`Configuration`](crate::ErrorKind::Configuration) when a file cannot be read.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        Self::from_pem_file(certificate)?
            .with_private_key(&*read_file("private_key", key.as_ref())?)
    }

    /// Reads the certificate from a file, and the key too where the file holds it.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); [`Configuration`](crate::ErrorKind::Configuration) when the
    /// file cannot be read.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_pem(&*read_file("certificate", path.as_ref())?)
    }

    /// For the deployment in which an nginx or a load balancer in front adds the header and does
    /// the mutual TLS: this library then sends neither.
    pub fn injected_by_proxy() -> Self {
        Self(Arc::new(Inner::Injected))
    }

    /// The value of `X-SSL-Client-Cert`: the leaf as canonical PEM, percent-encoded byte for byte
    /// as nginx's `$ssl_client_escaped_cert`. `None` where a proxy injects it.
    pub fn header_value(&self) -> Option<&str> {
        self.loaded().map(|loaded| loaded.header_value.as_str())
    }

    /// When the certificate expires. `None` where a proxy injects it.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.loaded().map(|loaded| loaded.not_after)
    }

    /// Whether a private key is loaded, so that the certificate is the TLS client identity too.
    pub fn has_private_key(&self) -> bool {
        self.identity().is_some()
    }

    /// Refuses a certificate that is expired or not valid yet, before anything is sent.
    pub(crate) fn check_validity(&self, wall: SystemTime) -> Result<()> {
        match self.loaded() {
            Some(loaded) if wall > loaded.not_after => Err(Error::certificate(
                "certificate: it has expired; ask NTX Pay for a renewal (or set this machine's clock, if that is wrong)",
            )),
            Some(loaded) if wall < loaded.not_before => Err(Error::certificate(
                "certificate: it is not valid yet; check this machine's clock and the certificate's start date",
            )),
            _ => Ok(()),
        }
    }

    /// Chain and key for TLS, where a key is loaded.
    pub(crate) fn identity(&self) -> Option<(&[CertificateDer<'static>], &PrivateKeyDer<'static>)> {
        let loaded = self.loaded()?;
        Some((&loaded.chain, &loaded.key.as_ref()?.0))
    }

    /// The client's own certificate, DER.
    pub(crate) fn leaf(&self) -> Option<&[u8]> {
        self.loaded().map(|loaded| &*loaded.chain[0])
    }

    /// Reads the certificate alone: a key beside it is neither checked nor kept.
    pub(crate) fn from_pem_without_key(pem: &[u8]) -> Result<Self> {
        let pem = Pem::read("certificate", pem)?;
        Self::from_parts(Pem { key: None, encrypted_key: false, ..pem })
    }

    /// What tells two certificates apart: the chain's bytes, and whether there is a key.
    pub(crate) fn distinction(&self) -> impl Eq {
        self.loaded().map(|loaded| (loaded.chain.as_slice(), loaded.key.is_some()))
    }

    fn loaded(&self) -> Option<&Loaded> {
        match &*self.0 {
            Inner::Loaded(loaded) => Some(loaded),
            Inner::Injected => None,
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loaded() {
            Some(loaded) => f
                .debug_struct("ClientCertificate")
                .field("certificates", &loaded.chain.len())
                .field("not_after", &loaded.not_after)
                .field("private_key", &loaded.key.as_ref().map(|_| "redacted"))
                .finish_non_exhaustive(),
            None => f.write_str("ClientCertificate(injected by proxy)"),
        }
    }
}

impl Loaded {
    /// Takes the key if TLS can use it and it belongs to the leaf.
    fn adopt(&mut self, key: PrivateKey) -> Result<()> {
        let provider = rustls::crypto::ring::default_provider();
        match CertifiedKey::from_der(self.chain.clone(), key.0.clone_key(), &provider) {
            Ok(_) => {
                self.key = Some(key);
                Ok(())
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(Error::certificate(
                "private_key: it does not belong to the certificate; give the pair that was issued together (the client's own certificate first in the file)",
            )),
            Err(error) if key.is_p521() => Err(Error::certificate(
                "private_key: EC P-521 is not supported; ask for a certificate with P-256, P-384, RSA or Ed25519",
            )
            .with_source(error)),
            Err(error) => Err(Error::certificate(
                "private_key: not usable for TLS; use RSA (2048 bits or more), EC P-256 or P-384, or Ed25519",
            )
            .with_source(error)),
        }
    }
}

/// A key that is wiped on drop. (rustls and ring hold copies of their own, which are not.)
struct PrivateKey(PrivateKeyDer<'static>);

impl PrivateKey {
    fn is_p521(&self) -> bool {
        self.0.secret_der().windows(P521_OID.len()).any(|window| window == P521_OID)
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What a PEM text holds of interest here.
struct Pem {
    certificates: Vec<CertificateDer<'static>>,
    key: Option<PrivateKey>,
    encrypted_key: bool,
}

impl Pem {
    fn read(field: &str, text: &[u8]) -> Result<Self> {
        let text = tidy(text);
        let mut pem = Self {
            certificates: Vec::new(),
            key: None,
            encrypted_key: contains(&text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
                || contains(&text, b"Proc-Type: 4,ENCRYPTED"),
        };
        if pem.encrypted_key {
            // Its base64 may be anything; the caller only needs to know.
            return Ok(pem.with_certificates_of(&text));
        }
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
            // The cause is dropped on purpose: it may quote a line of the file.
            let (kind, der) = section.map_err(|_| {
                Error::certificate(format!(
                    "{field}: a PEM block is damaged (its END line or base64 is wrong); copy the file again"
                ))
            })?;
            let key = match kind {
                SectionKind::Certificate => {
                    pem.certificates.push(der.into());
                    continue;
                }
                SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
                SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
                SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
                _ => continue,
            };
            pem.key.get_or_insert(PrivateKey(key));
        }
        Ok(pem)
    }

    fn with_certificates_of(mut self, text: &[u8]) -> Self {
        self.certificates = CertificateDer::pem_slice_iter(text).flatten().collect();
        self
    }
}

fn encrypted(field: &str) -> Error {
    Error::certificate(format!(
        "{field}: the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN) and keep that file 0600"
    ))
}

/// Without byte order mark, and without white space around each line.
fn tidy(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut tidy = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        tidy.extend_from_slice(line.trim_ascii());
        tidy.push(b'\n');
    }
    tidy
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn read_file(field: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    files::read_bounded(path, files::LARGEST_PEM).map_err(|error| {
        Error::configuration(format!("{field}: cannot read {}: {error}", path.display()))
            .with_source(error)
    })
}

/// The leaf as canonical PEM, percent-encoded.
fn header_value(leaf: &CertificateDer<'_>) -> String {
    utf8_percent_encode(&pem_text("CERTIFICATE", leaf), UNRESERVED).to_string()
}

/// Canonical PEM (RFC 7468: 64 columns, LF, a final LF), wiped on drop.
pub(crate) fn pem_text(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    // Sized at once: growing would leave an unwiped copy behind.
    let mut pem =
        Zeroizing::new(String::with_capacity(base64.len() * 65 / 64 + 2 * label.len() + 40));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = further;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// `notBefore` and `notAfter` of a certificate (RFC 5280 §4.1).
fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (SEQUENCE, certificate, []) = der_value(certificate)? else {
        return None;
    };
    let (SEQUENCE, fields, _) = der_value(certificate)? else {
        return None;
    };
    // [version], serialNumber, signature, issuer, validity
    let mut rest = fields;
    if let (VERSION, _, after) = der_value(fields)? {
        rest = after;
    }
    for _ in 0..3 {
        (_, _, rest) = der_value(rest)?;
    }
    let (SEQUENCE, validity, _) = der_value(rest)? else {
        return None;
    };
    let (_, not_before, rest) = der_value(validity)?;
    let (_, not_after, _) = der_value(rest)?;
    Some((date::parse_x509_time(not_before)?, date::parse_x509_time(not_after)?))
}

/// The first DER element: its tag, its content, and what follows it.
fn der_value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
