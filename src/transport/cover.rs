//! Follows an answer byte by byte and covers its body, so that what frames it can be read, and
//! logged, by others.

use super::head::Head;
use super::unveil::FILL;

/// Where in an answer the next byte stands.
#[derive(Default)]
pub(super) enum Cover {
    #[default]
    Head,
    /// In a body that is as long as the head says, or ends with the connection.
    Body,
    /// In the line that gives a chunk's size, or the line break before it.
    Size {
        size: Option<usize>,
        /// Behind the number, in its extension.
        is_extension: bool,
    },
    Chunk(usize),
    /// After the last chunk.
    Trailer,
}

impl Cover {
    /// Covers what of these bytes is body, and hands the real bytes out first; what is head is added
    /// to the head.
    pub(super) fn cover(&mut self, bytes: &mut [u8], head: &mut Head, mut keep: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let hidden = match self {
                Self::Body => rest.len(),
                Self::Chunk(left) => rest.len().min(*left),
                _ => 0,
            };
            if hidden == 0 {
                self.read(rest[0], head);
                rest = &mut rest[1..];
                continue;
            }
            keep(&rest[..hidden]);
            rest[..hidden].fill(FILL);
            rest = &mut rest[hidden..];
            if let Self::Chunk(left) = self {
                *left -= hidden;
                if *left == 0 {
                    *self = Self::SIZE;
                }
            }
        }
    }

    /// One byte of what frames the body.
    ///
    /// What is covered by mistake cannot be read by ureq, which is an error; nothing is left open by
    /// mistake.
    fn read(&mut self, byte: u8, head: &mut Head) {
        match self {
            Self::Head if head.push(byte) => {
                *self = if head.is_chunked() { Self::SIZE } else { Self::Body };
            }
            Self::Size { size: Some(0), .. } if byte == b'\n' => *self = Self::Trailer,
            Self::Size { size: Some(size), .. } if byte == b'\n' => *self = Self::Chunk(*size),
            Self::Size { is_extension: true, .. } => {}
            Self::Size { size, is_extension } => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let before = size.unwrap_or_default().saturating_mul(16);
                    *size = Some(before.saturating_add(digit as usize));
                }
                None => *is_extension = size.is_some(),
            },
            Self::Head | Self::Trailer | Self::Body | Self::Chunk(_) => {}
        }
    }

    const SIZE: Self = Self::Size { size: None, is_extension: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others see, and what was kept, where the answer comes in pieces of this size.
    fn covered(answer: &str, piece: usize) -> (String, String) {
        let (mut cover, mut seen, mut kept) = (Cover::default(), Vec::new(), Vec::new());
        let mut head = Head::default();
        for piece in answer.as_bytes().chunks(piece) {
            let mut piece = piece.to_vec();
            cover.cover(&mut piece, &mut head, |bytes| kept.extend_from_slice(bytes));
            seen.extend(piece);
        }
        (String::from_utf8(seen).unwrap(), String::from_utf8(kept).unwrap())
    }

    #[test]
    fn a_body_is_covered_and_kept_however_it_is_framed_and_cut() {
        let early = "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (head, open, seen) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "secret", "xxxxxx"),
            ("HTTP/1.1 200 OK\nServer: x\n\n", "secret", "xxxxxx"),
            ("HTTP/1.1 200 OK\nServer: x\n\r\n", "secret", "xxxxxx"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "secret", "xxxxxx"),
            (
                "HTTP/1.1 200 OK\r\nTRANSFER-encoding: gzip, Chunked\r\n\r\n",
                "2\r\nse\r\n04;a=4\r\ncret\r\n0\r\n\r\n",
                "2\r\nxx\r\n04;a=4\r\nxxxx\r\n0\r\n\r\n",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "6 \r\nsecret\r\n000;x\r\nTrailer: 1\r\n\r\n",
                "6 \r\nxxxxxx\r\n000;x\r\nTrailer: 1\r\n\r\n",
            ),
        ] {
            for piece in 1..head.len() + open.len() {
                for early in ["", early] {
                    let answer = format!("{early}{head}{open}");
                    let expected = (format!("{early}{head}{seen}"), "secret".to_owned());
                    assert_eq!(covered(&answer, piece), expected, "{piece}");
                }
            }
        }
    }
}
