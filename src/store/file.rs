//! [`FileStore`]: entries as files in a private directory, locked by the kernel.
//!
//! Per account there are `KEY.entry`, replaced whole by rename, and `KEY.lock`, which stays. The
//! kernel's lock goes with its holder, so a crash leaves nothing to clean up but a `KEY.new`, which
//! the next writer replaces.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{Store, StoreGuard, StoreKey};
use crate::clock::Deadline;
use crate::error::{Error, Result};

/// A larger file is not an entry.
const LARGEST_ENTRY: u64 = 256 * 1024;

/// Waits between attempts at a lock that another process holds.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Shares tokens between the processes of one user on one machine.
///
/// The directory is `0700`, its files `0600`; a directory that is a link, belongs to somebody else
/// or is open to others is refused. An entry is replaced by writing a new file, `fsync` and rename:
/// a crash or a power cut leaves the old entry or the new one. A lock is the kernel's, on a
/// file that stays. Do not put the directory on a network file system: locks may not hold there.
///
/// ```
/// use paytoken::{Credentials, Environment, FileStore, Secret, TokenSource};
///
/// # fn main() -> paytoken::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("paytoken-doc-{}", std::process::id()));
/// let store = FileStore::open(&folder)?; // or FileStore::open_default()
/// let credentials = Credentials::SendPayments {
///     client_id: "merchant-7".into(),
///     client_secret: Secret::from("not-a-real-secret"),
/// };
/// let source = TokenSource::builder(credentials, Environment::Sandbox)
///     .base_url("https://send.example")
///     .store(store)
///     .build()?;
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// Opens the directory, and makes it where it is missing.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it cannot be made, or is not private: and says what to do.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let store = Self { directory: directory.as_ref().to_owned() };
        store.make_directory()?;
        store.check_directory()?;
        Ok(store)
    }

    /// Opens the user's own directory: `$XDG_RUNTIME_DIR/paytoken`, else
    /// `$XDG_CACHE_HOME/paytoken`, else `~/.cache/paytoken`.
    ///
    /// The first does not outlive the last session of the user; cron jobs usually have none and
    /// use one of the others.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Configuration`](crate::ErrorKind::Configuration) when none of the
    /// variables is set.
    pub fn open_default() -> Result<Self> {
        Self::open(default_directory(&|name| std::env::var_os(name))?)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, key: &StoreKey, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", key.as_str()))
    }

    fn make_directory(&self) -> Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.directory).map_err(|error| self.error("cannot be made", error))
    }

    fn check_directory(&self) -> Result<()> {
        let metadata = fs::symlink_metadata(&self.directory)
            .map_err(|error| self.error("cannot be read", error))?;
        if !metadata.is_dir() {
            return Err(self.refused("is not a directory itself (a link?); name a real directory"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;

            if metadata.mode() & 0o077 != 0 {
                return Err(
                    self.refused("is open to other users; run chmod 700 on it, or name another")
                );
            }
            if !self.is_owned_by_us(metadata.uid()) {
                return Err(self.refused("belongs to another user; name a directory of your own"));
            }
        }
        Ok(())
    }

    /// A `0700` directory of somebody else's cannot be entered at all, unless by root.
    #[cfg(unix)]
    fn is_owned_by_us(&self, owner: u32) -> bool {
        use std::os::unix::fs::MetadataExt as _;

        // Linux shows whose process this is; it is the cheap way.
        if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == owner) {
            return true;
        }
        // Elsewhere, whose files are made in the directory tells.
        let probe = self.directory.join(format!(".probe-{}", std::process::id()));
        match private_options().write(true).create(true).truncate(true).open(&probe) {
            Ok(file) => {
                let made_by = file.metadata().map(|metadata| metadata.uid());
                let _ = fs::remove_file(&probe);
                made_by.is_ok_and(|made_by| made_by == owner)
            }
            // Read-only: then nothing can be put there for us to trust either.
            Err(_) => true,
        }
    }

    /// The entry's file, if it is one that this store can have written.
    fn open_entry(&self, key: &StoreKey) -> Result<Option<(File, fs::Metadata)>> {
        let path = self.path(key, "entry");
        let file = match private_options().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A link, a directory, a socket: not an entry. The next write replaces it.
            Err(_) if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) => {
                return Ok(None);
            }
            Err(error) => return Err(self.error("cannot be read", error)),
        };
        let metadata = file.metadata().map_err(|error| self.error("cannot be read", error))?;
        let is_ours =
            metadata.is_file() && metadata.len() <= LARGEST_ENTRY && self.is_private(&metadata);
        Ok(is_ours.then_some((file, metadata)))
    }

    fn read_entry(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        let Some((file, metadata)) = self.open_entry(key)? else {
            return Ok(None);
        };
        // Sized at once: growing would leave an unwiped copy behind.
        let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
        file.take(LARGEST_ENTRY)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error("cannot be read", error))?;
        Ok(Some(bytes))
    }

    #[cfg(unix)]
    fn is_private(&self, file: &fs::Metadata) -> bool {
        use std::os::unix::fs::MetadataExt as _;

        // The directory's owner was checked to be us.
        fs::metadata(&self.directory).is_ok_and(|directory| directory.uid() == file.uid())
            && file.mode() & 0o077 == 0
    }

    #[cfg(not(unix))]
    fn is_private(&self, _: &fs::Metadata) -> bool {
        true
    }

    /// The lock's file, opened and of the right kind.
    fn open_lock(&self, key: &StoreKey) -> Result<File> {
        let path = self.path(key, "lock");
        let open =
            || private_options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = match open() {
            // Somebody removed the directory while we run: it is only a cache.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directory()?;
                self.check_directory()?;
                open()
            }
            result => result,
        }
        .map_err(|error| self.error("cannot be locked", error))?;
        let metadata = file.metadata().map_err(|error| self.error("cannot be locked", error))?;
        if !metadata.is_file() || !self.is_private(&metadata) {
            return Err(self
                .refused("holds a lock file that is not a private file of this user; remove it"));
        }
        Ok(file)
    }

    fn error(&self, what: &str, error: io::Error) -> Error {
        Error::store(format!(
            "store: {} {what} ({error}); check the directory and the disk, or go without a store",
            self.directory.display()
        ))
        .with_source(error)
    }

    fn refused(&self, why: &str) -> Error {
        Error::store(format!("store: {} {why}", self.directory.display()))
    }
}

impl Store for FileStore {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        self.read_entry(key)
    }

    /// One `stat`: the file is another one after every write.
    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        let Ok(metadata) = fs::symlink_metadata(self.path(key, "entry")) else {
            return Ok(Some(0));
        };
        let mut hasher = std::hash::DefaultHasher::new();
        metadata.modified().ok().hash(&mut hasher);
        metadata.len().hash(&mut hasher);
        #[cfg(unix)]
        std::os::unix::fs::MetadataExt::ino(&metadata).hash(&mut hasher);
        Ok(Some(hasher.finish()))
    }

    /// The kernel's lock lasts as long as its holder, so `hold` does not matter.
    fn lock(
        &self,
        key: &StoreKey,
        limit: Duration,
        _hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        let deadline = Deadline::after(limit);
        let mut wait = FIRST_WAIT;
        loop {
            let file = self.open_lock(key)?;
            match file.try_lock() {
                Ok(()) => {
                    let guard = FileGuard { store: self, key: key.clone(), lock: file };
                    // The file may have been removed and made anew between opening and locking.
                    if guard.is_still_ours() {
                        return Ok(Some(Box::new(guard)));
                    }
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(self.error("cannot be locked", error));
                }
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(wait.min(left));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Holds the kernel's lock on `KEY.lock`; closing the file lets it go.
struct FileGuard<'a> {
    store: &'a FileStore,
    key: StoreKey,
    lock: File,
}

impl FileGuard<'_> {
    /// Whether the path still names the file that we have locked.
    fn is_still_ours(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;

            let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let ours = self.lock.metadata().map(id).ok();
            let named = fs::symlink_metadata(self.store.path(&self.key, "lock")).map(id).ok();
            ours.is_some() && ours == named
        }
        #[cfg(not(unix))]
        {
            // A file that is open cannot be removed there.
            self.lock.metadata().is_ok()
        }
    }

    fn check_still_ours(&self) -> Result<()> {
        if self.is_still_ours() {
            return Ok(());
        }
        Err(self.store.refused("lost its lock file while it was locked, so nothing was written; leave the files in it alone"))
    }

    fn replace(&self, entry: &[u8]) -> io::Result<()> {
        let new = self.store.path(&self.key, "new");
        // What a writer that was killed has left behind; only the lock's holder comes here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let result = (|| {
            let mut file = private_options().write(true).create_new(true).open(&new)?;
            file.write_all(entry)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&new, self.store.path(&self.key, "entry"))?;
            // The rename itself has to survive a power cut, too.
            #[cfg(unix)]
            File::open(&self.store.directory)?.sync_all()?;
            Ok(())
        })();
        if result.is_err() {
            let _ = fs::remove_file(&new);
        }
        result
    }
}

impl StoreGuard for FileGuard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.read_entry(&self.key)
    }

    fn write(&mut self, entry: &[u8], _: Duration) -> Result<()> {
        self.check_still_ours()?;
        self.replace(entry).map_err(|error| self.store.error("cannot be written", error))
    }
}

/// Files are `0600` from their first moment; links are not followed, and nothing blocks (a FIFO
/// would).
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options
}

fn default_directory(variables: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf> {
    let folder = |name: &str| {
        // The XDG rules: a path that is not absolute is to be ignored.
        variables(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    folder("XDG_RUNTIME_DIR")
        .or_else(|| folder("XDG_CACHE_HOME"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .or_else(|| folder("LOCALAPPDATA"))
        .map(|folder| folder.join("paytoken"))
        .ok_or_else(|| {
            Error::configuration("store: none of XDG_RUNTIME_DIR, XDG_CACHE_HOME and HOME is set; set one, or name a directory")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_default_directory_follows_the_xdg_rules() {
        let with = |pairs: &'static [(&str, &str)]| {
            default_directory(&|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        let all =
            with(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]);
        assert_eq!(all.unwrap(), Path::new("/run/user/7/paytoken"));
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]).unwrap(),
            Path::new("/c/paytoken")
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).unwrap(),
            Path::new("/h/.cache/paytoken")
        );
        assert_eq!(with(&[]).unwrap_err().kind(), ErrorKind::Configuration);
    }
}
