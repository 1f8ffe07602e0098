//! A store whose directory changes hands while a program runs: what another user has put there is
//! neither read nor locked, and a name means the same directory for as long as the program runs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use paytoken::store::Store as _;
use paytoken::{ErrorKind, FileStore, Provider};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, PATIENCE, not_run};

use crate::processes::{Folder, key, process, secret, secs};

const NTX: Provider = Provider::NtxPay;
const SOMEBODY_ELSE: &str = "65534";
const AT_ONCE: Duration = Duration::ZERO;

/// Only root can give a file away; that a test goes without is said aloud, and in CI is a failure.
fn give_away(path: &Path) -> bool {
    let given = Command::new("chown").args(["-R", SOMEBODY_ELSE]).arg(path).output().unwrap();
    if !given.status.success() {
        not_run("only root can give files away");
    }
    given.status.success()
}

#[test]
fn a_token_planted_by_another_user_is_not_used() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let source = process(&sandbox, NTX, &folder, &clock);
    let first = secret(&source);
    let opened_before = folder.store();
    let (entry, key) = (folder.entry(), key(&sandbox, NTX));
    let planted = fs::read(&entry).unwrap();
    for mode in [0o700, 0o711, 0o777] {
        fs::remove_dir_all(&folder.path).unwrap();
        fs::create_dir(&folder.path).unwrap();
        fs::write(&entry, &planted).unwrap();
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(mode)).unwrap();
        if !give_away(&folder.path) {
            return;
        }
        let read = opened_before.read(&key).err().unwrap();
        let locked = opened_before.lock(&key, AT_ONCE, AT_ONCE).err().unwrap();
        let opened = FileStore::open(&folder.path).unwrap_err();
        for error in [read, locked, opened] {
            assert_eq!(error.kind(), ErrorKind::Store);
            assert!(error.to_string().contains("another user"), "{error}");
        }
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 1, "nothing was made there");
        // The token in memory is as good as before.
        clock.advance(secs(2));
        assert!(secret(&source) == first);
    }
}

#[test]
fn an_entry_and_a_lock_of_another_user_are_not_trusted_in_our_directory() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    secret(&process(&sandbox, NTX, &folder, &clock));
    let (store, key) = (folder.store(), key(&sandbox, NTX));
    assert!(store.read(&key).unwrap().is_some());
    if !give_away(&folder.entry()) {
        return;
    }
    assert_eq!(store.read(&key).unwrap().as_deref(), Some(&b""[..]), "it is not ours");
    assert!(give_away(&folder.files("lock")[0]));
    let error = store.lock(&key, AT_ONCE, AT_ONCE).err().unwrap();
    assert!(error.to_string().contains("lock file"), "{error}");
}

#[test]
fn a_directory_that_becomes_a_link_or_open_to_others_is_refused_at_the_next_use() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, clock) = (Folder::new(), ManualClock::new());
    secret(&process(&sandbox, NTX, &folder, &clock));
    let (store, key) = (folder.store(), key(&sandbox, NTX));
    let refused = |what: &str| {
        for error in
            [store.read(&key).err().unwrap(), store.lock(&key, AT_ONCE, AT_ONCE).err().unwrap()]
        {
            assert!(error.to_string().contains(what), "{error}");
            assert!(error.is_retryable(), "it may be mended while the program runs");
        }
    };
    // With what is no store's beside it, it may be a directory that others need.
    fs::write(folder.path.join("notes"), "").unwrap();
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o750)).unwrap();
    refused("chmod 700");
    fs::remove_file(folder.path.join("notes")).unwrap();
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(store.read(&key).unwrap().is_some());
    let aside = folder.path.with_extension("aside");
    fs::rename(&folder.path, &aside).unwrap();
    symlink(&aside, &folder.path).unwrap();
    refused("a link?");
    fs::remove_file(&folder.path).unwrap();
    fs::rename(&aside, &folder.path).unwrap();
    assert!(store.lock(&key, PATIENCE, PATIENCE).unwrap().is_some());
}

#[test]
fn a_relative_name_is_made_absolute_when_it_is_opened() {
    let name = format!("paytoken-relative-{}", std::process::id());
    let store = FileStore::open(&name).unwrap();
    assert_eq!(store.directory(), std::env::current_dir().unwrap().join(&name));
    assert!(!Path::new(&name).exists(), "looking makes nothing");
}

#[test]
fn files_that_were_made_with_other_modes_have_theirs_after_the_next_write() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, key) = (Folder::new(), key(&sandbox, NTX));
    let store = folder.store();
    fs::create_dir_all(&folder.path).unwrap();
    // As a umask of 777 leaves it behind a killed process.
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut guard = store.lock(&key, PATIENCE, PATIENCE).unwrap().unwrap();
    guard.write(b"an entry", secs(60)).unwrap();
    drop(guard);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&folder.path), 0o700);
    for file in [folder.entry(), folder.files("lock").remove(0)] {
        assert_eq!(mode(&file), 0o600);
    }
}
