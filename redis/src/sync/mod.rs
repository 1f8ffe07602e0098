//! Locks, and threads that somebody waits for at the end.

#[allow(dead_code)] // the library's own file, which uses all of it
mod background;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::background::Background;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
