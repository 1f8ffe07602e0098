//! What a sealed store has to refuse, and how its keys are changed in a running fleet: the same for
//! every store that can be sealed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use paytoken::store::{Account, Sealed, SealingKeys, Store, StoreKey, Unsealed};
use paytoken::{Environment, Event, Provider, TokenSource};
use paytoken_sandbox::Sandbox;

use crate::{ManualClock, PATIENCE, builder, credentials};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// Puts into the store all that was not sealed there for this account, and sees that none of it is
/// believed. `open` opens the bare store, as each process would; `put` replaces an entry in it.
pub fn check_refusals<S: Store + 'static>(open: impl Fn() -> S, put: impl Fn(&StoreKey, &[u8])) {
    let sandbox = Sandbox::start().unwrap();
    let bare = || -> Arc<dyn Store> { Arc::new(open()) };
    let sealed = |key| -> Arc<dyn Store> { Arc::new(Sealed::new(open(), SealingKeys::new(key))) };
    for &provider in Provider::ALL {
        let account = account(&sandbox, provider);
        let key = account.key();
        let stored = || bare().read(key).unwrap().unwrap();
        let put = |bytes: &[u8]| put(key, bytes);

        let entry_of = |store: Arc<dyn Store>| {
            Process::start(&sandbox, provider, store).source.refresh().unwrap();
            stored()
        };
        let plain = entry_of(bare());
        put(&[]);
        let of_another_key = entry_of(sealed(&OLD));
        let later_version = [&b"paytoken-sealed-2"[..], &of_another_key[17..]].concat();
        let ours = sealed(&NEW);
        let older = entry_of(ours.clone());
        let good = entry_of(ours);
        // The right content, sealed with the right key under the name of another account, and later.
        let another = self::account(&sandbox, next(provider));
        write(&*sealed(&NEW), another.key(), &plain);
        let of_another_account = bare().read(another.key()).unwrap().unwrap();

        let cases: &[(&str, &[u8])] = &[
            ("one byte", b"{"),
            ("plain", &plain),
            ("plain, behind the first line of a sealed one", &[&good[..18], &plain[..]].concat()),
            ("of another key", &of_another_key),
            ("of a later version", &later_version),
            ("of another account", &of_another_account),
            ("replayed", &older),
            ("one byte changed", &{
                let mut changed = good.clone();
                changed[good.len() / 2] ^= 1;
                changed
            }),
            ("cut", &good[..good.len() - 1]),
            ("longer", &[&good[..], b"\n"].concat()),
            ("with a blank before it", &[b" ", &good[..]].concat()),
            ("sealed twice", &{
                write(&*sealed(&NEW), key, &good);
                stored()
            }),
        ];
        for (case, bytes) in cases {
            let ours = sealed(&NEW);
            let keys = SealingKeys::new(&NEW).accept_unsealed(Unsealed::Read);
            let accepting = Sealed::new(open(), keys);
            put(&good);
            assert!(has_token(&account, &*ours) && has_token(&account, &accepting), "{case}");
            put(bytes);
            assert_refused(&account, &*ours, case);
            match *case {
                "plain" => assert!(has_token(&account, &accepting), "that is what it accepts"),
                _ => assert_refused(&account, &accepting, case),
            }
            sandbox.reset_counts();
            let process = Process::start(&sandbox, provider, ours);
            let token = process.token();
            assert_eq!(process.token(), token);
            assert_eq!(process.told(), 1, "{provider}, {case}: told once");
            assert_eq!(sandbox.token_requests(provider), 1, "{provider}, {case}: one fetch");
            // It is replaced: the next one finds what the first has fetched.
            let next = Process::start(&sandbox, provider, sealed(&NEW));
            assert_eq!((next.token(), next.told()), (token, 0), "{provider}, {case}");
            assert_eq!(sandbox.token_requests(provider), 1, "{provider}, {case}");
        }
        // Whoever has seen nothing newer believes a replayed one: that is what sealing does not hide.
        put(&older);
        assert!(has_token(&account, &*sealed(&NEW)));

        if provider == Provider::SendPayments {
            check_each_byte(&account, &*sealed(&NEW), &good, put);
        }
    }
}

/// Each bit of the first and last place of each byte, and each length.
fn check_each_byte(account: &Account, sealed: &dyn Store, good: &[u8], put: impl Fn(&[u8])) {
    let mut changed = good.to_vec();
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            changed[at] ^= bit;
            put(&changed);
            assert_refused(account, sealed, &format!("byte {at} changed by {bit}"));
            changed[at] ^= bit;
        }
        put(&good[..at]);
        assert_refused(account, sealed, &format!("cut at {at}"));
    }
    put(good);
    assert!(has_token(account, sealed));
}

fn has_token(account: &Account, store: &dyn Store) -> bool {
    account.stored_token(store, Duration::ZERO).unwrap().is_some()
}

fn assert_refused(account: &Account, store: &dyn Store, case: &str) {
    assert!(!has_token(account, store), "{case}");
    assert!(account.stored_status(store).unwrap().entry_unreadable, "{case}");
}

/// How a running fleet gets from one setting to another: each row is what all of its processes have
/// after they were started again, one after the other. `None` is without keys.
pub fn orders() -> [(&'static str, Vec<Option<SealingKeys>>); 3] {
    let [old, new] = [OLD, NEW].map(|key| SealingKeys::new(&key));
    let accepting = |what| Some(SealingKeys::new(&NEW).accept_unsealed(what));
    let on = vec![None, accepting(Unsealed::Write), accepting(Unsealed::Read), Some(new.clone())];
    let off = on.iter().rev().cloned().collect();
    let change = vec![
        Some(old),
        Some(SealingKeys::new(&OLD).and_opens(&NEW)),
        Some(SealingKeys::new(&NEW).and_opens(&OLD)),
        Some(new),
    ];
    [("sealing is turned on", on), ("sealing is turned off", off), ("the key is changed", change)]
}

/// Plays such an order with a fleet of three that is started again one after the other and renews
/// its token meanwhile, and says how many tokens were lost: fetched, though a good one was stored.
pub fn play<S: Store + 'static>(
    provider: Provider,
    open: impl Fn() -> S,
    order: &[Option<SealingKeys>],
) -> u64 {
    let sandbox = Sandbox::start().unwrap();
    let start = |keys: &Option<SealingKeys>| -> Arc<dyn Store> {
        match keys {
            Some(keys) => Arc::new(Sealed::new(open(), keys.clone())),
            None => Arc::new(open()),
        }
    };
    let mut fleet: Vec<_> = (0..3).map(|_| start(&order[0])).collect();
    let run = |store: &Arc<dyn Store>| Process::start(&sandbox, provider, store.clone());
    run(&fleet[0]).token();
    let mut wanted = 1;
    for keys in &order[1..] {
        for at in 0..fleet.len() {
            fleet[at] = start(keys);
            // All find the token that is there; then one after the other renews it.
            for renewing in 0..fleet.len() {
                fleet.iter().for_each(|store| _ = run(store).token());
                run(&fleet[renewing]).source.refresh().unwrap();
                wanted += 1;
            }
            fleet.iter().for_each(|store| _ = run(store).token());
        }
    }
    sandbox.token_requests(provider) as u64 - wanted
}

/// A process, and how often it told that an entry cannot be read.
struct Process {
    source: TokenSource,
    told: Arc<Mutex<usize>>,
}

impl Process {
    fn start(sandbox: &Sandbox, provider: Provider, store: Arc<dyn Store>) -> Self {
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let note = move |event: &Event| {
            *count.lock().unwrap() += usize::from(event.kind.name() == "entry_unreadable");
        };
        let source = builder(sandbox, provider).store(store).clock(ManualClock::new());
        Self { source: source.on_event(note).build().unwrap(), told }
    }

    fn token(&self) -> String {
        self.source.token().unwrap().secret().to_owned()
    }

    fn told(&self) -> usize {
        *self.told.lock().unwrap()
    }
}

fn account(sandbox: &Sandbox, provider: Provider) -> Account {
    let (credentials, url) = (credentials(sandbox, provider), sandbox.url(provider));
    Account::new(&credentials, Environment::Sandbox, Some(&url)).unwrap()
}

fn next(provider: Provider) -> Provider {
    let others = Provider::ALL.iter().copied();
    others.cycle().skip_while(|one| *one != provider).nth(1).unwrap()
}

/// Replaces an entry, whatever it was.
pub fn write(store: &dyn Store, key: &StoreKey, bytes: &[u8]) {
    let mut guard = store.lock(key, PATIENCE, PATIENCE).unwrap().unwrap();
    guard.write(bytes, Duration::from_secs(3600)).unwrap();
}
