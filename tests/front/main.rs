//! The documented production shape: a real nginx that verifies client certificates, in front of a
//! backend that keeps what it is sent.
//!
//! Without nginx and openssl on the machine each test says so and passes; with `CI=true` their
//! absence fails.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)] // it is a test
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod accepted;
mod authority;
mod backend;
mod handshakes;
mod inputs;
mod nginx;
mod refused;
mod tools;
