//! stdin for curl, twice if need be: a file is wound back, and a pipe is read into one first.

use std::fs::File;
use std::io::{self, Read};
use std::process::Stdio;

use rustix::fs::{FileType, SeekFrom, fstat, seek};

use crate::exit::Failure;

/// So much of a pipe is read before curl runs.
const LARGEST: u64 = 64 * 1024 * 1024;

pub(super) enum Stdin {
    /// As it is. Where curl reads from it, it is read once.
    Given { is_read: bool },
    /// A file, and where it begins.
    File(File, u64),
}

impl Stdin {
    /// Where it is to be read twice, a pipe is read to its end.
    pub(super) fn of(is_read: bool, may_replay: bool) -> Result<Self, Failure> {
        let stdin = io::stdin();
        if !is_read || !may_replay {
            return Ok(Self::Given { is_read });
        }
        let kind = fstat(&stdin).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let kept = match kind {
            Ok(FileType::RegularFile) => {
                let file = rustix::io::dup(&stdin).map(File::from);
                file.and_then(|file| Ok(Self::File(file, seek(&stdin, SeekFrom::Current(0))?)))
                    .map_err(io::Error::from)
            }
            Ok(FileType::Fifo | FileType::Socket) => read(stdin.lock()),
            // Somebody types, or it is /dev/null.
            _ => return Ok(Self::Given { is_read }),
        };
        kept.map_err(|error| {
            Failure::NoInput(format!(
                "curl: cannot keep stdin for a second run ({error}); put it into a file, or use --no-replay"
            ))
        })
    }

    /// From its beginning.
    pub(super) fn for_curl(&self) -> io::Result<Stdio> {
        match self {
            Self::Given { .. } => Ok(Stdio::inherit()),
            Self::File(file, start) => {
                seek(file, SeekFrom::Start(*start))?;
                Ok(file.try_clone()?.into())
            }
        }
    }

    pub(super) fn can_be_read_again(&self) -> bool {
        !matches!(self, Self::Given { is_read: true })
    }
}

/// Into a file that has no name.
fn read(from: impl Read) -> io::Result<Stdin> {
    let mut file = nameless()?;
    let length = io::copy(&mut from.take(LARGEST + 1), &mut file)?;
    if length > LARGEST {
        return Err(io::Error::other("a pipe of more than 64 MiB"));
    }
    Ok(Stdin::File(file, 0))
}

/// Nowhere but in memory.
#[cfg(not(target_os = "macos"))]
fn nameless() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};

    Ok(memfd_create("stdin", MemfdFlags::CLOEXEC)?.into())
}

/// macOS has no such files: one of this user alone, whose name is gone at once.
#[cfg(target_os = "macos")]
fn nameless() -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let path = std::env::temp_dir().join(format!("paytoken-stdin-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}
