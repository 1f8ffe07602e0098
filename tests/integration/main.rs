//! One binary for all integration tests: what the library does, seen from outside.

mod bad_input;
mod cache;
mod certificates;
mod leaks;
mod network;
mod provider_cases;
mod renewal;
mod single_flight;
mod support;
