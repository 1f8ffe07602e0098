//! Reading small files with a bound, into memory that is wiped. Pipes too: within a time, and once.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::sync::lock;

/// A file larger than this holds no PEM certificates.
pub(crate) const LARGEST_PEM: u64 = 1024 * 1024;

/// How long a pipe is waited for, unless a time-out says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What pipes held that were read: the second look at one finds nothing.
#[derive(Clone, Default)]
pub(crate) struct Once(Arc<Mutex<HashMap<PathBuf, Content>>>);

type Content = Zeroizing<Vec<u8>>;

/// How a setting's file is read.
pub(crate) struct Reading<'a> {
    /// The setting that names it, for errors.
    pub(crate) name: &'a str,
    /// What to set it to.
    pub(crate) what: &'a str,
    /// Whether an error may show the path: what stands in a variable may be a secret in the wrong
    /// place.
    pub(crate) shows_path: bool,
    pub(crate) limit: u64,
    pub(crate) patience: Duration,
    pub(crate) once: &'a Once,
}

impl Reading<'_> {
    /// The whole of it, as it is.
    pub(crate) fn read(&self, path: &Path) -> Result<Content> {
        if is_content(path) {
            return Err(Error::configuration(format!(
                "{}: give a path, not the content; set it to {}",
                self.name, self.what
            )));
        }
        self.read_once(path).map_err(|error| {
            let (name, what) = (self.name, self.what);
            let file = match self.shows_path {
                true => path.display().to_string(),
                false => "that file".to_owned(),
            };
            Error::configuration(format!("{name}: cannot read {file} ({error}); set it to {what}"))
                .with_source(error)
        })
    }

    fn read_once(&self, path: &Path) -> io::Result<Content> {
        let mut known = lock(&self.once.0);
        if let Some(content) = known.get(path) {
            return Ok(content.clone());
        }
        let content = read_bounded(path, self.limit, self.patience)?;
        if !fs::metadata(path).is_ok_and(|now| now.is_file()) {
            known.insert(path.to_owned(), content.clone());
        }
        Ok(content)
    }
}

/// Whether this is the file's content, put where its path belongs.
pub(crate) fn is_content(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("-----BEGIN ") || text.contains(['\n', '\r']) || text.len() > LONGEST_PATH
}

/// No system takes a longer one.
const LONGEST_PATH: usize = 4096;

/// The whole of a file of at most `limit` bytes, or of a pipe that ends before time is up.
pub(crate) fn read_bounded(path: &Path, limit: u64, patience: Duration) -> io::Result<Content> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "not a regular file: it is a directory",
        ));
    }
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    let deadline = Deadline::after(patience);
    let mut file = open(path)?;
    // Files of /proc have no length, and pipes none either.
    let room = if metadata.len() == 0 { PIECE } else { metadata.len() as usize + 1 };
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let mut piece = Zeroizing::new([0; PIECE]);
    loop {
        match file.read(&mut *piece) {
            // A pipe that nobody has opened for writing is at its end, too.
            Ok(0) if !is_fifo(&metadata) || !content.is_empty() => return Ok(content),
            Ok(0) => {}
            Ok(count) => {
                append(&mut content, &piece[..count]);
                if content.len() as u64 > limit {
                    return Err(too_large(limit));
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if deadline.remaining().is_zero() {
            let text = match content.is_empty() {
                true => "nothing was written to it in time",
                false => "its end was not written in time",
            };
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        // Waiting for a pipe takes unsafe code, or a thread that may never end.
        thread::sleep(PAUSE);
    }
}

const PIECE: usize = 4096;
const PAUSE: Duration = Duration::from_millis(5);

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes"))
}

/// Neither opening nor reading waits for somebody who writes.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    options.open(path)
}

fn is_fifo(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Growing leaves no unwiped copy behind.
fn append(content: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    if content.capacity() - content.len() < piece.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (content.len() + piece.len())));
        larger.extend_from_slice(content);
        *content = larger;
    }
    content.extend_from_slice(piece);
}

/// Without byte order mark, and UTF-16 (which has one) as UTF-8.
pub(crate) fn as_utf8(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let from_units = |unit: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let mut utf8 = Zeroizing::new(String::with_capacity(3 * bytes.len() / 2));
        let chars = char::decode_utf16(units);
        utf8.extend(chars.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
        Zeroizing::new(std::mem::take(&mut *utf8).into_bytes())
    };
    match text {
        [0xef, 0xbb, 0xbf, text @ ..] => Zeroizing::new(text.to_vec()),
        [0xff, 0xfe, text @ ..] => from_units(u16::from_le_bytes, text),
        [0xfe, 0xff, text @ ..] => from_units(u16::from_be_bytes, text),
        text => Zeroizing::new(text.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_says_how_a_text_is_written_and_is_no_part_of_it() {
        for (bytes, expected) in [
            (&b"a"[..], "a"),
            (b"\xef\xbb\xbfa\xc3\xb1", "a\u{f1}"),
            (b"\xff\xfea\0\xf1\0", "a\u{f1}"),
            (b"\xfe\xff\0a\0\xf1", "a\u{f1}"),
            (b"\xff\xfe\x3d\xd8\x00\xde", "\u{1f600}"),
            (b"\xff\xfe\x3d\xd8a", "\u{fffd}"),
            (b"", ""),
        ] {
            let text = as_utf8(bytes);
            assert_eq!(std::str::from_utf8(&text).unwrap(), expected, "{bytes:?}");
        }
    }
}
