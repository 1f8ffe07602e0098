//! Signals that are meant for curl, which may not be in our process group.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::exit::Failure;

const PASSED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Who gets the signals that come here.
#[derive(Clone, Default)]
pub(super) struct PassOn {
    curl: Arc<Mutex<Option<Pid>>>,
    last: Arc<AtomicI32>,
}

impl PassOn {
    /// From now on.
    pub(super) fn start() -> Result<Self, Failure> {
        let pass_on = Self::default();
        let ignored = ignored();
        // What is ignored stays so, as nohup and shells want it: it is ignored by curl, too.
        let passed_on = PASSED_ON.iter().filter(|signal| ignored >> (*signal - 1) & 1 == 0);
        let of_thread = pass_on.clone();
        let signals = Signals::new(passed_on).and_then(|mut signals| {
            let thread = move || signals.forever().for_each(|signal| of_thread.send(signal));
            thread::Builder::new().spawn(thread)
        });
        match signals {
            Ok(_) => Ok(pass_on),
            Err(error) => Err(Failure::Temporary(format!(
                "curl: no thread for its signals ({error}); try again"
            ))),
        }
    }

    fn send(&self, number: i32) {
        let curl = self.curl.lock().unwrap_or_else(PoisonError::into_inner);
        self.last.store(number, Ordering::Relaxed);
        match (*curl, Signal::from_named_raw(number)) {
            (Some(curl), Some(signal)) => _ = kill_process(curl, signal),
            // Between two runs it is for us, as if we had not asked for it.
            (None, _) => std::process::exit(128 + number),
            _ => {}
        }
    }

    /// The signal that came last, if one did.
    pub(super) fn last(&self) -> Option<i32> {
        Some(self.last.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// From its first moment on, it gets the signals.
    pub(super) fn start_curl(&self, command: &mut Command) -> io::Result<Child> {
        let mut receiver = self.curl.lock().unwrap_or_else(PoisonError::into_inner);
        let curl = command.spawn()?;
        *receiver = Pid::from_raw(curl.id().cast_signed());
        Ok(curl)
    }

    /// Waits for it; once its number may be another's, it gets no signals.
    pub(super) fn wait(&self, curl: &mut Child) -> io::Result<ExitStatus> {
        if let Some(pid) = Pid::from_raw(curl.id().cast_signed()) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        }
        *self.curl.lock().unwrap_or_else(PoisonError::into_inner) = None;
        curl.wait()
    }
}

/// The signals that this process ignores, a bit each; none where that is not known.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
