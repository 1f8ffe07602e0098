//! TLS: what connections have in common, and ureq's link for it.
//!
//! ureq has a link of its own, but that takes a client certificate only where webpki can read it:
//! one of X.509 version 1, as `openssl x509 -req` makes it, ends in a panic there.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::roots::Roots;
use super::wire::{Phase, Wire};
use crate::credentials::certificate::ClientCertificate;

/// Whom to trust, and whom to be. TLS sessions are resumed among connections that share it.
pub(super) fn config(
    certificate: Option<&ClientCertificate>,
    roots: Option<&Roots>,
) -> Arc<ClientConfig> {
    let roots = match roots {
        Some(roots) => roots.store(),
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    // Ours, whatever the program installed as its default.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(ALL_VERSIONS)
        .expect("ring has suites for both versions")
        .with_root_certificates(roots);
    Arc::new(match certificate.and_then(ClientCertificate::identity) {
        Some((chain, key)) => {
            let identity = CertifiedKey::new(chain.to_vec(), key.clone());
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    })
}

/// For the provider, and for a proxy where that speaks TLS itself.
#[derive(Clone, Debug)]
pub(super) struct Configs {
    pub(super) provider: Arc<ClientConfig>,
    /// Without the client certificate: it is the provider's to see.
    pub(super) proxy: Option<Arc<ClientConfig>>,
}

/// The link: TLS over the connection below it, where the address is https.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) configs: Configs,
    pub(super) wire: Arc<Wire>,
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Encrypted>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(inner) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() {
            return Ok(Some(Either::A(inner)));
        }
        let host = details.uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = match bare.parse::<std::net::IpAddr>() {
            Ok(address) => ServerName::IpAddress(IpAddr::from(address)),
            Err(_) => ServerName::try_from(bare.to_owned())
                .map_err(|_| Error::Tls("the host name cannot be that of a certificate"))?,
        };
        let for_proxy = self.configs.proxy.as_ref().filter(|_| self.wire.is_to_proxy(details));
        let config = for_proxy.unwrap_or(&self.configs.provider);
        let mut connection = ClientConnection::new(config.clone(), name)?;
        let mut below = TransportAdapter::new(inner.boxed(), details.current_time.clone());
        below.set_timeout(details.timeout);
        connection.complete_io(&mut below)?;
        let sizes = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Encrypted {
            buffers: LazyBuffers::new(sizes.0, sizes.1),
            stream: StreamOwned::new(connection, below),
            wire: self.wire.clone(),
        })))
    }
}

pub(super) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    wire: Arc<Wire>,
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        while self.stream.conn.wants_read() {
            let (read, written) = self.stream.conn.complete_io(&mut self.stream.sock)?;
            let is_old = self.stream.conn.protocol_version() == Some(ProtocolVersion::TLSv1_2);
            // Who only reads has one thing to say in TLS 1.2: that there will be no other handshake.
            if is_old && self.wire.was_sent() && (written > 0 || self.stream.conn.wants_write()) {
                self.wire.reach(Phase::OtherHandshake);
            }
            if (read, written) == (0, 0) {
                break;
            }
        }
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// No connection is used twice.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}
