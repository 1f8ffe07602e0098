//! One fetch for every process: look → lock → look again → still needed? → fetch → write → unlock.
//!
//! The network is used while the lock is held, on purpose: whoever waits for the lock then finds
//! the new token instead of fetching another one.

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
use crate::store::account;
use crate::store::entry::{Derived, Entry, StoredOutage, StoredRefusal, StoredToken};
use crate::store::{Account, Store, StoreGuard};
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::event::EventKind;
use crate::types::facts::Renewal;

/// How long to wait for the lock before the entry is looked at again.
const LOCK_SLICE: Duration = Duration::from_millis(100);

/// The lock may be held for this much longer than the fetch may take: the entry is written then.
const HOLD_BEYOND: Duration = Duration::from_secs(5);

/// Of so many refusals it is remembered whether they were for our secret.
const MOST_COMPARED: usize = 8;

/// Whether a remembered refusal was for our secret is slow to find out, on purpose.
const COMPARISON_TAKES: Duration = Duration::from_millis(250);

/// A source's part in a store.
pub(crate) struct SharedFetch {
    fetcher: Arc<Fetcher>,
    store: Arc<dyn Store>,
    account: Account,
    last_seen: LastSeen,
    /// The salts of refusals that were compared with the secret, and whether they were for it: that
    /// comparison is slow.
    compared_secrets: Mutex<Vec<([u8; 16], bool)>>,
    /// A refusal of ours is, or was, in the entry: when it is gone, another process has succeeded.
    has_stored_refusal: AtomicBool,
    /// The last look at the store failed.
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
            // While another process is replacing the token, what it was refused is not the answer.
            let is_open = entry.parked.is_some();
            if !is_open && let Some(token) = self.stored_token_or_refusal(order, &entry)? {
                self.last_seen.record_stored(&token, entry.generation);
                return Ok(Obtained::Found(token));
            }
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
        let mut entry = account::decode(guard.read()?, self.account.key());
        if entry.is_unreadable {
            self.fetcher.tell(EventKind::EntryUnreadable);
        }
        // A server that has lost its last writes counts from there; who has seen more goes on.
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
                // Another process's next change gets the number of what could not be written.
                false => self.last_seen.record_unstored(token, before),
            }
        }
        result.map(Obtained::Fetched)
    }

    /// The stored token if it is good for so long: for a process that is held back by a refusal
    /// of its own, which another process may have overcome. Where one is replacing it, that is
    /// waited for.
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
        // Another process has succeeded: what was refused here is over.
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

    /// Takes note of a token that was fetched because the store failed: what stands there, if it can
    /// be read again, is older.
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

    /// How often `change` is to be asked.
    pub(crate) fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    /// What other processes did to `token`. Costs one `stamp`, and a read when the entry has
    /// changed. If the store fails, nothing counts as changed: the token goes on being served, and
    /// that others may have dropped it is told, once.
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
        // It counts as seen once the newest token in memory is known to agree with the entry.
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
        // The caller's moment can be long ago, if this machine was suspended meanwhile.
        let now = self.fetcher.clock.now();
        let stored = self.stored_token(&entry, now);
        if stored.as_ref().is_some_and(|stored| stored.has_secret(token.secret())) {
            return Change::None;
        }
        // One that is not the newest that this process took is older than any.
        let known = self.last_seen.generation_of(token).unwrap_or_default();
        let is_newer = entry.generation > known;
        // By another clock it comes from the future: there is a newer one, and it cannot be used.
        let is_unusable = is_newer && stored.is_none() && entry.token.is_some();
        let replaces = self.fetcher.provider().facts().renewal == Renewal::ReplacesPrevious;
        let is_revoked = entry.has_revoked(token.secret());
        match stored.filter(|stored| !renewal::has_ended(stored, now)) {
            Some(stored) if is_revoked || replaces || is_newer => {
                self.last_seen.record_stored(&stored, entry.generation);
                Change::Newer(stored)
            }
            _ if is_revoked => Change::Revoked,
            None if replaces && (is_newer || self.last_seen.is_lost_in(&entry)) => Change::Replaced,
            _ if is_unusable || entry.may_have_forgotten(known) => Change::Replaced,
            _ => Change::None,
        }
    }

    /// The stored token that serves, or the refusal that stands.
    fn stored_token_or_refusal(&self, order: &Order, entry: &Entry) -> Result<Option<Token>> {
        let now = self.fetcher.clock.now();
        if let Some(token) = self.serving_token(order, entry, now) {
            return Ok(Some(token));
        }
        let is_forced = order.forced_at.is_some();
        if let Some(outage) = &entry.outage {
            let mut pace = lock(&self.fetcher.pace);
            let (error, left) = (self.fetcher.error(outage.error()), outage.left(now.wall));
            // Once it is over, what was counted goes on: nobody has succeeded since.
            pace.adopt_outage(now.monotonic, error, left, outage.failures);
            let blocked = pace.blocked(now.monotonic, order.caller).filter(|_| !left.is_zero());
            if let Some(error) = blocked.filter(|_| !is_forced) {
                return Err(error);
            }
        }
        if is_forced {
            return Ok(None);
        }
        if let Some(left) = entry.too_many_refused(now.wall) {
            let error = match entry.refusals.last() {
                Some(refusal) => refusal.error(),
                None => Error::new(ErrorKind::Rejected, "the provider refused the credentials"),
            };
            let seconds = left.as_secs() + 1;
            return Err(self.fetcher.error(error.with_retry_after(Some(left)).with_note(&format!(
                " [too many requests of this account were refused within an hour, so the provider is not asked again for {seconds} s; call refresh() to override]"
            ))));
        }
        let mut longest = Duration::ZERO;
        // The newest first: it is the likeliest to be for this secret.
        for refusal in entry.refusals.iter().rev() {
            let left = refusal.left(now.wall);
            match self.is_for_us(refusal, order.deadline) {
                Some(true) => {}
                Some(false) => continue,
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
                pace.adopt(now.monotonic, self.fetcher.error(refusal.error()), left);
                self.has_stored_refusal.store(true, Ordering::Relaxed);
            }
        }
        match lock(&self.fetcher.pace).blocked(now.monotonic, order.caller) {
            Some(error) if !longest.is_zero() => Err(error),
            _ => Ok(None),
        }
    }

    /// Whether a refusal was for our secret, or for all. `None` where there is no time to find out.
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

    /// Where a new token ends the one before, the stored one is taken out before the request is
    /// sent: a process that is killed then leaves no dead token behind, and others see that a
    /// replacement is under way. Where that cannot be written, nothing is sent.
    fn park(
        &self,
        guard: &mut (dyn StoreGuard + '_),
        entry: &mut Entry,
    ) -> Result<Option<StoredToken>> {
        if self.fetcher.provider().facts().renewal != Renewal::ReplacesPrevious {
            return Ok(None);
        }
        let parked = entry.park();
        self.write(guard, entry)?;
        Ok(parked)
    }

    /// Writes what the fetch brought, and says whether that is in the store now. A token that could
    /// not be stored is still a token.
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
                    // One that another process has met stands until somebody succeeds.
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

    /// Drops what a new refusal takes the place of: the last one of our secret, or of all, where that
    /// does not stand longer.
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
        // What is not about the credentials (slower, please; no such endpoint) is for all.
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

    /// The outage that holds back the renewals of all processes, after so many failures before.
    fn new_renewal_outage(&self, error: &Error, before: u32) -> Option<StoredOutage> {
        let failures = before.saturating_add(1);
        let until = self.fetcher.clock.now().wall.checked_add(pause(failures, chance()))?;
        Some(StoredOutage::of(error, until, failures))
    }

    /// Whether a renewal failed a moment ago, here or in another process.
    fn renewals_are_blocked(&self, entry: &Entry) -> bool {
        let wall = self.fetcher.clock.now().wall;
        entry.renewal_outage.as_ref().is_some_and(|outage| !outage.left(wall).is_zero())
    }

    fn write(&self, guard: &mut (dyn StoreGuard + '_), entry: &Entry) -> Result<()> {
        guard.write(&entry.encode(self.account.key()), entry.keep_for())
    }

    fn entry(&self) -> Result<Entry> {
        Ok(account::decode(self.store.read(self.account.key())?, self.account.key()))
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
