//! The tables of `docs/redis.md`, row by row, against real servers: by the command, and by Rust where the
//! row speaks of programs. (By C: `capi/ctest/redis.c`.)

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use libtest_mimic::Trial;
use paytoken::{ErrorKind, Event, Provider, TokenSource};
use paytoken_redis::{RedisStore, RedisStoreBuilder};
use paytoken_sandbox::{Fault, Service};
use paytoken_testing::redis::{Server, Trio};
use paytoken_testing::{ManualClock, PATIENCE, builder, has_tool};

use crate::stores::server::{FILES, in_a_network};
use crate::support::{World, text};
use crate::tables::{REDIS, Run, code_words, rows, run_each};
use crate::trial;

const SEND: Service = Service::SendPayments;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("each_address_of_the_page_leads_to_its_server", addresses),
        trial("each_row_of_check_about_a_server_says_what_the_page_says", checks),
        trial("each_file_of_the_page_for_a_server_by_tls_has_its_three_names", files),
        trial("each_key_of_the_page_is_in_the_server_and_ends", keys),
        trial("while_its_server_is_away_each_row_of_the_page_holds", away),
    ]
}

fn run(world: &World, url: &str, words: &[&str]) -> Output {
    let mut command = world.paytoken(words);
    command.env("PAYTOKEN_STORE", url).output().unwrap()
}

fn make_user(server: &Server) {
    server.ask(&["ACL", "SETUSER", "paytoken", "on", ">p/w@1", "~*", "&*", "+@all"]);
    server.ask(&["ACL", "SETUSER", "default", "resetpass", ">another"]);
}

/// A run keeps its token in this database there, and a Rust program finds it.
fn leads_to(
    url: &str,
    change: impl Fn(RedisStoreBuilder) -> RedisStoreBuilder,
    more: &[(&str, &str)],
) {
    let world = World::new();
    let mut command = world.paytoken(&["token", "send-payments"]);
    let variables = more.iter().map(|(name, file)| (name, world.folder.join(file)));
    command.env("PAYTOKEN_STORE", url).envs(variables);
    let token = text(command.output().unwrap());
    let store = change(RedisStore::builder(url)).build().unwrap();
    let source = builder(&world.sandbox, Provider::SendPayments).store(store).build().unwrap();
    assert_eq!(source.token().unwrap().secret(), token, "{url}");
    assert_eq!(world.sandbox.token_requests(SEND), 1, "{url}");
}

fn addresses() {
    if !has_tool("redis-server") {
        return;
    }
    let same = |builder| builder;
    let by_port: Run = &|row| {
        assert_eq!(row[1], "user, password, port and database may be left out");
        let server = Server::start_on_port(&[]);
        let port = server.port.unwrap();
        leads_to(&format!("redis://127.0.0.1:{port}"), same, &[]);
        make_user(&server);
        leads_to(&format!("redis://paytoken:p%2Fw%401@127.0.0.1:{port}/3"), same, &[]);
        leads_to(&format!("redis://:another@127.0.0.1:{port}/4"), same, &[]);
    };
    let by_tls: Run = &|_| {
        let world = World::new();
        let (_server, port) = Server::start_by_tls(&world.sandbox);
        let url = format!("rediss://localhost:{port}");
        let sandbox = &world.sandbox;
        let store = RedisStore::builder(&url)
            .root_certificates_pem(sandbox.ca_pem().as_bytes())
            .client_certificate_pem(
                sandbox.client_certificate_pem().as_bytes(),
                paytoken::Secret::new(sandbox.client_key_pem()),
            );
        assert!(store.build().unwrap().server().unwrap().is_encrypted);
        let mut command = world.paytoken(&["token", "send-payments"]);
        command.env("PAYTOKEN_STORE", &url);
        command.envs(FILES.map(|(variable, _, file)| (variable, world.folder.join(file))));
        text(command.output().unwrap());
        // By Mozilla's authorities it is not trusted.
        let error = RedisStore::open(&url).unwrap().server().unwrap_err();
        assert!(error.to_string().contains("by TLS"), "{error}");
    };
    let by_socket: Run = &|_| {
        let server = Server::start(&[]);
        leads_to(&server.url, same, &[]);
        let url = server.url.clone();
        make_user(&server);
        leads_to(&format!("{url}?db=2&user=paytoken&pass=p%2Fw%401"), same, &[]);
    };
    let by_sentinel: Run = &|_| {
        let mut trio = Trio::start();
        leads_to(&trio.url(), same, &[]);
        for server in [&trio.master, &trio.replica] {
            server.ask(&["ACL", "SETUSER", "paytoken", "on", ">pw", "~*", "&*", "+@all"]);
        }
        let url = trio.url().replace("//", "//paytoken:pw@") + "/0";
        leads_to(&url, same, &[]);
        // "The first that answers": nobody listens at the one before it.
        trio.sentinel.kill();
        let error = RedisStore::open(&url).unwrap().server().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
    };
    run_each(
        &rows(REDIS, "| URL | |"),
        &[
            ("`redis://user:pass@host:6379/0`", by_port),
            ("`rediss://…`", by_tls),
            ("`redis+unix:///r.sock?db=0`", by_socket),
            ("`redis+sentinel://a,b/master/0`", by_sentinel),
        ],
    );
}

/// What `check` says in each of these situations: its lines, as words.
fn situations() -> Vec<String> {
    let world = World::new();
    let check = |url: &str| {
        String::from_utf8(run(&world, url, &["check", "send-payments"]).stdout).unwrap()
    };
    let mut server = Server::start(&[]);
    let mut said = vec![check(&server.url)];
    for policy in ["allkeys-lru", "volatile-ttl"] {
        server.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        said.push(check(&server.url));
    }
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    said.push(check(&server.url));
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    said.push(check(&server.url));
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    said.push(check(&server.url));
    said.push(check(&format!("{}?user=nobody&pass=x", server.url)));
    server.kill();
    said.push(check(&server.url));
    let cluster = Server::start(&["--cluster-enabled", "yes"]);
    said.push(check(&cluster.url));
    said.push(check(&Trio::start().url()));
    said
}

fn checks() {
    if !has_tool("redis-server") {
        return;
    }
    let mut said = situations();
    let open_network = in_a_network();
    said.extend(open_network.clone());
    let lines: Vec<&str> = said.iter().flat_map(|text| text.lines()).collect();
    let verdicts = |what: &str| -> BTreeSet<&str> {
        let of =
            |line: &&str| line.get(9..).is_some_and(|rest| rest.starts_with(&format!("{what}  ")));
        lines.iter().copied().filter(of).filter_map(|line| line.split(' ').next()).collect()
    };
    let mut named = BTreeSet::new();
    for row in rows(REDIS, "| row | ok | otherwise |") {
        let [what, ok, otherwise] = row[..] else { panic!("{row:?}") };
        let what = what.trim_matches('`');
        named.insert(what.to_owned());
        let mut expected = BTreeSet::new();
        for verdict in ["wrong", "warning"] {
            if otherwise.to_lowercase().contains(&format!("{verdict}:")) {
                expected.insert(verdict);
            }
        }
        assert!(!ok.is_empty());
        expected.insert("ok");
        // Without namespaces for networks there is only this machine.
        if what == "store network" && open_network.is_none() {
            expected.remove("warning");
        }
        assert_eq!(verdicts(what), expected, "{what}");
    }
    // And no other row speaks of the server.
    let is_named = |line: &&str| {
        line.get(9..)
            .and_then(|rest| rest.split("  ").next())
            .is_none_or(|what| !what.starts_with("store ") || named.contains(what))
    };
    assert!(lines.iter().all(is_named), "{lines:?}");
}

fn files() {
    const HEADER: &str = include_str!("../../../capi/include/paytoken.h");
    let rows = rows(REDIS, "| setting | |");
    assert_eq!(rows.len(), FILES.len());
    for (row, (variable, key, _)) in rows.iter().zip(FILES) {
        let [first, second, setter] = code_words(row[0])[..] else { panic!("{row:?}") };
        assert_eq!([first, second], [variable, key]);
        assert!(HEADER.contains(&format!("paytoken_config_set_{setter}(")), "{setter}");
    }
}

/// Milliseconds that are left of a key.
fn left(server: &Server, key: &str) -> i64 {
    server
        .text(&["EVAL", "return tostring(redis.call('PTTL', ARGV[1]))", "0", key])
        .parse()
        .unwrap()
}

fn all_keys(server: &Server, ending: &str) -> Vec<String> {
    let script = "return table.concat(redis.call('KEYS', ARGV[1]), ' ')";
    let all = server.text(&["EVAL", script, "0", "paytoken:{*}*"]);
    all.split(' ').filter(|key| key.ends_with(ending)).map(str::to_owned).collect()
}

fn keys() {
    if !has_tool("redis-server") {
        return;
    }
    const HOUR: i64 = 3_600_000;
    let of_entry: Run = &|row| {
        let world = World::new();
        let server = Server::start(&[]);
        text(run(&world, &server.url, &["token", "send-payments"]));
        let [key] = &all_keys(&server, "}")[..] else { panic!("one entry") };
        assert_eq!(server.text(&["TYPE", key]), "hash");
        assert!(row[1].starts_with("a hash"), "{row:?}");
        assert!((HOUR - 300_000..=HOUR).contains(&left(&server, key)), "{}", left(&server, key));
        // "Or a token's life where that is longer".
        world.sandbox.set_lifetime(Service::NtxPay, Duration::from_secs(3 * 3600));
        text(run(&world, &server.url, &["token", "ntx-pay"]));
        let longest = all_keys(&server, "}").iter().map(|key| left(&server, key)).max().unwrap();
        assert!((2 * HOUR..=3 * HOUR + 60_000).contains(&longest), "{longest}");
        // "A week where the last fetch failed".
        world.sandbox.fault_always(Service::NexterPay, Some(Fault::Status(503)));
        assert!(!run(&world, &server.url, &["token", "nexter-pay"]).status.success());
        let longest = all_keys(&server, "}").iter().map(|key| left(&server, key)).max().unwrap();
        assert!((6 * 24 * HOUR..=7 * 24 * HOUR + HOUR).contains(&longest), "{longest}");
    };
    let of_lock: Run = &|row| {
        let world = World::new();
        let server = Server::start(&[]);
        let hold = world.sandbox.hold(SEND);
        let mut command = world.paytoken(&["token", "send-payments"]);
        let mut holder = command.env("PAYTOKEN_STORE", &server.url).spawn().unwrap();
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        let [lock] = &all_keys(&server, ":lock")[..] else { panic!("one lock") };
        assert_eq!(server.text(&["TYPE", lock]), "string");
        assert!(row[1].starts_with("128 random bits"), "{row:?}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        let lease = left(&server, lock);
        assert!(lease <= 5_000 && lease != -1, "{lease}");
        hold.release();
        text(run(&world, &server.url, &["token", "send-payments"]));
        assert!(all_keys(&server, ":lock").is_empty(), "until it is unlocked");
    };
    run_each(
        &rows(REDIS, "| key | holds | lives |"),
        &[("`paytoken:{ACCOUNT}`", of_entry), ("`paytoken:{ACCOUNT}:lock`", of_lock)],
    );
}

fn source(world: &World, provider: Provider, server: &Server, clock: &ManualClock) -> TokenSource {
    let store = RedisStore::open(&server.url).unwrap();
    builder(&world.sandbox, provider).store(store).clock(clock.clone()).build().unwrap()
}

fn away() {
    if !has_tool("redis-server") {
        return;
    }
    let in_memory: Run = &|_| {
        let (world, mut server, clock) = (World::new(), Server::start(&[]), ManualClock::new());
        for &provider in Provider::ALL {
            let source = source(&world, provider, &server, &clock);
            let token = source.token().unwrap();
            server.kill();
            for _ in 0..5 {
                // Past the moment from which on it looks at the store.
                clock.advance(Duration::from_secs(2));
                assert_eq!(source.token().unwrap().secret(), token.secret(), "{provider}");
            }
            server.start_again();
        }
    };
    let coexisting: Run = &|row| {
        let (world, mut server, clock) = (World::new(), Server::start(&[]), ManualClock::new());
        server.kill();
        for provider in [Provider::NtxPay, Provider::NexterPay] {
            let (tell, told) = std::sync::mpsc::channel();
            let note = move |event: &Event| _ = tell.send(event.kind.name());
            let make = || {
                let store = RedisStore::open(&server.url).unwrap();
                builder(&world.sandbox, provider).store(store).clock(clock.clone())
            };
            let token = make().on_event(note).build().unwrap().token().unwrap();
            assert!(world.sandbox.is_valid(provider, token.secret()));
            assert!(told.iter().any(|name| name == "store_unusable"), "{row:?}");
            let error = make().require_store(true).build().unwrap().token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            let output = run(&world, &server.url, &["token", provider.facts().name]);
            let record = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(record.contains("goes on without sharing"), "{record}");
            assert!(world.sandbox.is_valid(provider, &text(output)));
        }
    };
    let replacing: Run = &|_| {
        let (world, mut server, clock) = (World::new(), Server::start(&[]), ManualClock::new());
        let running = source(&world, Provider::SendPayments, &server, &clock);
        running.token().unwrap();
        server.kill();
        clock.advance(Duration::from_secs(300));
        let starting = source(&world, Provider::SendPayments, &server, &clock);
        for source in [running, starting] {
            assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Store);
        }
        let output = run(&world, &server.url, &["token", "send-payments", "--timeout", "2s"]);
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        assert_eq!(world.sandbox.token_requests(SEND), 1, "nothing is fetched without the lock");
    };
    let not_stored: Run = &|_| {
        let (world, mut server) = (World::new(), Server::start(&[]));
        let hold = world.sandbox.hold(SEND);
        let mut command = world.paytoken(&["token", "send-payments"]);
        let child = command.env("PAYTOKEN_STORE", &server.url).spawn().unwrap();
        assert!(hold.wait_for_arrivals(1, PATIENCE));
        server.kill();
        hold.release();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // Without -v a warning is all that is shown.
        assert!(told.contains("this process goes on without sharing"), "{told}");
        assert!(world.sandbox.is_valid(SEND, &text(output)), "{told}");
    };
    let is_back: Run = &|_| {
        let (world, mut server, clock) = (World::new(), Server::start(&[]), ManualClock::new());
        let source = source(&world, Provider::SendPayments, &server, &clock);
        source.token().unwrap();
        server.kill();
        clock.advance(Duration::from_secs(300));
        source.token().unwrap_err();
        server.start_again();
        let token = source.token().unwrap().secret().to_owned();
        assert_eq!(all_keys(&server, "}").len(), 1, "it is stored");
        // By its own clock it is 300 s later: another that starts finds the token.
        let another = self::source(&world, Provider::SendPayments, &server, &clock);
        assert_eq!(another.token().unwrap().secret(), token);
    };
    run_each(
        &rows(REDIS, "| | |"),
        &[
            ("a token in memory", in_memory),
            ("NTX Pay, NexterPay: a token is due, or a program or the command starts", coexisting),
            ("Send Payments: the token has expired, or a program starts", replacing),
            ("a token is fetched, and cannot be stored any more", not_stored),
            ("Redis is back", is_back),
        ],
    );
}
