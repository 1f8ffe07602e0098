//! The programs of the README, the tour and the page on async programs, pasted as GitHub shows them
//! into an empty project beside a copy of the repository, and run against the sandbox.
//!
//! (What is installed for shell and C is in `installed.rs`, the crontab lines are run by
//! `cli/tests/processes/cron.rs`.)

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use paytoken::Provider;
use paytoken_sandbox::Fault;

use crate::blocks::{self, Block};
use crate::installed::{has_curl, not_checked};
use crate::world::{World, program};
use crate::{built, root};

const README: &str = include_str!("../../README.md");
const TOUR: &str = include_str!("../../docs/tour.md");
const CLIENTS: &str = include_str!("../../docs/http-clients.md");
const ASYNC: &str = include_str!("../../docs/async.md");

/// Cargo, with the crates that are on this machine already, and with the target folder and the profile of
/// this very build: of what the projects depend on, most is there.
pub(crate) fn cargo(command: &mut Command) -> &mut Command {
    let home = std::env::var_os("HOME").unwrap();
    let or = |name: &str, folder: &str| {
        std::env::var_os(name).unwrap_or_else(|| Path::new(&home).join(folder).into())
    };
    command
        .env("CARGO_TARGET_DIR", built().parent().unwrap())
        .env("CARGO_HOME", or("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", or("RUSTUP_HOME", ".rustup"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
}

/// The versions that the workspace has, so that nothing is downloaded.
fn lock(project: &Path) {
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
}

/// A folder with the copy in it, as a reader has it.
pub(crate) fn beside_the_copy(world: &World) -> PathBuf {
    symlink(root(), world.folder.join("paytoken")).unwrap();
    // What no variable can say of the profile.
    let settings = world.folder.join(".cargo");
    fs::create_dir_all(&settings).unwrap();
    fs::write(
        settings.join("config.toml"),
        "[profile.dev.package.\"*\"]\ndebug = false\n[profile.dev.package.ring]\nopt-level = 3\n",
    )
    .unwrap();
    world.folder.join("paytoken")
}

pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn of_language(page: &str, language: &str) -> Vec<Block> {
    let blocks = blocks::of(page);
    blocks.into_iter().filter(|block| block.language == language).collect()
}

/// A new project beside the copy, with the page's dependencies and its program.
///
/// Each has a name of its own: cargo puts the programs of all into one folder, and runs what is there.
fn project(world: &World, name: &str, page: &str) -> PathBuf {
    beside_the_copy(world);
    let new = cargo(&mut world.command("cargo")).args(["new", "--quiet", name]).output();
    text(&new.unwrap());
    let project = world.folder.join(name);
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    let dependencies = &of_language(page, "toml")[0].text;
    assert!(dependencies.starts_with("[dependencies]\n"), "{dependencies}");
    let manifest = manifest.replace("[dependencies]\n", dependencies);
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    lock(&project);
    let programs = of_language(page, "rust");
    assert_eq!(programs.len(), 1);
    fs::write(project.join("src/main.rs"), &programs[0].text).unwrap();
    project
}

fn run(world: &World, project: &Path) -> String {
    let mut command = world.command("cargo");
    text(&cargo(&mut command).args(["run", "--quiet"]).current_dir(project).output().unwrap())
}

#[test]
fn the_readmes_program_compiles_in_an_empty_project_and_runs() {
    let world = World::new();
    let printed = run(&world, &project(&world, "readme", README));
    assert!(printed.starts_with("Bearer ") && printed.ends_with("…\n"), "{printed}");
    assert_eq!(world.sandbox.token_requests(Provider::NexterPay), 1);
}

#[test]
fn the_program_with_ureq_compiles_in_an_empty_project_and_costs_one_replay_after_a_401() {
    let world = World::new();
    let project = project(&world, "client", CLIENTS);
    assert!(run(&world, &project).contains("200 OK [{\"code\":\"MX\""));
    world.sandbox.api_fault_next(Provider::NexterPay, 1, Fault::Status(401));
    world.sandbox.reset_counts();
    assert!(run(&world, &project).contains("Mexico"));
    assert_eq!(world.sandbox.counts(Provider::NexterPay).api_requests, 2);
}

#[test]
fn the_program_with_tokio_compiles_in_an_empty_project_and_makes_one_request() {
    let world = World::new();
    // Long enough that many tasks ask while it is under way.
    world.sandbox.set_delay(Provider::SendPayments, Duration::from_millis(300));
    let printed = run(&world, &project(&world, "tasks", ASYNC));
    assert_eq!(printed, "1000 tasks have a token, 1 request\n");
    assert_eq!(world.sandbox.token_requests(Provider::SendPayments), 1);
}

/// Every block of the tour, from top to bottom, in one shell; after each, what it says it prints.
#[test]
fn the_tour_works_line_by_line() {
    if !has_curl() {
        return not_checked("the tour, which uses curl");
    }
    let world = World::new();
    let copy = beside_the_copy(&world);
    let mut blocks = blocks::of(TOUR).into_iter();
    let start = blocks.next().unwrap();
    assert_eq!(
        start.text,
        "cargo build -p paytoken-sandbox \\\n  -p paytoken-cli\ntarget/debug/paytoken-sandbox --run bash\n"
    );
    // The binaries of this very build; `--run bash` is what `world` does.
    for name in ["paytoken-sandbox", "paytoken"] {
        program(&built().join(name), "cargo build -p paytoken-sandbox -p paytoken-cli");
    }
    // As on a terminal, where errors are shown with what is printed.
    let mut script = String::from("set -euo pipefail; exec 2>&1\n");
    let mut file = "";
    let mut expected = Vec::new();
    for Block { language, text } in blocks {
        match language.as_str() {
            "toml" => {
                script += &format!("cat > Cargo.toml <<'EOF_TOML'\n{text}EOF_TOML\n");
                script += &format!("cp '{}' Cargo.lock; mkdir -p src/bin\n", lock_file());
            }
            "rust" => {
                file = if file.is_empty() { "first" } else { "threads" };
                script += &format!("cat > src/bin/{file}.rs <<'EOF_RUST'\n{text}EOF_RUST\n");
                assert!(TOUR.contains(&format!("`src/bin/{file}.rs`")), "{file}");
            }
            "sh" => script += &format!("{text}echo '== end of block'\n"),
            "text" => {
                let printed = script.matches("== end of block").count();
                expected.push((printed - 1, text));
            }
            other => panic!("a block of {other}: it is not run"),
        }
    }
    let path = std::env::var("PATH").unwrap();
    let mut shell = world.command("bash");
    cargo(&mut shell)
        .env("PATH", format!("{}:{path}", built().display()))
        // No cargo of ours may look for another toolchain file on the way up.
        .current_dir(&copy)
        .env("PWD", &copy)
        .args(["-c", &script]);
    let output = shell.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");
    let parts: Vec<_> = printed.split("== end of block\n").collect();
    assert!(expected.len() >= 7, "{expected:?}");
    for (part, text) in expected {
        let is_all = parts[part].lines().count() == text.lines().count()
            && parts[part].lines().zip(text.lines()).all(|(real, shown)| is_shown_as(real, shown));
        assert!(is_all, "after block {part} the page shows\n{text}and this comes\n{}", parts[part]);
    }
}

/// Whether this line is shown so, where `…` stands for anything.
fn is_shown_as(real: &str, shown: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = real.strip_prefix(pieces.next().unwrap()) else { return false };
    let mut is_open = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        (rest, is_open) = (&rest[at + piece.len()..], piece.is_empty());
    }
    rest.is_empty() || is_open
}

fn lock_file() -> String {
    root().join("Cargo.lock").display().to_string()
}

#[test]
fn the_readmes_commands_are_those_of_the_gate() {
    let gate = fs::read_to_string(root().join(".ci/run")).unwrap();
    let first = &of_language(README, "sh")[0].text;
    for line in first.lines() {
        let line = line.replace("cargo ", "");
        let is_run = gate.lines().any(|known| {
            known
                .strip_prefix("cargo ")
                .is_some_and(|it| it.replace("--locked ", "").trim() == line)
                || known.trim() == format!("cargo {line} --locked")
        });
        assert!(is_run, "the gate does not run cargo {line}");
    }
    assert_eq!(first.lines().count(), 2);
}

#[test]
fn no_block_hides_a_line() {
    for page in fs::read_dir(root().join("docs")).unwrap().chain(fs::read_dir(root()).unwrap()) {
        let path = page.unwrap().path();
        if path.extension().is_some_and(|it| it == "md") {
            for block in blocks::of(&fs::read_to_string(&path).unwrap()) {
                let hides = |line: &str| line.trim_start().starts_with("# ") || line.trim() == "#";
                let is_rust = block.language.starts_with("rust");
                let hidden = block.text.lines().find(|line| is_rust && hides(line));
                assert!(hidden.is_none(), "{}: GitHub shows {hidden:?}", path.display());
            }
        }
    }
}
