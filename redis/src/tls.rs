//! TLS to Redis: whom to trust, and whom to be. Without the feature `tls` there is none.

#[cfg(feature = "tls")]
pub(crate) use self::with::*;
#[cfg(not(feature = "tls"))]
pub(crate) use self::without::*;

#[cfg(feature = "tls")]
mod with {
    use std::sync::Arc;

    use paytoken::{Error, Result, Secret};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use crate::failure::Failure;
    use crate::wire::Timed;

    pub(crate) type Encrypted = Box<StreamOwned<ClientConnection, Timed>>;
    pub(crate) type Config = Arc<ClientConfig>;

    /// What the program named.
    #[derive(Clone, Default)]
    pub(crate) struct Wishes {
        pub(crate) authorities: Option<Vec<u8>>,
        pub(crate) certificate: Option<(Vec<u8>, Secret)>,
    }

    impl Wishes {
        /// A field that is set.
        pub(crate) fn named(&self) -> Option<&'static str> {
            let authorities = self.authorities.as_ref().map(|_| "root_certificates_pem");
            authorities.or(self.certificate.as_ref().map(|_| "client_certificate_pem"))
        }
    }

    pub(crate) fn config(wishes: &Wishes) -> Result<Config> {
        let mut roots = RootCertStore::empty();
        match &wishes.authorities {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for authority in CertificateDer::pem_slice_iter(pem) {
                    let is_added = authority.is_ok_and(|authority| roots.add(authority).is_ok());
                    if !is_added {
                        return Err(Error::configuration(
                            "root_certificates_pem: a certificate in it cannot be used; give the authority's PEM",
                        ));
                    }
                }
                if roots.is_empty() {
                    return Err(Error::configuration(
                        "root_certificates_pem: no CERTIFICATE block found; give the authority's PEM",
                    ));
                }
            }
        }
        // Ours, whatever the program installed as its default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(ALL_VERSIONS)
            .expect("ring has suites for both versions")
            .with_root_certificates(roots);
        let config = match &wishes.certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let unusable = "client_certificate_pem: certificate and key cannot be used; give the certificate's PEM and the unencrypted key that belongs to it";
                let chain = CertificateDer::pem_slice_iter(certificate)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|_| Error::configuration(unusable))?;
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                    .map_err(|_| Error::configuration(unusable))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| Error::configuration(unusable).with_source(error))?
            }
        };
        Ok(Arc::new(config))
    }

    pub(crate) fn encrypted(
        config: &Config,
        name: &str,
        socket: Timed,
    ) -> Result<Encrypted, Failure> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Failure::Garbage)?;
        let session = ClientConnection::new(config.clone(), name).map_err(|_| Failure::Garbage)?;
        Ok(Box::new(StreamOwned::new(session, socket)))
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use paytoken::{Error, Result};

    /// There is none.
    #[derive(Clone)]
    pub(crate) enum Config {}

    #[derive(Clone, Default)]
    pub(crate) struct Wishes {}

    impl Wishes {
        pub(crate) fn named(&self) -> Option<&'static str> {
            None
        }
    }

    pub(crate) fn config(_: &Wishes) -> Result<Config> {
        Err(Error::configuration(
            "Redis URL: asks for TLS, which this program was built without (feature tls of paytoken-redis)",
        ))
    }
}
