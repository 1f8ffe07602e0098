//! Locks, threads and waiting. In a model check (`--cfg paytoken_model`, tests only) they are
//! shuttle's, which tries out orders of threads, and time is the simulation's where there is one.

#[cfg(not(all(test, paytoken_model)))]
mod background;
#[cfg(all(test, paytoken_model))]
pub(crate) mod simulated;

#[cfg(not(all(test, paytoken_model)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, paytoken_model)))]
pub(crate) use std::thread_local;

#[cfg(not(all(test, paytoken_model)))]
use std::{hash::BuildHasher as _, hash::Hasher as _, thread, time::Duration};

#[cfg(not(all(test, paytoken_model)))]
pub(crate) use self::background::Background;
#[cfg(all(test, paytoken_model))]
pub(crate) use self::simulated::{Background, Condvar, chance, sleep};
#[cfg(all(test, paytoken_model))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(all(test, paytoken_model))]
pub(crate) use shuttle::thread_local;

/// No program code runs under a lock of ours, so what a poisoned one guards is still consistent.
#[allow(unused_qualifications)] // the model's Mutex is another one
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(not(all(test, paytoken_model)))]
pub(crate) fn sleep(time: Duration) {
    thread::sleep(time);
}

/// The standard library's only source of chance: each hasher starts from a new random key.
#[cfg(not(all(test, paytoken_model)))]
pub(crate) fn chance() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
