//! Requests: HTTP/1.1 in small, read from a connection one after the other.

use std::io::{self, Read, Write};

use serde_json::Value;

use crate::text;

const LONGEST_HEAD: usize = 256 * 1024;
const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// One request, read to its end.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Head and body exactly as they came.
    pub(crate) raw: Vec<u8>,
    pub(crate) keep_alive: bool,
}

impl Request {
    /// The value of the first header of this name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as JSON, if it says that it is JSON and is.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body_of("application/json")?).ok()
    }

    /// The members of the body, if it says that it is a form and is.
    pub(crate) fn form(&self) -> Option<Vec<(String, String)>> {
        let body = self.body_of("application/x-www-form-urlencoded")?;
        text::form_decode(std::str::from_utf8(body).ok()?)
    }

    fn body_of(&self, wanted: &str) -> Option<&[u8]> {
        let content_type = self.header("content-type")?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(wanted).then_some(&*self.body)
    }

    /// The token in this header, behind this scheme; `""` is none.
    pub(crate) fn token(&self, header: &str, scheme: &str) -> Option<&str> {
        let value = self.header(header)?;
        if scheme.is_empty() {
            return Some(value);
        }
        let (found, token) = value.split_once(' ')?;
        found.eq_ignore_ascii_case(scheme).then(|| token.trim())
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What came next on a connection.
pub(crate) enum Incoming {
    Request(Request),
    Closed,
    /// Not HTTP as this reader knows it; the connection cannot go on.
    Bad(&'static str),
}

/// Reads one request after the other; keeps what was read too far.
#[derive(Default)]
pub(crate) struct RequestReader {
    buffer: Vec<u8>,
}

struct Head {
    method: String,
    target: String,
    old_version: bool,
    headers: Vec<(String, String)>,
}

impl RequestReader {
    /// Waits for the next request on the connection.
    pub(crate) fn next(&mut self, stream: &mut (impl Read + Write)) -> io::Result<Incoming> {
        let mut searched = 0;
        let head_end = loop {
            if let Some(at) = find_end(&self.buffer, searched) {
                break at;
            }
            // The end may straddle two reads: search the last three bytes again.
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > LONGEST_HEAD {
                return Ok(Incoming::Bad("the request head is too long"));
            }
            if !self.fill(stream)? {
                return Ok(Incoming::Closed);
            }
        };
        let Some(head) = parse_head(&self.buffer[..head_end]) else {
            return Ok(Incoming::Bad("the request head cannot be read"));
        };
        if find(&head.headers, "expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.flush()?;
        }
        let chunked = find(&head.headers, "transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        let (body, end) = if chunked {
            match self.chunked_body(stream, head_end)? {
                Ok(found) => found,
                Err(problem) => return Ok(Incoming::Bad(problem)),
            }
        } else {
            let length = match find(&head.headers, "content-length").map(str::parse::<usize>) {
                None => 0,
                Some(Ok(length)) if length <= LONGEST_BODY => length,
                Some(_) => return Ok(Incoming::Bad("the content length is not acceptable")),
            };
            while self.buffer.len() < head_end + length {
                if !self.fill(stream)? {
                    return Ok(Incoming::Closed);
                }
            }
            let end = head_end + length;
            (self.buffer[head_end..end].to_vec(), end)
        };
        let rest = self.buffer.split_off(end);
        let raw = std::mem::replace(&mut self.buffer, rest);
        let connection = find(&head.headers, "connection").unwrap_or_default().to_ascii_lowercase();
        let keep_alive = if head.old_version {
            connection.contains("keep-alive")
        } else {
            !connection.contains("close")
        };
        let (path, query) = head.target.split_once('?').unwrap_or((head.target.as_str(), ""));
        Ok(Incoming::Request(Request {
            path: path.to_owned(),
            query: query.to_owned(),
            method: head.method,
            headers: head.headers,
            body,
            raw,
            keep_alive,
        }))
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        let mut chunk = [0u8; 8 * 1024];
        loop {
            match stream.read(&mut chunk) {
                Ok(read) => {
                    self.buffer.extend_from_slice(&chunk[..read]);
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A chunked body that starts at `start`: the body, and where it ends in the buffer.
    fn chunked_body(
        &mut self,
        stream: &mut impl Read,
        start: usize,
    ) -> io::Result<Result<(Vec<u8>, usize), &'static str>> {
        let mut body = Vec::new();
        let mut at = start;
        loop {
            let Some(line_end) = self.line_end(stream, at)? else {
                return Ok(Err("a chunk size line is missing"));
            };
            let line = String::from_utf8_lossy(&self.buffer[at..line_end]);
            let digits = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(digits, 16) else {
                return Ok(Err("a chunk size is not hexadecimal"));
            };
            if size > LONGEST_BODY || body.len() + size > LONGEST_BODY {
                return Ok(Err("the request body is too long"));
            }
            at = line_end + 2;
            if size == 0 {
                // Trailers, if any, up to the empty line.
                while let Some(end) = self.line_end(stream, at)? {
                    if end == at {
                        return Ok(Ok((body, end + 2)));
                    }
                    at = end + 2;
                }
                return Ok(Err("the chunked body does not end"));
            }
            while self.buffer.len() < at + size + 2 {
                if !self.fill(stream)? {
                    return Ok(Err("the chunked body does not end"));
                }
            }
            body.extend_from_slice(&self.buffer[at..at + size]);
            at += size + 2;
        }
    }

    /// Where the line that starts at `start` ends, reading on as needed.
    fn line_end(&mut self, stream: &mut impl Read, start: usize) -> io::Result<Option<usize>> {
        loop {
            let found = self.buffer[start..].windows(2).position(|pair| pair == b"\r\n");
            if let Some(position) = found {
                return Ok(Some(start + position));
            }
            if self.buffer.len() - start > LONGEST_HEAD || !self.fill(stream)? {
                return Ok(None);
            }
        }
    }
}

/// Just past the empty line that ends a head.
fn find_end(buffer: &[u8], from: usize) -> Option<usize> {
    buffer[from..]
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|position| from + position + 4)
}

fn parse_head(bytes: &[u8]) -> Option<Head> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method.is_empty() || !target.starts_with('/') || !version.starts_with("HTTP/1.") {
        return None;
    }
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        old_version: version == "HTTP/1.0",
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte per read, and takes what is written.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    impl Write for Slow<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn requests_that_come_byte_by_byte_are_read() {
        let plain = b"POST /a?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = b"POST /d HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n\
            2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        let both = [&plain[..], &chunked[..]].concat();
        let mut stream = Slow(&both);
        let mut reader = RequestReader::default();
        for (raw, path, query, keep_alive) in
            [(&plain[..], "/a", "b=c", true), (&chunked[..], "/d", "", false)]
        {
            let Ok(Incoming::Request(request)) = reader.next(&mut stream) else {
                panic!("{path} was not read");
            };
            assert_eq!(request.raw, raw);
            assert_eq!((&*request.path, &*request.query), (path, query));
            assert_eq!(request.body, b"abc");
            assert_eq!(request.keep_alive, keep_alive);
        }
        assert!(matches!(reader.next(&mut stream), Ok(Incoming::Closed)));
    }
}
