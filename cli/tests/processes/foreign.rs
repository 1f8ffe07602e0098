//! Described providers at authorization servers that nobody here wrote: each way to authenticate, special characters,
//! assertions, expiry.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use libtest_mimic::Trial;
use paytoken_sandbox::rcgen::KeyPair;
use paytoken_testing::foreign::{Foreign, Kind};
use paytoken_testing::{Server, has_tool, until, write_private};
use serde_json::{Value, json};

use crate::settings::{told, with_file};
use crate::support::{World, text};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_foreign_server_gives_a_token_by_each_way_to_authenticate", each_way),
        trial("a_foreign_server_that_refuses_a_wrong_proof_is_asked_once", wrong),
        trial("special_characters_reach_a_foreign_server_by_the_right_encoding", special),
        trial("a_foreign_server_gives_the_scope_that_is_asked_for", scopes),
        trial("a_foreign_server_refuses_an_assertion_that_it_has_seen", replayed),
        trial("a_foreign_servers_token_is_renewed_before_it_ends", renewed),
        trial("a_certificate_goes_with_any_way_to_authenticate_at_a_foreign_server", certificate),
    ]
}

/// A client of a server, and the account and provider that stand for it in the settings file.
struct Way {
    client: Value,
    provider: String,
    account: String,
    /// The account with a proof that is not the client's.
    wrong: String,
}

const ID: &str = "merchant-7";
const SECRET: &str = "s3cret-of-seven";

impl Way {
    fn secret(auth: &str) -> Self {
        Self {
            client: json!({"token_endpoint_auth_method": auth, "client_secret": SECRET}),
            provider: format!("auth = \"{auth}\"\n"),
            account: format!("client_secret = \"{SECRET}\"\n"),
            wrong: "client_secret = \"wrong-secret\"\n".into(),
        }
    }

    /// A new key of this kind; as its file the form that openssl's own commands write, too.
    fn assertion(world: &World, name: &str, kind: &[&str], form: &str, provider: &str) -> Self {
        let [key, another] = ["", "-another"].map(|which| {
            let file = format!("{name}{which}.pem");
            let path = world.folder.join(&file);
            let pem = openssl(Command::new("openssl").arg("genpkey").args(kind));
            write_private(&path, &pem);
            if form == "traditional" {
                let command = &mut Command::new("openssl");
                write_private(
                    &path,
                    openssl(command.args(["pkey", "-traditional", "-in"]).arg(&path)),
                );
            }
            let public = KeyPair::from_pem(&pem).unwrap().public_key_pem();
            (public, format!("private_key = \"{file}\"\n"))
        });
        Self {
            client: json!({"token_endpoint_auth_method": "private_key_jwt", "public_key": key.0, "kid": "k7"}),
            provider: format!("auth = \"private_key_jwt\"\n{provider}"),
            account: key.1,
            wrong: another.1,
        }
    }

    fn certificate(world: &World) -> Self {
        let [own, another] = [ID, "another"].map(|name| {
            let issued = world.sandbox.issue_client_certificate(name);
            write_private(world.folder.join(format!("{name}.cert.pem")), issued.certificate_pem);
            write_private(world.folder.join(format!("{name}.key.pem")), issued.key_pem);
            format!("certificate = \"{name}.cert.pem\"\nprivate_key = \"{name}.key.pem\"\n")
        });
        let subject = format!("CN={ID}");
        Self {
            client: json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": subject}),
            provider: "auth = \"tls_client_auth\"\n".into(),
            account: own,
            wrong: another,
        }
    }
}

fn openssl(command: &mut Command) -> String {
    text(command.output().unwrap()) + "\n"
}

/// Each way that this server offers, by its name.
fn ways(world: &World, kind: Kind) -> BTreeMap<&'static str, Way> {
    const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    const EC: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const ED25519: &[&str] = &["-algorithm", "ED25519"];
    let mut ways = BTreeMap::new();
    for auth in ["client_secret_basic", "client_secret_post"] {
        ways.insert(auth, Way::secret(auth));
    }
    for (name, key, form, provider) in [
        ("ps256", RSA, "PKCS#8", "signing_alg = \"PS256\"\nkid = \"k7\"\n"),
        ("rs256", RSA, "traditional", "signing_alg = \"RS256\"\n"),
        ("es256", EC, "traditional", "signing_alg = \"ES256\"\nkid = \"k7\"\n"),
        ("eddsa", ED25519, "PKCS#8", "signing_alg = \"EdDSA\"\n"),
        ("p-256", EC, "PKCS#8", ""),
        ("ed25519", ED25519, "PKCS#8", ""),
    ] {
        ways.insert(name, Way::assertion(world, name, key, form, provider));
    }
    // The key's name is the description's, or the account's.
    ways.get_mut("p-256").unwrap().account += "kid = \"k7\"\n";
    if kind == Kind::OidcProvider {
        ways.insert("tls_client_auth", Way::certificate(world));
    }
    ways
}

/// A client's metadata with its id, which may be anything.
fn client(id: &str, mut metadata: Value) -> Value {
    metadata["client_id"] = id.into();
    metadata
}

/// What all accounts share, then a provider and an account for each `(name, provider, account)`, with the name as
/// `client_id` where the account has none.
fn file<'a>(url: &str, tables: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let mut file = "[defaults]\nca = \"ca.pem\"\nstore = \"store\"\n".to_owned();
    for (name, provider, account) in tables {
        let id = match account.contains("client_id") {
            true => String::new(),
            false => format!("client_id = \"{name}\"\n"),
        };
        file += &format!(
            "[providers.of-{name}]\ntoken_endpoint = \"{url}/token\"\nrenewal = \"coexists\"\n{provider}\
             [{name}]\nprovider = \"of-{name}\"\n{id}{account}"
        );
    }
    file
}

/// Each server that is installed, with a client for each way to authenticate.
fn for_each_server(test: impl Fn(Kind, &World, &BTreeMap<&str, Way>, &Foreign)) {
    if !has_tool("openssl") {
        return;
    }
    for kind in Kind::ALL {
        let world = World::new();
        let ways = ways(&world, kind);
        let clients = ways.iter().map(|(name, way)| client(name, way.client.clone()));
        let settings = json!({"clients": clients.collect::<Vec<_>>()});
        if let Some(foreign) = Foreign::start(kind, &world.sandbox, settings) {
            test(kind, &world, &ways, &foreign);
        }
    }
}

fn token(world: &World, file: &str, name: &str) -> Output {
    with_file(world, file, &["token", name]).output().unwrap()
}

fn each_way() {
    for_each_server(|kind, world, ways, foreign| {
        let tables = ways.iter().map(|(name, way)| (*name, &*way.provider, &*way.account));
        let file = file(&foreign.url, tables);
        let mut wanted = Vec::new();
        for name in ways.keys() {
            let first = text(token(world, &file, name));
            assert_eq!(text(token(world, &file, name)), first, "{kind:?}, {name}");
            assert_eq!(foreign.owner(&first).unwrap()["client_id"], *name, "{kind:?}");
            // An assertion of its own for each attempt.
            let again = with_file(world, &file, &["token", name, "--force"]).output().unwrap();
            assert_ne!(text(again), first, "{kind:?}, {name}");
            wanted.extend([format!("POST /token {name} 200"), format!("POST /token {name} 200")]);
            assert_eq!(foreign.requests(), wanted);
        }
    });
}

fn wrong() {
    for_each_server(|kind, world, ways, foreign| {
        let of = |which: fn(&Way) -> &str| {
            file(&foreign.url, ways.iter().map(|(name, way)| (*name, &*way.provider, which(way))))
        };
        let (wrong, right) = (of(|way| &way.wrong), of(|way| &way.account));
        for (at, name) in ways.keys().enumerate() {
            for _ in 0..2 {
                let output = token(world, &wrong, name);
                assert_eq!(output.status.code(), Some(77), "{kind:?}, {name}: {}", told(&output));
                assert!(!told(&output).contains("wrong-secret"), "{}", told(&output));
            }
            assert_eq!(foreign.requests().len(), 2 * at + 1, "{:?}", foreign.requests());
            // The right one is tried at once.
            text(token(world, &right, name));
            assert_eq!(foreign.requests()[2 * at + 1], format!("POST /token {name} 200"));
        }
    });
}

fn special() {
    const ENCODINGS: [&str; 3] = ["minimal", "form", "none"];
    let all = "p%41+w:/ x%zz&=\"'\\#";
    // What comes out by each encoding, as the command's code. oidc-provider decodes % and +, and refuses
    // what is outside of ASCII; Authlib decodes % alone.
    let table: &[(&str, &str, Kind, [i32; 3])] = &[
        ("percent", "50%25off%", Kind::OidcProvider, [0, 0, 77]),
        ("percent", "50%25off%", Kind::Authlib, [0, 0, 77]),
        ("plus", "a+b", Kind::OidcProvider, [0, 0, 77]),
        ("plus", "a+b", Kind::Authlib, [0, 0, 0]),
        ("blank", "a b", Kind::OidcProvider, [0, 0, 0]),
        ("blank", "a b", Kind::Authlib, [0, 77, 0]),
        ("slash", "a/b:c", Kind::OidcProvider, [0, 0, 0]),
        ("slash", "a/b:c", Kind::Authlib, [0, 0, 0]),
        ("accent", "gehéim", Kind::Authlib, [0, 0, 0]),
        ("i:d", "a:b", Kind::OidcProvider, [0, 0, 78]),
        ("i:d", "a:b", Kind::Authlib, [0, 0, 78]),
        ("i%41+d /é", all, Kind::Authlib, [0, 77, 77]),
        ("i%41+d /", all, Kind::OidcProvider, [0, 0, 77]),
    ];
    for kind in Kind::ALL {
        let world = World::new();
        let rows: Vec<_> = table.iter().filter(|(_, _, of, _)| *of == kind).collect();
        // The same client for each encoding, and one more that sends the same in a form.
        let clients: Vec<_> = rows
            .iter()
            .flat_map(|&&(id, secret, ..)| {
                ["client_secret_basic", "client_secret_post"].map(|auth| {
                    let id =
                        if auth.ends_with("post") { format!("{id}, post") } else { id.to_owned() };
                    client(
                        &id,
                        json!({"token_endpoint_auth_method": auth, "client_secret": secret}),
                    )
                })
            })
            .collect();
        let settings = json!({"clients": clients});
        let Some(foreign) = Foreign::start(kind, &world.sandbox, settings) else { continue };
        let run = |id: &str, secret: &str, provider: &str| {
            let account = format!("client_id = {}\nclient_secret = {}\n", json!(id), json!(secret));
            let file = file(&foreign.url, [("shop", provider, &*account)]);
            // Each with a store of its own: one secret is one account, however it is encoded.
            let store = world.folder.join("store");
            let _ = fs::remove_dir_all(&store);
            let before = foreign.requests().len();
            let output = token(&world, &file, "shop");
            (output, foreign.requests().len() - before)
        };
        for &&(id, secret, _, wanted) in &rows {
            for (encoding, wanted) in ENCODINGS.into_iter().zip(wanted) {
                let provider =
                    format!("auth = \"client_secret_basic\"\nbasic_encoding = \"{encoding}\"\n");
                let (output, requests) = run(id, secret, &provider);
                let case = format!("{kind:?}, {id}, {encoding}: {}", told(&output));
                assert_eq!(output.status.code(), Some(wanted), "{case}");
                if wanted == 0 {
                    assert_eq!(foreign.owner(&text(output)).unwrap()["client_id"], id, "{case}");
                } else {
                    assert!(case.contains("basic_encoding") && !case.contains(secret), "{case}");
                }
                assert_eq!(requests, usize::from(wanted != 78), "{case}");
            }
            let (output, requests) =
                run(&format!("{id}, post"), secret, "auth = \"client_secret_post\"\n");
            assert!(foreign.owner(&text(output)).is_some() && requests == 1, "{kind:?}, {id}");
        }
    }
}

fn scopes() {
    for kind in Kind::ALL {
        let world = World::new();
        let mut way = Way::secret("client_secret_basic");
        way.client["scope"] = "payments:read payments:write refunds".into();
        let clients = [client(ID, way.client)];
        let Some(foreign) = Foreign::start(kind, &world.sandbox, json!({"clients": clients}))
        else {
            continue;
        };
        let mut tokens = Vec::new();
        for (of_provider, of_account, wanted) in [
            ("", "", None),
            ("scope = \"payments:read\"\n", "", Some("payments:read")),
            (
                "scope = \"payments:read\"\n",
                "scope = \"refunds payments:write\"\n",
                Some("refunds payments:write"),
            ),
            ("", "scope = \"payments:write\"\n", Some("payments:write")),
            ("fields = { scope = \"refunds\" }\n", "", Some("refunds")),
        ] {
            let provider = way.provider.clone() + of_provider;
            let account = way.account.clone() + of_account;
            let file = file(&foreign.url, [(ID, &*provider, &*account)]);
            let token = text(token(&world, &file, ID));
            assert_eq!(foreign.owner(&token).unwrap()["scope"].as_str(), wanted, "{kind:?}");
            assert!(!tokens.contains(&token), "another scope is another account's token");
            tokens.push(token);
            assert_eq!(foreign.requests().len(), tokens.len());
        }
    }
}

fn replayed() {
    for_each_server(|kind, world, ways, foreign| {
        // Whoever has seen a request has the assertion. Nothing but its audience binds it.
        let body = r#"{"access_token": "x", "token_type": "Bearer", "expires_in": 3600}"#;
        let seen = Server::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
        for (name, way) in ways.iter().filter(|(_, way)| way.provider.contains("private_key_jwt")) {
            let provider =
                format!("{}assertion_audience = \"{}/token\"\n", way.provider, foreign.url);
            let file = file(&seen.url, [(*name, &*provider, &*way.account)]);
            let form = || {
                text(with_file(world, &file, &["token", name, "--force"]).output().unwrap());
                let request = String::from_utf8(seen.received().pop().unwrap()).unwrap();
                request.split_once("\r\n\r\n").unwrap().1.to_owned()
            };
            let (first, second) = (form(), form());
            assert_eq!(foreign.post(&first), 200, "{kind:?}, {name}");
            assert!([400, 401].contains(&foreign.post(&first)), "{kind:?}, {name}");
            assert_eq!(foreign.post(&second), 200, "{kind:?}, {name}: it is another");
        }
    });
}

fn renewed() {
    for kind in Kind::ALL {
        let world = World::new();
        let way = Way::secret("client_secret_post");
        // Long enough that a machine that stands still for seconds does not see two of them end.
        let settings = json!({"clients": [client(ID, way.client)], "lifetime": 8});
        let Some(foreign) = Foreign::start(kind, &world.sandbox, settings) else { continue };
        let file = file(&foreign.url, [(ID, &*way.provider, &*way.account)]);
        let first = text(token(&world, &file, ID));
        until("it is renewed", || text(token(&world, &file, ID)) != first);
        assert_eq!(
            foreign.requests(),
            [format!("POST /token {ID} 200"), format!("POST /token {ID} 200")]
        );
        until("the first one ends", || foreign.owner(&first).is_none());
    }
}

fn certificate() {
    for kind in Kind::ALL {
        let world = World::new();
        let way = Way::secret("client_secret_basic");
        let settings = json!({"clients": [client(ID, way.client)], "certificate_required": true});
        let Some(foreign) = Foreign::start(kind, &world.sandbox, settings) else { continue };
        let shown = "certificate = \"client.cert.pem\"\nprivate_key = \"client.key.pem\"\n";
        let with = file(&foreign.url, [(ID, &*way.provider, &*(way.account.clone() + shown))]);
        let without = file(&foreign.url, [(ID, &*way.provider, &*way.account)]);
        let output = token(&world, &without, ID);
        // By TLS 1.3 the alert comes after the request was sent, and is lost where the server's end of the
        // connection is gone by then: what is told differs, and what has to hold does not.
        assert!(!output.status.success(), "{}", told(&output));
        assert!(foreign.requests().is_empty());
        assert!(foreign.owner(&text(token(&world, &with, ID))).is_some(), "{kind:?}");
    }
}
