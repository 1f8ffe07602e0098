//! Durations as people write them: `90s`, `1m30s`, `1d`.

use std::time::Duration;

/// Numbers with units, the greater unit first; a bare number is seconds. `None` where it is not one.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|_| text.as_bytes()[0] != b'+');
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        // Each unit once, in their order.
        let (_, length) = units.find(|(unit, _)| *unit == &rest[..letters])?;
        milliseconds = milliseconds.checked_add(number.checked_mul(*length)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(milliseconds))
}

/// `9 min`, for a glance.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (text, milliseconds) in [
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("1d", Some(86_400_000)),
            ("1d12h", Some(129_600_000)),
            ("500ms", Some(500)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("2m", Some(120_000)),
            ("15", Some(15_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("soon", None),
            ("1s1m", None),
            ("1m1m", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1", None),
            ("+1s", None),
            (" 1s", None),
            ("1 s", None),
            ("1S", None),
            ("1m30", None),
            ("18446744073709551615d", None),
            ("99999999999999999999", None),
            ("١s", None),
        ] {
            assert_eq!(parse(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
