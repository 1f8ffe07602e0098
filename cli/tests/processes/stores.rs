//! Stores that are sealed, and stores that are servers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use libtest_mimic::Trial;
use paytoken_sandbox::Service;
use paytoken_testing::write_private;

use crate::settings::{table, with_file};
use crate::support::{World, text};
use crate::trial;

const SEND: Service = Service::SendPayments;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("runs_share_a_sealed_token_and_the_file_shows_nothing_of_it", sealed),
        trial("a_wrong_key_is_named_and_a_key_in_the_environment_is_refused", wrong_keys),
        trial("jobs_are_sealed_and_unsealed_without_a_lost_token", turned_on_and_off),
        trial("check_and_status_tell_of_an_entry_that_cannot_be_read", unreadable),
        trial("a_server_s_address_is_refused_where_it_cannot_be_used_or_would_show", addresses),
        #[cfg(feature = "redis")]
        trial("while_the_store_is_away_check_fetches_no_token", server::no_fetch),
        #[cfg(feature = "redis")]
        trial("runs_share_a_token_on_a_server", server::shared),
        #[cfg(feature = "redis")]
        trial("every_job_that_meets_a_fail_over_waits_for_its_end", server::fail_over),
        #[cfg(feature = "redis")]
        trial("what_no_waiting_mends_is_told_at_once", server::told_at_once),
        #[cfg(feature = "redis")]
        trial("without_a_server_what_coexists_is_fetched_all_the_same", server::unshared),
        #[cfg(feature = "redis")]
        trial("redis_cli_shows_no_token_of_a_sealed_server", server::sealed),
        #[cfg(feature = "redis")]
        trial("check_says_how_a_server_is_set_up", server::checked),
        #[cfg(feature = "redis")]
        trial("check_finds_a_server_that_is_gone_or_a_replica", server::wrong),
        #[cfg(feature = "redis")]
        trial("a_server_by_tls_has_files_of_its_own_and_a_wrong_one_is_named", server::by_tls),
        #[cfg(feature = "redis")]
        trial("check_warns_of_a_server_on_a_network_without_tls", server::in_the_open),
    ]
}

fn key(world: &World, name: &str) -> PathBuf {
    let path = world.folder.join(name);
    let line = text(world.paytoken(&["new-store-key"]).output().unwrap());
    write_private(&path, line + "\n");
    path
}

fn told(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sealed() {
    let world = World::new();
    let (first, second) = (key(&world, "first.key"), key(&world, "second.key"));
    assert_ne!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    for service in Service::ALL.iter().copied() {
        let name = service.facts().name;
        let _ = fs::remove_dir_all(world.store());
        let run = |arguments: &[&str], key: &PathBuf| {
            world.paytoken(arguments).env("PAYTOKEN_STORE_KEY_FILE", key).output().unwrap()
        };
        let token = text(run(&["token", name], &first));
        let bytes = fs::read(world.entry()).unwrap();
        assert!(!bytes.windows(40).any(|piece| piece == &token.as_bytes()[..40]), "{name}");
        assert_eq!(text(run(&["token", name], &first)), token);
        assert!(text(run(&["status", name], &first)).contains(", sealed"));
        // By the settings file, too; its keys stand beside it.
        let both = [fs::read(&second).unwrap(), fs::read(&first).unwrap()].concat();
        write_private(world.folder.join("both.key"), both);
        let secret = service.facts().fields[1].name;
        let file = table(&world, name, service)
            + &format!("{secret} = \"{}\"\n", world.sandbox.client_secret(service))
            + "store_key_file = \"both.key\"\n";
        assert_eq!(text(with_file(&world, &file, &["token", name]).output().unwrap()), token);
        assert_eq!(world.sandbox.token_requests(service), 1, "{name}");
        // Another key finds nothing, says so, and fetches once.
        let output = run(&["token", name, "-v"], &second);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("sealed with another key"), "{stderr}");
        assert_ne!(text(output), token);
        assert_eq!(world.sandbox.token_requests(service), 2, "{name}");
    }
}

/// Each step is rolled out to one job after the other: `cron` has it first, then `shop`.
fn turned_on_and_off() {
    let world = World::new();
    let key = key(&world, "key");
    let key = key.to_str().unwrap();
    const NAME: &str = "send-payments";
    let on: [&[(&str, &str)]; 4] = [
        &[],
        &[("PAYTOKEN_STORE_KEY_FILE", key), ("PAYTOKEN_ACCEPT_UNSEALED", "write")],
        &[("PAYTOKEN_STORE_KEY_FILE", key), ("PAYTOKEN_ACCEPT_UNSEALED", "read")],
        &[("PAYTOKEN_STORE_KEY_FILE", key)],
    ];
    let off: Vec<_> = on.iter().rev().skip(1).copied().collect();
    let mut requests = 0;
    let [mut cron, mut shop] = [on[0]; 2];
    for step in on.into_iter().chain(off) {
        for is_cron in [true, false] {
            *(if is_cron { &mut cron } else { &mut shop }) = step;
            for (renews, finds) in [(cron, shop), (shop, cron)] {
                let run = |settings: &[(&str, &str)], arguments: &[&str]| {
                    let mut command = world.paytoken(arguments);
                    let output = command.envs(settings.iter().copied()).output().unwrap();
                    let told = String::from_utf8_lossy(&output.stderr).into_owned();
                    // At every start, and nothing else is told.
                    let warns = settings.iter().any(|(name, _)| name.contains("UNSEALED"));
                    assert_eq!(told.lines().count(), usize::from(warns), "{told}");
                    assert_eq!(told.contains("accept_unsealed"), warns, "{told}");
                    text(output)
                };
                let token = run(renews, &["token", NAME, "--force"]);
                requests += 1;
                assert_eq!(run(finds, &["token", NAME]), token);
                let is_sealed = fs::read(world.entry()).unwrap().starts_with(b"paytoken-sealed");
                assert_eq!(is_sealed, matches!(renews, [_] | [_, (_, "read")]), "{renews:?}");
            }
        }
        let mut check = world.paytoken(&["check", NAME]);
        let check = text(check.envs(step.iter().copied()).output().unwrap());
        assert_eq!(check.contains("\nwarning  accept_unsealed  "), step.len() == 2, "{check}");
        assert_eq!(check.contains("store key file"), !step.is_empty(), "{check}");
    }
    assert_eq!(world.sandbox.token_requests(SEND), requests);
    // Of all accounts, too, it is told once.
    let output = world.paytoken(&["status"]).envs(on[1].iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = text(output);
    assert_eq!(told.matches("accept_unsealed: write is set").count(), 1, "{told}");
    assert_eq!(status.matches(", unsealed, and opens sealed entries").count(), 3, "{status}");
}

fn unreadable() {
    let world = World::new();
    let [right, wrong] = ["right.key", "wrong.key"].map(|name| key(&world, name));
    const NAME: &str = "send-payments";
    let run = |key: &PathBuf, arguments: &[&str]| {
        world.paytoken(arguments).env("PAYTOKEN_STORE_KEY_FILE", key).output().unwrap()
    };
    text(run(&right, &["token", NAME]));
    let good = fs::read(world.entry()).unwrap();
    let entry = world.entry();
    let spoil: [(&str, &PathBuf, &dyn Fn()); 5] = [
        ("wrong key", &wrong, &|| ()),
        ("no key", &wrong, &|| fs::write(&entry, &good[18..]).unwrap()),
        ("damaged", &right, &|| {
            fs::write(&entry, [&good[..200], b"?", &good[201..]].concat()).unwrap()
        }),
        ("later", &right, &|| {
            fs::write(&entry, [b"paytoken-sealed-2", &good[17..]].concat()).unwrap();
        }),
        ("cut", &right, &|| fs::write(&entry, &good[..100]).unwrap()),
    ];
    for (case, key, spoil) in spoil {
        fs::write(&entry, &good).unwrap();
        let check = text(run(&right, &["check", NAME]));
        assert!(check.contains("good for"), "{case}: {check}");
        spoil();
        let check = text(run(key, &["check", NAME]));
        let line = check.lines().find(|line| line.contains("stored token")).unwrap();
        assert!(line.starts_with("warning") && line.contains("cannot be read"), "{case}: {line}");
        let status = text(run(key, &["status", NAME]));
        assert!(status.contains("an entry that cannot be read"), "{case}: {status}");
        let json = text(run(key, &["status", NAME, "--json"]));
        assert!(json.contains("\"entry_unreadable\": true"), "{case}: {json}");
    }
    // One that others could change, sealed or not.
    let open = || fs::set_permissions(&entry, fs::Permissions::from_mode(0o644)).unwrap();
    let is_told = |check: &str| {
        let line = check.lines().find(|line| line.contains("stored token")).unwrap();
        line.starts_with("warning") && line.contains("cannot be read")
    };
    fs::write(&entry, &good).unwrap();
    open();
    assert!(is_told(&text(run(&right, &["check", NAME]))));
    text(world.paytoken(&["token", NAME, "--force"]).output().unwrap());
    assert!(!is_told(&text(world.paytoken(&["check", NAME]).output().unwrap())));
    open();
    assert!(is_told(&text(world.paytoken(&["check", NAME]).output().unwrap())));
    // One fetch replaces it, and says so once.
    let output = run(&right, &["token", NAME]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("cannot be read").count(), 1, "{told}");
    let json = text(run(&right, &["status", NAME, "--json"]));
    assert!(json.contains("\"entry_unreadable\": false"), "{json}");
    assert_eq!(world.sandbox.token_requests(SEND), 3);
    // The key's own file has its row.
    fs::set_permissions(&right, fs::Permissions::from_mode(0o644)).unwrap();
    let check = String::from_utf8(run(&right, &["check", NAME]).stdout).unwrap();
    let line = check.lines().find(|line| line.contains("store key file")).unwrap();
    assert!(!line.starts_with("ok") && line.contains("644"), "{line}");
}

fn wrong_keys() {
    let world = World::new();
    let bad = world.folder.join("bad.key");
    write_private(&bad, "not a key\n");
    let nowhere = world.folder.join("none");
    let cases = [
        ("PAYTOKEN_STORE_KEY_FILE", bad.to_str().unwrap(), "PAYTOKEN_STORE_KEY_FILE: line 1"),
        ("PAYTOKEN_STORE_KEY_FILE", nowhere.to_str().unwrap(), "PAYTOKEN_STORE_KEY_FILE: cannot"),
        (
            "PAYTOKEN_ACCEPT_UNSEALED",
            "yes",
            "PAYTOKEN_ACCEPT_UNSEALED: 'yes' is not known; use read",
        ),
        ("PAYTOKEN_ACCEPT_UNSEALED", "write", "PAYTOKEN_ACCEPT_UNSEALED: set without keys"),
        ("PAYTOKEN_STORE_KEY", "c2VjcmV0LWtleQ==", "set PAYTOKEN_STORE_KEY_FILE to its path"),
    ];
    for (variable, value, says) in cases {
        for command in ["token", "status", "invalidate"] {
            let mut command = world.paytoken(&[command, "send-payments"]);
            let output = command.env(variable, value).output().unwrap();
            assert_eq!(output.status.code(), Some(78), "{output:?}");
            let said = told(&output);
            assert!(said.contains(says) && !said.contains("c2VjcmV0"), "{said}");
        }
    }
    let file = table(&world, "send-payments", SEND) + "store_key_file = \"bad.key\"\n";
    let said = told(&with_file(&world, &file, &["status", "send-payments"]).output().unwrap());
    assert!(said.contains("store_key_file: line 1"), "{said}");
    let plain = table(&world, "send-payments", SEND);
    for (value, says) in [
        ("yes", ": accept_unsealed: 'yes' is not known"),
        ("read", ": accept_unsealed: set without keys, so nothing is sealed; set store_key_file"),
    ] {
        let file = format!("{plain}accept_unsealed = \"{value}\"\n");
        let said = told(&with_file(&world, &file, &["status", "send-payments"]).output().unwrap());
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(world.sandbox.token_requests(SEND), 0);
}

fn addresses() {
    let world = World::new();
    let url = "redis://someone:not-a-password@127.0.0.1:1/0";
    for url in [
        url,
        "redis://:not-a-password@127.0.0.1:1",
        "redis://someone:not-a-password/with?odd#signs@127.0.0.1:1",
        "rediss://someone:not-a-password@[::1]:1/0",
        "redis+sentinel://someone:not-a-password@127.0.0.1:1,127.0.0.1:2/main",
        "redis+unix:///run/redis.sock?pass=not-a-password",
        "unix:///run/redis.sock?user=someone&db=1&pass=not-a-password",
        "valkey+unix:///run/redis.sock?password=not-a-password",
    ] {
        let output = world.paytoken(&["token", "send-payments", "--store", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let said = told(&output);
        assert!(said.contains("set PAYTOKEN_STORE") && !said.contains("not-a-password"), "{said}");
    }
    let output = world.paytoken(&["purge"]).env("PAYTOKEN_STORE", url).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let output =
        world.paytoken(&["token", "send-payments"]).env("PAYTOKEN_STORE", url).output().unwrap();
    let said = told(&output);
    assert!(!said.contains("not-a-password"), "{said}");
    if cfg!(feature = "redis") {
        // Nobody listens there, and a Send token that cannot be shared is not fetched.
        assert_eq!(output.status.code(), Some(74), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("--features redis"), "{said}");
    }
    assert_eq!(world.sandbox.token_requests(SEND), 0);
    // A password in the settings file makes it a file with a secret.
    let file = table(&world, "send-payments", SEND)
        .replace("store = \"store\"", &format!("store = \"{url}\""))
        + "client_secret_file = \"secret\"\n";
    let mut command = with_file(&world, &file, &["status", "send-payments"]);
    let config = world.folder.join("config.toml");
    fs::set_permissions(config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let said = told(&command.output().unwrap());
    assert!(said.contains("holds a secret"), "{said}");
}

#[cfg(feature = "redis")]
pub(crate) mod server {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use paytoken_testing::redis::{Server, Trio};
    use paytoken_testing::{has_tool, say};

    use super::*;

    /// What `check` says of Send Payments and ends with.
    fn check(world: &World, url: &str) -> (Option<i32>, String) {
        let mut command = world.paytoken(&["check", "send-payments"]);
        let output = command.env("PAYTOKEN_STORE", url).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        (output.status.code(), text)
    }

    /// Asserts one line: its verdict, what it is about, and some of its words.
    fn assert_row(text: &str, verdict: &str, what: &str, words: &str) {
        let is_it = |line: &str| {
            let rest = line.strip_prefix(verdict).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(&format!("{what}  ")) && rest.contains(words))
        };
        assert!(text.lines().any(is_it), "{verdict} {what} {words}: {text}");
    }

    /// A run of the command with `-v`: how it ended, its output, and what it told.
    fn run(world: &World, url: &str, words: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut command = world.paytoken(words);
        command.arg("-v").env("PAYTOKEN_STORE", url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have failed without reading it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let [text, told] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), text, told)
    }

    /// The store that is away may hold the good token that a fetch would end.
    pub(super) fn no_fetch() {
        let world = World::new();
        let mut command = world.paytoken(&["check", "send-payments", "--fetch", "--timeout", "2s"]);
        let command = command.env("PAYTOKEN_STORE", "redis://127.0.0.1:1");
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_row(&text, "wrong", "store server", "nothing listens there");
        assert_row(&text, "untried", "stored token", "not tried");
        assert_row(&text, "untried", "fetch", "not tried");
        assert_eq!(world.sandbox.token_requests(SEND), 0);
    }

    const ASKED_AGAIN: &str = "; asked again in ";

    /// Eight lines of jobs, one after the other, from before the master's death until after it is
    /// replaced; and in the middle one token that the API has answered 401 to.
    pub(super) fn fail_over() {
        if !has_tool("redis-server") {
            return;
        }
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let world = World::new();
        let mut trio = Trio::start();
        let (url, is_over) = (trio.url(), AtomicBool::new(false));
        let job = || {
            let (code, token, told) = run(&world, &url, &["token", "send-payments"], "");
            assert_eq!(code, Some(0), "{told}");
            (token, told.contains(ASKED_AGAIN))
        };
        let (token, _) = job();
        let line = || {
            let mut have_waited = 0;
            loop {
                let is_last = is_over.load(Ordering::SeqCst);
                have_waited += usize::from(job().1);
                if is_last {
                    return have_waited;
                }
            }
        };
        std::thread::scope(|scope| {
            let lines: Vec<_> = (0..8).map(|_| scope.spawn(line)).collect();
            let end = End(&is_over);
            trio.master.kill();
            let (code, _, told) = run(&world, &url, &["invalidate", "send-payments"], &token);
            // Where the token had not reached the replica, there is nothing to drop.
            assert!(matches!(code, Some(0 | 65)), "{told}");
            assert!(told.contains(ASKED_AGAIN), "{told}");
            trio.until_the_replica_is_master();
            drop(end);
            let have_waited: usize = lines.into_iter().map(|line| line.join().unwrap()).sum();
            say(&format!("{have_waited} jobs have waited for the fail-over's end"));
            assert!(have_waited > 0, "no job has met it");
        });
    }

    pub(super) fn told_at_once() {
        if !has_tool("redis-server") {
            return;
        }
        let world = World::new();
        let server = Server::start(&[]);
        server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        for (url, says) in [
            (format!("{}?user=nobody&pass=hunter2", server.url), "does not know this user"),
            (format!("{}?db=99", server.url), "has no database of this number"),
            (format!("redis+unix:///{}", "long/".repeat(50)), "cannot be reached"),
            (server.url.clone(), "has no memory left"),
        ] {
            for words in [["token", "send-payments"], ["header", "send-payments"]] {
                let (code, _, told) = run(&world, &url, &words, "");
                assert_eq!(code, Some(74), "{told}");
                assert!(told.contains(says) && !told.contains(ASKED_AGAIN), "{told}");
            }
        }
        assert_eq!(world.sandbox.token_requests(SEND), 0);
    }

    pub(super) fn unshared() {
        let world = World::new();
        for provider in [Service::NtxPay, Service::NexterPay] {
            let url = "redis+unix:///no/such.sock";
            let (code, token, told) = run(&world, url, &["token", provider.facts().name], "");
            assert_eq!(code, Some(0), "{told}");
            assert!(world.sandbox.is_valid(provider, token.trim()));
            assert!(told.contains("this process goes on without sharing"), "{told}");
        }
    }

    pub(super) fn checked() {
        if !has_tool("redis-server") {
            return;
        }
        let world = World::new();
        let server = Server::start(&[]);
        let (code, text) = check(&world, &server.url);
        assert_eq!(code, Some(0), "{text}");
        assert_row(&text, "ok", "store server", " ms, answers in ");
        assert_row(&text, "ok", "store role", "master, with 0 replicas");
        assert_row(&text, "ok", "store network", "on this machine");
        assert_row(&text, "ok", "store memory", "is noeviction");
        assert_row(&text, "ok", "store writes", "written, and removed");
        assert_row(&text, "ok", "stored token", "none");
        server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        let (code, text) = check(&world, &server.url);
        assert_eq!(code, Some(0), "{text}");
        assert_row(&text, "warning", "store memory", "is allkeys-lru");
        // Someone with the page's rights.
        let rights = "~paytoken:* resetchannels -@all +eval +get +set +del +hget +hset +pexpire +select +wait";
        let user: Vec<_> =
            "ACL SETUSER paytoken on >hunter2".split(' ').chain(rights.split(' ')).collect();
        server.ask(&user);
        let (code, text) = check(&world, &format!("{}?user=paytoken&pass=hunter2", server.url));
        assert_eq!(code, Some(0), "{text}");
        assert_row(&text, "ok", "store role", "master, with 0 replicas");
        assert_row(&text, "ok", "store memory", "not known");
    }

    pub(super) fn wrong() {
        if !has_tool("redis-server") {
            return;
        }
        let world = World::new();
        let mut server = Server::start(&[]);
        server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
        let (code, text) = check(&world, &server.url);
        assert_eq!(code, Some(78), "{text}");
        assert_row(&text, "ok", "store server", "answers");
        assert_row(&text, "wrong", "store role", "give the master's address");
        assert!(!text.contains("store writes"), "{text}");
        server.ask(&["REPLICAOF", "NO", "ONE"]);
        server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let (code, text) = check(&world, &server.url);
        assert_eq!(code, Some(78), "{text}");
        assert_row(&text, "wrong", "store writes", "has fewer replicas than it needs");
        let (code, text) = check(&world, &format!("{}?user=nobody&pass=hunter2", server.url));
        assert_eq!(code, Some(78), "{text}");
        assert_row(&text, "wrong", "store server", "does not know this user");
        server.kill();
        let (code, text) = check(&world, &format!("{}?user=shop&pass=hunter2", server.url));
        assert_eq!(code, Some(78), "{text}");
        assert_row(&text, "wrong", "store server", "cannot be reached");
        assert_row(&text, "untried", "stored token", "not tried");
    }

    /// A row of what is given: a variable, a key of the settings file, what is given, and what is said.
    pub(crate) const FILES: [(&str, &str, &str); 3] = [
        ("PAYTOKEN_STORE_CA", "store_ca", "ca.pem"),
        ("PAYTOKEN_STORE_CLIENT_CERT", "store_certificate", "client.cert.pem"),
        ("PAYTOKEN_STORE_CLIENT_KEY", "store_private_key", "client.key.pem"),
    ];

    /// Of [`FILES`].
    type Changed<'a> = &'a [(usize, &'a str)];

    pub(super) fn by_tls() {
        if !has_tool("redis-server") {
            return;
        }
        let world = World::new();
        let (server, port) = Server::start_by_tls(&world.sandbox);
        let url = format!("rediss://localhost:{port}");
        let path = |name: &str| world.folder.join(name);
        let plain = format!("redis://127.0.0.1:{}", server.port.unwrap());
        let write = |name: &str, content: &[u8]| {
            fs::write(path(name), content).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("der", b"\x30\x82\xff");
        let both = ["client.cert.pem", "client.key.pem"].map(|name| fs::read(path(name)).unwrap());
        write("both.pem", &both.concat());
        let folder = world.folder.display().to_string();
        write("cut.pem", &both[1][..both[1].len() / 2]);
        // What is changed of the three files, the address, and what is said: nothing where it works.
        let cases: &[(Changed, &str, &str)] = &[
            (&[], &url, ""),
            (&[(1, "both.pem"), (2, "")], &url, ""),
            (&[(0, "no-such")], &url, "{0}: cannot read that file"),
            (&[(0, "client.key.pem")], &url, "{0}: "),
            (&[(0, "der")], &url, "{0}: "),
            (&[(0, "/dev/null")], &url, "{0}: no CERTIFICATE block"),
            (&[(0, &folder)], &url, "{0}: "),
            (&[(0, "")], &url, "by TLS"),
            (&[(1, ""), (2, "")], &url, "store: Redis at localhost"),
            (&[(1, "")], &url, "{2}: set without a certificate; set {1}, too"),
            (&[(1, "no-such")], &url, "{1}: cannot read that file"),
            (&[(2, "")], &url, "{1}: certificate and key cannot be used"),
            (&[(2, "cut.pem")], &url, "{1}: certificate and key cannot be used"),
            (&[(2, "der")], &url, "{2}: the file is not text"),
            (&[(2, "no-such")], &url, "{2}: cannot read that file"),
            (&[], &plain, "{0}: the URL asks for no TLS; write rediss://"),
        ];
        for (changed, url, says) in cases {
            let of = |index: usize| {
                let other = changed.iter().find(|(which, _)| *which == index);
                other.map_or(FILES[index].2, |(_, name)| name)
            };
            let given = || (0..3).filter(|index| !of(*index).is_empty());
            let mut by_variables = world.paytoken(&["token", "send-payments"]);
            by_variables.env("PAYTOKEN_STORE", url);
            by_variables.envs(given().map(|index| (FILES[index].0, path(of(index)))));
            let file = table(&world, "send-payments", SEND)
                .replace("\"store\"", &format!("\"{url}\""))
                + &format!("client_secret = \"{}\"\n", world.sandbox.client_secret(SEND))
                + &given()
                    .map(|index| format!("{} = \"{}\"\n", FILES[index].1, of(index)))
                    .collect::<String>();
            let by_file = with_file(&world, &file, &["token", "send-payments"]);
            for (mut command, is_file) in [(by_variables, false), (by_file, true)] {
                let before = world.sandbox.token_requests(SEND);
                let output = command.output().unwrap();
                let told = String::from_utf8_lossy(&output.stderr).into_owned();
                if says.is_empty() {
                    assert_eq!(text(output).lines().count(), 1, "{changed:?}: {told}");
                    assert!(told.is_empty() && server.text(&["DBSIZE"]) == "1", "{told}");
                    continue;
                }
                let name = |index: usize| if is_file { FILES[index].1 } else { FILES[index].0 };
                let says = (0..3).fold((*says).to_owned(), |says, index| {
                    says.replace(&format!("{{{index}}}"), name(index))
                });
                let code = if says.contains("Redis") || says == "by TLS" { 74 } else { 78 };
                assert_eq!(output.status.code(), Some(code), "{changed:?} {says}: {told}");
                assert!(told.contains(&says), "{says}: {told}");
                assert!(told.lines().count() == 1 || code == 74, "{told}");
                assert!(!told.contains(&folder) || is_file, "{told}");
                assert_eq!(world.sandbox.token_requests(SEND), before, "{told}");
            }
        }
        // A directory needs none of them.
        let mut command = world.paytoken(&["token", "send-payments"]);
        text(command.envs(FILES.map(|(name, _, file)| (name, path(file)))).output().unwrap());
        let mut command = world.paytoken(&["check", "send-payments"]);
        command.env("PAYTOKEN_STORE", &url).envs(FILES.map(|(name, _, file)| (name, path(file))));
        let output = text(command.output().unwrap());
        assert_row(&output, "ok", "store network", "over TLS that is verified");
    }

    /// In a network of its own, where an address other than loopback is there for sure.
    pub(super) fn in_the_open() {
        let Some(text) = in_a_network() else { return };
        assert_row(&text, "ok", "store server", "answers");
        assert_row(&text, "warning", "store network", "use rediss://");
    }

    /// What `check` says there.
    pub(crate) fn in_a_network() -> Option<String> {
        if !["redis-server", "redis-cli", "unshare"].into_iter().all(has_tool) {
            return None;
        }
        let world = World::new();
        let script = "ip link set lo up && ip address add 192.0.2.1/32 dev lo || exit 3
            redis-server --bind 192.0.2.1 --protected-mode no --save '' >/dev/null &
            tries=0
            until redis-cli -h 192.0.2.1 ping >/dev/null 2>&1; do
                tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 4
            done
            \"$1\" check send-payments; code=$?
            kill $!; wait; exit $code";
        let mut command = world.program("unshare");
        command.args(["--map-root-user", "--net", "--", "sh", "-c", script, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_paytoken")).env("PAYTOKEN_STORE", "redis://192.0.2.1");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.is_empty() && String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
            say(
                "not run: the warning of a server without TLS; network namespaces are not allowed here",
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn shared() {
        if !has_tool("redis-server") {
            return;
        }
        let world = World::new();
        let server = Server::start(&[]);
        let run = |arguments: &[&str]| {
            world.paytoken(arguments).env("PAYTOKEN_STORE", &server.url).output().unwrap()
        };
        for service in Service::ALL.iter().copied() {
            let name = service.facts().name;
            let token = text(run(&["token", name]));
            assert_eq!(text(run(&["token", name])), token);
            assert_eq!(world.sandbox.token_requests(service), 1, "{name}");
            let status = text(run(&["status", name]));
            assert!(status.contains("token good for") && status.contains("redis.sock"), "{status}");
            let check = String::from_utf8(run(&["check", name]).stdout).unwrap();
            assert!(check.contains("stored token"), "{check}");
            let mut invalidate = world.paytoken(&["invalidate", name]);
            invalidate.env("PAYTOKEN_STORE", &server.url).stdin(Stdio::piped());
            let mut child = invalidate.spawn().unwrap();
            child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
            assert!(child.wait_with_output().unwrap().status.success());
            assert_ne!(text(run(&["token", name])), token);
        }
        assert!(!world.store().exists(), "nothing is kept in files");
    }

    pub(super) fn sealed() {
        if !has_tool("redis-server") || !has_tool("redis-cli") {
            return;
        }
        let world = World::new();
        let server = Server::start(&[]);
        let key = key(&world, "store.key");
        let shown = || {
            let script = "redis-cli -s \"$0\" --scan | while read -r key; do redis-cli -s \"$0\" hgetall \"$key\"; done";
            let socket = server.folder.join("redis.sock");
            let output = Command::new("sh").args(["-c", script]).arg(socket).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let run = |key: Option<&PathBuf>| {
            let mut command = world.paytoken(&["token", "send-payments"]);
            command
                .env("PAYTOKEN_STORE", &server.url)
                .envs(key.map(|key| ("PAYTOKEN_STORE_KEY_FILE", key)));
            text(command.output().unwrap())
        };
        let token = run(Some(&key));
        assert_eq!(run(Some(&key)), token);
        let all = shown();
        assert!(all.contains("paytoken-sealed-1") && !all.contains(&token[..40]), "{all}");
        assert_eq!(world.sandbox.token_requests(SEND), 1);
        // Whoever has no key cannot read it, and what is written without one shows.
        let token = run(None);
        assert!(shown().contains(&token[..40]));
    }
}
