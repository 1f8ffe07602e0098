//! Reading a pipe to its end, bounded in size and time, into memory that is wiped.

use std::os::fd::AsFd;
use std::time::Duration;

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

/// All of it, and how long that is.
pub(crate) fn read_all(
    file: &impl AsFd,
    deadline: Deadline,
) -> Result<(Zeroizing<Vec<u8>>, usize), Cut> {
    // Sized at once: growing would leave an unwiped copy behind.
    let mut bytes = Zeroizing::new(vec![0; LARGEST + 1]);
    let mut length = 0;
    loop {
        if !is_readable(file, deadline.left()) {
            return Err(Cut::TimeIsUp);
        }
        match read(file, &mut bytes[length..]) {
            Ok(0) if length > LARGEST => return Err(Cut::TooLarge),
            Ok(0) => return Ok((bytes, length)),
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(Cut::Failed(error)),
        }
    }
}

/// Whether there is something to read, or the end, within this time.
fn is_readable(file: &impl AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    let mut files = [PollFd::new(file, PollFlags::IN)];
    poll(&mut files, limit.as_ref()).is_ok_and(|ready| ready > 0)
}
