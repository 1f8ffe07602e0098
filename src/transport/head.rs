//! The head of an answer, as it came.
//!
//! A strict parser refuses all of a head for one line that it does not like. The status stands in
//! front of those lines, and decides whatever becomes of them.

use ureq::http::{HeaderName, HeaderValue};

use crate::policy::outcome::needs_body;
use crate::types::error::Result;

/// What has come of it; those of interim answers (1xx) are forgotten.
#[derive(Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Bytes that came before it: interim answers, and blank lines.
    before: usize,
    is_whole: bool,
}

const BEGINNING: &[u8] = b"HTTP/";

/// A longer name of an odd line is not shown: it may be no name.
const LONGEST_NAME: usize = 24;

impl Head {
    /// One byte more; says whether the head, and no interim one, ends with it.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        if self.bytes.is_empty() && matches!(byte, b'\r' | b'\n') {
            self.before += 1;
            return false;
        }
        self.bytes.push(byte);
        // A line may end without its carriage return.
        if !self.bytes.ends_with(b"\n\r\n") && !self.bytes.ends_with(b"\n\n") {
            return false;
        }
        // What comes after 101 is no longer HTTP.
        self.is_whole = !matches!(self.status(), Some(100 | 102..=199));
        if !self.is_whole {
            self.before += self.bytes.len();
            self.bytes.clear();
        }
        self.is_whole
    }

    /// Whether more has to come before it can be judged. What does not begin as HTTP does is judged
    /// at once: the other side may be waiting for us to speak.
    pub(super) fn is_open(&self) -> bool {
        let begun = self.bytes.len().min(BEGINNING.len());
        !self.is_whole
            && self.bytes[..begun].eq_ignore_ascii_case(&BEGINNING[..begun])
            && (!self.bytes.contains(&b'\n') || self.status().is_some())
    }

    /// How many bytes came before it, once it is whole.
    pub(super) fn take_before(&mut self) -> usize {
        if self.is_whole { std::mem::take(&mut self.before) } else { 0 }
    }

    /// As soon as the status line says it; read as liberally as curl does.
    pub(super) fn status(&self) -> Option<u16> {
        let (beginning, rest) = self.bytes.split_at_checked(BEGINNING.len())?;
        let version = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.'))?;
        let spaces = rest[version..].iter().position(|byte| *byte != b' ')?;
        let [code @ .., b' ' | b'\r' | b'\n'] = rest[version + spaces..].get(..4)? else {
            return None;
        };
        let is_line = beginning.eq_ignore_ascii_case(BEGINNING) && version > 0 && spaces > 0;
        let is_number = code.iter().all(u8::is_ascii_digit);
        let code = std::str::from_utf8(code).ok().filter(|_| is_line && is_number)?;
        code.parse().ok().filter(|code| *code >= 100)
    }

    /// The status of an answer that ureq took, or failed to take: one that is no success stands.
    pub(super) fn decides(&self, answered: Result<u16>) -> Result<u16> {
        match (answered, self.status()) {
            (Err(_), Some(status)) if !needs_body(status) => Ok(status),
            (Err(error), Some(status)) => Err(error.with_status(status)),
            (answered, _) => answered,
        }
    }

    /// What the first line of this name says, with the lines it was folded into.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let mut lines = self.lines().skip_while(|line| named(line, name).is_none());
        let mut value = named(lines.next()?, name)?.to_vec();
        for more in lines.take_while(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
            value.extend_from_slice(more);
        }
        Some(String::from_utf8_lossy(value.trim_ascii()).into_owned())
    }

    pub(super) fn is_chunked(&self) -> bool {
        let mut codings = self.lines().filter_map(|line| named(line, "transfer-encoding"));
        !self.bytes.starts_with(b"HTTP/1.0")
            && codings.any(|value| {
                let mut codings = value.split(|byte| *byte == b',');
                codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
            })
    }

    /// The first line that a strict parser refuses: its number, and its name where it has one.
    pub(super) fn odd_line(&self) -> Option<String> {
        let is_proper = |line: &&[u8]| {
            field(line).is_some_and(|(name, value)| {
                HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
            })
        };
        self.status()?;
        let lines = self.lines().take_while(|line| !line.is_empty());
        let (index, line) = lines.enumerate().find(|(_, line)| !is_proper(line))?;
        let name = field(line)
            .map(|(name, _)| name)
            .filter(|name| name.len() <= LONGEST_NAME && name.iter().all(u8::is_ascii_graphic));
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        Some(format!("line {}{name}", index + 2))
    }

    /// Those after the status line.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.bytes.split(|byte| *byte == b'\n').skip(1);
        lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The name and the value in a line.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// The value, where the line has this name.
fn named<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, value) = field(line)?;
    found.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()).then_some(value)
}
