//! No copy of a token or a secret that this library made stays in memory that was given back.
//!
//! An allocator looks at every block before it is freed. That takes `unsafe`, which the library
//! forbids; this binary is no part of it. It runs the parts that are pure (feature `__bench`), and
//! sends requests: what ureq and rustls leave behind of an answer in their buffers is theirs.

#![allow(clippy::unwrap_used)] // it is a test

mod memory;

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::TcpListener;
use std::thread;

use paytoken::{Credentials, Error, Provider, bench};
use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::{Server, injected_credentials};

use memory::leftovers;

/// Looked for in memory. Texts are made of it many times over, so that a part of one shows, too.
const NEEDLE: &str = "zebra-7-";

fn long(times: usize) -> String {
    NEEDLE.repeat(times)
}

fn credentials(secret: &str) -> [Credentials; 3] {
    [Provider::NtxPay, Provider::NexterPay, Provider::SendPayments]
        .map(|provider| injected_credentials(provider, "merchant", secret))
}

/// The answers with this token, as each provider writes them; `token` is JSON.
fn answers(token: &str) -> [String; 3] {
    [
        format!(r#"{{"access_token":{token},"token_type":"Bearer","expires_in":600}}"#),
        token.to_owned(),
        format!(r#"{{"accessToken":{token},"expiresAt":"2099-01-01T00:00:00Z"}}"#),
    ]
}

/// As JSON, every character escaped.
fn escaped(text: &str) -> String {
    let mut json = String::from("\"");
    for unit in text.encode_utf16() {
        write!(json, "\\u{unit:04x}").unwrap();
    }
    json + "\""
}

#[test]
fn the_search_finds_what_is_left_behind() {
    let text = long(20);
    assert_eq!(leftovers(NEEDLE, || drop(text.clone())), 1);
    let grown = leftovers(NEEDLE, || {
        let mut grown = String::new();
        text.chars().for_each(|c| grown.push(c));
        std::mem::forget(grown);
    });
    assert!(grown > 1, "{grown}: pieces that growing leaves behind");
    assert_eq!(leftovers(NEEDLE, || drop("zebra".repeat(9))), 0);
}

#[test]
fn an_answer_leaves_no_copy_of_its_token() {
    for repeat in [1, 40, 1000] {
        let token = long(repeat);
        let slashed = token.replace('-', "\\/");
        for (form, json) in [
            ("plain", format!("\"{token}\"")),
            ("with slashes", format!("\"zebra-7-{slashed}zebra-7-\"")),
            ("escaped", escaped(&token)),
        ] {
            for (credentials, body) in credentials("s").iter().zip(answers(&json)) {
                let left = leftovers(NEEDLE, || {
                    let read = bench::token(credentials, 201, body.as_bytes()).unwrap();
                    assert!(read.secret().len() >= token.len());
                });
                assert_eq!(left, 0, "{} {form} {repeat}", credentials.provider());
            }
        }
    }
}

#[test]
fn an_answer_that_is_of_no_use_leaves_no_copy_of_its_token() {
    for token in [long(40), "x".repeat(20_000) + &long(40), format!("{}\u{f1}", long(40))] {
        for json in [format!("\"{token}\""), format!("\" {token}\""), escaped(&token)] {
            for (credentials, body) in credentials("s").iter().zip(answers(&json)) {
                for body in [
                    body.replace("Bearer", "Basic"),
                    format!("{body}}}"),
                    format!("[{body}]"),
                    format!("{{\"error\":{body}}}"),
                    body.replace("access", "Access"),
                ] {
                    let left = leftovers(NEEDLE, || {
                        _ = bench::token(credentials, 201, body.as_bytes());
                    });
                    assert_eq!(left, 0, "{} {body:.60}", credentials.provider());
                }
            }
        }
    }
}

#[test]
fn a_request_leaves_no_copy_of_its_secret() {
    for secret in [long(1), long(200), long(40) + "\u{1}\"\\"] {
        for credentials in credentials(&secret) {
            assert_eq!(leftovers(NEEDLE, || _ = bench::request(&credentials)), 0);
        }
    }
}

#[test]
fn what_was_sent_leaves_no_copy_of_its_secrets() {
    let plain = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let sandbox = Sandbox::start().unwrap();
    let tls = sandbox.url(Service::SendPayments);
    for (url, ca) in [(&plain.url, None), (&tls, Some(sandbox.ca_pem()))] {
        for (header, body) in [(1, 0), (0, 1), (1000, 0), (0, 1000), (500, 100_000)] {
            let (header, body) = (long(header), long(body));
            let left = leftovers(NEEDLE, || _ = bench::send(url, ca, &header, &body).unwrap());
            assert_eq!(left, 0, "{url} {} {}", header.len(), body.len());
        }
    }
    assert_eq!(plain.received().len(), 5);
    let arrived = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains(NEEDLE);
    assert!(plain.received().iter().all(arrived));
}

#[test]
fn a_request_that_breaks_off_leaves_no_copy_of_its_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The connection is reset in the middle of the body: no system's buffers hold so much.
    let cuts = thread::spawn(move || listener.accept().unwrap().0.read_exact(&mut [0; 100_000]));
    let (header, body) = (long(500), long(4_000_000));
    let left = leftovers(NEEDLE, || _ = bench::send(&url, None, &header, &body).unwrap_err());
    assert_eq!(left, 0);
    cuts.join().unwrap().unwrap();
}

#[test]
fn an_entry_leaves_no_copy_of_its_token() {
    let [ntx_pay, ..] = credentials("s");
    for text in [long(1), long(40), long(1000), long(40) + "\"\\/"] {
        let [body, ..] = answers(&format!("{text:?}"));
        let token = bench::token(&ntx_pay, 201, body.as_bytes()).unwrap();
        let left = leftovers(NEEDLE, || {
            assert_eq!(bench::stored(&token).unwrap().secret(), text);
        });
        assert_eq!(left, 0);
    }
}

#[test]
fn a_refusal_leaves_no_copy_of_the_secret_that_it_repeats() {
    let signs = format!("{NEEDLE}&/\"ñ ").repeat(6);
    for secret in [long(1), long(5), long(30), signs.trim_end().to_owned()] {
        for echoed in [format!("no: {secret}").replace('"', "\\\""), escaped(&secret)] {
            for body in [
                format!(r#"{{"error":"invalid_client","error_description":"{echoed}"}}"#),
                format!(r#"{{"message":["{echoed}"],"statusCode":401}}"#),
                format!(r#"{{"message":"{echoed}","errors":[{{"message":"{echoed}"}}]}}"#),
                format!(r#"{{"title":"Unauthorized","detail":"{echoed}"}}"#),
            ] {
                let body = body.replace("\"\"", "\"");
                for credentials in credentials(&secret) {
                    let mut refusal: Option<Error> = None;
                    let left = leftovers(NEEDLE, || {
                        refusal = bench::token(&credentials, 401, body.as_bytes()).err();
                    });
                    assert!(!refusal.unwrap().to_string().contains(NEEDLE));
                    assert_eq!(left, 0, "{body}");
                }
            }
        }
    }
}
