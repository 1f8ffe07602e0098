//! A clock that only moves when told to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use paytoken::{Clock, Now};

/// A clock that only moves when told to; both its hands can be moved apart. Copies move together.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Now>>);

impl ManualClock {
    /// Starts now.
    #[allow(clippy::new_without_default)] // two of them are not equal
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Now::from_system())))
    }

    /// Starts now on the monotonic clock and at `wall` on the wall clock.
    pub fn at(wall: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(Now { wall, ..Now::from_system() })))
    }

    /// Moves both hands, at once.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall += by;
    }

    /// As on a machine whose wall clock was set back by as much meanwhile.
    pub fn advance_monotonic_only(&self, by: Duration) {
        self.0.lock().unwrap().monotonic += by;
    }

    /// As where somebody sets the wall clock.
    pub fn step_wall_forward(&self, by: Duration) {
        self.0.lock().unwrap().wall += by;
    }

    /// As where somebody sets the wall clock.
    pub fn step_wall_back(&self, by: Duration) {
        self.0.lock().unwrap().wall -= by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}
