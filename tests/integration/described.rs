//! Described providers from outside: what their answers mean, and how often a refused account is asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paytoken::{Builder, Credentials, Environment, ErrorKind, Provider, TokenSource};
use paytoken_testing::described::end;
use paytoken_testing::{ManualClock, Server, temporary_folder};
use serde_json::{Value, json};

/// A provider of this name, with these members beside what has to be there.
fn provider(name: &str, more: &Value) -> Provider {
    let mut whole = json!({
        "name": name, "token_endpoint": "/token", "auth": "client_secret_post", "renewal": "coexists",
    });
    for (key, value) in more.as_object().unwrap() {
        whole[key] = value.clone();
    }
    Provider::described(&whole.to_string()).unwrap()
}

fn builder(provider: Provider, secret: &str, server: &Server) -> Builder {
    let values = [("client_id", "merchant"), ("client_secret", secret)];
    let credentials = Credentials::described(provider, values, None).unwrap();
    TokenSource::builder(credentials, Environment::Sandbox).base_url(&server.url).retries(0)
}

fn answering(status: u16, body: &str) -> Server {
    Server::answering(answer_of(status, body))
}

fn answer_of(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}");
    format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

#[test]
fn token_and_lifetime_stand_where_the_description_points() {
    let epoch = |text: String| text.parse::<u64>().unwrap();
    let (seconds, ms) = (epoch(end(600, "epoch")), epoch(end(600, "epoch-ms")));
    let [iso, compact] = ["iso", "iso-compact-offset"].map(|format| end(600, format));
    let token = |pointer: &str| json!({"token": pointer, "lifetime": "10m", "expires_in": "/none"});
    let jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln";
    for (index, (more, body, wanted)) in [
        (json!({}), r#"{"access_token":"t","expires_in":600}"#.to_owned(), "t"),
        (json!({}), r#"{"access_token":"t","expires_in":"600","token_type":"BEARER"}"#.into(), "t"),
        // What else an answer with its token says is no error.
        (json!({}), r#"{"access_token":"t","expires_in":600,"error":0}"#.into(), "t"),
        (json!({}), r#"{"access_token":"t","expires_in":600,"error":"OK"}"#.into(), "t"),
        (token("/a/b/c"), r#"{"a":{"b":{"c":"t"}}}"#.into(), "t"),
        (token("/a~1b/c~0d/~01"), r#"{"a/b":{"c~d":{"~1":"t"}}}"#.into(), "t"),
        (token("/data/1/token"), r#"{"data":[{"token":"u"},{"token":"t"}]}"#.into(), "t"),
        (token("/0"), r#"["t"]"#.into(), "t"),
        (token("/0"), r#"{"0":"t"}"#.into(), "t"),
        (token("/"), r#"{"":"t"}"#.into(), "t"),
        (token("/Größe"), r#"{"Gr\u00f6\u00dfe":"t"}"#.into(), "t"),
        (json!({"token": "", "lifetime": "10m"}), "\"t\"".into(), "t"),
        (json!({"token": "", "lifetime": "10m"}), "t-0/+=\n".into(), "t-0/+="),
        (json!({"token": "", "lifetime": "10m"}), "12345".into(), "12345"),
        (json!({"token": "", "lifetime": "10m"}), jwt.into(), jwt),
        (
            json!({"prefix": "OAuth"}),
            r#"{"access_token":"t","expires_in":600,"token_type":"mac"}"#.into(),
            "t",
        ),
        // How long it lives.
        (json!({"expires_in": "/a/s"}), r#"{"access_token":"t","a":{"s":600}}"#.into(), "t"),
        (json!({"expires_at": "/at"}), format!(r#"{{"access_token":"t","at":{seconds}}}"#), "t"),
        (json!({"expires_at": "/at"}), format!(r#"{{"access_token":"t","at":"{seconds}"}}"#), "t"),
        (json!({"expires_at": "/at"}), format!(r#"{{"access_token":"t","at":{ms}}}"#), "t"),
        (json!({"expires_at": "/at"}), format!(r#"{{"access_token":"t","at":"{iso}"}}"#), "t"),
        (json!({"expires_at": "/at"}), format!(r#"{{"access_token":"t","at":"{compact}"}}"#), "t"),
        (
            json!({"expires_at": "/at"}),
            format!(r#"{{"access_token":"t","at":"{iso}","expires_in":9000}}"#),
            "t",
        ),
        (
            json!({"expires_at": "/at"}),
            r#"{"access_token":"t","at":null,"expires_in":600}"#.into(),
            "t",
        ),
        (json!({"lifetime": "10m"}), r#"{"access_token":"t","expires_in":9000}"#.into(), "t"),
        (json!({"lifetime": "600s"}), r#"{"access_token":"t","expires_in":null}"#.into(), "t"),
        (json!({"lifetime": "10m"}), r#"{"access_token":"t"}"#.into(), "t"),
        (
            json!({"jwt_expiry": true, "lifetime": "10m"}),
            format!(r#"{{"access_token":"{jwt}"}}"#),
            jwt,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let server = answering(200, &body);
        let source = builder(provider(&format!("pointed-{index}"), &more), "s", &server);
        let came =
            source.build().unwrap().token().map_err(|error| format!("{more} {body}: {error}"));
        let came = came.unwrap();
        assert_eq!(came.secret(), wanted, "{more} {body}");
        // A date is cut to the second, and the server's answer comes a moment after it was made.
        let is_date = more.get("expires_at").is_some();
        let lifetime = came.lifetime().as_secs_f64();
        let least = if is_date { 500.0 } else { 600.0 };
        assert!(lifetime <= 600.0 && lifetime >= least, "{more} {body}: {lifetime}");
    }
}

#[test]
fn an_answer_that_cannot_be_used_names_what_to_set() {
    let invalid = ErrorKind::InvalidResponse;
    let rejected = ErrorKind::Rejected;
    let at = |pointer: &str| json!({"token": pointer, "lifetime": "1h"});
    let whole = json!({"token": "", "lifetime": "1h"});
    for (index, (more, body, kind, says)) in [
        // No token where it should be is a refusal, which is remembered.
        (json!({}), r#"{"accessToken":"t","expires_in":9}"#, rejected, "accessToken, expires_in"),
        (
            json!({}),
            r#"{"access_token":null}"#,
            rejected,
            "/access_token; the answer has access_token",
        ),
        (json!({}), r#"{"access_token":7}"#, rejected, "correct token in the description"),
        (json!({}), r#"{"code":"401","message":"no"}"#, rejected, "code, message"),
        (json!({}), "{}", rejected, "the answer is empty"),
        (json!({}), r#"{"the-secret":"is wrong"}"#, rejected, "has [redacted]"),
        (json!({}), "[]", rejected, "no JSON object"),
        (json!({}), "\"t\"", rejected, "no JSON object"),
        (at("/a/b"), r#"{"a":"t"}"#, rejected, "/a/b; the answer has a"),
        (at("/a/01"), r#"{"a":["x","t"]}"#, rejected, "/a/01"),
        (at("/a/-"), r#"{"a":["t"]}"#, rejected, "/a/-"),
        (at("/a/9"), r#"{"a":["t"]}"#, rejected, "/a/9"),
        (whole.clone(), "<html>no</html>", rejected, "be the whole answer"),
        (whole.clone(), r#"{"error_code":7}"#, rejected, "the answer has error_code"),
        (whole, "", rejected, "be the whole answer"),
        (json!({}), r#"{"error":"invalid_client"}"#, rejected, "error"),
        (json!({}), r#"{"error":"login_failed"}"#, rejected, "error"),
        (json!({}), r#"{"error":true}"#, rejected, "error"),
        (json!({}), r#"{"access_token":"","error_code":7}"#, rejected, "error_code"),
        // A token whose end is not known.
        (json!({}), r#"{"access_token":"t"}"#, invalid, "set lifetime to what"),
        (json!({}), r#"{"access_token":"t","expires_in":null}"#, invalid, "set lifetime to what"),
        (json!({"expires_in": "/seconds"}), r#"{"access_token":"t"}"#, invalid, "expires_in"),
        (
            json!({}),
            r#"{"access_token":"t","expires_in":"soon"}"#,
            invalid,
            "expires_in is not a number",
        ),
        (
            json!({}),
            r#"{"access_token":"t","expires_in":0}"#,
            invalid,
            "expires_in is not positive",
        ),
        (
            json!({}),
            r#"{"access_token":"t","expires_in":[600]}"#,
            invalid,
            "expires_in is not a number",
        ),
        (
            json!({}),
            r#"{"access_token":"t","expires_in":9,"token_type":"mac"}"#,
            invalid,
            "token_type",
        ),
        (json!({"jwt_expiry": true}), r#"{"access_token":"a.e30.c"}"#, invalid, "lifetime"),
        // One that breaks out of a header.
        (json!({}), r#"{"access_token":"a b","expires_in":9}"#, invalid, "characters"),
    ]
    .into_iter()
    .enumerate()
    {
        let server = answering(200, body);
        let provider = provider(&format!("wrong-answer-{index}"), &more);
        let source = builder(provider, "the-secret", &server).build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), kind, "{more} {body}: {error}");
        assert!(error.to_string().contains(says), "{more} {body}: {error}");
        assert!(!error.to_string().contains("the-secret"));
        // It is remembered: asking on could lock the account.
        source.token().unwrap_err();
        assert_eq!(server.received().len(), 1, "{more} {body}");
    }
}

#[test]
fn a_date_that_has_passed_is_not_how_long_a_token_lives() {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 60;
    let server = answering(200, &format!(r#"{{"access_token":"t","at":{passed}}}"#));
    let described = provider("passed", &json!({"expires_at": "/at", "expires_in": "/none"}));
    let error = builder(described, "s", &server).build().unwrap().token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    // Nor where something else says more: the earliest end that is told counts.
    let server = answering(200, &format!(r#"{{"access_token":"t","at":{passed},"in":3600}}"#));
    let more = json!({"expires_at": "/at", "expires_in": "/in", "lifetime": "1h"});
    let described = provider("passed-too", &more);
    let error = builder(described, "s", &server).build().unwrap().token().unwrap_err();
    assert!(error.to_string().contains("at has passed"), "{error}");
}

#[test]
fn where_a_new_token_ends_the_one_before_an_answer_without_one_may_have_ended_it_too() {
    let mut answers =
        vec![r#"{"data":{"access_token":"u"}}"#, r#"{"access_token":"t","expires_in":300}"#];
    let server = Server::making(move || answer_of(200, answers.pop().unwrap_or_default()));
    let described = provider("odd-success", &json!({"renewal": "replaces-previous"}));
    let source = builder(described, "s", &server).build().unwrap();
    assert_eq!(source.token().unwrap().secret(), "t");
    assert_eq!(source.refresh().unwrap_err().kind(), ErrorKind::Rejected);
    let error = source.token().map(|token| token.secret().to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(server.received().len(), 2);
}

/// How often the provider was asked, by sources of one account that share what is remembered, as processes do: each
/// with another secret, which is refused.
fn refused(name: &str, more: &Value, secrets: usize) -> usize {
    let server = answering(401, r#"{"error":"invalid_client"}"#);
    let (described, folder) = (provider(name, more), temporary_folder());
    let clock = ManualClock::new();
    let source = |secret: &str| {
        let store = paytoken::FileStore::open(folder.path()).unwrap();
        builder(described, secret, &server).store(store).clock(clock.clone()).build().unwrap()
    };
    let ask = |secret: &str| {
        let error = source(secret).token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        server.received().len()
    };
    let sent: Vec<_> = (0..secrets).map(|index| ask(&format!("secret-{index}"))).collect();
    // Not after ten minutes, either, as at the three that are built in.
    clock.advance(Duration::from_secs(15 * 60));
    let most = *sent.last().unwrap();
    assert_eq!(ask("one-more"), most);
    // A person's word counts.
    source("one-more").refresh().unwrap_err();
    assert_eq!(server.received().len(), most + 1);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(ask("the-next-hour"), most + 2);
    most
}

#[test]
fn a_described_account_is_refused_no_more_often_than_was_said() {
    assert_eq!(refused("cap-default", &json!({}), 4), 3);
    assert_eq!(refused("cap-one", &json!({"refusals_per_hour": 1}), 2), 1);
}
