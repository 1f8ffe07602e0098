//! `--timeout`: the whole command ends by it, whatever it waits for.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use paytoken::{ErrorKind, Result};

use crate::exit::Failure;
use crate::terminal::tell;

/// Of the command, unless another is set.
pub(crate) const DEFAULT: Duration = Duration::from_secs(15);

/// What bounds its own time is let finish, and say why it did not.
const GRACE: Duration = Duration::from_millis(300);

/// Pauses grow to so many times the first.
const LONGEST_PAUSE_FACTOR: u32 = 4;

#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// Counted from now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the command reads a clock")]
    pub(crate) fn after(limit: Duration) -> Self {
        Self { began: Instant::now(), limit }
    }

    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Asks, and asks again where the store's failure may be over soon, as a fail-over is: while there
    /// is time for a pause and for an attempt that takes as long as the last one. Each attempt but the first is
    /// told how much time is left.
    pub(crate) fn ask<T>(&self, ask: impl Fn(Option<Duration>) -> Result<T>) -> Result<T> {
        let (mut factor, mut again) = (1, None);
        loop {
            let before = self.left();
            let error = match ask(again) {
                Err(error) if error.kind() == ErrorKind::Store => error,
                answer => return answer,
            };
            let left = self.left();
            let pause = error.retry_after().map(|wait| wait * factor);
            let Some(pause) = pause.filter(|pause| *pause + (before - left) < left) else {
                return Err(error);
            };
            debug!("{error}; asked again in {pause:?}");
            thread::sleep(pause);
            factor = (factor * 2).min(LONGEST_PAUSE_FACTOR);
            again = Some(self.left());
        }
    }

    pub(crate) fn passed(&self, waited_for: &str) -> Failure {
        Failure::Temporary(format!(
            "{waited_for} in vain for {:?}; try again, or raise --timeout",
            self.limit
        ))
    }

    /// Ends the command when the time is up, if `work` has not ended: for what cannot be
    /// interrupted, such as opening a FIFO that nobody writes to.
    pub(crate) fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, is_done) = mpsc::channel::<()>();
        let left = self.left() + GRACE;
        let failure = self.passed("waited");
        let watch = move || {
            if is_done.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
                tell(&failure);
                std::process::exit(failure.code().into());
            }
        };
        // Without a thread there is no watch; what bounds its own time is bounded all the same.
        let watch = thread::Builder::new().spawn(watch);
        let result = work();
        drop(done);
        drop(watch);
        result
    }
}
