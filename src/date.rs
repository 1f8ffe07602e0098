//! Dates as the outside world writes them: RFC 3339 and its looser kin, the three forms of
//! HTTP-date, and the parts of X.509 times.
//!
//! Written here because no crate already in the tree reads them, and because one calendar function
//! serves all three.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// `2026-01-31T12:34:56.789Z` and relatives: `T`, `t` or space; `Z`, `z`, an offset, or nothing
/// (taken as UTC); any number of fractional digits.
pub(crate) fn parse_date_time(text: &str) -> Option<SystemTime> {
    let bytes = text.trim().as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let (b'T' | b't' | b' ', rest) = rest.split_first()? else {
        return None;
    };
    let (time, rest) = rest.split_at_checked(8)?;
    let [h1, h2, b':', n1, n2, b':', s1, s2] = time else {
        return None;
    };
    let (nanos, rest) = fraction(rest)?;
    let offset = offset(rest)?;
    let at = civil(
        number(&[*y1, *y2, *y3, *y4])?,
        number(&[*m1, *m2])?,
        number(&[*d1, *d2])?,
        number(&[*h1, *h2])?,
        number(&[*n1, *n2])?,
        number(&[*s1, *s2])?,
    )?;
    from_epoch(at - offset, nanos)
}

/// Seconds or milliseconds since 1970: what is too large for seconds is milliseconds.
pub(crate) fn from_epoch_number(number: f64) -> Option<SystemTime> {
    // 1e11 seconds are the year 5138; as milliseconds they are 1973.
    let seconds = if number.abs() >= 1e11 { number / 1000.0 } else { number };
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// An HTTP-date in any of the three forms of RFC 9110 §5.6.7.
///
/// `wall` settles the century of the two-digit form: more than 50 years ahead is the past.
pub(crate) fn parse_http_date(text: &str, wall: SystemTime) -> Option<SystemTime> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT  |  Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))? as i64 + 1;
    let mut full_year = number(year.as_bytes())?;
    if year.len() == 2 {
        let since_1970 = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let this_year = 1970 + since_1970 / 31_556_952;
        full_year += this_year - this_year % 100;
        if full_year > this_year + 50 {
            full_year -= 100;
        }
    }
    let mut clock = time.split(':').map(|part| number(part.as_bytes()));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() {
        return None;
    }
    let day = number(day.as_bytes())?;
    from_epoch(civil(full_year, month, day, hour, minute, second)?, 0)
}

/// An X.509 `UTCTime` (`YYMMDDHHMMSSZ`) or `GeneralizedTime` (`YYYYMMDDHHMMSSZ`), RFC 5280 §4.1.2.5.
pub(crate) fn parse_x509_time(text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match digits.len() {
        12 => {
            let short = number(&digits[..2])?;
            (if short >= 50 { 1900 + short } else { 2000 + short }, &digits[2..])
        }
        14 => (number(&digits[..4])?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let at = civil(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?)?;
    from_epoch(at, 0)
}

/// `.123…` as nanoseconds (further digits are dropped), and what follows.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.' | b',', digits)) = rest.split_first() else {
        return Some((0, rest));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(length);
    let nine_places = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = nine_places.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((nanos, rest))
}

/// The offset from UTC in seconds: none, `Z`, `+hh:mm`, `+hhmm`, `+hh`.
fn offset(rest: &[u8]) -> Option<i64> {
    let (sign, digits) = match rest {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        [h1, h2] => (number(&[*h1, *h2])?, 0),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Seconds since 1970 of a date and time of the Gregorian calendar; `None` where there is no such.
fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // 60 is a leap second; it is counted as the next minute's first.
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that start in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
            - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn from_epoch(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    base.checked_add(Duration::from_nanos(u64::from(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn date_times_are_read_in_every_form_of_rfc_3339_and_near_it() {
        let expected = Some(at(1_767_225_600)); // 2026-01-01T00:00:00Z
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+00:00",
            "2025-12-31T18:00:00-06:00",
            "2026-01-01T05:30:00+0530",
            "2026-01-01T02:00:00+02",
            "2026-01-01T00:00:00.000000000000Z",
            "  2026-01-01T00:00:00Z ",
        ] {
            assert_eq!(parse_date_time(text), expected, "{text}");
        }
        assert_eq!(
            parse_date_time("2024-02-29T23:59:59.123456789987Z"),
            Some(at(1_709_251_199) + Duration::from_nanos(123_456_789))
        );
    }

    #[test]
    fn what_is_no_date_time_is_none() {
        for text in [
            "",
            "Z",
            "2026",
            "2026-01-01",
            "2026-01-01T",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00X",
            "20260101T000000Z",
            "２０２６-01-01T00:00:00Z",
            "-026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_date_time(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_read_in_all_three_forms() {
        let wall = at(1_767_225_600);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text, wall), Some(at(784_111_777)), "{text}");
        }
        assert_eq!(parse_http_date("Thursday, 01-Jan-26 00:00:00 GMT", wall), Some(wall));
        for text in
            ["", "soon", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "120"]
        {
            assert_eq!(parse_http_date(text, wall), None, "{text}");
        }
    }

    #[test]
    fn x509_times_are_read_with_their_century() {
        assert_eq!(parse_x509_time(b"260101000000Z"), Some(at(1_767_225_600)));
        assert_eq!(parse_x509_time(b"20260101000000Z"), Some(at(1_767_225_600)));
        assert_eq!(parse_x509_time(b"700101000000Z"), Some(at(0)));
        assert_eq!(
            parse_x509_time(b"500101000000Z"),
            UNIX_EPOCH.checked_sub(Duration::from_secs(631_152_000))
        );
        assert_eq!(parse_x509_time(b"2601010000Z"), None);
        assert_eq!(parse_x509_time(b"26010100000"), None);
    }

    #[test]
    fn epoch_numbers_are_seconds_or_milliseconds_by_their_size() {
        assert_eq!(from_epoch_number(1_767_225_600.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(1_767_225_600_000.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(-1.0), None);
        assert_eq!(from_epoch_number(f64::MAX), None);
    }
}
