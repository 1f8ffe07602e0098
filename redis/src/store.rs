//! [`RedisStore`]: a hash per account with the entry and its stamp, and beside it the lock, a value
//! with a lease. Both keys have the account in braces, so they are in one hash slot.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use paytoken::store::{Store, StoreGuard, StoreKey};
use paytoken::{Error, Result};
use redis::Value;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::clock::Deadline;
use crate::connection::Command;
use crate::failure::{ASK_AGAIN_AFTER, Failure, Refusal};
use crate::lease::Renewal;
use crate::link::Link;
use crate::scripts;
use crate::status::{self, ServerStatus};
use crate::sync::lock;

/// Each look is a command of Redis.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits between attempts at a lock that another holds, less up to half at random.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(40);

/// Of so many locks of an entry it is remembered that they may be ours.
const MOST_DOUBTFUL: usize = 4;

/// Nobody holds a lock for less or for longer, whatever is asked for.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// A lease is this part of the time for which the lock may be held, and not longer than this: whoever
/// waits for a holder that has died has most of its own time left. It is renewed four times as often.
const LEASE_IS_A: u32 = 4;
const LONGEST_RENEWED: Duration = Duration::from_secs(5);

/// An entry is kept no longer, whatever is asked for.
const LONGEST_KEPT: Duration = Duration::from_secs(366 * 24 * 3600);

/// The longest lease of earlier versions, whose locks do not name it: their holder's time-out and 5 s.
const LEASE_OF_EARLIER_VERSIONS: Duration = Duration::from_secs(5 * 60);

/// Shares tokens between machines, in Redis (6 or newer) or Valkey.
///
/// `Clone + Send + Sync`; clones share their connections: one for each thread that is asking at the
/// same time, four of which are kept. Nothing is sent before the store is used. A call connects anew
/// where it must, makes one attempt, and is over within [`timeout`](crate::RedisStoreBuilder::timeout). A
/// forked child opens connections of its own. To drop the last clone waits for attempts to connect to
/// addresses that have not answered: none lasts longer than its call would have.
///
/// A lock is a lease of a few seconds, which a thread renews while its holder lives, and which ends with
/// the lock: a holder that dies is followed soon. Whoever lost it cannot write. While a token is good, a
/// source asks one command a second.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    link: Link,
    prefix: String,
    replicas: Option<Replicas>,
    /// Values of locks that may be ours: the answer was lost. The next to lock takes them over.
    doubtful: Mutex<HashMap<StoreKey, Vec<LockValue>>>,
}

/// How many replicas must have a lock or an entry, and how long that may take.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    pub(crate) count: u32,
    pub(crate) wait: Duration,
}

/// What says whose lock it is: 32 hexadecimal digits, and nobody else's. Then a colon and its lease (ms),
/// by which others see that it is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LockValue(String);

impl RedisStore {
    /// What the server says of itself, asked anew on a connection of its own: for a check of the
    /// set-up, not for each start of a program. Blocks for [`timeout`](crate::RedisStoreBuilder::timeout)
    /// at most; writes a key and removes it, which no account uses. What this user may not ask is
    /// `None`, not an error.
    ///
    /// # Errors
    /// [`Store`](paytoken::ErrorKind::Store) when it cannot be reached, or refuses this user.
    pub fn server(&self) -> Result<ServerStatus> {
        status::ask(&self.0.link, &self.0.prefix)
    }

    pub(crate) fn new(link: Link, prefix: String, replicas: Option<Replicas>) -> Self {
        Self(Arc::new(Inner { link, prefix, replicas, doubtful: Mutex::default() }))
    }

    /// The entry if the lock is ours now.
    fn try_lock(&self, key: &StoreKey, attempt: &mut Attempt) -> Result<Option<Vec<u8>>> {
        let inner = &self.0;
        let lease = milliseconds(attempt.lease);
        let keys = [inner.lock_key(key), inner.entry_key(key)];
        let of_earlier = milliseconds(LEASE_OF_EARLIER_VERSIONS);
        let mut arguments =
            vec![attempt.value.0.as_bytes(), lease.as_bytes(), of_earlier.as_bytes()];
        arguments.extend(attempt.doubtful.iter().map(|value| value.0.as_bytes()));
        let result = inner.run(scripts::LOCK, &keys, &arguments, true);
        match result {
            Ok(_) => attempt.doubtful.clear(),
            Err(Failure::TooFewReplicas { .. }) => inner.unlock(key, &attempt.value),
            // Whether the lock is ours is not known; the next attempt finds out.
            Err(_) => {
                let doubtful = std::mem::take(&mut attempt.doubtful);
                doubtful.iter().chain([&attempt.value]).for_each(|value| inner.doubt(key, value));
            }
        }
        match result {
            Ok(Value::Int(0)) => Ok(None),
            Ok(Value::BulkString(entry)) => Ok(Some(entry)),
            Ok(Value::Array(mut parts)) => match parts.pop() {
                Some(Value::BulkString(entry)) => {
                    inner.link.warn("held a lock that could not end, or only long after its lease; it is taken over. See who else writes keys of this prefix");
                    Ok(Some(entry))
                }
                _ => Err(inner.link.error(Failure::Garbage)),
            },
            Ok(_) => Err(inner.link.error(Failure::Garbage)),
            Err(failure) => Err(inner.link.error(failure)),
        }
    }

    /// Of the lock that this attempt has brought.
    fn renewal(&self, key: &StoreKey, attempt: &Attempt, hold: Duration) -> io::Result<Renewal> {
        let (inner, key) = (self.0.clone(), self.0.lock_key(key));
        let (value, lease) = (attempt.value.0.clone(), milliseconds(attempt.lease));
        // One that got no answer is not the last.
        let renew = move || {
            let arguments = [value.as_bytes(), lease.as_bytes()];
            let answer = inner.run(scripts::RENEW, std::slice::from_ref(&key), &arguments, false);
            !matches!(answer, Ok(Value::Int(0)))
        };
        Renewal::start(attempt.lease / LEASE_IS_A, hold, renew)
    }
}

/// A lock that is wanted.
struct Attempt {
    value: LockValue,
    lease: Duration,
    /// Older values under which the lock may be ours.
    doubtful: Vec<LockValue>,
}

impl Attempt {
    fn new(lease: Duration, doubtful: Vec<LockValue>) -> Result<Self> {
        Ok(Self { value: LockValue::new(lease)?, lease, doubtful })
    }
}

impl Inner {
    fn lock_key(&self, key: &StoreKey) -> Vec<u8> {
        format!("{}:{{{key}}}:lock", self.prefix).into_bytes()
    }

    fn entry_key(&self, key: &StoreKey) -> Vec<u8> {
        format!("{}:{{{key}}}", self.prefix).into_bytes()
    }

    /// Runs a script, and waits for the replicas where that is wanted.
    fn run(
        &self,
        script: &str,
        keys: &[Vec<u8>],
        arguments: &[&[u8]],
        is_for_replicas: bool,
    ) -> Result<Value, Failure> {
        let count = keys.len().to_string();
        let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
        words.extend(keys.iter().map(Vec::as_slice));
        words.extend(arguments);
        let mut commands = vec![Command::new(&words)];
        let replicas = self.replicas.as_ref().filter(|_| is_for_replicas);
        if let Some(Replicas { count, wait }) = replicas {
            let (number, limit) = (count.to_string(), milliseconds(*wait));
            commands.push(Command::new(&[b"WAIT", number.as_bytes(), limit.as_bytes()]));
        }
        let wait = replicas.map(|replicas| replicas.wait).unwrap_or_default();
        let mut answers = self.link.ask(&commands, wait)?.into_iter();
        let answer = answers.next().ok_or(Failure::Garbage)?;
        match (replicas, answers.next()) {
            (None, _) => Ok(answer),
            // Nothing was written where the lock is another's.
            (Some(_), Some(Value::Int(_))) if answer == Value::Int(0) => Ok(answer),
            (Some(Replicas { count, .. }), Some(Value::Int(have))) => {
                match have < i64::from(*count) {
                    true => Err(Failure::TooFewReplicas { have, must: *count }),
                    false => Ok(answer),
                }
            }
            _ => Err(Failure::Garbage),
        }
    }

    /// Where Redis cannot be told, the lease ends the lock, or the next to lock here takes it over.
    fn unlock(&self, key: &StoreKey, value: &LockValue) {
        if self.run(scripts::UNLOCK, &[self.lock_key(key)], &[value.0.as_bytes()], false).is_err() {
            self.doubt(key, value);
        }
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        let command = Command::new(&[b"HGET", &self.entry_key(key), b"entry"]);
        match self.link.ask(&[command], Duration::ZERO) {
            // Longer than any entry: it is none that can be read, which no bytes are.
            Err(Failure::TooLong) => Ok(Some(Vec::new())),
            answers => self.text(answers),
        }
    }

    /// Anything else than text under a key of ours counts as no entry.
    fn text(&self, answers: Result<Vec<Value>, Failure>) -> Result<Option<Vec<u8>>> {
        match answers.map(|mut answers| answers.pop()) {
            Ok(Some(Value::BulkString(text))) => Ok(Some(text)),
            Ok(Some(Value::Nil)) | Err(Failure::Refused(Refusal::WrongType)) => Ok(None),
            Ok(_) => Err(self.link.error(Failure::Garbage)),
            Err(failure) => Err(self.link.error(failure)),
        }
    }

    /// Remembers that the lock may be ours under this value.
    fn doubt(&self, key: &StoreKey, value: &LockValue) {
        let mut doubtful = lock(&self.doubtful);
        let values = doubtful.entry(key.clone()).or_default();
        values.push(value.clone());
        let too_many = values.len().saturating_sub(MOST_DOUBTFUL);
        values.drain(..too_many);
    }
}

impl Store for RedisStore {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        self.0.read(key)
    }

    /// One `HGET` of a number. While Redis does not answer it fails at once, except one caller now
    /// and then, who finds out whether it is back.
    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        let inner = &self.0;
        let command = Command::new(&[b"HGET", &inner.entry_key(key), b"stamp"]);
        let Some(text) = inner.text(inner.link.look(&[command]))? else {
            return Ok(Some(0));
        };
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| inner.link.error(Failure::Garbage))
    }

    fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    /// The lease is a fourth of `hold`, from one second to five, and is renewed for as long as `hold`,
    /// which is from one second to one day and begins anew with each write.
    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        let deadline = Deadline::after(wait);
        let hold = hold.clamp(SHORTEST_HOLD, LONGEST_HOLD);
        let doubtful = lock(&self.0.doubtful).remove(key).unwrap_or_default();
        let lease = (hold / LEASE_IS_A).clamp(SHORTEST_HOLD, LONGEST_RENEWED);
        let mut attempt = Attempt::new(lease, doubtful)?;
        let mut pause = FIRST_WAIT;
        loop {
            if let Some(entry) = self.try_lock(key, &mut attempt)? {
                let renewal = self.renewal(key, &attempt, hold).ok();
                if renewal.is_none() && attempt.lease < hold {
                    // No thread is to be had: the same lock, with a lease for all of the time.
                    attempt = Attempt::new(hold, vec![attempt.value])?;
                    continue;
                }
                let Attempt { value, lease, .. } = attempt;
                return Ok(Some(Box::new(RedisGuard {
                    store: &self.0,
                    key: key.clone(),
                    value,
                    lease,
                    renewal,
                    entry: Some(entry),
                    is_silent: false,
                    process: std::process::id(),
                })));
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(pause.mul_f64(1.0 - chance()?).min(left));
            pause = (pause * 2).min(LONGEST_WAIT);
        }
    }
}

/// Holds the lease under its value.
struct RedisGuard<'a> {
    store: &'a Inner,
    key: StoreKey,
    value: LockValue,
    lease: Duration,
    /// Where a thread was to be had.
    renewal: Option<Renewal>,
    /// The entry, as it came with the lock: until something is written nobody has changed it.
    entry: Option<Vec<u8>>,
    /// Redis did not answer the write: it is not asked to unlock, which would take as long again.
    is_silent: bool,
    /// The process that locked it. A child that it forks has a copy of all this.
    process: u32,
}

impl StoreGuard for RedisGuard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        match self.entry.take() {
            Some(entry) => Ok((!entry.is_empty()).then_some(entry)),
            None => self.store.read(&self.key),
        }
    }

    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()> {
        let lost = || {
            Error::store(
                "store: the lock was lost, so nothing was written; this machine was stopped for longer than its lease, or Redis has forgotten the lock",
            )
            .with_retry_after(Some(ASK_AGAIN_AFTER))
        };
        if self.process != std::process::id() {
            return Err(lost());
        }
        self.entry = None;
        let lease = milliseconds(self.lease);
        // Never zero: that is the stamp of no entry.
        let stamp = (u64::from_be_bytes(random()?) | 1).to_string();
        let keep_for = milliseconds(keep_for.min(LONGEST_KEPT));
        let keys = [self.store.lock_key(&self.key), self.store.entry_key(&self.key)];
        let arguments = [
            self.value.0.as_bytes(),
            lease.as_bytes(),
            entry,
            stamp.as_bytes(),
            keep_for.as_bytes(),
        ];
        let write = || self.store.run(scripts::WRITE, &keys, &arguments, true);
        let result = match &self.renewal {
            Some(renewal) => renewal.beside(write),
            None => write(),
        };
        match result {
            Ok(Value::Int(1)) => Ok(()),
            Ok(Value::Int(0)) => Err(lost()),
            Ok(_) => Err(self.store.link.error(Failure::Garbage)),
            Err(failure) => {
                self.is_silent = !failure.is_answer();
                Err(self.store.link.error(failure))
            }
        }
    }
}

impl Drop for RedisGuard<'_> {
    fn drop(&mut self) {
        let renewal = self.renewal.take();
        if self.process != std::process::id() {
            // There is no such thread here, and nothing of it may be touched.
            return std::mem::forget(renewal);
        }
        drop(renewal);
        match self.is_silent {
            true => self.store.doubt(&self.key, &self.value),
            false => self.store.unlock(&self.key, &self.value),
        }
    }
}

impl LockValue {
    fn new(lease: Duration) -> Result<Self> {
        Ok(Self(format!("{:032x}:{}", u128::from_be_bytes(random()?), milliseconds(lease))))
    }
}

/// Up to a half.
fn chance() -> Result<f64> {
    Ok(f64::from(u16::from_be_bytes(random()?)) / f64::from(u16::MAX) / 2.0)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::store("store: the system has no random numbers; try again"))?;
    Ok(bytes)
}

/// At least one, as Redis reads it.
fn milliseconds(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

impl fmt::Debug for RedisStore {
    /// Where it is, and neither user nor password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.0.link.target.address;
        f.debug_struct("RedisStore")
            .field("place", &format_args!("{}", address.place))
            .field("database", &address.database)
            .field("prefix", &self.0.prefix)
            .field("tls", &address.is_tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_that_finds_stale_locks_knows_the_longest_lease() {
        assert!(scripts::LOCK.contains(&format!(", {})", milliseconds(LONGEST_HOLD))));
    }
}
