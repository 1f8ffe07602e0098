//! What a failing network or provider turns into, and how often it is asked again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paytoken::{ClientCertificate, Environment, ErrorKind, EventKind, Provider, TokenSource};
use paytoken_sandbox::{Fault, Sandbox};
use paytoken_testing::{PATIENCE, builder, credentials, nobody_listens, with_certificate};

#[test]
fn each_fault_has_its_kind_and_only_passing_ones_are_tried_again() {
    let sandbox = Sandbox::start().unwrap();
    let once = 1;
    let thrice = 3;
    let redirect = sandbox.url(Provider::NexterPay);
    let faults = [
        (Fault::Reset, ErrorKind::Transport, thrice),
        (Fault::LostAnswer, ErrorKind::Transport, thrice),
        (Fault::Truncated, ErrorKind::Transport, thrice),
        (Fault::Status(500), ErrorKind::ServerUnavailable, thrice),
        (Fault::Status(502), ErrorKind::ServerUnavailable, thrice),
        (Fault::Status(503), ErrorKind::ServerUnavailable, thrice),
        (Fault::Oversize(200_000), ErrorKind::InvalidResponse, once),
        (Fault::Redirect(redirect), ErrorKind::InvalidResponse, once),
        (Fault::MalformedJson, ErrorKind::InvalidResponse, once),
        (Fault::WrongTypes, ErrorKind::InvalidResponse, once),
        (Fault::Status(400), ErrorKind::Rejected, once),
        (Fault::Status(401), ErrorKind::Rejected, once),
        (Fault::Status(403), ErrorKind::Forbidden, once),
        (Fault::Status(404), ErrorKind::Configuration, once),
        (Fault::TooManyRequests { retry_after: None }, ErrorKind::RateLimited, once),
        (Fault::Unavailable { retry_after: Some("5".into()) }, ErrorKind::ServerUnavailable, once),
    ];
    for &provider in Provider::ALL {
        for (fault, kind, requests) in &faults {
            sandbox.reset_counts();
            sandbox.fault_always(provider, Some(fault.clone()));
            let error = builder(&sandbox, provider).build().unwrap().token().unwrap_err();
            assert_eq!(error.kind(), *kind, "{provider} {fault:?}: {error}");
            assert_eq!(error.provider(), Some(provider));
            assert_eq!(sandbox.token_requests(provider), *requests, "{provider} {fault:?}");
            sandbox.fault_always(provider, None);
        }
    }
}

#[test]
fn a_passing_failure_is_overcome_within_one_call() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        sandbox.fault_next(provider, 1, Fault::Reset);
        sandbox.fault_next(provider, 1, Fault::Status(503));
        let told = Arc::<Mutex<Vec<String>>>::default();
        let full = provider.facts().sandbox.lifetime.unwrap();
        let kept = told.clone();
        let source = builder(&sandbox, provider).on_event(move |event| {
            kept.lock().unwrap().push(match &event.kind {
                EventKind::Request { attempt, .. } => format!("request {attempt}"),
                EventKind::Retry { error, wait, .. } if !wait.is_zero() => {
                    format!("retry {:?}", error.kind())
                }
                EventKind::Fetched { lifetime, .. } => {
                    // What a token says of itself has whole seconds.
                    let is_whole = (full.saturating_sub(*lifetime)).as_secs() < 10;
                    format!("fetched {}", if is_whole { "whole" } else { "short" })
                }
                kind => kind.name().to_owned(),
            });
        });
        source.build().unwrap().token().unwrap();
        assert_eq!(sandbox.token_requests(provider), 3, "{provider}");
        assert_eq!(
            told.lock().unwrap().join(", "),
            "request 1, retry Transport, request 2, retry ServerUnavailable, request 3, fetched whole"
        );
    }
}

#[test]
fn a_skewed_date_does_no_harm() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for skew in [86_400, -86_400] {
            sandbox.fault_next(provider, 1, Fault::SkewedDate(skew));
            let result = builder(&sandbox, provider).build().unwrap().token();
            if provider == Provider::NexterPay && skew > 0 {
                // By that date the token's own `exp` has passed, so it is not served.
                assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidResponse);
                continue;
            }
            let life = result.unwrap().lifetime();
            assert!(
                life <= crate::support::lifetime(provider) && life > Duration::from_secs(290),
                "{life:?}"
            );
        }
    }
}

#[test]
fn a_slow_provider_ends_in_a_timeout_whatever_it_drips() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        for fault in [Fault::Delay(Duration::from_secs(60)), Fault::Drip(Duration::from_millis(50))]
        {
            sandbox.fault_next(provider, 1, fault.clone());
            let source =
                builder(&sandbox, provider).timeout(Duration::from_millis(250)).build().unwrap();
            let began = Instant::now();
            let error = source.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{provider} {fault:?}: {error}");
            assert!(error.is_retryable());
            // Not a measurement: it would be a minute without the time-out.
            assert!(began.elapsed() < Duration::from_secs(30), "{provider} {fault:?}");
        }
    }
}

#[test]
fn nobody_listening_is_a_transport_error() {
    let sandbox = Sandbox::start().unwrap();
    let free = nobody_listens();
    for &provider in Provider::ALL {
        let source =
            builder(&sandbox, provider).base_url(&format!("https://{free}")).build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(!error.to_string().contains("proxy"), "there is none: {error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn a_probe_sends_no_credentials_and_leaves_all_as_it_is() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let source = builder(&sandbox, provider).build().unwrap();
        let token = source.token().unwrap();
        sandbox.fault_next(provider, 1, Fault::Status(401));
        source.refresh().unwrap_err();
        let probe = source.probe(PATIENCE).unwrap();
        assert_eq!((probe.status, probe.clocks.is_some()), (404, true));
        let sent = String::from_utf8(sandbox.received(provider).pop().unwrap()).unwrap();
        assert!(sent.starts_with("HEAD / HTTP/1.1\r\n"), "{sent}");
        for held in [sandbox.client_id(provider), sandbox.client_secret(provider), "ertificate"] {
            assert!(!sent.contains(held), "{sent}");
        }
        let nobody = format!("https://{}", nobody_listens());
        let away = builder(&sandbox, provider).base_url(&nobody).build().unwrap();
        assert_eq!(away.probe(PATIENCE).unwrap_err().kind(), ErrorKind::Transport);
        assert!(away.status().last_error.is_none() && away.status().requests == 0);
        let status = source.status();
        assert_eq!((status.requests, status.failures), (2, 1), "{provider}");
        assert!(status.blocked_for.is_some(), "the refusal is remembered");
        assert_eq!(source.token().unwrap().secret(), token.secret());
    }
}

#[test]
fn a_host_that_has_no_address_is_a_transport_error_that_says_so() {
    let sandbox = Sandbox::start().unwrap();
    // RFC 6761: .invalid never resolves.
    let source = builder(&sandbox, Provider::NexterPay)
        .base_url("https://no-such-host.invalid")
        .proxy("")
        .retries(0)
        .build()
        .unwrap();
    let error = source.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error:?}");
    assert!(error.to_string().contains("host name was not found"), "{error:?}");
}

#[test]
fn a_server_we_do_not_trust_gets_nothing() {
    let sandbox = Sandbox::start().unwrap();
    let other = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let foreign = builder(&sandbox, provider).root_certificates_pem(other.ca_pem().as_bytes());
        let built_in = TokenSource::builder(credentials(&sandbox, provider), Environment::Sandbox)
            .base_url(&sandbox.url(provider));
        for source in [foreign.build().unwrap(), built_in.build().unwrap()] {
            let error = source.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Certificate, "{provider}: {error:?}");
            assert!(error.to_string().contains("root_certificates_pem"), "{error}");
        }
        assert_eq!(sandbox.token_requests(provider), 0);
    }
}

#[test]
fn a_missing_or_foreign_client_certificate_is_a_certificate_error() {
    let sandbox = Sandbox::start().unwrap();
    let other = Sandbox::start().unwrap();
    let foreign = ClientCertificate::from_pem(other.client_certificate_pem())
        .unwrap()
        .with_private_key(other.client_key_pem())
        .unwrap();
    for certificate in [
        ClientCertificate::from_pem(sandbox.client_certificate_pem()).unwrap(), // no key: header alone
        ClientCertificate::injected_by_proxy(),
        foreign,
    ] {
        let source = with_certificate(&sandbox, certificate).build().unwrap();
        let error = source.token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Certificate, "{error:?}");
        // Remembered: the second call is answered without a connection.
        let connections = sandbox.counts(Provider::NtxPay).connections;
        assert_eq!(source.token().unwrap_err().kind(), ErrorKind::Certificate);
        assert_eq!(sandbox.counts(Provider::NtxPay).connections, connections);
    }
    assert_eq!(sandbox.token_requests(Provider::NtxPay), 0);
}

#[test]
fn no_connection_is_kept_and_tls_sessions_are_resumed() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let source = builder(&sandbox, provider).build().unwrap();
        for _ in 0..5 {
            source.refresh().unwrap();
        }
        // A cut connection leaves the session good.
        sandbox.fault_next(provider, 1, Fault::Reset);
        source.refresh().unwrap();
        let counts = sandbox.counts(provider);
        assert_eq!((counts.connections, counts.handshakes_resumed), (7, 6), "{provider}");
    }
}

#[test]
fn one_fetch_without_a_cache_works_for_each_provider() {
    use paytoken::provider::{nexter_pay, ntx_pay, send_payments};

    let sandbox = Sandbox::start().unwrap();
    let to = |provider| {
        let (url, ca) = (sandbox.url(provider), sandbox.ca_pem().to_owned());
        move |builder: paytoken::Builder| {
            builder.base_url(&url).root_certificates_pem(ca.as_bytes())
        }
    };
    let sandbox_env = Environment::Sandbox;
    let credentials = credentials(&sandbox, Provider::NtxPay);
    let [client_id, client_secret] =
        ["client_id", "client_secret"].map(|name| credentials.value(name).unwrap());
    let client_secret = &paytoken::Secret::from(client_secret);
    let certificate = credentials.certificate().unwrap();
    for _ in 0..2 {
        ntx_pay::fetch_token(
            client_id,
            client_secret,
            certificate,
            sandbox_env,
            to(Provider::NtxPay),
        )
        .unwrap();
        nexter_pay::fetch_token(client_id, client_secret, sandbox_env, to(Provider::NexterPay))
            .unwrap();
        send_payments::fetch_token(
            client_id,
            client_secret,
            sandbox_env,
            to(Provider::SendPayments),
        )
        .unwrap();
    }
    for provider in [Provider::NtxPay, Provider::NexterPay, Provider::SendPayments] {
        assert_eq!(sandbox.token_requests(provider), 2, "{provider}");
    }
}

#[test]
fn the_header_can_have_another_name_and_prefix() {
    let sandbox = Sandbox::start().unwrap();
    for (name, prefix, expected) in [
        ("Authorization", "Bearer", "Bearer "),
        ("X-Token", "Token", "Token "),
        ("X-Token", "", ""),
    ] {
        let source = builder(&sandbox, Provider::SendPayments)
            .authorization_header(name, prefix)
            .build()
            .unwrap();
        let token = source.token().unwrap();
        assert_eq!(token.header_name(), name);
        assert_eq!(token.header_value(), format!("{expected}{}", token.secret()));
        assert_eq!(token.bearer(), format!("Bearer {}", token.secret()));
    }
}

#[test]
fn an_answer_with_a_long_head_and_a_request_with_the_longest_certificate_get_through() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let token = builder(&sandbox, provider).build().unwrap().token().unwrap();
        let json = match provider {
            Provider::NtxPay => {
                format!("{{\"access_token\":\"{0}\",\"expires_in\":600}}", token.secret())
            }
            Provider::NexterPay => format!("\"{}\"", token.secret()),
            _ => format!("{{\"accessToken\":\"{}\"}}", token.secret()),
        };
        for length in [100, 30_000, 33_000, 60_000] {
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Long: {}\r\nConnection: close\r\n",
                "x".repeat(length)
            );
            let answer = format!("{head}Content-Length: {}\r\n\r\n{json}", json.len());
            sandbox.fault_next(provider, 1, Fault::Raw(answer.into_bytes()));
            let agent = "a".repeat(length.min(30_000 - 9_000));
            let source = builder(&sandbox, provider).user_agent(&agent).build().unwrap();
            assert_eq!(source.token().unwrap().secret(), token.secret(), "{provider}, {length}");
        }
    }
}

#[test]
fn an_answer_of_64_kib_is_read_and_a_byte_more_is_not() {
    let sandbox = Sandbox::start().unwrap();
    let provider = Provider::NexterPay;
    let token = builder(&sandbox, provider).build().unwrap().token().unwrap();
    let answer = |length: usize| {
        let json = format!("\"{}\"", token.secret());
        let space = " ".repeat(length - json.len());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
        Fault::Raw(format!("{head}Content-Length: {length}\r\n\r\n{json}{space}").into_bytes())
    };
    sandbox.fault_next(provider, 1, answer(64 * 1024));
    let read = builder(&sandbox, provider).build().unwrap().token().unwrap();
    assert_eq!(read.secret(), token.secret());
    sandbox.fault_next(provider, 1, answer(64 * 1024 + 1));
    let error = builder(&sandbox, provider).build().unwrap().token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("larger than 64 KiB"), "{error}");
}
