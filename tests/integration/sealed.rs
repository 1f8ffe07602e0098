//! A sealed store: whoever reads it gets no token, and whoever changes it is noticed.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use paytoken::store::{Sealed, SealingKeys, Store, conformance};
use paytoken::{ErrorKind, Event, Provider, Settings, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, builder};

use crate::processes::{Folder, account, secret, secs};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

fn sealed(folder: &Folder, keys: &SealingKeys) -> Arc<dyn Store> {
    Arc::new(Sealed::new(folder.store(), keys.clone()))
}

/// A process, and the names of the events that it tells.
fn process(
    sandbox: &Sandbox,
    provider: Provider,
    store: &Arc<dyn Store>,
) -> (TokenSource, Arc<Mutex<Vec<&'static str>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = told.clone();
    let note = move |event: &Event| events.lock().unwrap().push(event.kind.name());
    let source = builder(sandbox, provider).store(store.clone()).clock(ManualClock::new());
    (source.on_event(note).build().unwrap(), told)
}

fn counts(told: &Mutex<Vec<&'static str>>, name: &str) -> usize {
    told.lock().unwrap().iter().filter(|event| **event == name).count()
}

fn contains(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_sealed_store_does_what_a_store_has_to() {
    let (folder, keys) = (Folder::new(), SealingKeys::new(&NEW));
    conformance::check(|| Sealed::new(folder.store(), keys.clone()));
}

#[test]
fn processes_share_a_sealed_token_and_the_files_show_nothing_of_it() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (plain, folder, keys) = (Folder::new(), Folder::new(), SealingKeys::new(&NEW));
        let token = secret(&process(&sandbox, provider, &sealed(&folder, &keys)).0);
        assert_eq!(secret(&process(&sandbox, provider, &sealed(&folder, &keys)).0), token);
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        let key = account(&sandbox, provider).key().to_string();
        for text in [&token, &token[..40], "generation", "paytoken-entry", &key] {
            assert!(!contains(&folder.entry(), text), "{provider}: {text}");
        }
        // Unsealed it would show: the search finds what there is.
        let store: Arc<dyn Store> = Arc::new(plain.store());
        let token = secret(&process(&sandbox, provider, &store).0);
        assert!(contains(&plain.entry(), &token));
        sandbox.reset_counts();
    }
}

#[test]
fn each_changed_byte_and_each_cut_is_noticed() {
    let sandbox = Sandbox::start().unwrap();
    let (provider, folder, keys) = (Provider::SendPayments, Folder::new(), SealingKeys::new(&NEW));
    let (source, _) = process(&sandbox, provider, &sealed(&folder, &keys));
    source.token().unwrap();
    let (path, account) = (folder.entry(), account(&sandbox, provider));
    let good = fs::read(&path).unwrap();
    let stored = || account.stored_token(&*sealed(&folder, &keys), secs(0)).unwrap();
    assert!(stored().is_some());
    let mut changed = good.clone();
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            changed[at] ^= bit;
            fs::write(&path, &changed).unwrap();
            assert!(stored().is_none(), "byte {at}");
            changed[at] ^= bit;
        }
        if at % 16 == 0 {
            fs::write(&path, &good[..at]).unwrap();
            assert!(stored().is_none(), "cut at {at}");
        }
    }
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert!(stored().is_none(), "longer");
    fs::write(&path, &good).unwrap();
    assert!(stored().is_some());
}

#[test]
fn an_unreadable_entry_is_told_and_costs_one_fetch() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        secret(&process(&sandbox, provider, &sealed(&folder, &SealingKeys::new(&OLD))).0);
        sandbox.reset_counts();
        // Another key; then this one again.
        for (key, unreadable) in [(&NEW, 1), (&NEW, 0)] {
            let store = sealed(&folder, &SealingKeys::new(key));
            let (source, told) = process(&sandbox, provider, &store);
            for _ in 0..3 {
                source.token().unwrap();
            }
            assert_eq!(counts(&told, "entry_unreadable"), unreadable, "{provider}");
            assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        }
    }
}

#[test]
fn an_entry_of_another_account_or_an_older_one_is_no_entry() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, keys) = (Folder::new(), SealingKeys::new(&NEW));
    let (ntx, nexter) = (Provider::NtxPay, Provider::NexterPay);
    let store = sealed(&folder, &keys);
    secret(&process(&sandbox, ntx, &store).0);
    let path = folder.entry();
    let first = fs::read(&path).unwrap();
    let second_token = process(&sandbox, ntx, &store).0.refresh().unwrap();
    let stored = |store: &Arc<dyn Store>, provider| {
        let token = account(&sandbox, provider).stored_token(&**store, secs(0)).unwrap();
        token.map(|token| token.secret().to_owned())
    };
    assert_eq!(stored(&store, ntx).unwrap(), second_token.secret());
    let second = fs::read(&path).unwrap();

    fs::write(&path, &first).unwrap();
    assert_eq!(stored(&store, ntx), None, "this process has seen a newer one");
    assert!(stored(&sealed(&folder, &keys), ntx).is_some(), "another has not");
    fs::write(&path, &second).unwrap();
    assert_eq!(stored(&store, ntx).unwrap(), second_token.secret());

    let other = path.with_file_name(format!("{}.entry", account(&sandbox, nexter).key()));
    fs::copy(&path, &other).unwrap();
    assert_eq!(stored(&store, nexter), None, "it is another account's");
    let unopened = store.read(account(&sandbox, nexter).key()).unwrap().unwrap();
    assert!(unopened.starts_with(b"paytoken-sealed"), "it stays as it was written");
    assert!(!secret(&process(&sandbox, nexter, &store).0).is_empty());
}

#[test]
fn an_entry_that_could_not_be_replaced_can_still_be_read() {
    let sandbox = Sandbox::start().unwrap();
    let (folder, keys) = (Folder::new(), SealingKeys::new(&NEW));
    let (store, account) = (sealed(&folder, &keys), account(&sandbox, Provider::NtxPay));
    let mut guard = store.lock(account.key(), secs(5), secs(5)).unwrap().unwrap();
    guard.write(b"the entry", secs(600)).unwrap();
    let in_the_way = folder.entry().with_extension("new");
    fs::create_dir(&in_the_way).unwrap();
    for _ in 0..2 {
        guard.write(b"another", secs(600)).unwrap_err();
        assert_eq!(store.read(account.key()).unwrap().as_deref(), Some(&b"the entry"[..]));
    }
    fs::remove_dir(&in_the_way).unwrap();
    guard.write(b"another", secs(600)).unwrap();
    assert_eq!(store.read(account.key()).unwrap().as_deref(), Some(&b"another"[..]));
}

#[test]
fn a_key_is_changed_without_a_fetch() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let folder = Folder::new();
        let [old, new] = [OLD, NEW].map(|key| SealingKeys::new(&key));
        let both = SealingKeys::new(&NEW).and_opens(&OLD);
        let token = secret(&process(&sandbox, provider, &sealed(&folder, &old)).0);
        let (source, told) = process(&sandbox, provider, &sealed(&folder, &both));
        assert_eq!(secret(&source), token, "{provider}");
        let newer = source.refresh().unwrap();
        assert_eq!(counts(&told, "entry_unreadable"), 0);
        assert_eq!(secret(&process(&sandbox, provider, &sealed(&folder, &new)).0), newer.secret());
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn key_files_are_read_as_they_come_and_what_is_wrong_is_said() {
    let folder = Folder::new();
    fs::create_dir(&folder.path).unwrap();
    let path = folder.path.join("keys");
    let line = SealingKeys::generate().unwrap();
    let line = line.expose().trim_end();
    let read = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        SealingKeys::from_file(&path)
    };
    let bom = format!("\u{feff}{line}\r\n");
    let two = format!("# the new one\n\n  {line}  \n# the old one\n{line}");
    let good: [&[u8]; 5] = [line.as_bytes(), bom.as_bytes(), two.as_bytes(), &NEW, &[b'\n'; 32]];
    for content in good {
        read(content).unwrap();
    }
    let long = format!("{line}{line}\n");
    let short = STANDARD_OF_31_BYTES;
    let bad: [(&[u8], &str); 9] = [
        (b"", "no key"),
        (b"# nothing but a comment\n", "no key"),
        (long.as_bytes(), "line 1"),
        (short.as_bytes(), "line 1"),
        (b"\nnot base64 at all!\n", "line 2"),
        (&NEW[..31], "line 1"),
        (&[0xff; 33], "line 1"),
        (&[b'A'; 70_000], "larger than"),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "line 1"),
    ];
    for (content, says) in bad {
        let error = read(content).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(!error.to_string().contains(line), "{error}");
    }
    let error = SealingKeys::from_file(folder.path.join("none")).unwrap_err();
    assert!(error.to_string().contains("sealing keys: cannot read"), "{error}");
    assert_ne!(
        SealingKeys::generate().unwrap().expose(),
        SealingKeys::generate().unwrap().expose()
    );
}

/// 31 zeroes.
const STANDARD_OF_31_BYTES: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

#[test]
fn the_environment_names_the_key_file_and_a_server_is_no_directory() {
    let folder = Folder::new();
    let keys = folder.path.with_extension("keys");
    fs::write(&keys, SealingKeys::generate().unwrap().expose()).unwrap();
    let settings = |store: &str, key: &Path| {
        let (store, key) = (store.to_owned(), key.to_owned());
        let settings = Settings::from_variables(Provider::SendPayments, move |name| match name {
            "SENDPAYMENTS_CLIENT_ID" | "SENDPAYMENTS_CLIENT_SECRET" => Some("x".into()),
            "SENDPAYMENTS_BASE_URL" => Some("https://send.example".into()),
            "PAYTOKEN_STORE" => Some((&store).into()),
            "PAYTOKEN_STORE_KEY_FILE" => Some((&key).into()),
            _ => None,
        });
        settings.unwrap().builder()
    };
    let directory = folder.path.display().to_string();
    let _ = settings(&directory, &keys).unwrap();
    let error = settings(&directory, Path::new("/nowhere/at-all")).err().unwrap();
    assert!(error.to_string().contains("PAYTOKEN_STORE_KEY_FILE: cannot read"), "{error}");
    for address in ["redis://127.0.0.1", "rediss://:password@redis.example:6379/0"] {
        let error = settings(address, &keys).err().unwrap().to_string();
        assert!(error.contains("PAYTOKEN_STORE: an address"), "{error}");
        assert!(!error.contains("password@"), "{error}");
    }
}
