//! Removing what nobody has used for long: accounts that are gone leave their files behind.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{FileStore, private_options};
use crate::base::clock::Now;
use crate::types::error::Result;

impl FileStore {
    /// Removes the entries that nobody has written for this long, and says how many. Give a day, or as
    /// long as your tokens live if that is longer: no refusal holds longer. One that is locked is in use
    /// and stays.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when the directory cannot be read.
    pub fn remove_unused(&self, unused_for: Duration) -> Result<usize> {
        if !self.directory().exists() {
            return Ok(0);
        }
        self.directory.check_now()?;
        let cannot_be_read = |error| self.directory.error("cannot be read", error);
        let limit = Now::from_system().wall.checked_sub(unused_for);
        let mut removed = 0;
        for file in fs::read_dir(self.directory()).map_err(cannot_be_read)? {
            let path = file.map_err(cannot_be_read)?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            match ending {
                Some("entry") => removed += usize::from(remove(&path, limit)),
                // Left behind by one that was killed, or by an entry that somebody removed.
                Some("lock" | "new") if !path.with_extension("entry").exists() => {
                    remove(&path, limit);
                }
                _ => {}
            }
        }
        Ok(removed)
    }
}

/// With its lock, which whoever waits for it finds to be gone. False where it is in use.
fn remove(path: &Path, limit: Option<SystemTime>) -> bool {
    let is_unused = || {
        let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| limit.is_some_and(|limit| modified < limit))
    };
    if !is_unused() {
        return false;
    }
    let lock = path.with_extension("lock");
    let lock_file: Option<File> = private_options().read(true).write(true).open(&lock).ok();
    if lock_file.as_ref().is_some_and(|file| file.try_lock().is_err()) || !is_unused() {
        return false;
    }
    let is_removed = fs::remove_file(path).is_ok();
    let _ = fs::remove_file(path.with_extension("new"));
    let _ = fs::remove_file(&lock);
    is_removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;
    use crate::store::{Account, Store as _};
    use crate::types::environment::Environment;
    use crate::types::names::Provider;

    fn account(id: &str) -> Account {
        let credentials = Credentials::new(Provider::NexterPay, id, "s", None).unwrap();
        Account::new(&credentials, Environment::Sandbox, None).unwrap()
    }

    #[test]
    fn what_nobody_used_for_long_is_removed_and_the_rest_stays() {
        let around = paytoken_testing::temporary_folder();
        let folder = around.path().join("store");
        let store = FileStore::open(&folder).unwrap();
        assert_eq!(store.remove_unused(Duration::ZERO).unwrap(), 0);
        assert!(!folder.exists(), "looking makes nothing");
        let wait = Duration::from_secs(5);
        let write = |id: &str, age: u64| {
            let account = account(id);
            let mut guard = store.lock(account.key(), wait, wait).unwrap().unwrap();
            guard.write(b"entry", wait).unwrap();
            drop(guard);
            let then = Now::from_system().wall - Duration::from_secs(age);
            for ending in ["entry", "lock"] {
                let file =
                    File::options().write(true).open(store.path(account.key(), ending)).unwrap();
                file.set_modified(then).unwrap();
            }
            account
        };
        let day = Duration::from_secs(86_400);
        let [old, young, in_use] = [write("a", 90_000), write("b", 80_000), write("c", 90_000)];
        let guard = store.lock(in_use.key(), wait, wait).unwrap();
        assert!(guard.is_some());
        assert_eq!(store.remove_unused(day).unwrap(), 1);
        assert!(
            !store.path(old.key(), "entry").exists() && !store.path(old.key(), "lock").exists()
        );
        for kept in [&young, &in_use] {
            assert!(store.read(kept.key()).unwrap().is_some());
        }
        drop(guard);
        assert_eq!(store.remove_unused(day).unwrap(), 1);
        // It can be locked and written as if it had never been there.
        write("a", 0);
        assert!(store.read(old.key()).unwrap().is_some());
    }
}
