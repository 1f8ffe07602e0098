//! Every status from 300 to 599, with an error body.

use paytoken::ErrorKind::{
    Configuration, Forbidden, InvalidResponse, RateLimited, Rejected, ServerUnavailable,
};

use crate::expect::{Expect, Row};
use crate::server::{Fault, answer};

/// How its rows are named; the document joins them to ranges.
pub const PREFIX: &str = "status ";

pub fn rows() -> Vec<Row> {
    let row = |status: u16| {
        let bytes =
            answer(status, "Location: https://elsewhere.invalid/\r\n", b"{\"message\":\"no\"}");
        Row::new(format!("{PREFIX}{status}"), Fault::Bytes(bytes), expect(status))
    };
    (300..=599).map(row).collect()
}

fn expect(status: u16) -> Expect {
    // What the provider refused did not make a token, so the old one stays; and it is remembered.
    let refused = |kind| Expect::error(kind).keeps().silent(60);
    match status {
        403 => refused(Forbidden),
        404 | 405 | 407 | 410 => refused(Configuration),
        408 => Expect::error(ServerUnavailable).thrice().keeps(),
        429 => refused(RateLimited),
        400..=499 => refused(Rejected),
        501 => Expect::error(Configuration),
        500..=599 => Expect::error(ServerUnavailable).thrice(),
        _ => Expect::error(InvalidResponse),
    }
}
