//! The one place that reads the clock. Everything else is handed a [`Now`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, fs};

use serde::{Deserialize, Serialize};

use crate::base::fields::{read_span, span};

/// One moment on both clocks.
///
/// The monotonic clock survives a stepped wall clock, the wall clock survives a suspended machine;
/// a token ends with whichever says so first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

/// Where a [`TokenSource`](crate::TokenSource) reads the time. The default is the system's clocks;
/// a test hands in its own with [`Builder::clock`](crate::Builder::clock).
///
/// It decides when a token ends and when a refusal is forgotten. How long a call waits is always
/// measured in real time.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// use paytoken::{Clock, Now};
///
/// /// Moved by hand.
/// #[derive(Clone)]
/// struct ManualClock(Arc<Mutex<Now>>);
///
/// impl ManualClock {
///     fn advance(&self, by: Duration) {
///         let mut now = self.0.lock().unwrap();
///         now.monotonic += by;
///         now.wall += by;
///     }
/// }
///
/// impl Clock for ManualClock {
///     fn now(&self) -> Now {
///         *self.0.lock().unwrap()
///     }
/// }
///
/// let clock = ManualClock(Arc::new(Mutex::new(Now::from_system())));
/// let before = clock.now(); // hand a clone to `Builder::clock`
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().wall, before.wall + Duration::from_secs(60));
/// ```
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Now;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Now {
        (**self).now()
    }
}

impl Now {
    /// Reads the system's clocks.
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn from_system() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

impl Now {
    /// Whether both clocks stand before this moment.
    pub(crate) fn is_before(self, moment: Self) -> bool {
        self.monotonic < moment.monotonic && self.wall < moment.wall
    }

    /// The moment at which this much time has passed on both clocks, if they reach so far.
    pub(crate) fn checked_add(self, time: Duration) -> Option<Self> {
        let (monotonic, wall) = (self.monotonic.checked_add(time)?, self.wall.checked_add(time)?);
        Some(Self { monotonic, wall })
    }

    /// What comes last, on each clock.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { monotonic: self.monotonic.max(other.monotonic), wall: self.wall.max(other.wall) }
    }

    /// What comes first, on each clock.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { monotonic: self.monotonic.min(other.monotonic), wall: self.wall.min(other.wall) }
    }

    /// The moment at which this much time has passed on both clocks.
    #[cfg(test)]
    pub(crate) fn after(self, time: Duration) -> Self {
        self.checked_add(time).unwrap()
    }
}

/// Real monotonic time, for deadlines of waits and requests.
#[cfg(not(all(test, paytoken_model)))]
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
#[cfg(all(test, paytoken_model))]
pub(crate) use crate::base::sync::simulated::monotonic;

/// A moment by which a call has to be over, in real time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        // A limit too large for the clock is no limit.
        Self(monotonic().checked_add(limit))
    }

    pub(crate) fn at(end: Instant) -> Self {
        Self(Some(end))
    }

    pub(crate) fn remaining(&self) -> Duration {
        match self.0 {
            Some(end) => end.saturating_duration_since(monotonic()),
            None => Duration::MAX,
        }
    }
}

/// Which boot of the machine, and for how long it had run then, asleep or not: whatever the wall clock is
/// set to, two processes can tell how much time has passed. Linux alone says both without the system's
/// own functions.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Boot {
    pub(crate) id: String,
    #[serde(serialize_with = "span", deserialize_with = "read_span")]
    pub(crate) up_for: Duration,
}

impl Boot {
    fn now() -> Option<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let seconds = uptime.split(' ').next()?.parse().ok()?;
        Some(Self { id, up_for: Duration::try_from_secs_f64(seconds).ok()? })
    }
}

#[derive(Clone, Default)]
pub(crate) enum ClockSource {
    #[default]
    System,
    Custom(Arc<dyn Clock>),
}

impl ClockSource {
    pub(crate) fn now(&self) -> Now {
        match self {
            Self::System => Now::from_system(),
            Self::Custom(clock) => clock.now(),
        }
    }

    /// This moment of the past by the machine's own time; `None` for a clock of the program's own.
    pub(crate) fn boot_at(&self, moment: Instant) -> Option<Boot> {
        let Self::System = self else { return None };
        let now = Boot::now()?;
        let ago = self.now().monotonic.saturating_duration_since(moment);
        Some(Boot { up_for: now.up_for.saturating_sub(ago), ..now })
    }

    /// How much of the machine's own time has passed since; `None` where it has booted meanwhile.
    pub(crate) fn time_since(&self, boot: &Boot) -> Option<Duration> {
        let Self::System = self else { return None };
        let now = Boot::now().filter(|now| now.id == boot.id)?;
        Some(now.up_for.saturating_sub(boot.up_for))
    }
}

impl fmt::Debug for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Custom(_) => "Custom",
        })
    }
}
