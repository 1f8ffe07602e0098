//! The slot behind its Mutex, the threads that wait for its flight, and the leader's duty to land.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::clock::{Deadline, Now};
use crate::error::Result;
use crate::fetch::Core;
use crate::provider::Renewal;
use crate::slot::{Ask, Says, Slot};
use crate::token::Token;

/// A slot and the threads that wait for its flight.
pub(crate) struct SlotCell {
    state: Mutex<Slot>,
    landed: Condvar,
    pub(crate) requests: AtomicU64,
}

impl SlotCell {
    pub(crate) fn new(renewal: Renewal) -> Self {
        Self {
            state: Mutex::new(Slot::new(renewal)),
            landed: Condvar::new(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Slot> {
        lock(&self.state)
    }

    /// Waits until the flight has landed or the deadline has passed.
    pub(crate) fn wait_for<'a>(
        &self,
        slot: MutexGuard<'a, Slot>,
        flight: u64,
        deadline: Deadline,
    ) -> MutexGuard<'a, Slot> {
        self.landed
            .wait_timeout_while(slot, deadline.remaining(), |slot| slot.is_in_flight(flight))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// The leader's duty to report. Dropped without a report (a panic, a thread that never started),
/// it frees the flight so that another caller may lead.
pub(crate) struct Landing {
    slot: Arc<SlotCell>,
    core: Arc<Core>,
    flight: u64,
    has_landed: bool,
}

impl Landing {
    pub(crate) fn new(slot: Arc<SlotCell>, core: Arc<Core>, flight: u64) -> Self {
        Self { slot, core, flight, has_landed: false }
    }

    /// Returns whether there is a token afterwards.
    pub(crate) fn land(mut self, now: Now, result: Result<Token>, says: Says) -> bool {
        let has_token = {
            let mut slot = self.slot.lock();
            slot.land(now, self.flight, result, says);
            slot.usable(now, &Ask::default()).is_some()
        };
        self.has_landed = true;
        self.slot.landed.notify_all();
        has_token
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.has_landed {
            let now = self.core.clock.now();
            self.slot.lock().abandon(now, self.flight);
            self.slot.landed.notify_all();
        }
    }
}

/// No program code runs under a lock of ours, so a poisoned one is in order.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
