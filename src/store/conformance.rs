//! What any [`Store`] has to do, as checks for the tests of a store of your own.
//!
//! [`check`] runs all that need nothing but the store. Two more need your help to bring about what
//! they check: [`lost_lock`] and [`dead_holder`]. Each check ends in a panic with a sentence that
//! says what the store did and what it has to do.
//!
//! `open` gives a handle on the *same* store each time, as another process would have it: another
//! connection, the same directory opened again. The entries have names that no other run uses, and
//! may be forgotten after ten minutes.
//!
//! ```
//! use paytoken::FileStore;
//! use paytoken::store::conformance;
//!
//! let folder = std::env::temp_dir().join(format!("paytoken-check-{}", std::process::id()));
//! conformance::check(|| FileStore::open(&folder).unwrap());
//! # std::fs::remove_dir_all(folder).unwrap();
//! ```

use std::hash::{BuildHasher as _, Hasher as _};
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use super::{Store, StoreGuard, StoreKey};
use crate::base::clock;
use crate::types::error::{ErrorKind, Result};

/// How long entries are kept, and how long a lock is held at most.
const KEEP: Duration = Duration::from_secs(600);
const HOLD: Duration = Duration::from_secs(60);

/// How long a check waits for a lock that has to become free.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it waits for one that is held all the time.
const WAIT: Duration = Duration::from_millis(200);

/// What a busy machine and a slow network may add to a wait.
const SLACK: Duration = Duration::from_secs(3);

const AT_ONCE: Duration = Duration::ZERO;

/// Entries may be as large as this.
const LARGEST: usize = 256 * 1024;

/// All checks that need nothing but the store.
///
/// # Panics
/// When the store does something else than it has to, or fails.
pub fn check<S: Store>(open: impl Fn() -> S + Sync) {
    locks(&open);
    waits(&open);
    entries(&open);
    stamps(&open);
    races(&open);
}

/// What was written is read: every byte, up to 256 KiB, through any handle, at once; an entry is
/// replaced whole; and two entries have nothing to do with each other.
///
/// # Panics
/// When the store does something else, or fails.
pub fn entries<S: Store>(open: impl Fn() -> S + Sync) {
    let (one, two) = (open(), open());
    let (key, other_key) = (new_key(), new_key());
    must_be(read(&one, &key), None, "before the first write");
    let mut guard = locked(&one, &key);
    must_be(done(guard.read(), "read under the lock"), None, "before the first write");
    let awkward = [&b"\0"[..], b" \r\n text \n\n", b"\xff\xfe\xc3(", b"{\"an\": \"entry\"}"];
    let sizes = [LARGEST, 1, 65_537, 65_536, 65_535, 4_096, 255, 2, LARGEST - 1];
    let entries = awkward.into_iter().map(<[u8]>::to_vec).chain(sizes.map(noise));
    for entry in entries {
        write(&mut *guard, &entry);
        must_be(done(guard.read(), "read under the lock"), Some(&entry), "under the lock");
        must_be(read(&one, &key), Some(&entry), "by the handle that wrote it, still locked");
        must_be(read(&two, &key), Some(&entry), "by another handle, while it is locked");
        must_be(read(&two, &other_key), None, "of an account that has none");
    }
    write(&mut *guard, b"the last");
    drop(guard);
    must_be(read(&open(), &key), Some(b"the last"), "by a new handle");
    // Locked and left alone, it stays; and the other one's does not touch it.
    drop(locked(&two, &key));
    write(&mut *locked(&two, &other_key), b"the other's");
    must_be(read(&one, &key), Some(b"the last"), "after another account's was written");
    must_be(read(&one, &other_key), Some(b"the other's"), "of the other account");
}

/// The stamp, if the store has stamps, differs after every write from all before, is the same by
/// any handle, and stays while nothing is written.
///
/// # Panics
/// When the store does something else, or fails.
pub fn stamps<S: Store>(open: impl Fn() -> S + Sync) {
    let (one, two) = (open(), open());
    let key = new_key();
    let stamp = |store: &S| done(store.stamp(&key), "stamp");
    let mut seen = vec![stamp(&one)];
    for count in 0..16 {
        // As long as the one before it, and written as fast as can be.
        write(&mut *locked(&one, &key), format!("entry {count:02}").as_bytes());
        let now = stamp(&two);
        assert!(
            now.is_some() == seen[0].is_some(),
            "store: stamp gave a number once and None once; it has to give always the one or always the other"
        );
        assert!(
            now.is_none() || !seen.contains(&now),
            "store: a stamp came again after the entry had changed; it has to be another one after every write"
        );
        assert!(
            stamp(&one) == now && stamp(&two) == now,
            "store: the stamp changed while nothing was written; it has to stay, for every handle"
        );
        seen.push(now);
    }
}

/// A lock is exclusive between handles and between threads; it is free again when its guard is
/// dropped, also by a thread that panics; it keeps nobody from reading, nor from another entry.
///
/// # Panics
/// When the store does something else, or fails.
pub fn locks<S: Store>(open: impl Fn() -> S + Sync) {
    let (one, two) = (open(), open());
    let (key, other_key) = (new_key(), new_key());
    let assert_unlocked = || {
        assert!(
            is_free(&two, &key) && is_free(&one, &key),
            "store: the lock is held after its guard was dropped; it has to be free"
        );
    };
    drop(locked(&one, &key));
    assert_unlocked();
    for _ in 0..3 {
        let mut guard = Some(locked(&one, &key));
        for (store, whose) in [(&one, "the same handle"), (&two, "another handle")] {
            assert!(
                !is_free(store, &key),
                "store: {whose} got a lock that is held; it has to be exclusive"
            );
            match in_time(&mut guard, || is_free(store, &key)) {
                Some(false) => {}
                Some(true) => panic!(
                    "store: {whose} got a lock in another thread while it was held; it has to be exclusive"
                ),
                None => {
                    panic!("store: waited longer than it was told for a lock; it has to give up")
                }
            }
            assert!(
                in_time(&mut guard, || read(store, &key)).is_some(),
                "store: reading waits for the lock; it has to do without"
            );
            assert!(
                is_free(store, &other_key),
                "store: the lock on one entry locks another, too; each has to have its own"
            );
        }
        drop(guard);
        assert_unlocked();
    }
    let panicked = thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _guard = locked(&one, &key);
            resume_unwind(Box::new("a panic that prints nothing"));
        });
        holder.join().is_err()
    });
    assert!(
        panicked && is_free(&two, &key),
        "store: a thread that panicked left its lock behind; it has to be free"
    );
}

/// A lock is waited for as long as was asked, no longer and no less, and had as soon as it is free.
///
/// # Panics
/// When the store does something else, or fails.
pub fn waits<S: Store>(open: impl Fn() -> S + Sync) {
    let (one, two) = (open(), open());
    let key = new_key();
    for (store, wait) in [(&one, AT_ONCE), (&two, AT_ONCE), (&one, WAIT), (&two, WAIT)] {
        let mut guard = Some(locked(&one, &key));
        // Timed by whoever waits: to start that thread may take a busy machine as long as the wait.
        let answer = in_time(&mut guard, || {
            let began = clock::monotonic();
            (got(store.lock(&key, wait, HOLD)), clock::monotonic() - began)
        });
        let Some((got, waited)) = answer.filter(|(_, waited)| *waited <= wait + SLACK) else {
            panic!("store: waited longer than {wait:?} for a lock; it has to give up then");
        };
        assert!(!got, "store: a lock was had while it was held");
        assert!(
            waited >= wait.mul_f64(0.9),
            "store: gave up after {waited:?}; it has to wait for the lock for all of {wait:?}"
        );
    }
    for store in [&one, &two] {
        let mut guard = Some(locked(&one, &key));
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let key = &key;
            let waiting = scope.spawn(move || {
                let got = got(store.lock(key, PATIENCE, HOLD));
                // Nobody listens any more where the check has failed.
                let _ = tell.send(got);
            });
            let early = told.recv_timeout(WAIT);
            drop(guard.take());
            if early == Err(RecvTimeoutError::Disconnected) {
                joined(waiting);
            }
            assert!(early.is_err(), "store: a lock was had, or given up, while it was held");
            assert!(
                told.recv_timeout(SLACK) == Ok(true),
                "store: a lock was not had within {SLACK:?} of becoming free; who waits has to get it"
            );
        });
    }
}

/// No update is lost between threads that lock, read and write, and nobody reads half an entry.
///
/// # Panics
/// When the store does something else, or fails.
pub fn races<S: Store>(open: impl Fn() -> S + Sync) {
    const THREADS: usize = 4;
    const UPDATES: usize = 12;
    const READS: usize = 100;
    let key = &new_key();
    let shared = &open();
    let open = &open;
    write(&mut *locked(shared, key), &counted(0));
    let is_over = &AtomicBool::new(false);
    // None is through before the last begins.
    let all_are_there = &Barrier::new(THREADS);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let store = open();
            let (mut last, mut reads) = (0, 0);
            while reads < READS || !is_over.load(Ordering::SeqCst) {
                let now = count(read(&store, key));
                reads += 1;
                assert!(now >= last, "store: an older entry was read after a newer one");
                last = now;
                thread::yield_now();
            }
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    all_are_there.wait();
                    // Half of them with a handle of their own.
                    let own = (thread % 2 == 0).then(open);
                    let store = own.as_ref().unwrap_or(shared);
                    for _ in 0..UPDATES {
                        let mut guard = locked(store, key);
                        let count = count(done(guard.read(), "read under the lock"));
                        // Long enough for another to come in between, if it can.
                        thread::sleep(Duration::from_millis(1));
                        write(&mut *guard, &counted(count + 1));
                    }
                })
            })
            .collect();
        let ends: Vec<_> = writers.into_iter().map(ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::SeqCst);
        joined(reader);
        ends.into_iter().for_each(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
    });
    assert!(
        count(read(shared, key)) == THREADS * UPDATES,
        "store: an update was lost; between lock and unlock nobody else may write"
    );
}

/// A guard that has lost its lock finds out when it writes, changes nothing, and does not end the
/// next holder's lock.
///
/// `lose` takes the lock on this entry away from its holder, who does not notice: it lets the lease
/// run out, or removes the file.
///
/// # Panics
/// When the store does something else, or fails.
pub fn lost_lock<S: Store>(open: impl Fn() -> S + Sync, lose: impl FnOnce(&StoreKey)) {
    let (one, two) = (open(), open());
    let key = new_key();
    let mut lost = locked(&one, &key);
    write(&mut *lost, b"while it was held");
    lose(&key);
    let mut held = locked(&two, &key);
    for entry in [&b"by the next holder"[..], b"by the next holder, again"] {
        write(&mut *held, entry);
        let late = lost.write(b"too late", KEEP);
        assert!(
            late.as_ref().is_err_and(|error| error.kind() == ErrorKind::Store),
            "store: writing without the lock gave {late:?}; it has to be an error of kind Store"
        );
        must_be(read(&one, &key), Some(entry), "after one that had lost its lock wanted to write");
    }
    drop(lost);
    assert!(
        !is_free(&one, &key),
        "store: a guard that had lost its lock ended the next holder's; it has to leave it alone"
    );
    write(&mut *held, b"the last");
    drop(held);
    must_be(read(&one, &key), Some(b"the last"), "at the end");
}

/// A lock whose holder has died is free again within 20 seconds, and the entry is as it was.
///
/// `die` locks this entry by a holder that does not exist any more when it returns: a process that
/// is killed, a lease that nobody renews.
///
/// # Panics
/// When the store does something else, or fails.
pub fn dead_holder<S: Store>(open: impl Fn() -> S + Sync, die: impl FnOnce(&StoreKey)) {
    let key = new_key();
    write(&mut *locked(&open(), &key), b"before");
    die(&key);
    must_be(read(&open(), &key), Some(b"before"), "after its holder has died");
    let store = open();
    let mut guard = locked(&store, &key);
    must_be(done(guard.read(), "read under the lock"), Some(b"before"), "after a death");
    write(&mut *guard, b"after");
    must_be(read(&open(), &key), Some(b"after"), "at the end");
}

/// A name that no other run uses, made as the real ones are.
fn new_key() -> StoreKey {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let random = std::hash::RandomState::new().build_hasher().finish();
    StoreKey(format!("conformance-{random:016x}-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// The lock, which nobody holds for long.
fn locked<'a>(store: &'a impl Store, key: &StoreKey) -> Box<dyn StoreGuard + 'a> {
    match done(store.lock(key, PATIENCE, HOLD), "lock") {
        Some(guard) => guard,
        None => panic!("store: a lock that is free, or soon was, was not had in {PATIENCE:?}"),
    }
}

fn is_free(store: &impl Store, key: &StoreKey) -> bool {
    got(store.lock(key, AT_ONCE, HOLD))
}

/// Whether there is a guard. It is dropped.
fn got(guard: Result<Option<Box<dyn StoreGuard + '_>>>) -> bool {
    done(guard, "lock").is_some()
}

/// What another thread is answered while the guard is held. `None` where it waits for the guard,
/// which is dropped then, so that the thread can end.
fn in_time<T: Send>(
    guard: &mut Option<Box<dyn StoreGuard + '_>>,
    ask: impl FnOnce() -> T + Send,
) -> Option<T> {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        // Nobody listens any more where it was too late.
        let asking = scope.spawn(move || _ = tell.send(ask()));
        let answer = told.recv_timeout(WAIT + SLACK);
        if answer.is_err() {
            drop(guard.take());
        }
        joined(asking);
        answer.ok()
    })
}

/// Ends as the thread has ended: with its panic, too.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn read(store: &impl Store, key: &StoreKey) -> Option<Vec<u8>> {
    done(store.read(key), "read")
}

fn write(guard: &mut dyn StoreGuard, entry: &[u8]) {
    done(guard.write(entry, KEEP), "write");
}

fn done<T>(result: Result<T>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("store: {what} failed: {error}"))
}

/// Entries can be large and hold anything, so they are not shown.
fn must_be(found: Option<Vec<u8>>, expected: Option<&[u8]>, when: &str) {
    let size = |entry: Option<&[u8]>| match entry {
        Some(entry) => format!("an entry of {} bytes", entry.len()),
        None => "none".to_owned(),
    };
    assert!(
        found.as_deref() == expected,
        "store: read {} {when}; it has to be {}, byte for byte",
        size(found.as_deref()),
        size(expected),
    );
}

/// Bytes of every value, the same for a size each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ size as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

/// An entry that says a number all over, and is longer or shorter than the one before.
fn counted(count: usize) -> Vec<u8> {
    format!("{count};").repeat(1 + 5_000 * (count % 3)).into_bytes()
}

/// The number that an entry says, if it does so all over.
fn count(entry: Option<Vec<u8>>) -> usize {
    let Some(entry) = entry else {
        panic!("store: read none while the entry was replaced; it has to be the old or the new one")
    };
    let text = String::from_utf8_lossy(&entry);
    let number = text.split(';').next().and_then(|number| number.parse().ok());
    match number {
        Some(number) if counted(number) == entry => number,
        _ => panic!("store: read a part of an entry; it has to be the old or the new one, whole"),
    }
}
