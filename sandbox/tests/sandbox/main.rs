//! Tests of the sandbox from outside, over real connections.

// clippy.toml allows this inside #[test] functions only; the helpers here are tests as well.
#![allow(clippy::unwrap_used)]

mod client;
mod control;
mod described;
mod faults;
mod http;
mod lifecycle;
mod program;
mod providers;
