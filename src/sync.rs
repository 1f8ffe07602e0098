//! The locks. In a model check (`--cfg paytoken_model`, tests only) the protocol of `flight.rs` runs
//! on shuttle's, which try out every order of threads.

use std::sync::TryLockError;

#[cfg(all(test, paytoken_model))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicU64};
#[cfg(not(all(test, paytoken_model)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicU64};

/// The lock, or `None` while another thread holds it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// No program code runs under a lock of ours, so what a poisoned one guards is still consistent.
#[allow(unused_qualifications)] // the model's Mutex is another one
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
