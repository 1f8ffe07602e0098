//! `client_secret_command`: a program that prints the secret, bounded in size and time. No shell.
//!
//! Its output ends with the program. What it leaves behind, such as an agent, may keep the pipe open
//! for as long as it lives, so the end of the pipe is not waited for.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::{pipe, unregister};
use zeroize::Zeroizing;

use crate::bounded::{Cut, Whole};
use crate::child::{self, is_shortage};
use crate::deadline::Deadline;
use crate::signals;

/// Between looks at whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why there is no secret.
pub(super) struct Problem {
    pub(super) text: String,
    /// Another attempt may end otherwise.
    pub(super) is_temporary: bool,
}

/// Its standard output, without one line end. It runs in this folder.
pub(super) fn output_of(
    words: &[OsString],
    folder: &Path,
    deadline: Deadline,
) -> Result<Zeroizing<String>, Problem> {
    let [program, arguments @ ..] = words else {
        return Err(lasting("is empty; name the program first"));
    };
    let mut command = child::command(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    // A program that asks for a passphrase reads from the terminal, which stops all that are not in
    // the terminal's own group of processes.
    let has_group = !has_terminal();
    if has_group {
        command.process_group(0);
    }
    let program = Path::new(program).display();
    let cannot_run = |error: io::Error| Problem {
        is_temporary: is_shortage(&error),
        text: match is_shortage(&error) {
            true => format!("cannot run {program} now ({error}); try again"),
            false => format!("cannot run {program} ({error}); correct its path, or PATH"),
        },
    };
    let (ended, signal) = UnixStream::pair().map_err(cannot_run)?;
    ended.set_nonblocking(true).map_err(cannot_run)?;
    let signal = pipe::register(SIGCHLD, signal).map_err(cannot_run)?;
    let child = signals::start(&mut command, signals::Program::Secret { has_group });
    let result = child.map_err(cannot_run).and_then(|mut child| {
        let result = printed(&mut child, &ended, deadline);
        end(child, has_group);
        result.map_err(|problem| Problem { text: format!("{program} {}", problem.text), ..problem })
    });
    unregister(signal);
    result
}

fn printed(
    child: &mut Child,
    ended: &UnixStream,
    deadline: Deadline,
) -> Result<Zeroizing<String>, Problem> {
    let failed = |error: io::Error| lasting(format!("cannot be read from ({error})"));
    let mut stdout = child.stdout.take();
    if let Some(stdout) = &stdout {
        ioctl_fionbio(stdout, true).map_err(|error| failed(error.into()))?;
    }
    let mut output = Whole::default();
    loop {
        wait(ended, stdout.as_ref(), deadline)?;
        // Before it is read from: all that it wrote is in the pipe when it has ended.
        let status =
            child.try_wait().map_err(|error| lasting(format!("cannot be waited for ({error})")))?;
        while let Some(open) = &stdout {
            match output.read(open) {
                Ok(is_end) if is_end => stdout = None,
                Ok(_) => {}
                Err(Cut::Failed(Errno::AGAIN)) => break,
                Err(Cut::Failed(error)) => return Err(failed(error.into())),
                Err(_) => {
                    return Err(lasting(
                        "printed more than 64 KiB, which is no secret; it has to print the secret alone",
                    ));
                }
            }
        }
        if let Some(status) = status {
            return secret(status, output.bytes());
        }
    }
}

/// Until there may be something to read, or the program may have ended.
fn wait(
    mut ended: &UnixStream,
    stdout: Option<&ChildStdout>,
    deadline: Deadline,
) -> Result<(), Problem> {
    // A parent may have blocked SIGCHLD, so that nothing tells of its end.
    let left = deadline.left();
    let limit = Timespec::try_from(left.min(LOOK_AGAIN)).ok();
    let mut files = vec![PollFd::new(ended, PollFlags::IN)];
    files.extend(stdout.map(|stdout| PollFd::new(stdout, PollFlags::IN)));
    match poll(&mut files, limit.as_ref()) {
        Ok(0) if left <= LOOK_AGAIN => Err(Problem {
            text: format!(
                "has not ended within --timeout ({:?}), and is killed; check what it waits for, or raise --timeout",
                deadline.limit()
            ),
            is_temporary: true,
        }),
        Ok(_) | Err(Errno::INTR) => {
            let _ = ended.read(&mut [0; 64]);
            Ok(())
        }
        Err(error) => Err(lasting(format!("cannot be waited for ({error})"))),
    }
}

/// What a program exits with that may work the next time, after sysexits(3): a vault that is away.
const EX_TEMPFAIL: i32 = 75;

fn secret(status: ExitStatus, output: &[u8]) -> Result<Zeroizing<String>, Problem> {
    if status.code() == Some(EX_TEMPFAIL) {
        return Err(Problem {
            text: format!("cannot answer now ({status}); try again"),
            is_temporary: true,
        });
    }
    if !status.success() {
        return Err(lasting(format!(
            "failed ({status}); run it by hand, as this user, to see why"
        )));
    }
    let text = std::str::from_utf8(output)
        .map_err(|_| lasting("did not print UTF-8 text; it has to print the secret alone"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.strip_suffix('\r').unwrap_or(text) {
        "" => Err(lasting("printed nothing; it has to print the secret on stdout")),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// Ends what has not ended, with all that it has started.
fn end(mut child: Child, has_group: bool) {
    if matches!(child.try_wait(), Ok(None)) {
        let group = Pid::from_raw(child.id().cast_signed()).filter(|_| has_group);
        let _ = match group {
            Some(group) => kill_process_group(group, Signal::KILL).map_err(io::Error::from),
            None => child.kill(),
        };
    }
    let _ = signals::wait(&mut child);
}

/// Whether there is a terminal on which somebody may be asked.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

fn lasting(text: impl Into<String>) -> Problem {
    Problem { text: text.into(), is_temporary: false }
}
