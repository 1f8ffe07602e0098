//! The gate that token requests wait at while a test holds them.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::text::lock;

/// Counts those who arrive, and lets them through once it is open.
#[derive(Default)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    arrivals: usize,
    open: bool,
}

impl Gate {
    pub(crate) fn arrive(&self) {
        lock(&self.inner).arrivals += 1;
        self.changed.notify_all();
    }

    pub(crate) fn arrivals(&self) -> usize {
        lock(&self.inner).arrivals
    }

    pub(crate) fn wait_for_arrivals(&self, arrivals: usize, timeout: Duration) -> bool {
        let inner = lock(&self.inner);
        let (inner, _) = self
            .changed
            .wait_timeout_while(inner, timeout, |inner| inner.arrivals < arrivals)
            .unwrap_or_else(PoisonError::into_inner);
        inner.arrivals >= arrivals
    }

    pub(crate) fn wait(&self) {
        let inner = lock(&self.inner);
        drop(
            self.changed
                .wait_while(inner, |inner| !inner.open)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    pub(crate) fn open(&self) {
        lock(&self.inner).open = true;
        self.changed.notify_all();
    }
}
