//! Certificate authorities that a program names.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts};

use crate::error::{Error, Result};

/// Certificate authorities to trust instead of Mozilla's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots(Arc<[CertificateDer<'static>]>);

impl Roots {
    /// Every certificate in the PEM text; ureq would ignore bad ones in silence.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |what| Error::configuration(format!("root_certificates_pem: {what}"));
        let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| bad("a PEM block is damaged; copy the file again"))?;
        if roots.is_empty() {
            return Err(bad("no CERTIFICATE block found; give the certificate authority's PEM"));
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

    pub(super) fn to_ureq(&self) -> RootCerts {
        let roots: Vec<_> =
            self.0.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        RootCerts::new_with_certs(&roots)
    }

    #[cfg(test)]
    pub(super) fn of_der(roots: Vec<CertificateDer<'static>>) -> Self {
        Self(roots.into())
    }
}
