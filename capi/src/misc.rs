//! What belongs to no object: version, names of codes, wiping.

use std::ffi::c_char;

use crate::boundary::guard;
use crate::code;
use crate::memory::Untyped;

/// NUL-terminated.
static VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

#[unsafe(no_mangle)]
extern "C" fn paytoken_version() -> *const c_char {
    guard("paytoken_version", c"".as_ptr(), || VERSION.as_ptr().cast())
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_code_name(number: i32) -> *const c_char {
    guard("paytoken_code_name", c"".as_ptr(), || code::name(number).as_ptr())
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_wipe(memory: Untyped, length: usize) {
    guard("paytoken_wipe", (), || memory.wipe(length));
}
