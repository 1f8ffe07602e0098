//! The heads of curl's answers as they come in: which statuses there were.

use std::fs::File;
use std::io::Write as _;

/// A status line needs no more of its beginning.
const LONGEST_BEGINNING: usize = 32;

#[derive(Default)]
pub(super) struct Heads {
    /// The beginning of the line that has not ended.
    line: Vec<u8>,
    /// Of all answers but the provisional ones (1xx).
    statuses: Vec<u16>,
    /// Where the user wants them, too.
    copy: Option<File>,
}

impl Heads {
    pub(super) fn new(copy: Option<File>) -> Self {
        Self { copy, ..Self::default() }
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
        if let Some(copy) = &mut self.copy {
            let _ = copy.write_all(bytes);
        }
        for &byte in bytes {
            if byte == b'\n' {
                self.statuses.extend(status_in(&self.line).filter(|status| *status >= 200));
                self.line.clear();
            } else if self.line.len() < LONGEST_BEGINNING {
                self.line.push(byte);
            }
        }
    }

    /// Whether another answer than a 401 has come.
    pub(super) fn has_another(&self) -> bool {
        self.statuses.iter().any(|status| *status != 401)
    }

    /// Whether the API said that the token is not good: not where the call was led elsewhere before,
    /// since the token may not have been sent there.
    pub(super) fn reject_the_token(&self) -> bool {
        let is_redirect = |status: &u16| (300..400).contains(status);
        self.statuses.contains(&401) && !self.statuses.iter().any(is_redirect)
    }

    /// Whether that was the answer to all of so many calls: then nothing was done.
    pub(super) fn all_reject_the_token(&self, calls: usize) -> bool {
        self.statuses.len() == calls && !self.has_another()
    }
}

/// `HTTP/1.1 401 Unauthorized`
fn status_in(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("HTTP/")?.split_ascii_whitespace();
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_found_however_the_heads_come_in() {
        let text =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nX: HTTP/1.1 200 OK\r\n\r\n\
            HTTP/2 401 \r\nA: b\r\n\r\n";
        for size in [1, 2, 7, text.len()] {
            let mut heads = Heads::default();
            text.chunks(size).for_each(|piece| heads.read(piece));
            assert_eq!(heads.statuses, [401, 401]);
            assert!(heads.reject_the_token() && heads.all_reject_the_token(2));
            assert!(!heads.all_reject_the_token(1) && !heads.all_reject_the_token(3));
        }
    }

    #[test]
    fn only_a_401_and_nothing_else_lets_a_call_be_made_again() {
        for (statuses, is_rejected, all) in [
            (&[][..], false, false),
            (&[401], true, true),
            (&[200], false, false),
            (&[302, 401], false, false),
            (&[503, 401], true, false),
            (&[401, 200], true, false),
            (&[407], false, false),
        ] {
            let mut heads = Heads::default();
            for status in statuses {
                heads.read(format!("HTTP/1.1 {status} Said\r\n\r\n").as_bytes());
            }
            assert_eq!(heads.reject_the_token(), is_rejected, "{statuses:?}");
            assert_eq!(heads.all_reject_the_token(1), all, "{statuses:?}");
        }
    }
}
