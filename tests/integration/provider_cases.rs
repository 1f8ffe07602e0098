//! The cases under `tests/testdata/<provider>/`: exact request bytes, an exact answer, and the
//! token or the error that has to come of it.
//!
//! A case is a text file: a line that says why, then sections `-- settings`, `-- request` (both
//! optional), `-- response`, `-- result`. Line ends of request and response heads are CRLF on the
//! wire. Placeholders: `{{host}}`, `{{version}}`, `{{certificate}}`, `{{length}}`,
//! `{{repeat:TEXT:COUNT}}`, `{{bytes:HEX}}`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use paytoken::{
    ClientCertificate, Credentials, Environment, Error, EventKind, Provider, Secret, Token,
    TokenSource,
};
use paytoken_testing::{ManualClock, Server};

#[test]
fn ntx_pay_cases_hold() {
    run_all(Provider::NtxPay);
}

#[test]
fn nexter_pay_cases_hold() {
    run_all(Provider::NexterPay);
}

#[test]
fn send_payments_cases_hold() {
    run_all(Provider::SendPayments);
}

fn run_all(provider: Provider) {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(provider.to_string());
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "{provider}: only {} cases", files.len());
    let certificate = certificate();
    let failures: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Case::parse(&text)
                .run(provider, &certificate)
                .err()
                .map(|why| format!("{provider}/{name}: {why}"))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        files.len(),
        failures.join("\n")
    );
}

/// 2026-01-01T00:00:00Z, the moment at which every case happens.
const MOMENT: Duration = Duration::from_secs(1_767_225_600);

/// A certificate without a key: the cases are plain HTTP on loopback.
fn certificate() -> ClientCertificate {
    use paytoken_sandbox::rcgen::{CertificateParams, KeyPair, date_time_ymd};

    let mut params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let key = KeyPair::generate().unwrap();
    ClientCertificate::from_pem(params.self_signed(&key).unwrap().pem()).unwrap()
}

struct Case<'a> {
    settings: HashMap<&'a str, &'a str>,
    request: Option<&'a str>,
    response: &'a str,
    result: Vec<(&'a str, &'a str)>,
}

impl<'a> Case<'a> {
    fn parse(text: &'a str) -> Self {
        let mut sections: HashMap<&str, &str> = HashMap::new();
        for part in text.split("\n-- ").skip(1) {
            let (name, body) = part.split_once('\n').unwrap();
            assert!(
                ["settings", "request", "response", "result"].contains(&name),
                "section {name}"
            );
            sections.insert(name, body);
        }
        let pairs = |body: &'a str| -> Vec<(&'a str, &'a str)> {
            body.lines()
                .filter(|line| !line.is_empty())
                .map(|line| line.split_once(": ").unwrap())
                .collect()
        };
        Self {
            settings: sections
                .get("settings")
                .map(|body| pairs(body).into_iter().collect())
                .unwrap_or_default(),
            request: sections.get("request").copied(),
            response: sections["response"],
            result: pairs(sections["result"]),
        }
    }

    fn run(&self, provider: Provider, certificate: &ClientCertificate) -> Result<(), String> {
        let server = Server::answering(wire_bytes(self.response, &[]));
        let setting = |name, default: &'a str| self.settings.get(name).copied().unwrap_or(default);
        let environment: Environment = setting("environment", "sandbox").parse().unwrap();
        let id = setting("client_id", "test-client").to_owned();
        let secret = Secret::from(setting("client_secret", "test-secret-9"));
        let its_certificate =
            provider.facts().takes_certificate.then(|| match setting("certificate", "loaded") {
                "injected" => ClientCertificate::injected_by_proxy(),
                _ => certificate.clone(),
            });
        let credentials = Credentials::new(provider, id, secret, its_certificate).unwrap();
        let is_told = Arc::new(AtomicBool::new(false));
        let told = is_told.clone();
        let result = TokenSource::builder(credentials, environment)
            .base_url(&server.url)
            .clock(ManualClock::at(UNIX_EPOCH + MOMENT))
            .retries(0)
            .on_event(move |event| {
                if let EventKind::LifetimeNotUnderstood { assumed, .. } = event.kind {
                    let documented = provider.facts().in_environment(environment).lifetime;
                    told.store(documented == Some(assumed), Ordering::Relaxed);
                }
            })
            .build()
            .unwrap()
            .token();
        let should_be_told = self.result.contains(&("told", "lifetime_not_understood"));
        if is_told.load(Ordering::Relaxed) != should_be_told {
            return Err(format!("lifetime_not_understood told: {}", !should_be_told));
        }

        let received = server.received();
        if received.len() != 1 {
            return Err(format!("{} requests instead of one", received.len()));
        }
        if let Some(request) = self.request {
            let host = server.address.to_string();
            let expected = wire_bytes(
                request,
                &[
                    ("host", &host),
                    ("version", env!("CARGO_PKG_VERSION")),
                    ("certificate", certificate.header_value().unwrap()),
                ],
            );
            if canonical(&received[0]) != canonical(&expected) {
                return Err(format!(
                    "request\n{}\ninstead of\n{}",
                    String::from_utf8_lossy(&received[0]),
                    String::from_utf8_lossy(&expected)
                ));
            }
        }
        self.result.iter().try_for_each(|(what, expected)| compare(what, expected, &result))
    }
}

/// One line of the `result` section.
fn compare(what: &str, expected: &str, result: &Result<Token, Error>) -> Result<(), String> {
    let found = match (what, result) {
        ("told", _) => return Ok(()), // seen to already
        ("token", Ok(token)) => token.secret().to_owned(),
        ("lifetime", Ok(token)) => token.lifetime().as_secs_f64().to_string(),
        ("scope", Ok(token)) => token.scope().unwrap_or("none").to_owned(),
        ("error", Err(error)) => format!("{:?}", error.kind()),
        ("status", Err(error)) => error.status().map_or("none".into(), |status| status.to_string()),
        ("retryable", Err(error)) => error.is_retryable().to_string(),
        ("retry_after", Err(error)) => {
            error.retry_after().map_or("none".into(), |wait| wait.as_secs_f64().to_string())
        }
        ("says", Err(error)) if error.to_string().contains(expected) => return Ok(()),
        ("hides", Err(error)) if !format!("{error} {error:?}").contains(expected) => return Ok(()),
        ("says" | "hides", Err(error)) => format!("{error} {error:?}"),
        (_, Ok(token)) => return Err(format!("{what}: {expected}, but a token came: {token:?}")),
        (_, Err(error)) => return Err(format!("{what}: {expected}, but an error came: {error:?}")),
    };
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {expected}, but found: {found}")),
    }
}

/// Head lines in any order and case of names (those are ureq's affair); the body as it is.
fn canonical(message: &[u8]) -> (String, Vec<String>, Vec<u8>) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(message[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let mut headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            format!("{}: {}", name.to_ascii_lowercase(), value.trim())
        })
        .collect();
    headers.sort();
    (first, headers, message[end + 4..].to_vec())
}

/// A message as it goes over the wire, placeholders filled in.
fn wire_bytes(text: &str, values: &[(&str, &str)]) -> Vec<u8> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let body = filled(body, values);
    let length = body.len().to_string();
    let mut values = values.to_vec();
    values.push(("length", &length));
    let mut wire = Vec::new();
    for line in head.trim_end_matches('\n').lines() {
        wire.extend(filled(line, &values));
        wire.extend(b"\r\n");
    }
    wire.extend(b"\r\n");
    wire.extend(body);
    wire
}

fn filled(mut text: &str, values: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (name, after) = rest.split_once("}}").unwrap();
        bytes.extend(before.as_bytes());
        match name.split(':').collect::<Vec<_>>()[..] {
            ["bytes", hex] => bytes.extend(
                (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()),
            ),
            ["repeat", part, count] => bytes.extend(part.repeat(count.parse().unwrap()).as_bytes()),
            _ => {
                let value = values.iter().find(|(known, _)| *known == name).unwrap().1;
                bytes.extend(value.as_bytes());
            }
        }
        text = after;
    }
    bytes.extend(text.as_bytes());
    bytes
}
