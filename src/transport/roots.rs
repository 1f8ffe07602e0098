//! Certificate authorities that a program names.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::certificate::pem;
use crate::error::{Error, Result};

/// Certificate authorities to trust instead of Mozilla's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots(Arc<[CertificateDer<'static>]>);

impl Roots {
    /// Every certificate in the PEM text; one that cannot be used is an error.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self> {
        let bad = |what| Error::configuration(format!("root_certificates_pem: {what}"));
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

    /// As TLS uses them.
    pub(super) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        store
    }

    #[cfg(test)]
    pub(super) fn of_der(roots: Vec<CertificateDer<'static>>) -> Self {
        Self(roots.into())
    }
}
