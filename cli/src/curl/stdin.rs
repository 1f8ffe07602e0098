//! stdin for curl, twice if need be: a file is wound back, a pipe is kept as far as that is small.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{FileType, SeekFrom, fstat, seek};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// So much of a pipe is kept for a second run.
const LARGEST: usize = 1024 * 1024;

pub(super) enum Stdin {
    /// As it is. Where curl reads from it, it is read once.
    Given { is_read: bool },
    /// A file, and where it began.
    File(u64),
    /// What a pipe brought, and whether that was all.
    Kept { bytes: Arc<Zeroizing<Vec<u8>>>, is_all: bool },
}

impl Stdin {
    /// Reads a pipe to its end, or as far as it is kept.
    pub(super) fn of(is_read: bool, may_replay: bool) -> Result<Self, Failure> {
        let stdin = io::stdin();
        if !is_read || !may_replay {
            return Ok(Self::Given { is_read });
        }
        match fstat(&stdin).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => match seek(&stdin, SeekFrom::Current(0)) {
                Ok(position) => Ok(Self::File(position)),
                Err(_) => Ok(Self::Given { is_read }),
            },
            Ok(FileType::Fifo | FileType::Socket) => {
                // Sized at once: growing would leave copies behind.
                let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
                stdin.lock().take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(|error| {
                    Failure::NoInput(format!("curl: cannot read stdin ({error})"))
                })?;
                let is_all = bytes.len() <= LARGEST;
                Ok(Self::Kept { bytes: Arc::new(bytes), is_all })
            }
            // Somebody types, or it is /dev/null.
            _ => Ok(Self::Given { is_read }),
        }
    }

    pub(super) fn for_curl(&self) -> Stdio {
        match self {
            Self::Given { .. } | Self::File(_) => Stdio::inherit(),
            Self::Kept { .. } => Stdio::piped(),
        }
    }

    /// Writes what was kept, and then the rest, on a thread that ends with the last byte, with curl,
    /// or with this process.
    pub(super) fn feed(&self, to: Option<ChildStdin>, curl: &mut Child) -> io::Result<()> {
        let (Self::Kept { bytes, is_all }, Some(to)) = (self, to) else { return Ok(()) };
        let (bytes, is_all) = (bytes.clone(), *is_all);
        // Held here too, until the thread is there: else curl would find that its stdin has ended,
        // and send nothing in place of a payment.
        let to = Arc::new(Mutex::new(Some(to)));
        let of_thread = to.clone();
        let thread = thread::Builder::new().spawn(move || {
            let taken = of_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut to) = taken else { return };
            if to.write_all(&bytes).is_ok() && !is_all {
                let _ = io::copy(&mut io::stdin().lock(), &mut to);
            }
        });
        thread.map(drop).inspect_err(|_| {
            let _ = curl.kill();
            let _ = curl.wait();
        })
    }

    /// Makes it as it was before the first run; false where that cannot be.
    pub(super) fn rewind(&self) -> bool {
        match self {
            Self::Given { is_read } => !is_read,
            Self::File(position) => seek(io::stdin(), SeekFrom::Start(*position)).is_ok(),
            Self::Kept { is_all, .. } => *is_all,
        }
    }
}
