//! Where a panic ends: it becomes a value, and nothing unwinds into C.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::code;
use crate::error::Failure;
use crate::memory::Out;

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

/// For functions without an error object.
pub(crate) fn code(name: &'static str, body: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    guard(name, code::PANIC, || body().unwrap_or_else(|failure| failure.code()))
}

/// For functions with one: `*error` becomes NULL, or the object of a failure.
pub(crate) fn code_and_error(
    name: &'static str,
    error: Out<*mut Failure>,
    body: impl FnOnce() -> Result<i32, Failure>,
) -> i32 {
    let result = guard(name, Err(None), || body().map_err(Some));
    let (code, object) = match result {
        Ok(code) => (code, std::ptr::null_mut()),
        Err(failure) if error.is_null() => {
            (failure.map_or(code::PANIC, |failure| failure.code()), std::ptr::null_mut())
        }
        Err(failure) => {
            let failure = failure.unwrap_or_else(Failure::panic);
            (failure.code(), Box::into_raw(Box::new(failure)))
        }
    };
    error.write(object);
    code
}

#[cfg(paytoken_test_panic)]
fn panic_if_asked(name: &str) {
    if std::env::var("PAYTOKEN_TEST_PANIC").is_ok_and(|asked| asked == name) {
        panic!("{name} was asked to panic");
    }
}

#[cfg(not(paytoken_test_panic))]
fn panic_if_asked(_: &str) {}
