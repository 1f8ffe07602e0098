//! Who may read a store: the modes of its directory and files.

use std::fs;
use std::path::Path;

use paytoken::store::Store as _;
use paytoken::{FileStore, Provider};
use paytoken_sandbox::Sandbox;
use paytoken_testing::ManualClock;

use crate::processes::{Folder, key, process, secret, secs};

const NTX: Provider = Provider::NtxPay;
const SEND: Provider = Provider::SendPayments;

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
