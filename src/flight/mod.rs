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
use crate::flight::slot::{Decision, Ended, Slot, Wish};
use crate::token::Token;
use crate::token::renewal;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::event::EventKind;
use crate::types::facts::Renewal;
use crate::types::options::TokenOptions;

/// A caller can ask for a token that is good for at most so much of its life.
pub(crate) const MOST_VALIDITY_PERCENT: u32 = 80;

/// A caller that renews a good token waits no longer than this, and twice as long after each failed
/// renewal: a provider that answers does so in less, and one that is slow is given the time in the end.
const RENEWAL_WITHIN: Duration = Duration::from_secs(2);

/// What a single flight needs from outside. The slot's lock is never held while one of these runs,
/// except for [`blocked`](Self::blocked) and [`has_revoked`](Self::has_revoked), which are short.
pub(crate) trait Backend: Send + Sync + Sized + 'static {
    fn now(&self) -> Now;
    /// The time for one call that names none.
    fn timeout(&self) -> Duration;
    /// How long a token lives by the document.
    fn documented_lifetime(&self) -> Duration;
    /// The remembered error, if what is remembered means that a caller that allows so much time may not
    /// ask the provider now, or not in order to renew a good token.
    fn blocked(&self, now: Now, allows: Duration, renews: bool) -> Option<Error>;
    fn remembered_for(&self, now: Now) -> Option<Duration>;
    /// Requests in a row.
    fn failed_renewals(&self, now: Now) -> u32;
    fn has_revoked(&self, token: &Token) -> bool;
    /// `age` where the token was in use here.
    fn note_revoked(&self, now: Now, revoked: &str, age: Option<Duration>);
    /// Another process renews the token.
    fn note_busy(&self, now: Now);
    fn renews_in_background(&self) -> bool;
    /// How often a token is compared with the store, where tokens are shared with other processes.
    fn look_every(&self) -> Option<Duration>;
    /// What other processes did to a token that this one holds.
    fn change(&self, token: &Token) -> Change;
    /// A good token of another process, for a caller whom a refusal holds back.
    fn stored(&self, min_validity: Duration, deadline: Deadline) -> Option<Token>;
    /// The one call that takes long. It may panic.
    fn obtain(&self, order: &Order) -> Result<Obtained>;
    /// On a thread of its own; false where none is to be had, which ends the flight.
    fn in_background(&self, leader: Leader<Self>) -> bool;
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

    /// Drops this token; whether it was the current one.
    pub(crate) fn invalidate(&self, revoked: &str, now: Now) -> bool {
        let age = {
            let slot = self.lock();
            slot.newest_token().filter(|it| it.has_secret(revoked)).map(|it| it.age_at(now))
        };
        // Before it is dropped: a flight that ends meanwhile with this very token finds it noted.
        self.backend.note_revoked(now, revoked, age);
        self.lock().invalidate(revoked)
    }

    /// The published token, if nothing is to be done for it.
    #[inline]
    pub(crate) fn published(&self) -> Option<Token> {
        self.published.get(self.backend.now(), Duration::ZERO)
    }

    /// A token as the options ask for it: the published one, or the slot's, or by waiting for a flight,
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
        let deadline = Deadline::after(limit);
        let is_within = is_within(self);
        // This caller takes nothing but memory.
        let must_not_wait = limit.is_zero();
        let has_time = !must_not_wait || backend.renews_in_background();
        let mut wish = Wish {
            min_validity: options.min_validity,
            newer_than: options.force.then(|| slot.newest()),
            // A caller without time does not renew: it goes on with the token while that is good.
            // Neither does code that runs inside a fetch of this very token.
            may_renew: has_time && !is_within,
            may_lead: true,
        };
        // No thread was to be had.
        let mut is_alone = false;
        let mut has_looked = false;
        loop {
            wish.may_lead = !is_within && !deadline.remaining().is_zero();
            let blocked = |renews| backend.blocked(now, deadline.remaining(), renews);
            let (flight, own_error) = match slot.decide(now, &wish, blocked) {
                Decision::Use(token) if must_not_wait => {
                    return match slot.is_look_overdue(now) {
                        false => Ok(token),
                        true => Err(backend.error(Error::new(
                            ErrorKind::Timeout,
                            "the token in memory has not been compared with the store for a while, and there is no time to do so; allow more time",
                        ))),
                    };
                }
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
                        "an event hook, a log callback or other code that runs while this thread fetches a token asked for that very token; do not ask this source there, or use cached()",
                    )));
                }
                // There is no good token in memory, and this caller may not fetch one: the provider
                // refused or failed a moment ago, or there is no time. Another process may have
                // stored a good token since; else the caller gets the error.
                Decision::Nothing(refusal) => {
                    drop(slot);
                    let stored = match options.force || must_not_wait {
                        true => None,
                        false => self.stored(&wish, deadline, now),
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
                Decision::Renew(flight, token) => {
                    drop(slot);
                    let spare = token.remaining_at(now).saturating_sub(wish.min_validity) / 4;
                    let patience = RENEWAL_WITHIN * (1 << backend.failed_renewals(now).min(3));
                    // The token must not end meanwhile.
                    let (effort, time) = match backend.renews_in_background() {
                        true => (Effort::Background, backend.timeout()),
                        false => (Effort::OneAttempt, patience.min(spare).min(backend.timeout())),
                    };
                    // The error is not needed: the next decision hands out the token that is
                    // there, or leads another fetch if that was invalidated meanwhile.
                    if effort == Effort::OneAttempt && limit >= time {
                        let time = time.min(deadline.remaining());
                        let _ = self.leader(flight, &wish, effort, time).fetch();
                    } else {
                        backend.in_background(self.leader(flight, &wish, effort, time));
                        if effort == Effort::OneAttempt {
                            drop(self.wait_for(self.lock(), flight, deadline));
                        }
                    }
                    wish.may_renew = false;
                    now = backend.now();
                    slot = self.lock();
                    continue;
                }
                // There is no good token and nobody is fetching one: this caller does.
                Decision::Lead(flight) => {
                    drop(slot);
                    let leader = |time| self.leader(flight, &wish, Effort::Full, time);
                    let time = backend.timeout();
                    if limit >= time || is_alone {
                        (flight, leader(time.min(deadline.remaining())).fetch().err())
                    } else {
                        // It lands for those who follow, though this caller may be gone by then.
                        is_alone = !backend.in_background(leader(time));
                        drop(self.flight_in_time(self.lock(), flight, deadline)?);
                        (flight, None)
                    }
                }
                // There is no good token, and another thread is fetching one.
                Decision::Wait(flight) => {
                    let slot = self.flight_in_time(slot, flight, deadline)?;
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

    /// For a flight that may take so much time.
    fn leader(
        self: &Arc<Self>,
        flight: u64,
        wish: &Wish,
        effort: Effort,
        time: Duration,
    ) -> Leader<W> {
        let (single_flight, deadline) = (self.clone(), Deadline::after(time));
        Leader { single_flight, flight, wish: *wish, effort, deadline, has_reported: false }
    }

    /// Waits for the flight; an error where the caller's time ends before it.
    fn flight_in_time<'a>(
        &self,
        slot: MutexGuard<'a, Slot>,
        flight: u64,
        deadline: Deadline,
    ) -> Result<MutexGuard<'a, Slot>> {
        let slot = self.wait_for(slot, flight, deadline);
        match slot.is_in_flight(flight) {
            false => Ok(slot),
            true => Err(self.backend.error(Error::new(
                ErrorKind::Timeout,
                "a token is being fetched and has not come in time; the fetch goes on: try again, or allow more time",
            ))),
        }
    }

    /// A good token that another process has stored, for a caller that may not fetch one.
    fn stored(&self, wish: &Wish, deadline: Deadline, now: Now) -> Option<Token> {
        let token = self.backend.stored(wish.min_validity, deadline)?;
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
        self.published.get(now, Duration::ZERO).or_else(|| self.lock().in_memory(now))
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

/// Who fetches for everybody, and has to report how that ended. If it is dropped without a
/// report (the fetch panicked, or its thread never started), the flight ends so that another may lead.
pub(crate) struct Leader<W: Backend> {
    single_flight: Arc<SingleFlight<W>>,
    flight: u64,
    wish: Wish,
    effort: Effort,
    deadline: Deadline,
    has_reported: bool,
}

impl<W: Backend> Leader<W> {
    /// Fetches for everybody, and reports to the slot what came of it. The error is for the leader;
    /// those who waited find it in the slot.
    pub(crate) fn fetch(mut self) -> Result<()> {
        let single_flight = self.single_flight.clone();
        let _within = Within::of(&single_flight);
        let backend = &single_flight.backend;
        let began = monotonic();
        let obtained = backend.obtain(&self.order());
        let now = backend.now();
        let failed = |error| {
            let error = backend.error(error);
            // One attempt at a renewal says nothing to a caller without a token, who still gets all its
            // retries. Nor does it that this flight's time ran out: who waits may have more, or else is
            // held back by what is remembered of it.
            let is_for_all =
                self.effort != Effort::OneAttempt && error.kind() != ErrorKind::Timeout;
            let remembered_for = backend.remembered_for(now);
            let ended = Ended::Failed(error.clone(), is_for_all);
            (ended, EventKind::Failed { error, still_has_token: false, remembered_for })
        };
        let (ended, mut news) = match obtained {
            // Another process renews, or a failure is remembered. This is only said to a renewal, whose
            // caller has a good token: nothing failed, and there is nothing to tell.
            Ok(Obtained::Busy) => {
                backend.note_busy(now);
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

    fn order(&self) -> Order {
        let now = self.single_flight.backend.now();
        Order {
            min_validity: self.wish.min_validity,
            forced_at: self.wish.newer_than.map(|_| now.wall),
            effort: self.effort,
            deadline: self.deadline,
            newest: self.single_flight.lock().newest_token().cloned(),
        }
    }

    /// Ends the flight and wakes those who wait for it. Returns whether there is a good token now.
    fn report(&mut self, now: Now, ended: Ended) -> bool {
        let mut slot = self.single_flight.lock();
        let ended = match ended {
            // The API answered 401 to it while this flight was under way.
            Ended::With(token) if self.single_flight.backend.has_revoked(&token) => Ended::Busy,
            ended => ended,
        };
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
            let now = self.single_flight.backend.now();
            // What ends one renewal like this may end the next, so that waits a little, too.
            self.single_flight.backend.note_busy(now);
            self.report(now, Ended::Died);
        }
    }
}
