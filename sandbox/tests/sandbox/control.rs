//! The control interface, as curl would use it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::until;

use crate::client::{Client, Reply, api_request, read_reply, token_request};

fn send(sandbox: &Sandbox, request: &str) -> Reply {
    let mut stream = TcpStream::connect(sandbox.control_address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(&mut stream).unwrap()
}

fn ask(sandbox: &Sandbox, method: &str, target: &str) -> Reply {
    let host = sandbox.control_address();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    send(sandbox, &request)
}

fn post(sandbox: &Sandbox, target: &str) {
    let reply = ask(sandbox, "POST", target);
    assert_eq!(reply.status, 200, "{target}: {reply:?}");
}

#[test]
fn help_and_statistics() {
    let sandbox = Sandbox::start().unwrap();
    let help = ask(&sandbox, "GET", "/");
    assert_eq!(help.status, 200);
    let help = String::from_utf8(help.body).unwrap();
    assert!(help.contains("revoke-all"));
    // Each kind of fault that it names is one, with and without what may be left out.
    let kinds = help.split_once("in an address):\n").unwrap().1;
    let kinds: Vec<_> = kinds.lines().next().unwrap().split(", ").collect();
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    for kind in kinds {
        let (name, value) = kind.split_once('=').unwrap_or((kind, ""));
        let (name, may_be_left_out) = (name.trim_end_matches('['), name.ends_with('['));
        if may_be_left_out || value.is_empty() {
            post(&sandbox, &format!("/send-payments/fault?kind={name}"));
        }
        if !value.is_empty() {
            post(&sandbox, &format!("/send-payments/fault?kind={name}=503"));
        }
    }
    let service = Service::NexterPay;
    let mut client = Client::new(&sandbox, service);
    client.send(&token_request(&sandbox, service)).unwrap();
    client.send(&api_request(service, "x")).unwrap();
    let stats = ask(&sandbox, "GET", "/stats").json();
    assert_eq!(stats["nexter-pay"]["token_requests"], 1);
    assert_eq!(stats["nexter-pay"]["tokens_issued"], 1);
    assert_eq!(stats["nexter-pay"]["api_unauthorized"], 1);
    assert_eq!(stats["nexter-pay"]["token_requests_by_client"]["sandbox-client"], 1);
    assert_eq!(stats["ntx-pay"]["token_requests"], 0);
}

#[test]
fn everything_can_be_set() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    let mut client = Client::new(&sandbox, service);
    let question = token_request(&sandbox, service);
    let mut status = || client.send(&question).unwrap().status;
    post(&sandbox, "/send-payments/fault?kind=status=503&times=2");
    assert_eq!([status(), status(), status()], [503, 503, 201]);
    post(&sandbox, "/send-payments/fault?kind=status%3D502");
    assert_eq!([status(), status()], [502, 201]);
    post(&sandbox, "/send-payments/fault?kind=delay%3D1%3Bstatus%3D502&times=always");
    assert_eq!([status(), status()], [502, 502]);
    post(&sandbox, "/send-payments/fault?kind=none");
    assert_eq!(status(), 201);

    post(&sandbox, "/send-payments/fault?kind=status=500&endpoint=api");
    let token = client.send(&question).unwrap().token();
    assert_eq!(client.send(&api_request(service, &token)).unwrap().status, 500);
    assert_eq!(client.send(&api_request(service, &token)).unwrap().status, 200);
    post(&sandbox, "/send-payments/revoke-all");
    assert!(!sandbox.is_valid(service, &token));

    post(&sandbox, "/send-payments/lifetime?seconds=0.02");
    let token = client.send(&question).unwrap().token();
    until("the token ends", || !sandbox.is_valid(service, &token));
    post(&sandbox, "/ntx-pay/lifetime?seconds=5");
    let mut ntx = Client::new(&sandbox, Service::NtxPay);
    let ntx_question = token_request(&sandbox, Service::NtxPay);
    assert_eq!(ntx.send(&ntx_question).unwrap().json()["expires_in"], 5);

    let (id, secret) = (sandbox.client_id(service), sandbox.client_secret(service));
    let mut status = || client.send(&question).unwrap().status;
    post(&sandbox, &format!("/send-payments/client?id={id}&secret=another"));
    assert_eq!(status(), 401);
    post(&sandbox, &format!("/send-payments/client?id={id}&secret={secret}"));
    assert_eq!(status(), 201);
    post(&sandbox, &format!("/send-payments/suspend?id={id}"));
    assert_eq!(status(), 401);
    post(&sandbox, &format!("/send-payments/suspend?id={id}&on=false"));
    assert_eq!(status(), 201);

    post(&sandbox, "/ntx-pay/delay?ms=3600000");
    post(&sandbox, "/ntx-pay/fault?kind=status=500&times=always");
    post(&sandbox, "/reset");
    assert_eq!(sandbox.token_requests(Service::NtxPay), 0);
    assert!(sandbox.received(Service::NtxPay).is_empty());
    assert_eq!(ntx.send(&ntx_question).unwrap().json()["expires_in"], 600);
}

#[test]
fn held_requests_wait_for_a_release_or_a_reset() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::NexterPay;
    for goes_on in ["/nexter-pay/release", "/reset"] {
        let counts = || sandbox.counts(service);
        post(&sandbox, "/reset");
        post(&sandbox, "/nexter-pay/hold");
        std::thread::scope(|scope| {
            let ask = || Client::new(&sandbox, service).send(&token_request(&sandbox, service));
            let held = scope.spawn(ask);
            until("it has arrived", || counts().token_requests == 1);
            // The other services go on.
            let other = token_request(&sandbox, Service::NtxPay);
            Client::new(&sandbox, Service::NtxPay).send(&other).unwrap().token();
            assert_eq!(counts().tokens_issued, 0, "{goes_on}");
            assert!(!held.is_finished(), "{goes_on}");
            post(&sandbox, goes_on);
            held.join().unwrap().unwrap().token();
            ask().unwrap().token();
        });
    }
}

#[test]
fn bad_input_is_refused_with_a_clear_line() {
    let sandbox = Sandbox::start().unwrap();
    for (target, word) in [
        ("/nobody/delay?ms=3", "nobody"),
        ("/ntx-pay/delay", "\"ms\""),
        ("/ntx-pay/delay?ms=x", "\"x\""),
        ("/ntx-pay/delay?milliseconds=3", "milliseconds"),
        ("/ntx-pay/lifetime?seconds=-1", "-1"),
        ("/ntx-pay/lifetime?seconds=NaN", "NaN"),
        ("/ntx-pay/lifetime?seconds=1e300", "1e300"),
        ("/ntx-pay/fault?times=3", "kind"),
        ("/ntx-pay/fault?kind=nonsense", "nonsense"),
        ("/ntx-pay/fault?kind=reset&times=0", "times"),
        ("/ntx-pay/fault?kind=reset&endpoint=moon", "endpoint"),
        ("/ntx-pay/fault?kind=%zz", "URL-encoded"),
        ("/ntx-pay/client?id=shop-2", "\"secret\""),
        ("/ntx-pay/client?id=&secret=s", "\"id\" is missing or empty"),
        ("/ntx-pay/suspend?id=nobody", "nobody"),
        ("/ntx-pay/suspend?id=nobody&on=yes", "on: "),
    ] {
        let reply = ask(&sandbox, "POST", target);
        assert_eq!(reply.status, 400, "{target}");
        let line = String::from_utf8(reply.body).unwrap();
        assert!(line.contains(word) && line.ends_with('\n'), "{target}: {line}");
    }
    assert_eq!(ask(&sandbox, "POST", "/ntx-pay/explode").status, 404);
    assert_eq!(ask(&sandbox, "GET", "/ntx-pay/revoke-all").status, 404);
    assert_eq!(ask(&sandbox, "GET", "/a/b/c").status, 404);
}

#[test]
fn web_pages_are_kept_out() {
    let sandbox = Sandbox::start().unwrap();
    let port = sandbox.control_address().port();
    for (headers, status) in [
        (format!("Host: localhost:{port}"), 200),
        (format!("Host: [::1]:{port}"), 200),
        ("Host: 127.0.0.1".to_owned(), 200),
        (format!("Host: evil.example:{port}"), 403),
        ("Host: 127.0.0.1.evil.example".to_owned(), 403),
        ("Accept: */*".to_owned(), 403),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: https://evil.example"), 403),
    ] {
        let request = format!("GET /stats HTTP/1.1\r\n{headers}\r\n\r\n");
        assert_eq!(send(&sandbox, &request).status, status, "{headers}");
    }
}
