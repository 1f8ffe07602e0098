//! Threads of the library's own, which somebody may wait for at the end.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use super::lock;

#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    threads: Vec<JoinHandle<()>>,
    /// Of the threads, those that have not come to their end.
    at_work: Vec<ThreadId>,
}

impl Background {
    /// Runs this on a thread of its own, unless it is over: then not at all, which is `false`.
    pub(crate) fn run(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<bool> {
        let mut state = lock(&self.state);
        if state.is_over {
            return Ok(false);
        }
        let own = self.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            // Made here: where no thread is to be had, nothing ends.
            let _end = End(own);
            run();
        })?;
        state.threads.retain(|thread| !thread.is_finished());
        state.at_work.push(thread.thread().id());
        state.threads.push(thread);
        Ok(true)
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    /// No thread begins any more. True once the last has ended; false where time is up, and for a
    /// thread that would wait for itself.
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        let mut state = lock(&self.state);
        state.is_over = true;
        let is_own = |thread: &ThreadId| *thread == thread::current().id();
        if state.at_work.iter().any(is_own) {
            return false;
        }
        let (mut state, _) = self
            .ended
            .wait_timeout_while(state, limit, |state| !state.at_work.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if !state.at_work.is_empty() {
            return false;
        }
        // Until the system's own part of a thread has ended, too, which is at once now.
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        threads.into_iter().for_each(|thread| _ = thread.join());
        true
    }
}

/// A thread comes to its end, or panics.
struct End(Arc<Background>);

impl Drop for End {
    fn drop(&mut self) {
        let own = thread::current().id();
        lock(&self.0.state).at_work.retain(|thread| *thread != own);
        self.0.ended.notify_all();
    }
}
