//! Waiting for what no event tells of.

use std::thread;
use std::time::{Duration, Instant};

/// Nothing is waited for longer than this: a hang becomes a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until it is so; there is no event to wait for in another process.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
