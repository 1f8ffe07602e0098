//! Where a panic ends: it becomes a value, and nothing unwinds into C.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body; a panic in it becomes `on_panic`.
pub(crate) fn guard<T>(name: &'static str, on_panic: T, body: impl FnOnce() -> T) -> T {
    // What a panic leaves behind is used again: the core's locks are made for that, and a config's
    // fields are replaced whole.
    let result = catch_unwind(AssertUnwindSafe(|| {
        panic_if_asked(name);
        body()
    }));
    match result {
        Ok(value) => value,
        Err(payload) => {
            // A payload may panic again when it is dropped.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            on_panic
        }
    }
}

#[cfg(paytoken_test_panic)]
fn panic_if_asked(name: &str) {
    if std::env::var("PAYTOKEN_TEST_PANIC").is_ok_and(|asked| asked == name) {
        panic!("{name} was asked to panic");
    }
}

#[cfg(not(paytoken_test_panic))]
fn panic_if_asked(_: &str) {}
