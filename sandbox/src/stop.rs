//! The signal that the sandbox is being dropped, and pauses that it ends.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::text::lock;

/// Set once, when the sandbox is dropped.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Ends every pause, now and from now on.
    pub(crate) fn stop(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }

    /// Whether the sandbox is being dropped.
    pub(crate) fn is_stopped(&self) -> bool {
        *lock(&self.stopped)
    }

    /// Pauses this thread, but not past the end of the sandbox.
    pub(crate) fn pause(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let guard = lock(&self.stopped);
        drop(
            self.changed
                .wait_timeout_while(guard, duration, |stopped| !*stopped)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
