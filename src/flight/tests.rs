//! Single flights with one thread: a backend that does what the test says, on a clock of its own.

use std::collections::VecDeque;

use super::script::{LIFETIME, Script, TIMEOUT};
use super::*;
use crate::base::sync::lock;
use crate::policy::book::Book;

/// One answer: how many seconds it takes, and the error if it is no token.
type Answer = (u64, Option<ErrorKind>);

struct Answers {
    left: Mutex<VecDeque<Answer>>,
    now: Mutex<Now>,
    book: Mutex<Book>,
}

impl Script for Answers {
    fn now(&self) -> Now {
        *lock(&self.now)
    }

    fn book(&self) -> &Mutex<Book> {
        &self.book
    }

    fn fetch(&self) -> Result<Token> {
        let mut left = lock(&self.left);
        let (took, error) = left.pop_front().expect("no request more");
        let name = format!("the last but {}", left.len());
        let asked = Script::now(self);
        *lock(&self.now) = asked.after(Duration::from_secs(took));
        match error {
            Some(kind) => Err(Error::new(kind, "scripted")),
            None => Ok(Token::issued(&name, LIFETIME, asked)),
        }
    }
}

fn single_flight(answers: &[Answer]) -> Arc<SingleFlight<Answers>> {
    let left = Mutex::new(answers.iter().copied().collect());
    let now = Mutex::new(Now::from_system());
    let answers = Answers { left, now, book: Mutex::default() };
    Arc::new(SingleFlight::new(Renewal::Coexists { renew_from_percent: 80 }, answers))
}

fn left(single_flight: &SingleFlight<Answers>) -> usize {
    lock(&single_flight.backend.left).len()
}

#[test]
fn the_failure_of_a_flight_is_for_all_who_waited_unless_its_time_ran_out() {
    for (deadline, kind, is_shared) in [
        (None, ErrorKind::Timeout, false),
        (Some(TIMEOUT * 2), ErrorKind::Timeout, false),
        (Some(TIMEOUT / 2), ErrorKind::Rejected, true),
        (None, ErrorKind::Rejected, true),
    ] {
        let single_flight = single_flight(&[(0, Some(kind))]);
        let mut options = TokenOptions::new();
        options.deadline = deadline;
        assert_eq!(single_flight.token(&options).unwrap_err().kind(), kind);
        let shared = single_flight.lock().shared_failure(1);
        assert_eq!(shared.is_some(), is_shared, "{deadline:?}, {kind:?}");
    }
}

#[test]
fn a_token_as_long_as_the_caller_asks_will_do_and_more_is_not_asked_for() {
    let single_flight = single_flight(&[(0, None)]);
    let with = |min_validity| single_flight.token(&TokenOptions::new().min_validity(min_validity));
    assert_eq!(
        with(LIFETIME * 8 / 10 + Duration::from_nanos(1)).unwrap_err().kind(),
        ErrorKind::Configuration
    );
    assert_eq!(left(&single_flight), 1, "it asked for what cannot be");
    with(LIFETIME * 8 / 10).unwrap();
    assert_eq!(left(&single_flight), 0);
}

#[test]
fn a_token_that_took_long_to_come_is_handed_out_and_not_renewed_by_the_same_call() {
    let single_flight = single_flight(&[(500, None)]);
    single_flight.token(&TokenOptions::new()).expect("it is good for 100 s");
    assert_eq!(left(&single_flight), 0);
}

#[test]
fn a_rejected_token_is_handed_out_by_no_way_to_ask_and_kept_by_nobody() {
    let single_flight = single_flight(&[(0, None), (0, None)]);
    let rejected = single_flight.token(&TokenOptions::new()).unwrap();
    let now = Script::now(&single_flight.backend);
    assert_eq!(
        single_flight.published.get(now, Duration::ZERO).unwrap().secret(),
        rejected.secret()
    );
    assert!(single_flight.invalidate(rejected.secret(), now));
    assert!(
        single_flight.published.get(now, Duration::ZERO).is_none()
            && single_flight.cached().is_none()
    );
    assert_eq!(rejected.clones(), 1);
    let options = TokenOptions::new().min_validity(LIFETIME / 2);
    assert_ne!(single_flight.token(&options).unwrap().secret(), rejected.secret());
}

#[test]
fn a_token_that_was_replaced_is_kept_by_nobody() {
    let single_flight = single_flight(&[(0, None), (0, None)]);
    let old = single_flight.token(&TokenOptions::new()).unwrap();
    let new = single_flight.token(&TokenOptions::new().force(true)).unwrap();
    assert_eq!(single_flight.cached().unwrap().secret(), new.secret());
    assert_eq!(old.clones(), 1);
}

#[test]
fn who_has_no_time_does_not_renew() {
    let single_flight = single_flight(&[(500, None), (0, None)]);
    let token = single_flight.token(&TokenOptions::new()).unwrap();
    let hurried = single_flight.token(&TokenOptions::new().deadline(Duration::ZERO)).unwrap();
    assert_eq!(hurried.secret(), token.secret());
    assert_eq!(left(&single_flight), 1, "it asked for another");
    assert_ne!(single_flight.token(&TokenOptions::new()).unwrap().secret(), token.secret());
}

/// Its request never comes back: the leader dies in it.
struct Deadly(Now, Mutex<Book>);

impl Script for Deadly {
    fn now(&self) -> Now {
        self.0
    }

    fn book(&self) -> &Mutex<Book> {
        &self.1
    }

    fn fetch(&self) -> Result<Token> {
        std::panic::resume_unwind(Box::new("scripted"))
    }
}

#[test]
fn no_copy_of_a_token_is_left_when_its_replacement_dies() {
    let now = Now::from_system();
    let single_flight =
        Arc::new(SingleFlight::new(Renewal::ReplacesPrevious, Deadly(now, Mutex::default())));
    let token = Token::issued("old", LIFETIME, now);
    single_flight.lock().place(token.clone());
    assert!(single_flight.published.get(now, Duration::ZERO).is_some());
    let refresh = || single_flight.token(&TokenOptions::new().force(true));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(refresh)).is_err());
    assert!(single_flight.published.get(now, Duration::ZERO).is_none(), "a copy was left");
    assert_eq!(token.clones(), 1);
}
