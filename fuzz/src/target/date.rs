//! `expiresAt`, `Date`, `Retry-After` and X.509 times: the reader itself, since it needs nothing else.

#[path = "../../../src/base/date.rs"]
#[allow(dead_code, unreachable_pub)] // its tests have a use for all of it
mod reader;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Outcome, Target, lines};

pub(crate) struct Dates;

impl Target for Dates {
    fn seeds(&self) -> Vec<Vec<u8>> {
        lines(include_bytes!("../../seeds/dates.txt"))
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"GMT",
            b"Feb",
            b"29",
            b"9999",
            b"0000",
            b"+23:59",
            b"-00:00",
            b".999999999",
            b"1e308",
            b"60",
        ]
    }

    fn execute(&mut self, input: &[u8]) -> Outcome {
        let wall = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let mut outcome = Outcome::default();
        let mut see = |found: Option<SystemTime>| {
            outcome.is_accepted |= found.is_some();
            // No form has a year of more than four digits.
            let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799 + 2 * 86_400);
            if found.is_some_and(|at| at > latest) {
                outcome.broken.push(("a date of this calendar", format!("{found:?}")));
            }
        };
        see(reader::parse_x509_time(input));
        if let Ok(text) = std::str::from_utf8(input) {
            see(reader::parse_date_time(text));
            see(reader::parse_http_date(text, wall));
            if let Some(number) = text.parse().ok().filter(|number: &f64| number.abs() < 1e14) {
                see(reader::from_epoch_number(number));
            }
        }
        outcome
    }
}
