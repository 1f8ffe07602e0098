//! `paytoken_error`: why a call failed, readable from C.

use std::error::Error as _;
use std::ffi::{CStr, CString, c_char};
use std::io;

use crate::code;
use crate::panic::guard;
use crate::words;

/// What C knows as `paytoken_error`. Immutable once made.
pub(crate) struct Failure {
    code: i32,
    message: CString,
    http_status: i32,
    retry_after_ms: i64,
    is_retryable: bool,
    /// The system's errno, 0 where there is none.
    os_code: i32,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            message: c_string(message),
            http_status: 0,
            retry_after_ms: -1,
            is_retryable: false,
            os_code: 0,
        }
    }

    pub(crate) fn null(argument: &str) -> Self {
        Self::new(code::NULL_ARGUMENT, format!("{argument}: is NULL"))
    }

    pub(crate) fn panic() -> Self {
        Self::new(code::PANIC, "a defect in libpaytoken; please report what stderr shows")
    }

    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    pub(crate) fn into_message(self) -> CString {
        self.message
    }
}

impl From<paytoken::Error> for Failure {
    fn from(error: paytoken::Error) -> Self {
        Self {
            code: code::of(error.kind()),
            message: c_string(words::of_c(&error.to_string())),
            http_status: error.status().map_or(0, i32::from),
            retry_after_ms: error
                .retry_after()
                .map_or(-1, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
            is_retryable: error.is_retryable(),
            os_code: os_code(&error),
        }
    }
}

/// The first errno among the causes.
fn os_code(error: &paytoken::Error) -> i32 {
    let mut cause = error.source();
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if let Some(number) = system.and_then(io::Error::raw_os_error) {
            return number;
        }
        cause = error.source();
    }
    0
}

/// What a C string cannot hold is replaced.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap_or_else(|error| {
        let mut bytes = error.into_vec();
        for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
            *byte = b'?';
        }
        CString::new(bytes).unwrap_or_default()
    })
}

const EMPTY: &CStr = c"";

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_message(error: Option<&Failure>) -> *const c_char {
    guard("paytoken_error_message", EMPTY.as_ptr(), || {
        error.map_or(EMPTY, |error| &error.message).as_ptr()
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_code(error: Option<&Failure>) -> i32 {
    guard("paytoken_error_code", code::PANIC, || {
        error.map_or(code::NULL_ARGUMENT, |error| error.code)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_http_status(error: Option<&Failure>) -> i32 {
    guard("paytoken_error_http_status", 0, || error.map_or(0, |error| error.http_status))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_retry_after_ms(error: Option<&Failure>) -> i64 {
    guard("paytoken_error_retry_after_ms", -1, || error.map_or(-1, |error| error.retry_after_ms))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_is_retryable(error: Option<&Failure>) -> i32 {
    guard("paytoken_error_is_retryable", 0, || {
        error.map_or(0, |error| i32::from(error.is_retryable))
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_os_code(error: Option<&Failure>) -> i32 {
    guard("paytoken_error_os_code", 0, || error.map_or(0, |error| error.os_code))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_error_free(error: Option<Box<Failure>>) {
    guard("paytoken_error_free", (), || drop(error));
}
