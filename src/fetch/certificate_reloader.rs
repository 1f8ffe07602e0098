//! The client certificate, read again where its files have changed, and reported before it ends.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::base::sync::lock;
use crate::credentials::Credentials;
use crate::credentials::certificate::{ClientCertificate, Stamps};
use crate::transport::Transport;
use crate::types::error::Result;
use crate::types::event::EventKind;

/// Credentials and the way to their provider, with a certificate that was read after the source was
/// built.
pub(crate) struct Reloaded {
    pub(crate) credentials: Credentials,
    pub(crate) transport: Transport,
}

/// The client certificate of a source, as it was read last.
#[derive(Default)]
pub(crate) struct CertificateReloader(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the place of what the source was built with.
    newer: Option<Arc<Reloaded>>,
    /// The files as they were when they could not be used.
    failed: Option<Stamps>,
    /// When it was last reported that the certificate ends soon.
    told: Option<SystemTime>,
}

/// From this long before its end on, it is told.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);
const TOLD_EVERY: Duration = Duration::from_secs(24 * 3600);

impl CertificateReloader {
    /// The certificate's files are looked at. What is to be used instead of `first`, which the
    /// source was built with, and what is to be told.
    pub(crate) fn look(
        &self,
        first: &Credentials,
        transport: &Transport,
        wall: SystemTime,
    ) -> (Option<Arc<Reloaded>>, Vec<EventKind>) {
        let Some(certificate) = first.certificate() else {
            return (None, Vec::new());
        };
        let mut state = lock(&self.0);
        let mut news = Vec::new();
        let in_use = state.certificate().unwrap_or(certificate).clone();
        match in_use.read_again(&mut state.failed).map(|read| usable(read?, &in_use, wall)) {
            Some(Ok(read)) => {
                if read.leaf() != in_use.leaf() {
                    let not_after = read.not_after().unwrap_or(wall);
                    news.push(EventKind::CertificateRenewed { not_after });
                    state.told = None;
                }
                state.newer = Some(Arc::new(Reloaded {
                    transport: transport.with_certificate(&read),
                    credentials: first.with_certificate(read),
                }));
            }
            Some(Err(error)) => news.push(EventKind::CertificateNotRenewed { error }),
            None => {}
        }
        let in_use = state.certificate().unwrap_or(certificate);
        if let Some(not_after) = in_use.not_after()
            && let Ok(remaining) = not_after.duration_since(wall)
            && remaining < SOON
            && state.is_to_be_told(wall)
        {
            state.told = Some(wall);
            news.push(EventKind::CertificateExpiresSoon { not_after, remaining });
        }
        (state.newer.clone(), news)
    }

    /// When the certificate in use expires.
    pub(crate) fn not_after(&self, first: &Credentials) -> Option<SystemTime> {
        let certificate = first.certificate()?;
        lock(&self.0).certificate().unwrap_or(certificate).not_after()
    }
}

impl State {
    fn certificate(&self) -> Option<&ClientCertificate> {
        self.newer.as_ref()?.credentials.certificate()
    }

    fn is_to_be_told(&self, wall: SystemTime) -> bool {
        // A clock that was set back tells once more.
        self.told
            .and_then(|told| wall.duration_since(told).ok())
            .is_none_or(|since| since >= TOLD_EVERY)
    }
}

/// A certificate whose time has not come, or is over, takes no place of a valid one.
fn usable(
    read: ClientCertificate,
    in_use: &ClientCertificate,
    wall: SystemTime,
) -> Result<ClientCertificate> {
    match read.check_validity(wall) {
        Err(error) if in_use.check_validity(wall).is_ok() => Err(error),
        _ => Ok(read),
    }
}
