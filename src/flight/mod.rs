//! Single flight: however many threads ask for a token, one of them, the leader, fetches it, and the
//! others wait for it or go on with the token that is still good. The slot decides who does what and is
//! kept behind a Mutex here.
//!
//! The clock, the store and the network are behind [`Backend`], so that a model check can try every
//! order of threads.

pub(crate) mod published;
pub(crate) mod slot;

#[cfg(all(test, paytoken_model))]
mod model;
mod order;
#[cfg(test)]
mod script;
#[cfg(all(test, not(paytoken_model)))]
mod tests;
mod within;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use self::order::{Change, Effort, Obtained, Order};
use self::within::{Within, is_within};
use crate::base::clock::{Deadline, Now, monotonic};
use crate::base::sync::{Condvar, Mutex, MutexGuard};
use crate::flight::published::PublishedToken;
use crate::flight::slot::{Decision, Ended, Says, Slot, Wish};
use crate::policy::pace::Caller;
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::event::EventKind;
use crate::types::facts::Renewal;
use crate::types::options::TokenOptions;

/// A caller can ask for a token that is good for at most so much of its life.
const MOST_VALIDITY_PERCENT: u32 = 80;

/// What a single flight needs from outside. The slot's lock is never held while one of these runs,
/// except for [`blocked`](Self::blocked), which is short.
pub(crate) trait Backend: Send + Sync + Sized + 'static {
    fn now(&self) -> Now;
    /// The time for one call that names none.
    fn timeout(&self) -> Duration;
    /// How long a token lives by the document.
    fn documented_lifetime(&self) -> Duration;
    /// The remembered error, if a failure a moment ago means that this caller may not ask the
    /// provider now.
    fn blocked(&self, now: Now, caller: Caller) -> Option<Error>;
    fn remembered_for(&self, now: Now) -> Option<Duration>;
    fn renews_in_background(&self) -> bool;
    /// How often a token is compared with the store, where tokens are shared with other processes.
    fn look_every(&self) -> Option<Duration>;
    /// What other processes did to a token that this one holds.
    fn change(&self, token: &Token) -> Change;
    /// A good token of another process, for a caller whom a refusal holds back.
    fn stored(
        &self,
        min_validity: Duration,
        deadline: Deadline,
        unwanted: Option<Token>,
    ) -> Option<Token>;
    /// The one call that takes long. It may panic.
    fn obtain(&self, order: &Order) -> Result<Obtained>;
    fn in_background(&self, leader: Leader<Self>);
    fn error(&self, error: Error) -> Error;
    /// May panic.
    fn tell(&self, kind: EventKind);
}

/// A slot, the threads that wait for its flight, and its backend: whoever asks for a token asks here.
pub(crate) struct SingleFlight<W> {
    slot: Mutex<Slot>,
    /// The slot's current token, for callers that need no more.
    published: PublishedToken,
    flight_ended: Condvar,
    backend: W,
}

impl<W: Backend> SingleFlight<W> {
    pub(crate) fn new(renewal: Renewal, backend: W) -> Self {
        let published = PublishedToken::default();
        let slot = Slot::new(renewal, published.clone(), backend.look_every());
        Self { slot: Mutex::new(slot), published, flight_ended: Condvar::new(), backend }
    }

    pub(crate) fn backend(&self) -> &W {
        &self.backend
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops this token if it is the current one; `Some` is how old it was.
    pub(crate) fn invalidate(&self, revoked: &str) -> Option<Duration> {
        let now = self.backend.now();
        let mut slot = self.lock();
        let was_current = slot.invalidate(revoked);
        Some(slot.last_revoked().filter(|_| was_current)?.age_at(now))
    }

    /// The published token, if nothing is to be done for it.
    #[inline]
    pub(crate) fn published(&self) -> Option<Token> {
        self.published.get(self.backend.now(), Duration::ZERO)
    }

    /// A token on the caller's terms: the published one, or the slot's, or by waiting for a flight,
    /// or by leading one.
    #[inline]
    pub(crate) fn token(self: &Arc<Self>, options: &TokenOptions) -> Result<Token> {
        let now = self.backend.now();
        if !options.force
            && let Some(token) = self.published.get(now, options.min_validity)
        {
            return Ok(token);
        }
        self.token_of_slot(options, now)
    }

    #[inline(never)]
    fn token_of_slot(self: &Arc<Self>, options: &TokenOptions, mut now: Now) -> Result<Token> {
        let backend = &self.backend;
        let mut slot = self.lock();
        self.check_min_validity(&slot, options.min_validity)?;
        let limit = options.deadline.unwrap_or(backend.timeout());
        let terms = Terms {
            deadline: Deadline::after(limit),
            caller: if limit < backend.timeout() { Caller::Hurried } else { Caller::Patient },
        };
        let is_within = is_within(self);
        let has_time = limit > Duration::ZERO || backend.renews_in_background();
        let mut wish = Wish {
            min_validity: options.min_validity,
            newer_than: options.force.then(|| slot.newest()),
            // A caller without time does not renew: it goes on with the token while that is good.
            // Neither does code that runs inside a fetch of this very token.
            may_renew: has_time && !is_within,
            may_lead: true,
        };
        let mut has_looked = false;
        loop {
            wish.may_lead = !is_within && !terms.deadline.remaining().is_zero();
            let (flight, own_error) = match slot
                .decide(now, &wish, || backend.blocked(now, terms.caller))
            {
                // The token is good, and it is not this caller's turn to compare it with the store.
                Decision::Use(token) if has_looked || !slot.begin_look(now) => return Ok(token),
                // The token is good here, but another process may have revoked or replaced it: the
                // store is asked first, and then it is decided again.
                Decision::Use(token) => {
                    has_looked = true;
                    drop(slot);
                    self.look(&token, now);
                    // The machine may have been suspended during the comparison, so `now` may be old.
                    now = backend.now();
                    slot = self.lock();
                    continue;
                }
                // This code was called from within the fetch that it would have to wait for.
                Decision::Nothing(None) | Decision::Wait(_) if is_within => {
                    return Err(backend.error(Error::configuration(
                        "an event hook, a log callback or other code that runs while this thread fetches a token asked for that very token, and would wait for itself; use cached() there, or ask later",
                    )));
                }
                // There is no good token in memory, and this caller may not fetch one: the provider
                // refused or failed a moment ago, or there is no time. Another process may have
                // stored a good token since; else the caller gets the error.
                Decision::Nothing(refusal) => {
                    let unwanted = slot.last_revoked();
                    drop(slot);
                    let stored = match options.force {
                        true => None,
                        false => self.stored(&wish, terms, now, unwanted),
                    };
                    let no_time = || {
                        backend.error(Error::new(
                        ErrorKind::Timeout,
                        "there is no good token in the cache, and no time to fetch one; allow more time",
                    ))
                    };
                    return stored.ok_or_else(|| refusal.unwrap_or_else(no_time));
                }
                // The token is good and due for renewal, and this caller is the one that renews it.
                // It gets the new token if that comes, else the one it has.
                Decision::Renew(flight) => {
                    drop(slot);
                    let leader = Leader::new(self, flight);
                    match backend.renews_in_background() {
                        true => backend.in_background(leader),
                        // The error is not needed: the next decision hands out the token that is
                        // there, or leads another fetch if that was invalidated meanwhile.
                        false => _ = leader.fetch(&wish, terms, Effort::OneAttempt),
                    }
                    wish.may_renew = false;
                    now = backend.now();
                    slot = self.lock();
                    continue;
                }
                // There is no good token and nobody is fetching one: this caller does.
                Decision::Lead(flight) => {
                    drop(slot);
                    (flight, Leader::new(self, flight).fetch(&wish, terms, Effort::Full).err())
                }
                // There is no good token, and another thread is fetching one.
                Decision::Wait(flight) => {
                    slot = self.wait_for(slot, flight, terms.deadline);
                    if slot.is_in_flight(flight) {
                        return Err(backend.error(Error::new(
                            ErrorKind::Timeout,
                            "another thread is fetching a token and has not finished in time; try again, or allow more time",
                        )));
                    }
                    // The clock may be the program's own code, so it is not read under the lock.
                    drop(slot);
                    (flight, None)
                }
            };
            // A fetch has ended, so the slot may hold another token than the one that was compared.
            has_looked = false;
            now = backend.now();
            slot = self.lock();
            match slot.usable(now, &wish) {
                // The token may come from the store, and be due for renewal already: decide again.
                Some(_) if own_error.is_none() && backend.look_every().is_some() => continue,
                Some(token) => return Ok(token),
                None => {}
            }
            // The fetch failed: whoever led it or waited for it gets its error.
            if let Some(error) = own_error.or_else(|| slot.shared_failure(flight)) {
                return Err(error);
            }
            if slot.falls_short(now, &wish, flight) {
                return Err(backend.error(Error::configuration(format!(
                    "min_validity: the newest token does not live {:?} from now on; ask for less",
                    wish.min_validity
                ))));
            }
        }
    }

    /// A good token that another process has stored, for a caller that may not fetch one.
    fn stored(
        &self,
        wish: &Wish,
        terms: Terms,
        now: Now,
        unwanted: Option<Token>,
    ) -> Option<Token> {
        let token = self.backend.stored(wish.min_validity, terms.deadline, unwanted)?;
        let remaining = token.remaining_at(now);
        let mut slot = self.lock();
        // It goes into the slot only if that has no good token: another thread may have fetched a newer
        // one meanwhile.
        if slot.usable(now, wish).is_none() && slot.place(token.clone()) {
            drop(slot);
            self.backend.tell(EventKind::Found { remaining });
        }
        Some(token)
    }

    /// A good token that is in memory: asks nobody and waits for nobody.
    pub(crate) fn cached(&self) -> Option<Token> {
        let now = self.backend.now();
        if let Some(token) = self.published.get(now, Duration::ZERO) {
            return Some(token);
        }
        let good = |slot: &Slot, now| slot.usable(now, &Wish::default());
        let mut slot = self.lock();
        let token = good(&slot, now)?;
        if !slot.begin_look(now) {
            return Some(token);
        }
        drop(slot);
        self.look(&token, now);
        let now = self.backend.now();
        good(&self.lock(), now)
    }

    /// Compares our token with the store, and takes over what other processes did to it.
    fn look(&self, token: &Token, now: Now) {
        let change = self.backend.change(token);
        let mut slot = self.lock();
        match change {
            Change::None => slot.end_look(token, now),
            Change::Newer(newer) => {
                slot.adopt(token, newer.clone());
                slot.end_look(&newer, now);
            }
            Change::Revoked => _ = slot.invalidate(token.secret()),
            Change::Replaced => slot.forget(token),
        }
    }

    /// Waits until the flight has ended or the deadline has passed.
    fn wait_for<'a>(
        &self,
        slot: MutexGuard<'a, Slot>,
        flight: u64,
        deadline: Deadline,
    ) -> MutexGuard<'a, Slot> {
        self.flight_ended
            .wait_timeout_while(slot, deadline.remaining(), |slot| slot.is_in_flight(flight))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Refuses a `min_validity` so near a token's whole life that nearly every call would fetch.
    fn check_min_validity(&self, slot: &Slot, min_validity: Duration) -> Result<()> {
        let lifetime = match slot.current() {
            Some(token) => token.lifetime(),
            None => self.backend.documented_lifetime(),
        };
        if min_validity > lifetime / 100 * MOST_VALIDITY_PERCENT {
            return Err(self.backend.error(Error::configuration(format!(
                "min_validity: {min_validity:?} is more than {MOST_VALIDITY_PERCENT} % of the {lifetime:?} a token lives, so nearly every call would fetch another; ask for less"
            ))));
        }
        Ok(())
    }
}

/// A caller's time.
#[derive(Clone, Copy)]
struct Terms {
    deadline: Deadline,
    caller: Caller,
}

/// The caller that fetches for everybody, and has to report how that ended. If it is dropped without a
/// report (the fetch panicked, or its thread never started), the flight ends so that another may lead.
pub(crate) struct Leader<W: Backend> {
    single_flight: Arc<SingleFlight<W>>,
    flight: u64,
    has_reported: bool,
}

impl<W: Backend> Leader<W> {
    fn new(single_flight: &Arc<SingleFlight<W>>, flight: u64) -> Self {
        Self { single_flight: single_flight.clone(), flight, has_reported: false }
    }

    /// A renewal for which nobody waits.
    pub(crate) fn fetch_in_background(self) {
        let deadline = Deadline::after(self.single_flight.backend.timeout());
        let terms = Terms { deadline, caller: Caller::Patient };
        let _ = self.fetch(&Wish::default(), terms, Effort::Background);
    }

    /// Fetches for everybody, and reports to the slot what came of it. The error is for the leader;
    /// those who waited find it in the slot.
    fn fetch(mut self, wish: &Wish, terms: Terms, effort: Effort) -> Result<()> {
        let single_flight = self.single_flight.clone();
        let _within = Within::of(&single_flight);
        let backend = &single_flight.backend;
        let began = monotonic();
        let obtained = backend.obtain(&self.order(wish, terms, effort));
        let now = backend.now();
        let failed = |error| {
            let error = backend.error(error);
            let is_the_callers_time =
                terms.caller == Caller::Hurried && error.kind() == ErrorKind::Timeout;
            let says = match effort {
                // This caller allowed less than the source's time-out: others may have more time.
                _ if is_the_callers_time => Says::Nothing,
                // One attempt at a renewal: a caller without a token still gets all its retries.
                Effort::OneAttempt => Says::NoRenewal,
                Effort::Full | Effort::Background => Says::ToAll,
            };
            let remembered_for = backend.remembered_for(now);
            let ended = Ended::Failed(error.clone(), says);
            (ended, EventKind::Failed { error, still_has_token: false, remembered_for })
        };
        let (ended, mut news) = match obtained {
            // Another process renews, or failed to a moment ago. This is only said to a renewal, whose
            // caller has a good token: nothing failed, and there is nothing to tell.
            Ok(Obtained::Busy) => {
                self.report(now, Ended::Busy);
                return Ok(());
            }
            Ok(Obtained::Found(token)) => {
                let remaining = token.remaining_at(now);
                (Ended::With(token), EventKind::Found { remaining })
            }
            // A token that has ended already is a failure: were it a success without a usable token,
            // each caller would fetch another one.
            Ok(Obtained::Fetched(token)) if renewal::has_ended(&token, now) => {
                let error = Error::invalid_response(
                    "the provider's token had already ended when it came; check this machine's clock, or ask the provider",
                );
                failed(error.with_may_have_arrived(true))
            }
            Ok(Obtained::Fetched(token)) => {
                let took = monotonic().saturating_duration_since(began);
                let lifetime = token.lifetime();
                (Ended::With(token), EventKind::Fetched { took, lifetime })
            }
            Err(error) => failed(error),
        };
        let has_token = self.report(now, ended);
        let mut answer = Ok(());
        if let EventKind::Failed { error, still_has_token, .. } = &mut news {
            *still_has_token = has_token;
            answer = Err(error.clone());
        }
        // The hook comes after the report: if it panics, nobody is left waiting.
        backend.tell(news);
        answer
    }

    fn order(&self, wish: &Wish, terms: Terms, effort: Effort) -> Order {
        let now = self.single_flight.backend.now();
        let slot = self.single_flight.lock();
        Order {
            min_validity: wish.min_validity,
            forced_at: wish.newer_than.map(|_| now.wall),
            effort,
            deadline: terms.deadline,
            caller: terms.caller,
            unwanted: [
                slot.last_revoked(),
                slot.newest_token().filter(|_| wish.newer_than.is_some()).cloned(),
            ],
        }
    }

    /// Ends the flight and wakes those who wait for it. Returns whether there is a good token now.
    fn report(&mut self, now: Now, ended: Ended) -> bool {
        let mut slot = self.single_flight.lock();
        slot.end_flight(now, self.flight, ended);
        let has_token = slot.usable(now, &Wish::default()).is_some();
        drop(slot);
        self.has_reported = true;
        self.single_flight.flight_ended.notify_all();
        has_token
    }
}

impl<W: Backend> Drop for Leader<W> {
    fn drop(&mut self) {
        if !self.has_reported {
            self.report(self.single_flight.backend.now(), Ended::Died);
        }
    }
}
