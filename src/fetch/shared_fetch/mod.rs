//! One fetch for every process: read the entry → lock → read it again → still needed? → fetch → write →
//! unlock.
//!
//! The network is used while the lock is held, on purpose: a process that waits for the lock then finds
//! the new token in the store, and does not fetch another one.

mod last_seen;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use self::last_seen::LastSeen;
use crate::base::clock::{Deadline, Now};
use crate::base::sync::lock;
use crate::fetch::Fetcher;
use crate::flight::{Change, Obtained, Order};
use crate::store::entry::{Entry, StoredToken};
use crate::store::{Account, Store, StoreGuard};
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::event::EventKind;

/// How long to wait for the lock before the entry is read again.
const LOCK_SLICE: Duration = Duration::from_millis(100);

/// The lock may be held for so much longer than the fetch may take, to write the entry.
const HOLD_BEYOND: Duration = Duration::from_secs(5);

/// Whether a remembered refusal was for our secret is slow to find out, on purpose.
const COMPARISON_TAKES: Duration = Duration::from_millis(250);

/// A source's way to a token through the store that it shares with other processes.
pub(crate) struct SharedFetch {
    fetcher: Arc<Fetcher>,
    store: Arc<dyn Store>,
    account: Account,
    last_seen: LastSeen,
    /// The last comparison with the store failed, which is reported once and not each time.
    cannot_look: AtomicBool,
    /// When the store could last not be used.
    failed_at: Mutex<Option<Instant>>,
}

impl SharedFetch {
    pub(crate) fn new(fetcher: Arc<Fetcher>, store: Arc<dyn Store>, account: Account) -> Self {
        Self {
            fetcher,
            store,
            account,
            last_seen: LastSeen::default(),
            cannot_look: AtomicBool::new(false),
            failed_at: Mutex::default(),
        }
    }

    /// Takes note that the store could not be used: `Status::store_failed`.
    pub(crate) fn store_failed(&self) {
        *lock(&self.failed_at) = Some(self.fetcher.clock.now().monotonic);
    }

    pub(crate) fn tell_unusable(&self, error: Error) {
        self.store_failed();
        self.fetcher.tell(EventKind::StoreUnusable { error: self.fetcher.error(error) });
    }

    /// When the store could last not be used.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        *lock(&self.failed_at)
    }

    /// The stored token if it serves the order, else a new one, fetched under the lock.
    pub(crate) fn obtain(&self, order: &Order, requests: &AtomicU64) -> Result<Obtained> {
        let mut guard = loop {
            let entry = self.entry(self.store.read(self.account.key())?);
            // Another process is replacing the token at this moment. What the entry remembers of an
            // earlier failure is about to be overtaken, so it is no answer: wait for the lock.
            if entry.parked.is_none()
                && let Some(obtained) = self.found_or_blocked(order, &entry)?
            {
                return Ok(obtained);
            }
            let left = order.deadline.remaining();
            let limit = if order.is_renewal() { Duration::ZERO } else { left.min(LOCK_SLICE) };
            if !left.is_zero()
                && let Some(guard) =
                    self.store.lock(self.account.key(), limit, left.saturating_add(HOLD_BEYOND))?
            {
                break guard;
            }
            // Another process has the lock. A renewal leaves it at that, since it has a good token; a
            // caller without a token reads the entry again until its time is over.
            if order.is_renewal() {
                return Ok(Obtained::Busy);
            }
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "store: another process is fetching the token and has not finished in time; try again, or allow more time",
                ));
            }
        };
        let mut entry = self.entry(guard.read()?);
        if entry.is_unreadable {
            self.fetcher.tell(EventKind::EntryUnreadable);
        }
        // A server that has lost its last writes has an older generation again; a process that has seen a
        // later one counts on from that.
        entry.generation = entry.generation.max(self.last_seen.generation());
        if let Some(obtained) = self.found_or_blocked(order, &entry)? {
            return Ok(obtained);
        }
        let last = self.stored_token(&entry, self.fetcher.clock.now()).or(order.newest.clone());
        let parked = self.park(&mut *guard, &mut entry)?;
        self.last_seen.record_parked(&entry);
        let before = entry.generation;
        let result = self.fetcher.fetch(order, last.as_ref(), requests);
        let is_written = self.write_result(&mut *guard, &mut entry, parked, &result);
        if let Ok(token) = &result {
            match is_written {
                true => self.last_seen.record_stored(token, entry.generation),
                // The write failed, so the next change by another process gets the generation that
                // this one would have had: count from the one before, so that it is seen as newer.
                false => self.last_seen.record_unstored(token, before),
            }
        }
        result.map(Obtained::Fetched)
    }

    /// The stored token if it is good for so long: for a caller that may not fetch because a failure is
    /// remembered here, which another process may have overcome. If a process is replacing the token,
    /// that is waited for.
    pub(crate) fn good_token(&self, min_validity: Duration, deadline: Deadline) -> Option<Token> {
        let order = Order::of_any_caller(min_validity, deadline);
        let mut entry = self.entry(self.store.read(self.account.key()).ok()?);
        if entry.parked.is_some() {
            let guard = self.store.lock(self.account.key(), deadline.remaining(), HOLD_BEYOND);
            drop(guard.ok()?);
            entry = self.entry(self.store.read(self.account.key()).ok()?);
        }
        let token = self.serving_token(&order, &entry, self.fetcher.clock.now())?;
        self.last_seen.record_stored(&token, entry.generation);
        Some(token)
    }

    /// Takes note of a token that was fetched without the store, since that failed: what is in the store,
    /// if it can be read again, is older.
    pub(crate) fn fetched_without_store(&self, token: &Token) {
        self.last_seen.record_unstored(token, self.last_seen.generation());
    }

    /// Drops a token that the API answered 401 to, for every process; whether it was the stored
    /// one. Another process may have the lock for all of `limit`.
    pub(crate) fn invalidate(&self, revoked: &str, now: Now, limit: Duration) -> Result<bool> {
        let tell = || self.fetcher.tell(EventKind::EntryUnreadable);
        let told = self.account.invalidate_at(&*self.store, revoked, limit, now, tell);
        let mut book = self.fetcher.book.lock();
        match told {
            Ok((was_stored, entry)) => {
                if !entry.is_unreadable {
                    book.take_over(entry.book, now);
                }
                Ok(was_stored)
            }
            Err(error) => {
                book.note_untold();
                self.store_failed();
                Err(error)
            }
        }
    }

    /// How often a token in memory is to be compared with the store.
    pub(crate) fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    /// What other processes did to `token`. Costs one `stamp`, and a read when the entry has changed. If
    /// the store fails, the token counts as unchanged and goes on being served, though others may have
    /// dropped it; that is reported once.
    pub(crate) fn change(&self, token: &Token) -> Change {
        match self.compare_with_store(token) {
            Ok(change) => {
                self.cannot_look.store(false, Ordering::Relaxed);
                change
            }
            Err(error) => {
                match self.cannot_look.swap(true, Ordering::Relaxed) {
                    true => self.store_failed(),
                    false => self.tell_unusable(error),
                }
                Change::None
            }
        }
    }

    fn compare_with_store(&self, token: &Token) -> Result<Change> {
        let stamp = self.store.stamp(self.account.key())?;
        if stamp.is_some() && *lock(&self.last_seen.stamp) == stamp {
            return Ok(Change::None);
        }
        let bytes = self.store.read(self.account.key())?;
        let change = self.compare_with_entry(token, bytes);
        // The entry counts as seen only if it was the newest token of this process that agrees with it.
        if matches!(change, Change::None) && self.last_seen.generation_of(token).is_some() {
            *lock(&self.last_seen.stamp) = stamp;
        }
        Ok(change)
    }

    fn compare_with_entry(&self, token: &Token, bytes: Option<Vec<u8>>) -> Change {
        let bytes = bytes.map(Zeroizing::new);
        let Some(entry) = bytes.and_then(|bytes| Entry::try_decode(&bytes, self.account.key()))
        else {
            return Change::None;
        };
        // The clock is read again: the machine may have been suspended since the caller read it.
        let now = self.fetcher.clock.now();
        let stored = self.stored_token(&entry, now);
        if stored.as_ref().is_some_and(|stored| stored.has_secret(token.secret())) {
            return Change::None;
        }
        // A token that is not the newest of this process is older than whatever is in the entry.
        let known = self.last_seen.generation_of(token).unwrap_or_default();
        let is_newer = entry.generation > known;
        // The entry has a newer token, which cannot be used here: by this machine's clock it comes from
        // the future.
        let is_unusable = is_newer && stored.is_none() && entry.token.is_some();
        let replaces = self.fetcher.provider().facts().renewal.replaces();
        let is_revoked = entry.book.has_revoked(token.secret());
        match stored.filter(|stored| !renewal::has_ended(stored, now)) {
            // Another process has fetched a newer token. (Where tokens replace each other, any other token
            // in the entry is the one that is alive.)
            Some(stored) if is_revoked || replaces || is_newer => {
                self.last_seen.record_stored(&stored, entry.generation);
                Change::Newer(stored)
            }
            // The API rejected the token in another process, and there is no new one yet.
            _ if is_revoked => Change::Revoked,
            // Another process took the token out to replace it, or the server has lost it.
            None if replaces && (is_newer || self.last_seen.is_lost_in(&entry)) => Change::Replaced,
            // Our token may be dead, and the entry does not say.
            _ if is_unusable || entry.may_have_forgotten(known) => Change::Replaced,
            _ => Change::None,
        }
    }

    /// The stored token if it serves the order; an error if a remembered failure forbids to ask the
    /// provider now; `None` if a token is to be fetched.
    fn found_or_blocked(&self, order: &Order, entry: &Entry) -> Result<Option<Obtained>> {
        if let Some(token) = self.serving_token(order, entry, self.fetcher.clock.now()) {
            self.last_seen.record_stored(&token, entry.generation);
            return Ok(Some(Obtained::Found(token)));
        }
        let compared = self.compare_secrets(order.deadline);
        // A person asked for a new token in spite of what is remembered.
        if order.forced_at.is_some() {
            return Ok(None);
        }
        compared?;
        let (now, renews) = (self.fetcher.clock.now(), order.is_renewal());
        match self.fetcher.blocked(now, order.deadline.remaining(), renews) {
            // The caller's token is still good, so nothing failed.
            Some(_) if renews => Ok(Some(Obtained::Busy)),
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Finds out of what is remembered whether it is for our secret.
    fn compare_secrets(&self, deadline: Deadline) -> Result<()> {
        let (book, now) = (&self.fetcher.book, self.fetcher.clock.now());
        loop {
            let Some(mark) = book.lock().unknown_mark(now, book.secret()) else { return Ok(()) };
            if deadline.remaining() < COMPARISON_TAKES {
                break;
            }
            let is_ours = mark.is_of(&self.fetcher.credentials.proof());
            book.lock().learn(&mark, book.secret(), is_ours);
        }
        // That matters only if the refusal still stands; then nothing is sent, since it could be the
        // refused secret once more.
        match book.lock().may_be_refused(now, book.secret()) {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Timeout,
                "store: a refusal is remembered for this account, and there was no time to find out whether it was for this secret; allow more time",
            )),
        }
    }

    /// Where a new token ends the one before, takes the stored one out before the request is sent: if this
    /// process is killed, it leaves no dead token behind, and others see that a replacement is under way.
    /// If that cannot be written, nothing is sent.
    fn park(
        &self,
        guard: &mut (dyn StoreGuard + '_),
        entry: &mut Entry,
    ) -> Result<Option<StoredToken>> {
        if !self.fetcher.provider().facts().renewal.replaces() {
            return Ok(None);
        }
        let parked = entry.park();
        self.write(guard, entry)?;
        Ok(parked)
    }

    /// Writes what came of the fetch into the entry. Returns false if the store did not take it; the token
    /// is used in this process all the same.
    fn write_result(
        &self,
        guard: &mut (dyn StoreGuard + '_),
        entry: &mut Entry,
        parked: Option<StoredToken>,
        result: &Result<Token>,
    ) -> bool {
        let was_parked = entry.parked.is_some();
        match result {
            Ok(token) => entry.succeed(token),
            Err(error) => {
                entry.parked = None;
                // The provider cannot have seen the request, so the old token is still alive.
                if !error.may_have_arrived() {
                    entry.token = entry.token.take().or(parked);
                }
            }
        }
        let book = &self.fetcher.book;
        if !was_parked && !book.lock().is_unwritten() {
            return true;
        }
        let mut copy = book.lock().clone();
        copy.derive(book.secret(), || self.fetcher.credentials.proof());
        entry.book = copy;
        match self.write(guard, entry) {
            Ok(()) => {
                book.lock().was_written(&entry.book);
                true
            }
            Err(error) => {
                self.tell_unusable(error);
                false
            }
        }
    }

    fn write(&self, guard: &mut (dyn StoreGuard + '_), entry: &Entry) -> Result<()> {
        guard.write(&entry.encode(self.account.key()), entry.keep_for())
    }

    /// The entry in these bytes; its book is this process's from now on.
    fn entry(&self, bytes: Option<Vec<u8>>) -> Entry {
        let entry = Entry::decode(bytes, self.account.key());
        let now = self.fetcher.clock.now();
        if !entry.is_unreadable {
            self.fetcher.book.lock().take_over(entry.book.clone(), now);
        }
        entry
    }

    /// The stored token, if it serves the order.
    fn serving_token(&self, order: &Order, entry: &Entry, now: Now) -> Option<Token> {
        let renewal = self.fetcher.provider().facts().renewal;
        let token = self.stored_token(entry, now)?;
        let serves = order.is_served_by(&token, now, renewal)
            && !self.fetcher.book.lock().has_revoked(token.secret());
        serves.then_some(token)
    }

    fn stored_token(&self, entry: &Entry, now: Now) -> Option<Token> {
        let longest = self.fetcher.provider().facts().longest_lifetime(self.fetcher.environment);
        let stored = entry.token.as_ref()?;
        let known_since = self.last_seen.since(&stored.sha256());
        stored.to_token(now, known_since, longest, &self.fetcher.header, self.fetcher.clock.clone())
    }
}
