//! The rules of the book, one by one.

mod history;
mod pages;

use super::*;
use crate::base::json;
use crate::base::secret::Secret;

const LIFETIME: Duration = Duration::from_secs(600);
/// The time that callers allow as a rule.
const PATIENT: Duration = Duration::from_secs(15);
const HURRIED: Duration = Duration::from_millis(200);
/// Two secrets of one account.
const OURS: u64 = 1;
const OTHER: u64 = 2;

fn now() -> Now {
    Now::from_system()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// As at the providers that are built in.
const SIX: Cap = Cap { most: 6, is_absolute: false };

fn asker(allows: Duration) -> Asker {
    Asker { secret: OURS, allows, renews: false, cap: SIX }
}

fn failed(error: &Error) -> FailedFetch<'_> {
    FailedFetch {
        error,
        requests: 1,
        asker: asker(PATIENT),
        is_forced: false,
        lifetime: LIFETIME,
        chance: 0,
    }
}

fn with_secret(error: &Error, secret: u64) -> FailedFetch<'_> {
    FailedFetch { asker: Asker { secret, ..asker(PATIENT) }, ..failed(error) }
}

fn rejected() -> Error {
    Cause::CredentialsRefused.error("no").with_status(401)
}

fn down() -> Error {
    Cause::ServerFailing.error("500").with_status(500)
}

fn slow() -> Error {
    Cause::AnswerTooSlow.error("slow")
}

impl Book {
    fn is_open(&self, now: Now, secret: u64) -> bool {
        self.blocked(now, Asker { secret, ..asker(PATIENT) }).is_none()
    }
}

/// As another process reads it from the store.
fn stored(book: &Book) -> Book {
    let mut copy = book.clone();
    for (number, secret) in [(OURS, "ours"), (OTHER, "other")] {
        copy.derive(number, || Secret::from(secret));
    }
    serde_json::from_slice(&json::to_wiped_vec(&copy)).unwrap()
}

#[test]
fn the_credentials_are_blamed_only_where_the_token_endpoint_refused_them() {
    for (error, blames) in [
        (rejected(), true),
        (Cause::AccountRefused.error("suspended").with_status(403), false),
        (Cause::NoEndpoint.error("no such path").with_status(404), false),
        (Cause::TooManyRequests.error("too many").with_status(429), false),
        (fresh_tokens_revoked(false), false),
    ] {
        let (mut book, now) = (Book::default(), now());
        book.note_failure(now, &failed(&error));
        let told = book.blocked(now, asker(PATIENT)).unwrap().to_string();
        assert_eq!(told.contains("change the credentials"), blames, "{told}");
        assert!(told.ends_with("call refresh() to override]"), "{told}");
    }
}

#[test]
fn a_refusal_is_remembered_for_a_minute_then_longer_up_to_a_quarter_of_an_hour() {
    let (mut book, mut now) = (Book::default(), now());
    for seconds in [60, 240, 900, 900] {
        let wait = book.note_failure(now, &failed(&rejected())).unwrap();
        assert_eq!(wait.as_secs(), seconds);
        assert!(!book.is_open(now.after(wait - Duration::from_millis(1)), OURS));
        now = now.after(wait);
        assert!(book.is_open(now, OURS));
    }
    book.note_success(now, OURS);
    assert_eq!(book.note_failure(now, &failed(&rejected())).unwrap().as_secs(), 60);
}

#[test]
fn counts_lapse() {
    let (mut book, began) = (Book::default(), now());
    for _ in 0..4 {
        book.note_failure(began, &failed(&rejected()));
        book.note_failure(began, &failed(&down()));
        book.note_failure(began, &FailedFetch { asker: asker(HURRIED), ..failed(&slow()) });
    }
    for (later, is_probing) in [(secs(10 + 599), true), (secs(10 + 601), false)] {
        assert_eq!(book.is_probing(began.after(later), asker(PATIENT)), is_probing, "{later:?}");
    }
    let later = began.after(secs(86_400));
    assert_eq!(book.note_failure(later, &failed(&down())).unwrap().as_secs(), 1);
    assert_eq!(book.note_failure(later, &failed(&rejected())).unwrap().as_secs(), 60);
}

#[test]
fn a_provider_that_names_a_wait_gets_it_within_bounds() {
    let (mut book, now) = (Book::default(), now());
    for (named, kept) in [(0, 1), (7, 7), (100_000, 900)] {
        let error = Cause::ServerBusy.error("busy").with_retry_after(Some(secs(named)));
        assert_eq!(book.note_failure(now, &failed(&error)).unwrap().as_secs(), kept);
    }
    // One that stands longer stays.
    let error = Cause::ServerBusy.error("busy").with_retry_after(Some(secs(7)));
    assert_eq!(book.note_failure(now, &failed(&error)).unwrap().as_secs(), 900);
}

#[test]
fn a_success_ends_the_refusals_of_its_own_secret_and_those_for_all() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &with_secret(&rejected(), OURS));
    book.note_failure(now, &with_secret(&rejected(), OTHER));
    book.note_failure(now, &failed(&Cause::TooManyRequests.error("slower")));
    assert!(!book.is_open(now, OURS) && !book.is_open(now, OTHER) && !book.is_open(now, 3));
    book.note_success(now, OURS);
    assert!(book.is_open(now, OURS) && book.is_open(now, 3));
    let later = now.after(secs(60));
    assert!(!book.is_open(now, OTHER) && book.is_open(later, OTHER));
    // And how often, too.
    let wait = book.note_failure(later, &with_secret(&rejected(), OTHER));
    assert_eq!(wait, Some(secs(240)));
}

/// As many refused requests as an account may have in an hour, of as many secrets.
fn six_refused(now: Now) -> Book {
    let mut book = Book::default();
    for secret in 10..16 {
        assert!(book.is_open(now, secret), "{secret}");
        book.note_failure(now, &with_secret(&rejected(), secret));
    }
    book
}

#[test]
fn after_six_refused_requests_another_secret_is_tried_every_ten_minutes() {
    let began = now();
    let mut book = six_refused(began);
    let mut secret = 100;
    let mut tried = 0;
    // A secret that changes at each run, every minute for two hours.
    for minute in 1..120 {
        let now = began.after(secs(60 * minute));
        secret += 1;
        if book.is_open(now, secret) {
            tried += 1;
            book.note_failure(now, &with_secret(&rejected(), secret));
        }
    }
    assert_eq!(tried, 11, "in two hours");
    // The corrected one waits no longer than that, and then goes on.
    let late = began.after(secs(7200));
    let mut book = six_refused(late);
    assert!(!book.is_open(late.after(secs(599)), OURS));
    let healed = late.after(secs(600));
    assert!(book.is_open(healed, OURS));
    assert!(!book.is_open(healed, 15), "one that was refused waits for the hour's end");
    book.note_success(healed, OURS);
    assert!(book.is_open(healed, OURS) && book.is_open(healed, OTHER));
    book.note_failure(healed, &with_secret(&rejected(), OTHER));
    assert!(!book.is_open(healed, 3));
    assert!(book.is_open(healed.after(secs(1)), OURS), "it brought the last token");
    // Until it is refused itself.
    book.note_failure(healed, &with_secret(&rejected(), OURS));
    assert!(!book.is_open(healed.after(secs(61)), OURS));
}

#[test]
fn where_the_provider_was_described_no_secret_at_all_goes_on_above_its_cap() {
    let now = Now::from_system();
    let cap = Cap { most: 3, is_absolute: true };
    let asks = |secret| Asker { secret, cap, ..asker(PATIENT) };
    let mut book = Book::default();
    let mut at = now;
    for refused in 0..3 {
        assert!(book.blocked(at, asks(OTHER)).is_none(), "after {refused}");
        book.note_failure(at, &with_secret(&rejected(), OTHER));
        // Each secret is another one, and one of them brings a token in between.
        if refused == 0 {
            book.note_success(at, OURS);
        }
        at = at.after(secs(16 * 60));
    }
    for secret in [OURS, OTHER, 77] {
        for book in [book.clone(), stored(&book)] {
            let error = book.blocked(at, asks(secret)).unwrap();
            assert!(error.to_string().contains("3 requests of this account"), "{error}");
            assert!(error.to_string().contains("no secret is tried before"), "{error}");
        }
    }
    // The first of the three was an hour ago.
    let later = now.after(secs(3601));
    assert!(book.blocked(later, asks(77)).is_none());
}

#[test]
fn what_holds_a_secret_back_above_the_cap_is_said_with_the_rule() {
    let now = now();
    let error = six_refused(now).blocked(now.after(secs(1)), asker(PATIENT)).unwrap();
    assert_eq!(error.retry_after(), Some(secs(599)));
    assert!(error.to_string().contains("another secret is tried once in 10 minutes"), "{error}");
}

#[test]
fn forced_refusals_lengthen_the_pause_of_their_own_secret_and_touch_no_other() {
    let (mut book, now, error) = (Book::default(), now(), rejected());
    let mut waits = Vec::new();
    for _ in 0..10 {
        let forced = FailedFetch { is_forced: true, ..with_secret(&error, OTHER) };
        waits.push(book.note_failure(now, &forced).unwrap().as_secs());
    }
    assert_eq!(waits[..4], [60, 240, 900, 900]);
    assert!(book.is_open(now, OURS) && !book.is_open(now, OTHER));
}

#[test]
fn a_refusal_of_this_secret_is_told_before_an_outage() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &failed(&rejected()));
    book.note_failure(now, &with_secret(&down(), OTHER));
    let told = |secret| book.blocked(now, Asker { secret, ..asker(PATIENT) }).unwrap().kind();
    assert_eq!(told(OURS), ErrorKind::Rejected);
    assert_eq!(told(OTHER), ErrorKind::ServerUnavailable);
}

#[test]
fn what_was_not_sent_and_what_is_this_machine_s_fault_holds_nobody_else_back() {
    use Cause::*;
    let now = now();
    let blocks = |error: &Error, requests: u32| {
        let mut book = Book::default();
        book.note_failure(now, &FailedFetch { requests, ..failed(error) });
        (!book.is_open(now, OURS), !stored(&book).is_open(now, OURS))
    };
    assert_eq!(blocks(&Error::certificate("expired here"), 1), (false, false));
    assert_eq!(blocks(&down(), 0), (false, false));
    for cause in [NoTimeLeft, NoThread, NoDescriptor, NameNotLoopback] {
        assert_eq!(blocks(&cause.error("here"), 1), (false, false), "{cause:?}");
    }
    for cause in [NameNotFound, NameTooSlow, Unreachable, ProxyRefused, ServerCertificateExpired] {
        assert_eq!(blocks(&cause.error("here"), 1), (true, false), "{cause:?}");
    }
    for cause in [ConnectionRefused, Cut, ServerFailing, NotHttp, AnswerTooSlow] {
        assert_eq!(blocks(&cause.error("there"), 1), (true, true), "{cause:?}");
    }
}

#[test]
fn an_outage_holds_everybody_back_for_a_growing_pause_until_a_token_comes() {
    let (mut book, error, mut now) = (Book::default(), down(), now());
    for seconds in [1, 2, 5, 10, 15, 15] {
        assert!(book.is_open(now, OURS));
        let wait = book.note_failure(now, &failed(&error)).unwrap();
        assert_eq!(wait.as_secs(), seconds);
        for allows in [PATIENT, HURRIED] {
            let error = book.blocked(now.after(wait / 2), asker(allows)).unwrap();
            assert_eq!(error.retry_after(), Some(wait / 2));
            assert!(error.is_retryable());
        }
        now = now.after(wait);
    }
    assert_eq!(book.refused_for(now, asker(PATIENT)), None, "it is no refusal");
    book.note_success(now, OTHER);
    // Each attempt of a fetch counts, and the pause is spread by a fifth.
    let thrice = FailedFetch { requests: 3, chance: 199, ..failed(&error) };
    assert_eq!(book.note_failure(now, &thrice).unwrap().as_millis(), 5_995);
}

#[test]
fn a_failed_renewal_holds_back_renewals_alone_for_a_part_of_the_token_s_life() {
    let (mut book, error, mut now) = (Book::default(), down(), now());
    let renews = Asker { renews: true, ..asker(secs(2)) };
    for (failures, seconds) in [6, 12, 24, 30, 30].into_iter().enumerate() {
        assert_eq!(book.failed_renewals(now), failures as u32);
        let failed = FailedFetch { asker: renews, ..failed(&error) };
        assert!(book.note_failure(now, &failed).is_none());
        assert!(book.is_open(now, OURS));
        let last = now.after(secs(seconds) - Duration::from_millis(1));
        assert!(book.blocked(last, renews).is_some(), "{failures}");
        now = now.after(secs(seconds));
        assert!(book.blocked(now, renews).is_none(), "{failures}");
    }
    // Who fetches then counts on from there.
    assert_eq!(book.note_failure(now, &failed(&error)).unwrap().as_secs(), 15);
    // What fails on this machine holds back its own renewals alone.
    let (mut book, here) = (Book::default(), Cause::NameNotFound.error("here"));
    book.note_failure(now, &FailedFetch { asker: renews, ..failed(&here) });
    assert!(book.blocked(now, renews).is_some() && stored(&book).blocked(now, renews).is_none());
    // What is short for a life of ten seconds is as long as an outage's pause.
    let mut book = Book::default();
    let failed = FailedFetch { asker: renews, lifetime: secs(10), ..failed(&error) };
    book.note_failure(now, &failed);
    assert!(book.blocked(now.after(Duration::from_millis(999)), renews).is_some());
}

#[test]
fn what_was_not_enough_time_holds_back_those_who_allow_no_more() {
    let (mut book, mut now) = (Book::default(), now());
    let error = slow();
    for seconds in [1, 2, 5] {
        let hurried = FailedFetch { asker: asker(HURRIED), ..failed(&error) };
        let wait = book.note_failure(now, &hurried).unwrap();
        assert_eq!(wait.as_secs(), seconds);
        let in_between = now.after(wait / 2);
        for (allows, is_held) in [(HURRIED / 2, true), (HURRIED, true), (HURRIED * 2, false)] {
            assert_eq!(book.blocked(in_between, asker(allows)).is_some(), is_held, "{allows:?}");
        }
        now = now.after(wait);
        assert!(book.blocked(now, asker(HURRIED)).is_none());
    }
    // One that has more time tries as ever after one that had too little, and counts from the beginning.
    assert!(book.is_probing(now, asker(HURRIED)) && !book.is_probing(now, asker(PATIENT)));
    assert_eq!(book.note_failure(now, &failed(&error)).unwrap().as_secs(), 1);
    assert!(book.blocked(now, asker(PATIENT)).is_some());
    assert!(book.blocked(now, asker(PATIENT * 2)).is_none());
}

#[test]
fn an_api_that_refuses_fresh_tokens_is_a_refusal_and_an_old_token_s_end_is_none() {
    let (mut book, mut now) = (Book::default(), now());
    let mut tokens = (0..).map(|number| format!("token-{number}"));
    let mut revoke = |book: &mut Book, now, age| {
        book.note_revoked(now, &tokens.next().unwrap(), Some(age), false);
    };
    for _ in 0..10 {
        revoke(&mut book, now, FRESH);
    }
    assert!(!book.blames_the_api(now));
    for (fresh, seconds) in [(1, 0), (2, 0), (3, 60), (4, 240), (5, 900)] {
        // A token was fetched in between: that alone proves nothing.
        book.note_success(now, OURS);
        revoke(&mut book, now, FRESH / 2);
        let wait = book.refused_for(now, asker(PATIENT)).unwrap_or_default();
        assert_eq!((wait.as_secs(), book.blames_the_api(now)), (seconds, seconds > 0), "{fresh}");
        now = now.after(wait);
    }
    book.note_success(now, OURS);
    revoke(&mut book, now, FRESH);
    revoke(&mut book, now, FRESH / 2);
    assert!(!book.blames_the_api(now));
    // One that is taken starts the count anew; one that is told of twice counts once.
    revoke(&mut book, now, FRESH / 2);
    book.note_accepted();
    for _ in 0..5 {
        book.note_revoked(now, "the same", Some(FRESH / 2), false);
        revoke(&mut book, now, FRESH / 2);
        book.note_accepted();
    }
    assert!(!book.blames_the_api(now));
}

#[test]
fn where_tokens_replace_each_other_another_store_is_blamed() {
    let (mut book, now) = (Book::default(), now());
    for number in 0..3 {
        book.note_revoked(now, &format!("token-{number}"), Some(secs(1)), true);
    }
    let told = book.blocked(now, asker(PATIENT)).unwrap().to_string();
    assert!(told.contains("another program, or another store, fetches tokens"), "{told}");
}

#[test]
fn what_another_process_has_noted_goes_on_here() {
    let (mut theirs, now) = (Book::default(), now());
    theirs.note_failure(now, &failed(&rejected()));
    let (theirs, mut here) = (stored(&theirs), Book::default());
    here.take_over(theirs.clone(), now);
    // Whose refusal it is has to be found out.
    assert!(here.is_open(now, OURS) && here.may_be_refused(now, OURS));
    let mark = here.unknown_mark(now, OURS).unwrap();
    assert!(!mark.is_of(&Secret::from("other")));
    here.learn(&mark, OURS, mark.is_of(&Secret::from("ours")));
    here.learn(&mark, OTHER, false);
    assert!(!here.is_open(now, OURS) && here.is_open(now, OTHER));
    assert!(here.unknown_mark(now, OURS).is_none() && !here.may_be_refused(now, OURS));
    // It is known when the entry is read again, whatever the wall clock says by then.
    let set_back = Now { wall: now.wall - secs(40_000), ..now };
    here.take_over(theirs, set_back);
    assert!(!here.is_open(set_back.after(secs(59)), OURS));
    assert!(here.is_open(set_back.after(secs(60)), OURS));
    let wait = here.note_failure(now.after(secs(60)), &failed(&rejected()));
    assert_eq!(wait, Some(secs(240)), "one more in a row");
    // What another process has ended has ended here, but for what nobody was told yet.
    here.take_over(Book::default(), now);
    assert!(!here.is_open(now.after(secs(61)), OURS));
    here.was_written(&here.clone());
    here.take_over(Book::default(), now);
    assert!(here.is_open(now, OURS));
}

#[test]
fn a_clock_that_is_ahead_holds_nobody_back() {
    let (mut theirs, now) = (Book::default(), now());
    let ahead = now.after(secs(86_400));
    theirs.note_failure(ahead, &failed(&rejected()));
    theirs.note_failure(ahead, &failed(&down()));
    theirs.note_failure(ahead, &failed(&slow()));
    let mut here = Book::default();
    here.take_over(stored(&theirs), now);
    assert!(here.is_open(now, OURS) && !here.may_be_refused(now, OURS));
    assert_eq!(here.history(now, SIX).blocked_for, None);
}

#[test]
fn a_refusal_whose_secret_no_store_could_know_again_is_not_written_as_one_for_all() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &with_secret(&rejected(), 77));
    assert!(stored(&book).is_open(now, 78));
    assert_eq!(stored(&book).refusals.len(), 0);
}

#[test]
fn that_the_api_takes_a_token_counts_in_the_store_too() {
    let (mut theirs, now) = (Book::default(), now());
    for number in 0..2 {
        theirs.note_revoked(now, &format!("token-{number}"), Some(secs(1)), false);
    }
    let mut here = Book::default();
    here.take_over(stored(&theirs), now);
    here.note_accepted();
    here.take_over(stored(&theirs), now);
    here.note_revoked(now, "another", Some(secs(1)), false);
    assert!(!here.blames_the_api(now), "it took one in between");
    // Once it is written, the store's count is what counts.
    here.was_written(&here.clone());
    here.take_over(stored(&theirs), now);
    here.note_revoked(now, "one more", Some(secs(1)), false);
    assert!(here.blames_the_api(now));
}

#[test]
fn what_is_noted_while_the_store_is_written_to_is_not_lost() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &failed(&rejected()));
    let mut copy = book.clone();
    copy.derive(OURS, || Secret::from("ours"));
    // Another thread hears a 401 meanwhile.
    book.note_revoked(now, "token", Some(secs(1)), false);
    book.was_written(&copy);
    assert!(book.has_revoked("token") && !book.is_unwritten());
    // And the mark is the one that the store has: nobody has to find out again whose it is.
    book.take_over(serde_json::from_slice(&json::to_wiped_vec(&copy)).unwrap(), now);
    assert!(!book.is_open(now, OURS) && book.unknown_mark(now, OURS).is_none());
}
