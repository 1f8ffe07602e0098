//! Follows a request and puts its secrets in, where others handle fill characters.

use zeroize::Zeroizing;

use crate::types::error::{Error, Result};

/// What ureq sees instead of a byte of a body, or of a header of the request.
pub(super) const FILL: u8 = b'x';

/// Common servers take no longer line; one that does not fit a buffer would break off in the middle.
pub(super) const LONGEST: usize = 16 * 1024;

/// What of a request only the server sees.
#[derive(Default)]
pub(super) struct Hidden {
    headers: Vec<(&'static str, Zeroizing<String>)>,
    body: Zeroizing<Vec<u8>>,
}

impl Hidden {
    /// A value with a line end in it would become a header of its own, and nobody below looks for it.
    pub(super) fn new(
        headers: Vec<(&'static str, Zeroizing<String>)>,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Self> {
        for (name, value) in &headers {
            let problem = if value.bytes().any(|byte| byte.is_ascii_control()) {
                "holds a control character (a line end, or NUL); remove it".to_owned()
            } else if value.len() > LONGEST {
                format!("is longer than {LONGEST} bytes; shorten it")
            } else {
                continue;
            };
            let text = format!("{name}: the header's value {problem}");
            return Err(Error::configuration(text));
        }
        Ok(Self { headers, body })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Their names, and fill characters for their values.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        self.headers.iter().map(|(name, value)| (*name, vec![FILL; value.len()]))
    }

    /// As many fill characters.
    pub(super) fn body(&self) -> Vec<u8> {
        vec![FILL; self.body.len()]
    }
}

/// How much of a request has passed.
#[derive(Default)]
pub(super) struct Unveil {
    place: Place,
    /// The line before its colon.
    name: Vec<u8>,
    /// The headers that have passed, by their index.
    passed: Vec<usize>,
    /// How much of the header's value, or of the body, was put in.
    put: usize,
}

/// Where in a request the next byte stands.
#[derive(Clone, Copy, Default)]
enum Place {
    /// In the request line, or before a colon.
    #[default]
    Name,
    /// Behind the colon; in one of the hidden headers, which this is the index of, or in another.
    Value(Option<usize>),
    Body,
}

impl Unveil {
    /// Replaces the fill characters in what is sent next.
    pub(super) fn unveil(&mut self, output: &mut [u8], hidden: &Hidden) {
        let mut rest = output;
        while !rest.is_empty() {
            let end = match self.place {
                Place::Name => rest.iter().position(|byte| matches!(byte, b':' | b'\n')),
                Place::Value(_) => rest.iter().position(|byte| *byte == b'\n'),
                Place::Body => None,
            };
            let (now, later) = rest.split_at_mut(end.unwrap_or(rest.len()));
            match self.place {
                Place::Name => self.name.extend_from_slice(now),
                Place::Value(None) => {}
                Place::Value(Some(header)) => self.put(now, hidden.headers[header].1.as_bytes()),
                Place::Body => self.put(now, &hidden.body),
            }
            let Some((end, later)) = later.split_first_mut() else {
                return;
            };
            self.place = match (self.place, *end) {
                (Place::Name, b':') => Place::Value(self.pass(hidden)),
                (Place::Name, _) if self.name == b"\r" => Place::Body,
                _ => Place::Name,
            };
            self.name.clear();
            self.put = 0;
            rest = later;
        }
    }

    /// What is left of the secret, over the fill characters of this piece.
    fn put(&mut self, piece: &mut [u8], secret: &[u8]) {
        let left = &secret[self.put..];
        let fill = piece.iter().position(|byte| *byte == FILL).unwrap_or(piece.len());
        let count = left.len().min(piece.len() - fill);
        piece[fill..fill + count].copy_from_slice(&left[..count]);
        self.put += count;
    }

    /// The header whose name has passed. Those of one name pass in their order.
    fn pass(&mut self, hidden: &Hidden) -> Option<usize> {
        let header = hidden.headers.iter().enumerate().position(|(index, (name, _))| {
            self.name.eq_ignore_ascii_case(name.as_bytes()) && !self.passed.contains(&index)
        });
        self.passed.extend(header);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> Hidden {
        let headers =
            [("x-Key", "sécret"), ("Empty", ""), ("x-key-2", "a:xb"), ("X-KEY", "other: x")];
        let headers = headers.map(|(name, value)| (name, value.to_owned().into())).to_vec();
        Hidden::new(headers, b"x-key: \r\n\r\nx".to_vec().into()).unwrap()
    }

    #[test]
    fn only_our_own_headers_and_the_body_are_put_in_however_the_request_is_cut() {
        let seen = "POST /x-key:xx HTTP/1.1\r\nHost: xxx:1\r\nx-key: xxxxxxx\r\nx-key-3: xx\r\nX-Key: xxxxxxxx\r\nx-ke: xx\r\nempty: \r\nX-key-2: xxxx\r\n\r\nxxxxxxxxxxxx";
        let sent = "POST /x-key:xx HTTP/1.1\r\nHost: xxx:1\r\nx-key: sécret\r\nx-key-3: xx\r\nX-Key: other: x\r\nx-ke: xx\r\nempty: \r\nX-key-2: a:xb\r\n\r\nx-key: \r\n\r\nx";
        let hidden = hidden();
        for one in 0..=seen.len() {
            for other in one..=seen.len() {
                let mut bytes = seen.as_bytes().to_vec();
                let mut unveil = Unveil::default();
                let (first, rest) = bytes.split_at_mut(one);
                let (second, third) = rest.split_at_mut(other - one);
                for piece in [first, second, third] {
                    unveil.unveil(piece, &hidden);
                }
                assert_eq!(String::from_utf8(bytes).unwrap(), sent, "{one} {other}");
            }
        }
        let mut bytes = seen.as_bytes().to_vec();
        let mut unveil = Unveil::default();
        bytes.chunks_mut(1).for_each(|byte| unveil.unveil(byte, &hidden));
        assert_eq!(String::from_utf8(bytes).unwrap(), sent);
    }

    #[test]
    fn others_see_as_many_fill_characters() {
        let hidden = hidden();
        let seen: Vec<_> = hidden.headers().map(|(name, fill)| (name, fill.len())).collect();
        assert_eq!(seen, [("x-Key", 7), ("Empty", 0), ("x-key-2", 4), ("X-KEY", 8)]);
        assert!(hidden.headers().all(|(_, fill)| fill.iter().all(|byte| *byte == FILL)));
        assert_eq!(hidden.body(), [FILL; 12]);
        assert!(hidden.has("X-Key") && hidden.has("empty") && !hidden.has("x-ke"));
    }

    #[test]
    fn a_value_that_no_header_may_hold_is_refused_and_not_repeated() {
        let [longest, too_long] = [LONGEST, LONGEST + 1].map(|n| "cret".repeat(n)[..n].to_owned());
        assert!(Hidden::new(vec![("x-key", longest.into())], Zeroizing::default()).is_ok());
        for bad in [
            "se\r\ncret",
            "se\ncret",
            "se\rcret",
            "se\0cret",
            "secret\t",
            "\u{7f}secret",
            &too_long,
        ] {
            let headers = vec![("x-key", bad.to_owned().into())];
            let Err(error) = Hidden::new(headers, Zeroizing::default()) else {
                panic!("{bad:?} is taken");
            };
            assert!(error.message().starts_with("x-key: "), "{error}");
            assert!(!error.message().contains("cret") && !error.may_have_arrived(), "{error}");
        }
    }
}
