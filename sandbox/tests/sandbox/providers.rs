//! Each provider behaves as its documents say.

use std::time::Duration;

use paytoken_sandbox::{Fault, Sandbox, Service, example_call, rcgen};
use paytoken_testing::until;
use serde_json::json;

use crate::client::{
    Client, api_request, config, identity, request, token_request, token_request_as,
    token_request_with,
};

/// Waits until the sandbox itself says that a token has ended.
fn wait_for_expiry(sandbox: &Sandbox, service: Service, token: &str) {
    until("the token ends", || !sandbox.is_valid(service, token));
}

#[test]
fn every_provider_issues_a_token_that_its_api_accepts() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let mut client = Client::new(&sandbox, service);
        let reply = client.send(&token_request(&sandbox, service)).unwrap();
        let expected = if service == Service::NexterPay { 200 } else { 201 };
        assert_eq!(reply.status, expected, "{service}");
        assert!(reply.header("content-type").unwrap().starts_with("application/json"));
        assert!(reply.header("date").unwrap().ends_with(" GMT"));
        let token = reply.token();
        assert!((400..=700).contains(&token.len()), "{} bytes", token.len());
        assert_eq!(token.split('.').count(), 3);
        assert!(sandbox.is_valid(service, &token));
        // On the same connection: it was kept.
        let reply = client.send(&api_request(service, &token)).unwrap();
        assert_eq!(reply.status, 200, "{service}: {reply:?}");
        assert_eq!(sandbox.counts(service).connections, 1);
        let again = client.send(&token_request(&sandbox, service)).unwrap();
        assert_ne!(again.token(), token);
        let superseded = service == Service::SendPayments;
        assert_eq!(sandbox.is_valid(service, &token), !superseded);
    }
}

#[test]
fn the_answers_have_the_documented_members() {
    let sandbox = Sandbox::start().unwrap();
    let answer = |service| {
        Client::new(&sandbox, service).send(&token_request(&sandbox, service)).unwrap().json()
    };
    let ntx = answer(Service::NtxPay);
    assert_eq!(ntx["token_type"], "Bearer");
    assert_eq!(ntx["expires_in"], 600);
    assert_eq!(ntx["scope"], "email profile");
    assert_eq!(ntx.as_object().unwrap().len(), 4);
    assert!(answer(Service::NexterPay).is_string());
    let send = answer(Service::SendPayments);
    let expires = send["expiresAt"].as_str().unwrap();
    assert_eq!(expires.len(), "2026-01-01T00:00:00.000Z".len());
    assert!(expires.ends_with('Z'));
    assert_eq!(send.as_object().unwrap().len(), 2);
}

#[test]
fn wrong_credentials_get_the_documented_status() {
    let sandbox = Sandbox::start().unwrap();
    let certificate = sandbox.client_certificate_header();
    for (service, status) in
        [(Service::NtxPay, 401), (Service::NexterPay, 400), (Service::SendPayments, 401)]
    {
        let header = [("X-SSL-Client-Cert", certificate.as_str())];
        let mut client = Client::new(&sandbox, service);
        let id = sandbox.client_id(service);
        let wrong = token_request_as(service, id, "wrong", &header);
        assert_eq!(client.send(&wrong).unwrap().status, status, "{service}");
        let unknown = token_request_as(service, "nobody", "wrong", &header);
        assert_eq!(client.send(&unknown).unwrap().status, status, "{service}");
        let garbage = request("POST", service.facts().endpoint, &header, "{\"clientId\":");
        assert_eq!(client.send(&garbage).unwrap().status, 400, "{service}");
        assert_eq!(sandbox.token_requests(service), 3);
        assert_eq!(sandbox.token_requests_by(service, id), 1);
        assert_eq!(sandbox.token_requests_by(service, "nobody"), 1);
        assert_eq!(sandbox.counts(service).tokens_issued, 0);
        sandbox.change_secret(service, id, "wrong");
        assert!(client.send(&wrong).unwrap().status < 300, "{service}");
        sandbox.add_client(service, "nobody", "wrong");
        assert!(client.send(&unknown).unwrap().status < 300, "{service}");
    }
}

#[test]
fn a_suspended_client_is_refused() {
    let sandbox = Sandbox::start().unwrap();
    for (service, status) in
        [(Service::NtxPay, 401), (Service::NexterPay, 403), (Service::SendPayments, 401)]
    {
        let mut client = Client::new(&sandbox, service);
        let question = token_request(&sandbox, service);
        sandbox.suspend_client(service, sandbox.client_id(service), true);
        assert_eq!(client.send(&question).unwrap().status, status, "{service}");
        sandbox.suspend_client(service, sandbox.client_id(service), false);
        assert!(client.send(&question).unwrap().status < 300, "{service}");
    }
}

#[test]
fn ntx_pay_checks_the_certificate_in_the_header() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::NtxPay;
    let mut client = Client::new(&sandbox, service);
    let (id, secret) = (sandbox.client_id(service), sandbox.client_secret(service));
    let mut status = |headers: &[(&str, &str)]| {
        let reply = client.send(&token_request_as(service, id, secret, headers)).unwrap();
        if reply.status >= 400 {
            assert_eq!(reply.json()["statusCode"], reply.status);
        }
        reply.status
    };
    let own = sandbox.client_certificate_header();
    assert_eq!(status(&[]), 400);
    assert_eq!(status(&[("X-SSL-Client-Cert", "garbage")]), 400);
    assert_eq!(status(&[("X-SSL-Client-Cert", &format!("%20{own}"))]), 400);
    let with_text = format!("Bag%20Attributes%0A{own}");
    assert_eq!(status(&[("X-SSL-Client-Cert", &with_text)]), 400);
    assert_eq!(status(&[("X-SSL-Client-Cert", &own[..own.len() / 2])]), 400);
    let with_key =
        format!("{own}{}", sandbox.client_key_pem().replace('\n', "%0A").replace(' ', "%20"));
    assert_eq!(status(&[("X-SSL-Client-Cert", &with_key)]), 400);
    let other = sandbox.issue_client_certificate("somebody else");
    let encoded = other.certificate_pem.replace(' ', "%20").replace('\n', "%0A");
    assert_eq!(status(&[("X-SSL-Client-Cert", &encoded)]), 401);
    assert_eq!(status(&[("X-SSL-Client-Cert", &own)]), 201);
    assert!(sandbox.revoke_certificate(sandbox.client_certificate_pem()));
    assert_eq!(status(&[("X-SSL-Client-Cert", &own)]), 401);
    assert!(!sandbox.revoke_certificate("no certificate"));
}

#[test]
fn ntx_pay_accepts_another_certificate_when_header_and_tls_agree() {
    let sandbox = Sandbox::start().unwrap();
    let other = sandbox.issue_client_certificate("merchant two");
    let tls = config(&sandbox, Some(&other));
    let mut client = Client::with_config(&sandbox, Service::NtxPay, tls);
    let encoded = other.certificate_pem.replace(' ', "%20").replace('\n', "%0A");
    let question = token_request_as(
        Service::NtxPay,
        sandbox.client_id(Service::NtxPay),
        sandbox.client_secret(Service::NtxPay),
        &[("X-SSL-Client-Cert", &encoded)],
    );
    assert_eq!(client.send(&question).unwrap().status, 201);
    // A resumed session carries the certificate too.
    client.disconnect();
    assert_eq!(client.send(&question).unwrap().status, 201);
    assert_eq!(sandbox.counts(Service::NtxPay).handshakes_resumed, 1);
}

#[test]
fn ntx_pay_refuses_tls_without_or_with_an_untrusted_certificate() {
    let sandbox = Sandbox::start().unwrap();
    let stranger = Sandbox::start().unwrap();
    let question = token_request(&sandbox, Service::NtxPay);
    let mut expired = rcgen::CertificateParams::default();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = sandbox.authority().sign(expired, &key);
    for (presented, alert) in [
        (None, "CertificateRequired"),
        (Some(identity(&stranger)), "UnknownCA"),
        (Some(expired), "CertificateExpired"),
    ] {
        let tls = config(&sandbox, presented.as_ref());
        let mut client = Client::with_config(&sandbox, Service::NtxPay, tls);
        let error = client.send(&question).unwrap_err();
        assert!(format!("{error:?}").contains(alert), "{error:?}");
    }
    assert_eq!(sandbox.token_requests(Service::NtxPay), 0);
    assert_eq!(sandbox.counts(Service::NtxPay).connections, 3);
}

#[test]
fn nexter_pay_refuses_an_authorization_header_at_create_token() {
    let sandbox = Sandbox::start().unwrap();
    let more = [("Authorization", "Bearer x")];
    let question = token_request_with(&sandbox, Service::NexterPay, &more);
    let reply = Client::new(&sandbox, Service::NexterPay).send(&question).unwrap();
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        reply.json(),
        json!({
            "type": "https://tools.ietf.org/html/rfc9110#section-15.5.2",
            "title": "Unauthorized",
            "status": 401,
        })
    );
}

#[test]
fn api_calls_need_a_token_that_is_valid() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let mut client = Client::new(&sandbox, service);
        let (method, path) = example_call(service);
        let mut status = |request: &[u8]| client.send(request).unwrap().status;
        assert_eq!(status(&request(method, path, &[], "")), 401);
        assert_eq!(status(&api_request(service, "a.b.c")), 401);
        assert_eq!(status(&request("DELETE", path, &[], "")), 405);
        assert_eq!(status(&request("GET", "/elsewhere", &[], "")), 404);
        let token = client.send(&token_request(&sandbox, service)).unwrap().token();
        let mut status = |request: &[u8]| client.send(request).unwrap().status;
        assert_eq!(status(&api_request(service, &token)), 200);
        assert!(sandbox.revoke(&token));
        assert!(!sandbox.revoke(&token));
        assert_eq!(status(&api_request(service, &token)), 401);
        let token = client.send(&token_request(&sandbox, service)).unwrap().token();
        sandbox.revoke_all(service);
        assert!(!sandbox.is_valid(service, &token));
        let counts = sandbox.counts(service);
        assert_eq!(counts.api_requests, 4);
        assert_eq!(counts.api_unauthorized, 3);
        assert_eq!(counts.api_superseded, 0);
        assert_eq!(counts.tokens_issued, 2);
    }
    let mut client = Client::new(&sandbox, Service::SendPayments);
    let reply = client.send(&api_request(Service::SendPayments, "x")).unwrap();
    assert!(reply.json()["errors"][0]["type"].is_string());
    assert!(reply.json()["message"].is_string());
    let mut client = Client::new(&sandbox, Service::NtxPay);
    let token = client.send(&token_request(&sandbox, Service::NtxPay)).unwrap().token();
    let bearer = format!("Bearer {token}");
    let cash_out = request(
        "POST",
        "/api/spei/cash-out",
        &[("authorization", &bearer), ("Content-Type", "application/json")],
        r#"{"amount": 1}"#,
    );
    assert_eq!(client.send(&cash_out).unwrap().status, 201);
}

#[test]
fn send_payments_ends_the_previous_token_of_the_same_client_only() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    sandbox.add_client(service, "second", "secret");
    let mut client = Client::new(&sandbox, service);
    let first = client.send(&token_request(&sandbox, service)).unwrap().token();
    let other = token_request_as(service, "second", "secret", &[]);
    let other = client.send(&other).unwrap().token();
    let newer = client.send(&token_request(&sandbox, service)).unwrap().token();
    assert!(!sandbox.is_valid(service, &first));
    assert!(sandbox.is_valid(service, &other));
    assert!(sandbox.is_valid(service, &newer));
    assert_eq!(client.send(&api_request(service, &first)).unwrap().status, 401);
    assert_eq!(sandbox.counts(service).api_superseded, 1);
    assert!(sandbox.revoke(&newer));
    assert_eq!(client.send(&api_request(service, &newer)).unwrap().status, 401);
    assert_eq!(sandbox.counts(service).api_superseded, 1);
    assert_eq!(sandbox.counts(service).api_unauthorized, 2);
}

#[test]
fn tokens_end_when_their_lifetime_does() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let mut client = Client::new(&sandbox, service);
        sandbox.set_lifetime(service, Duration::from_millis(50));
        let reply = client.send(&token_request(&sandbox, service)).unwrap();
        let token = reply.token();
        wait_for_expiry(&sandbox, service, &token);
        assert_eq!(client.send(&api_request(service, &token)).unwrap().status, 401);
        assert_eq!(sandbox.counts(service).api_superseded, 0);
        // One request's own lifetime; the stated one is never zero.
        sandbox.set_lifetime(service, Duration::from_secs(600));
        let own = [("X-Sandbox-Fault", "lifetime=0.05")];
        let reply = client.send(&token_request_with(&sandbox, service, &own)).unwrap();
        if service == Service::NtxPay {
            assert_eq!(reply.json()["expires_in"], 1);
        }
        wait_for_expiry(&sandbox, service, &reply.token());
        sandbox.fault_next(service, 1, Fault::Lifetime(Duration::from_secs(5)));
        let reply = client.send(&token_request(&sandbox, service)).unwrap();
        if service == Service::NtxPay {
            assert_eq!(reply.json()["expires_in"], 5);
        }
        assert!(sandbox.is_valid(service, &reply.token()));
    }
}
