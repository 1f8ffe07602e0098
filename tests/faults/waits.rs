//! 429 and 503 with each form of `Retry-After`. The clock stands at the first second of 2026.

use paytoken::ErrorKind::{RateLimited, ServerUnavailable};

use crate::expect::{Expect, Row};
use crate::server::{Fault, answer};

pub fn rows() -> Vec<Row> {
    let forms = [
        ("`7`", "7", Some(7)),
        ("`0`", "0", Some(1)),
        ("`99999999`", "99999999", Some(900)),
        ("a date a minute ahead", "Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
        ("the same in the form of RFC 850", "Thursday, 01-Jan-26 00:01:00 GMT", Some(60)),
        ("the same in the form of asctime", "Thu Jan  1 00:01:00 2026", Some(60)),
        ("a date that has passed", "Wed, 31 Dec 2025 23:59:00 GMT", Some(1)),
        ("`-1`", "-1", None),
        ("`soon`", "soon", None),
    ];
    let row = |status: u16, name: &str, headers: &str, wait: Option<u64>| {
        let expect = match (status, wait) {
            (429, _) => Expect::error(RateLimited).keeps().silent(wait.unwrap_or(60)),
            (_, Some(wait)) => Expect::error(ServerUnavailable).silent(wait),
            (_, None) => Expect::error(ServerUnavailable).thrice(),
        };
        let fault = Fault::Bytes(answer(status, headers, b"{\"message\":\"not now\"}"));
        Row::new(format!("{status}, {name}"), fault, expect)
    };
    let mut rows = Vec::new();
    for status in [429, 503] {
        rows.push(row(status, "no `Retry-After`", "", None));
        for (name, value, wait) in forms {
            let header = format!("Retry-After: {value}\r\n");
            rows.push(row(status, &format!("`Retry-After`: {name}"), &header, wait));
        }
        // The provider's clock is a day ahead of ours, and says so.
        let header =
            "Retry-After: Fri, 02 Jan 2026 00:01:00 GMT\r\nDate: Fri, 02 Jan 2026 00:00:00 GMT\r\n";
        rows.push(row(
            status,
            "a date a minute ahead of its own `Date`, a day off ours",
            header,
            Some(60),
        ));
    }
    rows
}
