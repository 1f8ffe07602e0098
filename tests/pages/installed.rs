//! What the README and the page on C install, pasted into a shell beside a copy of the repository, as
//! somebody without root would, and run against the sandbox.
//!
//! The two lines that build in release take minutes. They are run where `CI` is `true`; elsewhere
//! that is said aloud, and the command is the one that cargo has built beside this test.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use paytoken_sandbox::Service;

use crate::pasted::{beside_the_copy, cargo, of_language, text};
use crate::world::{World, program};
use crate::{built, root};

const README: &str = include_str!("../../README.md");
const C: &str = include_str!("../../docs/c.md");

fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// Without it, a stranger's tests go on and say so; in CI it has to be there.
pub(crate) fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    assert!(found || !is_ci(), "curl has to be installed in CI");
    found
}

/// Past the test harness, which keeps what a passing test prints.
pub(crate) fn not_checked(what: &str) {
    let message = format!("not checked: {what}; CI=true checks it\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// A shell in the copy, with what is installed in the home of this world alone.
fn shell(world: &World, folder: &Path, script: &str) -> Output {
    let path = std::env::var("PATH").unwrap();
    let bin = world.folder.join(".cargo/bin");
    let mut shell = world.command("bash");
    cargo(&mut shell)
        .env("CARGO_INSTALL_ROOT", bin.parent().unwrap())
        .env("PATH", format!("{}:{path}", bin.display()))
        // The settings file says these.
        .env_remove("NTXPAY_CLIENT_ID")
        .env_remove("NTXPAY_CLIENT_SECRET")
        .env_remove("NTXPAY_CLIENT_CERT")
        .env_remove("NTXPAY_CLIENT_KEY")
        .env_remove("NTXPAY_ENVIRONMENT")
        .current_dir(folder)
        .args(["-euc", script]);
    shell.output().unwrap()
}

/// The README's settings file and the files that it names.
fn settings(world: &World) {
    let folder = world.folder.join(".config/paytoken");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), &of_language(README, "toml")[1].text).unwrap();
    world.sandbox.add_client(Service::NtxPay, "merchant-7", "of-this-test");
    fs::write(folder.join("ntx-secret"), "of-this-test\n").unwrap();
    for name in ["client.cert.pem", "client.key.pem"] {
        fs::copy(world.folder.join(name), folder.join(name)).unwrap();
    }
    for name in ["config.toml", "ntx-secret", "client.key.pem"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn the_readmes_lines_install_the_command_and_its_check_finds_nothing_wrong() {
    let world = World::new();
    let copy = beside_the_copy(&world);
    settings(&world);
    let lines = &of_language(README, "sh")[1].text;
    let (install, check) = lines.split_at(lines.find("paytoken check").unwrap());
    assert!(
        install.starts_with("cargo install ") && check == "paytoken check ntx-pay\n",
        "{lines}"
    );
    if is_ci() {
        text(&shell(&world, &copy, install));
    } else {
        not_checked(&format!("`{install}` (the command of this build is)"));
        let built = program(&built().join("paytoken"), "cargo build -p paytoken-cli");
        fs::create_dir_all(world.folder.join(".cargo/bin")).unwrap();
        symlink(built, world.folder.join(".cargo/bin/paytoken")).unwrap();
    }
    let table = text(&shell(&world, &copy, check));
    assert!(table.lines().count() > 10 && table.contains("config.toml"), "{table}");
    let is_odd = |line: &&str| !line.starts_with("ok ");
    let is_missing_curl = |line: &&str| line.starts_with("warning  curl ") && !has_curl();
    let odd: Vec<_> = table.lines().filter(|line| is_odd(line) && !is_missing_curl(line)).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    assert_eq!(world.sandbox.token_requests(Service::NtxPay), 0, "it sends no credentials");

    // A good token hides a secret that has become wrong, as the README says; this finds it.
    assert!(README.contains("`paytoken check ntx-pay --fetch`"));
    text(&shell(&world, &copy, "paytoken token ntx-pay"));
    world.sandbox.change_secret(Service::NtxPay, "merchant-7", "another");
    text(&shell(&world, &copy, "paytoken token ntx-pay"));
    let found = shell(&world, &copy, "paytoken check ntx-pay --fetch");
    assert_eq!(found.status.code(), Some(78), "{found:?}");
}

#[test]
fn the_lines_for_c_install_the_library_and_build_programs_that_run() {
    if !is_ci() {
        return not_checked("the README's lines for C, and the first program of docs/c.md");
    }
    let world = World::new();
    settings(&world);
    let lines = &of_language(README, "sh")[3].text;
    assert!(lines.starts_with("make -C capi install PREFIX=\"$HOME/.local\"\n"), "{lines}");
    // What they build does not belong in the repository.
    let copy = world.folder.join("copy");
    fs::create_dir(&copy).unwrap();
    symlink(root().join("capi"), copy.join("capi")).unwrap();
    let folder = world.folder.join(".config/paytoken");
    let balance = format!(
        "{lines}
        export NTXPAY_CLIENT_ID=merchant-7 NTXPAY_CLIENT_SECRET=of-this-test
        export NTXPAY_CLIENT_CERT='{0}/client.cert.pem' NTXPAY_CLIENT_KEY='{0}/client.key.pem'
        ./balance",
        folder.display()
    );
    let printed = text(&shell(&world, &copy, &balance));
    assert!(printed.contains("1250.00"), "{printed}");

    beside_the_copy(&world);
    fs::write(world.folder.join("first.c"), &of_language(C, "c")[0].text).unwrap();
    let printed = text(&shell(&world, &world.folder, &of_language(C, "sh")[0].text));
    assert!(printed.ends_with("there is a token\n"), "{printed}");
    let failed = shell(&world, &world.folder, "unset NEXTERPAY_PASSWORD; ./first");
    let told = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(failed.status.code() == Some(1) && told.contains("NEXTERPAY_PASSWORD"), "{failed:?}");
}
