//! One run of curl: its output is held back until it is known that it may be shown.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use paytoken::Token;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use zeroize::Zeroizing;

use super::arguments::{Arguments, Stamp};
use super::heads::Heads;
use super::options::Takes;
use super::stdin::Stdin;
use crate::child;
use crate::exit::Failure;
use crate::signals::{self, Program};
use crate::terminal::tell;

/// What is held back at most: of more, the beginning is shown, and there is no second run.
const LARGEST: usize = 1024 * 1024;

/// curl's own code (`man curl`) where it cannot write what it has received.
const NOBODY_READS: u8 = 23;

/// What is needed for each run.
pub(super) struct Curl<'a> {
    pub(super) arguments: &'a Arguments,
    /// Our own options: no secret is in them.
    pub(super) own: &'a [OsString],
    pub(super) stdin: &'a Stdin,
    /// What the files that are sent were like before the first run.
    pub(super) sent: Vec<Option<Stamp>>,
}

impl Curl<'_> {
    /// Watches the heads. Where there may be a second run, output is held back until one is ruled out.
    pub(super) fn run_and_watch(&self, token: &Token, may_replay: bool) -> Result<Run, Failure> {
        let (heads, theirs) = pipe().map_err(cannot_run)?;
        // Ours takes the place of the user's --dump-header; what that wants, we write.
        let wish = self.arguments.values(Takes::Heads).last();
        let are_heads_shown = wish.is_some_and(|path| path == "-");
        // To read, too: a named pipe that nobody reads is then opened all the same, as by curl.
        let mut open = File::options();
        open.read(true).write(true).create(true).truncate(true);
        let copy = wish.filter(|_| !are_heads_shown).map(|path| open.open(path)).transpose();
        let heads_copy = copy.map_err(|error| match child::is_shortage(&error) {
            true => cannot_run(error),
            false => {
                Failure::Output(format!("curl: cannot write the file of --dump-header ({error})"))
            }
        })?;
        let output = |by_us| if by_us { Stdio::piped() } else { Stdio::inherit() };
        let outputs = [output(may_replay || are_heads_shown), output(may_replay)];
        let mut child = self.start(token, Some(theirs.into()), outputs)?;
        let file = |end: OwnedFd| File::from(end);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut run = Run {
            status: ExitStatus::default(),
            heads: Heads::default(),
            retries: self.arguments.has("retry"),
            heads_copy,
            are_heads_shown,
            from: [
                Some(file(heads.into())),
                stdout.map(|end| file(end.into())),
                stderr.map(|end| file(end.into())),
            ],
            held: may_replay.then(Default::default),
            failure: 0,
        };
        run.relay();
        run.status = signals::wait(&mut child).map_err(cannot_run)?;
        Ok(run)
    }

    /// As if curl had been called by itself.
    pub(super) fn run(&self, token: &Token) -> Result<u8, Failure> {
        let mut child = self.start(token, None, [Stdio::inherit(), Stdio::inherit()])?;
        signals::wait(&mut child).map(code).map_err(cannot_run)
    }

    fn start(
        &self,
        token: &Token,
        heads: Option<OwnedFd>,
        [stdout, stderr]: [Stdio; 2],
    ) -> Result<Child, Failure> {
        let start = || {
            let mut command = child::command("curl");
            command.stdin(self.stdin.for_curl()?).stdout(stdout).stderr(stderr);
            let (theirs, mut config) = pipe()?;
            // That no .curlrc counts has to be said first.
            command.args(["-q", "--config", &inherited(&theirs)?]).args(self.own);
            if let Some(heads) = &heads {
                command.args(["--dump-header", &inherited(heads)?]);
            }
            command.args(self.arguments.words(|takes| heads.is_some() && takes == Takes::Heads));
            let child = signals::start(&mut command, Program::Curl)?;
            drop(theirs);
            // What it does not read is no failure of ours: it will say why.
            let _ = config.write_all(&config_with(token));
            Ok(child)
        };
        start().map_err(cannot_run)
    }
}

/// The name by which curl opens this end of a pipe: it is the only program that is run from now on.
fn inherited(end: &(impl AsFd + AsRawFd)) -> io::Result<String> {
    fcntl_setfd(end, FdFlags::empty())?;
    let folder = if Path::new("/dev/fd").exists() { "/dev/fd" } else { "/proc/self/fd" };
    Ok(format!("{folder}/{}", end.as_raw_fd()))
}

/// A configuration file of curl's (`man curl`, -K): neither an argument nor a variable shows the token.
fn config_with(token: &Token) -> Zeroizing<Vec<u8>> {
    let parts = ["header = \"", token.header_name(), ": ", token.header_value(), "\"\n"];
    // Sized at once: growing would leave unwiped copies behind.
    let mut text =
        Zeroizing::new(Vec::with_capacity(2 * parts.map(str::len).iter().sum::<usize>()));
    for (at, part) in parts.iter().enumerate() {
        for byte in part.bytes() {
            if at == 3 && b"\\\"".contains(&byte) {
                text.push(b'\\');
            }
            text.push(byte);
        }
    }
    text
}

fn cannot_run(error: io::Error) -> Failure {
    match child::is_shortage(&error) {
        true => {
            Failure::Temporary(format!("curl: cannot be run at this moment ({error}); try again"))
        }
        false => {
            Failure::NoCurl(format!("curl: cannot be run ({error}); install it, or correct PATH"))
        }
    }
}

/// curl's code, or that of the signal that ended it, as a shell has it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// A first run that may not be the last.
pub(super) struct Run {
    status: ExitStatus,
    pub(super) heads: Heads,
    pub(super) retries: bool,
    /// Where the user wants the heads, too: in a file, or before the bodies.
    heads_copy: Option<File>,
    are_heads_shown: bool,
    /// Heads, stdout and stderr, as far as they come by us and have not ended.
    from: [Option<File>; 3],
    /// Of stdout and stderr; `None` when what comes is shown.
    held: Option<[Vec<u8>; 2]>,
    /// The code for output that could not be shown.
    failure: u8,
}

impl Run {
    /// Whether nothing of it has been shown.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// curl's code; if what it wrote could not be shown, ours.
    pub(super) fn code(&self) -> u8 {
        match code(self.status) {
            0 => self.failure,
            code => code,
        }
    }

    /// Whether it ended with answers, be it that of an error (`--fail`).
    pub(super) fn has_ended_with_answers(&self) -> bool {
        matches!(self.status.code(), Some(0 | 22))
    }

    /// Shows what was held back.
    pub(super) fn release(&mut self) {
        let [stdout, stderr] = self.held.take().unwrap_or_default();
        self.show(1, &stdout);
        self.show(2, &stderr);
    }

    /// Until curl has closed all.
    fn relay(&mut self) {
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        while let Some((index, mut file)) = self.ready() {
            let bytes = match file.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    self.from[index] = None;
                    continue;
                }
                Ok(length) => &buffer[..length],
            };
            if index > 0 {
                self.take(index, bytes);
                continue;
            }
            self.heads.read(bytes);
            if let Some(copy) = &mut self.heads_copy {
                let _ = copy.write_all(bytes);
            }
            if self.are_heads_shown {
                self.take(1, bytes);
            }
            if self.heads.is_decided(self.retries) {
                self.release();
            }
        }
        self.from = Default::default();
    }

    /// Where there is something to read, the heads first: they say what may become of the rest.
    fn ready(&self) -> Option<(usize, &File)> {
        loop {
            let open = self.from.iter().enumerate();
            let open: Vec<_> =
                open.filter_map(|(index, file)| Some((index, file.as_ref()?))).collect();
            let mut polled: Vec<_> =
                open.iter().map(|(_, file)| PollFd::new(*file, PollFlags::IN)).collect();
            if open.is_empty() || poll(&mut polled, None).is_err_and(|error| error != Errno::INTR) {
                return None;
            }
            if let Some(at) = polled.iter().position(|polled| !polled.revents().is_empty()) {
                return Some(open[at]);
            }
        }
    }

    fn take(&mut self, index: usize, bytes: &[u8]) {
        if let Some(held) = &mut self.held
            && held.iter().map(Vec::len).sum::<usize>() + bytes.len() <= LARGEST
        {
            return held[index - 1].extend_from_slice(bytes);
        }
        self.release();
        self.show(index, bytes);
    }

    fn show(&mut self, index: usize, bytes: &[u8]) {
        if index == 2 {
            let _ = io::stderr().write_all(bytes);
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.failure = NOBODY_READS;
            } else if self.failure == 0 {
                tell(format!("cannot write to stdout: {error}"));
                self.failure = Failure::Output(String::new()).code();
            }
            self.from[1] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_odd_token_stays_one_value() {
        let token = Token::for_tests("t\"\\1", Duration::from_secs(60));
        let text = config_with(&token);
        let line = "header = \"Authorization: Bearer t\\\"\\\\1\"\n";
        assert_eq!(std::str::from_utf8(&text).unwrap(), line);
    }
}
