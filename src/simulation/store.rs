//! A store in memory that fails, whose lock ends with its holder or with its lease, and which may
//! forget its last write and all locks, as a server's replica does that takes over too early.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::current::me;

use super::Case;
use crate::base::sync::lock;
use crate::base::sync::simulated::{machine_time, now, wait, wake};
use crate::store::{Store, StoreGuard};
use crate::types::error::{Error, Result};
use crate::types::key::StoreKey;

#[derive(Default)]
pub(super) struct Shelf {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entry: Option<Vec<u8>>,
    /// Before the last write.
    previous: Option<Vec<u8>>,
    stamp: u64,
    locks: u64,
    holder: Option<Holder>,
    waiting: Vec<usize>,
}

struct Holder {
    number: u64,
    process: usize,
    until: Option<Duration>,
}

/// The store as one process reaches it.
pub(super) struct Reach {
    pub(super) case: Arc<Case>,
    pub(super) process: usize,
}

impl Shelf {
    pub(super) fn entry(&self) -> Option<Vec<u8>> {
        lock(&self.state).entry.clone()
    }

    /// Whose lock it is.
    pub(super) fn holder(&self) -> Option<usize> {
        lock(&self.state).holder.as_ref().map(|holder| holder.process)
    }

    /// A replica takes over that has not seen the last write.
    pub(super) fn fails_over(&self, case: &Case) {
        let mut state = lock(&self.state);
        state.entry = state.previous.clone();
        state.stamp += 1;
        let holder = state.holder.take();
        state.wake();
        drop(state);
        if let Some(holder) = holder {
            case.lost_its_lease(holder.process);
        }
    }

    /// What the kernel does for a process that died. A lease stays.
    pub(super) fn process_died(&self, process: usize) {
        let mut state = lock(&self.state);
        if state.holder.as_ref().is_some_and(|held| held.process == process && held.until.is_none())
        {
            state.holder = None;
            state.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        for task in self.waiting.drain(..) {
            wake(task);
        }
    }

    fn is_free(&self) -> bool {
        match &self.holder {
            Some(holder) => holder.until.is_some_and(|until| until <= now()),
            None => true,
        }
    }
}

impl Reach {
    /// One step of an operation, at which it may fail.
    fn step(&self, what: &str) -> Result<()> {
        self.case.step(self.process);
        if self.case.store_fails(self.process) {
            self.case.tell(|| format!("process {}: the store's {what} fails", self.process));
            return Err(Error::store(format!("store: {what} failed")));
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.case.shelf.state)
    }
}

impl Store for Reach {
    fn read(&self, _: &StoreKey) -> Result<Option<Vec<u8>>> {
        self.step("read")?;
        Ok(self.state().entry.clone())
    }

    fn stamp(&self, _: &StoreKey) -> Result<Option<u64>> {
        self.step("stamp")?;
        Ok(Some(self.state().stamp))
    }

    fn lock(
        &self,
        _: &StoreKey,
        limit: Duration,
        hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        self.step("lock")?;
        let until = machine_time() + limit;
        loop {
            if let Some(number) = self.try_lock(hold) {
                self.case.tell(|| format!("process {}: has lock {number}", self.process));
                // The lock is ours even if the process dies now.
                let guard = Guard { reach: self, number };
                self.case.step(self.process);
                return Ok(Some(Box::new(guard)));
            }
            if machine_time() >= until {
                return Ok(None);
            }
            self.state().waiting.push(me().into());
            wait(until.min(machine_time() + Duration::from_millis(50)), || self.state().is_free());
            self.case.step(self.process);
        }
    }
}

impl Reach {
    fn try_lock(&self, hold: Duration) -> Option<u64> {
        let mut state = self.state();
        if !state.is_free() {
            return None;
        }
        if let Some(late) = state.holder.take() {
            self.case.lost_its_lease(late.process);
        }
        state.locks += 1;
        let until = self.case.plan.has_leases.then(|| now() + hold);
        state.holder = Some(Holder { number: state.locks, process: self.process, until });
        Some(state.locks)
    }
}

struct Guard<'a> {
    reach: &'a Reach,
    number: u64,
}

impl StoreGuard for Guard<'_> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.reach.step("read")?;
        Ok(self.reach.state().entry.clone())
    }

    fn write(&mut self, entry: &[u8], _: Duration) -> Result<()> {
        self.reach.step("write")?;
        let mut state = self.reach.state();
        let is_ours = state.holder.as_ref().is_some_and(|holder| {
            holder.number == self.number && holder.until.is_none_or(|until| until > now())
        });
        if !is_ours {
            let process = self.reach.process;
            drop(state);
            self.reach.case.lost_its_lease(process);
            return Err(Error::store("store: the lock was lost, so nothing was written"));
        }
        state.previous = state.entry.replace(entry.to_vec());
        state.stamp += 1;
        drop(state);
        self.reach.case.step(self.reach.process);
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.reach.case.is_dead(self.reach.process) {
            return;
        }
        let mut state = self.reach.state();
        if state.holder.as_ref().is_some_and(|holder| holder.number == self.number) {
            state.holder = None;
            state.wake();
        }
    }
}
