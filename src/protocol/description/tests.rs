//! What a description may say, and what is said of one that cannot be used.

use serde_json::{Value, json};

use super::keys::KNOWN as KEYS;
use super::*;
use crate::credentials::Credentials;
use crate::types::facts::Part;
use crate::types::facts::{FieldKind, Payload, Renewal};

/// A description of this name that works, with these members in the place of its own; `null` takes one out.
fn json(name: &str, changes: Value) -> String {
    let mut whole = json!({
        "name": name,
        "token_endpoint": "https://auth.acme.example/token",
        "auth": "client_secret_basic",
        "renewal": "coexists",
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(key)),
            value => whole[key] = value.clone(),
        }
    }
    whole.to_string()
}

fn described(name: &str, changes: Value) -> Result<Provider> {
    Provider::described(&json(name, changes))
}

/// What is said of it, from the key on.
fn refused(name: &str, json: &str) -> String {
    let error = Provider::described(json).map(|_| ()).expect_err(json);
    let is_known = Provider::known().iter().any(|known| known.facts().name == name);
    assert!(!is_known, "a bad description left its name behind: {json}");
    let message = error.message();
    message.strip_prefix(&format!("description of {name}: ")).unwrap_or(message).to_owned()
}

/// Each is refused with a sentence that begins with the key.
fn all_refused(name: &str, cases: &[(&str, Value)]) {
    for (key, changes) in cases {
        let said = refused(name, &json(name, changes.clone()));
        assert!(said.starts_with(&format!("{key}: ")), "{changes}\nis refused with\n{said}");
        assert!(said.len() > key.len() + 15, "{said}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_key() {
    let none = |fields: Value| json!({"auth": "none", "fields": fields, "lifetime": "1h"});
    all_refused(
        "refused",
        &[
            // What has to be there.
            ("token_endpoint", json!({"token_endpoint": null})),
            ("auth", json!({"auth": null})),
            ("auth", json!({"auth": "basic"})),
            ("auth", json!({"auth": "client_secret_jwt"})),
            ("renewal", json!({"renewal": null})),
            ("renewal", json!({"renewal": "sometimes"})),
            // Addresses.
            ("token_endpoint", json!({"token_endpoint": "http://auth.acme.example/token"})),
            ("token_endpoint", json!({"token_endpoint": "https://u:p@auth.acme.example/token"})),
            ("token_endpoint", json!({"token_endpoint": "https://auth.acme.example/token#top"})),
            ("token_endpoint", json!({"token_endpoint": "https://auth.acme.example/{shop}/token"})),
            ("token_endpoint", json!({"token_endpoint": "https://{shop}.acme.example/token"})),
            ("token_endpoint", json!({"token_endpoint": "/token?key={api_key}"})),
            ("token_endpoint", json!({"token_endpoint": "/to\nken"})),
            ("token_endpoint", json!({"token_endpoint": "ftp://auth.acme.example/token"})),
            ("sandbox", json!({"sandbox": "https://sandbox.acme.example"})),
            ("production", json!({"production": "https://api.acme.example"})),
            ("sandbox", json!({"token_endpoint": "/token", "sandbox": "http://acme.example"})),
            (
                "production",
                json!({"token_endpoint": "/token", "production": "https://u@acme.example"}),
            ),
            (
                "production",
                json!({"token_endpoint": "/token", "production": "https://acme.example/#a"}),
            ),
            (
                "production",
                json!({"token_endpoint": "/token", "production": "https://{shop}.example"}),
            ),
            // How it is sent.
            ("method", json!({"method": "PUT"})),
            ("body", json!({"body": "xml"})),
            ("body", json!({"method": "GET", "body": "form"})),
            ("fields", json!({"method": "GET", "fields": {"id": "{client_id}"}})),
            (
                "fields",
                json!({"method": "GET", "fields": {"shop": "{shop}"}, "identity": ["shop"]}),
            ),
            ("method", json!({"method": "GET", "auth": "client_secret_post"})),
            ("method", json!({"method": "GET", "auth": "private_key_jwt"})),
            ("method", json!({"method": "GET", "auth": "tls_client_auth"})),
            ("auth", json!({"body": "none", "auth": "client_secret_post"})),
            ("auth", json!({"body": "none", "auth": "private_key_jwt"})),
            ("auth", json!({"body": "none", "auth": "tls_client_auth"})),
            ("fields", json!({"body": "none", "fields": {"a": "b"}})),
            ("scope", json!({"body": "none", "scope": "payments"})),
            ("fields", json!({"fields": {"a": {"b": "c"}}})),
            ("fields", json!({"fields": {"a": [1]}, "body": "json"})),
            ("basic_encoding", json!({"basic_encoding": "url"})),
            ("basic_encoding", json!({"auth": "client_secret_post", "basic_encoding": "form"})),
            ("signing_alg", json!({"auth": "private_key_jwt", "signing_alg": "HS256"})),
            ("signing_alg", json!({"signing_alg": "PS256"})),
            ("kid", json!({"kid": "key-7"})),
            ("assertion_audience", json!({"assertion_audience": "https://acme.example"})),
            // Headers that are decided elsewhere.
            ("headers", json!({"headers": {"Host": "acme.example"}})),
            ("headers", json!({"headers": {"content-length": "0"}})),
            ("headers", json!({"headers": {"Content-Type": "text/plain"}})),
            ("headers", json!({"headers": {"authorization": "Bearer x"}})),
            ("headers", json!({"headers": {"Transfer-Encoding": "chunked"}})),
            ("headers", json!({"headers": {"CONNECTION": "close"}})),
            ("headers", json!({"headers": {"x-shop": "a\r\nx: y"}})),
            ("headers", json!({"headers": {"x shop": "a"}})),
            ("headers", json!({"headers": {"x-shop": 7}})),
            // Placeholders.
            ("secrets", json!({"headers": {"x-key": "{api_key}"}})),
            ("headers", json!({"headers": {"x-key": "Key {api_key}"}, "secrets": ["api_key"]})),
            ("fields", json!({"fields": {"key": "{api_key}-7"}, "secrets": ["api_key"]})),
            ("fields", json!({"fields": {"a": {"b": "c{d}"}}, "body": "json"})),
            ("fields", json!({"fields": {"a": "{timeout}"}})),
            ("fields", json!({"fields": {"a": "{store}"}})),
            ("headers", json!({"headers": {"x": "{scope}"}})),
            ("headers", json!({"headers": {"x": "{provider}"}})),
            ("headers", json!({"headers": {"x": "{api_key_file}"}})),
            ("identity", json!({"identity": ["base_url"]})),
            ("secrets", json!({"secrets": ["private_key"]})),
            ("identity", json!({"identity": ["client_id"]})),
            ("identity", json!({"identity": ["shop", "shop"]})),
            ("identity", json!({"identity": ["k"], "secrets": ["k"], "fields": {"k": "{k}"}})),
            ("secrets", json!({"secrets": ["api_key"]})),
            ("auth", none(json!({"id": "{client_id}"}))),
            ("auth", json!({"auth": "none", "fields": {"s": "{shop}"}, "identity": ["shop"]})),
            // The answer.
            ("token", json!({"token": "access_token"})),
            ("token", json!({"token": "/refresh_token"})),
            ("token", json!({"token": "/data/refresh_token"})),
            ("expires_in", json!({"expires_in": 3600})),
            ("expires_in", json!({"expires_in": "3600"})),
            ("expires_in", json!({"expires_in": ""})),
            ("expires_at", json!({"expires_at": "expires_at"})),
            ("expires_at", json!({"expires_at": "/a~2"})),
            ("lifetime", json!({"lifetime": 1800})),
            ("lifetime", json!({"lifetime": "30"})),
            ("lifetime", json!({"lifetime": "0s"})),
            ("lifetime", json!({"lifetime": "-1m"})),
            ("lifetime", json!({"lifetime": "99999999999999999d"})),
            // Renewal, and what it may cost.
            ("renew_from", json!({"renew_from": 0})),
            ("renew_from", json!({"renew_from": 96})),
            ("renew_from", json!({"renew_from": 80, "renewal": "replaces-previous"})),
            ("refusals_per_hour", json!({"refusals_per_hour": 0})),
            ("refusals_per_hour", json!({"refusals_per_hour": 7})),
            // How the token is used.
            ("header", json!({"header": "X Token"})),
            ("prefix", json!({"prefix": "Bea\trer"})),
            ("api", json!({"api": ["https://api.acme.example"]})),
            ("api", json!({"api": ["api.acme.example/v1"]})),
            ("api", json!({"api": ["api.acme.example:http"]})),
            // Names.
            ("title", json!({"title": "Acme\u{7}"})),
            ("title", json!({"title": " "})),
            ("scope", json!({"scope": "a\u{0}b"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "acme"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "NTXPAY"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "NEXTERPAY"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "SENDPAYMENTS"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "PAYTOKEN"})),
            ("prefix_of_variables", json!({"prefix_of_variables": "PAYTOKEN_2"})),
        ],
    );
    for name in ["ntx-pay", "nexter-pay", "send-payments", "", "Acme", "a/b", "-acme", "7up", "ä"]
    {
        let said = refused("refused", &json(name, json!({})));
        assert!(said.contains("name: "), "{name}: {said}");
    }
    assert!(refused("refused", "{}").starts_with("name: "));
}

#[test]
fn a_key_that_is_not_known_is_refused_with_one_that_may_be_meant() {
    for (key, meant) in [
        ("token_url", "token_endpoint"),
        ("expiresIn", "expires_in"),
        ("Scope", "scope"),
        ("header_prefix", "headers"),
        ("secret", "secrets"),
        ("audience", "the keys are"),
        ("client_id", "the keys are"),
    ] {
        let said = refused("unknown", &json("unknown", json!({key: "x"})));
        assert!(said.starts_with(&format!("{key}: not known; ")) && said.contains(meant), "{said}");
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_its_key() {
    for key in KEYS {
        for value in ["null", "true", "7.5", "[7]", "[[]]", "{\"a\":null}", "\"\\ud800\""] {
            if (key, value) == ("jwt_expiry", "true") {
                continue;
            }
            // Of the others, only what auth and renewal have to be before a key of theirs is read.
            let whole = json(
                "typed",
                json!({key: null, "auth": if key == "kid" { "private_key_jwt" } else { "client_secret_basic" }}),
            );
            let whole = match key {
                "auth" => json("typed", json!({"auth": null})),
                "sandbox" | "production" => json("typed", json!({"token_endpoint": "/token"})),
                _ => whole,
            };
            let whole = format!("{},\"{key}\":{value}}}", whole.strip_suffix('}').unwrap());
            let said = refused("typed", &whole);
            assert!(said.starts_with(&format!("{key}: ")), "{key} = {value}: {said}");
        }
    }
}

#[test]
fn what_nobody_thought_of_is_refused_too() {
    let basic = "\"token_endpoint\":\"https://a.example/t\",\"auth\":\"client_secret_basic\",\"renewal\":\"coexists\"";
    for (key, text) in [
        ("description", String::new()),
        ("description", "[]".into()),
        ("description", "name = \"acme\"".into()),
        ("description", format!("{{\"name\":\"odd\",{basic}}} {{}}")),
        ("description", format!("{{\"name\":\"odd\",{basic},\"auth\":\"none\"}}")),
        ("description", format!("{{\"name\":\"odd\",{basic},}}")),
        ("description", " ".repeat(65_537)),
        ("fields", format!("{{\"name\":\"odd\",{basic},\"fields\":{{\"a\":1,\"a\":2}}}}")),
    ] {
        let said = refused("odd", &text);
        assert!(said.starts_with(&format!("{key}: ")), "{text}: {said}");
    }
    let deep = (0..10).fold(json!("x"), |inner, _| json!({"a": inner}));
    all_refused(
        "odd",
        &[
            ("token_endpoint", json!({"token_endpoint": "auth.acme.example/token"})),
            ("token_endpoint", json!({"token_endpoint": "https:///token"})),
            ("token_endpoint", json!({"token_endpoint": "/a/../token"})),
            ("token_endpoint", json!({"token_endpoint": "/oauth\\token"})),
            ("token_endpoint", json!({"token_endpoint": "/token with a blank"})),
            (
                "fields",
                json!({"auth": "client_secret_post", "fields": {"client_secret": "{client_secret}"}}),
            ),
            ("fields", json!({"auth": "tls_client_auth", "fields": {"client_id": "x"}})),
            ("fields", json!({"auth": "private_key_jwt", "fields": {"client_assertion": "x"}})),
            ("scope", json!({"scope": "a", "fields": {"scope": "b"}})),
            ("scope", json!({"scope": "{shop}", "identity": ["shop"]})),
            ("fields", json!({"fields": {"scope": "{shop}"}, "identity": ["shop"]})),
            ("fields", json!({"fields": {"scope": 7}})),
            ("fields", json!({"fields": {"": "x"}})),
            ("fields", json!({"fields": {"a\u{0}": "x"}})),
            ("fields", json!({"fields": {"{shop}": "x"}, "identity": ["shop"]})),
            ("fields", json!({"body": "json", "fields": {"a": {"b\n": "x"}}})),
            ("fields", json!({"body": "json", "fields": deep})),
            ("fields", json!({"fields": {"a": "{}"}})),
            ("fields", json!({"fields": {"a": "{{client_id}}"}})),
            ("fields", json!({"fields": {"a": "{Client_Id}"}})),
            ("headers", json!({"headers": {"x-a": "1", "X-A": "2"}})),
            ("headers", json!({"headers": {"x-a": ""}})),
            ("headers", json!({"headers": {"x-a": " a"}})),
            ("headers", json!({"headers": {"x-a": "Größe"}})),
            ("headers", json!({"headers": ["x-a"]})),
            ("expires_in", json!({"token": "", "expires_in": "/expires_in"})),
            ("expires_at", json!({"token": "", "expires_at": "/expires_at"})),
            ("api", json!({"api": [""]})),
            ("api", json!({"api": "api.acme.example"})),
            ("kid", json!({"auth": "private_key_jwt", "kid": ""})),
            ("prefix", json!({"prefix": "Bearer "})),
            ("header", json!({"header": ""})),
            ("secrets", json!({"secrets": ["{api_key}"]})),
            ("secrets", json!({"secrets": {"api_key": "x"}})),
            ("lifetime", json!({"lifetime": "1h30m"})),
            ("renew_from", json!({"renew_from": "80"})),
        ],
    );
}

#[test]
fn a_sentence_repeats_no_more_than_a_name_and_that_in_print() {
    let long = "x".repeat(5_000);
    for changes in [
        json!({&*long: 1}),
        json!({"a\u{1b}[31m": 1}),
        json!({"headers": {&*long: "{}"}}),
        json!({"fields": {"a\nb": "c"}}),
        json!({"auth": "sk_live_1234567890"}),
        json!({"secrets": ["sk_live_1234567890"]}),
    ] {
        let said = refused("print", &json("print", changes.clone()));
        assert!(said.len() < 700 && !said.contains(char::is_control), "{said}");
        assert!(!changes["auth"].is_string() || !said.contains("sk_live"), "{said}");
    }
}

#[test]
fn the_same_description_is_the_same_provider_and_another_one_is_refused() {
    let first = described("intern", json!({"scope": "a"})).unwrap();
    let text = json("intern", json!({"scope": "a"}));
    let spaced = text.replace(":\"", " :\n\t\"").replace(",\"", " ,  \"");
    let escaped = text.replace("coexists", "co\\u0065xists");
    let spelt_out = json(
        "intern",
        json!({"scope": "a", "method": "POST", "prefix": "Bearer", "renew_from": 80}),
    );
    for same in [&text, &spaced, &escaped, &spelt_out, &format!("\u{feff}{text}\n")] {
        let again = Provider::described(same).unwrap();
        assert_eq!(again, first);
        assert!(std::ptr::eq(again.facts(), first.facts()), "{same}");
    }
    let error = described("intern", json!({"scope": "b"})).unwrap_err();
    assert!(error.message().starts_with("name: intern "), "{error}");
    assert_eq!(described("intern", json!({"scope": "a"})).unwrap().facts().protocol.scope, "a");
    assert_eq!("intern".parse::<Provider>().unwrap(), first);

    // Of what another has, too.
    for (name, changes) in [
        ("other-1", json!({"prefix_of_variables": "INTERN"})),
        ("intern_", json!({"prefix_of_variables": "INTERN"})),
    ] {
        let said = refused(name, &json(name, changes));
        assert!(said.starts_with("prefix_of_variables: ") && said.contains("intern"), "{said}");
    }
    described("clash-a", json!({})).unwrap();
    let said = refused("clash_a", &json("clash_a", json!({})));
    assert!(said.starts_with("prefix_of_variables: ") && said.contains("clash-a"), "{said}");
    // One's placeholder is called like what the other's prefix adds.
    described("clash-b-eu", json!({})).unwrap();
    let changes = json!({"headers": {"x": "{eu_client_id}"}, "identity": ["eu_client_id"]});
    let said = refused("clash-b", &json("clash-b", changes));
    assert!(
        said.starts_with("prefix_of_variables: clash-b-eu reads CLASH_B_EU_CLIENT_ID"),
        "{said}"
    );
    let known = Provider::known();
    let at = |name| known.iter().position(|it| it.facts().name == name);
    assert!(known.starts_with(Provider::ALL), "{known:?}");
    assert!(at("intern") < at("clash-a") && at("clash-a") < at("clash-b-eu"), "{known:?}");
}

#[test]
fn eight_threads_that_describe_at_once_have_one_provider() {
    let barrier = std::sync::Barrier::new(8);
    let facts: Vec<_> = std::thread::scope(|scope| {
        let run = |index: usize| {
            // The same meaning, in another text each.
            let text = json("threads", json!({})) + &" ".repeat(index);
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                std::ptr::from_ref(Provider::described(&text).unwrap().facts()) as usize
            })
        };
        let threads: Vec<_> = (0..8).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(facts.iter().all(|one| *one == facts[0]), "{facts:?}");
    let known = Provider::known();
    assert_eq!(known.iter().filter(|known| known.facts().name == "threads").count(), 1);
}

#[test]
fn a_placeholder_is_an_account_s_setting() {
    let fields = json!({"shop": "{shop}", "nested": {"key": "{api_key}"}, "fixed": "7", "n": 7});
    let provider = described(
        "placeholders",
        json!({"auth": "none", "body": "json", "fields": fields, "identity": ["shop"],
            "secrets": ["api_key"], "lifetime": "30m", "headers": {"x-id": "{client_id}"}}),
    );
    let facts = provider.unwrap().facts();
    let account: Vec<_> = facts.fields.iter().map(|it| (it.name, it.variable, it.kind)).collect();
    assert_eq!(
        account,
        [
            ("client_id", "CLIENT_ID", FieldKind::Identity),
            ("shop", "SHOP", FieldKind::Identity),
            ("api_key", "API_KEY", FieldKind::Secret),
            ("scope", "SCOPE", FieldKind::Optional),
        ]
    );
    assert!(facts.has_identity());
    // No grant_type where nothing says that this is OAuth, and no expires_in.
    assert!(facts.protocol.fields.iter().all(|(name, _)| *name != "grant_type"));
    assert_eq!(facts.protocol.expires_in, None);
    // Braces that are no placeholder.
    let odd = described("braces", json!({"fields": {"a": "{", "b": "}", "c": "a{b"}})).unwrap();
    let texts =
        odd.facts().protocol.fields.iter().filter(|(_, part)| matches!(part, Part::Text(_)));
    assert_eq!(texts.count(), 4);
    // What tells nobody apart but a secret.
    let alone = json!({"auth": "none", "headers": {"x-key": "{key}"}, "secrets": ["key"]});
    assert!(!described("alone", alone).unwrap().facts().has_identity());
    // An account's id: the client's, else what tells accounts apart first.
    let values = [("client_id", "1"), ("client_secret", "s"), ("shop", "7"), ("till", "2")];
    let headers = json!({"x-shop": "{shop}", "x-till": "{till}", "x-key": "{client_secret}"});
    let identity = json!(["till", "shop"]);
    for (name, auth, given, id) in
        [("id-1", "client_secret_basic", &values[..], "1"), ("id-2", "none", &values[1..], "2")]
    {
        let changes =
            json!({"auth": auth, "headers": headers, "identity": identity, "lifetime": "1h"});
        let shop = described(name, changes).unwrap();
        let credentials = Credentials::described(shop, given.iter().copied(), None).unwrap();
        assert_eq!(credentials.id(), id);
    }
}

#[test]
fn what_is_left_out_has_the_default_that_is_documented() {
    let facts = described("defaults", json!({})).unwrap().facts();
    let protocol = facts.protocol;
    assert_eq!((facts.title, facts.prefix), ("defaults", "DEFAULTS"));
    assert_eq!(
        (facts.header, facts.scheme, facts.refusals_per_hour),
        ("Authorization", "Bearer", 3)
    );
    assert_eq!(facts.renewal, Renewal::Coexists { renew_from_percent: 80 });
    assert_eq!((protocol.token, protocol.expires_in), ("/access_token", Some("/expires_in")));
    assert_eq!((protocol.expires_at, protocol.payload), (None, Payload::Form));
    assert!(facts.api.is_empty() && !protocol.jwt_expiry && facts.sandbox.lifetime.is_none());
    let names: Vec<_> = protocol.fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["grant_type", "scope"]);
    let left_out = described("left-out", json!({"fields": {"grant_type": "", "scope": ""}}));
    let names: Vec<_> =
        left_out.unwrap().facts().protocol.fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["scope"], "an account may still set one");
    let bare = described("bare", json!({"token": "", "lifetime": "90s"})).unwrap().facts();
    assert_eq!(bare.protocol.expires_in, None);
    let secure = described("loopback", json!({"token_endpoint": "http://127.0.0.1:8080"})).unwrap();
    assert_eq!(secure.facts().endpoint, "/");
}
