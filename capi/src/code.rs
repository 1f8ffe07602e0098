//! The result codes: fixed numbers, their names, and what they are made from.
//!
//! A number is never given another meaning; one that goes out of use stays reserved.

use std::ffi::CStr;

use paytoken::ErrorKind;

pub(crate) const OK: i32 = 0;
pub(crate) const CONFIGURATION: i32 = 1;
pub(crate) const CERTIFICATE: i32 = 2;
pub(crate) const TRANSPORT: i32 = 3;
pub(crate) const TIMEOUT: i32 = 4;
pub(crate) const REJECTED: i32 = 5;
pub(crate) const FORBIDDEN: i32 = 6;
pub(crate) const RATE_LIMITED: i32 = 7;
pub(crate) const SERVER_UNAVAILABLE: i32 = 8;
pub(crate) const INVALID_RESPONSE: i32 = 9;
pub(crate) const STORE: i32 = 10;
pub(crate) const OTHER: i32 = 99;
pub(crate) const NULL_ARGUMENT: i32 = 100;
pub(crate) const BUFFER_TOO_SMALL: i32 = 101;
pub(crate) const PANIC: i32 = 102;
pub(crate) const INVALID_ARGUMENT: i32 = 103;
pub(crate) const FORKED: i32 = 104;

/// For a number that is none of them.
const UNKNOWN: &CStr = c"unknown code";

const NAMES: &[(i32, &CStr)] = &[
    (OK, c"PAYTOKEN_OK"),
    (CONFIGURATION, c"PAYTOKEN_CONFIGURATION"),
    (CERTIFICATE, c"PAYTOKEN_CERTIFICATE"),
    (TRANSPORT, c"PAYTOKEN_TRANSPORT"),
    (TIMEOUT, c"PAYTOKEN_TIMEOUT"),
    (REJECTED, c"PAYTOKEN_REJECTED"),
    (FORBIDDEN, c"PAYTOKEN_FORBIDDEN"),
    (RATE_LIMITED, c"PAYTOKEN_RATE_LIMITED"),
    (SERVER_UNAVAILABLE, c"PAYTOKEN_SERVER_UNAVAILABLE"),
    (INVALID_RESPONSE, c"PAYTOKEN_INVALID_RESPONSE"),
    (STORE, c"PAYTOKEN_STORE"),
    (OTHER, c"PAYTOKEN_OTHER"),
    (NULL_ARGUMENT, c"PAYTOKEN_NULL_ARGUMENT"),
    (BUFFER_TOO_SMALL, c"PAYTOKEN_BUFFER_TOO_SMALL"),
    (PANIC, c"PAYTOKEN_PANIC"),
    (INVALID_ARGUMENT, c"PAYTOKEN_INVALID_ARGUMENT"),
    (FORKED, c"PAYTOKEN_FORKED"),
];

pub(crate) fn of(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::Configuration => CONFIGURATION,
        ErrorKind::Certificate => CERTIFICATE,
        ErrorKind::Transport => TRANSPORT,
        ErrorKind::Timeout => TIMEOUT,
        ErrorKind::Rejected => REJECTED,
        ErrorKind::Forbidden => FORBIDDEN,
        ErrorKind::RateLimited => RATE_LIMITED,
        ErrorKind::ServerUnavailable => SERVER_UNAVAILABLE,
        ErrorKind::InvalidResponse => INVALID_RESPONSE,
        ErrorKind::Store => STORE,
        // A kind that is newer than this list.
        _ => OTHER,
    }
}

pub(crate) fn name(code: i32) -> &'static CStr {
    NAMES.iter().find(|(known, _)| *known == code).map_or(UNKNOWN, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_and_its_name_is_in_the_header() {
        let header = include_str!("../include/paytoken.h");
        for (code, name) in NAMES {
            let name = name.to_str().unwrap();
            let is_there = header.lines().any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some("#define")
                    && words.next() == Some(name)
                    && words.next() == Some(&code.to_string())
            });
            assert!(is_there, "#define {name} {code}");
        }
    }
}
