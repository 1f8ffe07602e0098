//! One fetch for every process: read the entry → lock → read it again → still needed? → fetch → write →
//! unlock.
//!
//! The network is used while the lock is held, on purpose: a process that waits for the lock then finds
//! the new token in the store, and does not fetch another one.

mod last_seen;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use self::last_seen::LastSeen;
use crate::base::clock::{Deadline, Now};
use crate::base::sync::{chance, lock};
use crate::fetch::Fetcher;
use crate::flight::{Change, Obtained, Order};
use crate::policy::pace::pause;
use crate::store::entry::{Derived, Entry, StoredOutage, StoredRefusal, StoredToken};
use crate::store::{Account, Store, StoreGuard};
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::event::EventKind;

/// How long to wait for the lock before the entry is read again.
const LOCK_SLICE: Duration = Duration::from_millis(100);

/// The lock may be held for so much longer than the fetch may take, to write the entry.
const HOLD_BEYOND: Duration = Duration::from_secs(5);

/// Of so many refusals it is remembered whether they were for our secret.
const MOST_COMPARED: usize = 8;

/// Whether a remembered refusal was for our secret is slow to find out, on purpose.
const COMPARISON_TAKES: Duration = Duration::from_millis(250);

/// A source's way to a token through the store that it shares with other processes.
pub(crate) struct SharedFetch {
    fetcher: Arc<Fetcher>,
    store: Arc<dyn Store>,
    account: Account,
    last_seen: LastSeen,
    /// The salts of refusals that were compared with the secret, and whether they were for it: that
    /// comparison is slow.
    compared_secrets: Mutex<Vec<([u8; 16], bool)>>,
    /// A refusal for our secret is in the entry, or was: when it is gone, another process has succeeded.
    has_stored_refusal: AtomicBool,
    /// The last comparison with the store failed, which is told once and not each time.
    cannot_look: AtomicBool,
}

impl SharedFetch {
    pub(crate) fn new(fetcher: Arc<Fetcher>, store: Arc<dyn Store>, account: Account) -> Self {
        Self {
            fetcher,
            store,
            account,
            last_seen: LastSeen::default(),
            compared_secrets: Mutex::default(),
            has_stored_refusal: AtomicBool::new(false),
            cannot_look: AtomicBool::new(false),
        }
    }

    /// The stored token if it serves the order, else a new one, fetched under the lock.
    pub(crate) fn obtain(
        &self,
        order: &Order,
        retries: u32,
        requests: &AtomicU64,
    ) -> Result<Obtained> {
        let mut guard = loop {
            let entry = self.entry()?;
            // Another process is replacing the token at this moment. What the entry remembers of an
            // earlier failure is about to be overtaken, so it is no answer: wait for the lock.
            let is_open = entry.parked.is_some();
            if !is_open && let Some(token) = self.stored_token_or_refusal(order, &entry)? {
                self.last_seen.record_stored(&token, entry.generation);
                return Ok(Obtained::Found(token));
            }
            // The caller's token is still good, and a renewal failed a moment ago in some process.
            if order.is_renewal() && self.renewals_are_blocked(&entry) {
                return Ok(Obtained::Busy);
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
        let mut entry = Entry::decode(guard.read()?, self.account.key());
        if entry.is_unreadable {
            self.fetcher.tell(EventKind::EntryUnreadable);
        }
        // A server that has lost its last writes has an older generation again; a process that has seen a
        // later one counts on from that.
        entry.generation = entry.generation.max(self.last_seen.generation());
        if let Some(token) = self.stored_token_or_refusal(order, &entry)? {
            self.last_seen.record_stored(&token, entry.generation);
            return Ok(Obtained::Found(token));
        }
        if order.is_renewal() && self.renewals_are_blocked(&entry) {
            return Ok(Obtained::Busy);
        }
        let parked = self.park(&mut *guard, &mut entry)?;
        self.last_seen.record_parked(&entry);
        let before = entry.generation;
        let result =
            self.fetcher.fetch(order, retries, requests, &|secret| entry.has_revoked(secret));
        let is_written = self.write_result(&mut *guard, &mut entry, order, parked, &result);
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
    pub(crate) fn good_token(
        &self,
        min_validity: Duration,
        deadline: Deadline,
        unwanted: Option<Token>,
    ) -> Option<Token> {
        let unwanted = [unwanted, None];
        let order = Order { unwanted, ..Order::of_patient_caller(min_validity, deadline) };
        let mut entry = self.entry().ok()?;
        if entry.parked.is_some() {
            let guard = self.store.lock(self.account.key(), deadline.remaining(), HOLD_BEYOND);
            drop(guard.ok()?);
            entry = self.entry().ok()?;
        }
        let token = self.serving_token(&order, &entry, self.fetcher.clock.now());
        // Our refusal is not in the entry any more, so another process has succeeded since: what is
        // remembered here is over, too.
        let is_over = entry.refusals.is_empty()
            && entry.outage.is_none()
            && self.has_stored_refusal.swap(false, Ordering::Relaxed);
        if token.is_some() || is_over {
            lock(&self.fetcher.pace).record_success();
        }
        if let Some(token) = &token {
            self.last_seen.record_stored(token, entry.generation);
        }
        token
    }

    /// Takes note of a token that was fetched without the store, since that failed: what is in the store,
    /// if it can be read again, is older.
    pub(crate) fn fetched_without_store(&self, token: &Token) {
        self.last_seen.record_unstored(token, self.last_seen.generation());
    }

    /// Drops a token that the API answered 401 to, for every process; whether it was the stored
    /// one.
    pub(crate) fn invalidate(&self, revoked: &str) -> Result<bool> {
        let (limit, now) = (self.fetcher.timeout, self.fetcher.clock.now());
        let tell = || self.fetcher.tell(EventKind::EntryUnreadable);
        self.account.invalidate_at(&*self.store, revoked, limit, now, tell)
    }

    /// How often a token in memory is to be compared with the store.
    pub(crate) fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    /// What other processes did to `token`. Costs one `stamp`, and a read when the entry has changed. If
    /// the store fails, the token counts as unchanged and goes on being served, though others may have
    /// dropped it; that is told once.
    pub(crate) fn change(&self, token: &Token) -> Change {
        match self.compare_with_store(token) {
            Ok(change) => {
                self.cannot_look.store(false, Ordering::Relaxed);
                change
            }
            Err(error) => {
                if !self.cannot_look.swap(true, Ordering::Relaxed) {
                    self.fetcher
                        .tell(EventKind::StoreUnusable { error: self.fetcher.error(error) });
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
        let is_revoked = entry.has_revoked(token.secret());
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
    /// provider now; `None` if a token is to be fetched. What the entry remembers is taken over into this
    /// process's own pace.
    fn stored_token_or_refusal(&self, order: &Order, entry: &Entry) -> Result<Option<Token>> {
        let now = self.fetcher.clock.now();
        if let Some(token) = self.serving_token(order, entry, now) {
            return Ok(Some(token));
        }
        let is_forced = order.forced_at.is_some();
        if let Some(outage) = &entry.outage {
            let mut pace = lock(&self.fetcher.pace);
            let (error, left) = (self.fetcher.error(outage.failure.error()), outage.left(now.wall));
            // It is taken over even if it is over: nobody has succeeded since, so the next failure
            // counts on from there.
            pace.adopt_outage(now.monotonic, error, left, outage.failures);
            let blocked = pace.blocked(now.monotonic, order.caller).filter(|_| !left.is_zero());
            if let Some(error) = blocked.filter(|_| !is_forced) {
                return Err(error);
            }
        }
        // A person asked for a new token in spite of what is remembered.
        if is_forced {
            return Ok(None);
        }
        if let Some(left) = entry.too_many_refused(now.wall) {
            let error = match entry.refusals.last() {
                Some(refusal) => refusal.failure.error(),
                None => Error::new(ErrorKind::Rejected, "the provider refused the credentials"),
            };
            let seconds = left.as_secs() + 1;
            return Err(self.fetcher.error(error.with_retry_after(Some(left)).with_note(&format!(
                " [too many requests of this account were refused within an hour, so the provider is not asked again for {seconds} s; call refresh() to override]"
            ))));
        }
        let mut longest = Duration::ZERO;
        // The newest refusal first: it is most likely the one for this secret.
        for refusal in entry.refusals.iter().rev() {
            let left = refusal.left(now.wall);
            match self.is_for_us(refusal, order.deadline) {
                Some(true) => {}
                // It was for another secret, so it says nothing about ours.
                Some(false) => continue,
                // There was no time to compare the secrets. That matters only if the refusal still
                // stands; then nothing is sent, since it could be the refused secret once more.
                None if left.is_zero() => continue,
                None => {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "store: a refusal is remembered for this account, and there was no time to find out whether it was for this secret; allow more time",
                    ));
                }
            }
            let mut pace = lock(&self.fetcher.pace);
            pace.continue_from(refusal.strikes);
            if left > longest {
                longest = left;
                pace.adopt(now.monotonic, self.fetcher.error(refusal.failure.error()), left);
                self.has_stored_refusal.store(true, Ordering::Relaxed);
            }
        }
        match lock(&self.fetcher.pace).blocked(now.monotonic, order.caller) {
            Some(error) if !longest.is_zero() => Err(error),
            _ => Ok(None),
        }
    }

    /// Whether a refusal was for our secret, or for every secret. `None` if there is no time to find out.
    fn is_for_us(&self, refusal: &StoredRefusal, deadline: Deadline) -> Option<bool> {
        let Some(derived) = &refusal.secret else {
            return Some(true);
        };
        let known = |(salt, _): &&([u8; 16], bool)| *salt == derived.salt;
        if let Some((_, is_ours)) = lock(&self.compared_secrets).iter().find(known) {
            return Some(*is_ours);
        }
        if deadline.remaining() < COMPARISON_TAKES {
            return None;
        }
        let is_ours = derived.is_of(&self.fetcher.credentials.proof());
        self.remember(derived, is_ours);
        Some(is_ours)
    }

    fn remember(&self, derived: &Derived, is_ours: bool) {
        let mut compared = lock(&self.compared_secrets);
        compared.truncate(MOST_COMPARED - 1);
        compared.insert(0, (derived.salt, is_ours));
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
        order: &Order,
        parked: Option<StoredToken>,
        result: &Result<Token>,
    ) -> bool {
        let has_changed = match result {
            Ok(token) => {
                entry.succeed(token);
                true
            }
            Err(error) => {
                let was_parked = entry.parked.take().is_some();
                // The provider cannot have seen the request, so the old token is still alive.
                if !error.may_have_arrived() {
                    entry.token = entry.token.take().or(parked);
                }
                if error.is_remembered() {
                    let refusal = self.new_refusal(error);
                    self.has_stored_refusal.store(refusal.is_some(), Ordering::Relaxed);
                    let wall = self.fetcher.clock.now().wall;
                    self.forget_older(entry, refusal.as_ref(), wall);
                    entry.refuse(error.may_lock_account().then_some(wall), refusal);
                } else {
                    // If this failure starts no outage, one that another process has met stays.
                    entry.outage = self.new_outage(error).or(entry.outage.take());
                    if order.is_renewal() && error.has_verdict() {
                        let before =
                            entry.renewal_outage.as_ref().map_or(0, |outage| outage.failures);
                        entry.renewal_outage = self.new_renewal_outage(error, before);
                    }
                }
                let is_outage = entry.outage.is_some() || entry.renewal_outage.is_some();
                was_parked || error.is_remembered() || is_outage
            }
        };
        if has_changed && let Err(error) = self.write(guard, entry) {
            self.has_stored_refusal.store(false, Ordering::Relaxed);
            self.fetcher.tell(EventKind::StoreUnusable { error: self.fetcher.error(error) });
            return false;
        }
        true
    }

    /// Drops the refusals that a new one takes the place of: those for the same secret (or for every
    /// secret, if the new one is) that do not last longer.
    fn forget_older(&self, entry: &mut Entry, newer: Option<&StoredRefusal>, wall: SystemTime) {
        let Some(newer) = newer else { return };
        let compared = lock(&self.compared_secrets);
        entry.refusals.retain(|known| {
            let is_alike = match (&known.secret, &newer.secret) {
                (None, None) => true,
                (Some(known), Some(_)) => compared.contains(&(known.salt, true)),
                _ => false,
            };
            !is_alike || known.left(wall) > newer.left(wall)
        });
    }

    fn new_refusal(&self, error: &Error) -> Option<StoredRefusal> {
        let now = self.fetcher.clock.now();
        let (left, strikes) = {
            let pace = lock(&self.fetcher.pace);
            (pace.refused_for(now.monotonic)?, pace.strikes())
        };
        let until = now.wall.checked_add(left)?;
        // If it is not about the credentials (too many requests, no such endpoint), it is for every secret.
        let secret = error.may_lock_account().then(|| self.fetcher.credentials.proof());
        let refusal = StoredRefusal::of(error, until, strikes, secret.as_ref())?;
        if let Some(derived) = &refusal.secret {
            self.remember(derived, true);
        }
        Some(refusal)
    }

    fn new_outage(&self, error: &Error) -> Option<StoredOutage> {
        let now = self.fetcher.clock.now();
        let (left, failures) = lock(&self.fetcher.pace).paused_for(now.monotonic)?;
        Some(StoredOutage::of(error, now.wall.checked_add(left)?, failures))
    }

    /// The outage that holds back the renewals of all processes, after `before` failures in a row.
    fn new_renewal_outage(&self, error: &Error, before: u32) -> Option<StoredOutage> {
        let failures = before.saturating_add(1);
        let until = self.fetcher.clock.now().wall.checked_add(pause(failures, chance()))?;
        Some(StoredOutage::of(error, until, failures))
    }

    /// Whether a renewal failed a moment ago, in this or another process.
    fn renewals_are_blocked(&self, entry: &Entry) -> bool {
        let wall = self.fetcher.clock.now().wall;
        entry.renewal_outage.as_ref().is_some_and(|outage| !outage.left(wall).is_zero())
    }

    fn write(&self, guard: &mut (dyn StoreGuard + '_), entry: &Entry) -> Result<()> {
        guard.write(&entry.encode(self.account.key()), entry.keep_for())
    }

    fn entry(&self) -> Result<Entry> {
        Ok(Entry::decode(self.store.read(self.account.key())?, self.account.key()))
    }

    /// The stored token, if it serves the order.
    fn serving_token(&self, order: &Order, entry: &Entry, now: Now) -> Option<Token> {
        let renewal = self.fetcher.provider().facts().renewal;
        self.stored_token(entry, now).filter(|token| order.is_served_by(token, now, renewal))
    }

    fn stored_token(&self, entry: &Entry, now: Now) -> Option<Token> {
        let longest = self.fetcher.provider().facts().longest_lifetime(self.fetcher.environment);
        let stored = entry.token.as_ref()?;
        let known_since = self.last_seen.since(&stored.sha256());
        stored.to_token(now, known_since, longest, &self.fetcher.header, self.fetcher.clock.clone())
    }
}
