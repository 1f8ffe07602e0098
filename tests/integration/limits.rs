//! The system's limits: no thread, no descriptor.

use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use paytoken::{Error, ErrorKind};
use paytoken_testing::nobody_listens;

use crate::transport::send_source;

/// Runs the rest of a test in a process of its own, where it may set limits: true in there.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "PAYTOKEN_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return true;
    }
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("limits::{test}"), "--nocapture"])
        .env(ALONE, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{complaint}");
    false
}

/// Runs this while the process may not use more of a resource than the limit.
fn at_limit<T>(resource: Resource, limit: u64, run: impl FnOnce() -> T) -> T {
    let (before, most) = getrlimit(resource).unwrap();
    setrlimit(resource, limit, most).unwrap();
    let result = run();
    setrlimit(resource, before, most).unwrap();
    result
}

fn without_threads(url: &str) -> Error {
    let source = send_source(url, None);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let used: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    // Less than a thread's stack.
    at_limit(Resource::RLIMIT_AS, (used + 1024) * 1024, || source.token().unwrap_err())
}

#[test]
fn no_thread_to_be_had_is_an_error_and_no_panic() {
    if !is_alone("no_thread_to_be_had_is_an_error_and_no_panic") {
        return;
    }
    let error = without_threads("https://some-name.example");
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert!(error.to_string().contains("no thread"), "{error}");
    assert!(error.is_retryable());
    // An address needs none.
    let free = nobody_listens();
    let error = without_threads(&format!("https://{free}"));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn no_descriptor_to_be_had_is_told_as_that() {
    if !is_alone("no_descriptor_to_be_had_is_told_as_that") {
        return;
    }
    let free = nobody_listens();
    for url in [format!("https://{free}"), "https://some-name.example".to_owned()] {
        let source = send_source(&url, None);
        let error = at_limit(Resource::RLIMIT_NOFILE, 3, || source.token().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
        assert!(error.to_string().contains("no file descriptor"), "{error}");
    }
}
