//! The lock on an entry, and how the entry is replaced under it.

use std::time::Duration;

use paytoken::store::{StoreGuard, StoreKey};
use paytoken::{Error, Result};
use redis::Value;

use crate::failure::Failure;
use crate::scripts;
use crate::store::{Inner, LockValue, milliseconds, random};

/// An entry is kept no longer, whatever is asked for.
const LONGEST_KEPT: Duration = Duration::from_secs(366 * 24 * 3600);

/// Holds the lease under its value.
pub(crate) struct RedisGuard<'a> {
    store: &'a Inner,
    key: StoreKey,
    value: LockValue,
    lease: Duration,
    /// The entry, as it came with the lock: until something is written nobody has changed it.
    entry: Option<Vec<u8>>,
    /// It did not answer: another wait as long would be in vain.
    is_silent: bool,
    /// The process that locked it. A child that it forks has a copy of all this.
    process: u32,
}

impl<'a> RedisGuard<'a> {
    pub(crate) fn new(
        store: &'a Inner,
        key: &StoreKey,
        value: LockValue,
        lease: Duration,
        entry: Vec<u8>,
    ) -> Self {
        let process = std::process::id();
        Self {
            store,
            key: key.clone(),
            value,
            lease,
            entry: Some(entry),
            is_silent: false,
            process,
        }
    }
}

impl StoreGuard for RedisGuard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        match self.entry.take() {
            Some(entry) => Ok((!entry.is_empty()).then_some(entry)),
            None => self.store.read(&self.key),
        }
    }

    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()> {
        let lost = || {
            Error::store(
                "store: the lock was lost, so nothing was written; this machine was stopped for longer than its lease, or Redis has forgotten the lock",
            )
        };
        if self.process != std::process::id() {
            return Err(lost());
        }
        self.entry = None;
        let lease = milliseconds(self.lease);
        // Never zero: that is the stamp of no entry.
        let stamp = (u64::from_be_bytes(random()?) | 1).to_string();
        let keep_for = milliseconds(keep_for.min(LONGEST_KEPT));
        let keys = [self.store.lock_key(&self.key), self.store.entry_key(&self.key)];
        let arguments = [
            self.value.0.as_bytes(),
            lease.as_bytes(),
            entry,
            stamp.as_bytes(),
            keep_for.as_bytes(),
        ];
        match self.store.run(scripts::WRITE, &keys, &arguments, true) {
            Ok(Value::Int(1)) => Ok(()),
            Ok(Value::Int(0)) => Err(lost()),
            Ok(_) => Err(self.store.link.error(Failure::Garbage)),
            Err(failure) => {
                self.is_silent = !failure.is_answer();
                Err(self.store.link.error(failure))
            }
        }
    }
}

impl Drop for RedisGuard<'_> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        match self.is_silent {
            true => self.store.doubt(&self.key, &self.value),
            false => self.store.unlock(&self.key, &self.value),
        }
    }
}
