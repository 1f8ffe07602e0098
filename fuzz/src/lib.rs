//! Mutates seeds and feeds them to everything of paytoken that reads what others wrote.
//!
//! ```sh
//! cargo run --release -p paytoken-fuzz              # every target, 10 s each
//! FUZZ_SECONDS=600 cargo run --release -p paytoken-fuzz -- entry pem
//! cargo test -p paytoken-fuzz                       # the same targets, as tests
//! ```
//!
//! Chance is seeded, so a run repeats exactly; `FUZZ_SEED` makes it another one. Of each target it
//! is asked that nothing panics, that no token leaves which does not belong in a header, that no
//! error shows the secret, and that memory stays within a small multiple of the input.
//!
//! The same targets and rules, guided by coverage: `guided/`, with libFuzzer. It takes a nightly
//! toolchain, a C++ compiler and `cargo install --locked cargo-fuzz`.
//!
//! ```sh
//! cargo run --release -p paytoken-fuzz -- --corpus fuzz/guided/corpus   # seeds and dictionaries
//! cd fuzz/guided
//! cargo +nightly fuzz run --fuzz-dir . entry -- -dict=corpus/entry.dict -max_total_time=600
//! cargo +nightly fuzz run --fuzz-dir . entry artifacts/entry/crash-...  # once more
//! ```
//!
//! What C hands in is tried from C: `capi/ctest/run fuzz`, and `fuzz-guided` under libFuzzer.
//!
//! Targets that speak over loopback take `-detect_leaks=0`, too: a check while a thread begins or
//! ends sees leaks that are none (google/sanitizers#757). The check at the end of the run stays.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // for programs alone

mod memory;
mod server;
mod target;

pub use target::{ALL, Outcome, Target};

/// Delegates to the system's, so sanitizers see every allocation.
#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

/// Runs one input; also tells the most bytes that were in use. Too many break a rule.
pub fn examine(target: &mut dyn Target, input: &[u8]) -> (Outcome, usize) {
    let mark = memory::mark();
    let mut outcome = target.execute(input);
    let used = memory::since(mark);
    if used > target.allowance() + 64 * input.len() {
        outcome.broken.push(("memory", format!("{used} bytes")));
    }
    (outcome, used)
}
