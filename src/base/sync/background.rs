//! Threads of the library's own, which somebody may wait for at the end.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    process: u32,
}

impl Background {
    /// Runs this on a thread of its own.
    ///
    /// # Errors
    /// Where no thread is to be had, or it is over.
    pub(crate) fn run(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut state = self.state();
        if state.is_over {
            return Err(io::Error::other("no thread begins any more"));
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
        Ok(())
    }

    /// The current thread is one of these until this is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> impl Send + use<> {
        self.state().at_work.push(thread::current().id());
        End(self.clone())
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    /// No thread begins any more; else as [`wait`](Self::wait).
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        lock(&self.state).is_over = true;
        self.wait(limit)
    }

    /// True once the last thread has ended; false where time is up, and for a thread that would wait
    /// for itself.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let state = self.state();
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
        let threads = mem::take(&mut state.threads);
        drop(state);
        threads.into_iter().for_each(|thread| _ = thread.join());
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let process = std::process::id();
        if state.process != process {
            // A forked child has none of its parent's threads.
            state.process = process;
            state.at_work.clear();
            mem::forget(mem::take(&mut state.threads));
        }
        state
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
