//! A client certificate: PEM in; header value and TLS identity out.
//!
//! Everything that could go wrong with it on the wire is found here, before anything is sent:
//! ureq panics on an unusable identity at its first request.

pub(super) mod der;
pub(super) mod key;
pub(crate) mod pem;
mod watch;
mod x509;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;

use self::key::{Key, Purpose};
use self::watch::Origin;
pub(crate) use self::watch::{Files, Names, Stamps};
use self::x509::Fields;
use crate::base::clock::Deadline;
use crate::base::date;
use crate::base::files::PATIENCE;
use crate::credentials::named_file::Once;
use crate::types::error::{Error, Result};

/// What a URL leaves as it is (RFC 3986 §2.3), and nginx in `$ssl_client_escaped_cert`; all else
/// becomes `%XX`.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// nginx's default header buffer is 8 KiB for the whole line; this is what is left for the value
/// behind `X-SSL-Client-Cert: ` and before the line end.
const LONGEST_HEADER_VALUE: usize = 8_171;

/// The X.509 client certificate that the provider issued, with or without its private key.
///
/// With a key it is the TLS client identity and, for NTX Pay, the `X-SSL-Client-Cert` header. Without
/// one it is the header alone. Where a proxy in front adds both, use
/// [`injected_by_proxy`](Self::injected_by_proxy).
///
/// Made from files, it is read again when they have changed, before the next token is fetched: a
/// renewed certificate needs no restart. A pair that does not fit together (half of it may not be
/// written yet) is reported, and the one in use stays.
///
/// Cheap to clone. `Debug` shows neither key nor certificate text.
///
/// ```no_run
/// use paytoken::ClientCertificate;
///
/// # fn main() -> paytoken::Result<()> {
/// let certificate = ClientCertificate::from_pem_files("client.cert.pem", "client.key.pem")?;
/// assert!(certificate.has_private_key());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ClientCertificate(Arc<Inner>);

enum Inner {
    Injected,
    Loaded(Box<Loaded>),
}

#[derive(Clone)]
struct Loaded {
    /// Leaf first, and then its issuers.
    chain: Vec<CertificateDer<'static>>,
    /// An error where there is one that cannot be used: a key that is given apart counts for more.
    key: Option<Result<Key>>,
    header_value: String,
    not_before: SystemTime,
    not_after: SystemTime,
    /// Where it came from, and may be read again.
    origin: Option<Origin>,
}

impl ClientCertificate {
    /// Reads one PEM text, which may hold the chain and the private key too. The client's own
    /// certificate is the one that fits the key, else the one that issued no other.
    ///
    /// A key in it that is unusable or does not fit is an error when a source is built, unless
    /// [`with_private_key`](Self::with_private_key) gives another.
    ///
    /// # Errors
    /// [`Certificate`](crate::ErrorKind::Certificate) when there is no certificate in it, when it
    /// is not X.509, or when it is too long for the header.
    pub fn from_pem(certificate: impl AsRef<[u8]>) -> Result<Self> {
        let text = certificate.as_ref();
        let loaded =
            Loaded::of(text, FieldNames::CERTIFICATE)?.with_key_of(text, FieldNames::CERTIFICATE);
        Ok(Self(Arc::new(Inner::Loaded(Box::new(loaded)))))
    }

    /// Adds the private key, in the place of one that came with the certificate: PKCS#8, SEC1 or
    /// PKCS#1 PEM, not encrypted; RSA of 2048 to 4096 bits, EC P-256 or P-384, or Ed25519. Where
    /// there are several in it, the one that fits. The certificate's file is not read again then.
    ///
    /// # Errors
    /// [`Certificate`](crate::ErrorKind::Certificate) when there is no usable key in it or it does
    /// not belong to the certificate; [`Configuration`](crate::ErrorKind::Configuration) for one that a
    /// proxy injects.
    pub fn with_private_key(self, pem: impl AsRef<[u8]>) -> Result<Self> {
        let Inner::Loaded(loaded) = &*self.0 else {
            return Err(Error::configuration(
                "private_key: a certificate injected by a proxy has no key here; load it with from_pem instead",
            ));
        };
        let loaded = Loaded { origin: None, ..Loaded::clone(loaded) };
        let loaded = loaded.with_key_apart(pem.as_ref(), FieldNames::PRIVATE_KEY)?;
        Ok(Self(Arc::new(Inner::Loaded(Box::new(loaded)))))
    }

    /// Reads the certificate from a file and its key from another, again when they have changed.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem) and [`with_private_key`](Self::with_private_key);
    /// [`Configuration`](crate::ErrorKind::Configuration) when a file cannot be read.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let files = Files::new(certificate.as_ref(), Some(key.as_ref()), None);
        files.load(Deadline::after(PATIENCE), &Once::default())
    }

    /// Reads the certificate from a file, and the key too where the file holds it; again when it
    /// has changed.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); [`Configuration`](crate::ErrorKind::Configuration) when the
    /// file cannot be read.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self> {
        let files = Files::new(path.as_ref(), None, None);
        files.load(Deadline::after(PATIENCE), &Once::default())
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

    /// Whether there is a key that cannot be used, and none in its place.
    pub(crate) fn check_key(&self) -> Result<()> {
        match self.loaded().and_then(|loaded| loaded.key.as_ref()) {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Refuses a certificate that is expired or not valid yet, before anything is sent.
    pub(crate) fn check_validity(&self, wall: SystemTime) -> Result<()> {
        let clock = || format!("this machine's clock says {}", date::utc(wall));
        match self.loaded() {
            Some(loaded) if wall > loaded.not_after => Err(Error::certificate(format!(
                "certificate: it has expired (valid until {}; {}); ask the provider for a renewal (or set this machine's clock, if that is wrong)",
                date::utc(loaded.not_after),
                clock()
            ))),
            Some(loaded) if wall < loaded.not_before => Err(Error::certificate(format!(
                "certificate: it is not valid yet (valid from {}; {}); set this machine's clock, if that is wrong, else wait or ask the provider",
                date::utc(loaded.not_before),
                clock()
            ))),
            _ => Ok(()),
        }
    }

    /// Chain and key for TLS, where a key is loaded.
    pub(crate) fn identity(&self) -> Option<(&[CertificateDer<'static>], &Key)> {
        let loaded = self.loaded()?;
        Some((&loaded.chain, loaded.key.as_ref()?.as_ref().ok()?))
    }

    /// The client's own certificate, DER.
    pub(crate) fn leaf(&self) -> Option<&[u8]> {
        self.loaded().map(|loaded| &*loaded.chain[0])
    }

    /// Reads the certificate alone: a key beside it is neither checked nor kept. `None` where only
    /// the key tells which of several certificates it is.
    pub(crate) fn from_pem_without_key(pem: &[u8], name: &str) -> Result<Option<Self>> {
        let loaded = Loaded::of(pem, FieldNames::of_variable(name))?;
        let is_sure = x509::leaves(&loaded.chain).len() <= 1;
        Ok(is_sure.then(|| Self(Arc::new(Inner::Loaded(Box::new(loaded))))))
    }

    /// What tells two certificates apart: the chain's bytes, and whether there is a key.
    pub(crate) fn distinction(&self) -> impl Eq {
        self.loaded().map(|loaded| (loaded.chain.as_slice(), self.has_private_key()))
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
                .field("private_key", &self.identity().map(|_| "redacted"))
                .finish_non_exhaustive(),
            None => f.write_str("ClientCertificate(injected by proxy)"),
        }
    }
}

const NOT_A_PAIR: &str =
    "it does not belong to the certificate; give the pair that was issued together";
const COMPRESSED: &str = "certificate: its public key is a compressed point, which TLS servers refuse; ask the provider for another, with a request made from the key after openssl ec -in KEY -conv_form uncompressed -out NEW";

/// What an error calls a text, and a key in it: the fields' names, or a variable's.
#[derive(Clone, Copy)]
pub(super) struct FieldNames<'a> {
    name: &'a str,
    key: &'a str,
    purpose: &'static Purpose,
}

impl FieldNames<'static> {
    const CERTIFICATE: Self = Self { name: "certificate", ..Self::PRIVATE_KEY };
    const PRIVATE_KEY: Self =
        Self { name: "private_key", key: "private_key", purpose: &Purpose::TLS };
}

impl<'a> FieldNames<'a> {
    fn of_variable(name: &'a str) -> Self {
        Self { name, key: name, purpose: &Purpose::TLS }
    }

    /// Of a key that signs client assertions.
    pub(super) fn of_assertion(name: &'a str) -> Self {
        Self { name, key: name, purpose: &Purpose::ASSERTIONS }
    }
}

impl Loaded {
    /// The certificate without a key.
    fn of(text: &[u8], field: FieldNames<'_>) -> Result<Self> {
        let Some(certificates) = pem::certificates(text) else {
            return Err(field.error(pem::DAMAGED));
        };
        if certificates.is_empty() {
            return Err(field.no_certificate(text));
        }
        let leaf = x509::leaves(&certificates).first().copied().unwrap_or_default();
        Self::of_chain(x509::chain(certificates, leaf), field)
    }

    fn of_chain(chain: Vec<CertificateDer<'static>>, field: FieldNames<'_>) -> Result<Self> {
        let Some(Fields { not_before, not_after, .. }) = Fields::of(&chain[0]) else {
            return Err(field.error(
                "the first CERTIFICATE block is not an X.509 certificate; it may be damaged",
            ));
        };
        let header_value =
            utf8_percent_encode(&pem::certificate_text(&chain[0]), UNRESERVED).to_string();
        if header_value.len() > LONGEST_HEADER_VALUE {
            return Err(field.error(&format!(
                "its X-SSL-Client-Cert header value is {} bytes, over the {LONGEST_HEADER_VALUE} that fit nginx's 8 KiB header buffer; ask the provider for a smaller certificate (fewer names, an EC key)",
                header_value.len()
            )));
        }
        Ok(Self { chain, key: None, header_value, not_before, not_after, origin: None })
    }

    /// With the key that stands in the certificate's own text.
    fn with_key_of(self, text: &[u8], field: FieldNames<'_>) -> Self {
        match self.adopted(text, field) {
            None => self,
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => Self { key: Some(Err(error)), ..self },
        }
    }

    fn with_key_apart(self, text: &[u8], field: FieldNames<'_>) -> Result<Self> {
        self.adopted(text, field).unwrap_or_else(|| Err(field.no_key(text)))
    }

    /// The key among those of the text that fits a certificate, and that certificate first. `None`
    /// where there is no key in it.
    fn adopted(&self, text: &[u8], field: FieldNames<'_>) -> Option<Result<Self>> {
        let mut problem = None;
        for key in pem::blocks(text).iter().filter_map(|block| key::of(block, field)) {
            match key {
                Ok(key) => match self.leaf_of(&key) {
                    Some(leaf) => return Some(self.clone().with_pair(leaf, key, field)),
                    None => {
                        problem.get_or_insert_with(|| Err(field.key_error(NOT_A_PAIR)));
                    }
                },
                // It may be the one that fits.
                Err(error) => problem = Some(Err(error)),
            }
        }
        problem
    }

    fn with_pair(mut self, leaf: usize, key: Key, field: FieldNames<'_>) -> Result<Self> {
        if leaf > 0 {
            self = Self::of_chain(x509::chain(self.chain, leaf), field)?;
        }
        if Fields::of(&self.chain[0]).is_some_and(|fields| fields.has_compressed_key()) {
            return Err(Error::certificate(COMPRESSED));
        }
        Ok(Self { key: Some(Ok(key)), ..self })
    }

    /// Which certificate the key belongs to, by its public part (SubjectPublicKeyInfo).
    fn leaf_of(&self, key: &Key) -> Option<usize> {
        let public_key = key.public_key()?;
        let is_for = |der: &CertificateDer<'_>| {
            Fields::of(der).is_some_and(|fields| fields.is_for(&public_key))
        };
        self.chain.iter().position(is_for)
    }
}

impl FieldNames<'_> {
    fn error(&self, problem: &str) -> Error {
        (self.purpose.error)(format!("{}: {problem}", self.name))
    }

    fn key_error(&self, problem: &str) -> Error {
        (self.purpose.error)(format!("{}: {problem}", self.key))
    }

    /// Where only another key helps.
    pub(super) fn another_key(&self, problem: &str) -> Error {
        self.key_error(&self.purpose.another(problem))
    }

    fn no_certificate(&self, text: &[u8]) -> Error {
        if let Some(what) = pem::what_instead(text, false) {
            return self.error(what);
        }
        let has_key = pem::blocks(text).iter().any(|block| key::of(block, *self).is_some());
        self.error(if has_key {
            "holds a private key but no certificate; give the file that has -----BEGIN CERTIFICATE-----, and the key apart"
        } else {
            "no -----BEGIN CERTIFICATE----- block found; give the PEM file that the provider issued"
        })
    }

    fn no_key(&self, text: &[u8]) -> Error {
        self.error(pem::what_instead(text, true).unwrap_or(
            "no PRIVATE KEY block found; give the PEM file with -----BEGIN PRIVATE KEY-----",
        ))
    }
}
