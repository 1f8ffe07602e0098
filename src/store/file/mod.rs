//! [`FileStore`]: entries as files in a private directory, locked by the kernel.
//!
//! Per account there are `KEY.entry`, replaced whole by rename, and `KEY.lock`, which stays. The
//! kernel's lock goes with its holder, so a crash leaves nothing to clean up but a `KEY.new`, which
//! the next writer replaces.

mod directory;
mod guard;
#[cfg(unix)]
mod place;
mod purge;
#[cfg(windows)]
mod windows;

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use self::directory::Directory;
use self::guard::FileGuard;
#[cfg(unix)]
use self::place::of_user;
#[cfg(windows)]
use self::windows::of_user;
use super::entry::Entry;
use super::{Place, Store, StoreGuard, StoreKey};
use crate::base::clock::Deadline;
use crate::base::descriptor::occupy_standard;
use crate::types::error::{Error, Result};

/// A larger file is not an entry: 256 KiB, and what sealing adds.
const LARGEST_ENTRY: u64 = 257 * 1024;

/// Waits between attempts at a lock that another process holds.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// How long a file is waited for that another program has open.
const LONGEST_USE_BY_OTHERS: Duration = Duration::from_secs(1);

/// Shares tokens between the processes of one user on one machine.
///
/// The directory is `0700`, its files `0600`, whatever the umask; a directory that is a link (one on
/// the way to it may be), belongs to somebody else or is open to others is refused, at each use. A
/// store of this user's that somebody has opened (Kubernetes does, for an `fsGroup`) is closed again,
/// with a warning in the log: no token that is in it then is used, nor one in an entry that is not
/// `0600`; what holds requests back stays. An entry is replaced by writing a new file, `fsync` and rename: a crash or a power cut leaves the old
/// entry or the new one. A lock is the kernel's, on a file that stays; it ends with its process, or
/// with the last child that was forked meanwhile if the process was killed. Do not put the directory
/// on a network file system: locks may not hold there.
///
/// Reading makes nothing: the directory is made by the first that locks an entry, and never in
/// another user's directory, except one like `/tmp` or one of root's.
///
/// On Windows the directory has to be below the user's own `%LOCALAPPDATA%`, which the system keeps
/// other users out of; any other is refused, at each use. (Do not let others into it: that is not
/// noticed.)
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
    directory: Directory,
}

impl FileStore {
    /// Uses this directory, which is made when there is something to keep. A relative path is meant
    /// from where the process is now, wherever it goes later.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the path does not name a directory:
    /// a file, a link, `~`, an address, what looks like a secret (see [`Place`]). [`Store`](crate::ErrorKind::Store) when it is not private, is another
    /// user's or would be made in another user's directory. Each says what to do.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        match Place::named("store", directory.as_ref())? {
            Place::Directory(directory) => Self::at(directory),
            Place::Server(_) => Err(Error::configuration(
                "store: an address, not a directory; a store on a server is opened in another way (docs/redis.md)",
            )),
        }
    }

    /// The user's own directory: `paytoken` in `$CACHE_DIRECTORY`, which systemd sets in a unit
    /// with `CacheDirectory=` (the first, if they are several), else in `$XDG_CACHE_HOME`, else in
    /// `~/.cache`. Where HOME is not set, the home is that of `/etc/passwd`. On Windows,
    /// `%LOCALAPPDATA%\paytoken`.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Configuration`](crate::ErrorKind::Configuration) when there is no
    /// home, either.
    pub fn open_default() -> Result<Self> {
        // What the system says of the user's home is no address, whatever it looks like.
        Self::at(&of_user()?)
    }

    fn at(directory: &Path) -> Result<Self> {
        Ok(Self { directory: Directory::named(directory)? })
    }

    /// Where it is: an absolute path.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, key: &StoreKey, ending: &str) -> PathBuf {
        self.directory().join(format!("{}.{ending}", key.as_str()))
    }

    /// The entry's file, if it is this user's.
    fn open_entry(&self, key: &StoreKey) -> Result<Option<(File, Metadata)>> {
        let path = self.path(key, "entry");
        let cannot_be_read = |error| self.directory.error("cannot be read", error);
        let file = match patiently(|| private_options().read(true).open(&path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Windows says the same of a directory that is missing and cannot be made.
                self.directory.check_can_be_there()?;
                return Ok(None);
            }
            // The next to lock an entry repairs it.
            Err(_) if self.directory.lacks_its_mode() => return Ok(None),
            // A link, a directory, a socket: not an entry. The next write replaces it.
            Err(_) if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) => {
                return Ok(None);
            }
            Err(error) => return Err(cannot_be_read(error)),
        };
        // Another user may have made it since, with an entry of theirs.
        if self.directory.check_now()? {
            // It was open, so this may be a file that another user has put there and taken away again.
            return self.open_entry(key);
        }
        let metadata = file.metadata().map_err(cannot_be_read)?;
        let is_ours = metadata.is_file()
            && metadata.len() <= LARGEST_ENTRY
            && self.directory.is_ours(&metadata)?;
        Ok(is_ours.then_some((file, metadata)))
    }

    fn read_entry(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        let Some((file, metadata)) = self.open_entry(key)? else {
            // What is there and is not ours alone (a link, another mode) is told as an entry that
            // cannot be read, which no bytes are.
            let is_there = fs::symlink_metadata(self.path(key, "entry")).is_ok();
            return Ok(is_there.then(Vec::new));
        };
        // Sized at once: growing would leave an unwiped copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
        file.take(LARGEST_ENTRY)
            .read_to_end(&mut bytes)
            .map_err(|error| self.directory.error("cannot be read", error))?;
        if !has_mode(&metadata, PRIVATE) {
            // Refusals and outages stay: to believe in one too many sends no request. Of a sealed one nothing
            // does: another user may have put back an older one.
            // A directory that was open has been told already.
            let is_told = has_mode(&metadata, DISTRUSTED);
            bytes = Entry::without_token(&bytes, key, is_told).unwrap_or_default();
        }
        Ok(Some(std::mem::take(&mut *bytes)))
    }

    /// The lock's file, opened and of the right kind.
    /// None while another program has it to itself.
    fn open_lock(&self, key: &StoreKey) -> Result<Option<File>> {
        // Somebody may have removed the directory while we run: it is only a cache.
        self.directory.make_ready()?;
        let path = self.path(key, "lock");
        let cannot_be_locked = |error| self.directory.error("cannot be locked", error);
        let open =
            || lock_options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = match open() {
            // Its maker was killed before it could set the mode.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.repair_lock(&path).map_err(|_| cannot_be_locked(error))?;
                open()
            }
            Err(error) if is_shut_out(&error) => return Ok(None),
            result => result,
        }
        .map_err(cannot_be_locked)?;
        let metadata = file.metadata().map_err(cannot_be_locked)?;
        if !metadata.is_file() || !self.directory.is_ours(&metadata)? {
            return Err(self
                .directory
                .refused("holds a lock file that is not a file of this user; remove it"));
        }
        make_private(&file, &metadata).map_err(cannot_be_locked)?;
        Ok(Some(file))
    }

    /// Gives a lock file of ours the mode that it needs, by its path, since it cannot be opened.
    fn repair_lock(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        if fs::symlink_metadata(path)?.is_file() {
            use std::os::unix::fs::PermissionsExt as _;

            return fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE));
        }
        #[cfg(windows)]
        let _ = path;
        Err(io::ErrorKind::PermissionDenied.into())
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
        #[cfg(windows)]
        std::os::windows::fs::MetadataExt::creation_time(&metadata).hash(&mut hasher);
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
            if let Some(file) = self.open_lock(key)? {
                match file.try_lock() {
                    Ok(()) => {
                        let guard = FileGuard::new(self, key, file);
                        // The file may have been removed and made anew between opening and locking.
                        if guard.is_still_ours() {
                            return Ok(Some(Box::new(guard)));
                        }
                    }
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => {
                        return Err(self.directory.error("cannot be locked", error));
                    }
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

/// The mode of every file.
const PRIVATE: u32 = 0o600;

/// The mode of an entry that was in a directory that others could enter: it is replaced by the next
/// that is written.
const DISTRUSTED: u32 = 0o400;

/// Whether an entry has this mode. With the one that it was given, nobody else could read or change it.
fn has_mode(entry: &Metadata, mode: u32) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        entry.permissions().mode() & 0o7777 == mode
    }
    #[cfg(windows)]
    {
        let _ = entry;
        mode == PRIVATE
    }
}

/// Another name of the same file may be anybody's, so such a file is only taken out of here.
#[cfg(unix)]
fn distrust(entry: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let file = private_options().read(true).open(entry)?;
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() == 1 {
        true => file.set_permissions(fs::Permissions::from_mode(DISTRUSTED)),
        false => fs::remove_file(entry),
    }
}

/// Files are `0600` from their first moment, or less where the umask takes away more; links are not
/// followed, and nothing blocks (a FIFO would).
fn private_options() -> OpenOptions {
    occupy_standard();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        options.mode(PRIVATE).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(
        &mut options,
        windows::FILE_FLAG_OPEN_REPARSE_POINT,
    );
    options
}

/// On Windows nobody can remove a lock's file while somebody holds it or waits for it.
fn lock_options() -> OpenOptions {
    #[cfg_attr(unix, expect(unused_mut))]
    let mut options = private_options();
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, windows::SHARED_WITHOUT_DELETE);
    options
}

/// On Windows a file that another program has open, a virus scanner above all, cannot always be opened
/// or replaced at that moment.
fn patiently<T>(operation: impl Fn() -> io::Result<T>) -> io::Result<T> {
    const ERROR_ACCESS_DENIED: i32 = 5;
    let deadline = Deadline::after(LONGEST_USE_BY_OTHERS);
    loop {
        match operation() {
            Err(error)
                if (is_shut_out(&error)
                    || cfg!(windows) && error.raw_os_error() == Some(ERROR_ACCESS_DENIED))
                    && !deadline.remaining().is_zero() =>
            {
                thread::sleep(LONGEST_WAIT);
            }
            result => return result,
        }
    }
}

/// Whether the file is open in another program that shares it with nobody, as Windows has it.
fn is_shut_out(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    cfg!(windows) && error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// Gives a file that was just made what the umask took away.
fn make_private(file: &File, metadata: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        if metadata.permissions().mode() & 0o777 != PRIVATE {
            return file.set_permissions(fs::Permissions::from_mode(PRIVATE));
        }
    }
    #[cfg(windows)]
    let _ = (file, metadata);
    Ok(())
}
