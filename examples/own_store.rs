//! A `Store` of one's own: here in memory, for several sources of one process. A database or a key
//! value server has the same two parts: entries of bytes, and an exclusive lock per entry.
//!
//! docs/stores.md says what has to hold, and `store::conformance` checks it.
//! Set Send's variables (see docs/providers.md), then `cargo run --example own_store`.

#![allow(clippy::print_stdout)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use paytoken::store::{Store, StoreGuard, StoreKey, conformance};
use paytoken::{Provider, Result, Settings};

#[derive(Default)]
struct Memory {
    entries: Mutex<HashMap<StoreKey, Vec<u8>>>,
    locked: Mutex<HashSet<StoreKey>>,
    unlocked: Condvar,
}

impl Store for Memory {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        Ok(open(&self.entries).get(key).cloned())
    }

    // One fetch happens under this lock, `hold` at the longest: a lease would have to last as long.
    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        _hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        let is_locked = |locked: &mut HashSet<StoreKey>| locked.contains(key);
        let waited = self.unlocked.wait_timeout_while(open(&self.locked), wait, is_locked);
        let (mut locked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_ours = locked.insert(key.clone());
        Ok(is_ours.then(|| Box::new(Guard(self, key.clone())) as Box<dyn StoreGuard>))
    }
}

struct Guard<'a>(&'a Memory, StoreKey);

impl StoreGuard for Guard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.read(&self.1)
    }

    fn write(&mut self, entry: &[u8], _keep_for: Duration) -> Result<()> {
        open(&self.0.entries).insert(self.1.clone(), entry.to_vec());
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        open(&self.0.locked).remove(&self.1);
        self.0.unlocked.notify_all();
    }
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> Result<()> {
    let store = Arc::new(Memory::default());
    conformance::check(|| store.clone()); // in your tests; it panics with a sentence
    for run in ["first", "second"] {
        let settings = Settings::from_env(Provider::SendPayments)?;
        let source = settings.builder()?.store(store.clone()).build()?;
        source.token()?;
        println!("{run} source: {} request", source.status().requests);
    }
    Ok(())
}
