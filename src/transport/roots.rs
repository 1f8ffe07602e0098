//! Certificate authorities that a program names.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::credentials::certificate::pem;
use crate::types::error::{Error, Result};

/// Certificate authorities to trust instead of Mozilla's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots(Arc<[CertificateDer<'static>]>);

impl Roots {
    /// Every certificate in the PEM text; one that cannot be used is an error, which names this
    /// setting.
    pub(crate) fn from_pem(name: &str, text: &[u8]) -> Result<Self> {
        let bad = |what| Error::configuration(format!("{name}: {what}"));
        let roots = pem::certificates(text)
            .ok_or_else(|| bad("a PEM block is damaged; copy the file again"))?;
        if roots.is_empty() {
            return Err(bad(pem::what_instead(text, false)
                .unwrap_or("no CERTIFICATE block found; give the certificate authority's PEM")));
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| {
                bad("a certificate in it cannot be used as a certificate authority")
                    .with_source(error)
            })?;
        }
        Ok(Self(roots.into()))
    }

    /// Those that this system trusts, as far as they can be used.
    #[cfg(feature = "system-roots")]
    pub(crate) fn of_system() -> Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let is_usable = |der: &CertificateDer<'static>| store.add(der.clone()).is_ok();
        let roots: Vec<_> = found.certs.into_iter().filter(is_usable).collect();
        if roots.is_empty() {
            return Err(Error::configuration(
                "system_root_certificates: this system's certificate authorities were not found; install them (Debian: ca-certificates), or set SSL_CERT_FILE to their PEM file",
            ));
        }
        Ok(Self(roots.into()))
    }

    /// As PEM.
    #[cfg(feature = "system-roots")]
    pub(crate) fn to_pem(&self) -> String {
        self.0.iter().map(|der| pem::certificate_text(der)).collect()
    }

    /// As TLS uses them.
    pub(super) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        store
    }

    /// How many hold this copy of them.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    #[cfg(test)]
    pub(super) fn of_der(roots: Vec<CertificateDer<'static>>) -> Self {
        Self(roots.into())
    }
}
