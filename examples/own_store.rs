//! A `Store` of your own: entries of bytes, and an exclusive lock for each. Here in memory, for the
//! sources of one process. docs/stores.md says what has to hold, and `store::conformance` checks it.
//!
//! Set Send's variables (see docs/providers.md), then `cargo run --example own_store`.

#![allow(clippy::print_stdout)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use paytoken::store::{Store, StoreGuard, StoreKey, conformance};
use paytoken::{Provider, Result, Settings};

const NO_PANIC: &str = "nothing panics under the lock";

#[derive(Default)]
struct Memory {
    entries: Mutex<HashMap<StoreKey, Vec<u8>>>,
    locked: Mutex<HashSet<StoreKey>>,
    unlocked: Condvar,
}
type Guarded<'a> = Box<dyn StoreGuard + 'a>;
impl Store for Memory {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.lock().expect(NO_PANIC).get(key).cloned())
    }

    // The last argument is how long it is held at the most: a lease would have to last as long.
    fn lock(&self, key: &StoreKey, wait: Duration, _: Duration) -> Result<Option<Guarded<'_>>> {
        let locked = self.locked.lock().expect(NO_PANIC);
        let is_locked = |locked: &mut HashSet<StoreKey>| locked.contains(key);
        let waited = self.unlocked.wait_timeout_while(locked, wait, is_locked);
        let is_ours = waited.expect(NO_PANIC).0.insert(key.clone());
        Ok(is_ours.then(|| Box::new(Guard(self, key.clone())) as Guarded<'_>))
    }
}

struct Guard<'a>(&'a Memory, StoreKey);

impl StoreGuard for Guard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.read(&self.1)
    }

    fn write(&mut self, entry: &[u8], _keep_for: Duration) -> Result<()> {
        self.0.entries.lock().expect(NO_PANIC).insert(self.1.clone(), entry.to_vec());
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.locked.lock().expect(NO_PANIC).remove(&self.1);
        self.0.unlocked.notify_all();
    }
}

fn main() -> Result<()> {
    let store = Arc::new(Memory::default());
    conformance::check(|| store.clone()); // in your tests; it panics with a sentence
    for run in ["first", "second"] {
        let settings = Settings::from_env(Provider::SendPayments)?;
        let source = settings.builder()?.store(store.clone()).build()?;
        source.token()?;
        println!("{run} source, requests: {}", source.status().requests);
    }
    Ok(())
}
