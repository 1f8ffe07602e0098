//! The single-flight protocol under every order of threads (shuttle's depth-first search), as far as
//! that goes; beyond it, orders at random:
//!
//! ```sh
//! RUSTFLAGS="--cfg paytoken_model" RUST_BACKTRACE=0 cargo test -p paytoken --lib model -- --nocapture
//! ```
//!
//! The backend is a script; every call of it is a point at which threads may change places. A search
//! that is cut off says so. Waits never time out here: a waiter that nobody wakes is a deadlock,
//! which shuttle reports.

#![allow(clippy::print_stdout)] // the number of orders tried is the result

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::{Config, Runner, thread};

use super::script::{LIFETIME, Script};
use super::*;
use crate::policy::book::Book;

/// Where the search is cut off.
const MOST: usize = 10_000;

/// What becomes of a flight.
#[derive(Clone, Copy)]
enum Fate {
    Token,
    /// Nothing was sent.
    Error,
    /// The provider may have seen the request.
    Lost,
    Panic,
    /// The time ran out.
    TooLate,
}

struct Fates {
    fates: std::sync::Mutex<VecDeque<Fate>>,
    now: Now,
    book: std::sync::Mutex<Book>,
    /// Flights under way, and flights so far.
    under_way: AtomicUsize,
    flights: AtomicUsize,
    has_fetched: AtomicBool,
    /// Who led the first.
    first: std::sync::Mutex<Option<thread::ThreadId>>,
}

impl Fates {
    fn new(fates: &[Fate]) -> Self {
        Self {
            fates: std::sync::Mutex::new(fates.iter().copied().collect()),
            now: Now::from_system(),
            book: Default::default(),
            under_way: AtomicUsize::new(0),
            flights: AtomicUsize::new(0),
            has_fetched: AtomicBool::new(false),
            first: std::sync::Mutex::new(None),
        }
    }

    fn flights(&self) -> usize {
        self.flights.load(Ordering::SeqCst)
    }

    fn was_first_led_by(&self, thread: thread::ThreadId) -> bool {
        *self.first.lock().unwrap() == Some(thread)
    }
}

impl Script for Fates {
    fn now(&self) -> Now {
        self.now
    }

    fn book(&self) -> &std::sync::Mutex<Book> {
        &self.book
    }

    fn fetch(&self) -> Result<Token> {
        assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "two flights at a time");
        self.has_fetched.store(true, Ordering::SeqCst);
        let number = self.flights.fetch_add(1, Ordering::SeqCst) + 1;
        self.first.lock().unwrap().get_or_insert(thread::current().id());
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Token);
        thread::yield_now();
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match fate {
            Fate::Token => Ok(Token::issued(&format!("new-{number}"), LIFETIME, self.now)),
            Fate::Error => Err(Error::new(ErrorKind::ServerUnavailable, "scripted")),
            Fate::Lost => {
                let error = Error::new(ErrorKind::ServerUnavailable, "scripted");
                Err(error.with_may_have_arrived(true))
            }
            Fate::TooLate => Err(Error::new(ErrorKind::Timeout, "scripted")),
            // Past the panic hook: its message, ten thousand times, is no news.
            Fate::Panic => std::panic::resume_unwind(Box::new("scripted")),
        }
    }
}

type Source = Arc<SingleFlight<Fates>>;

fn source(renewal: Renewal, fates: &[Fate]) -> Source {
    Arc::new(SingleFlight::new(renewal, Fates::new(fates)))
}

const COEXISTS: Renewal = Renewal::Coexists { renew_from_percent: 80 };
const RENEWALS: [Renewal; 2] = [COEXISTS, Renewal::ReplacesPrevious];

/// Puts a token of this age into the slot, as an earlier flight would have.
fn with_token(source: &Source, age: u64) -> Token {
    let mut since = source.backend.now;
    since.monotonic -= Duration::from_secs(age);
    since.wall -= Duration::from_secs(age);
    let token = Token::issued("old", LIFETIME, since);
    source.lock().place(token.clone());
    token
}

fn secret(source: &Source) -> Result<String> {
    source.token(&TokenOptions::new()).map(|token| token.secret().to_owned())
}

fn spawn<T: Send + 'static>(
    source: &Source,
    run: impl FnOnce(&Source) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let source = source.clone();
    thread::spawn(move || run(&source))
}

/// Every order of threads, or the first `MOST` of them and then as many at random.
fn explore(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let run = scenario.clone();
    let tried = Runner::new(DfsScheduler::new(Some(MOST), false), Config::new()).run(move || run());
    if tried < MOST {
        println!("{name}: all {tried} orders");
        return;
    }
    let run = scenario.clone();
    let random = Runner::new(RandomScheduler::new(MOST), Config::new()).run(move || run());
    // Few changes of threads, each at any moment: finds what needs one long pause.
    let few = Runner::new(PctScheduler::new(3, MOST), Config::new()).run(move || scenario());
    println!(
        "{name}: {tried} orders depth first (cut off), {random} at random, {few} with few changes"
    );
}

#[test]
fn on_an_empty_slot_there_is_one_flight_and_one_token() {
    for renewal in RENEWALS {
        explore(&format!("empty, {renewal:?}"), move || {
            let source = source(renewal, &[]);
            let threads = [spawn(&source, secret), spawn(&source, secret)];
            let mine = secret(&source).unwrap();
            for thread in threads {
                assert_eq!(thread.join().unwrap().unwrap(), mine);
            }
            assert_eq!(source.backend.flights(), 1);
        });
    }
}

#[test]
fn a_failed_flight_is_shared_by_those_who_waited_and_stops_nobody_else() {
    for (renewal, fate) in RENEWALS
        .into_iter()
        .flat_map(|renewal| [Fate::Error, Fate::Lost].map(|fate| (renewal, fate)))
    {
        let shared = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = shared.clone();
        explore(&format!("failure, {renewal:?}"), move || {
            let source = source(renewal, &[fate]);
            let other = spawn(&source, secret);
            // Both have the one failure; or one was late, and led a flight that went well.
            let results = [secret(&source), other.join().unwrap()];
            let flights = source.backend.flights();
            let has_token = results.iter().any(|result| result.is_ok());
            assert_eq!(flights, if has_token { 2 } else { 1 });
            // A leader whom the next flight overtakes has that one's token.
            assert!(results.into_iter().flatten().all(|token| token == "new-2"));
            count.fetch_add(usize::from(!has_token), Ordering::SeqCst);
            assert_eq!(secret(&source).unwrap(), "new-2");
            assert_eq!(source.backend.flights(), 2);
        });
        assert!(shared.load(Ordering::SeqCst) > 0, "nobody who waited was told");
    }
}

#[test]
fn a_leader_that_panics_hands_over() {
    for renewal in RENEWALS {
        explore(&format!("panic, {renewal:?}"), move || {
            let source = source(renewal, &[Fate::Panic]);
            let other = spawn(&source, |source| catch_unwind(AssertUnwindSafe(|| secret(source))));
            let mine = catch_unwind(AssertUnwindSafe(|| secret(&source)));
            let results = [mine, other.join().unwrap()];
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
            assert!(results.into_iter().flatten().all(|result| result.unwrap() == "new-2"));
            assert_eq!(source.backend.flights(), 2);
        });
    }
}

#[test]
fn that_a_flight_s_time_ran_out_is_its_leader_s_error_alone() {
    for renewal in RENEWALS {
        explore(&format!("time-out, {renewal:?}"), move || {
            let source = source(renewal, &[Fate::TooLate]);
            let other = spawn(&source, secret);
            let results = [secret(&source), other.join().unwrap()];
            // None where the next flight overtook the leader, who then has that one's token.
            assert!(results.iter().filter(|result| result.is_err()).count() <= 1);
            assert!(results.into_iter().flatten().all(|token| token == "new-2"));
        });
    }
}

#[test]
fn a_flight_that_a_hurried_caller_began_lands_for_all() {
    for renewal in RENEWALS {
        explore(&format!("hurried leader, {renewal:?}"), move || {
            let source = source(renewal, &[]);
            let hurried = spawn(&source, |source| {
                source.token(&TokenOptions::new().deadline(Duration::from_secs(1))).map(|_| ())
            });
            assert_eq!(secret(&source).unwrap(), "new-1");
            hurried.join().unwrap().unwrap();
            assert_eq!(source.backend.flights(), 1);
        });
    }
}

#[test]
fn a_renewal_that_failed_says_nothing_to_a_caller_who_needs_a_new_token() {
    explore("failed renewal", || {
        let source = source(COEXISTS, &[Fate::Error]);
        with_token(&source, 500);
        // The token has 100 s left.
        let asks_more = spawn(&source, |source| {
            let options = TokenOptions::new().min_validity(Duration::from_secs(200));
            source.token(&options).map(|token| token.secret().to_owned())
        });
        let mine = secret(&source).unwrap();
        let other = asks_more.thread().id();
        let more = asks_more.join().unwrap();
        let led = source.backend.was_first_led_by(other);
        match more {
            Ok(token) => assert_eq!(token, "new-2"),
            Err(_) => assert!(led && mine != "new-1", "it was told of another's attempt"),
        }
    });
}

#[test]
fn an_invalidation_at_any_moment_of_a_renewal_is_not_lost() {
    for fate in [Fate::Token, Fate::Error, Fate::Lost, Fate::Panic] {
        explore("invalidation during a renewal", move || {
            let source = source(COEXISTS, &[fate]);
            let old = with_token(&source, 500);
            let renewing =
                spawn(&source, |source| catch_unwind(AssertUnwindSafe(|| secret(source))));
            source.invalidate(old.secret(), source.backend.now);
            // From here on nobody gets it any more.
            if let Ok(token) =
                catch_unwind(AssertUnwindSafe(|| secret(&source))).unwrap_or(Ok(String::new()))
            {
                assert_ne!(token, "old");
            }
            let _ = renewing.join().unwrap();
            let has_failed = !matches!(fate, Fate::Token);
            let expected = if has_failed { "new-2" } else { "new-1" };
            assert_eq!(secret(&source).unwrap(), expected);
            assert_eq!(source.backend.flights(), 1 + usize::from(has_failed));
        });
    }
}

#[test]
fn no_copy_of_a_rejected_token_is_handed_out_or_left() {
    explore("copies", || {
        let source = source(COEXISTS, &[]);
        let old = with_token(&source, 10);
        let reading = spawn(&source, secret);
        assert!(source.invalidate(old.secret(), source.backend.now));
        // By the short cut or by the long way.
        assert_ne!(secret(&source).unwrap(), "old");
        reading.join().unwrap().unwrap();
        assert_eq!(old.clones(), 1, "kept by others than this test");
    });
}

#[test]
fn a_token_that_is_being_replaced_is_not_handed_out() {
    for fate in [Fate::Token, Fate::Error, Fate::Lost] {
        explore("replacement", move || {
            let source = source(Renewal::ReplacesPrevious, &[fate]);
            with_token(&source, 10);
            let refreshing = spawn(&source, |source| {
                source
                    .token(&TokenOptions::new().force(true))
                    .map(|token| token.secret().to_owned())
            });
            let was_flying = source.backend.has_fetched.load(Ordering::SeqCst);
            let mine = secret(&source);
            let refreshed = refreshing.join().unwrap();
            let after = secret(&source).unwrap();
            match fate {
                Fate::Error => {
                    // Nothing was sent, so the old one is put back.
                    assert!(refreshed.is_err());
                    assert_eq!([mine.unwrap(), after], ["old", "old"]);
                    assert_eq!(source.backend.flights(), 1);
                }
                Fate::Lost => {
                    // Or the next flight overtook it.
                    assert!(refreshed.is_err() || refreshed.unwrap() == "new-2");
                    assert!(!was_flying || mine.is_err() || mine.unwrap() == "new-2");
                    assert_eq!(after, "new-2");
                }
                _ => {
                    assert_eq!([&*refreshed.unwrap(), &*after], ["new-1", "new-1"]);
                    assert!(!was_flying || mine.unwrap() == "new-1");
                }
            }
        });
    }
}

#[test]
fn in_the_window_one_renews_and_the_other_has_a_token_at_once() {
    for fate in [Fate::Token, Fate::Error, Fate::Lost] {
        explore("window", move || {
            let source = source(COEXISTS, &[fate]);
            with_token(&source, 500);
            let other = spawn(&source, secret);
            let mine = secret(&source);
            assert!(mine.is_ok() && other.join().unwrap().is_ok());
            assert_eq!(source.backend.flights(), 1);
            let expected = if matches!(fate, Fate::Token) { "new-1" } else { "old" };
            assert_eq!(secret(&source).unwrap(), expected);
            assert_eq!(source.backend.flights(), 1, "a failed renewal holds back the next");
        });
    }
}
