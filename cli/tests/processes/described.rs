//! Described providers by the command: the catalogue, the settings file, and all that works for the three.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use paytoken::{FieldKind, Provider};
use paytoken_testing::described::{catalogue, catalogue_text, description, rsa_identity, to_json};
use paytoken_testing::{Server, has_tool, write_private};
use serde_json::{Value, json};

use crate::settings::{told, with_file};
use crate::support::{World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_catalogue_is_what_the_folder_has_with_where_it_is_from", folder),
        trial("providers_are_listed_with_where_each_is_known_from", listed),
        trial("each_provider_of_the_catalogue_gives_tokens_to_the_command", played),
        trial("a_described_provider_has_all_that_the_three_have", everything),
        trial(
            "a_token_that_replaces_the_one_before_is_renewed_late_for_a_described_provider",
            replaces,
        ),
        trial("the_hosts_of_a_description_s_api_may_see_the_token", api_hosts),
        trial("an_answer_without_the_token_is_a_refusal_that_is_remembered", without_a_token),
        trial("accounts_without_an_identity_never_share_a_token", no_identity),
        trial("one_bad_description_fails_the_accounts_that_use_it_alone", one_bad),
        #[cfg(feature = "redis")]
        trial("runs_of_a_described_provider_share_a_token_on_a_server", on_a_server),
    ]
}

/// A settings file: what accounts share, then these tables.
fn file(tables: &[&str]) -> String {
    "[defaults]\nca = \"ca.pem\"\nstore = \"store\"\n".to_owned() + &tables.concat()
}

fn run(world: &World, file: &str, arguments: &[&str]) -> Output {
    with_file(world, file, arguments).output().unwrap()
}

const ACME: &str = "[providers.acme]\ntitle = \"Acme Pay\"\ntoken_endpoint = \"/oauth/token\"\n\
     auth = \"client_secret_post\"\nrenewal = \"coexists\"\nfields = { shop = \"{shop}\" }\nidentity = [\"shop\"]\n";

/// The sandbox plays the provider that this table describes.
fn describe(world: &World, table: &str, name: &str) -> Provider {
    let keys = description(&table.parse().unwrap(), name).unwrap();
    world.sandbox.describe(&to_json(name, &keys)).unwrap()
}

/// The sandbox's own client as an account of this provider.
fn account(world: &World, name: &str, provider: Provider) -> String {
    let facts = provider.facts();
    let url = world.sandbox.url(provider);
    let mut table = format!("[{name}]\nprovider = \"{}\"\nbase_url = \"{url}\"\n", facts.name);
    for field in facts.fields {
        table += &match field.kind {
            FieldKind::Identity => format!("{} = \"sandbox-client\"\n", field.name),
            FieldKind::Secret => format!("{} = \"sandbox-secret-not-real\"\n", field.name),
            FieldKind::PrivateKey => "private_key = \"rsa.pem\"\n".to_owned(),
            _ => String::new(),
        };
    }
    if facts.requires_certificate {
        table += "certificate = \"client.cert.pem\"\nprivate_key = \"client.key.pem\"\n";
    }
    table
}

fn providers(world: &World, file: &str) -> Vec<Value> {
    let list = text(run(world, file, &["providers", "--json"]));
    serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().clone()
}

fn folder() {
    let world = World::new();
    let list = providers(&world, "");
    let of_catalogue: Vec<_> = list.iter().filter(|it| it["source"] == "catalogue").collect();
    let names: Vec<_> = of_catalogue.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, catalogue());
    assert!(names.len() >= 15);
    let mut variables = BTreeSet::new();
    for provider in &list {
        assert!(provider.get("error").is_none(), "{provider}");
        for variable in provider["variables"].as_array().unwrap() {
            assert!(variables.insert(variable.to_string()), "{variable} is another's, too");
        }
    }
    for name in names {
        let text = catalogue_text(name);
        let comment: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let comment = comment.join(" ").replace("# ", "");
        assert!(comment.contains("https://"), "{name}");
        assert!(
            comment.contains("written from the document, not tried against the service"),
            "{name}"
        );
        let (_, date) = comment.split_once("looked up ").unwrap_or_else(|| panic!("{name}"));
        let is_date = |(at, c): (usize, char)| {
            if [4, 7].contains(&at) { c == '-' } else { c.is_ascii_digit() }
        };
        assert!(date.chars().take(10).enumerate().all(is_date), "{name}: {date}");
        // Nothing but this provider, under the file's name.
        let whole: toml::Table = text.parse().unwrap();
        assert_eq!(whole.keys().collect::<Vec<_>>(), ["providers"]);
        assert_eq!(whole["providers"].as_table().unwrap().keys().collect::<Vec<_>>(), [name]);
    }
}

fn listed() {
    let world = World::new();
    let own = "[providers.zoom]\ntoken_endpoint = \"https://zoom.example/t\"\nauth = \"client_secret_post\"\nrenewal = \"coexists\"\n";
    let bad = "[providers.bad]\nauth = \"basic\"\n";
    let file = file(&[ACME, own, bad]);
    let list = text(run(&world, &file, &["providers"]));
    let line = |name: &str| -> Vec<_> {
        let lines: Vec<_> =
            list.lines().filter(|line| line.split(' ').next() == Some(name)).collect();
        assert_eq!(lines.len(), 1, "{name}: {list}");
        lines[0].split("  ").map(str::trim).filter(|part| !part.is_empty()).collect()
    };
    assert_eq!(line("ntx-pay"), ["ntx-pay", "built in", "NTX Pay México"]);
    assert_eq!(line("acme"), ["acme", "settings file", "Acme Pay"]);
    assert_eq!(line("zoom"), ["zoom", "settings file", "zoom"], "it takes the catalogue's place");
    assert_eq!(line("okta")[1], "catalogue");
    assert!(line("bad")[2].contains("auth") || line("bad")[2].contains("token_endpoint"), "{list}");
    assert!(list.contains("not tried against the service"));

    let list = providers(&world, &file);
    let of = |name: &str| list.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(
        *of("acme"),
        json!({"name": "acme", "title": "Acme Pay", "source": "settings file", "endpoint": "/oauth/token",
            "variables": ["ACME_CLIENT_ID", "ACME_CLIENT_SECRET", "ACME_SHOP", "ACME_SCOPE"]})
    );
    assert!(of("bad")["error"].as_str().unwrap().contains("[providers.bad] "), "{}", of("bad"));
    assert_eq!(list.iter().filter(|it| it["name"] == "zoom").count(), 1);
}

fn played() {
    if !has_tool("openssl") || !has_tool("curl") {
        return;
    }
    let world = World::new();
    let key = rsa_identity(world.sandbox.authority()).key_pem;
    write_private(world.folder.join("rsa.pem"), &key);
    let names = catalogue();
    let described: Vec<_> = names
        .iter()
        .map(|name| {
            let provider = describe(&world, &catalogue_text(name), name);
            world.sandbox.set_assertion_key(provider, &key).unwrap();
            provider
        })
        .collect();
    let accounts = described.iter().map(|it| account(&world, &format!("my-{it}"), *it));
    let file = file(&[&accounts.collect::<String>()]);
    for provider in described {
        let name = format!("my-{provider}");
        let token = text(run(&world, &file, &["token", &name]));
        assert!(world.sandbox.is_valid(provider, &token), "{name}");
        let header = text(run(&world, &file, &["header", &name]));
        let facts = provider.facts();
        let prefix =
            if facts.scheme.is_empty() { String::new() } else { format!("{} ", facts.scheme) };
        assert_eq!(header, format!("{}: {prefix}{token}", facts.header));
        let balance = format!("{}/balance", world.sandbox.url(provider));
        let output = run(&world, &file, &["curl", &name, "--", "-sS", "--fail", &balance]);
        assert!(text(output).contains("1250.00"), "{name}");
        assert_eq!(world.sandbox.token_requests(provider), 1, "{name}");
    }
}

/// Runs it with this on stdin.
fn with_stdin(mut command: Command, stdin: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn everything() {
    let world = World::new();
    let acme = describe(&world, ACME, "acme");
    let shop = account(&world, "shop", acme);
    write_private(world.folder.join("acme-secret"), "sandbox-secret-not-real\n");
    let by_file = shop
        .replace("[shop]", "[by-file]")
        .replace(
            "client_secret = \"sandbox-secret-not-real\"",
            "client_secret_file = \"acme-secret\"",
        )
        .replace(
            "shop = \"sandbox-client\"",
            "shop_command = [\"echo\", \"8\"]\nscope = \"refunds\"",
        );
    let plain = file(&[ACME, &shop, &by_file]);
    let run = |arguments: &[&str]| run(&world, &plain, arguments);

    let token = text(run(&["token", "shop"]));
    assert_eq!(text(run(&["token", "shop"])), token);
    assert_eq!(text(run(&["header", "shop"])), format!("Authorization: Bearer {token}"));
    assert_eq!(world.sandbox.token_requests(acme), 1);
    // Another shop and another scope are another account, with values from elsewhere.
    assert_ne!(text(run(&["token", "by-file"])), token);
    let received = String::from_utf8(world.sandbox.received(acme).pop().unwrap()).unwrap();
    assert!(received.ends_with("&scope=refunds&shop=8"), "{received}");

    let status = text(run(&["status", "shop"]));
    assert!(status.contains("token good for"), "{status}");
    let status: Value = serde_json::from_str(&text(run(&["status", "--json"]))).unwrap();
    let of: Vec<_> = status.as_array().unwrap().iter().map(|it| &it["account"]).collect();
    assert_eq!(of[3..], ["shop", "by-file"], "{status}");
    assert!(status[3]["provider"] == "acme" && status[3]["token"]["good"] == true);
    let check = run(&["check", "shop"]);
    let found = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && found.contains("stored token"), "{found}{}", told(&check));
    assert!(!found.contains("not-real") && !status.to_string().contains("not-real"));

    let command = with_file(&world, &plain, &["invalidate", "shop"]);
    assert!(with_stdin(command, &token).status.success());
    let next = text(run(&["token", "shop"]));
    assert_ne!(next, token);
    world.sandbox.revoke(&next);
    if has_tool("curl") {
        // One 401, one new token, one replay.
        let balance = format!("{}/balance", world.sandbox.url(acme));
        assert!(text(run(&["curl", "shop", "--", "-sS", &balance])).contains("1250.00"));
        assert_eq!(world.sandbox.counts(acme).api_unauthorized, 1);
    }
    // Sealed, the store shows nothing.
    let sealed = text(world.paytoken(&["new-store-key"]).output().unwrap());
    write_private(world.folder.join("store.key"), sealed + "\n");
    let sealed = file(&["store_key_file = \"store.key\"\n", ACME, &shop]);
    let _ = fs::remove_dir_all(world.store());
    let token = text(self::run(&world, &sealed, &["token", "shop"]));
    assert_eq!(text(self::run(&world, &sealed, &["token", "shop"])), token);
    let bytes = fs::read(world.entry()).unwrap();
    assert!(!bytes.windows(40).any(|piece| piece == &token.as_bytes()[..40]));

    // By the environment, for the provider itself.
    let mut command = with_file(&world, &file(&[ACME]), &["token", "acme"]);
    let variables = paytoken_testing::variables(&world.sandbox, &world.folder);
    command.envs(variables.into_iter().filter(|(name, _)| name.starts_with("ACME_")));
    assert!(world.sandbox.is_valid(acme, &text(command.output().unwrap())));
}

fn replaces() {
    let world = World::new();
    let table = ACME.replace("coexists", "replaces-previous").replace("acme", "one-token");
    let provider = describe(&world, &table, "one-token");
    let file = file(&[&table, &account(&world, "shop", provider)]);
    let first = text(run(&world, &file, &["token", "shop"]));
    // All are set up before one starts: that writes the file.
    let commands: Vec<_> = (0..6).map(|_| with_file(&world, &file, &["token", "shop"])).collect();
    let children: Vec<_> = commands.into_iter().map(|mut it| it.spawn().unwrap()).collect();
    for child in children {
        assert_eq!(text(child.wait_with_output().unwrap()), first);
    }
    let second = text(run(&world, &file, &["token", "shop", "--force"]));
    assert!(!world.sandbox.is_valid(provider, &first) && world.sandbox.is_valid(provider, &second));
    assert_eq!(text(run(&world, &file, &["token", "shop"])), second);
    assert_eq!(world.sandbox.token_requests(provider), 2);
    // A look that would end a good token is refused, as at Send Payments.
    let check = run(&world, &file, &["check", "shop", "--fetch"]);
    assert_eq!(world.sandbox.token_requests(provider), 2, "{check:?}");
}

fn api_hosts() {
    if !has_tool("curl") {
        return;
    }
    let world = World::new();
    let acme = describe(&world, ACME, "acme");
    let port = world.sandbox.address(acme).port();
    let balance = format!("https://localhost:{port}/balance");
    let shop = account(&world, "shop", acme);
    for (api, is_allowed) in [
        (String::new(), false),
        ("api = [\"localhost\"]\n".into(), true),
        (format!("api = [\"other.example\", \"localhost:{port}\"]\n"), true),
        (format!("api = [\"localhost:{}\", \"host.localhost\"]\n", port ^ 1), false),
    ] {
        let file = file(&[ACME, &api, &shop]);
        let output = run(&world, &file, &["curl", "shop", "--", "-sS", &balance]);
        match is_allowed {
            true => assert!(text(output).contains("1250.00"), "{api}"),
            false => {
                assert_eq!(output.status.code(), Some(64), "{api}: {output:?}");
                assert!(told(&output).contains("would be sent to localhost"), "{output:?}");
            }
        }
    }
    assert_eq!(world.sandbox.counts(acme).api_requests, 2);
}

fn without_a_token() {
    let world = World::new();
    let body = r#"{"code": 40001, "message": "wrong key"}"#;
    let server = Server::by_tls(world.sandbox.authority(), move || {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .into()
    });
    let shop = format!(
        "[shop]\nprovider = \"acme\"\nbase_url = \"{}\"\nclient_id = \"1\"\nclient_secret = \"the-secret\"\nshop = \"7\"\n",
        server.url
    );
    let file = file(&[ACME, &shop]);
    for _ in 0..2 {
        let output = run(&world, &file, &["token", "shop"]);
        assert_eq!(output.status.code(), Some(77), "{output:?}");
        let told = told(&output);
        assert!(told.contains("code, message") && told.contains("token"), "{told}");
        assert!(!told.contains("40001") && !told.contains("the-secret"), "{told}");
    }
    assert_eq!(server.received().len(), 1, "the second run sends nothing");
    // Whoever corrects the description is asked for at once.
    let corrected = file.replace("auth =", "token = \"/message\"\nlifetime = \"1h\"\nauth =");
    let output = run(&world, &corrected, &["token", "shop"]);
    assert_ne!(output.status.code(), Some(77), "{output:?}");
    assert_eq!(server.received().len(), 2);
}

fn no_identity() {
    let world = World::new();
    let table = "[providers.key-alone]\ntoken_endpoint = \"/login\"\nauth = \"none\"\nrenewal = \"coexists\"\nbody = \"none\"\n\
         headers = { x-key = \"{api_key}\" }\nsecrets = [\"api_key\"]\nlifetime = \"1h\"\n";
    let provider = describe(&world, table, "key-alone");
    let one = account(&world, "one", provider);
    let other = one.replace("[one]", "[other]").replace("not-real", "of-another");
    let file = file(&[table, &one, &other]);
    let token = text(run(&world, &file, &["token", "one"]));
    let output = run(&world, &file, &["token", "other"]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    world.sandbox.change_secret(provider, "sandbox-client", "sandbox-secret-of-another");
    assert_ne!(text(run(&world, &file, &["token", "other", "--force"])), token);
    assert_eq!(text(run(&world, &file, &["token", "one"])), token);
    assert!(text(run(&world, &file, &["status", "one"])).contains("token good for"));
}

fn one_bad() {
    let world = World::new();
    let acme = describe(&world, ACME, "acme");
    let bad = "[providers.bad]\ntoken_endpoint = \"https://bad.example/t\"\nauth = \"client_secret_post\"\nrenewal = \"coexists\"\nexpires_in = 3600\n\
         [of-bad]\nprovider = \"bad\"\nclient_id = \"1\"\nclient_secret = \"2\"\n";
    let file = file(&[ACME, bad, &account(&world, "shop", acme)]);
    text(run(&world, &file, &["token", "shop"]));
    let output = run(&world, &file, &["token", "of-bad"]);
    assert_eq!(output.status.code(), Some(78));
    let told = told(&output);
    for word in ["config.toml", "[providers.bad] expires_in: ", "lifetime"] {
        assert!(told.contains(word), "{told}");
    }
}

#[cfg(feature = "redis")]
fn on_a_server() {
    if !has_tool("redis-server") {
        return;
    }
    let world = World::new();
    let server = paytoken_testing::redis::Server::start(&[]);
    let acme = describe(&world, ACME, "acme");
    let file = file(&[ACME, &account(&world, "shop", acme)])
        .replace("store = \"store\"", &format!("store = \"{}\"", server.url));
    let token = text(run(&world, &file, &["token", "shop"]));
    assert_eq!(text(run(&world, &file, &["token", "shop"])), token);
    assert!(text(run(&world, &file, &["status", "shop"])).contains("token good for"));
    assert_eq!(world.sandbox.token_requests(acme), 1);
    assert!(!world.store().exists(), "nothing is kept in files");
}
