//! Described providers as the sandbox plays them: each file of the catalogue by the library, and what a wrong
//! request is answered.

use std::fs;
use std::process::Command;
use std::time::Duration;

use paytoken::{
    ClientCertificate, Credentials, Environment, ErrorKind, FieldKind, Provider, TokenSource,
};
use paytoken_sandbox::{Fault, Sandbox, rcgen};
use paytoken_testing::described::{catalogue, catalogue_text, description, rsa_identity, to_json};
use paytoken_testing::has_tool;
use serde_json::{Value, json};

use crate::client::{Client, config, identity, request};

const PROGRAM: &str = env!("CARGO_BIN_EXE_paytoken-sandbox");

/// What the sandbox's own client has, with this secret.
fn credentials(sandbox: &Sandbox, provider: Provider, secret: &str, key: &str) -> Credentials {
    let facts = provider.facts();
    let values = facts.fields.iter().filter_map(|field| {
        let value = match field.kind {
            FieldKind::Identity => sandbox.client_id(provider),
            FieldKind::Secret => secret,
            FieldKind::PrivateKey => key,
            _ => return None,
        };
        Some((field.name, value))
    });
    let certificate = facts.requires_certificate.then(|| {
        let certificate = ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap();
        certificate.with_private_key(sandbox.client_key_pem()).unwrap()
    });
    Credentials::described(provider, values, certificate).unwrap()
}

fn source(sandbox: &Sandbox, credentials: Credentials) -> TokenSource {
    TokenSource::builder(credentials.clone(), Environment::Sandbox)
        .base_url(&sandbox.url(credentials.provider()))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
        .retries(0)
        .build()
        .unwrap()
}

/// The status of a call to the API with this header.
fn call(sandbox: &Sandbox, provider: Provider, header: (&str, &str)) -> u16 {
    let mut client =
        Client::with_config(sandbox, provider, config(sandbox, Some(&identity(sandbox))));
    client.send(&request("GET", "/balance", &[header], "")).unwrap().status
}

/// A token comes, lives as long as was said, and is good for the API; a wrong proof is refused once.
fn play(sandbox: &Sandbox, provider: Provider, key: &str) {
    let secret = sandbox.client_secret(provider);
    let good = source(sandbox, credentials(sandbox, provider, secret, key));
    sandbox.set_lifetime(provider, Duration::from_secs(170));
    let token = good.token().unwrap_or_else(|error| panic!("{provider}: {error}"));
    assert!(sandbox.is_valid(provider, token.secret()), "{provider}");
    let lives = token.lifetime().as_secs();
    assert!((169..=171).contains(&lives), "{provider}: {lives}");
    assert_eq!(call(sandbox, provider, (token.header_name(), token.header_value())), 200);
    assert_eq!(call(sandbox, provider, (token.header_name(), "Bearer not-it")), 401);
    let next = good.refresh().unwrap();
    let replaces = provider.facts().renewal == paytoken::Renewal::ReplacesPrevious;
    assert_eq!(sandbox.is_valid(provider, token.secret()), !replaces, "{provider}");
    assert!(sandbox.is_valid(provider, next.secret()));

    // The faults are those of the three.
    sandbox.fault_next(provider, 1, Fault::Status(503));
    assert_eq!(good.refresh().unwrap_err().kind(), ErrorKind::ServerUnavailable, "{provider}");
    sandbox.fault_next(provider, 1, Fault::MalformedJson);
    good.refresh().unwrap_err();

    let before = sandbox.token_requests(provider);
    let has_secret = provider.facts().fields.iter().any(|field| field.kind == FieldKind::Secret);
    if has_secret {
        let wrong = source(sandbox, credentials(sandbox, provider, "wrong", key));
        let error = wrong.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{provider}: {error}");
        wrong.token().unwrap_err();
        assert_eq!(sandbox.token_requests(provider), before + 1, "{provider}");
    }
}

#[test]
fn each_provider_of_the_catalogue_is_played() {
    if !has_tool("openssl") {
        return;
    }
    let sandbox = Sandbox::start().unwrap();
    let key = rsa_identity(sandbox.authority()).key_pem;
    let names = catalogue();
    for name in &names {
        let keys = description(&catalogue_text(name).parse().unwrap(), name).unwrap();
        let provider = sandbox.describe(&to_json(name, &keys)).unwrap();
        sandbox.set_assertion_key(provider, &key).unwrap();
        play(&sandbox, provider, &key);
    }
    assert_eq!(sandbox.services().len(), 3 + names.len());
    assert!(names.len() >= 15, "{names:?}");
}

/// A description of this name with what has to be there.
fn described(name: &str, more: Value) -> String {
    let mut whole = json!({"name": name, "token_endpoint": "/oauth/token", "renewal": "coexists"});
    for (key, value) in more.as_object().unwrap() {
        whole[key] = value.clone();
    }
    whole.to_string()
}

#[test]
fn every_way_to_authenticate_and_every_shape_of_answer_is_played() {
    let sandbox = Sandbox::start().unwrap();
    let p256 = sandbox.client_key_pem().to_owned();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    for (index, (more, key)) in [
        (json!({"auth": "client_secret_basic"}), ""),
        (json!({"auth": "client_secret_basic", "basic_encoding": "form"}), ""),
        (json!({"auth": "client_secret_basic", "method": "GET"}), ""),
        (json!({"auth": "client_secret_post", "body": "json", "renewal": "replaces-previous"}), ""),
        (json!({"auth": "private_key_jwt"}), &*p256),
        (json!({"auth": "private_key_jwt", "signing_alg": "EdDSA", "kid": "k"}), &ed25519),
        (json!({"auth": "tls_client_auth", "scope": "a b"}), ""),
        (json!({"auth": "none", "body": "none", "headers": {"x-id": "{client_id}", "x-key": "{key}"},
            "secrets": ["key"], "token": "", "lifetime": "170s"}), ""),
        (json!({"auth": "none", "body": "json", "fields": {"in": {"id": "{shop}", "n": 7}, "key": "{key}"},
            "secrets": ["key"], "identity": ["shop"], "token": "/a~1b/1/token", "expires_at": "/a~1b/0",
            "header": "X-Auth-Token", "prefix": ""}), ""),
        (json!({"auth": "client_secret_post", "token": "/d/t", "expires_in": "/d/s", "prefix": "OAuth"}), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let provider = sandbox.describe(&described(&format!("way-{index}"), more)).unwrap();
        if !key.is_empty() {
            sandbox.set_assertion_key(provider, key).unwrap();
        }
        play(&sandbox, provider, key);
    }
}

#[test]
fn a_request_that_is_not_as_described_is_refused() {
    let sandbox = Sandbox::start().unwrap();
    let fields = json!({"audience": "a", "shop": "{shop}"});
    let more = json!({"auth": "client_secret_post", "fields": fields, "identity": ["shop"], "headers": {"x-v": "1"}});
    let provider = sandbox.describe(&described("strict", more)).unwrap();
    let tls = config(&sandbox, None);
    let mut client = Client::with_config(&sandbox, provider, tls);
    let good = "grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret-not-real&audience=a&shop=7";
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let mut send = |method: &str, headers: &[(&str, &str)], body: &str| {
        client.send(&request(method, "/oauth/token", headers, body)).unwrap().status
    };
    let version = ("x-v", "1");
    assert_eq!(send("POST", &[form, version], good), 200);
    assert_eq!(send("GET", &[form, version], good), 405);
    assert_eq!(send("POST", &[version], good), 400);
    assert_eq!(send("POST", &[form], good), 400);
    assert_eq!(send("POST", &[form, ("x-v", "2")], good), 400);
    for (from, to, status) in [
        ("audience=a", "audience=b", 400),
        ("&shop=7", "", 400),
        ("grant_type=client_credentials&", "", 400),
        ("shop=7", "shop=7&other=1", 400),
        ("not-real", "wrong", 401),
        ("sandbox-client", "nobody", 401),
        ("shop=7", "shop=8&scope=all", 200),
    ] {
        assert_eq!(send("POST", &[form, version], &good.replace(from, to)), status, "{from} {to}");
    }
    // Whoever is suspended, or has another secret now.
    sandbox.suspend_client(provider, "sandbox-client", true);
    assert_eq!(send("POST", &[form, version], good), 401);
    sandbox.suspend_client(provider, "sandbox-client", false);
    sandbox.change_secret(provider, "sandbox-client", "other");
    assert_eq!(send("POST", &[form, version], good), 401);
    assert!(sandbox.describe("{}").unwrap_err().to_string().contains("name"));
}

#[test]
fn an_assertion_is_taken_once_and_for_this_endpoint_alone() {
    let sandbox = Sandbox::start().unwrap();
    let of = |name: &str, more: Value| {
        let mut whole = json!({"auth": "private_key_jwt"});
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sandbox.describe(&described(name, whole)).unwrap()
    };
    let provider = of("assertions", json!({}));
    let key = sandbox.client_key_pem().to_owned();
    source(&sandbox, credentials(&sandbox, provider, "", &key)).token().unwrap();
    let mut client = Client::with_config(&sandbox, provider, config(&sandbox, None));
    let again = sandbox.received(provider).pop().unwrap();
    let reply = client.send(&again).unwrap();
    assert_eq!(reply.status, 401);
    assert!(reply.json()["error_description"].as_str().unwrap().contains("jti"), "{reply:?}");
    // Signed by another key, or for another audience.
    let stranger = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (provider, key, says) in [
        (provider, &stranger, "signature"),
        (of("audience", json!({"assertion_audience": "https://elsewhere.example"})), &key, ""),
    ] {
        let result = source(&sandbox, credentials(&sandbox, provider, "", key)).token();
        match result {
            Ok(_) => assert_eq!(says, ""),
            Err(error) => assert!(error.to_string().contains(says) && !says.is_empty(), "{error}"),
        }
    }
    let body = |provider| {
        let text = String::from_utf8(sandbox.received(provider).pop().unwrap()).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let elsewhere =
        body(of("audience", json!({"assertion_audience": "https://elsewhere.example"})));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = client.send(&request("POST", "/oauth/token", &form, &elsewhere)).unwrap();
    assert!(reply.json()["error_description"].as_str().unwrap().contains("aud"), "{reply:?}");
}

#[cfg(unix)]
#[test]
fn the_program_plays_what_a_file_describes() {
    let folder = paytoken_testing::temporary_folder();
    let (toml, json) = (folder.path().join("acme.toml"), folder.path().join("other.json"));
    fs::write(
        &toml,
        "[providers.acme]\ntoken_endpoint = \"/token\"\nauth = \"private_key_jwt\"\nrenewal = \"coexists\"\n\
         [providers.acme-2]\ntoken_endpoint = \"/token\"\nauth = \"client_secret_post\"\nrenewal = \"coexists\"\n",
    )
    .unwrap();
    fs::write(&json, described("from-json", json!({"auth": "tls_client_auth"}))).unwrap();
    let key = folder.path().join("key.pem");
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    paytoken_testing::write_private(&key, ed25519.serialize_pem());
    let run = |script: &str| {
        Command::new(PROGRAM)
            .arg("--describe")
            .arg(&toml)
            .arg("--describe")
            .arg(&json)
            .arg("--assertion-key")
            .arg(&key)
            .args(["--run", "sh", "-c", script])
            .output()
            .unwrap()
    };
    let output = run(
        "env; curl -sS --cacert $PAYTOKEN_CA -d grant_type=client_credentials -d client_id=$ACME_2_CLIENT_ID \
         -d client_secret=$ACME_2_CLIENT_SECRET $ACME_2_BASE_URL/token; curl -sS $PAYTOKEN_SANDBOX_CONTROL/stats",
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("\"access_token\""), "{output:?}");
    for line in ["ACME_CLIENT_ID=sandbox-client", "FROM_JSON_CLIENT_CERT=", "\"acme-2\":{"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let key = key.canonicalize().unwrap();
    assert!(text.contains(&format!("ACME_ASSERTION_KEY={}", key.display())), "{text}");
    // What is wrong is told with the file.
    fs::write(&toml, "[providers.acme]\ntoken_endpoint = \"/token\"\nauth = \"basic\"\n").unwrap();
    let output = run("true");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("acme.toml") && told.contains("auth: "), "{told}");
}
