//! A name with several addresses, in a network of the test's own: IPv6 leads nowhere.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use paytoken::Provider;
use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::{PATIENCE, builder, has_tool, say, temporary_folder, until};

const TEST: &str = "addresses::a_token_comes_where_ipv6_is_a_black_hole_and_nothing_stays_behind";
const ALONE: &str = "PAYTOKEN_TEST_BLACK_HOLE";

#[test]
fn a_token_comes_where_ipv6_is_a_black_hole_and_nothing_stays_behind() {
    if std::env::var_os(ALONE).is_some() {
        return in_a_network_of_its_own();
    }
    if !["ip", "mount", "unshare"].into_iter().all(has_tool) {
        return;
    }
    let unshared = |program: &std::ffi::OsStr| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--mount", "--"]).arg(program);
        command
    };
    if !unshared("true".as_ref()).stderr(Stdio::null()).status().unwrap().success() {
        return say("not run: a black hole; network namespaces are not allowed here");
    }
    let done = unshared(std::env::current_exe().unwrap().as_os_str())
        .args(["--exact", TEST, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{complaint}");
}

fn run(words: &str) {
    let mut words = words.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success());
}

fn in_a_network_of_its_own() {
    run("ip link set lo up");
    run("ip link add here type veth peer name there");
    run("ip link set here up");
    run("ip link set there up");
    run("ip addr add 2001:db8::1/64 dev here nodad");
    // They have a neighbour who says nothing.
    let dead = ["2001:db8::11", "2001:db8::12", "2001:db8::13", "2001:db8::14"];
    for address in dead {
        run(&format!("ip neigh add {address} lladdr 02:00:00:00:00:01 dev here"));
    }
    let folder = temporary_folder();
    let hosts = folder.path().join("hosts");
    let lines = dead.iter().chain(&["127.0.0.1"]).map(|address| format!("{address} localhost\n"));
    fs::write(&hosts, lines.collect::<String>()).unwrap();
    run(&format!("mount --bind {} /etc/hosts", hosts.display()));

    let sandbox = Sandbox::start().unwrap();
    let url = sandbox.url(Service::SendPayments).replace("127.0.0.1", "localhost");
    let source = builder(&sandbox, Provider::SendPayments)
        .base_url(&url)
        .timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .build()
        .unwrap();
    let probe = |limit| {
        let probe = source.probe_addresses(limit).unwrap();
        let ended = probe.addresses.iter().map(|(at, ended)| (at.ip().to_string(), ended.is_ok()));
        ended.collect::<Vec<_>>()
    };
    let long = Duration::from_secs(1);
    let before = probe(long);
    assert_eq!((before.len(), before[1].clone()), (5, ("127.0.0.1".to_owned(), true)));
    assert_eq!(before.iter().filter(|(_, answers)| *answers).count(), 1, "{before:?}");
    source.token().unwrap();
    assert_eq!(sandbox.token_requests(Service::SendPayments), 1);
    // What worked is tried first now.
    assert_eq!(probe(long)[0], ("127.0.0.1".to_owned(), true));
    source.refresh().unwrap();
    assert!(!source.finish(Duration::ZERO), "the first attempt was given up");
    // Now they refuse.
    for address in dead {
        run(&format!("ip addr add {address}/128 dev lo nodad"));
    }
    assert!(source.finish(Duration::MAX), "a thread is left");
    until("no thread of the library is left", || {
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        !names.into_iter().any(|name| name.starts_with("paytoken-"))
    });
}
