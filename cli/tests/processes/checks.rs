//! `paytoken check`: each kind of mistake is found, and no credentials are sent on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Trial;
use paytoken_sandbox::{Service, rcgen};
use paytoken_testing::{Server, has_tool, write_private};

use crate::settings::{told, whole, with_file};
use crate::support::{PAYTOKEN, World, text};
use crate::trial;

const SEND: Service = Service::SendPayments;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("check_finds_what_is_wrong_and_sends_no_credentials", check),
        trial("check_without_a_name_is_a_line_for_each_account_that_is_set_up", all),
        trial("what_is_wrong_above_keeps_check_from_guessing_below", order_of_causes),
        trial("check_finds_authorities_that_have_expired", expired_authorities),
        trial("what_check_says_first_is_the_cause", first_said),
    ]
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

fn all() {
    let world = World::new();
    let good: String = ["one", "two"].map(|name| whole(&world, name, Service::NexterPay)).concat();
    let bad = whole(&world, "three", Service::NexterPay).replace("user_name", "user_nam")
        + &whole(&world, "four", Service::SendPayments).replace("client_id", "client_id_file");
    let run = |content: &str, arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = with_file(&world, content, &[&["check"], arguments].concat());
        command.envs(variables.iter().copied()).output().unwrap()
    };
    let table = text(run(&good, &[], &[]));
    let says = "nexter-pay, nothing is wrong";
    let odd = |line: &&str| !line.ends_with(says) && !line.contains("paytoken curl");
    assert!(table.lines().count() == 2 && table.lines().find(odd).is_none(), "{table}");
    assert!(table.starts_with("ok       one  nexter-pay") || !has_tool("curl"), "{table}");
    // The worst counts, and each is told of itself alone.
    let output = run(&(good.clone() + &bad), &[], &[("NTXPAY_CLIENT_ID_FILE", "/no/such")]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{table}");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    for (name, state, says) in [
        ("one", "", ""),
        ("two", "", ""),
        ("three", "wrong", "settings: "),
        ("three", "wrong", "did you mean user_name?"),
        ("four", "wrong", "client_id file: cannot be read"),
        ("ntx-pay", "wrong", "client_secret: not set; set NTXPAY_CLIENT_SECRET"),
        ("ntx-pay", "wrong", "more: paytoken check ntx-pay)"),
    ] {
        let line = lines.iter().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        assert!(line.starts_with(state) && line.contains(says), "{name}: {table}");
        assert_eq!(line.starts_with("wrong"), state == "wrong", "{table}");
    }
    let output = run(&(good.clone() + &bad), &["--json"], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let oks = json.as_array().unwrap().iter().map(|table| (&table["account"], &table["ok"]));
    let oks: Vec<_> = oks.map(|(name, ok)| (name.as_str().unwrap(), ok == true)).collect();
    assert_eq!(oks, [("one", true), ("two", true), ("three", false), ("four", false)]);
    assert_eq!(output.status.code(), Some(78));
    // No credentials are sent unless that is asked for; then all are.
    let requests = |service| world.sandbox.token_requests(service);
    assert_eq!(requests(Service::NexterPay), 0);
    text(run(&good, &["--fetch"], &[]));
    assert!(requests(Service::NexterPay) > 0);
    for (content, arguments, says) in [
        ("", &[][..], "config.toml names no account"),
        ("[defaults]\nca = \"ca.pem\"\n", &["--json"], "config.toml names no account"),
    ] {
        let output = run(content, arguments, &[]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        assert!(told(&output).contains(says), "{output:?}");
    }
    let mut command = world.paytoken(&["check"]);
    let output = command.env_clear().env("HOME", &world.folder).output().unwrap();
    assert!(told(&output).contains("there is no ") && output.status.code() == Some(78));
}

/// The first row that is wrong is the cause, and those below it that it makes meaningless are not
/// tried.
fn order_of_causes() {
    let world = World::new();
    let strange = rcgen::KeyPair::generate().unwrap().serialize_pem();
    write_private(world.folder.join("strange.pem"), strange);
    let path = |name: &str| world.folder.join(name).to_str().unwrap().to_owned();
    let (strange, key) = (path("strange.pem"), path("client.key.pem"));
    let nothing = ["credentials", "stored token", "connection", "fetch"];
    let no_way = [nothing[0], nothing[2], nothing[3]];
    let no_store = ["store", nothing[1], nothing[3]];
    for (provider, variable, value, first, untried) in [
        ("ntx-pay", "NTXPAY_CLIENT_CERT", "/no/such", "certificate", &nothing[..]),
        ("ntx-pay", "NTXPAY_CLIENT_CERT", "", "certificate", &nothing),
        ("ntx-pay", "NTXPAY_CLIENT_CERT", &key, "certificate", &nothing),
        ("ntx-pay", "NTXPAY_BASE_URL", "http://x", "address", &nothing),
        ("ntx-pay", "NTXPAY_CLIENT_KEY", &strange, "certificate", &no_way),
        ("ntx-pay", "NTXPAY_CLIENT_SECRET", "", "client_secret", &no_way),
        ("ntx-pay", "PAYTOKEN_CA", "/no/such", "authorities file", &no_way),
        ("ntx-pay", "PAYTOKEN_CA", &strange, "authorities file", &no_way),
        ("ntx-pay", "PAYTOKEN_CA", "/", "authorities file", &no_way),
        // No certificate is asked for, so the way is tried.
        ("nexter-pay", "NEXTERPAY_PASSWORD", "", "password", &["credentials", "fetch"]),
        ("nexter-pay", "NEXTERPAY_BASE_URL", "https://127.0.0.1:1", "connection", &["fetch"]),
        ("nexter-pay", "PAYTOKEN_STORE", "/dev/null/x", "store", &no_store[1..]),
        ("nexter-pay", "PAYTOKEN_STORE_KEY_FILE", "/no/such", "store key file", &no_store),
        ("nexter-pay", "PAYTOKEN_STORE_KEY", "hunter2", "store", &no_store[1..]),
    ] {
        let mut command = world.paytoken(&["check", provider, "--fetch", "--json"]);
        let output = command.env(variable, value).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = json["rows"].as_array().unwrap();
        let of = |state: &str| -> Vec<&str> {
            let rows = rows.iter().filter(|row| row["state"] == state);
            rows.map(|row| row["what"].as_str().unwrap()).collect()
        };
        assert_eq!(of("wrong"), [first], "{variable}={value}: {json:#}");
        assert_eq!(of("untried"), untried, "{variable}={value}: {json:#}");
        let is_guess = |text: &str| text.contains("did not accept") || text.contains("hunter2");
        assert!(!is_guess(&json.to_string()), "{variable}={value}: {json:#}");
        assert_eq!(output.status.code(), Some(78));
    }
    // Three files that are not there are three mistakes, and no more.
    let file = "[ntx-pay]\nclient_id = \"merchant-7\"\nclient_secret_file = \"no-secret\"\ncertificate = \"no-certificate\"\nprivate_key = \"no-key\"\nca = \"ca.pem\"\n"
        .to_owned()
        + &format!("base_url = \"{}\"\n", world.sandbox.url(Service::NtxPay));
    let output = with_file(&world, &file, &["check", "ntx-pay"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let wrong: Vec<_> = table.lines().filter(|line| line.starts_with("wrong")).collect();
    assert_eq!(wrong.len(), 3, "{table}");
    // Without its key, the certificate loads, and none is shown.
    let mut command = world.paytoken(&["check", "ntx-pay"]);
    let table = command.env("NTXPAY_CLIENT_KEY", "").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let wrong = table.lines().find(|line| line.starts_with("wrong")).unwrap();
    assert!(wrong.contains("asks for a client certificate, and none was shown"), "{table}");
    // A command that takes all of the time leaves none to reach anybody in.
    for (command, says) in [
        ("[\"sleep\", \"60\"]", "has not ended"),
        ("[\"sh\", \"-c\", \"echo run >> runs; exit 75\"]", "try again"),
    ] {
        let file = whole(&world, "nexter-pay", Service::NexterPay)
            .replace("\npassword = ", &format!("\npassword_command = {command} # "));
        let arguments = ["check", "nexter-pay", "--timeout", "1s"];
        let table = with_file(&world, &file, &arguments).output().unwrap();
        let table = String::from_utf8(table.stdout).unwrap();
        let wrong: Vec<_> = table.lines().filter(|line| line.starts_with("wrong")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{table}");
        assert!(wrong[0].starts_with("wrong    password "), "{table}");
    }
    // It is run once.
    assert_eq!(fs::read_to_string(world.folder.join("runs")).unwrap(), "run\n");
    assert_eq!(world.sandbox.token_requests(Service::NtxPay), 0);
    assert_eq!(world.sandbox.token_requests(Service::NexterPay), 0);
}

fn expired_authorities() {
    let world = World::new();
    let expired = || {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2010, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    };
    let good = world.sandbox.ca_pem();
    for (content, state, says) in [
        (good.to_owned(), "ok", "(mode 600)"),
        (expired(), "wrong", "has expired, all of it"),
        (expired() + "# and another\n" + &expired(), "wrong", "has expired, all of it"),
        (expired() + good, "warning", "1 of its 2 authorities have expired"),
        (good.to_owned() + &expired() + &expired(), "warning", "2 of its 3 authorities have"),
    ] {
        let path = world.folder.join("authorities.pem");
        write_private(&path, content);
        let output = world.paytoken(&["check", "nexter-pay"]).env("PAYTOKEN_CA", &path).output();
        let output = output.unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        let mut rows = table.lines().filter(|line| line.contains("  authorities file  "));
        let row = rows.next_back().unwrap();
        assert!(row.starts_with(state) && row.contains(says), "{table}");
        assert_eq!(output.status.code(), Some(if state == "wrong" { 78 } else { 0 }), "{table}");
    }
}

/// What it is, the account, the variables, and what is said.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// Broken situations, and the first line of `check` that is not "ok".
fn first_said() {
    let world = World::new();
    let path = |name: &str| world.folder.join(name).display().to_string();
    let private = |name: &str, content: &str| {
        write_private(world.folder.join(name), content);
        path(name)
    };
    let mark = private("mark", &format!("\u{feff}{}\n", world.sandbox.client_secret(SEND)));
    let no_mark = private("two-lines", "secret\nand another\n");
    let empty = private("empty.pem", "");
    fs::create_dir(world.folder.join("folder")).unwrap();
    let folder = path("folder");
    let plain = world.sandbox.url(SEND).replace("https:", "http:");
    let control = format!("https://{}", world.sandbox.control_address());
    let nobody = format!("https://{}", paytoken_testing::nobody_listens());
    let (certificate, key) = (path("client.cert.pem"), path("client.key.pem"));
    const ID: &str = "SENDPAYMENTS_CLIENT_ID";
    const SECRET: &str = "SENDPAYMENTS_CLIENT_SECRET";
    const URL: &str = "SENDPAYMENTS_BASE_URL";
    let cases: &[Case] = &[
        (
            "the proxy is gone",
            "send-payments",
            &[("https_proxy", "http://127.0.0.1:1")],
            "warning addresses the proxy 127.0.0.1: 127.0.0.1 does not answer",
        ),
        (
            "plain http to TLS",
            "send-payments",
            &[(URL, &plain)],
            "wrong connection send-payments: ",
        ),
        (
            "TLS to plain http",
            "send-payments",
            &[(URL, &control)],
            "wrong connection send-payments: ",
        ),
        (
            "nobody at the address",
            "send-payments",
            &[(URL, &nobody)],
            "warning addresses 127.0.0.1: 127.0.0.1 does not answer (connection refused)",
        ),
        (
            "no such host",
            "send-payments",
            &[(URL, "https://no-such-host.invalid")],
            "wrong connection send-payments: the host name was not found; check --base-url",
        ),
        (
            "certificate and key swapped",
            "ntx-pay",
            &[("NTXPAY_CLIENT_CERT", &key), ("NTXPAY_CLIENT_KEY", &certificate)],
            "wrong certificate certificate: holds a private key but no certificate",
        ),
        (
            "no certificate in the authorities",
            "send-payments",
            &[("PAYTOKEN_CA", &empty)],
            "wrong authorities file PAYTOKEN_CA: no CERTIFICATE block found",
        ),
        (
            "the wrong authorities",
            "send-payments",
            &[("PAYTOKEN_CA", &certificate)],
            "wrong connection send-payments: the server's certificate is from an authority",
        ),
        (
            "a placeholder",
            "send-payments",
            &[(SECRET, "<your-secret>")],
            "warning client_secret from SENDPAYMENTS_CLIENT_SECRET; it stands in < and >",
        ),
        (
            "copied from a web page",
            "send-payments",
            &[(ID, "sandbox\u{200b}-client")],
            "warning client_id from SENDPAYMENTS_CLIENT_ID; it holds a character that does not show",
        ),
        (
            "two lines in the secret's file",
            "send-payments",
            &[(SECRET, ""), ("SENDPAYMENTS_CLIENT_SECRET_FILE", &no_mark)],
            "warning client_secret from SENDPAYMENTS_CLIENT_SECRET_FILE; it holds a blank",
        ),
        (
            "the secret's file is a folder",
            "send-payments",
            &[(SECRET, ""), ("SENDPAYMENTS_CLIENT_SECRET_FILE", &folder)],
            "wrong client_secret file ",
        ),
        (
            "the settings file is a folder",
            "send-payments",
            &[("PAYTOKEN_CONFIG", &folder)],
            "wrong settings file ",
        ),
        (
            "a mark of the byte order",
            "send-payments",
            &[(SECRET, ""), ("SENDPAYMENTS_CLIENT_SECRET_FILE", &mark)],
            "",
        ),
    ];
    for (what, provider, variables, says) in cases {
        let mut command = world.paytoken(&["check", provider, "--timeout", "8s"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        let mut lines =
            table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let is_told = |line: &String| !line.starts_with("ok ") && !line.contains("paytoken curl");
        let first = lines.find(is_told).unwrap_or_default();
        assert!(first.starts_with(says) && first.is_empty() == says.is_empty(), "{what}: {table}");
        if *what == "plain http to TLS" {
            assert!(first.contains("if the server speaks TLS, write https://"), "{first}");
        }
    }
    // What only looks writable: no file may grow, as with a quota that is used up.
    let script = "ulimit -f 0; exec \"$0\" check send-payments";
    let output = world.program("sh").args(["-c", script, PAYTOKEN]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{table}");
    let line = table.lines().find(|line| line.starts_with("wrong")).unwrap();
    assert!(line.contains("store  ") && line.contains("cannot be written"), "{table}");
}
