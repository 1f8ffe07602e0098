//! `client_secret_command`: a program that prints the secret, bounded in size and time. No shell.

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::deadline::Deadline;

/// A secret is short.
const LARGEST: usize = 64 * 1024;

/// Between looks at whether a program that has closed its output has ended, too.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Its standard output, without one line end.
pub(super) fn output_of(words: &[String], deadline: Deadline) -> Result<Zeroizing<String>, String> {
    let (program, arguments) = words.split_first().ok_or("is empty; name the program first")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {program} ({error})"))?;
    let result = match child.stdout.take() {
        Some(mut stdout) => read(&mut stdout, deadline).and_then(|(bytes, length)| {
            ended(&mut child, deadline)?;
            text_of(&bytes[..length])
        }),
        None => Err("has no output".into()),
    };
    if result.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    result.map_err(|what| format!("{program} {what}"))
}

/// What it prints, and how long that is.
fn read(
    stdout: &mut ChildStdout,
    deadline: Deadline,
) -> Result<(Zeroizing<Vec<u8>>, usize), String> {
    // Sized at once: growing would leave an unwiped copy behind.
    let mut bytes = Zeroizing::new(vec![0; LARGEST + 1]);
    let mut length = 0;
    loop {
        if !is_readable(stdout, deadline.left()) {
            return Err(format!("has not ended within --timeout ({:?})", deadline.limit()));
        }
        match stdout.read(&mut bytes[length..]) {
            Ok(0) if length > LARGEST => {
                return Err("printed more than 64 KiB; that is no secret".into());
            }
            Ok(0) => return Ok((bytes, length)),
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot be read from ({error})")),
        }
    }
}

fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "did not print UTF-8 text")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text {
        "" => Err("printed nothing".into()),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// Whether there is something to read, or the end, within this time.
pub(crate) fn is_readable(file: &impl std::os::fd::AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    let mut files = [PollFd::new(file, PollFlags::IN)];
    poll(&mut files, limit.as_ref()).is_ok_and(|ready| ready > 0)
}

fn ended(child: &mut Child, deadline: Deadline) -> Result<(), String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) if deadline.left().is_zero() => {
                return Err(format!("has not ended within --timeout ({:?})", deadline.limit()));
            }
            Ok(None) => thread::sleep(LOOK_AGAIN),
            Err(error) => return Err(format!("cannot be waited for ({error})")),
        }
    }
}
