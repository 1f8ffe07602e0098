//! What the providers' documents show, and what this library makes of it. Start reading here.
//!
//! One module per provider, each with the same three questions:
//! 1. Which request goes out, and what does the token say that comes of the answer?
//! 2. Which errors are documented, and what does each become?
//! 3. What happens when the provider's API answers 401 to a token?
//!
//! The providers are played by `httpmock` on 127.0.0.1: `when` is what the library has to send,
//! `then` is what the provider's document says it answers. Everything goes through the public API,
//! as in a program of yours. The small print (exact bytes, odd answers) is in `tests/testdata`.

#![allow(clippy::unwrap_used)] // it is a test

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpmock::prelude::*;
use paytoken::{
    Attempt, Builder, ClientCertificate, Clock, Credentials, Environment, Now, Secret, Token,
    TokenSource,
};
use serde_json::{Value, json};

mod ntx_pay {
    use super::*;

    #[test]
    fn ntx_pay_gives_a_token_for_id_secret_and_certificate() {
        let certificate_pem = certificate_pem();
        let ntx_pay = MockServer::start();
        let token_endpoint = ntx_pay.mock(|when, then| {
            when.method(POST)
                .path("/api/auth/token")
                .header("Content-Type", "application/json")
                .header("X-SSL-Client-Cert", url_encoded(&certificate_pem))
                .header_missing("Authorization")
                .json_body(json!({"clientId": "merchant-7", "clientSecret": "not-a-real-secret"}));
            then.status(201).json_body(json!({
                "access_token": "a-token",
                "token_type": "Bearer",
                "expires_in": 600,
                "scope": "email profile"
            }));
        });

        let token = source(credentials(&certificate_pem), &ntx_pay).token();

        token_endpoint.assert_calls(1);
        let token = token.unwrap();
        assert_eq!(token.secret(), "a-token");
        assert_eq!(token.bearer(), "Bearer a-token");
        assert_eq!(token.scope(), Some("email profile"));
        assert_eq!(token.lifetime(), minutes(10));
        assert_eq!(token.expires_at(), new_year() + minutes(10));
    }

    #[test]
    fn ntx_pays_documented_errors_are_final() {
        let table = r#"
            the provider answers                                                             | kind     | asked again | requests | the error says
            400 {"statusCode": 400, "message": "X-SSL-Client-Cert header is required"}       | Rejected | no          | 1        | X-SSL-Client-Cert header is required
            400 {"statusCode": 400, "message": "Malformed PEM"}                              | Rejected | no          | 1        | Malformed PEM
            400 {"statusCode": 400, "message": "X-SSL-Client-Cert header is required"}       | Rejected | no          | 1        | proxy_set_header X-SSL-Client-Cert
            400 {"statusCode": 400, "message": "Malformed PEM"}                              | Rejected | no          | 1        | starts with -----BEGIN CERTIFICATE-----
            401 {"statusCode": 401, "message": "Invalid credentials"}                        | Rejected | no          | 1        | no trailing spaces
            401 {"statusCode": 401, "message": "Certificate expired"}                        | Rejected | no          | 1        | ask NTX Pay for a renewal
            401 {"statusCode": 401, "message": "Certificate expired"}                        | Rejected | no          | 1        | Certificate expired
            401 {"statusCode": 401, "message": "Certificate revoked"}                        | Rejected | no          | 1        | neither expired nor revoked
        "#;
        check_errors("/api/auth/token", || credentials(&certificate_pem()), table);
    }

    #[test]
    fn what_is_not_a_certificate_never_leaves_the_machine() {
        let error = ClientCertificate::from_pem("not a certificate").unwrap_err();
        assert_eq!(error.kind(), paytoken::ErrorKind::Certificate);
        assert!(error.to_string().contains("-----BEGIN CERTIFICATE-----"), "{error}");
    }

    #[test]
    fn a_401_of_ntx_pays_api_costs_one_new_token_and_one_replay() {
        check_replay(Replay {
            credentials: credentials(&certificate_pem()),
            token_path: "/api/auth/token",
            token_status: 201,
            token_body: |token| json!({"access_token": token, "token_type": "Bearer", "expires_in": 600}),
            api_method: "GET",
            api_path: "/api/balance",
        });
    }

    fn credentials(certificate_pem: &str) -> Credentials {
        Credentials::NtxPay {
            client_id: "merchant-7".into(),
            client_secret: Secret::from("not-a-real-secret"),
            certificate: ClientCertificate::from_pem(certificate_pem).unwrap(),
        }
    }

    /// NTX Pay issues one at onboarding; here the merchant signs it himself.
    fn certificate_pem() -> String {
        let names = ["merchant.example".to_owned()];
        let pem = paytoken_sandbox::rcgen::generate_simple_self_signed(names).unwrap().cert.pem();
        pem.replace('\r', "") // on Windows; the header's lines end with LF
    }

    /// As nginx fills `$ssl_client_escaped_cert`.
    fn url_encoded(text: &str) -> String {
        let encoded = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(encoded).collect()
    }
}

mod nexter_pay {
    use super::*;

    /// The answer is the token alone, a JSON string. How long it lives is in the document only.
    #[test]
    fn nexter_pay_gives_a_token_for_user_name_and_password() {
        for (environment, lifetime) in
            [(Environment::Sandbox, minutes(600)), (Environment::Production, minutes(90))]
        {
            let nexter_pay = MockServer::start();
            let token_endpoint = nexter_pay.mock(|when, then| {
                when.method(POST)
                    .path("/security/createToken")
                    .header("Content-Type", "application/json")
                    .header_missing("Authorization")
                    .header_missing("X-SSL-Client-Cert")
                    .json_body(json!({"userName": "merchant-7", "password": "not-a-real-secret"}));
                then.status(200).json_body(json!("a-token"));
            });

            let token = builder(credentials(), environment, &nexter_pay).build().unwrap().token();

            token_endpoint.assert_calls(1);
            let token = token.unwrap();
            assert_eq!(token.secret(), "a-token");
            assert_eq!(token.bearer(), "Bearer a-token");
            assert_eq!(token.scope(), None);
            assert_eq!(token.lifetime(), lifetime);
            assert_eq!(token.expires_at(), new_year() + lifetime);
        }
    }

    #[test]
    fn nexter_pays_documented_errors_are_final() {
        let table = r#"
            the provider answers                                                             | kind      | asked again | requests | the error says
            400 {"status": 400, "title": "Bad Request", "detail": "Invalid password"}        | Rejected  | no          | 1        | Bad Request: Invalid password
            401 {"type": "https://tools.ietf.org/html/rfc9110#section-15.5.2", "title": "Unauthorized", "status": 401} | Rejected | no | 1 | check user_name and password
            400 {"status": 400, "title": "Bad Request"}                                      | Rejected  | no          | 1        | check user_name and password
            403 {"status": 403, "title": "Forbidden"}                                        | Forbidden | no          | 1        | suspended or restricted
            403 {"status": 403, "title": "Forbidden"}                                        | Forbidden | no          | 1        | contact the provider
        "#;
        check_errors("/security/createToken", credentials, table);
    }

    #[test]
    fn a_401_of_nexter_pays_api_costs_one_new_token_and_one_replay() {
        check_replay(Replay {
            credentials: credentials(),
            token_path: "/security/createToken",
            token_status: 200,
            token_body: |token| json!(token),
            api_method: "POST",
            api_path: "/Catalog/GetCountries",
        });
    }

    fn credentials() -> Credentials {
        Credentials::NexterPay {
            user_name: "merchant-7".into(),
            password: Secret::from("not-a-real-secret"),
        }
    }
}

mod send_payments {
    use super::*;

    #[test]
    fn send_payments_gives_a_token_for_id_and_secret() {
        let send = MockServer::start();
        let token_endpoint = send.mock(|when, then| {
            when.method(POST)
                .path("/auth")
                .header("Content-Type", "application/json")
                .header_missing("Authorization")
                .header_missing("X-SSL-Client-Cert")
                .json_body(json!({"clientId": "merchant-7", "clientSecret": "not-a-real-secret"}));
            then.status(201)
                .header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
                .json_body(json!({"accessToken": "a-token", "expiresAt": "2026-01-01T00:05:00Z"}));
        });

        let token = source(credentials(), &send).token();

        token_endpoint.assert_calls(1);
        let token = token.unwrap();
        assert_eq!(token.secret(), "a-token");
        assert_eq!(token.bearer(), "Bearer a-token");
        assert_eq!(token.scope(), None);
        assert_eq!(token.lifetime(), minutes(5));
        assert_eq!(token.expires_at(), new_year() + minutes(5));
    }

    #[test]
    fn of_send_payments_documented_errors_only_a_500_is_asked_again() {
        let table = r#"
            the provider answers                                                             | kind              | asked again | requests | the error says
            400 {"message": "Validation failed", "errors": [{"message": "clientSecret is invalid", "type": "ValidationError"}]} | Rejected | no | 1 | Validation failed: clientSecret is invalid
            401 {"message": "Unauthorized", "errors": []}                                    | Rejected          | no          | 1        | check client_id and client_secret
            400 {"message": "Validation failed", "errors": []}                               | Rejected          | no          | 1        | check client_id and client_secret
            500 {"message": "Server error", "errors": []}                                    | ServerUnavailable | yes         | 3        | Server error
            500 {"message": "Server error", "errors": []}                                    | ServerUnavailable | yes         | 3        | try again later
        "#;
        check_errors("/auth", credentials, table);
    }

    #[test]
    fn a_401_of_send_payments_api_costs_one_new_token_and_one_replay() {
        check_replay(Replay {
            credentials: credentials(),
            token_path: "/auth",
            token_status: 201,
            token_body: |token| json!({"accessToken": token, "expiresAt": "2026-01-01T00:05:00Z"}),
            api_method: "GET",
            api_path: "/accounts",
        });
    }

    fn credentials() -> Credentials {
        Credentials::SendPayments {
            client_id: "merchant-7".into(),
            client_secret: Secret::from("not-a-real-secret"),
        }
    }
}

/// For each line of the table: the token endpoint answers this, so a call for a token fails like
/// that after so many requests. What is final is remembered: the next call sends nothing at all.
fn check_errors(token_path: &str, credentials: impl Fn() -> Credentials, table: &str) {
    for line in table.trim().lines().skip(1) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let &[answer, kind, asked_again, requests, says] = &columns[..] else { panic!("{line}") };
        let (status, body) = answer.split_once(' ').unwrap();
        let (status, requests): (u16, usize) = (status.parse().unwrap(), requests.parse().unwrap());
        let provider = MockServer::start();
        let token_endpoint = provider.mock(|when, then| {
            when.method(POST).path(token_path);
            then.status(status).header("Content-Type", "application/json").body(body);
        });
        let source = source(credentials(), &provider);

        let error = source.token().unwrap_err();

        assert_eq!(format!("{:?}", error.kind()), kind, "{line}");
        assert_eq!(error.status(), Some(status), "{line}");
        assert!(error.to_string().contains(says), "{line}\nbut the error is: {error}");
        assert_eq!(error.is_retryable(), asked_again == "yes", "{line}");
        assert_eq!(token_endpoint.calls(), requests, "{line}");
        if asked_again == "no" {
            assert_eq!(source.token().unwrap_err().kind(), error.kind(), "{line}");
            assert_eq!(token_endpoint.calls(), requests, "the refusal was not remembered: {line}");
        }
    }
}

/// What differs between the providers when an API call is answered 401.
struct Replay {
    credentials: Credentials,
    token_path: &'static str,
    token_status: u16,
    /// The documented answer, with this token in it.
    token_body: fn(&str) -> Value,
    api_method: &'static str,
    api_path: &'static str,
}

/// The API does not accept the first token (it was revoked, say): that one is dropped, one other is
/// fetched, and the call is made once more, with it.
fn check_replay(replay: Replay) {
    let provider = MockServer::start();
    let [first_token, second_token] = ["first", "second"].map(|token| {
        provider.mock(|when, then| {
            when.method(POST).path(replay.token_path);
            then.status(replay.token_status).json_body((replay.token_body)(token)).up_to_n_times(1);
        })
    });
    let [refused_call, accepted_call] = [("first", 401), ("second", 200)].map(|(token, status)| {
        provider.mock(|when, then| {
            when.method(replay.api_method)
                .path(replay.api_path)
                .header("Authorization", format!("Bearer {token}"));
            then.status(status).body(token);
        })
    });
    let source = source(replay.credentials, &provider);

    let url = provider.url(replay.api_path);
    let answer = source.call(|token| {
        let (status, body) = call_api(replay.api_method, &url, token);
        Ok::<_, paytoken::Error>(match status {
            401 => Attempt::Unauthorized(body),
            _ => Attempt::Done(body),
        })
    });

    assert_eq!(answer.unwrap(), "second");
    for mock in [first_token, refused_call, second_token, accepted_call] {
        mock.assert_calls(1);
    }
    assert_eq!(source.token().unwrap().secret(), "second", "the new token stays in use");
}

/// Your own HTTP client, with the token in the header that it names.
fn call_api(method: &str, url: &str, token: &Token) -> (u16, String) {
    let client = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header(token.header_name(), token.header_value())
        .body(())
        .unwrap();
    let mut answer = client.new_agent().run(request).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn source(credentials: Credentials, provider: &MockServer) -> TokenSource {
    builder(credentials, Environment::Sandbox, provider).build().unwrap()
}

/// The settings that a test needs and a program does not: another address, another clock.
fn builder(credentials: Credentials, environment: Environment, provider: &MockServer) -> Builder {
    TokenSource::builder(credentials, environment).base_url(&provider.base_url()).clock(NewYear)
}

/// 2026 has just begun, and no time passes on the wall clock.
struct NewYear;

impl Clock for NewYear {
    fn now(&self) -> Now {
        Now { wall: new_year(), ..Now::from_system() }
    }
}

fn new_year() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
