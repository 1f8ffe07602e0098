//! The caller's memory: every raw pointer is read or written in this file, under the header's
//! contract that a pointer is NULL or points to what the parameter's type says for the whole call.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use zeroize::Zeroize as _;

use crate::code;
use crate::error::Failure;

/// A string in: NUL-terminated UTF-8.
#[repr(transparent)]
pub(crate) struct Text(*const c_char);

/// The start of bytes in; the length is the next parameter.
#[repr(transparent)]
pub(crate) struct Bytes(*const u8);

/// Where one value goes; NULL where the caller does not want it.
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

/// Where a string goes; the capacity is the next parameter.
#[repr(transparent)]
pub(crate) struct Buffer(*mut c_char);

/// Memory to be wiped.
#[repr(transparent)]
pub(crate) struct Untyped(*mut c_void);

/// A struct whose first member is a `uint32_t` that says how much of it the caller has.
#[repr(transparent)]
pub(crate) struct SizedIn<T>(*const T);

/// The same, to be written.
#[repr(transparent)]
pub(crate) struct SizedOut<T>(*mut T);

/// Plain C structs: every byte pattern is a value, and there is no padding.
///
/// # Safety
/// `repr(C)`, integers only, a `u32` first, no padding.
pub(crate) unsafe trait Plain: Copy {}

/// No struct of this library comes near; a larger size is memory that was never set.
const LARGEST_STRUCT: usize = 4096;

impl Text {
    pub(crate) fn read(&self, argument: &str) -> Result<&str, Failure> {
        if self.0.is_null() {
            return Err(Failure::null(argument));
        }
        // SAFETY: not NULL, so by the header it is NUL-terminated and stays as it is during the
        // call; the borrow ends with `self`, which is a parameter of that call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|_| {
            Failure::new(code::INVALID_ARGUMENT, format!("{argument}: not valid UTF-8"))
        })
    }
}

impl Bytes {
    pub(crate) fn read(&self, length: usize, argument: &str) -> Result<&[u8], Failure> {
        if self.0.is_null() {
            return Err(Failure::null(argument));
        }
        check_length(length, argument)?;
        // SAFETY: not NULL, so by the header `length` bytes are readable and stay as they are
        // during the call; the length fits an isize.
        Ok(unsafe { slice::from_raw_parts(self.0, length) })
    }
}

impl<T> Out<T> {
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn check(&self, argument: &str) -> Result<(), Failure> {
        if self.is_null() { Err(Failure::null(argument)) } else { Ok(()) }
    }

    /// Does nothing where the caller passed NULL.
    pub(crate) fn write(&self, value: T) {
        if !self.is_null() {
            // SAFETY: not NULL, so by the header it is writable, aligned and nobody else's during
            // the call. What was there is not read: it may be uninitialised.
            unsafe { self.0.write(value) };
        }
    }
}

impl Buffer {
    /// Copies the text and a final NUL, or says how much room it takes.
    pub(crate) fn fill(
        &self,
        capacity: usize,
        length: &Out<usize>,
        text: &str,
    ) -> Result<i32, Failure> {
        if capacity <= text.len() {
            length.write(text.len());
            return Ok(code::BUFFER_TOO_SMALL);
        }
        // SAFETY: `check` was called before anything was fetched, so it is not NULL, and by the
        // header `capacity` bytes are writable, more than the text has. The text is our own
        // memory, so the two do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), self.0.cast::<u8>(), text.len());
            self.0.add(text.len()).write(0);
        }
        length.write(text.len());
        Ok(code::OK)
    }

    /// NULL is in order where there is no room: that asks for the length.
    pub(crate) fn check(&self, capacity: usize) -> Result<(), Failure> {
        if self.0.is_null() && capacity > 0 { Err(Failure::null("buf")) } else { Ok(()) }
    }
}

impl Untyped {
    pub(crate) fn wipe(&self, length: usize) {
        if self.0.is_null() || length > isize::MAX as usize {
            return;
        }
        // SAFETY: not NULL, so by the header `length` bytes are writable and nobody else's during
        // the call. They may be uninitialised, which MaybeUninit allows for.
        let bytes = unsafe { slice::from_raw_parts_mut(self.0.cast::<MaybeUninit<u8>>(), length) };
        bytes.zeroize();
    }
}

impl<T: Plain + Default> SizedIn<T> {
    /// NULL is a struct of zeroes. A caller built against a later header may have a larger struct:
    /// what this library does not know has to be zero.
    pub(crate) fn read(&self, smallest: usize) -> Result<T, Failure> {
        let mut value = T::default();
        if self.0.is_null() {
            return Ok(value);
        }
        // SAFETY: not NULL, so by the header it starts with a readable, aligned uint32_t.
        let size = unsafe { self.0.cast::<u32>().read() } as usize;
        check_size(size, smallest)?;
        let known = size.min(size_of::<T>());
        // SAFETY: by the header `size` bytes are readable; the size was checked to be sane.
        let bytes = unsafe { slice::from_raw_parts(self.0.cast::<u8>(), size) };
        if bytes[known..].iter().any(|byte| *byte != 0) {
            return Err(Failure::new(
                code::INVALID_ARGUMENT,
                "the struct asks for something that this version of the library does not know",
            ));
        }
        // SAFETY: `known` bytes are readable and fit into `value`, for which (Plain) any bytes are
        // a value.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast::<u8>(), known);
        }
        Ok(value)
    }
}

impl<T: Plain> SizedOut<T> {
    /// Checked before the work is done.
    pub(crate) fn size(&self, smallest: usize) -> Result<usize, Failure> {
        if self.0.is_null() {
            return Err(Failure::null("status"));
        }
        // SAFETY: not NULL, so by the header it starts with a readable, aligned uint32_t.
        let size = unsafe { self.0.cast::<u32>().read() } as usize;
        check_size(size, smallest)?;
        Ok(size)
    }

    /// Writes what fits into the caller's struct, whose `size` says how much was known.
    pub(crate) fn write(&self, size: usize, value: T) {
        let known = size.min(size_of::<T>());
        // SAFETY: `size` came from `size()`, so it is not NULL and by the header that many bytes
        // are writable; `value` has at least `known` bytes and (Plain) no padding among them.
        unsafe {
            ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), self.0.cast::<u8>(), known);
            self.0.cast::<u32>().write(known as u32);
        }
    }
}

fn check_length(length: usize, argument: &str) -> Result<(), Failure> {
    if length > isize::MAX as usize {
        return Err(Failure::new(
            code::INVALID_ARGUMENT,
            format!("{argument}: the length is larger than any memory"),
        ));
    }
    Ok(())
}

fn check_size(size: usize, smallest: usize) -> Result<(), Failure> {
    if !(smallest..=LARGEST_STRUCT).contains(&size) {
        return Err(Failure::new(
            code::INVALID_ARGUMENT,
            "the struct's size: not set; set it to sizeof of the struct",
        ));
    }
    Ok(())
}
