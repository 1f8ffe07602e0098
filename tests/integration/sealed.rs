//! A sealed store: whoever reads it gets no token, and whoever changes it is noticed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paytoken::store::{Sealed, SealingKeys, Store, StoreGuard, StoreKey, Unsealed, conformance};
use paytoken::{ErrorKind, Event, Provider, Result, Settings, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_testing::{ManualClock, builder, sealing, write_private};

use crate::processes::{Folder, account, secret, secs};

const NEW: [u8; 32] = [2; 32];

fn sealed(folder: &Folder, keys: &SealingKeys) -> Arc<dyn Store> {
    Arc::new(Sealed::new(folder.store(), keys.clone()))
}

fn process(sandbox: &Sandbox, provider: Provider, store: &Arc<dyn Store>) -> TokenSource {
    builder(sandbox, provider).store(store.clone()).clock(ManualClock::new()).build().unwrap()
}

fn contains(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_sealed_store_does_what_a_store_has_to() {
    let (folder, keys) = (Folder::new(), SealingKeys::new(&NEW));
    conformance::check(|| Sealed::new(folder.store(), keys.clone()));
    for what in [Unsealed::Read, Unsealed::Write] {
        let (folder, keys) = (Folder::new(), keys.clone().accept_unsealed(what));
        conformance::check(|| Sealed::new(folder.store(), keys.clone()));
    }
}

/// A store that is expensive to ask.
struct Expensive;

impl Store for Expensive {
    fn read(&self, _: &StoreKey) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn stamp(&self, _: &StoreKey) -> Result<Option<u64>> {
        Ok(Some(7))
    }

    fn look_every(&self) -> Duration {
        secs(30)
    }

    fn lock(
        &self,
        _: &StoreKey,
        _: Duration,
        _: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        Ok(None)
    }
}

#[test]
fn a_store_that_is_sealed_or_pointed_to_is_asked_as_often_as_it_says() {
    let key = account(&Sandbox::start().unwrap(), Provider::NexterPay).key().clone();
    let stores: [Box<dyn Store>; 4] = [
        Box::new(Sealed::new(Expensive, SealingKeys::new(&NEW))),
        Box::new(Arc::new(Expensive)),
        Box::new(Box::new(Expensive)),
        Box::new(&Expensive),
    ];
    for store in stores {
        assert_eq!((store.look_every(), store.stamp(&key).unwrap()), (secs(30), Some(7)));
    }
}

#[test]
fn processes_share_a_sealed_token_and_the_files_show_nothing_of_it() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let (plain, folder, keys) = (Folder::new(), Folder::new(), SealingKeys::new(&NEW));
        let token = secret(&process(&sandbox, provider, &sealed(&folder, &keys)));
        assert_eq!(secret(&process(&sandbox, provider, &sealed(&folder, &keys))), token);
        assert_eq!(sandbox.token_requests(provider), 1, "{provider}");
        let key = account(&sandbox, provider).key().to_string();
        for text in [&token, &token[..40], "generation", "paytoken-entry", &key] {
            assert!(!contains(&folder.entry(), text), "{provider}: {text}");
        }
        // Unsealed it would show: the search finds what there is.
        let store: Arc<dyn Store> = Arc::new(plain.store());
        let token = secret(&process(&sandbox, provider, &store));
        assert!(contains(&plain.entry(), &token));
        sandbox.reset_counts();
    }
}

#[test]
fn what_does_not_open_is_never_believed_is_told_once_and_costs_one_fetch() {
    let folder = Folder::new();
    let put = |key: &StoreKey, bytes: &[u8]| {
        fs::write(folder.path.join(format!("{key}.entry")), bytes).unwrap();
    };
    sealing::check_refusals(|| folder.store(), put);
}

#[test]
fn a_fleet_is_sealed_unsealed_and_gets_another_key_without_a_lost_token() {
    for &provider in Provider::ALL {
        for (what, order) in sealing::orders() {
            let folder = Folder::new();
            assert_eq!(sealing::play(provider, || folder.store(), &order), 0, "{provider}: {what}");
        }
    }
}

#[test]
fn a_step_that_is_left_out_loses_tokens() {
    for (what, order) in sealing::orders() {
        for at in 1..order.len() - 1 {
            let (folder, mut order) = (Folder::new(), order.clone());
            order.remove(at);
            let lost = sealing::play(Provider::SendPayments, || folder.store(), &order);
            assert_eq!(lost, [3, 4][at - 1], "docs/stores.md says so: {what} without step {at}");
        }
    }
}

/// A source that counts how often it tells of an unreadable entry.
fn telling(
    sandbox: &Sandbox,
    provider: Provider,
    folder: &Folder,
) -> (TokenSource, Arc<AtomicUsize>) {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let note = move |event: &Event| {
        count.fetch_add(usize::from(event.kind.name() == "entry_unreadable"), Ordering::Relaxed);
    };
    let source = builder(sandbox, provider).store(folder.store()).on_event(note);
    (source.build().unwrap(), told)
}

#[test]
#[cfg(unix)]
fn a_file_that_others_can_read_or_that_is_none_is_told_as_unreadable() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 7] = [
        ("0644", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap()),
        ("0660", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o660)).unwrap()),
        ("0601", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o601)).unwrap()),
        ("a link", |path| {
            let other = path.with_extension("other");
            fs::rename(path, &other).unwrap();
            symlink(other, path).unwrap();
        }),
        ("a link to nowhere", |path| {
            fs::remove_file(path).unwrap();
            symlink("nowhere", path).unwrap();
        }),
        ("too large", |path| fs::write(path, vec![b'x'; 300 * 1024]).unwrap()),
        ("of a later version", |path| {
            let text = fs::read_to_string(path).unwrap();
            fs::write(path, text.replace("paytoken-entry-2 ", "paytoken-entry-3 ")).unwrap();
        }),
    ];
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for (case, spoil) in cases {
            let folder = Folder::new();
            let account = account(&sandbox, provider);
            let unreadable = || account.stored_status(&folder.store()).unwrap().entry_unreadable;
            assert!(!unreadable(), "there is none");
            secret(&process(&sandbox, provider, &(Arc::new(folder.store()) as Arc<dyn Store>)));
            assert!(!unreadable());
            spoil(&folder.entry());
            assert!(unreadable(), "{case}");
            sandbox.reset_counts();
            let (source, told) = telling(&sandbox, provider, &folder);
            for _ in 0..2 {
                source.token().unwrap();
            }
            assert_eq!(told.load(Ordering::Relaxed), 1, "{provider}, {case}");
            assert_eq!(sandbox.token_requests(provider), 1, "{provider}, {case}");
            assert!(!unreadable(), "{case}: it is replaced");
        }
    }
}

#[test]
fn an_unreadable_entry_that_a_revoked_token_replaces_is_told() {
    let sandbox = Sandbox::start().unwrap();
    for provider in [Provider::NtxPay, Provider::NexterPay] {
        let folder = Folder::new();
        let (source, told) = telling(&sandbox, provider, &folder);
        let token = source.token().unwrap();
        fs::write(folder.entry(), "not an entry").unwrap();
        source.invalidate(&token).unwrap();
        source.token().unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1, "{provider}");
    }
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
fn key_files_are_read_as_they_come_and_what_is_wrong_is_said() {
    let folder = Folder::new();
    fs::create_dir(&folder.path).unwrap();
    let path = folder.path.join("keys");
    let line = SealingKeys::generate().unwrap();
    let line = line.expose().trim_end();
    let read = |content: &[u8]| {
        write_private(&path, content);
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
    let bad: [(&[u8], &str); 11] = [
        (b"", "no key"),
        (b"# nothing but a comment\n", "no key"),
        (long.as_bytes(), "line 1"),
        (short.as_bytes(), "line 1"),
        (b"\nnot base64 at all!\n", "line 2"),
        (&NEW[..31], "line 1"),
        (&[0xff; 33], "line 1"),
        (b"# the keys of this file: none ye", "no key"),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "line 1"),
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
    write_private(&keys, SealingKeys::generate().unwrap().expose());
    let settings_with = |store: &str, key: Option<&Path>, accept: Option<&'static str>| {
        let (store, key) = (store.to_owned(), key.map(Path::to_owned));
        let settings = Settings::from_variables(Provider::SendPayments, move |name| match name {
            "SENDPAYMENTS_CLIENT_ID" | "SENDPAYMENTS_CLIENT_SECRET" => Some("x".into()),
            "SENDPAYMENTS_BASE_URL" => Some("https://send.example".into()),
            "PAYTOKEN_STORE" => Some((&store).into()),
            "PAYTOKEN_STORE_KEY_FILE" => key.as_ref().map(Into::into),
            "PAYTOKEN_ACCEPT_UNSEALED" => accept.map(Into::into),
            _ => None,
        });
        settings.and_then(|settings| Ok((settings.sealing_keys()?, settings.builder()?)))
    };
    let settings = |store: &str, key: &Path| settings_with(store, Some(key), None);
    let directory = folder.path.display().to_string();
    let _ = settings(&directory, &keys).unwrap();
    for (text, accepts) in
        [("read", Some(Unsealed::Read)), ("write", Some(Unsealed::Write)), ("", None)]
    {
        let (read, _) = settings_with(&directory, Some(&keys), Some(text)).unwrap();
        assert_eq!(read.unwrap().accepts_unsealed(), accepts);
    }
    for (wrong, says) in [
        ("yes", "PAYTOKEN_ACCEPT_UNSEALED: 'yes' is not known; use read or write"),
        ("READ", "PAYTOKEN_ACCEPT_UNSEALED: the value given is not known; use read or write"),
        ("1", "PAYTOKEN_ACCEPT_UNSEALED: the value given is not known; use read or write"),
        ("read ", "PAYTOKEN_ACCEPT_UNSEALED: the value given is not known; use read or write"),
    ] {
        let error = settings_with(&directory, Some(&keys), Some(wrong)).err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Configuration, says));
    }
    let error = settings_with(&directory, None, Some("read")).err().unwrap().to_string();
    assert!(error.starts_with("PAYTOKEN_ACCEPT_UNSEALED: set without keys"), "{error}");
    let error = settings(&directory, Path::new("/nowhere/at-all")).err().unwrap();
    assert!(error.to_string().contains("PAYTOKEN_STORE_KEY_FILE: cannot read"), "{error}");
    for address in ["redis://127.0.0.1", "rediss://:password@redis.example:6379/0"] {
        let error = settings(address, &keys).err().unwrap().to_string();
        assert!(error.contains("PAYTOKEN_STORE: an address"), "{error}");
        assert!(!error.contains("password@"), "{error}");
    }
}
