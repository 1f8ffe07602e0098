//! A store's directory and files in any state: a miss, a clear error or the right token, and never
//! readable by others.

use std::fs;
use std::path::Path;

use paytoken::store::Store as _;
use paytoken::{ErrorKind, FileStore, Provider};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, PATIENCE, builder};

use crate::processes::{Folder, key, process, secret, secs};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

#[test]
fn a_guard_whose_lock_file_was_removed_finds_out_when_it_writes() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let source = process(&sandbox, NTX, &folder, &clock);
    let first = secret(&source);
    let store = folder.store();
    let key = key(&sandbox, NTX);
    let mut guard = store.lock(&key, PATIENCE, PATIENCE).unwrap().unwrap();
    fs::remove_file(&folder.files("lock")[0]).unwrap();
    let mut second =
        store.lock(&key, PATIENCE, PATIENCE).unwrap().expect("a new lock file, a new lock");
    assert_eq!(guard.write(b"lost", secs(1)).unwrap_err().kind(), ErrorKind::Store);
    assert!(store.read(&key).unwrap().is_some(), "the entry is untouched");
    let entry = second.read().unwrap().unwrap();
    second.write(&entry, secs(60)).unwrap();
    assert_eq!(secret(&source), first, "the token in memory is still served");
}

#[test]
fn an_entry_in_any_state_is_a_miss_or_the_right_token() {
    let sandbox = Sandbox::start().unwrap();
    for provider in [NTX, SEND] {
        let other_folder = Folder::new();
        let clock = ManualClock::new();
        secret(&process(&sandbox, Provider::NexterPay, &other_folder, &clock));
        let foreign = fs::read(other_folder.entry()).unwrap();
        let write = |bytes: Vec<u8>| move |path: &Path| fs::write(path, &bytes).unwrap();
        type Tamper = Box<dyn Fn(&Path)>;
        let tampers: Vec<(&str, Tamper)> = vec![
            ("empty", Box::new(write(Vec::new()))),
            ("garbage", Box::new(write(b"\xff\xfe\x00garbage".to_vec()))),
            ("JSON of somebody else's", Box::new(write(b"{\"token\":\"not ours\"}".to_vec()))),
            ("an entry of another account", Box::new(write(foreign))),
            (
                "truncated",
                Box::new(|path| {
                    let bytes = fs::read(path).unwrap();
                    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
                }),
            ),
            (
                "a gibibyte",
                Box::new(|path| {
                    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1 << 30).unwrap()
                }),
            ),
            #[cfg(unix)]
            (
                "open to others",
                Box::new(|path| {
                    use std::os::unix::fs::PermissionsExt as _;
                    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
                }),
            ),
            #[cfg(unix)]
            (
                "a link",
                Box::new(|path| {
                    let aside = path.with_extension("aside");
                    fs::rename(path, &aside).unwrap();
                    std::os::unix::fs::symlink(aside, path).unwrap();
                }),
            ),
            #[cfg(unix)]
            (
                "a FIFO",
                Box::new(|path| {
                    fs::remove_file(path).unwrap();
                    assert!(
                        std::process::Command::new("mkfifo").arg(path).status().unwrap().success()
                    );
                }),
            ),
        ];
        for (what, tamper) in tampers {
            let folder = Folder::new();
            let in_memory = process(&sandbox, provider, &folder, &clock);
            let first = secret(&in_memory);
            tamper(&folder.entry());
            clock.advance(secs(2));
            assert_eq!(
                secret(&in_memory),
                first,
                "{provider} {what}: the token in memory is served"
            );
            let requests = sandbox.token_requests(provider);
            let second = secret(&process(&sandbox, provider, &folder, &clock));
            assert_ne!(second, first, "{provider} {what}: a miss");
            assert!(sandbox.is_valid(provider, &second), "{provider} {what}");
            assert_eq!(sandbox.token_requests(provider), requests + 1, "{provider} {what}");
            // Mended: the next one finds the new entry.
            assert_eq!(
                secret(&process(&sandbox, provider, &folder, &clock)),
                second,
                "{provider} {what}"
            );
        }
    }
}

#[test]
fn a_directory_that_is_removed_is_made_again_and_one_that_cannot_be_is_a_clear_error() {
    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    let source = process(&sandbox, NTX, &folder, &clock);
    let first = secret(&source);
    fs::remove_dir_all(&folder.path).unwrap();
    clock.advance(secs(2));
    assert_eq!(secret(&source), first, "served from memory");
    clock.advance(secs(600));
    assert_ne!(secret(&source), first);
    assert_eq!(folder.files("entry").len(), 1, "made again");

    let opened = folder.store();
    fs::remove_dir_all(&folder.path).unwrap();
    fs::write(&folder.path, "a file where the directory was").unwrap();
    let current = secret(&source);
    clock.advance(secs(2));
    assert_eq!(secret(&source), current, "served from memory");
    clock.advance(secs(600));
    assert_ne!(secret(&source), current, "it goes on without sharing");
    // Opened before the file was there.
    let strict = builder(&sandbox, NTX).store(opened).require_store(true).build().unwrap();
    let error = strict.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert!(error.is_retryable());
    for path in [folder.path.clone(), folder.path.join("below/it")] {
        let error = FileStore::open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(!error.is_retryable());
    }
}
