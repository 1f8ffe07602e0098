//! Dates as the outside world writes them: RFC 3339 and its looser kin, the three forms of
//! HTTP-date, and X.509 times. The calendar and the grammars are jiff's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, temporal::Pieces};

const YEAR_1970: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// In milliseconds since 1970: no other form has a year of five digits.
const YEAR_10000: u64 = 253_402_300_800_000;

/// A date and time in any common form: RFC 3339 (`2026-01-31T12:34:56.789Z`) also without an
/// offset (taken as UTC), with ` UTC`, ` GMT`, or a space before the offset, with a zone's name
/// behind the offset, and with any number of fractional digits; RFC 1123
/// (`Sun, 06 Nov 1994 08:49:37 GMT`); Java's `Sun Nov 06 08:49:37 UTC 1994`; .NET's
/// `/Date(784111777000)/`.
pub(crate) fn parse_date_time(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("/Date(") {
        // An offset may follow; it is only how to show the date.
        let digits = rest.strip_suffix(")/")?.split(['+', '-']).next()?;
        let milliseconds = digits.parse().ok().filter(|number| *number < YEAR_10000)?;
        return Some(UNIX_EPOCH + Duration::from_millis(milliseconds));
    }
    parse_rfc_3339(text).or_else(|| parse_rfc_1123(text)).or_else(|| parse_asctime(text))
}

fn parse_rfc_3339(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix(" UTC").or(text.strip_suffix(" GMT")).unwrap_or(text);
    let (date, time) = text.split_at_checked(11)?;
    let mut time = time.replace(' ', "");
    if let Some(point) = time.find(['.', ',']) {
        let digits = time[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
        // Finer than a nanosecond is more than jiff reads.
        time.replace_range(point + 1 + digits.min(9)..point + 1 + digits, "");
    }
    let text = format!("{date}{time}");
    let pieces = Pieces::parse(&text).ok()?;
    let offset = match pieces.to_numeric_offset() {
        Some(offset) => offset.seconds(),
        // There is no table of zones to look it up in.
        None if pieces.time_zone_annotation().is_some() => return None,
        None => 0,
    };
    let at = DateTime::from_parts(pieces.date(), pieces.time()?);
    since_1970(at.duration_since(YEAR_1970) - SignedDuration::from_secs(offset.into()))
}

fn parse_rfc_1123(text: &str) -> Option<SystemTime> {
    // RFC 2822 is the same with more freedom. A wrong day of the week does no harm.
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    since_1970(parser.parse_timestamp(text).ok()?.as_duration())
}

/// As C's and Java's libraries write it, `Sun Nov  6 08:49:37 1994`, also with UTC or GMT in front of
/// the year.
fn parse_asctime(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (month, day, time, year) = match words[..] {
        [_, month, day, time, year] | [_, month, day, time, "UTC" | "GMT" | "Z", year] => {
            (month, day, time, year)
        }
        _ => return None,
    };
    parse_rfc_1123(&format!("{day} {month} {year} {time} GMT"))
}

/// Seconds since 1970, or milliseconds, microseconds or nanoseconds: by its size.
pub(crate) fn from_epoch_number(number: f64) -> Option<SystemTime> {
    // 1e11 seconds are the year 5138; as milliseconds they are 1973. So on by thousands.
    let seconds = match number {
        ..1e11 => number,
        ..1e14 => number / 1e3,
        ..1e17 => number / 1e6,
        _ => number / 1e9,
    };
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
    let mut full_year: u64 = year.parse().ok()?;
    if year.len() == 2 {
        let since_1970 = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let latest_year = 1970 + since_1970 / 31_556_952 + 50;
        full_year = latest_year - (latest_year - full_year) % 100;
    }
    parse_rfc_1123(&format!("{day} {month} {full_year} {time} GMT"))
}

/// An X.509 `UTCTime` (`YYMMDDHHMMSSZ`) or `GeneralizedTime` (`YYYYMMDDHHMMSSZ`), RFC 5280 §4.1.2.5.
pub(crate) fn parse_x509_time(text: &[u8]) -> Option<SystemTime> {
    let digits = std::str::from_utf8(text.strip_suffix(b"Z")?).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (date, time) = digits.split_at_checked(digits.len().checked_sub(6)?)?;
    let century = match date.len() {
        6 if date < "50" => "20",
        6 => "19",
        8 => "",
        _ => return None,
    };
    parse_rfc_3339(&format!("{century}{date}T{time}Z"))
}

/// `2026-01-31 12:00:00 UTC`, as people read it.
pub(crate) fn utc(time: SystemTime) -> String {
    let since_1970 = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX),
        Err(before) => -SignedDuration::try_from(before.duration()).unwrap_or(SignedDuration::MAX),
    };
    let at = YEAR_1970.saturating_add(since_1970);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn since_1970(duration: SignedDuration) -> Option<SystemTime> {
    let distance = duration.unsigned_abs();
    match duration.is_negative() {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    }
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
            "2026-01-01T00:00:00,0",
            "2026-01-01 00:00:00 UTC",
            "2026-01-01T00:00:00Z UTC",
            "2026-01-01T00:00:00 GMT",
            "2026-01-01 00:00:00 +0000",
            "2026-01-01T00:00:00-0000",
            "2026-01-01 00:00:00 +0000 UTC",
            "2026-01-01 01:00:00.000000 +01:00",
            "  2026-01-01T00:00:00Z ",
            "2026-01-01T00:00Z",
            "20260101T000000Z",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-01-01T00:00:00.000Z[Etc/UTC]",
            "2025-12-31T18:00:00-06:00[America/Mexico_City]",
        ] {
            assert_eq!(parse_date_time(text), expected, "{text}");
        }
        assert_eq!(
            parse_date_time("2024-02-29T23:59:59.123456789987Z"),
            Some(at(1_709_251_199) + Duration::from_nanos(123_456_789))
        );
    }

    #[test]
    fn date_times_are_read_in_other_common_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 09:49:37 +0100",
            "6 Nov 1994 08:49:37 UTC",
            "/Date(784111777000)/",
            "/Date(784111777000+0200)/",
            "19941106T084937Z",
            "Sun Nov 06 08:49:37 UTC 1994",
            "Sun Nov 06 08:49:37 GMT 1994",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_date_time(text), Some(at(784_111_777)), "{text}");
        }
        let last = Some(at(253_402_300_799));
        assert_eq!(parse_date_time("9999-12-31T23:59:59Z"), last);
        assert_eq!(parse_x509_time(b"99991231235959Z"), last);
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
            "2026-01-01T00:00:00+26:00",
            "2026-01-01T00:00:00X",
            "2026-01-01T00:00:00 Mars",
            "2026-01-01T00:00:00[America/Mexico_City]",
            "Sun, 06 Nov 1994",
            "Sun Nov 06 08:49:37 CST 1994",
            "11/06/1994 08:49:37 AM",
            "06/11/1994 08:49:37",
            "Sun Nov 06 1994 08:49:37 GMT+0000 (Coordinated Universal Time)",
            "/Date()/",
            "/Date(-1)/",
            "/Date(1767225600000)",
            "/Date(253402300800000)/",
            "/Date(99999999999999999999999)/",
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
        assert_eq!(parse_http_date("Mon, 06 Nov 1994 08:49:37 GMT", wall), Some(at(784_111_777)));
    }

    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        let wall = at(1_767_225_600); // 2026
        for (text, expected) in [
            ("Thursday, 01-Jan-26 00:00:00 GMT", "2026-01-01T00:00:00Z"),
            ("Wednesday, 01-Jan-76 00:00:00 GMT", "2076-01-01T00:00:00Z"),
            ("Saturday, 01-Jan-77 00:00:00 GMT", "1977-01-01T00:00:00Z"),
            ("Friday, 31-Dec-99 23:59:59 GMT", "1999-12-31T23:59:59Z"),
        ] {
            assert_eq!(parse_http_date(text, wall), parse_date_time(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_http_date_is_none() {
        let wall = at(1_767_225_600);
        for text in ["", "soon", "Sun, 06 Nov 1994 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "120"] {
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
        for text in [&b"2601010000Z"[..], b"260101000000", b"2601 1000000Z", b"+26010100000Z"] {
            assert_eq!(parse_x509_time(text), None);
        }
        assert_eq!(parse_x509_time(b"26010100000"), None);
    }

    #[test]
    fn a_date_is_written_as_people_read_it() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(at(seconds)), text);
        }
        assert_eq!(utc(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31 23:59:59 UTC");
        // Windows knows no such time.
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 50));
        assert!(far.is_none_or(|far| utc(far).starts_with("9999-12-31")));
    }

    #[test]
    fn epoch_numbers_are_seconds_or_finer_by_their_size() {
        assert_eq!(from_epoch_number(1_767_225_600.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(1_767_225_600_000.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(1_767_225_600_000_000.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(1_767_225_600_000_000_000.0), Some(at(1_767_225_600)));
        assert_eq!(from_epoch_number(-1.0), None);
        assert_eq!(from_epoch_number(f64::NAN), None);
        assert_eq!(from_epoch_number(f64::MAX), None);
    }
}
