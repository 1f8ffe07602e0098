//! The basic C tests under plain `cargo test`: the header, the exported symbols, every function from C
//! against the sandbox, and unloading. `ctest/run` does the rest.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // it is a test

use std::path::{Path, PathBuf};
use std::process::Command;

use paytoken_testing::{World, has_tool};

#[test]
fn a_c_program_is_served_by_every_function_as_the_header_says() {
    if !has_tool("cc") {
        return;
    }
    let world = World::new();
    let status = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("ctest/run"))
        .args(["--inside", "header", "symbols", "basic", "unload"])
        .envs(world.variables.clone())
        .env("PAYTOKEN_LIBRARY_DIRECTORY", library_directory())
        .env("PAYTOKEN_WORK", &world.folder)
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

/// Builds the library: cargo does not build a cdylib for the tests of its own package.
fn library_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/ctest-…
    let profile = test.ancestors().nth(2).unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "paytoken-capi", "--target-dir"])
        .arg(profile.parent().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "the library does not build: {status}");
    profile.with_file_name("debug")
}
