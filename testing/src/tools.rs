//! Programs that a test needs and a machine may lack.

use std::io::Write as _;

/// Whether a program is there, by its name or its path. A test that goes without says so and
/// passes; with `CI=true` it fails.
pub fn has_tool(tool: &str) -> bool {
    let found = is_installed(tool);
    if !found {
        not_run(&format!("{tool} is not installed here"));
    }
    found
}

/// Whether a program is there, by its name or its path; nothing is said.
pub fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Says on the console that a test was not run, and why; with `CI=true` it fails.
pub fn not_run(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "not run: {why}");
    say(&format!("not run: {why}"));
}

/// A line on the console, past the test harness, which keeps what a passing test prints.
pub fn say(message: &str) {
    std::io::stderr().write_all(format!("{message}\n").as_bytes()).unwrap();
}
