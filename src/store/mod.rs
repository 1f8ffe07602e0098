//! Sharing a token between processes: what a store has to do, and nothing about how.
//!
//! A store keeps one small entry of bytes per account and hands out an exclusive lock per account. It
//! knows nothing of tokens. [`FileStore`] is the store for one machine; [`Sealed`] encrypts any
//! store; [`conformance`] checks one of your own.

pub(crate) mod account;
pub mod conformance;
pub(crate) mod entry;
mod file;
mod place;
mod sealed;

use std::sync::Arc;
use std::time::Duration;

pub use account::Account;
pub use file::FileStore;
pub use place::Place;
pub use sealed::{Sealed, SealingKeys, Unsealed};

pub use crate::types::key::StoreKey;

use crate::types::error::Result;

/// A place where processes, or machines, share tokens. [`FileStore`] is one.
///
/// An entry is opaque bytes. A store must return exactly the bytes that were written, or `None`;
/// anything else is noticed and counts as `None`. The bytes hold a token: keep them where only
/// this user can read them, never log them, and overwrite copies of your own when you are done
/// with them (the library overwrites what it gets from `read`).
///
/// [`conformance`] checks, in your tests, that a store does all this.
///
/// Report failures with [`Error::store`](crate::Error::store). All methods are called from any
/// thread, and by several threads of one process at once.
///
/// ```
/// use std::collections::{HashMap, HashSet};
/// use std::sync::{Condvar, Mutex};
/// use std::time::Duration;
///
/// use paytoken::Result;
/// use paytoken::store::{Store, StoreGuard, StoreKey, conformance};
///
/// /// For the threads of one process: enough for a test.
/// #[derive(Default)]
/// struct Memory {
///     entries: Mutex<HashMap<StoreKey, Vec<u8>>>,
///     locked: Mutex<HashSet<StoreKey>>,
///     unlocked: Condvar,
/// }
///
/// impl Store for Memory {
///     fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
///         Ok(self.entries.lock().unwrap().get(key).cloned())
///     }
///
///     fn lock(
///         &self,
///         key: &StoreKey,
///         wait: Duration,
///         _hold: Duration,
///     ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
///         let is_locked = |locked: &mut HashSet<_>| locked.contains(key);
///         let locked = self.locked.lock().unwrap();
///         let (mut locked, _) =
///             self.unlocked.wait_timeout_while(locked, wait, is_locked).unwrap();
///         let is_ours = locked.insert(key.clone());
///         Ok(is_ours.then(|| Box::new(Guard(self, key.clone())) as Box<dyn StoreGuard>))
///     }
/// }
///
/// struct Guard<'a>(&'a Memory, StoreKey);
///
/// impl StoreGuard for Guard<'_> {
///     fn read(&mut self) -> Result<Option<Vec<u8>>> {
///         self.0.read(&self.1)
///     }
///
///     fn write(&mut self, entry: &[u8], _keep_for: Duration) -> Result<()> {
///         self.0.entries.lock().unwrap().insert(self.1.clone(), entry.to_vec());
///         Ok(())
///     }
/// }
///
/// impl Drop for Guard<'_> {
///     fn drop(&mut self) {
///         self.0.locked.lock().unwrap().remove(&self.1);
///         self.0.unlocked.notify_all();
///     }
/// }
///
/// // In a test: does it do what it has to?
/// let memory = Memory::default();
/// conformance::check(|| &memory);
/// ```
pub trait Store: Send + Sync {
    /// The entry, without a lock. Must not block for long.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it is not known whether there is one.
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>>;

    /// A number that changes whenever the entry does, cheaper to get than the entry. A source that
    /// is in use asks for it every [`look_every`](Self::look_every), on the thread of one of its
    /// callers. `None`, the default: the entry itself is read then.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        let _ = key;
        Ok(None)
    }

    /// How often a source that is in use asks for the stamp: every 500 ms, unless a store for which
    /// asking is expensive says otherwise. A token that was invalidated elsewhere can be handed out for
    /// this long, plus the time the answer takes (after 500 ms without one, other callers ask too).
    fn look_every(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// The exclusive lock on an entry, also between threads of one process. Waits at most `wait` for
    /// it; returns `None` if another holds it all that time. The lock must be released when its holder
    /// dies. The network is used while it is held, for at most `hold`: a store with leases makes them
    /// at least that long, or renews shorter ones while the guard lives.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when the lock cannot be had at all.
    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>>;
}

/// The lock on one entry. Dropping it releases the lock.
pub trait StoreGuard {
    /// The entry as it is now.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn read(&mut self) -> Result<Option<Vec<u8>>>;

    /// Replaces the entry, all of it or nothing, durably. After `keep_for` the store may forget it.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it could not be written, and when this guard has
    /// lost its lock meanwhile: then nothing was written.
    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()>;
}

/// What points to a store is one.
macro_rules! store_behind {
    ($pointer:ty) => {
        impl<S: Store + ?Sized> Store for $pointer {
            fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
                (**self).read(key)
            }

            fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
                (**self).stamp(key)
            }

            fn look_every(&self) -> Duration {
                (**self).look_every()
            }

            fn lock(
                &self,
                key: &StoreKey,
                wait: Duration,
                hold: Duration,
            ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
                (**self).lock(key, wait, hold)
            }
        }
    };
}

store_behind!(Arc<S>);
store_behind!(Box<S>);
store_behind!(&S);
