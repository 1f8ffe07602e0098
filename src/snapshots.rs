//! Copies of the current token, so that threads on a cached call share no memory they write to:
//! neither the slot's Mutex nor the token's count of clones.
//!
//! The slot's Mutex owns the truth. A copy counts only while the slot's version is the one it was
//! taken at, and only until the slot may have something to do; all copies are wiped when the token
//! is replaced or dropped, and with the source. None is made before two threads meet at the slot.

use std::sync::OnceLock;
use std::thread;

use crate::clock::Now;
use crate::sync::{Mutex, try_lock};
use crate::token::Token;

/// More would not help: each is for one thread at a time, and for a moment.
const MOST_STRIPES: usize = 32;

#[derive(Default)]
pub(crate) struct Snapshots {
    stripes: OnceLock<Box<[Stripe]>>,
}

/// On cache lines of its own (two, which processors fetch together).
#[derive(Default)]
#[repr(align(128))]
struct Stripe(Mutex<Option<Snapshot>>);

/// A token for as long as nothing is to be done for it.
pub(crate) struct Snapshot {
    pub(crate) token: Token,
    /// The slot's version when it was taken.
    pub(crate) version: u64,
    pub(crate) quiet_until: Now,
}

impl Snapshots {
    /// A copy that is of this version and still quiet.
    pub(crate) fn get(&self, now: Now, version: impl FnOnce() -> u64) -> Option<Token> {
        let stripes = self.stripes.get()?;
        let held = in_turn(stripes).find_map(|stripe| try_lock(&stripe.0))?;
        let snapshot = held.as_ref().filter(|snapshot| now.is_before(snapshot.quiet_until))?;
        // With the stripe's lock held: who changes the version wipes the stripes afterwards.
        (snapshot.version == version()).then(|| snapshot.token.clone())
    }

    /// Whether threads have met at the slot before.
    pub(crate) fn are_in_use(&self) -> bool {
        self.stripes.get().is_some()
    }

    /// Keeps a copy for this thread's next call.
    pub(crate) fn put(&self, snapshot: Snapshot, version: impl FnOnce() -> u64) {
        let stripes = self.stripes.get_or_init(|| {
            let cores = thread::available_parallelism().map_or(4, usize::from);
            (0..(2 * cores).clamp(4, MOST_STRIPES)).map(|_| Stripe::default()).collect()
        });
        if let Some(mut held) = in_turn(stripes).find_map(|stripe| try_lock(&stripe.0))
            && snapshot.version == version()
        {
            let token = snapshot.token.copied();
            *held = Some(Snapshot { token, ..snapshot });
        }
    }

    /// Wipes all copies.
    pub(crate) fn clear(&self) {
        for stripe in self.stripes.get().into_iter().flatten() {
            let copy = stripe.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            drop(copy);
        }
    }
}

/// All stripes, this thread's own first.
fn in_turn(stripes: &[Stripe]) -> impl Iterator<Item = &Stripe> {
    let (before, rest) = stripes.split_at(number_of_thread() % stripes.len());
    rest.iter().chain(before)
}

/// Threads are numbered as they come here.
fn number_of_thread() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(all(test, not(paytoken_model)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_copy_counts_for_its_version_and_until_its_moment_and_has_memory_of_its_own() {
        let now = Now::from_system();
        let token = Token::granted(&"t".repeat(50), Duration::from_secs(600), now);
        let quiet_until = token.moment_of_age(Duration::from_secs(480)).unwrap();
        let snapshots = Snapshots::default();
        let put = |taken_at, version| {
            let token = token.clone();
            snapshots.put(Snapshot { token, version: taken_at, quiet_until }, || version);
        };
        assert!(snapshots.get(now, || 1).is_none() && !snapshots.are_in_use());
        put(1, 2);
        assert!(snapshots.are_in_use());
        assert!(snapshots.get(now, || 1).is_none(), "it was late");
        put(2, 2);
        let copy = snapshots.get(now, || 2).unwrap();
        assert_eq!(copy.bearer(), token.bearer());
        assert_ne!(copy.bearer().as_ptr(), token.bearer().as_ptr());
        assert!(snapshots.get(now, || 3).is_none(), "another version");
        let instant = Duration::from_nanos(1);
        let [mut monotonic, mut wall] = [quiet_until; 2];
        monotonic.wall -= instant;
        wall.monotonic -= instant;
        for late in [quiet_until, monotonic, wall] {
            assert!(snapshots.get(late, || 2).is_none());
        }
        wall.wall -= instant;
        assert!(snapshots.get(wall, || 2).is_some());
        snapshots.clear();
        assert!(snapshots.get(now, || 2).is_none());
    }
}
