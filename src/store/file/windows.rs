//! Windows, where a file has no mode, and who else may enter a directory can only be asked with
//! `unsafe` code. So a store is where the system itself keeps other users out: below
//! `%LOCALAPPDATA%`.

use std::fs::{self, Metadata};
use std::io;
use std::os::windows::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::types::error::{Error, Result};

/// With it a link is opened, not what it leads to.
pub(super) const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Others may read and write the file, but neither remove nor rename it while it is open.
pub(super) const SHARED_WITHOUT_DELETE: u32 = 0x1 | 0x2;

pub(super) const IS_ELSEWHERE: &str = "is not below %LOCALAPPDATA%, so others may be able to enter it; name a directory there, or leave the name away";

/// The directory, as [`FileStore::open_default`](super::FileStore::open_default) says.
pub(super) fn of_user() -> Result<PathBuf> {
    own_folder().map(|folder| folder.join("paytoken")).ok_or_else(|| {
        Error::configuration(
            "store: LOCALAPPDATA is not set; set it as the system does, to the AppData\\Local of the user's profile",
        )
    })
}

/// Whether a directory that is there is below `%LOCALAPPDATA%`, wherever links lead on the way.
pub(super) fn is_private(directory: &Path) -> io::Result<bool> {
    let Some(own) = own_folder() else { return Ok(false) };
    Ok(fs::canonicalize(directory)?.starts_with(fs::canonicalize(own)?))
}

/// A link of any kind: symbolic, a junction, one of a cloud's file system.
pub(super) fn is_link(file: &Metadata) -> bool {
    const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x400;
    file.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0
}

fn own_folder() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::store::{FileStore, Store as _, StoreKey};
    use crate::types::error::ErrorKind;

    const LIMIT: Duration = Duration::from_secs(5);

    fn key() -> StoreKey {
        StoreKey("account".to_owned())
    }

    #[test]
    fn a_store_is_the_users_own_or_refused_and_what_others_have_planted_is_not_read() {
        let own = paytoken_testing::temporary_folder();
        let store = FileStore::open(own.path().join("store")).unwrap();
        store.lock(&key(), LIMIT, LIMIT).unwrap().unwrap().write(b"entry", LIMIT).unwrap();
        let public = Path::new(&std::env::var_os("PUBLIC").unwrap()).to_owned();
        fs::create_dir_all(&public).unwrap();
        let public = paytoken_testing::temporary_folder_in(&public);
        let planted = public.path().join("store");
        fs::create_dir(&planted).unwrap();
        for file in ["account.entry", "account.lock"] {
            fs::copy(store.directory().join(file), planted.join(file)).unwrap();
        }
        let up = own.path().join("store\\..\\..\\..\\..\\..\\..\\store");
        for elsewhere in
            [planted.clone(), public.path().join("new\\store"), up, "C:\\paytoken-store".into()]
        {
            let error = FileStore::open(&elsewhere).unwrap_err();
            assert!(error.to_string().contains("LOCALAPPDATA"), "{error}");
            assert!(!elsewhere.join("new").exists() && !Path::new("C:\\paytoken-store").exists());
        }
        // Also where it is moved there while it is in use.
        assert_eq!(store.read(&key()).unwrap().unwrap(), b"entry");
        let of_others = FileStore { directory: super::super::Directory::unchecked(&planted) };
        for error in [
            of_others.read(&key()).err(),
            of_others.lock(&key(), LIMIT, LIMIT).err(),
            of_others.remove_unused(Duration::ZERO).err(),
        ] {
            assert_eq!(error.unwrap().kind(), ErrorKind::Store);
        }
    }

    #[test]
    fn the_default_directory_is_below_the_local_application_data() {
        let expected = Path::new(&std::env::var_os("LOCALAPPDATA").unwrap()).join("paytoken");
        assert_eq!(of_user().unwrap(), expected);
    }

    #[test]
    fn a_locks_file_cannot_be_removed_or_renamed_by_anybody_while_it_is_held() {
        let folder = paytoken_testing::temporary_folder();
        let store = FileStore::open(folder.path()).unwrap();
        let lock = folder.path().join("account.lock");
        let mut guard = store.lock(&key(), LIMIT, LIMIT).unwrap().unwrap();
        fs::remove_file(&lock).unwrap_err();
        fs::rename(&lock, folder.path().join("aside")).unwrap_err();
        // Nor by another process.
        Command::new("cmd").args(["/c", "del", "/f", "/q"]).arg(&lock).output().unwrap();
        assert!(lock.exists());
        assert!(store.lock(&key(), Duration::ZERO, LIMIT).unwrap().is_none(), "it has two holders");
        guard.write(b"entry", LIMIT).unwrap();
        drop(guard);
        fs::remove_file(&lock).unwrap();
        assert!(store.lock(&key(), LIMIT, LIMIT).unwrap().is_some());
    }

    /// As a virus scanner may open a file: nobody else may do anything with it.
    fn alone(file: &Path) -> File {
        use std::os::windows::fs::OpenOptionsExt as _;

        File::options().read(true).share_mode(0).open(file).unwrap()
    }

    #[test]
    fn a_file_that_another_program_has_to_itself_is_waited_for_a_while() {
        let folder = paytoken_testing::temporary_folder();
        let store = FileStore::open(folder.path()).unwrap();
        let mut guard = store.lock(&key(), LIMIT, LIMIT).unwrap().unwrap();
        let entry = folder.path().join("account.entry");
        guard.write(b"one", LIMIT).unwrap();
        let scanner = Cell::new(Some(alone(&entry)));
        let attempts = Cell::new(0);
        super::super::patiently(|| {
            attempts.set(attempts.get() + 1);
            if attempts.get() == 3 {
                scanner.take();
            }
            fs::rename(&entry, folder.path().join("aside"))
        })
        .unwrap();
        assert_eq!(attempts.get(), 3);
        guard.write(b"two", LIMIT).unwrap();
        let scanner = alone(&entry);
        guard.write(b"three", LIMIT).unwrap_err();
        store.read(&key()).unwrap_err();
        drop(scanner);
        assert_eq!(store.read(&key()).unwrap().unwrap(), b"two");
        guard.write(b"three", LIMIT).unwrap();
        assert_eq!(store.read(&key()).unwrap().unwrap(), b"three");
        // A lock is waited for as long as the caller says.
        drop(guard);
        let scanner = alone(&folder.path().join("account.lock"));
        assert!(store.lock(&key(), Duration::ZERO, LIMIT).unwrap().is_none());
        drop(scanner);
        assert!(store.lock(&key(), Duration::ZERO, LIMIT).unwrap().is_some());
    }

    #[test]
    fn a_directory_that_cannot_be_there_is_an_error_and_no_empty_store() {
        let folder = paytoken_testing::temporary_folder();
        let inner = folder.path().join("a\\store");
        let store = FileStore::open(&inner).unwrap();
        assert_eq!(store.read(&key()).unwrap(), None, "none was made yet");
        fs::write(folder.path().join("a"), "a file").unwrap();
        let error = store.read(&key()).unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }
}
