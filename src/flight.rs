//! The slot behind its Mutex, the threads that wait for its flight, and the leader's duty to land.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::clock::{Deadline, Now};
use crate::error::Result;
use crate::fetch::Core;
use crate::provider::Renewal;
use crate::slot::{Ask, Says, Slot};
use crate::store::Watch;
use crate::token::Token;

/// A slot and the threads that wait for its flight.
pub(crate) struct SlotCell {
    state: Mutex<Slot>,
    landed: Condvar,
    pub(crate) requests: AtomicU64,
    /// What was last seen of the store shared with other processes.
    pub(crate) watch: Watch,
    /// A worker keeps its token to itself.
    pub(crate) is_private: bool,
}

impl SlotCell {
    pub(crate) fn new(renewal: Renewal, is_private: bool) -> Self {
        Self {
            state: Mutex::new(Slot::new(renewal)),
            landed: Condvar::new(),
            requests: AtomicU64::new(0),
            watch: Watch::default(),
            is_private,
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

impl Landing {
    /// Another process is at it.
    pub(crate) fn give_up(mut self, now: Now) {
        self.slot.lock().give_up(now, self.flight);
        self.has_landed = true;
        self.slot.landed.notify_all();
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
