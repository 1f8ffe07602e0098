//! What every function of the C interface goes through: its result becomes a code and, where there
//! is one, an error object.

use crate::code;
use crate::error::Failure;
use crate::memory::Out;
pub(crate) use crate::panic::guard;

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
