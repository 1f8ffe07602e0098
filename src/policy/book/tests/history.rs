//! What monitoring is told, and for how long.

use super::*;

#[test]
fn a_failure_is_told_until_a_token_comes_however_long_that_takes() {
    let gone = Cause::NameNotFound.error("no such name");
    for error in [&down(), &slow(), &rejected(), &gone] {
        let (mut book, now) = (Book::default(), now());
        book.note_success(now, OURS);
        let came = now.wall;
        let now = now.after(secs(60));
        book.note_failure(now, &failed(error));
        // As monitoring reads it, from the store.
        let mut book = stored(&book);
        let much_later = now.after(secs(3 * 86_400));
        let history = book.history(much_later, SIX);
        let (kind, message, at) = history.last_error.unwrap();
        assert_eq!((kind, message, at), (error.kind(), error.message(), Some(now.wall)));
        assert_eq!((history.blocked_for, history.succeeded_at), (None, Some(came)));
        assert!(book.is_open(much_later, OURS) && book.is_failing());
        book.note_success(much_later, OURS);
        let history = book.history(much_later, SIX);
        assert_eq!(history.succeeded_at, Some(much_later.wall));
        assert!(history.last_error.is_none() && !book.is_failing());
    }
}

#[test]
fn what_holds_requests_back_is_told_before_what_failed_last() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &failed(&rejected()));
    book.note_failure(now.after(secs(2)), &failed(&down()));
    let kind = |seconds| book.history(now.after(secs(seconds)), SIX).last_error.unwrap().0;
    assert_eq!(kind(3), ErrorKind::Rejected);
    assert_eq!(kind(61), ErrorKind::ServerUnavailable);
    // A refusal that stands is as old as its last request.
    let mut book = Book::default();
    book.note_failure(now, &failed(&rejected().with_retry_after(Some(secs(600)))));
    book.note_failure(now.after(secs(5)), &failed(&rejected()));
    let (.., at) = book.history(now.after(secs(6)), SIX).last_error.unwrap();
    assert_eq!(at, Some(now.after(secs(5)).wall));
}

#[test]
fn a_refusal_is_not_told_any_more_once_another_secret_has_brought_a_token() {
    let (mut book, now) = (Book::default(), now());
    book.note_failure(now, &with_secret(&rejected(), OTHER));
    assert_eq!(book.history(now, SIX).last_error.unwrap().0, ErrorKind::Rejected);
    let later = now.after(secs(5));
    book.note_success(later, OURS);
    assert!(!book.is_open(later, OTHER), "it still holds its own secret back");
    for book in [stored(&book), book] {
        let history = book.history(later, SIX);
        assert!(history.last_error.is_none() && history.blocked_for.is_none());
    }
}

#[test]
fn a_failure_that_could_not_be_written_is_told_unless_a_token_came_later() {
    let now = now();
    let (mut here, mut theirs) = (Book::default(), Book::default());
    here.note_failure(now, &failed(&down()));
    theirs.note_success(now.after(secs(1)), OURS);
    let mut earlier = Book::default();
    earlier.note_success(now, OURS);
    for (theirs, is_told) in [(earlier, true), (stored(&theirs), false)] {
        let mut here = here.clone();
        here.take_over(theirs, now.after(secs(2)));
        assert_eq!(here.is_failing(), is_told);
    }
    // Nor one that the store has, where the token that came later could not be written.
    let mut theirs = Book::default();
    theirs.note_failure(now, &failed(&down()));
    let mut here = Book::default();
    here.note_success(now.after(secs(1)), OURS);
    here.take_over(stored(&theirs), now.after(secs(2)));
    let history = here.history(now.after(secs(2)), SIX);
    assert!(!here.is_failing() && history.succeeded_at == Some(now.after(secs(1)).wall));
}

#[test]
fn refused_requests_of_the_last_hour_are_counted_but_for_those_that_were_forced() {
    let (mut book, now) = (Book::default(), now());
    for number in 0..8 {
        let at = now.after(secs(number * 1200));
        book.note_failure(at, &with_secret(&rejected(), number));
        let error = rejected();
        book.note_failure(at, &FailedFetch { is_forced: true, ..failed(&error) });
        let counted = book.history(at, SIX).refused_in_last_hour;
        assert_eq!(counted, (number as usize + 1).min(3), "{number}");
    }
    assert_eq!(book.history(now.after(secs(8 * 1200 + 3600)), SIX).refused_in_last_hour, 0);
}
