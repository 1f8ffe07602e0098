//! Certificates: the sandbox's own authority, made at start and forgotten at the end.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::{clock, text};

/// A certificate and its private key, both as PEM.
#[derive(Clone)]
pub struct IssuedCertificate {
    /// The certificate, alone.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for IssuedCertificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IssuedCertificate").finish_non_exhaustive()
    }
}

/// Whether a listener asks for a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    None,
    Optional,
    Required,
}

/// The certificate authority that every certificate of one sandbox comes from.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> io::Result<Authority> {
        // A name of its own: with equal names a certificate of another sandbox would look like
        // a forgery of this one's, and fail with another alert than an unknown issuer's.
        let number = text::hexadecimal(&text::random::<4>());
        let mut params = params(&format!("paytoken sandbox authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let pem = issuer.pem();
        Ok(Authority { issuer, pem })
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs any certificate for any key: for tests of odd certificates.
    ///
    /// # Panics
    /// If the parameters cannot be written as a certificate.
    pub fn sign(&self, params: CertificateParams, key: &KeyPair) -> IssuedCertificate {
        IssuedCertificate {
            certificate_pem: self.sign_public_key(params, key),
            key_pem: key.serialize_pem(),
        }
    }

    /// Signs a certificate for a key that rcgen itself cannot hold; returns the PEM.
    ///
    /// # Panics
    /// If the parameters cannot be written as a certificate.
    pub fn sign_public_key(&self, params: CertificateParams, key: &impl PublicKeyData) -> String {
        params
            .signed_by(key, &self.issuer)
            .expect("parameters that can be written as a certificate")
            .pem()
    }

    /// A client certificate as NTX Pay would issue it: P-256, valid from yesterday for about a year.
    pub(crate) fn client_certificate(&self, common_name: &str) -> IssuedCertificate {
        let mut params = params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a P-256 key can be made");
        self.sign(params, &key)
    }

    /// The TLS settings of a listener for 127.0.0.1, ::1 and localhost.
    pub(crate) fn server_config(
        &self,
        client_certificate: ClientCertificate,
    ) -> io::Result<Arc<ServerConfig>> {
        let mut params = params("paytoken sandbox");
        for name in ["127.0.0.1", "::1", "localhost"] {
            let mut names = CertificateParams::new(vec![name.to_owned()])
                .map_err(io::Error::other)?
                .subject_alt_names;
            params.subject_alt_names.append(&mut names);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = if client_certificate != ClientCertificate::None {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).map_err(io::Error::other)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match client_certificate {
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        // Tickets keep resumption working for any number of clients; the default store holds 256.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// Parameters with a name and an ordinary validity: a client that checks dates sees plausible ones.
fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let today = clock::wall_milliseconds().div_euclid(86_400_000);
    let date = |days: i64| {
        let (year, month, day) = clock::civil_date(days);
        rcgen::date_time_ymd(year as i32, month as u8, day as u8)
    };
    params.not_before = date(today - 1);
    params.not_after = date(today + 366);
    params
}
