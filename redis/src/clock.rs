//! Real monotonic time, for deadlines and pauses.

use std::time::{Duration, Instant};

#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// A moment by which a call has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        // A limit too large for the clock is no limit.
        Self(monotonic().checked_add(limit))
    }

    pub(crate) fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(monotonic()))
    }
}
