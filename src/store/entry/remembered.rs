//! What holds processes back: refusals, for one secret or for all, and an outage, for all.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use ring::rand::SecureRandom as _;
use ring::{pbkdf2, rand};
use serde::{Deserialize, Serialize};

use super::fields::{base64, kind, moment, read_base64, read_kind, read_message, read_moment};
use crate::base::secret::Secret;
use crate::policy::pace::{LONGEST, LONGEST_PAUSE};
use crate::types::error::{Error, ErrorKind};

/// OWASP's figure for PBKDF2-HMAC-SHA256: a fraction of a second, paid only while a refusal is
/// remembered.
const ITERATIONS: NonZeroU32 =
    NonZeroU32::new(if cfg!(paytoken_model) { 1 } else { 600_000 }).expect("not zero");

/// The error that a process met, and until when it holds.
#[derive(Deserialize, Serialize)]
pub(crate) struct RememberedFailure {
    #[serde(serialize_with = "kind", deserialize_with = "read_kind")]
    pub(crate) kind: ErrorKind,
    status: Option<u16>,
    #[serde(deserialize_with = "read_message")]
    message: String,
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    until: SystemTime,
}

/// A refusal by the provider, and for which secret; without one it is for all.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredRefusal {
    #[serde(flatten)]
    pub(crate) failure: RememberedFailure,
    pub(crate) strikes: u32,
    pub(crate) secret: Option<Derived>,
}

/// What a secret can be recognised by, slowly.
#[derive(Deserialize, Serialize)]
pub(crate) struct Derived {
    #[serde(serialize_with = "base64", deserialize_with = "read_base64")]
    pub(crate) salt: [u8; 16],
    #[serde(serialize_with = "base64", deserialize_with = "read_base64")]
    key: [u8; 32],
}

impl Derived {
    /// Slow on purpose.
    fn of(secret: &Secret) -> Option<Self> {
        let (mut salt, mut key) = ([0; 16], [0; 32]);
        rand::SystemRandom::new().fill(&mut salt).ok()?;
        let secret = secret.expose().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, secret, &mut key);
        Some(Self { salt, key })
    }

    /// Whether it is of this secret. Slow on purpose.
    pub(crate) fn is_of(&self, secret: &Secret) -> bool {
        let secret = secret.expose().as_bytes();
        pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &self.salt, secret, &self.key)
            .is_ok()
    }
}

/// An outage that a process has met: whatever the secret, nobody asks before its end.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredOutage {
    #[serde(flatten)]
    pub(crate) failure: RememberedFailure,
    /// Failed requests in a row.
    pub(crate) failures: u32,
}

impl RememberedFailure {
    fn of(error: &Error, until: SystemTime) -> Self {
        let (kind, status) = (error.kind(), error.status());
        Self { kind, status, message: error.message().to_owned(), until }
    }

    /// How long it still holds. One from a clock that is ahead is none.
    fn left(&self, wall: SystemTime, longest: Duration) -> Duration {
        self.until.duration_since(wall).ok().filter(|left| *left <= longest).unwrap_or_default()
    }

    pub(crate) fn error(&self) -> Error {
        let error = Error::new(self.kind, &*self.message);
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

impl StoredRefusal {
    /// `None` where it cannot be said for which secret it is. Slow on purpose with one.
    pub(crate) fn of(
        error: &Error,
        until: SystemTime,
        strikes: u32,
        secret: Option<&Secret>,
    ) -> Option<Self> {
        let secret = match secret {
            Some(secret) => Some(Derived::of(secret)?),
            None => None,
        };
        Some(Self { failure: RememberedFailure::of(error, until), strikes, secret })
    }

    /// How long it still stands.
    pub(crate) fn left(&self, wall: SystemTime) -> Duration {
        self.failure.left(wall, LONGEST)
    }
}

impl StoredOutage {
    pub(crate) fn of(error: &Error, until: SystemTime, failures: u32) -> Self {
        Self { failure: RememberedFailure::of(error, until), failures }
    }

    /// How long it still holds everybody back.
    pub(crate) fn left(&self, wall: SystemTime) -> Duration {
        self.failure.left(wall, LONGEST_PAUSE)
    }
}
