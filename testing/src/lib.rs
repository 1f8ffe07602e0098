//! What the tests, measurements and long runs of this repository share: a clock moved by hand,
//! sources that reach the sandbox, plain servers on loopback, tools that may be missing. It is not
//! published, and makes no promise. A helper that one binary alone needs stays with that binary.
//!
//! The unit tests of `src/` can use what names no type of the library (folders, tools): there the
//! library is built once more, as a test, and its types are others than those that this crate knows.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a failure here is the test's

mod agent;
mod clock;
pub mod described;
mod logged;
pub mod foreign;
pub mod machine;
#[cfg(feature = "redis")]
pub mod redis;
pub mod sealing;
mod server;
mod sources;
mod tools;
mod wait;
mod world;

pub use agent::agent;
pub use clock::ManualClock;
pub use logged::bytes_logged;
pub use server::{Server, Trap, nobody_listens, read_request, server_config};
pub use sources::{
    builder, credentials, credentials_with, injected_credentials, reach, with_certificate,
};
pub use tempfile::TempDir;
pub use tools::{has_tool, is_installed, not_run, say};
pub use wait::{PATIENCE, until};
pub use world::{World, temporary_folder, temporary_folder_in, variables, write_private};
