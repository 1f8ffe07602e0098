//! Entries as they are written, read, damaged and counted.

use super::*;
use crate::base::secret::Secret;
use crate::base::shown::LONGEST as LONGEST_MESSAGE;
use crate::policy::book::{Asker, Cap, FailedFetch};
use crate::policy::outcome::Cause;
use crate::types::error::ErrorKind;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Now {
    Now::from_system()
}

fn token(secret: &str) -> Token {
    let issued = IssuedToken {
        access_token: SecretText::Borrowed(secret),
        lifetime: Duration::from_secs(600),
        lifetime_not_understood: false,
        scope: Some("email".into()),
    };
    Token::new(issued, now(), &AuthorizationHeader::default(), ClockSource::System)
}

fn entry() -> Entry {
    let mut book = Book::default();
    book.note_revoked(now(), "revoked", None, false);
    Entry { token: Some(StoredToken::of(&token("token-\"1\""))), book, ..Entry::default() }
}

fn key(text: &str) -> StoreKey {
    StoreKey(text.to_owned())
}

#[test]
fn an_entry_comes_back_as_it_was_written() {
    let bytes = entry().encode(&key("a"));
    let read = Entry::decode(Some(bytes.to_vec()), &key("a"));
    let token = read
        .token
        .unwrap()
        .to_token(now(), None, DAY, &AuthorizationHeader::default(), ClockSource::System)
        .unwrap();
    assert_eq!((token.secret(), token.scope()), ("token-\"1\"", Some("email")));
    assert_eq!(token.lifetime(), Duration::from_secs(600));
    assert!(read.book.has_revoked("revoked"));
}

#[test]
fn whatever_is_not_exactly_an_entry_of_this_account_is_none() {
    let good = entry().encode(&key("a"));
    assert!(Entry::decode(Some(good.to_vec()), &key("b")).token.is_none(), "another account");
    assert!(Entry::decode(None, &key("a")).token.is_none());
    for length in 0..good.len() {
        assert!(Entry::try_decode(&good[..length], &key("a")).is_none(), "cut at {length}");
    }
    for at in 0..good.len() {
        let mut torn = good.to_vec();
        torn[at] ^= 1;
        assert!(Entry::try_decode(&torn, &key("a")).is_none(), "one bit at {at}");
    }
    let longer = [&good[..], b" "].concat();
    assert!(Entry::try_decode(&longer, &key("a")).is_none());
    let newer = String::from_utf8(good.to_vec()).unwrap().replace("entry-2 ", "entry-3 ");
    assert!(Entry::try_decode(newer.as_bytes(), &key("a")).is_none(), "another version");
}

#[test]
fn a_token_from_the_future_is_none_beyond_what_clocks_may_disagree() {
    // Of another machine.
    let stored = StoredToken { boot: None, ..StoredToken::of(&token("t")) };
    let at = |wall| {
        let now = Now { wall, ..now() };
        stored.to_token(now, None, DAY, &AuthorizationHeader::default(), ClockSource::System)
    };
    let obtained = stored.obtained_at;
    assert!(at(obtained - Duration::from_secs(30)).is_some());
    assert!(at(obtained - Duration::from_secs(31)).is_none());
    let later = at(obtained + Duration::from_secs(100)).unwrap();
    let moment = Now { wall: obtained + Duration::from_secs(100), ..now() };
    let left = later.remaining_at(moment);
    assert!(left <= Duration::from_secs(500) && left > Duration::from_secs(499), "{left:?}");
}

#[test]
fn an_entry_is_of_use_for_an_hour_or_its_token_s_life() {
    let hour = Duration::from_secs(3600);
    assert_eq!(Entry::default().keep_for(), hour);
    let mut entry = entry();
    assert_eq!(entry.keep_for(), hour);
    if let Some(token) = &mut entry.token {
        token.lifetime = hour * 10;
    }
    assert_eq!(entry.keep_for(), hour * 10);
    // Monitoring has to see a failure until the next fetch.
    let failing = Entry { book: refused(now(), "s", "no"), ..Entry::default() };
    assert_eq!(failing.keep_for(), DAY * 7);
}

/// The same entry, as it is read when the JSON says something else.
fn tampered(from: &str, to: &str) -> Option<Entry> {
    let bytes = entry().encode(&key("a"));
    let content = String::from_utf8(bytes[MAGIC.len() + 65..].to_vec()).unwrap();
    assert!(content.contains(from), "{content}");
    let content = content.replace(from, to);
    let checksum = sha256_hex(content.as_bytes());
    Entry::try_decode(format!("{MAGIC}{checksum}\n{content}").as_bytes(), &key("a"))
}

#[test]
fn a_token_lives_no_longer_than_its_provider_gives() {
    let lifetime = |from: &str, longest| {
        let token = tampered("600000000000", from).unwrap().token?;
        let header = AuthorizationHeader::default();
        Some(token.to_token(now(), None, longest, &header, ClockSource::System)?.lifetime())
    };
    let five_minutes = Duration::from_secs(300);
    assert_eq!(lifetime("600000000000", five_minutes), Some(five_minutes));
    assert_eq!(lifetime("18446744073709551615", five_minutes), Some(five_minutes));
    assert_eq!(lifetime("299000000000", five_minutes), Some(Duration::from_secs(299)));
    assert_eq!(lifetime("0", five_minutes), None);
}

#[test]
fn what_others_wrote_is_checked_as_an_answer_is() {
    let scope = |to| tampered("\"email\"", to).unwrap().token.map(|token| token.scope);
    assert_eq!(scope("\"email\""), Some(Some("email".into())));
    assert_eq!(scope("null"), Some(None));
    assert_eq!(scope("\"\\u001b[31mred\""), Some(None));
    assert_eq!(scope("7"), None, "no token of ours");
    let secret = |to| tampered("\"token-\\\"1\\\"\"", to).unwrap().token;
    assert_eq!(*secret("\"a\\/b\\u0041\"").unwrap().secret, "a/bA");
    for refused in ["\"a b\"", "\"\"", "\"a\\r\\nb\"", "7", "null"] {
        assert!(secret(refused).is_none(), "{refused}");
    }
    assert!(tampered("\"book\"", "\"account\":\"a\",\"book\"").is_none(), "twice");
    assert!(tampered("\"book\"", "\"more\":[1],\"book\"").unwrap().token.is_some());
}

/// A book in which a refusal of this secret stands since then, with this message. It is slow on purpose: who
/// asks the book has to use the same time.
fn refused(at: Now, secret: &str, message: &str) -> Book {
    let mut book = Book::default();
    let asker =
        Asker { secret: 1, allows: DAY, renews: false, cap: Cap { most: 6, is_absolute: false } };
    for error in [Cause::CredentialsRefused.error(message), Cause::ServerFailing.error(message)] {
        let lifetime = Duration::from_secs(600);
        let error = &error.with_status(401);
        let failed =
            FailedFetch { error, requests: 1, asker, is_forced: false, lifetime, chance: 0 };
        book.note_failure(at, &failed);
    }
    book.derive(1, || Secret::from(secret));
    book
}

#[test]
fn a_refusal_knows_its_secret_and_hides_it() {
    let at = now();
    let entry = Entry { book: refused(at, "wrong-password", "no"), ..Entry::default() };
    let bytes = entry.encode(&key("a"));
    assert!(!String::from_utf8_lossy(&bytes).contains("wrong-password"));
    let read = Entry::decode(Some(bytes.to_vec()), &key("a")).book;
    let mark = read.unknown_mark(at, 1).unwrap();
    assert!(mark.is_of(&Secret::from("wrong-password")));
    assert!(!mark.is_of(&Secret::from("wrong-passwore")));
    let history = read.history(at, Cap { most: 6, is_absolute: false });
    let left = history.blocked_for.unwrap();
    assert_eq!(history.last_error.unwrap().0, ErrorKind::Rejected);
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
}

#[test]
fn a_planted_generation_neither_panics_nor_wraps() {
    let planted = || tampered("\"generation\":0", "\"generation\":18446744073709551615").unwrap();
    for change in [
        (|entry: &mut Entry| entry.succeed(&token("t-2"))) as fn(&mut Entry),
        |entry| _ = entry.park(),
        |entry| _ = entry.revoke("another", now(), false),
    ] {
        let mut entry = planted();
        change(&mut entry);
        change(&mut entry);
        assert_eq!(entry.generation, u64::MAX);
    }
}

#[test]
fn a_planted_message_is_one_short_line_that_shows_all_that_it_holds() {
    let at = now();
    let entry = Entry { book: refused(at, "s", "MESSAGE"), ..Entry::default() };
    let bytes = entry.encode(&key("a"));
    let content = String::from_utf8(bytes[MAGIC.len() + 65..].to_vec()).unwrap();
    let planted = format!("\\u202egnp.exe\\u202c\\u200b\\u001b[2J\\r\\nok: {}", "x".repeat(800));
    let content = content.replace("MESSAGE", &planted);
    let checksum = sha256_hex(content.as_bytes());
    let bytes = format!("{MAGIC}{checksum}\n{content}").into_bytes();
    let read = Entry::try_decode(&bytes, &key("a")).unwrap();
    let mut read = read.book;
    let mark = read.unknown_mark(at, 1).unwrap();
    for is_ours in [true, false] {
        read.learn(&mark, if is_ours { 1 } else { 2 }, is_ours);
        let asker = Asker {
            secret: if is_ours { 1 } else { 2 },
            allows: DAY,
            renews: false,
            cap: Cap { most: 6, is_absolute: false },
        };
        let said = read.blocked(at, asker).unwrap().to_string();
        let said = said.split(" [remembered").next().unwrap();
        assert!(said.starts_with("gnp.exe [2J ok: xxx"), "{said:?}");
        assert_eq!(said.chars().count(), LONGEST_MESSAGE);
    }
}

#[test]
fn within_one_boot_a_token_s_age_is_known_whatever_the_wall_clock_says() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let stored = StoredToken::of(&token("t"));
    let boot = stored.boot.clone().expect("Linux says it");
    let aged = |seconds, wall: Duration| {
        let up_for = boot.up_for.saturating_sub(Duration::from_secs(seconds));
        let stored = StoredToken {
            boot: Some(Boot { up_for, ..boot.clone() }),
            ..StoredToken::of(&token("t"))
        };
        let now = Now { wall: now().wall - wall, ..now() };
        let token =
            stored.to_token(now, None, DAY, &AuthorizationHeader::default(), ClockSource::System);
        token.map(|token| token.remaining_at(now).as_secs())
    };
    let near = |left: Option<u64>, seconds| left.is_some_and(|left| left.abs_diff(seconds) <= 1);
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    // Set back by as much as the token lives, and further than that.
    for (seconds, wall) in [(9, second * 9), (300, hour), (5, second * 2)] {
        assert!(
            near(aged(seconds, wall), 600 - seconds),
            "{seconds} {wall:?}: {:?}",
            aged(seconds, wall)
        );
    }
    assert_eq!(aged(700, hour), Some(0));
    // Another boot knows nothing.
    let other = StoredToken { boot: Some(Boot { id: "another".into(), ..boot }), ..stored };
    let set_back = Now { wall: now().wall - hour, ..now() };
    assert!(
        other
            .to_token(set_back, None, DAY, &AuthorizationHeader::default(), ClockSource::System)
            .is_none()
    );
}
