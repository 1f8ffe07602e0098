//! Holds: token requests kept waiting until a test lets them go.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::state::ServiceState;

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
        self.gate.wait_for_arrivals(arrivals, timeout)
    }

    /// How many token requests have arrived since the hold began.
    pub fn arrivals(&self) -> usize {
        self.gate.arrivals()
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
