//! A lock's lease, renewed while its holder lives: it is short, so that a holder that dies blocks
//! nobody for long.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::sync::lock;

/// Renews a lease on a thread of its own, which ends with this value.
pub(crate) struct Renewal {
    shared: Arc<Shared>,
    /// Until it is dropped.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    every: Duration,
    /// A holder that stands still for longer than it may need loses its lock, though its process lives.
    longest: Duration,
    next: Mutex<Next>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
enum Next {
    Renew {
        at: Instant,
        until: Instant,
    },
    /// The holder writes, which renews the lease. Were it renewed beside that, a Redis that does not
    /// answer would be waited for twice.
    Wait,
    End,
}

impl Renewal {
    /// Calls `renew` every so often for `longest`, or until it returns false.
    ///
    /// # Errors
    /// Where no thread is to be had.
    pub(crate) fn start(
        every: Duration,
        longest: Duration,
        renew: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (next, changed) = (Mutex::new(Next::Wait), Condvar::new());
        let shared = Arc::new(Shared { every, longest, next, changed });
        shared.set(shared.begins());
        let own = shared.clone();
        let run = move || own.run(&renew);
        let thread = thread::Builder::new().name("paytoken-lease".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs what renews the lease itself. Afterwards it begins anew.
    pub(crate) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.shared.set(Next::Wait);
        let result = write();
        self.shared.set(self.shared.begins());
        result
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.shared.set(Next::End);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn begins(&self) -> Next {
        let now = clock::monotonic();
        Next::Renew { at: now + self.every, until: now + self.longest }
    }

    fn set(&self, next: Next) {
        *lock(&self.next) = next;
        self.changed.notify_all();
    }

    fn run(&self, renew: &impl Fn() -> bool) {
        let mut next = lock(&self.next);
        loop {
            let now = clock::monotonic();
            next = match *next {
                Next::End => return,
                Next::Renew { until, .. } if until <= now => return,
                Next::Renew { at, until } if at <= now => {
                    *next = Next::Renew { at: now + self.every, until };
                    drop(next);
                    if !renew() {
                        return;
                    }
                    lock(&self.next)
                }
                Next::Renew { at, .. } => {
                    let wait = self.changed.wait_timeout(next, at - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Wait => self.changed.wait(next).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, TryRecvError};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn it_renews_until_it_is_dropped_and_not_while_its_holder_writes() {
        let (renewed, renewals) = mpsc::channel();
        let renewal = Renewal::start(SOON, LONG, move || renewed.send(()).is_ok()).unwrap();
        (0..3).for_each(|_| renewals.recv().unwrap());
        renewal.beside(|| {
            renewals.try_iter().for_each(drop);
            thread::sleep(50 * SOON);
            // One may have begun before.
            assert!(renewals.try_iter().count() <= 1, "it renewed");
        });
        renewals.recv().expect("it goes on");
        drop(renewal);
        // Its thread has ended, and what it ran with it.
        renewals.try_iter().for_each(drop);
        assert_eq!(renewals.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn it_ends_by_itself_when_the_lock_is_lost_and_when_the_holder_takes_too_long() {
        for (longest, is_held) in [(LONG, false), (20 * SOON, true)] {
            let (renewed, renewals) = mpsc::channel();
            let renew = move || renewed.send(()).is_ok() && is_held;
            let renewal = Renewal::start(SOON, longest, renew).unwrap();
            assert!(renewals.iter().count() >= 1, "it never renewed");
            drop(renewal);
        }
    }
}
