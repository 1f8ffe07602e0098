//! One thing that is remembered: a failure, until when it holds requests back, and whose.

use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime};

use ring::rand::SecureRandom as _;
use ring::{pbkdf2, rand};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

use crate::base::clock::Now;
use crate::base::fields::{
    base64, moment, moment_if_any, read_base64, read_message, read_moment, read_moment_if_any,
};
use crate::base::secret::Secret;
use crate::types::error::{Error, ErrorKind};

/// OWASP's figure for PBKDF2-HMAC-SHA256: a fraction of a second, paid only while a refusal is
/// remembered.
pub(super) const ITERATIONS: NonZeroU32 =
    NonZeroU32::new(if cfg!(paytoken_model) { 1 } else { 600_000 }).expect("not zero");

/// Of so many secrets it is remembered whether a mark is theirs.
const MOST_COMPARED: usize = 8;

/// The error that somebody met, how often in a row, and until when it holds requests back.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Remembered {
    #[serde(serialize_with = "kind", deserialize_with = "read_kind")]
    pub(super) kind: ErrorKind,
    pub(super) status: Option<u16>,
    #[serde(deserialize_with = "read_message")]
    pub(super) message: String,
    /// When it was.
    #[serde(default, serialize_with = "moment_if_any", deserialize_with = "read_moment_if_any")]
    pub(super) at: Option<SystemTime>,
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    pub(super) until: SystemTime,
    /// The same by this process's monotonic clock, since it was noted or first read here.
    #[serde(skip)]
    pub(super) until_here: Option<Instant>,
    /// The error itself, with what led to it, where it was met in this process.
    #[serde(skip)]
    pub(super) met_here: Option<Error>,
    /// Requests in a row that ended so.
    pub(super) times: u32,
    /// Whose refusal it is; without one it is for every secret.
    pub(super) secret: Option<Mark>,
    /// How much time was not enough: it holds back those who allow no more.
    pub(super) allowed: Option<Duration>,
}

impl Remembered {
    /// `None` where the clock does not reach so far.
    pub(super) fn of(error: &Error, now: Now, wait: Duration, times: u32) -> Option<Self> {
        let until = now.checked_add(wait)?;
        Some(Self {
            kind: error.kind(),
            status: error.status(),
            message: error.message().to_owned(),
            at: Some(now.wall),
            until: until.wall,
            until_here: Some(until.monotonic),
            met_here: Some(error.clone()),
            times,
            secret: None,
            allowed: None,
        })
    }

    /// How long it still holds. One from a clock that is ahead holds nobody.
    pub(super) fn left(&self, now: Now, longest: Duration) -> Option<Duration> {
        let left = match self.until_here {
            Some(until) => until.checked_duration_since(now.monotonic),
            None => self.until.duration_since(now.wall).ok(),
        };
        left.filter(|left| !left.is_zero() && *left <= longest)
    }

    /// From now on this process's own clock counts. `known` is what was remembered here before.
    pub(super) fn pin(&mut self, now: Now, longest: Duration, known: &[Self]) {
        let is_it = |known: &&Self| known.until == self.until && known.kind == self.kind;
        let same = known.iter().find(is_it);
        match same {
            Some(known) => {
                self.until_here = known.until_here;
                self.met_here.clone_from(&known.met_here);
            }
            None => {
                let left = self.left(now, longest).unwrap_or_default();
                self.until_here = Some(now.monotonic + left);
            }
        }
    }

    /// How often in a row, unless it is too long ago to count.
    pub(super) fn times_within(&self, now: Now, lapse: Duration) -> u32 {
        let has_lapsed = now.wall.duration_since(self.until).is_ok_and(|ago| ago > lapse);
        if has_lapsed { 0 } else { self.times }
    }

    /// Whether it is of the same secret, or both are for all.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        match (&self.secret, &other.secret) {
            (None, None) => true,
            (Some(own), Some(other)) => own.is_same(other),
            _ => false,
        }
    }

    pub(super) fn outlasts(&self, other: &Option<Self>) -> bool {
        other.as_ref().is_none_or(|other| self.until > other.until)
    }

    pub(super) fn error(&self) -> Error {
        if let Some(error) = &self.met_here {
            return error.clone();
        }
        let error = Error::new(self.kind, &*self.message);
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

/// By what a secret is known again: in this process by a number, in a store by what is slow to compute.
#[derive(Clone)]
pub(crate) struct Mark {
    derived: Option<Derived>,
    /// Secrets of this process, and whether it is theirs.
    compared: Vec<(u64, bool)>,
}

impl Mark {
    pub(super) fn of(secret: u64) -> Self {
        Self { derived: None, compared: vec![(secret, true)] }
    }

    /// `None` where that was not found out.
    pub(super) fn is_of(&self, secret: u64) -> Option<bool> {
        self.compared.iter().find(|(known, _)| *known == secret).map(|(_, is_its)| *is_its)
    }

    pub(super) fn has_salt_of(&self, other: &Derived) -> bool {
        self.derived.as_ref().is_some_and(|own| own.salt == other.salt)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_known =
            |(secret, is_its): &(u64, bool)| *is_its && self.is_of(*secret) == Some(true);
        other.derived.as_ref().is_some_and(|derived| self.has_salt_of(derived))
            || other.compared.iter().any(is_known)
    }

    pub(super) fn derived(&self) -> Option<&Derived> {
        self.derived.as_ref()
    }

    pub(super) fn learn(&mut self, secret: u64, is_its: bool) {
        self.compared.truncate(MOST_COMPARED - 1);
        self.compared.insert(0, (secret, is_its));
    }

    /// What was found out of the same mark before.
    pub(super) fn take_over<'a>(&mut self, mut known: impl Iterator<Item = &'a Self>) {
        if let Some(derived) = &self.derived
            && let Some(same) = known.find(|known| known.has_salt_of(derived))
        {
            self.compared.clone_from(&same.compared);
        }
    }

    /// Makes it one that a store can hold. Slow on purpose.
    pub(super) fn derive(&mut self, number: u64, secret: impl Fn() -> Secret) {
        if self.derived.is_none() && self.is_of(number) == Some(true) {
            self.derived = Derived::of(&secret());
        }
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.derived.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Derived::deserialize(from)
            .map(|derived| Self { derived: Some(derived), compared: Vec::new() })
    }
}

/// What a secret can be recognised by, slowly.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Derived {
    #[serde(serialize_with = "base64", deserialize_with = "read_base64")]
    salt: [u8; 16],
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

fn kind<S: Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{kind:?}"))
}

/// One of the kinds that can be remembered.
fn read_kind<'de, D: Deserializer<'de>>(from: D) -> Result<ErrorKind, D::Error> {
    let name = String::deserialize(from)?;
    [
        ErrorKind::Configuration,
        ErrorKind::Certificate,
        ErrorKind::Rejected,
        ErrorKind::Forbidden,
        ErrorKind::RateLimited,
        ErrorKind::ServerUnavailable,
        ErrorKind::Transport,
        ErrorKind::Timeout,
        ErrorKind::InvalidResponse,
    ]
    .into_iter()
    .find(|kind| format!("{kind:?}") == name)
    .ok_or_else(|| D::Error::custom("no such kind"))
}
