//! The pages for people: links that lead somewhere, tables that say what the facts say, pictures that
//! are drawn from them, blocks that work when they are pasted.

#![allow(clippy::unwrap_used)] // it is a test

mod blocks;
mod examples;
mod installed;
mod links;
mod pasted;
mod pictures;
mod providers;
mod rustdoc;
mod world;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo puts what it builds: this test is in its `deps`.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}
