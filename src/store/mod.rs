//! Sharing a token between processes: what a store has to do, and nothing about how.
//!
//! A store keeps one small entry of bytes per account, hands out an exclusive lock per account,
//! and knows nothing of tokens: entries are written and read by `entry.rs`.

pub(crate) mod account;
pub(crate) mod entry;
mod file;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

pub use account::Account;
pub use file::FileStore;

use crate::error::Result;

/// A place where processes, or machines, share tokens. [`FileStore`] is one.
///
/// To write another, report failures with [`Error::store`](crate::Error::store).
///
/// The entry is opaque. A store must hand back exactly the bytes that were written, or `None`;
/// anything else is noticed and counts as `None`.
pub trait Store: Send + Sync {
    /// The entry, without a lock. Never blocks for long.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when nobody can say whether there is one.
    fn read(&self, key: &StoreKey) -> Result<Option<Zeroizing<Vec<u8>>>>;

    /// Something that changes whenever the entry does, cheaper to get than the entry. `None` where
    /// there is no such thing: the entry itself is read then.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        let _ = key;
        Ok(None)
    }

    /// The exclusive lock on an entry, waited for no longer than `limit`; `None` when somebody
    /// else has it. It must free itself when its holder dies.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it cannot be had at all.
    fn lock(&self, key: &StoreKey, limit: Duration) -> Result<Option<Box<dyn StoreGuard + '_>>>;
}

/// The lock on one entry; dropped, it is let go.
pub trait StoreGuard {
    /// The entry as it is now.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn read(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>>;

    /// Replaces the entry, all of it or nothing, durably. It is of no use after `keep_for`.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it could not be written, and when this guard has
    /// lost its lock meanwhile: then nothing was written.
    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()>;

    /// Removes the entry.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn clear(&mut self) -> Result<()>;
}

/// Names an entry: provider, base URL, client id or user name, and the certificate's fingerprint,
/// hashed. It holds no secret and is fit for file names and Redis keys
/// (`a-z`, `0-9` and `-`, at most 80 characters).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreKey(String);

impl StoreKey {
    #[cfg(feature = "__bench")]
    pub(crate) fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.0)
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn read(&self, key: &StoreKey) -> Result<Option<Zeroizing<Vec<u8>>>> {
        (**self).read(key)
    }

    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        (**self).stamp(key)
    }

    fn lock(&self, key: &StoreKey, limit: Duration) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        (**self).lock(key, limit)
    }
}
