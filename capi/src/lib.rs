//! The C ABI of paytoken. `include/paytoken.h` is the contract and holds the reference docs.
//!
//! ```text
//! C program ─▶ extern "C" fn ─▶ boundary ─▶ paytoken (public surface only)
//!    provider  config source     a panic
//!              error  status     becomes
//!              logger misc       a code
//!                  │
//!                  ▼
//!              memory: every raw pointer of the caller's is read and written there
//! ```
//!
//! Beside them: `account` has a config's credentials, `store` opens the store that a config names,
//! `words` puts the library's sentences into C's words, `fork` notices a fork, `pin` keeps the
//! library loaded on Windows, `panic` catches what unwinds, `code` has the numbers.
//!
//! Objects come and go as `Option<&T>`, `Option<&mut T>` and `Option<Box<T>>`, which have a C
//! pointer's layout with NULL as `None`; everything else that is a pointer has a type in
//! `memory`. The functions are private to Rust: only C, bound by the header, calls them.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod account;
mod boundary;
mod code;
mod config;
mod error;
mod fork;
mod logger;
mod memory;
mod misc;
mod panic;
#[cfg(windows)]
mod pin;
mod provider;
mod source;
mod status;
mod store;
mod words;
