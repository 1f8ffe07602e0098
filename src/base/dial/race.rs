//! Attempts to connect to the addresses of one host, beside each other: the first that connects wins.

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock::{Deadline, monotonic};
use super::descriptor::occupy_standard;
use super::sync::{Background, lock};

#[derive(Default)]
pub(super) struct Race {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) won: Option<(SocketAddr, TcpStream)>,
    pub(super) attempts: Vec<Attempt>,
    /// Nobody waits for a connection any more.
    is_over: bool,
}

/// One attempt, and after how long it ended in which way. `None`: not while somebody waited for it.
pub(crate) struct Attempt {
    pub(crate) address: SocketAddr,
    pub(crate) ended: Option<(Duration, io::Result<()>)>,
    began: Instant,
    /// The thread that made it.
    #[cfg(test)]
    pub(super) by: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Until {
    /// The next attempt begins so long after the one before, or at once when one fails.
    OneConnects(Duration),
    /// All begin at once.
    AllHaveEnded,
}

impl Race {
    /// Tries the addresses in this order until the time is up.
    pub(super) fn run(
        self: &Arc<Self>,
        addresses: &[SocketAddr],
        limit: Duration,
        until: Until,
        threads: &Arc<Background>,
    ) -> State {
        let deadline = Deadline::after(limit);
        let (pace, is_won): (_, fn(&State) -> bool) = match until {
            Until::OneConnects(pace) => (pace, |state| state.won.is_some()),
            Until::AllHaveEnded => (Duration::ZERO, |_| false),
        };
        // The first attempt may be under way, on the look-up's thread.
        let begun = lock(&self.state).attempts.len();
        let mut failures = 0;
        for (index, address) in addresses.iter().enumerate() {
            let left = addresses.len() - index;
            if index >= begun {
                self.begin_one(*address, left as u32, addresses.len() == 1, deadline, threads);
            }
            let time =
                if left == 1 { deadline.remaining() } else { pace.min(deadline.remaining()) };
            let waits = |state: &mut State| match left {
                _ if is_won(state) => false,
                1 => state.attempts.iter().any(|attempt| attempt.ended.is_none()),
                _ => state.failures() == failures,
            };
            let (state, _) = self
                .changed
                .wait_timeout_while(lock(&self.state), time, waits)
                .unwrap_or_else(PoisonError::into_inner);
            if is_won(&state) || deadline.remaining().is_zero() {
                break;
            }
            // Each failure lets one attempt begin.
            failures = state.failures().min(failures + 1);
        }
        self.end()
    }

    fn begin_one(
        self: &Arc<Self>,
        address: SocketAddr,
        left: u32,
        is_alone: bool,
        deadline: Deadline,
        threads: &Arc<Background>,
    ) {
        let Some(number) = self.begin(address) else { return };
        let race = self.clone();
        let attempt = move || race.attempt(number, address, deadline.remaining());
        let is_begun = !is_alone && threads.run("paytoken-connect", attempt).is_ok();
        if !is_begun {
            // Where no thread is to be had, one after the other, each with its share of the time.
            self.attempt(number, address, deadline.remaining() / left);
        }
    }

    /// The number of a new attempt, if somebody waits for it.
    pub(super) fn begin(&self, address: SocketAddr) -> Option<usize> {
        let mut state = lock(&self.state);
        (!state.is_over).then(|| {
            state.attempts.push(Attempt {
                address,
                ended: None,
                began: monotonic(),
                #[cfg(test)]
                by: None,
            });
            state.attempts.len() - 1
        })
    }

    pub(super) fn attempt(&self, number: usize, address: SocketAddr, limit: Duration) {
        if lock(&self.state).is_over {
            return;
        }
        let (stream, ended) = match connect(address, limit) {
            Ok(stream) => (Some(stream), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let mut state = lock(&self.state);
        if let Some(attempt) = state.attempts.get_mut(number) {
            attempt.ended = Some((attempt.began.elapsed(), ended));
            #[cfg(test)]
            attempt.by.clone_from(&std::thread::current().name().map(str::to_owned));
        }
        // One that comes too late is closed at once.
        if !state.is_over && state.won.is_none() {
            state.won = stream.map(|stream| (address, stream));
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) -> State {
        mem::replace(&mut lock(&self.state), State { is_over: true, ..State::default() })
    }
}

impl State {
    fn failures(&self) -> usize {
        let has_failed = |attempt: &&Attempt| matches!(attempt.ended, Some((_, Err(_))));
        self.attempts.iter().filter(has_failed).count()
    }
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    if limit.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    occupy_standard();
    let stream = TcpStream::connect_timeout(&address, limit)?;
    // What is sent is small, and its answer is waited for.
    stream.set_nodelay(true)?;
    Ok(stream)
}
