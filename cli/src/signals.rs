//! Signals that are meant for what the command runs, which may not be in our process group: curl, or the
//! program that prints a secret; and those that the first process of a container has to ask for.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

const PASSED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// What is run.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    Curl,
    /// It prints a secret: a signal is for us, too, since nothing is left to do without it.
    Secret {
        has_group: bool,
    },
}

/// Who gets the signals that come here. Where there is none a signal is for us, as if we had not asked
/// for it.
static RECEIVER: Mutex<Option<(Program, Pid)>> = Mutex::new(None);
static LAST: AtomicI32 = AtomicI32::new(0);
static IS_STARTED: Mutex<bool> = Mutex::new(false);

/// The first process of a container gets no signal that it has not asked for: the kernel keeps them
/// from it. Any other ends as the system has it.
pub(crate) fn end_the_first_process() {
    if std::process::id() == 1 {
        // Without it, the command ends with its time-out.
        let _ = listen();
    }
}

/// Runs a program that gets the signals from its first moment on.
pub(crate) fn start(command: &mut Command, program: Program) -> io::Result<Child> {
    listen()?;
    let mut receiver = receiver();
    let child = command.spawn()?;
    *receiver = Pid::from_raw(child.id().cast_signed()).map(|pid| (program, pid));
    Ok(child)
}

/// Waits for it; once its number may be another's, it gets no signals.
pub(crate) fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
    }
    *receiver() = None;
    child.wait()
}

/// The signal that came last, if one did.
pub(crate) fn last() -> Option<i32> {
    Some(LAST.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

fn listen() -> io::Result<()> {
    let mut is_started = IS_STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_started {
        return Ok(());
    }
    let ignored = ignored();
    // What is ignored stays so, as nohup and shells want it: it is ignored by the program, too.
    let passed_on = PASSED_ON.iter().filter(|signal| ignored >> (*signal - 1) & 1 == 0);
    let mut signals = Signals::new(passed_on)?;
    thread::Builder::new().spawn(move || signals.forever().for_each(pass_on))?;
    *is_started = true;
    Ok(())
}

fn pass_on(number: i32) {
    let receiver = receiver();
    LAST.store(number, Ordering::Relaxed);
    let is_for_us = !matches!(*receiver, Some((Program::Curl, _)));
    if let (Some((program, pid)), Some(signal)) = (*receiver, Signal::from_named_raw(number)) {
        let _ = match program {
            // What a shell runs in the background ignores some signals.
            Program::Secret { has_group: true } => kill_process_group(pid, Signal::KILL),
            _ => kill_process(pid, signal),
        };
    }
    if is_for_us {
        std::process::exit(128 + number);
    }
}

fn receiver() -> MutexGuard<'static, Option<(Program, Pid)>> {
    RECEIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals that this process ignores, a bit each; none where that is not known.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
