//! Single histories of the slot, step by step; arbitrary ones are in `reference.rs`.

use super::*;

const COEXISTS: Renewal = Renewal::Coexists { renew_from_percent: 80 };

/// A slot, and a clock that starts when the first token is asked for.
struct Story {
    slot: Slot,
    start: Now,
}

impl Story {
    fn new() -> Self {
        Self {
            slot: Slot::new(COEXISTS, PublishedToken::default(), None),
            start: Now::from_system(),
        }
    }

    fn after(&self, seconds: u64) -> Now {
        self.start.after(Duration::from_secs(seconds))
    }

    /// One of ten minutes.
    fn token(&self, secret: &str) -> Token {
        Token::issued(secret, Duration::from_secs(600), self.start)
    }

    fn renews_at(&mut self, seconds: u64) -> Option<u64> {
        match self.slot.decide(self.after(seconds), &Wish::default(), |_| None) {
            Decision::Renew(flight, _) => Some(flight),
            Decision::Use(_) => None,
            _ => panic!("there is a good token"),
        }
    }

    fn current(&self) -> Option<&str> {
        self.slot.current().map(Token::secret)
    }
}

#[test]
fn a_token_from_elsewhere_is_newer_than_all_before_it() {
    let mut story = Story::new();
    let (a, b) = (story.token("a"), story.token("b"));
    let before = story.slot.newest();
    story.slot.place(a.clone());
    let placed = story.slot.newest();
    assert!(placed > before);
    story.slot.adopt(&a, b);
    assert!(story.slot.newest() > placed);
    let ask = Wish { newer_than: Some(placed), ..Wish::default() };
    let token = story.slot.usable(story.after(1), &ask).expect("it is newer");
    assert_eq!(token.secret(), "b");
}

#[test]
fn a_token_is_adopted_only_in_the_place_of_the_one_it_replaces() {
    let mut story = Story::new();
    let (a, b, c) = (story.token("a"), story.token("b"), story.token("c"));
    story.slot.place(b.clone());
    story.slot.adopt(&a, c);
    assert_eq!(story.current(), Some("b"));
    story.slot.forget(&a);
    assert_eq!(story.current(), Some("b"));
    story.slot.forget(&b);
    assert_eq!(story.current(), None);
}

#[test]
fn a_flight_that_is_given_up_is_no_failure_and_a_renewal_that_is_held_back_is_none() {
    let mut story = Story::new();
    let token = story.token("good");
    story.slot.place(token);
    let flight = story.renews_at(500).expect("it is time to renew");
    story.slot.end_flight(story.after(500), flight + 1, Ended::Busy);
    assert!(story.slot.is_in_flight(flight), "that was another's");
    story.slot.end_flight(story.after(500), flight, Ended::Busy);
    assert!(!story.slot.is_in_flight(flight));
    assert_eq!(story.slot.counters.failures, 0);
    let now = story.after(500);
    let held = |renews: bool| renews.then(|| Error::new(ErrorKind::Timeout, "held back"));
    assert!(matches!(story.slot.decide(now, &Wish::default(), held), Decision::Use(_)));
    assert!(story.renews_at(500).is_some());
}

#[test]
fn each_leader_that_dies_counts_as_a_failure() {
    let mut story = Story::new();
    for deaths in 1..=3 {
        let now = story.after(deaths);
        let Decision::Lead(flight) = story.slot.decide(now, &Wish::default(), |_| None) else {
            panic!("there is no token");
        };
        story.slot.end_flight(now, flight + 1, Ended::Died);
        assert!(story.slot.is_in_flight(flight), "that was another's");
        story.slot.end_flight(now, flight, Ended::Died);
        assert_eq!(story.slot.counters.failures, deaths);
    }
}

#[test]
fn a_token_falls_short_if_it_is_good_and_came_with_this_flight_but_does_not_live_as_long() {
    let mut story = Story::new();
    let token = story.token("good");
    story.slot.place(token);
    let flight = story.slot.newest();
    let falls_short = |now, seconds, flight| {
        let ask = Wish { min_validity: Duration::from_secs(seconds), ..Wish::default() };
        story.slot.falls_short(story.after(now), &ask, flight)
    };
    assert!(falls_short(500, 101, flight));
    assert!(!falls_short(500, 100, flight), "it lives so long");
    assert!(!falls_short(500, 101, flight + 1), "the next may bring a better one");
    assert!(!falls_short(599, 101, flight), "it has ended, which is another matter");
}

#[test]
fn one_caller_compares_with_the_store_while_the_others_go_on_unless_it_takes_too_long() {
    let published = PublishedToken::default();
    let mut slot = Slot::new(COEXISTS, published.clone(), Some(Duration::from_millis(500)));
    let start = Now::from_system();
    let at = |milliseconds| start.after(Duration::from_millis(milliseconds));
    let is_published = |ms| published.get(at(ms), Duration::ZERO).is_some();
    let token = Token::issued("a", Duration::from_secs(600), start);
    slot.place(token.clone());
    assert!(is_published(499) && !is_published(500));
    assert!(!slot.begin_look(at(499)));
    assert!(slot.begin_look(at(500)));
    assert!(!slot.begin_look(at(501)) && !slot.begin_look(at(999)), "another one is at it");
    assert!(slot.begin_look(at(1_000)) && slot.begin_look(at(1_001)), "it takes too long");
    // It ends late: the token was good when it began.
    slot.end_look(&token, at(500));
    assert!(!is_published(1_001) && !slot.begin_look(at(1_002)));
    slot.end_look(&token, at(1_001));
    slot.end_look(&token, at(1_000));
    assert!(is_published(1_500) && !is_published(1_501));
    // By the wall clock alone, as after a suspension.
    let mut later = at(1_500);
    later.wall += Duration::from_millis(1);
    assert!(published.get(later, Duration::ZERO).is_none() && slot.begin_look(later));
    // What is said of one token is not said of the next.
    slot.adopt(&token, Token::issued("b", Duration::from_secs(600), at(1_000)));
    slot.end_look(&token, at(1_600));
    assert!(is_published(1_499) && !is_published(1_500));
    assert!(slot.invalidate("b") && !is_published(1_499) && !slot.begin_look(at(9_999)));
}

#[test]
fn a_store_that_is_dear_to_ask_is_asked_as_often_as_it_says() {
    let published = PublishedToken::default();
    let mut slot = Slot::new(COEXISTS, published.clone(), Some(Duration::from_secs(1)));
    let start = Now::from_system();
    let at = |milliseconds| start.after(Duration::from_millis(milliseconds));
    let is_published = |ms| published.get(at(ms), Duration::ZERO).is_some();
    slot.place(Token::issued("a", Duration::from_secs(600), start));
    assert!(is_published(999) && !is_published(1_000) && !slot.begin_look(at(999)));
    assert!(slot.begin_look(at(1_000)));
    assert!(!slot.begin_look(at(1_499)) && slot.begin_look(at(1_500)), "500 ms to answer");
}
