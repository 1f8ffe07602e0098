//! Reading a pipe to its end, bounded in size and time, into memory that is wiped.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use zeroize::Zeroizing;

use crate::deadline::Deadline;

/// Neither a secret nor a token is larger.
const LARGEST: usize = 64 * 1024;

/// Why its end was not reached.
pub(crate) enum Cut {
    TimeIsUp,
    TooLarge,
    Failed(Errno),
}

/// What has been read.
pub(crate) struct Whole {
    bytes: Zeroizing<Vec<u8>>,
    length: usize,
}

/// All of it.
pub(crate) fn read_all(file: &impl AsFd, deadline: Deadline) -> Result<Whole, Cut> {
    let mut whole = Whole::default();
    loop {
        let limit = Timespec::try_from(deadline.left()).ok();
        match poll(&mut [PollFd::new(file, PollFlags::IN)], limit.as_ref()) {
            Ok(0) => return Err(Cut::TimeIsUp),
            Ok(_) if whole.read(file)? => return Ok(whole),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Cut::Failed(error)),
        }
    }
}

impl Default for Whole {
    fn default() -> Self {
        // Sized at once: growing would leave an unwiped copy behind.
        Self { bytes: Zeroizing::new(vec![0; LARGEST + 1]), length: 0 }
    }
}

impl Whole {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Reads once; whether that was the end.
    pub(crate) fn read(&mut self, file: &impl AsFd) -> Result<bool, Cut> {
        match read(file, &mut self.bytes[self.length..]) {
            Ok(0) if self.length > LARGEST => Err(Cut::TooLarge),
            Ok(0) => Ok(true),
            Ok(read) => {
                self.length += read;
                Ok(false)
            }
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Cut::Failed(error)),
        }
    }
}
