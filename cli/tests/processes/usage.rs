//! The command line as people mistype it, stderr that takes nothing, time that runs out.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::write_private;

use crate::status::pass;
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("what_is_mistyped_is_suggested_and_no_value_is_repeated", mistyped),
        trial("options_are_taken_in_the_forms_that_people_use", forms),
        trial("a_token_as_json_says_when_it_ends", token_as_json),
        trial("stderr_that_takes_nothing_changes_no_code", stderr_is_gone),
        trial("the_whole_command_ends_by_its_time_out", time_out),
        trial("the_time_for_a_connection_is_set_by_the_name_that_its_error_gives", connect_time),
        trial("in_the_window_a_run_with_a_good_token_waits_little", window),
        trial("a_token_too_old_to_be_used_costs_one_request_however_slow_the_provider", too_old),
        trial("invalidate_says_what_it_did", invalidate),
        trial("status_is_fit_for_monitoring", monitoring),
        trial("verbose_says_enough_to_find_a_fault_and_no_secret", verbose),
        trial("errors_name_options_and_variables_never_methods", words),
        trial("entries_that_ended_long_ago_are_purged", purge),
        trial("no_core_is_written", no_core),
        trial("a_limit_on_the_size_of_files_is_told", file_size),
        #[cfg(feature = "pages")]
        trial("completions_and_the_manual_page_know_every_command", pages),
    ]
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mistyped() {
    let world = World::new();
    for (arguments, says) in [
        (&["tokn", "ntx-pay"][..], "did you mean token?"),
        (&["stauts"], "did you mean status?"),
        (&["token", "ntxpay"], "did you mean ntx-pay?"),
        (&["token", "send-payment"], "did you mean send-payments?"),
        (&["token", "ntx-pay", "--tiemout", "5s"], "did you mean --timeout?"),
        (&["token", "ntx-pay", "--tiemout=5s"], "did you mean --timeout?"),
        (&["token", "ntx-pay", "--min-validty", "5s"], "did you mean --min-validity?"),
        (&["status", "--jsn"], "did you mean --json?"),
        (&["header", "ntx-pay", "--json"], "--json: no such option here"),
        (&["token", "ntx-pay", "--force=SECRET"], "--force: takes no value"),
        (&["token", "ntx-pay", "--json=SECRET"], "--json: takes no value"),
        (&["token", "ntx-pay", "-xSECRET"], "no such option"),
        (&["token", "ntx-pay", "--client-secret=SECRET"], "no such option"),
        (&["token", "ntx-pay", "--client-secret", "SECRET"], "no such option"),
        (&["token", "ntx-pay", "--SECRET"], "no such option"),
        (&["token", "ntx-pay", "SECRET"], "too many arguments"),
        (&["token", "SECRET"], "PROVIDER is not known"),
        (&["SECRET"], "no such command"),
        (&["invalidate", "ntx-pay", "SECRET"], "invalidate reads the token from stdin"),
        (&["token", "ntx-pay", "nexter-pay"], "one PROVIDER at a time"),
        (&["token", "ntx-pay", "--timeout=SECRET"], "--timeout: not a time"),
        (&["token", "ntx-pay", "--environment=SECRET"], "sandbox or production"),
        (&["token", "ntx-pay", "--timeout"], "--timeout: needs a value"),
        (&["token", "ntx-pay", "--timeout", "1s", "--timeout", "2s"], "--timeout: given twice"),
        (&["curl", "ntx-pay"], "-- and curl's arguments are needed"),
        (&["curl", "ntx-pay", "https://127.0.0.1/SECRET"], "stand after --"),
        (&["curl", "ntx-pay", "-sS", "https://127.0.0.1/SECRET"], "no such option"),
        (&["check", "ntx-pay", "--force"], "--force: only with --fetch"),
        #[cfg(feature = "pages")]
        (&["completions", "tcsh"], "bash, fish"),
    ] {
        // Nothing of it may show, in whatever spelling clap cuts it.
        let secret = "hunter2-s3cret";
        let arguments: Vec<_> =
            arguments.iter().map(|word| word.replace("SECRET", secret)).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = world.paytoken(&arguments).output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
        assert!(told.lines().count() == 1 && told.ends_with("; see paytoken --help\n"), "{told}");
        assert!(
            !told.contains("hunter") && !told.contains("cret-") && !told.contains("s3cret"),
            "{told}"
        );
    }
}

fn forms() {
    let world = World::new();
    let token = text(world.paytoken(&["token", "ntx-pay"]).output().unwrap());
    for arguments in [
        &["token", "ntx-pay", "--timeout=1m30s"][..],
        &["token", "ntx-pay", "--timeout", "1d", "--min-validity=1m"],
        &["--timeout=90s", "token", "ntx-pay"],
        &["-v", "token", "ntx-pay"],
        &["token", "-v", "ntx-pay"],
        &["token", "--environment=sandbox", "ntx-pay"],
        &["token", "--", "ntx-pay"],
    ] {
        assert_eq!(text(world.paytoken(arguments).output().unwrap()), token, "{arguments:?}");
    }
    for help in [
        &["--help"][..],
        &["-h"],
        &["token", "--help"],
        &["curl", "-h"],
        &["help"],
        &["help", "curl"],
    ] {
        let help = text(world.paytoken(help).output().unwrap());
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
        assert!(help.contains("--timeout <TIME>"), "{help}");
    }
}

fn token_as_json() {
    let world = World::new();
    for &service in Service::ALL {
        for _ in 0..2 {
            let before = seconds_now();
            let output =
                world.paytoken(&["token", service.facts().name, "--json"]).output().unwrap();
            let json: serde_json::Value = serde_json::from_str(&text(output)).unwrap();
            assert!(world.sandbox.is_valid(service, json["access_token"].as_str().unwrap()));
            assert_eq!(json["token_type"], "Bearer");
            let left = json["expires_in"].as_u64().unwrap();
            let lifetime = service.facts().sandbox.lifetime.unwrap().as_secs();
            assert!(left <= lifetime && left > lifetime - 60, "{json}");
            let was_asked = json["expires_at"].as_u64().unwrap() - left;
            assert!((before - 1..=seconds_now() + 1).contains(&was_asked), "{json}");
            assert_eq!(json["scope"].is_string(), service == Service::NtxPay, "{json}");
        }
    }
}

fn seconds_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

fn stderr_is_gone() {
    let world = World::new();
    let service = Service::SendPayments;
    for redirect in ["2>&-", "2>/dev/full", "2>&- <&-"] {
        for (arguments, code) in [
            ("token send-payments --force -v", 0),
            ("token send-payments -v", 0),
            ("token ntx-pay --frob", 64),
            ("token nexter-pay --base-url https://127.0.0.1:1 --timeout 2s -v", 69),
            ("token ntx-pay --ca /no/such/file", 78),
            ("status", 0),
        ] {
            let mut shell = world.program("/bin/sh");
            let script = format!("exec \"$0\" {arguments} {redirect}");
            let output = shell.args(["-c", &script, PAYTOKEN]).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments} {redirect}: {output:?}");
        }
        // The stored token is still there.
        let before = world.sandbox.token_requests(service);
        world.token(service);
        assert_eq!(world.sandbox.token_requests(service), before);
    }
    let mut shell = world.program("/bin/sh");
    let script = "exec \"$0\" token send-payments > /dev/full";
    let output = shell.args(["-c", script, PAYTOKEN]).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
}

fn time_out() {
    let world = World::new();
    let fifo = world.folder.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let fifo = fifo.to_str().unwrap();
    let ends = |what: &str, command: &mut std::process::Command| {
        let began = Instant::now();
        let output = command.output().unwrap();
        let took = began.elapsed();
        // Without the limit it would be fifteen seconds.
        assert!(took < Duration::from_secs(12), "{what}: {took:?}");
        assert!(matches!(output.status.code(), Some(75 | 78)), "{what}: {output:?}");
        assert_eq!(told(&output).lines().count(), 1, "{what}: {output:?}");
    };
    let limited = |arguments: &[&str]| world.paytoken(&[arguments, &["--timeout", "1s"]].concat());
    ends("--ca", &mut limited(&["token", "ntx-pay", "--ca", fifo]));
    ends("--ca of header", &mut limited(&["header", "ntx-pay", "--ca", fifo]));
    for variable in ["NTXPAY_CLIENT_CERT", "NTXPAY_CLIENT_KEY", "NTXPAY_CLIENT_SECRET_FILE"] {
        let mut command = limited(&["token", "ntx-pay"]);
        if variable.ends_with("_FILE") {
            command.env_remove("NTXPAY_CLIENT_SECRET");
        }
        ends(variable, command.env(variable, fifo));
    }
    ends("/dev/zero", &mut limited(&["token", "ntx-pay", "--ca", "/dev/zero"]));
    // Nothing comes on stdin, and it stays open.
    let mut command = limited(&["invalidate", "ntx-pay"]);
    let (reader, writer) = std::io::pipe().unwrap();
    ends("stdin", command.stdin(reader));
    drop(writer);
    let service = Service::NexterPay;
    world.sandbox.fault_always(service, Some(Fault::Delay(Duration::from_secs(60))));
    ends("the provider", &mut limited(&["token", "nexter-pay"]));
}

fn connect_time() {
    let world = World::new();
    // It takes connections, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let file = world.folder.join("settings.toml");
    let ends = |arguments: &[&str], settings: &str, says: &str| {
        write_private(&file, settings);
        let common = ["--base-url", &address, "--no-store", "--timeout", "60s"];
        let mut command = world.paytoken(&[arguments, &common].concat());
        let output = command.env("PAYTOKEN_CONFIG", &file).output().unwrap();
        let told = [&*output.stdout, &*output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(says), "{arguments:?}: {told}");
    };
    let option = &["token", "nexter-pay", "--connect-timeout", "150ms"][..];
    let key = "[nexter-pay]\nconnect_timeout = \"250ms\"\n";
    ends(option, "", "did not end within 150ms; raise --connect-timeout, ");
    ends(&["token", "nexter-pay"], key, "did not end within 250ms; raise --connect-timeout, ");
    ends(option, key, "did not end within 150ms; raise --connect-timeout, ");
    ends(&["check", "nexter-pay", "--connect-timeout=150ms"], "", "within 150ms; raise --connect");
    let zero = "[nexter-pay]\nconnect_timeout = \"0\"\n";
    ends(&["token", "nexter-pay"], zero, "connect_timeout: not a time; write it as");
    ends(&["token", "nexter-pay", "--connect-timeout", "0"], "", "--connect-timeout: must be more");
    ends(&["token", "nexter-pay", "--conect-timeout", "1s"], "", "did you mean --connect-timeout?");
}

/// What `status` says of it.
fn stored_token(world: &World, name: &str) -> serde_json::Value {
    let output = world.paytoken(&["status", name, "--json"]).output().unwrap();
    let state: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    state[0]["token"].clone()
}

fn window() {
    let world = World::new();
    let service = Service::NtxPay;
    let token = world.token(service);
    let hold = world.sandbox.hold(service);
    // Due, and good for a minute and more.
    pass(&world, 500);
    // It ends though nobody answers the request for a new one.
    let began = Instant::now();
    let output = world.paytoken(&["token", "ntx-pay", "--timeout", "60s"]).output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(text(output), token);
    assert_eq!(hold.arrivals(), 1, "it was not due");
    hold.release();
}

fn too_old() {
    // In the last 5 % of its life.
    for (service, age) in [(Service::NtxPay, 580), (Service::SendPayments, 290)] {
        let world = World::new();
        let name = service.to_string();
        let old = world.token(service);
        let state = || stored_token(&world, &name);
        assert_eq!(state()["good"], true, "{name}");
        pass(&world, age);
        assert_eq!(state()["good"], false, "{name}");
        assert!(state()["remaining_seconds"].as_f64().unwrap() > 0.0, "{name}: it has ended");
        let told = text(world.paytoken(&["status", &name]).output().unwrap());
        assert!(told.contains("too soon to be used"), "{told}");
        let before = world.sandbox.token_requests(service);
        world.sandbox.fault_always(service, Some(Fault::Delay(Duration::from_secs(1))));
        assert_ne!(world.token(service), old);
        assert_eq!(world.sandbox.token_requests(service) - before, 1, "{name}");
    }
}

fn invalidate() {
    let world = World::new();
    let run = |script: &str, provider: &str| {
        let mut shell = world.program("/bin/sh");
        let script = format!("{script} | \"$0\" invalidate {provider}");
        shell.args(["-c", &script, PAYTOKEN]).output().unwrap()
    };
    let token = world.token(Service::NtxPay);
    world.token(Service::NexterPay);
    for (script, provider, code, says) in [
        ("echo unknown-token", "ntx-pay", 65, "nothing is dropped"),
        (&*format!("echo {token}"), "nexter-pay", 65, "nothing is dropped"),
        ("echo one two three four", "ntx-pay", 65, "neither a token nor its header"),
        ("head -c 70000 /dev/zero | tr '\\0' a", "ntx-pay", 65, "more than 64 KiB"),
        ("printf '\\377'", "ntx-pay", 65, "not text"),
        ("true", "ntx-pay", 66, "nothing on stdin"),
        ("\"$0\" token ntx-pay --json", "ntx-pay", 0, ""),
    ] {
        let output = run(script, provider);
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        assert!(told(&output).contains(says), "{script}: {output:?}");
        assert!(!told(&output).contains(&token));
    }
    assert_ne!(world.token(Service::NtxPay), token);
}

fn monitoring() {
    let world = World::new();
    let service = Service::NtxPay;
    let run = |options: &[&str]| {
        world.paytoken(&[&["status", "ntx-pay"], options].concat()).output().unwrap()
    };
    assert_eq!(run(&[]).status.code(), Some(0), "it can be had");
    let json =
        |output: Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    world.token(service);
    let state = &json(run(&["--json"]))[0];
    assert_eq!(state["environment"], "sandbox");
    assert_eq!(state["base_url"], world.sandbox.url(service));
    assert_eq!(state["store"]["place"], world.store().to_str().unwrap());
    assert_eq!(state["exit_code"], 0);
    assert!(state["certificate"]["days_left"].as_u64().unwrap() > 30, "{state}");
    // Refused, and without a good token.
    for (fault, code) in
        [(Fault::Status(403), 77), (Fault::TooManyRequests { retry_after: None }, 75)]
    {
        fs::remove_file(world.entry()).unwrap();
        world.sandbox.fault_next(service, 1, fault);
        assert!(!world.paytoken(&["token", "ntx-pay"]).output().unwrap().status.success());
        let output = run(&["--json"]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(json(output)[0]["exit_code"], code);
    }
    let mut command = world.paytoken(&["status", "ntx-pay"]);
    let output = command.env("NTXPAY_CLIENT_CERT", "/no/such/file").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    // Not a store alone, so its mode is left as it is.
    fs::write(world.store().join("notes"), "").unwrap();
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run(&[]).status.code(), Some(74), "{:?}", run(&[]));
    // Nothing is set up at all.
    let mut command = world.paytoken(&["status"]);
    command.env_clear().env("PAYTOKEN_STORE", world.folder.join("none"));
    assert_eq!(command.output().unwrap().status.code(), Some(78));
}

fn verbose() {
    let world = World::new();
    let service = Service::NtxPay;
    let run = || world.paytoken(&["token", "ntx-pay", "-v"]).output().unwrap();
    let first = run();
    let told_first = told(&first);
    for part in [
        "NTX Pay",
        "sandbox",
        &*world.sandbox.url(service),
        world.store().to_str().unwrap(),
        "no stored token serves",
    ] {
        assert!(told_first.contains(part), "{part}: {told_first}");
    }
    let shows_no_secret = |told: &str| {
        assert!(!told.contains(&*text(first.clone())), "{told}");
        assert!(!told.contains(world.sandbox.client_secret(service)), "{told}");
    };
    shows_no_secret(&told_first);
    let hit = run();
    assert!(told(&hit).contains("the stored token is good for"), "{}", told(&hit));
    world.sandbox.revoke(&text(hit));
    if !paytoken_testing::has_tool("curl") {
        return;
    }
    let output = world
        .paytoken(&[
            "curl",
            "ntx-pay",
            "-v",
            "--",
            "-sS",
            &format!("{}/api/balance", world.sandbox.url(service)),
        ])
        .output()
        .unwrap();
    let told_curl = told(&output);
    assert!(told_curl.contains("answered 401") && told_curl.contains("once more"), "{told_curl}");
    shows_no_secret(&told_curl);
}

fn words() {
    let world = World::new();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = world.paytoken(arguments);
        told(&command.envs(variables.iter().copied()).output().unwrap())
    };
    let refused = [("NEXTERPAY_PASSWORD", "wrong-password")];
    run(&["token", "nexter-pay"], &refused);
    let secret = world.folder.join("client.key.pem");
    let key = fs::read_to_string(&secret).unwrap();
    for (arguments, variables, says) in [
        (&["token", "nexter-pay"][..], &refused[..], "use --force to ask now"),
        (&["token", "nexter-pay"], &[("PAYTOKEN_CA", "")], "set --ca or PAYTOKEN_CA"),
        (
            &["token", "ntx-pay"],
            &[("NTXPAY_CLIENT_CERT", "/no/such")],
            "NTXPAY_CLIENT_CERT: cannot read",
        ),
        (&["token", "send-payments"], &[("SENDPAYMENTS_BASE_URL", "")], "SENDPAYMENTS_BASE_URL"),
        (
            &["token", "send-payments"],
            &[("SENDPAYMENTS_BASE_URL", "127.0.0.1")],
            "--base-url (or SENDPAYMENTS_BASE_URL)",
        ),
        (&["token", "ntx-pay"], &[("NTXPAY_ENVIRONMENT", "live")], "NTXPAY_ENVIRONMENT: 'live'"),
        (&["token", "ntx-pay", "--environment", "live"], &[], "--environment: 'live'"),
        (&["token", "ntx-pay"], &[("NTXPAY_CLIENT_KEY", &*key)], "NTXPAY_CLIENT_KEY"),
        (&["token", "send-payments", "--min-validity", "1h"], &[], "--min-validity"),
        (&["token", "ntx-pay", "--ca", "/no/such"], &[], "--ca: cannot read"),
    ] {
        let told = run(arguments, variables);
        assert!(told.contains(says), "{arguments:?}: {told}");
        for methods in [
            "refresh()",
            "root_certificates_pem",
            "with_private_key",
            "base_url",
            "builder",
            "PRIVATE KEY-----\n",
        ] {
            assert!(!told.contains(methods), "{arguments:?}: {told}");
        }
    }
}

fn purge() {
    let world = World::new();
    let run = |arguments: &[&str]| text(world.paytoken(arguments).output().unwrap());
    assert!(run(&["purge"]).starts_with("0 removed"), "{}", run(&["purge"]));
    assert!(!world.store().exists());
    let token = world.token(Service::NtxPay);
    let entry = world.entry();
    world.token(Service::NexterPay);
    assert!(run(&["purge"]).starts_with("0 removed"));
    let day = Duration::from_secs(24 * 3600);
    for file in fs::read_dir(world.store()).unwrap() {
        let path = file.unwrap().path();
        let age = if path.with_extension("entry") == entry { 7 * day + day / 2 } else { 6 * day };
        let written = std::time::SystemTime::now() - age;
        File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["purge", "--json"])).unwrap();
    assert_eq!(json["removed"], 1);
    assert!(!entry.exists());
    assert_eq!(fs::read_dir(world.store()).unwrap().count(), 2, "the other's entry and lock");
    assert_ne!(world.token(Service::NtxPay), token);
    // A server forgets entries by itself, and is not even asked.
    let server = "redis://127.0.0.1:1";
    for (arguments, variable) in [(&["purge"][..], server), (&["purge", "--store", server], "")] {
        let output = world.paytoken(arguments).env("PAYTOKEN_STORE", variable).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(told(&output).contains("a server forgets entries by itself"), "{output:?}");
    }
}

fn no_core() {
    let world = World::new();
    let mut child =
        world.paytoken(&["invalidate", "ntx-pay"]).stdin(Stdio::piped()).spawn().unwrap();
    // It has begun once it waits for its stdin, which may be read from any time on.
    let limits = || fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap_or_default();
    paytoken_testing::until("the limit is set", || {
        let limits = limits();
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        line.is_some_and(|line| line.split_whitespace().filter(|word| *word == "0").count() == 2)
    });
    drop(child.stdin.take());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(66), "{told}");
}

fn file_size() {
    let world = World::new();
    let limited = |provider: &str, to: &str| {
        let mut shell = world.program("/bin/sh");
        shell.args(["-c", &format!("ulimit -f 0; exec \"$0\" token {provider} {to}"), PAYTOKEN]);
        shell.current_dir(&world.folder).output().unwrap()
    };
    let output = limited("nexter-pay", "");
    assert!(told(&output).contains("without sharing"), "{}", told(&output));
    assert!(world.sandbox.is_valid(Service::NexterPay, text(output).trim()));
    let output = limited("send-payments", "");
    assert_eq!(output.status.code(), Some(74), "{}", told(&output));
    assert_eq!(world.sandbox.token_requests(Service::SendPayments), 0);
    world.token(Service::NtxPay);
    let output = limited("ntx-pay", "> file");
    assert_eq!(output.status.code(), Some(74), "{}", told(&output));
    assert!(told(&output).contains("cannot write to stdout"), "{}", told(&output));
}

#[cfg(feature = "pages")]
fn pages() {
    let world = World::new();
    let run = |arguments: &[&str]| text(world.paytoken(arguments).output().unwrap());
    let manual = run(&["man"]);
    assert!(manual.contains("<\\fIPROVIDER\\fR> \\-\\- <\\fICURL\\-ARGUMENTS\\fR>"), "{manual}");
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        for command in ["token", "header", "curl", "check", "invalidate", "status", "purge"] {
            assert!(script.contains(command), "{shell}: {command}");
            assert!(manual.contains(&format!("paytoken {command}\\fR")), "{command}");
        }
        assert!(script.contains("min-validity"), "{shell}");
    }
    let bash = world.folder.join("completions");
    fs::write(&bash, run(&["completions", "bash"])).unwrap();
    let script = format!(
        ". '{}'; COMP_WORDS=(paytoken sta); COMP_CWORD=1; _paytoken paytoken sta paytoken; echo \"${{COMPREPLY[@]}}\"",
        bash.display()
    );
    let output = world.program("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(text(output), "status");
}
