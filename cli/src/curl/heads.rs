//! The heads of curl's answers as they come in: which statuses there were.

/// A status line needs no more of its beginning.
const LONGEST_BEGINNING: usize = 32;

#[derive(Default)]
pub(super) struct Heads {
    /// The beginning of the line that has not ended.
    line: Vec<u8>,
    /// Of all answers but the provisional ones (1xx).
    statuses: Vec<u16>,
}

impl Heads {
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.statuses.extend(status_in(&self.line).filter(|status| *status >= 200));
                self.line.clear();
            } else if self.line.len() < LONGEST_BEGINNING {
                self.line.push(byte);
            }
        }
    }

    /// Whether an answer has come after which there is no second run. With `--retry`, one of an error is
    /// not the last.
    pub(super) fn is_decided(&self, retries: bool) -> bool {
        self.statuses.iter().any(|status| *status != 401 && !(retries && *status >= 400))
    }

    /// Whether the API said that the token is not good.
    pub(super) fn reject_the_token(&self) -> bool {
        self.statuses.contains(&401)
    }

    /// Whether that was the last answer to each of so many calls. What was tried several times cannot be
    /// told from several calls, unless there is one.
    pub(super) fn all_reject_the_token(&self, calls: usize, retries: bool) -> bool {
        match retries {
            true => calls == 1 && self.statuses.last() == Some(&401),
            false => self.statuses.len() == calls && !self.is_decided(false),
        }
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
            assert!(heads.reject_the_token() && heads.all_reject_the_token(2, false));
            assert!(!heads.all_reject_the_token(1, false) && !heads.all_reject_the_token(3, false));
            assert!(!heads.all_reject_the_token(2, true) && heads.all_reject_the_token(1, true));
        }
    }

    #[test]
    fn only_a_401_and_nothing_else_lets_a_call_be_made_again() {
        for (statuses, is_rejected, all, all_after_retries) in [
            (&[][..], false, false, false),
            (&[401], true, true, true),
            (&[200], false, false, false),
            (&[302, 401], true, false, true),
            (&[503, 401], true, false, true),
            (&[401, 503], true, false, false),
            (&[401, 401], true, false, true),
            (&[401, 200], true, false, false),
            (&[407], false, false, false),
        ] {
            let mut heads = Heads::default();
            for status in statuses {
                heads.read(format!("HTTP/1.1 {status} Said\r\n\r\n").as_bytes());
            }
            assert_eq!(heads.reject_the_token(), is_rejected, "{statuses:?}");
            assert_eq!(heads.all_reject_the_token(1, false), all, "{statuses:?}");
            assert_eq!(heads.all_reject_the_token(1, true), all_after_retries, "{statuses:?}");
        }
    }
}
