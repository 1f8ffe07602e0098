//! The lock on an entry of a [`FileStore`], and how an entry is replaced under it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{FileStore, StoreGuard, StoreKey, make_private, patiently, private_options};
use crate::types::error::Result;

/// Holds the kernel's lock on `KEY.lock`.
pub(super) struct FileGuard<'a> {
    store: &'a FileStore,
    key: StoreKey,
    lock: File,
    /// The process that locked it. A child that it forks has a copy of all this.
    process: u32,
}

impl<'a> FileGuard<'a> {
    /// For a file that was just locked.
    pub(super) fn new(store: &'a FileStore, key: &StoreKey, lock: File) -> Self {
        Self { store, key: key.clone(), lock, process: std::process::id() }
    }

    /// Whether the path still names the file that we have locked.
    pub(super) fn is_still_ours(&self) -> bool {
        if self.process != std::process::id() {
            return false;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;

            let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let ours = self.lock.metadata().map(id).ok();
            let named = fs::symlink_metadata(self.store.path(&self.key, "lock")).map(id).ok();
            ours.is_some() && ours == named
        }
        // Nobody can remove it, nor rename it, while it is open.
        #[cfg(windows)]
        true
    }

    fn check_still_ours(&self) -> Result<()> {
        if self.is_still_ours() {
            return Ok(());
        }
        Err(self.store.directory.refused("lost its lock file while it was locked, so nothing was written; leave the files in it alone"))
    }

    fn replace(&self, entry: &[u8]) -> io::Result<()> {
        let new = self.store.path(&self.key, "new");
        let entry_path = self.store.path(&self.key, "entry");
        // What a writer that was killed has left behind; only the lock's holder comes here.
        match patiently(|| fs::remove_file(&new)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let result = (|| {
            let mut file = private_options().write(true).create_new(true).open(&new)?;
            make_private(&file, &file.metadata()?)?;
            file.write_all(entry)?;
            date_after(&entry_path, &file)?;
            file.sync_all()?;
            drop(file);
            patiently(|| fs::rename(&new, &entry_path))?;
            // The rename itself has to survive a power cut, too.
            #[cfg(unix)]
            sync_directory(self.store.directory())?;
            Ok(())
        })();
        if result.is_err() {
            let _ = fs::remove_file(&new);
        }
        result
    }
}

/// Where the file system knows no such thing (FUSE, some network and overlay file systems answer
/// EINVAL), it is not a failure: the entry has been replaced.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Dates a new file after the one that it replaces, so that its stamp is another one. By themselves
/// the dates of two files can be the same: the system counts them in milliseconds, and a clock is
/// set back.
fn date_after(replaced: &Path, new: &File) -> io::Result<()> {
    let Ok(replaced) = fs::symlink_metadata(replaced).and_then(|file| file.modified()) else {
        return Ok(());
    };
    if new.metadata()?.modified()? > replaced {
        return Ok(());
    }
    // A date that cannot be later is an odd one, and stays as it is.
    match replaced.checked_add(Duration::from_millis(1)) {
        Some(later) => new.set_modified(later),
        None => Ok(()),
    }
}

impl StoreGuard for FileGuard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.read_entry(&self.key)
    }

    fn write(&mut self, entry: &[u8], _: Duration) -> Result<()> {
        self.check_still_ours()?;
        self.replace(entry).map_err(|error| self.store.directory.error("cannot be written", error))
    }
}

impl Drop for FileGuard<'_> {
    /// Closing the file is not enough: a child that was forked meanwhile has it open, too, and would
    /// hold the lock for as long as it lives. Such a child's own copy only closes.
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _ = self.lock.unlock();
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::store::Store as _;

    const AT_ONCE: Duration = Duration::ZERO;

    fn with_store(test: impl FnOnce(&FileStore, &StoreKey)) {
        let folder = paytoken_testing::temporary_folder();
        test(&FileStore::open(folder.path()).unwrap(), &StoreKey("account".to_owned()));
    }

    fn lock<'a>(store: &'a FileStore, key: &StoreKey) -> FileGuard<'a> {
        let lock = store.open_lock(key).unwrap().unwrap();
        lock.try_lock().unwrap();
        FileGuard::new(store, key, lock)
    }

    fn is_free(store: &FileStore, key: &StoreKey) -> bool {
        store.lock(key, AT_ONCE, AT_ONCE).unwrap().is_some()
    }

    #[test]
    fn a_lock_ends_with_its_guard_though_a_child_has_a_copy_of_the_file() {
        with_store(|store, key| {
            let guard = lock(store, key);
            // What fork leaves in a child: the same open file. This one waits until it is told.
            let copy = guard.lock.try_clone().unwrap();
            let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(copy).spawn().unwrap();
            assert!(!is_free(store, key));
            drop(guard);
            assert!(is_free(store, key), "the child holds the lock");
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(is_free(store, key));
        });
    }

    #[test]
    fn where_directories_cannot_be_synced_the_entry_is_written_all_the_same() {
        // A file for which the system answers EINVAL, as it does for such directories.
        let without = Path::new("/dev/null");
        let error = File::open(without).unwrap().sync_all().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        sync_directory(without).unwrap();
        assert!(sync_directory(Path::new("/no/such/directory")).is_err());
    }

    #[test]
    fn each_entry_is_later_than_the_one_before_whatever_the_clock_says() {
        with_store(|store, key| {
            let mut guard = lock(store, key);
            let entry = store.path(key, "entry");
            let date = || fs::metadata(&entry).unwrap().modified().unwrap();
            guard.write(b"one", AT_ONCE).unwrap();
            let an_hour_ahead = date() + Duration::from_secs(3600);
            File::open(&entry).unwrap().set_modified(an_hour_ahead).unwrap();
            let mut last = an_hour_ahead;
            for _ in 0..3 {
                guard.write(b"two", AT_ONCE).unwrap();
                assert!(date() > last);
                last = date();
            }
        });
    }

    #[test]
    fn a_childs_copy_of_a_guard_ends_nothing_and_writes_nothing() {
        with_store(|store, key| {
            let guard = lock(store, key);
            let copy = guard.lock.try_clone().unwrap();
            let process = guard.process.wrapping_add(1);
            let mut of_a_child = FileGuard { store, key: key.clone(), lock: copy, process };
            assert!(of_a_child.write(b"from a child", AT_ONCE).is_err());
            assert_eq!(store.read(key).unwrap(), None);
            drop(of_a_child);
            assert!(!is_free(store, key), "a child has freed its parent's lock");
            drop(guard);
            assert!(is_free(store, key));
        });
    }
}
