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

#[test]
fn a_directory_that_is_not_private_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    fs::create_dir(&folder.path).unwrap();
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(mode)).unwrap();
        let error = FileStore::open(&folder.path).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o700)).unwrap();
    let link = folder.path.with_extension("link");
    std::os::unix::fs::symlink(&folder.path, &link).unwrap();
    let error = FileStore::open(&link).unwrap_err();
    fs::remove_file(&link).unwrap();
    assert!(error.to_string().contains("a link?"), "{error}");
}

/// What kubelet gives files at each start of a pod with an `fsGroup`.
const OF_THE_GROUP: u32 = 0o660;

/// As kubelet does it.
fn open_to_a_group(folder: &Folder, mode_of_files: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    for file in fs::read_dir(&folder.path).unwrap() {
        fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(mode_of_files))
            .unwrap();
    }
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o2770)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o7777
}

#[test]
fn a_store_that_somebody_opened_is_closed_and_its_tokens_are_not_used() {
    let sandbox = Sandbox::start().unwrap();
    for provider in [NTX, SEND] {
        let folder = Folder::new();
        let clock = ManualClock::new();
        let first = secret(&process(&sandbox, provider, &folder, &clock));
        for mode_of_files in [OF_THE_GROUP, OF_THE_GROUP, 0o600] {
            open_to_a_group(&folder, mode_of_files);
            let requests = sandbox.token_requests(provider);
            let second = secret(&process(&sandbox, provider, &folder, &clock));
            assert_ne!(second, first, "{provider}");
            assert_eq!(mode(&folder.path), 0o700);
            assert_eq!(secret(&process(&sandbox, provider, &folder, &clock)), second);
            assert_eq!(sandbox.token_requests(provider), requests + 1);
            for path in folder.files("entry").into_iter().chain(folder.files("lock")) {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
        // Opened in the middle of a run, it goes on with the token that it has in memory.
        let source = process(&sandbox, provider, &folder, &clock);
        let third = secret(&source);
        open_to_a_group(&folder, OF_THE_GROUP);
        clock.advance(secs(2));
        assert_eq!(secret(&source), third);
        // Whoever only looks closes it, too, and what he finds is marked for all who follow.
        let key = key(&sandbox, provider);
        assert!(!is_in(&folder.store().read(&key).unwrap().unwrap(), &third));
        assert!(!is_in(&folder.store().read(&key).unwrap().unwrap(), &third));
    }
}

fn is_in(entry: &[u8], token: &str) -> bool {
    String::from_utf8_lossy(entry).contains(token)
}

#[test]
fn a_refusal_stands_in_a_store_that_somebody_opened() {
    use paytoken_testing::{credentials_with, reach};

    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let refused = || {
        let wrong = credentials_with(&sandbox, SEND, "a wrong one");
        let source = reach(&sandbox, SEND, wrong).store(folder.store()).build().unwrap();
        source.token().unwrap_err().to_string()
    };
    refused();
    let requests = sandbox.token_requests(SEND);
    open_to_a_group(&folder, OF_THE_GROUP);
    assert!(refused().contains("[remembered: "));
    assert_eq!(sandbox.token_requests(SEND), requests);
    assert_eq!(mode(&folder.path), 0o700);
}

#[test]
fn only_a_store_is_closed_and_nothing_that_was_named_by_mistake() {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = Sandbox::start().unwrap();
    let clock = ManualClock::new();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    for (name, dir_mode, is_closed) in [
        (format!("ntx-pay-{hash}.lock"), 0o2770, true),
        (format!("send-payments-{hash}.new"), 0o755, true),
        ("notes.txt".to_owned(), 0o2770, false),
        ("daemon.lock".to_owned(), 0o770, false),
        (format!("ntx-pay-{hash}.entry.old"), 0o770, false),
        (format!("ntx-pay-{hash}"), 0o770, false),
        (format!("NTX-{hash}.lock"), 0o770, false),
        (format!("ntx-pay-{}.lock", &hash[1..]), 0o770, false),
        (format!("ntx-pay-{hash}.lock"), 0o1777, false),
    ] {
        let folder = Folder::new();
        secret(&process(&sandbox, NTX, &folder, &clock));
        fs::write(folder.path.join(&name), "").unwrap();
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(dir_mode)).unwrap();
        match FileStore::open(&folder.path) {
            Ok(_) => assert!(is_closed, "{name} {dir_mode:o}"),
            Err(error) => {
                assert!(!is_closed, "{name} {dir_mode:o}: {error}");
                assert!(error.to_string().contains("chmod 700"), "{error}");
            }
        }
        let left = if is_closed { 0o700 } else { dir_mode };
        assert_eq!(mode(&folder.path), left, "{name} {dir_mode:o}");
    }
}

#[test]
fn files_are_private_and_hold_no_secret() {
    use std::os::unix::fs::MetadataExt as _;

    let sandbox = Sandbox::start().unwrap();
    let folder = Folder::new();
    let clock = ManualClock::new();
    for &provider in Provider::ALL {
        let token = secret(&process(&sandbox, provider, &folder, &clock));
        assert!(!token.is_empty());
    }
    for path in folder.files("entry").into_iter().chain(folder.files("lock")) {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600, "{}", path.display());
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for &provider in Provider::ALL {
            assert!(!text.contains(sandbox.client_secret(provider)));
            assert!(!path.to_string_lossy().contains(sandbox.client_id(provider)));
        }
    }
}
