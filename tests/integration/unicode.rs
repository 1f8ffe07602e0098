//! Credentials in any script: sent as they are, and shown in no form that an answer repeats.

use std::time::Duration;

use paytoken::{Environment, Provider, TokenSource};
use paytoken_testing::{Server, injected_credentials};

/// Words that no message of ours holds.
const SECRETS: [&str; 7] = [
    "contraseña-ñandú",
    "пароль-мерчанта",
    "パスワード商人七号",
    "密码是商户七号的秘密",
    "🔑🗝🔒🔓🔏🔐🛡",
    "cafe\u{301}-cafe\u{301}-no",
    "كلمة-السر-للتاجر",
];

fn source(provider: Provider, id: &str, secret: &str, server: &Server) -> TokenSource {
    TokenSource::builder(injected_credentials(provider, id, secret), Environment::Sandbox)
        .base_url(&server.url)
        .retries(0)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

fn refusing(body: &str) -> Server {
    let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length:";
    Server::answering(format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes())
}

#[test]
fn credentials_are_sent_as_they_are_in_utf_8() {
    for secret in SECRETS {
        for (provider, id_name, secret_name) in [
            (Provider::NtxPay, "clientId", "clientSecret"),
            (Provider::NexterPay, "userName", "password"),
            (Provider::SendPayments, "clientId", "clientSecret"),
        ] {
            let server = refusing("{}");
            source(provider, "mérchant-№7", secret, &server).token().unwrap_err();
            let request = String::from_utf8(server.received().remove(0)).unwrap();
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let expected = serde_json::json!({id_name: "mérchant-№7", secret_name: secret});
            assert_eq!(body, expected, "{provider}");
        }
    }
}

#[test]
fn an_answer_that_repeats_a_secret_in_any_form_does_not_show_it() {
    for secret in SECRETS {
        let escaped: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let spread: String = secret.chars().flat_map(|c| [c, '\u{200b}']).collect();
        let upper = secret.to_uppercase();
        for (what, text) in [
            ("as it is", secret.to_owned()),
            ("escaped", escaped),
            ("percent-encoded", percent),
            ("with invisible characters", spread),
            ("in capitals", upper.clone()),
            ("taken for Latin-1", secret.bytes().map(char::from).collect()),
        ] {
            let body = format!("{{\"message\":\"wrong password {text} given\"}}");
            let server = refusing(&body);
            let error = source(Provider::NexterPay, "merchant-7", secret, &server).token();
            let error = format!("{:?}", error.unwrap_err());
            assert!(error.contains("wrong pass"), "{what}: {error}");
            assert!(!error.contains(secret) && !error.contains(&text), "{what}: {error}");
            let visible: String = error.chars().filter(|c| *c != '\u{200b}').collect();
            assert!(!visible.contains(secret), "{what}: {error}");
            // Nor a good part of it.
            let half: String = secret.chars().take(secret.chars().count() / 2 + 1).collect();
            assert!(!visible.contains(&half), "{what}: {error}");
        }
    }
}
