//! What the command prints, how it ends, and what it does not touch.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};

use libtest_mimic::Trial;
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::has_tool;

use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("token_and_header_print_one_line_and_fetch_once", token_and_header),
        trial("the_help_names_every_provider_and_its_variables", help),
        trial("the_header_is_what_curl_wants_on_stdin", header_into_curl),
        trial("min_validity_and_force_get_another_token", min_validity_and_force),
        trial("without_a_store_each_run_fetches", no_store),
        trial("an_invalidated_token_is_not_handed_out_again", invalidate),
        trial("status_tells_and_shows_no_secret", status),
        trial("each_failure_has_its_exit_code_and_one_line", exit_codes),
        trial("a_wrong_secret_is_asked_for_once", remembered),
        trial("nothing_printed_holds_a_secret", no_secret),
        trial("a_broken_pipe_is_not_an_error", broken_pipe),
        trial("a_warm_token_touches_no_network_no_key_and_no_lock", warm_path),
    ]
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn token_and_header() {
    let world = World::new();
    for &service in Service::ALL {
        let token = world.token(service);
        assert!(world.sandbox.is_valid(service, &token));
        let header = text(world.paytoken(&["header", service.facts().name]).output().unwrap());
        assert_eq!(header, format!("Authorization: Bearer {token}"));
        assert_eq!(world.sandbox.token_requests(service), 1, "{service}");
    }
    for (arguments, expected) in [
        (&["--version"][..], concat!("paytoken ", env!("CARGO_PKG_VERSION"))),
        (&["-V"], concat!("paytoken ", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(text(world.paytoken(arguments).output().unwrap()), expected);
    }
    let help = text(world.paytoken(&["--help"]).output().unwrap());
    assert!(help.contains("paytoken header ntx-pay | curl -H @-"));
}

fn help() {
    let help = text(World::new().paytoken(&["--help"]).output().unwrap());
    for service in Service::ALL {
        let facts = service.facts();
        let [id, secret] =
            [facts.fields[0], facts.fields[1]].map(|field| facts.variable(field.variable));
        let line = format!("  {service:<15}{id}, {secret}");
        assert!(help.contains(&line), "{line}");
        assert_eq!(help.contains(&facts.variable("CLIENT_KEY")), facts.takes_certificate);
    }
}

fn header_into_curl() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let script = "\"$0\" header ntx-pay | curl -sS -H @- --cacert \"$PAYTOKEN_CA\" --cert \"$NTXPAY_CLIENT_CERT\" \
                  --key \"$NTXPAY_CLIENT_KEY\" -o /dev/null -w '%{http_code}' \"$NTXPAY_BASE_URL/api/balance\"";
    let mut shell = world.program("/bin/sh");
    assert_eq!(text(shell.args(["-c", script, PAYTOKEN]).output().unwrap()), "200");
}

fn min_validity_and_force() {
    let world = World::new();
    let first = world.token(Service::SendPayments);
    let with = |option: &[&str]| {
        text(world.paytoken(&[&["token", "send-payments"], option].concat()).output().unwrap())
    };
    assert_eq!(with(&["--min-validity", "2m"]), first);
    assert_ne!(with(&["--force"]), first);
    let output =
        world.paytoken(&["token", "send-payments", "--min-validity", "301s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("--min-validity"));
}

fn no_store() {
    let world = World::new();
    let run = || text(world.paytoken(&["token", "ntx-pay", "--no-store"]).output().unwrap());
    assert_ne!(run(), run());
    assert!(!world.store().exists());
}

fn with_stdin(world: &World, arguments: &[&str], input: &str) -> Output {
    let mut child = world.paytoken(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn invalidate() {
    let world = World::new();
    for (service, form) in
        Service::ALL.iter().copied().zip(["{}\n", "Bearer {}", "Authorization: Bearer {}\r\n"])
    {
        let first = world.token(service);
        // Not the stored one: nothing happens, and that is said.
        let output = with_stdin(&world, &["invalidate", service.facts().name], "another");
        assert_eq!(output.status.code(), Some(65));
        assert!(stderr(&output).contains("nothing is dropped"), "{}", stderr(&output));
        assert_eq!(world.token(service), first);
        let output =
            with_stdin(&world, &["invalidate", service.facts().name], &form.replace("{}", &first));
        assert!(text(output).contains("the token is dropped"), "{service}");
        assert_ne!(world.token(service), first, "{service}");
        assert_eq!(
            with_stdin(&world, &["invalidate", service.facts().name], " \n").status.code(),
            Some(66)
        );
    }
}

fn status() {
    let world = World::new();
    let tokens = [Service::NtxPay, Service::SendPayments].map(|service| world.token(service));
    let run = |arguments: &[&str]| text(world.paytoken(arguments).output().unwrap());
    let lines = run(&["status"]);
    assert_eq!(lines.lines().count(), Service::ALL.len(), "{lines}");
    assert!(lines.contains("ntx-pay        token good for 9 min"), "{lines}");
    assert!(lines.contains("nexter-pay     no token"), "{lines}");
    let json: serde_json::Value = serde_json::from_str(&run(&["status", "--json"])).unwrap();
    assert_eq!(json[0]["provider"], "ntx-pay");
    assert!(json[0]["token"]["remaining_seconds"].as_f64().unwrap() > 590.0);
    assert_eq!(json[1]["token"], serde_json::Value::Null);
    let one: serde_json::Value =
        serde_json::from_str(&run(&["status", "send-payments", "--json"])).unwrap();
    assert_eq!(one.as_array().unwrap().len(), 1);
    for token in tokens {
        assert!(!format!("{lines}{json}").contains(&token));
    }
    // Not set up: said for one of three, an error where it is the only one.
    let mut without = world.paytoken(&["status"]);
    without.env_remove("NTXPAY_CLIENT_ID").env_remove("NTXPAY_CLIENT_SECRET");
    assert!(text(without.output().unwrap()).contains("ntx-pay        not set up"));
    let mut without = world.paytoken(&["status", "ntx-pay"]);
    assert_eq!(without.env_remove("NTXPAY_CLIENT_ID").output().unwrap().status.code(), Some(78));
}

fn exit_codes() {
    let world = World::new();
    let service = Service::NexterPay;
    let command_lines: &[(&[&str], i32, &str)] = &[
        (&[], 64, "no command"),
        (&["frobnicate"], 64, "no such command"),
        (&["token"], 64, "a PROVIDER is needed"),
        (&["token", "other-pay"], 64, "PROVIDER 'other-pay' is not known: use ntx-pay, "),
        (&["token", "ntx-pay", "a-secret-in-argv"], 64, "too many arguments"),
        (&["token", "ntx-pay", "--frob"], 64, "--frob"),
        (&["token", "ntx-pay", "--timeout", "soon"], 64, "--timeout"),
        (&["token", "ntx-pay", "--timeout", "0"], 64, "--timeout"),
        (&["token", "ntx-pay", "--min-validity"], 64, "--min-validity"),
        (&["token", "ntx-pay", "--environment", "test"], 64, "sandbox or production"),
        (&["invalidate", "ntx-pay", "--no-store"], 64, "without a store"),
        (&["token", "ntx-pay", "--base-url", "http://example.com"], 78, "plain http"),
        (&["token", "ntx-pay", "--ca", "/no/such/file"], 78, "--ca: cannot read"),
        (&["token", "ntx-pay", "--store", "/dev/null/x"], 78, "store: "),
        (
            &["token", "nexter-pay", "--base-url", "https://127.0.0.1:1", "--timeout", "2s"],
            69,
            "refused",
        ),
    ];
    for (arguments, code, says) in command_lines {
        let output = world.paytoken(arguments).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {told}");
        assert!(told.starts_with("paytoken: ") && told.contains(says), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(!told.contains("a-secret-in-argv"));
        assert!(output.stdout.is_empty());
    }
    let faults = [
        (Fault::Status(401), 77),
        (Fault::Status(403), 77),
        (Fault::TooManyRequests { retry_after: None }, 75),
        (Fault::Delay(std::time::Duration::from_secs(60)), 75),
        (Fault::Status(500), 69),
        (Fault::Reset, 69),
        (Fault::MalformedJson, 76),
    ];
    for (fault, code) in faults {
        world.sandbox.fault_always(service, Some(fault.clone()));
        let output = world
            .paytoken(&["token", service.facts().name, "--no-store", "--timeout", "2s"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{fault:?}: {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
    let mut missing = world.paytoken(&["token", "nexter-pay"]);
    let output = missing.env_remove("NEXTERPAY_PASSWORD").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("NEXTERPAY_PASSWORD: not set"), "{}", stderr(&output));
}

fn remembered() {
    let world = World::new();
    for _ in 0..5 {
        let mut command = world.paytoken(&["token", "nexter-pay"]);
        let output = command.env("NEXTERPAY_PASSWORD", "wrong-password").output().unwrap();
        assert_eq!(output.status.code(), Some(77), "{}", stderr(&output));
    }
    assert_eq!(world.sandbox.token_requests(Service::NexterPay), 1);
    let output = world.paytoken(&["status", "nexter-pay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(77));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("refused (Rejected), not asked again for"), "{lines}");
    // The right one is not held back.
    assert!(!world.token(Service::NexterPay).is_empty());
}

fn no_secret() {
    let world = World::new();
    for &service in Service::ALL {
        world.sandbox.fault_next(service, 1, Fault::EchoSecrets(401));
        let refused = world.paytoken(&["token", service.facts().name, "-v"]).output().unwrap();
        let worked =
            world.paytoken(&["token", service.facts().name, "-v", "--force"]).output().unwrap();
        let token = String::from_utf8(worked.stdout.clone()).unwrap();
        for told in [stderr(&refused), stderr(&worked)] {
            assert!(!told.contains(world.sandbox.client_secret(service)), "{told}");
            assert!(!told.contains(token.trim()), "{told}");
            assert!(told.contains("requesting a token"), "{told}");
        }
    }
}

fn broken_pipe() {
    let world = World::new();
    world.token(Service::NtxPay);
    let mut child = world.paytoken(&["token", "ntx-pay"]).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(status.success() && told.is_empty(), "{status} {told}");
}

fn warm_path() {
    if !has_tool("strace") {
        return;
    }
    let world = World::new();
    for &service in Service::ALL {
        let token = world.token(service);
        let trace = world.folder.join("trace");
        let mut strace = world.program("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&trace).args([
            PAYTOKEN,
            "token",
            service.facts().name,
        ]);
        assert_eq!(text(strace.output().unwrap()), token);
        let calls = fs::read_to_string(&trace).unwrap();
        assert!(calls.contains(".entry"), "the store was read");
        for touched in
            ["socket(", "connect(", " clone", "key.pem", "ca.pem", ".lock", "flock(", "mkdir"]
        {
            // Without the first call, the program's own path.
            let mut calls = calls.lines().filter(|line| !line.contains("execve("));
            let line = calls.find(|line| line.contains(touched) && !line.contains("EEXIST"));
            assert_eq!(line, None, "{service}: the warm path touched {touched}");
        }
    }
}
