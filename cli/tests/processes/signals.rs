//! Signals that come while the command waits for the provider; also as the first process of a container,
//! which the kernel keeps all from that it has no handler for.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::{PATIENCE, has_tool, not_run};

use crate::support::{PAYTOKEN, World};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_signal_ends_a_command_that_waits", waiting),
        trial("a_signal_ends_the_first_process_of_a_container", first_process),
    ]
}

const SIGNALS: [(&str, i32); 3] = [("TERM", 15), ("INT", 2), ("HUP", 1)];

/// Whoever started the tests may ignore some, and that would be kept.
pub(crate) const WITH_SIGNALS: [&str; 2] = ["env", "--default-signal=TERM,INT,HUP"];

/// Waits for the provider for a minute, below these words.
fn start(world: &World, words: &[&str]) -> Child {
    let mut command = world.program(words[0]);
    command.args(&words[1..]).args([PAYTOKEN, "token", "nexter-pay", "--timeout", "60s"]);
    command.spawn().unwrap()
}

fn kill(name: &str, pid: &str) {
    assert!(Command::new("kill").args(["-s", name, pid]).status().unwrap().success());
}

fn waiting() {
    for (name, number) in SIGNALS {
        let world = World::new();
        let hold = world.sandbox.hold(Service::NexterPay);
        let child = start(&world, &WITH_SIGNALS);
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        kill(name, &child.id().to_string());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{name}: {output:?}");
        hold.release();
    }
}

fn first_process() {
    const CONTAINER: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];
    let can_be_made = || Command::new("unshare").args(&CONTAINER[1..]).arg("true").output();
    if !has_tool("unshare") || !can_be_made().is_ok_and(|output| output.status.success()) {
        return not_run(
            "a_signal_ends_the_first_process_of_a_container: no namespace for processes",
        );
    }
    for (name, number) in SIGNALS {
        let world = World::new();
        let hold = world.sandbox.hold(Service::NexterPay);
        let child = start(&world, &[&CONTAINER[..], &WITH_SIGNALS].concat());
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let below = format!("/proc/{0}/task/{0}/children", child.id());
        let first = fs::read_to_string(below).unwrap().trim().to_owned();
        let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
        let numbers = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
        assert!(numbers.ends_with("\t1"), "{numbers}");
        kill(name, &first);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + number), "{name}: {output:?}");
        hold.release();
    }
}
