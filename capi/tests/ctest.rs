//! The basic C tests under plain `cargo test`: the header, the exported symbols, every function from C
//! against the sandbox, and unloading. `ctest/run` does the rest.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // it is a test

use std::path::Path;
use std::process::Command;

use paytoken_testing::{World, has_tool};

#[test]
fn a_c_program_is_served_by_every_function_as_the_header_says() {
    if !has_tool("cc") {
        return;
    }
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/ctest-…: the tests' own folder. With the sandbox of this process, and the library
    // built along with an example of all members, cargo finds what `cargo test` has built there; each
    // package by itself has other features, for which rustls and all that uses it are built once more.
    let target = test.ancestors().nth(3).unwrap();
    let world = World::new();
    let capi = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(capi.join("ctest/run"))
        .current_dir(capi.parent().unwrap())
        .env("PLAIN_LIBRARY", "--lib --example token_loop")
        .args(["header", "symbols", "basic", "tables", "unload"])
        .env("CARGO_TARGET_DIR", target)
        .env("SANDBOX", "given")
        .envs(world.variables.clone())
        .env("UNLOAD_TIMES", "20")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn the_headers_version_is_the_packages() {
    let header = include_str!("../include/paytoken.h");
    for (name, value) in [
        ("", format!("\"{}\"", env!("CARGO_PKG_VERSION"))),
        ("_MAJOR", env!("CARGO_PKG_VERSION_MAJOR").to_owned()),
        ("_MINOR", env!("CARGO_PKG_VERSION_MINOR").to_owned()),
        ("_PATCH", env!("CARGO_PKG_VERSION_PATCH").to_owned()),
    ] {
        let line = format!("#define PAYTOKEN_VERSION{name} {value}");
        assert!(header.lines().any(|known| known == line), "{line}");
    }
}
