//! The conformance checks for stores: our own passes them, and each kind of store that does something
//! else is found out by its sentence.

use std::collections::HashMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::store::{Store, StoreGuard, StoreKey, conformance};
use paytoken::{Error, ErrorKind, Result};
use paytoken_testing::{PATIENCE, until};

use crate::processes::Folder;

#[test]
fn a_file_store_does_all_that_a_store_has_to() {
    let folder = Folder::new();
    conformance::check(|| folder.store());
    let one_handle = folder.store();
    conformance::check(|| &one_handle);
    conformance::check(|| Box::new(folder.store()) as Box<dyn Store>);
}

#[test]
fn a_file_store_finds_out_that_its_lock_file_was_removed() {
    let folder = Folder::new();
    conformance::lost_lock(
        || folder.store(),
        |key| fs::remove_file(folder.path.join(format!("{key}.lock"))).unwrap(),
    );
}

#[test]
fn a_file_store_s_lock_ends_with_its_process() {
    let folder = Folder::new();
    conformance::dead_holder(
        || folder.store(),
        |key| {
            // The lock goes to a process that waits on its stdin, and to no other.
            let path = folder.path.join(format!("{key}.lock"));
            let lock = fs::File::options().write(true).open(path).unwrap();
            lock.try_lock().unwrap();
            let mut holder =
                Command::new("cat").stdin(Stdio::piped()).stdout(lock).spawn().unwrap();
            let store = folder.store();
            let is_locked = store.lock(key, Duration::ZERO, Duration::ZERO).unwrap().is_none();
            holder.kill().unwrap();
            holder.wait().unwrap();
            assert!(is_locked);
        },
    );
}

#[test]
fn a_store_in_memory_does_all_that_a_store_has_to() {
    let memory = Memory::default();
    conformance::check(|| memory.clone());
    conformance::lost_lock(|| memory.clone(), |key| memory.lose(key));
    // Whose holder is dead: here, one that was forgotten, and found out.
    conformance::dead_holder(
        || memory.clone(),
        |key| {
            let guard = memory.lock(key, Duration::ZERO, Duration::ZERO).unwrap().unwrap();
            std::mem::forget(guard);
            memory.lose(key);
        },
    );
}

#[test]
fn whatever_a_store_does_wrong_is_found_out() {
    use Wrong::*;

    let table = [
        (ReadsNothing, "read none under the lock"),
        (LosesWrites, "read an entry of"),
        (KeepsTheFirst, "read an entry of"),
        (Appends, "read an entry of"),
        (CutsAt64KiB, "read an entry of 65536 bytes"),
        (CutsTheLargest, "has to be an entry of 262144 bytes"),
        (TakesTextOnly, "byte for byte"),
        (TrimsBlanks, "byte for byte"),
        (EndsAtZero, "byte for byte"),
        (WritesWhenDropped, "by the handle that wrote it, still locked"),
        (KeepsPerHandle, "by another handle"),
        (ReadsWhatWasThere, "under the lock"),
        (OneEntryForAll, "of an account that has none"),
        (ForgetsAtUnlock, "by a new handle"),
        (StaleStamp, "a stamp came again"),
        (StampOfTheLength, "a stamp came again"),
        (StampComesAgain, "a stamp came again"),
        (RestlessStamp, "the stamp changed"),
        (StampPerHandle, "the stamp changed"),
        (StampAtTimes, "a number once and None once"),
        (LocksNobodyOut, "it has to be exclusive"),
        (LocksPerHandle, "another handle got a lock"),
        (LocksPerThread, "in another thread"),
        (LeaseTooShort, "held"),
        (OneLockForAll, "locks another, too"),
        (LockedForReaders, "reading waits for the lock"),
        (NeverUnlocks, "held after its guard was dropped"),
        (StaysLockedByAPanic, "a thread that panicked left its lock behind"),
        (WaitsTooLong, "waited longer than"),
        (DoesNotWait, "gave up after"),
        (WaitsATenth, "gave up after"),
        (SleepsAllTheWait, "of becoming free"),
        (WritesInHalves, "read a part of an entry"),
        (RemovesFirst, "read none while the entry was replaced"),
        (LetsTwoIn, "an update was lost|an older entry was read after a newer one"),
        (OlderAtTimes, "an older entry was read after a newer one"),
        (FailsToRead, "read failed: store: not today"),
        (FailsToLock, "lock failed: store: not today"),
        (FailsToWrite, "write failed: store: not today"),
        (FailsToStamp, "stamp failed: store: not today"),
    ];
    let found: Vec<_> = thread::scope(|scope| {
        let checks = table.map(|(wrong, sentence)| {
            let check = move || {
                sentence_of(|| {
                    let memory = Memory::that(wrong);
                    conformance::check(|| memory.another_handle());
                })
            };
            (wrong, sentence, scope.spawn(check))
        });
        checks.map(|(wrong, sentence, check)| (wrong, sentence, check.join().unwrap())).into()
    });
    let missed: Vec<_> = found
        .iter()
        .filter(|(_, expected, found)| {
            !found.starts_with("store: ") || !expected.split('|').any(|one| found.contains(one))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_store_that_does_not_notice_a_lost_lock_or_a_death_is_found_out() {
    for (wrong, expected) in [
        (Wrong::WritesAfterTheLock, "writing without the lock gave Ok"),
        (Wrong::FailsInAnotherWay, "it has to be an error of kind Store"),
        (Wrong::WritesAndFails, "after one that had lost its lock"),
        (Wrong::EndsTheNextLock, "ended the next holder's"),
    ] {
        let memory = Memory::that(wrong);
        let found = sentence_of(|| {
            conformance::lost_lock(|| memory.clone(), |key| memory.lose(key));
        });
        assert!(found.contains(expected), "{wrong:?}: {found}");
    }
    let memory = Memory::default();
    let found = sentence_of(|| {
        let die = |key: &StoreKey| drop(memory.inside.entries.lock().unwrap().remove(key.as_str()));
        conformance::dead_holder(|| memory.clone(), die);
    });
    assert!(found.contains("after its holder has died"), "{found}");
}

/// What a check says of a store.
fn sentence_of(check: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(()) => "nothing".into(),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Wrong {
    #[default]
    Nothing,
    ReadsNothing,
    LosesWrites,
    KeepsTheFirst,
    Appends,
    CutsAt64KiB,
    CutsTheLargest,
    TakesTextOnly,
    TrimsBlanks,
    EndsAtZero,
    WritesWhenDropped,
    KeepsPerHandle,
    ReadsWhatWasThere,
    OneEntryForAll,
    ForgetsAtUnlock,
    StaleStamp,
    StampOfTheLength,
    StampComesAgain,
    RestlessStamp,
    StampPerHandle,
    StampAtTimes,
    LocksNobodyOut,
    LocksPerHandle,
    LocksPerThread,
    LeaseTooShort,
    OneLockForAll,
    LockedForReaders,
    NeverUnlocks,
    StaysLockedByAPanic,
    WaitsTooLong,
    DoesNotWait,
    WaitsATenth,
    SleepsAllTheWait,
    WritesInHalves,
    RemovesFirst,
    LetsTwoIn,
    OlderAtTimes,
    FailsToRead,
    FailsToLock,
    FailsToWrite,
    FailsToStamp,
    WritesAfterTheLock,
    FailsInAnotherWay,
    WritesAndFails,
    EndsTheNextLock,
}

/// The store of the `Store` docs, which finds out that a lock was lost, too; and whatever is wrong.
#[derive(Clone, Default)]
struct Memory {
    inside: Arc<Inside>,
    wrong: Wrong,
    handle: u64,
}

#[derive(Default)]
struct Inside {
    entries: Mutex<HashMap<String, Entry>>,
    locks: Mutex<HashMap<String, Holder>>,
    unlocked: Condvar,
    count: AtomicU64,
    reads: AtomicU64,
    was_read: AtomicBool,
}

#[derive(Clone, Default)]
struct Entry {
    bytes: Vec<u8>,
    previous: Vec<u8>,
    writes: u64,
}

#[derive(Clone, Copy, PartialEq)]
struct Holder {
    number: u64,
    since: Instant,
}

impl Memory {
    fn that(wrong: Wrong) -> Self {
        Self { wrong, ..Self::default() }
    }

    fn another_handle(&self) -> Self {
        Self { handle: self.inside.next(), ..self.clone() }
    }

    /// Takes the lock away from its holder.
    fn lose(&self, key: &StoreKey) {
        self.inside.locks.lock().unwrap().remove(key.as_str());
        self.inside.unlocked.notify_all();
    }

    fn entry(&self, key: &StoreKey) -> String {
        match self.wrong {
            Wrong::OneEntryForAll => String::new(),
            Wrong::KeepsPerHandle => format!("{key} {}", self.handle),
            _ => key.to_string(),
        }
    }

    fn lock_name(&self, key: &StoreKey) -> String {
        let is_number = |entry: &Entry| entry.bytes.first().is_some_and(u8::is_ascii_digit);
        let entry = self.inside.entries.lock().unwrap().get(key.as_str()).cloned();
        match self.wrong {
            Wrong::OneLockForAll => String::new(),
            Wrong::LocksPerHandle => format!("{key} {}", self.handle),
            Wrong::LocksPerThread => format!("{key} {:?}", thread::current().id()),
            Wrong::LocksNobodyOut => self.inside.next().to_string(),
            Wrong::LetsTwoIn if entry.is_some_and(|entry| is_number(&entry)) => {
                format!("{key} {}", self.inside.next() % 2)
            }
            _ => key.to_string(),
        }
    }

    fn put(&self, key: &StoreKey, bytes: &[u8]) {
        let name = self.entry(key);
        let mut entries = self.inside.entries.lock().unwrap();
        let writes = entries.get(&name).map_or(0, |entry| entry.writes) + 1;
        let previous = entries.get(&name).map(|entry| entry.bytes.clone()).unwrap_or_default();
        // Until somebody has read what is there for a moment, where somebody reads all the time.
        let is_raced = writes > 1 && bytes.first().is_some_and(u8::is_ascii_digit);
        let pause = |entries: MutexGuard<'_, _>| {
            let reads = || self.inside.reads.load(Ordering::SeqCst);
            let before = reads();
            drop(entries);
            if is_raced && !self.inside.was_read.load(Ordering::SeqCst) {
                until("it is read", || reads() > before);
                self.inside.was_read.store(true, Ordering::SeqCst);
            }
            self.inside.entries.lock().unwrap()
        };
        let bytes = match self.wrong {
            Wrong::LosesWrites if writes == 3 => previous.clone(),
            Wrong::KeepsTheFirst if writes > 1 => previous.clone(),
            Wrong::Appends => [&previous, bytes].concat(),
            Wrong::CutsAt64KiB => bytes[..bytes.len().min(65_536)].to_vec(),
            Wrong::CutsTheLargest => bytes[..bytes.len().min(262_143)].to_vec(),
            Wrong::TakesTextOnly => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            Wrong::TrimsBlanks => bytes.trim_ascii().to_vec(),
            Wrong::EndsAtZero => bytes.split(|byte| *byte == 0).next().unwrap().to_vec(),
            Wrong::WritesInHalves => {
                let half = bytes[..bytes.len() / 2].to_vec();
                entries.insert(name.clone(), Entry { bytes: half, ..Entry::default() });
                entries = pause(entries);
                bytes.to_vec()
            }
            Wrong::RemovesFirst => {
                entries.remove(&name);
                entries = pause(entries);
                bytes.to_vec()
            }
            _ => bytes.to_vec(),
        };
        entries.insert(name, Entry { bytes, previous, writes });
    }

    fn fails(&self, wrong: Wrong) -> Result<()> {
        if self.wrong == wrong { Err(Error::store("store: not today")) } else { Ok(()) }
    }
}

impl Inside {
    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst)
    }
}

impl Store for Memory {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        self.fails(Wrong::FailsToRead)?;
        if self.wrong == Wrong::LockedForReaders {
            drop(self.lock(key, Duration::from_secs(4), PATIENCE)?);
        }
        let entry = {
            let entries = self.inside.entries.lock().unwrap();
            self.inside.reads.fetch_add(1, Ordering::SeqCst);
            entries.get(&self.entry(key)).cloned()
        };
        Ok(entry.and_then(|entry| match self.wrong {
            Wrong::ReadsNothing => None,
            Wrong::OlderAtTimes
                if entry.previous.first().is_some_and(u8::is_ascii_digit)
                    && self.inside.next().is_multiple_of(2) =>
            {
                Some(entry.previous)
            }
            _ => Some(entry.bytes),
        }))
    }

    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        self.fails(Wrong::FailsToStamp)?;
        let entry = self.inside.entries.lock().unwrap().get(&self.entry(key)).cloned();
        let entry = entry.unwrap_or_default();
        Ok(match self.wrong {
            Wrong::StaleStamp => Some(7),
            Wrong::StampOfTheLength => Some(entry.bytes.len() as u64),
            Wrong::StampComesAgain => Some(entry.writes % 10),
            Wrong::RestlessStamp => Some(self.inside.next()),
            Wrong::StampPerHandle => Some(entry.writes * 1_000_000 + self.handle),
            Wrong::StampAtTimes if entry.writes == 3 => None,
            _ => Some(entry.writes),
        })
    }

    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        _: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        self.fails(Wrong::FailsToLock)?;
        let name = self.lock_name(key);
        let is_locked = |locks: &mut HashMap<String, Holder>| {
            locks.get(&name).is_some_and(|holder| {
                self.wrong != Wrong::LeaseTooShort
                    || holder.since.elapsed() < Duration::from_millis(150)
            })
        };
        let wait = match self.wrong {
            Wrong::WaitsTooLong => wait + Duration::from_secs(4),
            Wrong::DoesNotWait => Duration::ZERO,
            Wrong::WaitsATenth => wait / 10,
            _ => wait,
        };
        let mut locks = self.inside.locks.lock().unwrap();
        let is_polling = matches!(self.wrong, Wrong::SleepsAllTheWait | Wrong::LeaseTooShort);
        if is_polling && is_locked(&mut locks) {
            drop(locks);
            thread::sleep(wait.min(Duration::from_secs(6)));
            locks = self.inside.locks.lock().unwrap();
        } else {
            (locks, _) = self.inside.unlocked.wait_timeout_while(locks, wait, is_locked).unwrap();
        }
        if is_locked(&mut locks) {
            return Ok(None);
        }
        let holder = Holder { number: self.inside.next(), since: Instant::now() };
        locks.insert(name.clone(), holder);
        drop(locks);
        let before = match self.wrong {
            Wrong::ReadsWhatWasThere => self.read(key)?,
            _ => None,
        };
        Ok(Some(Box::new(Guard {
            store: self,
            key: key.clone(),
            name,
            holder,
            before,
            late: None,
        })))
    }
}

struct Guard<'a> {
    store: &'a Memory,
    key: StoreKey,
    name: String,
    holder: Holder,
    before: Option<Vec<u8>>,
    late: Option<Vec<u8>>,
}

impl Guard<'_> {
    fn is_lost(&self) -> bool {
        self.store.inside.locks.lock().unwrap().get(&self.name) != Some(&self.holder)
    }
}

impl StoreGuard for Guard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        match self.store.wrong {
            Wrong::ReadsWhatWasThere => Ok(self.before.clone()),
            Wrong::WritesWhenDropped if self.late.is_some() => Ok(self.late.clone()),
            Wrong::OlderAtTimes => {
                let entries = self.store.inside.entries.lock().unwrap();
                Ok(entries.get(self.key.as_str()).map(|entry| entry.bytes.clone()))
            }
            Wrong::LockedForReaders => Ok(None),
            _ => self.store.read(&self.key),
        }
    }

    fn write(&mut self, entry: &[u8], _: Duration) -> Result<()> {
        self.store.fails(Wrong::FailsToWrite)?;
        if self.is_lost() && self.store.wrong != Wrong::WritesAfterTheLock {
            if self.store.wrong == Wrong::WritesAndFails {
                self.store.put(&self.key, entry);
            }
            return Err(match self.store.wrong {
                Wrong::FailsInAnotherWay => Error::for_tests(ErrorKind::Timeout, "too late"),
                _ => Error::store("store: the lock was lost"),
            });
        }
        match self.store.wrong {
            Wrong::WritesWhenDropped => self.late = Some(entry.to_vec()),
            _ => self.store.put(&self.key, entry),
        }
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(late) = self.late.take() {
            self.store.put(&self.key, &late);
        }
        let stays = match self.store.wrong {
            Wrong::NeverUnlocks => true,
            Wrong::StaysLockedByAPanic => thread::panicking(),
            Wrong::EndsTheNextLock => false,
            _ => self.is_lost(),
        };
        if self.store.wrong == Wrong::ForgetsAtUnlock {
            self.store.inside.entries.lock().unwrap().remove(self.key.as_str());
        }
        if !stays {
            self.store.inside.locks.lock().unwrap().remove(&self.name);
            self.store.inside.unlocked.notify_all();
        }
    }
}
