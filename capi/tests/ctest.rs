//! The basic C tests under plain `cargo test`: the header, the exported symbols, every function from C
//! against the sandbox, and unloading. `ctest/run` does the rest.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // it is a test

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use paytoken_sandbox::Sandbox;

#[test]
fn a_c_program_is_served_by_every_function_as_the_header_says() {
    let has_compiler = Command::new("cc")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_compiler {
        assert!(std::env::var_os("CI").is_none(), "CI has to have cc");
        // Past the test harness, which keeps what a passing test prints.
        std::io::stderr().write_all(b"not run: cc is not installed here\n").unwrap();
        return;
    }
    let folder = std::env::temp_dir().join(format!("paytoken-ctest-{}", std::process::id()));
    // As `mktemp -d` makes it: a store in it has to be private.
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    };
    let sandbox = Sandbox::start().unwrap();
    let variables = sandbox.variables(
        &file("ca.pem", sandbox.ca_pem()),
        &file("cert.pem", sandbox.client_certificate_pem()),
        &file("key.pem", sandbox.client_key_pem()),
    );
    let status = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("ctest/run"))
        .args(["--inside", "header", "symbols", "basic", "unload"])
        .envs(variables)
        .env("PAYTOKEN_LIBRARY_DIRECTORY", library_directory())
        .env("PAYTOKEN_WORK", &folder)
        .env("UNLOAD_TIMES", "20")
        .status()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
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
