//! One binary for all integration tests: what the library does, seen from outside.
//! (What needs a process of its own, the logger, is in `tests/leaks`.)

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, unreachable_pub)] // it is a test

mod addresses;
mod background;
mod bad_input;
mod cache;
mod certificate_renewal;
mod certificates;
mod described;
mod described_cases;
mod found;
mod generations;
mod heads;
#[cfg(unix)]
mod limits;
mod network;
mod odd_calls;
mod pace;
mod processes;
mod provider_cases;
mod proxy;
mod renewal;
mod sealed;
mod settings;
mod single_flight;
mod store;
mod store_changes;
mod store_contract;
mod store_files;
#[cfg(unix)]
mod store_modes;
#[cfg(unix)]
mod store_owner;
mod support;
mod surface;
mod transport;
mod unicode;
