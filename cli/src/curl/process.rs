//! One run of curl: its output is held back until it is known that it may be shown.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use paytoken::{Provider, Token};
use rustix::event::{PollFd, PollFlags, poll};
use zeroize::Zeroizing;

use super::arguments::Arguments;
use super::config::{self, Inherited, Settings};
use super::heads::Heads;
use super::signals::PassOn;
use super::stdin::Stdin;
use crate::exit::Failure;
use crate::terminal::tell;

/// What is held back at most: of more, the beginning is shown, and there is no second run.
const LARGEST: usize = 1024 * 1024;

/// What is needed for each run.
pub(super) struct Curl<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) settings: &'a Settings,
    pub(super) stdin: &'a Stdin,
    pub(super) signals: &'a PassOn,
}

/// A first run that may not be the last.
pub(super) struct Run {
    pub(super) status: ExitStatus,
    pub(super) heads: Heads,
    /// Among the output, before the body.
    are_heads_shown: bool,
    outputs: [Output; 2],
}

impl Run {
    /// Whether nothing of it has been shown.
    pub(super) fn is_held(&self) -> bool {
        self.outputs.iter().all(|output| output.is_held)
    }

    /// Shows what was held back.
    pub(super) fn release(&mut self) {
        self.outputs.iter_mut().for_each(Output::release);
    }
}

impl Curl<'_> {
    /// Watches the heads. Where there may be a second run, output is held back while all answers are
    /// 401.
    pub(super) fn run_and_watch(&self, token: &Token, may_replay: bool) -> Result<Run, Failure> {
        let heads = Inherited::for_writing().map_err(no_pipe)?;
        // Ours takes its place; what it wants, we write.
        let wish = self.arguments.values("dump-header").last();
        let are_shown = wish.is_some_and(|path| path == "-");
        let copy = wish.filter(|_| !are_shown).map(File::create).transpose().map_err(|error| {
            Failure::Output(format!("curl: cannot write the file of --dump-header ({error})"))
        })?;
        let output = |is_inherited| if is_inherited { Stdio::inherit() } else { Stdio::piped() };
        let stderr_is_shown = !may_replay || io::stderr().is_terminal();
        let mut child = self.start(
            token,
            Some(&heads.name()),
            [output(!may_replay && !are_shown), output(stderr_is_shown)],
        )?;
        let mut run = Run {
            status: ExitStatus::default(),
            heads: Heads::new(copy),
            are_heads_shown: are_shown,
            outputs: [
                Output::new(child.stdout.take().map(OwnedFd::from), Shown::Stdout),
                Output::new(child.stderr.take().map(OwnedFd::from), Shown::Stderr),
            ],
        };
        run.relay(File::from(OwnedFd::from(heads.into_ours())));
        run.status = self.signals.wait(&mut child).map_err(no_end)?;
        Ok(run)
    }

    /// As if curl had been called by itself.
    pub(super) fn run(&self, token: &Token) -> Result<ExitStatus, Failure> {
        let mut child = self.start(token, None, [Stdio::inherit(), Stdio::inherit()])?;
        self.signals.wait(&mut child).map_err(no_end)
    }

    fn start(
        &self,
        token: &Token,
        heads: Option<&str>,
        [stdout, stderr]: [Stdio; 2],
    ) -> Result<Child, Failure> {
        let pipes = (0..self.arguments.operations()).map(|_| Inherited::for_reading());
        let pipes: Vec<_> = pipes.collect::<io::Result<_>>().map_err(no_pipe)?;
        let mut names = pipes.iter().map(Inherited::name);
        let config = || vec!["--config".into(), OsString::from(names.next().unwrap_or_default())];
        let is_replaced = |name: &str| heads.is_some() && name == "dump-header";
        let words = self.arguments.words(config, |part| is_replaced(&part.name));
        let mut command = Command::new("curl");
        command.args(words).stdin(self.stdin.for_curl()).stdout(stdout).stderr(stderr);
        for provider in Provider::ALL {
            let facts = provider.facts();
            command.env_remove(facts.variable(facts.secret.variable));
        }
        let mut child = self.signals.start_curl(&mut command).map_err(|error| {
            Failure::NoCurl(format!("curl: cannot be run ({error}); install it, or mend PATH"))
        })?;
        let text = config::text(self.settings, token, heads);
        pipes.into_iter().for_each(|pipe| pipe.write(&text));
        if let Err(error) = self.stdin.feed(child.stdin.take(), &mut child) {
            return Err(Failure::Unavailable(format!(
                "curl: no thread to hand it its stdin ({error})"
            )));
        }
        Ok(child)
    }
}

fn no_pipe(error: io::Error) -> Failure {
    Failure::Unavailable(format!("curl: no pipe to it can be made ({error})"))
}

fn no_end(error: io::Error) -> Failure {
    Failure::Unavailable(format!("curl: cannot be waited for ({error})"))
}

impl Run {
    /// curl's code; if what it wrote could not be shown, ours.
    pub(super) fn code(&self) -> u8 {
        match code(self.status) {
            0 if self.outputs.iter().any(|output| output.has_failed) => {
                Failure::Output(String::new()).code()
            }
            code => code,
        }
    }
}

/// curl's code, or that of the signal that ended it, as a shell has it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

impl Run {
    /// Until curl has closed all.
    fn relay(&mut self, heads: File) {
        let mut heads = Some(heads);
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            // The heads first: they say what may become of the rest.
            let files: Vec<_> = heads
                .iter()
                .chain(self.outputs.iter().filter_map(|output| output.from.as_ref()))
                .collect();
            if files.is_empty() {
                return;
            }
            let mut ready: Vec<_> =
                files.iter().map(|file| PollFd::new(*file, PollFlags::IN)).collect();
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            let mut ready = ready.iter().map(|file| !file.revents().is_empty());
            let heads_are_ready = heads.is_some() && ready.next() == Some(true);
            let outputs_are_ready = [0, 1]
                .map(|index| self.outputs[index].from.is_some() && ready.next() == Some(true));
            if heads_are_ready && let Some(file) = &mut heads {
                match file.read(&mut buffer) {
                    Ok(0) | Err(_) => heads = None,
                    Ok(length) => {
                        self.heads.read(&buffer[..length]);
                        if self.are_heads_shown {
                            self.outputs[0].take(&buffer[..length]);
                        }
                    }
                }
                if self.heads.has_another() {
                    self.release();
                }
                continue;
            }
            for (output, is_ready) in self.outputs.iter_mut().zip(outputs_are_ready) {
                if is_ready {
                    output.read(&mut buffer);
                }
            }
            // What was said first is shown first.
            if self.outputs.iter().any(|output| !output.is_held) {
                self.release();
            }
        }
    }
}

/// One of curl's outputs.
struct Output {
    /// `None` where it goes by us, or has ended.
    from: Option<File>,
    to: Shown,
    held: Vec<u8>,
    is_held: bool,
    has_failed: bool,
}

enum Shown {
    Stdout,
    Stderr,
}

impl Output {
    fn new(from: Option<OwnedFd>, to: Shown) -> Self {
        Self { from: from.map(File::from), to, held: Vec::new(), is_held: true, has_failed: false }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let Some(from) = &mut self.from else { return };
        match from.read(buffer) {
            Ok(0) | Err(_) => self.from = None,
            Ok(length) => self.take(&buffer[..length]),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.is_held && self.held.len() + bytes.len() <= LARGEST {
            self.held.extend_from_slice(bytes);
        } else {
            self.release();
            self.write(bytes);
        }
    }

    fn release(&mut self) {
        self.is_held = false;
        let held = std::mem::take(&mut self.held);
        self.write(&held);
    }

    /// Where nobody reads any more, curl finds out, as if it had written itself.
    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.has_failed {
            return;
        }
        let written = match self.to {
            Shown::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Shown::Stderr => {
                let _ = io::stderr().write_all(bytes);
                return;
            }
        };
        if let Err(error) = written {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tell(format!("cannot write to stdout: {error}"));
                self.has_failed = true;
            }
            self.from = None;
        }
    }
}
