//! A clock that moves by hand.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paytoken::{Clock, Now};

/// When every fault begins, a whole second, so that dates in headers, which are cut to seconds, are
/// exact: Thu, 01 Jan 2026 00:00:00 GMT.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Now>>);

impl ManualClock {
    /// So long before the fault.
    pub fn before_start(by: Duration) -> Self {
        Self(Arc::new(Mutex::new(Now { wall: start() - by, ..Now::from_system() })))
    }

    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}
