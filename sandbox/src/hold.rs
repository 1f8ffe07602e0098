//! Holds: token requests kept waiting until a test lets them go.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::state::ServiceState;
use crate::text::lock;

/// Keeps token requests waiting, read and counted but not yet processed, until it is released or
/// dropped. Made by [`Sandbox::hold`](crate::Sandbox::hold).
#[must_use = "the hold ends when it is dropped"]
pub struct Hold {
    pub(crate) gate: Arc<Gate>,
    pub(crate) state: Arc<ServiceState>,
}

impl Hold {
    /// Waits until this many token requests have arrived since the hold began; false if they did
    /// not within the time-out.
    pub fn wait_for_arrivals(&self, arrivals: usize, timeout: Duration) -> bool {
        let inner = lock(&self.gate.inner);
        let (inner, _) = self
            .gate
            .changed
            .wait_timeout_while(inner, timeout, |inner| inner.arrivals < arrivals)
            .unwrap_or_else(PoisonError::into_inner);
        inner.arrivals >= arrivals
    }

    /// How many token requests have arrived since the hold began.
    pub fn arrivals(&self) -> usize {
        lock(&self.gate.inner).arrivals
    }

    /// Lets all waiting requests go on, and holds no more.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.state.remove_gate(&self.gate);
        self.gate.open();
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hold").field("arrivals", &self.arrivals()).finish_non_exhaustive()
    }
}

/// The gate that held requests wait at.
#[derive(Default)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    arrivals: usize,
    open: bool,
}

impl Gate {
    pub(crate) fn arrive(&self) {
        lock(&self.inner).arrivals += 1;
        self.changed.notify_all();
    }

    pub(crate) fn wait(&self) {
        let inner = lock(&self.inner);
        drop(
            self.changed
                .wait_while(inner, |inner| !inner.open)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    pub(crate) fn open(&self) {
        lock(&self.inner).open = true;
        self.changed.notify_all();
    }
}
