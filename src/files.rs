//! Reading small files with a bound, into memory that is wiped.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// A file larger than this holds no PEM certificates.
pub(crate) const LARGEST_PEM: u64 = 1024 * 1024;

/// The whole of a regular file of at most `limit` bytes.
///
/// A FIFO or a device would block or never end, so only regular files are read.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = std::fs::metadata(path)?;
    if !length.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let too_large =
        || io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes"));
    if length.len() > limit {
        return Err(too_large());
    }
    // Sized at once: growing would leave unwiped copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(length.len() as usize + 1));
    File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(content)
}
