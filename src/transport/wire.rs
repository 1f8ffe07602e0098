//! One request's way over the network: how far it got, by when it has to be over, and what
//! holds secrets.
//!
//! ureq's protocol layer logs every byte it writes and reads at `trace`, and has no switch for it.
//! So it never sees a secret: it is given a body and headers of fill characters, which are replaced by
//! the real ones below it; and of the answer's body it gets as many fill characters, while the real bytes are
//! kept here.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::ConnectionDetails;
use zeroize::Zeroizing;

use super::head::Head;
use super::unveil::Hidden;
use crate::base::clock::{Deadline, monotonic};
use crate::base::dial::{Dialer, Route};
use crate::base::sync::lock;

pub(super) struct Wire {
    pub(super) dialer: Arc<Dialer>,
    /// To the host whose name was looked up.
    route: Mutex<Option<Route>>,
    phase: AtomicU8,
    limits: Mutex<Limits>,
    has_proxy: bool,
    is_plain_http: bool,
    hidden: Hidden,
    head: Mutex<Head>,
    answer: Mutex<Zeroizing<Vec<u8>>>,
    largest: usize,
}

struct Limits {
    /// For each step before the request is sent.
    connect: Duration,
    left: Duration,
    /// When the step that it is in has to be over.
    step: Instant,
    end: Instant,
}

/// The time that a phase had, and the setting to change where it was too little.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) time: Duration,
    pub(super) setting: &'static str,
}

impl fmt::Display for Limit {
    /// In milliseconds, and tenths of a second: what was asked for, not what was left of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = if self.time < Duration::from_secs(1) { 1 } else { 100 };
        let milliseconds = self.time.as_micros().div_ceil(step * 1000) * step;
        let time = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        write!(f, "within {time:?}; allow more with {}", self.setting)
    }
}

/// How far a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Resolving,
    Connecting,
    /// Connecting to the proxy, or asking it for the connection.
    Proxy,
    Handshake,
    /// The first byte of the request was handed to the kernel, or is about to be.
    Sent,
    /// As `Sent`, and the server asked for another handshake, which was declined.
    OtherHandshake,
}

impl Wire {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        hidden: Hidden,
        left: Duration,
        connect: Duration,
        has_proxy: bool,
        is_plain_http: bool,
        largest: usize,
    ) -> Self {
        let now = monotonic();
        let (connect, end) = (connect.min(left), now + left);
        Self {
            dialer,
            route: Mutex::default(),
            phase: AtomicU8::new(Phase::Resolving as u8),
            limits: Mutex::new(Limits { connect, left, step: now + connect, end }),
            has_proxy,
            is_plain_http,
            hidden,
            head: Mutex::default(),
            // Sized at once, so that no growing leaves an unwiped copy behind.
            answer: Mutex::new(Zeroizing::new(Vec::with_capacity(largest))),
            largest,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Resolving,
            1 => Phase::Connecting,
            2 => Phase::Proxy,
            3 => Phase::Handshake,
            4 => Phase::Sent,
            _ => Phase::OtherHandshake,
        }
    }

    pub(super) fn reach(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        if phase != Phase::Sent {
            // What a look-up took, or addresses that do not answer, is not missing for TLS.
            let mut limits = lock(&self.limits);
            limits.step = (monotonic() + limits.connect).min(limits.end);
        }
    }

    pub(super) fn was_sent(&self) -> bool {
        self.phase() >= Phase::Sent
    }

    pub(super) fn has_proxy(&self) -> bool {
        self.has_proxy
    }

    /// Whether this is the connection to the proxy itself: ureq makes it with the same links.
    pub(super) fn is_to_proxy(&self, details: &ConnectionDetails<'_>) -> bool {
        self.has_proxy && details.config.proxy().is_none()
    }

    pub(super) fn is_plain_http(&self) -> bool {
        self.is_plain_http
    }

    pub(super) fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// What is left for the phase it is in; whoever answers, and however slowly.
    pub(super) fn remaining(&self) -> Duration {
        let limits = lock(&self.limits);
        let end = if self.was_sent() { limits.end } else { limits.step };
        end.saturating_duration_since(monotonic())
    }

    /// What the phase it is in had from its beginning.
    pub(super) fn limit(&self) -> Limit {
        let limits = lock(&self.limits);
        match self.was_sent() || limits.step == limits.end {
            true => Limit { time: limits.left, setting: "timeout" },
            false => Limit { time: limits.connect, setting: "connect_timeout" },
        }
    }

    /// How long connecting may take, and until when.
    pub(super) fn time_to_connect(&self) -> (Duration, Deadline) {
        let limits = lock(&self.limits);
        (limits.connect, Deadline::at(limits.end))
    }

    pub(super) fn set_route(&self, route: Route) {
        *lock(&self.route) = Some(route);
    }

    pub(super) fn take_route(&self) -> Option<Route> {
        lock(&self.route).take()
    }

    /// What follows may take this long at most.
    pub(super) fn hurry(&self, limit: Duration) {
        let mut limits = lock(&self.limits);
        limits.end = limits.end.min(monotonic() + limit);
    }

    /// The answer's head.
    pub(super) fn head(&self) -> MutexGuard<'_, Head> {
        lock(&self.head)
    }

    /// Keeps a byte of the answer's body, as long as it can be of use.
    pub(super) fn keep(&self, bytes: &[u8]) {
        let mut answer = lock(&self.answer);
        let room = self.largest - answer.len();
        answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The first bytes of the answer's body.
    pub(super) fn take_answer(&self, length: usize) -> Zeroizing<Vec<u8>> {
        let mut answer = std::mem::take(&mut *lock(&self.answer));
        answer.truncate(length);
        answer
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_a_connection_has_the_whole_time_within_that_for_all() {
        let seconds = Duration::from_secs;
        let wire = |connect, left| {
            Wire::new(Arc::default(), Hidden::default(), left, connect, false, false, 0)
        };
        let long = wire(seconds(600), seconds(60_000));
        let ends =
            [Phase::Resolving, Phase::Connecting, Phase::Proxy, Phase::Handshake].map(|phase| {
                long.reach(phase);
                assert_eq!(long.limit().setting, "connect_timeout");
                lock(&long.limits).step
            });
        assert!(ends.is_sorted_by(|one, next| one < next), "{ends:?}");
        long.reach(Phase::Sent);
        assert_eq!(long.limit().setting, "timeout");
        // Where the time for all is the shorter one, it is what would have to be longer.
        let short = wire(seconds(600), seconds(300));
        short.reach(Phase::Handshake);
        assert_eq!((short.limit().time, short.limit().setting), (seconds(300), "timeout"));
    }
}
