//! The locks. In a model check (`--cfg paytoken_model`, tests only) the protocol of `flight.rs` runs
//! on shuttle's, which try out every order of threads.

#[cfg(all(test, paytoken_model))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, paytoken_model)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// No program code runs under a lock of ours, so what a poisoned one guards is still consistent.
#[allow(unused_qualifications)] // the model's Mutex is another one
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
