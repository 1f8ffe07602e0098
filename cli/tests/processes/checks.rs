//! `paytoken check`: each kind of mistake is found, and no credentials are sent on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::{Server, has_tool};

use crate::support::{World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("check_finds_what_is_wrong_and_sends_no_credentials", check)]
}

fn check() {
    let world = World::new();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = world.paytoken(&[&["check", "--timeout", "5s"], arguments].concat());
        command.envs(variables.iter().copied()).output().unwrap()
    };
    let has_curl = has_tool("curl");
    for &service in Service::ALL {
        let output = run(&[service.facts().name], &[]);
        let table = text(output);
        // Where curl is missing, that is a warning, and right.
        let lines = || table.lines().filter(|line| has_curl || !line.contains("paytoken curl"));
        assert!(lines().all(|line| line.starts_with("ok ")), "{table}");
        assert!(table.contains("127.0.0.1: 127.0.0.1 answers in "), "{table}");
        assert_eq!(world.sandbox.token_requests(service), 0);
        let received = world.sandbox.received(service);
        assert_eq!(received.len(), 1, "{service}");
        let request = String::from_utf8_lossy(&received[0]).into_owned();
        assert!(
            request.starts_with("HEAD / HTTP/1.1\r\n") && !request.contains("uthorization"),
            "{request}"
        );
        assert!(!request.contains(world.sandbox.client_id(service)), "{request}");
    }
    let readable = world.folder.join("readable");
    fs::copy(world.folder.join("client.key.pem"), &readable).unwrap();
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).unwrap();
    let readable = readable.to_str().unwrap();
    let sandboxes = paytoken::Provider::NexterPay.facts().sandbox.base_url.unwrap();
    for (provider, variables, state, says) in [
        ("ntx-pay", &[("NTXPAY_CLIENT_KEY", readable)][..], "wrong", "others can read it"),
        ("ntx-pay", &[("NTXPAY_CLIENT_KEY", "/no/such")], "wrong", "cannot be read"),
        ("ntx-pay", &[("NTXPAY_CLIENT_ID", "")], "wrong", "not set; set NTXPAY_CLIENT_ID"),
        ("ntx-pay", &[("NTXPAY_CLIENT_SECRET", "'quoted'")], "warning", "stands in quotes"),
        ("ntx-pay", &[("NTXPAY_CLIENT_SECRET", "two words")], "warning", "holds a blank"),
        ("ntx-pay", &[("NTXPAY_CLIENT_SECRET", "$(cat x)")], "warning", "blank"),
        ("ntx-pay", &[("NTXPAY_CLIENT_SECRET", "${X}")], "warning", "was not replaced"),
        ("ntx-pay", &[("NTXPAY_CLIENT_SECRET", readable)], "warning", "is the path of a file"),
        ("ntx-pay", &[("PAYTOKEN_CA", "")], "wrong", "authority that is not trusted"),
        ("ntx-pay", &[("PAYTOKEN_STORE", "/dev/null/x")], "wrong", "store"),
        (
            "nexter-pay",
            &[
                ("NEXTERPAY_BASE_URL", sandboxes),
                ("NEXTERPAY_ENVIRONMENT", "production"),
                ("https_proxy", "http://127.0.0.1:1"),
            ],
            "wrong",
            "the other environment's",
        ),
        ("nexter-pay", &[("NEXTERPAY_BASE_URL", "https://127.0.0.1:1")], "wrong", "refused"),
        ("nexter-pay", &[("NEXTERPAY_ENVIRONMENT", "live")], "wrong", "NEXTERPAY_ENVIRONMENT"),
    ] {
        let output = run(&[provider], variables);
        let table = String::from_utf8(output.stdout.clone()).unwrap();
        let line = table.lines().find(|line| line.starts_with(state) && line.contains(says));
        assert!(
            line.is_some(),
            "{variables:?}: {table} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let is_wrong = table.lines().any(|line| line.starts_with("wrong"));
        assert_eq!(output.status.code(), Some(if is_wrong { 78 } else { 0 }), "{table}");
        let silent = "127.0.0.1 does not answer (connection refused)";
        assert!(table.contains(silent) || says != "refused", "{table}");
        assert_eq!(
            is_wrong,
            state == "wrong" || says.contains("that is not"),
            "{variables:?}: {table}"
        );
    }
    // A program on this machine, by plain http.
    let plain = Server::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let output = run(&["send-payments"], &[("SENDPAYMENTS_BASE_URL", &plain.url)]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("over plain http, which stays") && !table.contains("TLS"), "{table}");
    // The same account in another store.
    let cache = world.folder.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let mut command = world.paytoken(&["token", "send-payments"]);
    text(command.env_remove("PAYTOKEN_STORE").env("XDG_CACHE_HOME", &cache).output().unwrap());
    let table = text(run(&["send-payments"], &[("XDG_CACHE_HOME", cache.to_str().unwrap())]));
    assert!(table.contains("other store") && table.contains("end each other's tokens"), "{table}");
    // A good token hides a wrong secret from every other command.
    let service = Service::NexterPay;
    world.token(service);
    let wrong = [("NEXTERPAY_PASSWORD", "wrong-password")];
    assert!(run(&["nexter-pay"], &wrong).status.success());
    let output = run(&["nexter-pay", "--fetch", "--json"], &wrong);
    assert_eq!(output.status.code(), Some(78));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let wrong = rows.iter().find(|row| row["state"] == "wrong").unwrap();
    assert_eq!((&json["ok"], &wrong["what"]), (&false.into(), &"fetch".into()));
    // However often that is looked at, one wrong secret is one request, with a good token and without;
    // without one, the right secret is tried at once.
    for has_good_token in [true, false] {
        if !has_good_token {
            fs::remove_dir_all(world.store()).unwrap();
            run(&["nexter-pay", "--fetch"], &[("NEXTERPAY_PASSWORD", "wrong-password")]);
        }
        let requests = world.sandbox.token_requests(service);
        for _ in 0..5 {
            let output =
                run(&["nexter-pay", "--fetch"], &[("NEXTERPAY_PASSWORD", "wrong-password")]);
            let table = String::from_utf8_lossy(&output.stdout);
            let says = if has_good_token { "use --force to ask now" } else { "remembered" };
            assert!(table.contains(says), "{table}");
        }
        assert_eq!(world.sandbox.token_requests(service), requests);
    }
    assert!(text(run(&["nexter-pay", "--fetch"], &[])).contains("a token, good for"));
    let token = world.token(Service::SendPayments);
    let table = text(run(&["send-payments", "--fetch"], &[]));
    assert!(table.contains("would end the good token"), "{table}");
    assert_eq!(world.token(Service::SendPayments), token);
    text(run(&["send-payments", "--fetch", "--force"], &[]));
    assert_ne!(world.token(Service::SendPayments), token);
}
