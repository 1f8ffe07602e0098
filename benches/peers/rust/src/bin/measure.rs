//! Runs one command: prints nanoseconds, peak memory in KiB and exit code, then its output.
//!
//! A small program of its own, because the kernel counts the starter's memory into a child's peak.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

fn main() {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let start = Instant::now();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut output = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut output).expect("readable output");
    let mut status = 0;
    // SAFETY: all zeros is a valid rusage, and both pointers are to locals.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let waited = libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage);
        assert_eq!(waited, child.id() as libc::pid_t);
        usage
    };
    let took = start.elapsed().as_nanos();
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{took} {} {code}", usage.ru_maxrss).expect("stdout");
    stdout.write_all(&output).expect("stdout");
}
