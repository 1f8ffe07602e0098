//! Sharing of TLS configurations, and names with several addresses.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use paytoken_sandbox::{Sandbox, Service};

use super::*;
use crate::base::dial::tests::{BlackHole, hang, know, refusing};
use crate::types::error::ErrorKind;

#[test]
fn a_pool_shares_a_configuration_while_it_is_in_use_and_then_forgets_it() {
    let pool = TlsPool::default();
    let config = |roots: Option<&[u8]>| {
        let roots = roots.map(|der| Roots::of_der(vec![der.to_vec().into()]));
        pool.config(None, roots.as_ref())
    };
    let kept = config(None);
    for number in 2..10 {
        drop(config(Some(&[number])));
    }
    assert_eq!(lock(&pool.0).len(), 2, "the one in use, and the last one");
    assert!(Arc::ptr_eq(&kept, &config(None)));
}

#[test]
fn sources_of_one_pool_keep_one_copy_of_their_authorities() {
    let pool = TlsPool::default();
    let transport = || {
        let roots = Roots::of_der(vec![b"the same".to_vec().into()]);
        let settings = ConnectionSettings {
            certificate: None,
            roots: Some(roots.clone()),
            proxy: Some("https://proxy.example".into()),
            connect_timeout: Duration::from_secs(1),
        };
        let url = BaseUrl::parse("https://api.example").unwrap();
        (Transport::new(url, settings, None, &pool).unwrap(), roots)
    };
    let (_first, kept) = transport();
    let (second, own) = transport();
    assert!(kept.holders() > 1 && own.holders() == 1, "{} {}", kept.holders(), own.holders());
    assert!(second.tls.roots.as_ref() == Some(&own));
}

#[test]
fn a_name_that_is_not_resolved_in_time_leaves_nothing_sent() {
    hang("never-resolved.example", 443);
    let settings = ConnectionSettings {
        certificate: None,
        roots: None,
        proxy: Some(String::new()),
        connect_timeout: Duration::from_millis(5),
    };
    let url = BaseUrl::parse("https://never-resolved.example").unwrap();
    let transport = Transport::new(url, settings, None, &TlsPool::default()).unwrap();
    let request = Request { path: "/", headers: Vec::new(), body: b"{}".to_vec().into() };
    let error = transport.send(request, Deadline::after(Duration::from_secs(60))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let told = "not resolved within 5ms; allow more with connect_timeout, or check base_url";
    assert!(error.message().contains(told), "{error}");
    assert!(!error.may_have_arrived() && error.is_tried_again());
}

/// To a name with these addresses.
fn reach(url: &str, addresses: &[SocketAddr], time: Duration, roots: Option<Roots>) -> Transport {
    let (host, port) = url.rsplit_once(':').unwrap();
    know(host.rsplit('/').next().unwrap(), port.parse().unwrap(), addresses);
    let settings = ConnectionSettings {
        certificate: None,
        roots,
        proxy: Some("".into()),
        connect_timeout: time,
    };
    Transport::new(BaseUrl::parse(url).unwrap(), settings, None, &TlsPool::default()).unwrap()
}

fn error(transport: &Transport) -> Error {
    let request = Request { path: "/", headers: Vec::new(), body: b"{}".to_vec().into() };
    transport.send(request, Deadline::after(Duration::from_secs(60))).unwrap_err()
}

#[test]
fn a_server_is_reached_by_the_address_that_answers_and_the_next_time_by_it_alone() {
    let sandbox = Sandbox::start().unwrap();
    let hole = BlackHole::new();
    let url = sandbox.url(Service::SendPayments).replace("127.0.0.1", "localhost");
    let live = sandbox.url(Service::SendPayments).rsplit('/').next().unwrap().parse().unwrap();
    let roots = Roots::from_pem("ca", sandbox.ca_pem().as_bytes()).unwrap();
    let addresses = [hole.address, refusing(), live];
    let transport = reach(&url, &addresses, Duration::from_secs(10), Some(roots));
    let probe = || {
        let wall = || crate::Now::from_system().wall;
        transport.probe(Deadline::after(Duration::from_secs(60)), wall).unwrap()
    };
    assert!(probe().0 > 0);
    let list = transport.probe_addresses(Deadline::after(Duration::from_secs(1))).unwrap();
    let ended: Vec<_> = list.addresses.iter().map(|(at, ended)| (*at, ended.is_ok())).collect();
    assert_eq!(ended, [(live, true), (hole.address, false), (addresses[1], false)]);
    assert!(probe().0 > 0 && list.host == "localhost");
    // Nobody listens there any more: its attempt ends.
    drop(hole);
    assert!(transport.wait(Duration::from_secs(60)));
}

#[test]
fn where_no_address_answers_the_error_says_how_many_were_tried_and_what_it_was() {
    let hole = BlackHole::new();
    let [one, other] = [refusing(), refusing()];
    for (addresses, kind, told) in [
        (
            vec![one, other],
            ErrorKind::Transport,
            "the connection was refused (2 addresses tried); check base_url",
        ),
        (
            vec![one, other, hole.address],
            ErrorKind::Timeout,
            "no connection within 1s (3 addresses tried: 2 refused, 1 silent); allow more with connect_timeout",
        ),
        (vec![one], ErrorKind::Transport, "the connection was refused; check base_url"),
        (vec![hole.address], ErrorKind::Timeout, "no connection within 1s; allow more"),
    ] {
        let url = format!("https://none-{}.test:{}", addresses.len(), addresses[0].port());
        let error = error(&reach(&url, &addresses, Duration::from_secs(1), None));
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with(told), "{error}");
        assert!(error.is_tried_again() && !error.may_have_arrived());
    }
}

#[test]
fn a_proxy_is_reached_by_the_address_that_answers_too() {
    let hole = BlackHole::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    let answers = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"HTTP/1.1 407 No\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    });
    let through = |addresses: &[SocketAddr]| {
        let (host, port) = (format!("proxy-{}.test", addresses.len()), addresses[0].port());
        know(&host, port, addresses);
        let settings = ConnectionSettings {
            certificate: None,
            roots: None,
            proxy: Some(format!("http://{host}:{port}")),
            connect_timeout: Duration::from_secs(5),
        };
        let url = BaseUrl::parse("https://behind.test").unwrap();
        error(&Transport::new(url, settings, None, &TlsPool::default()).unwrap())
    };
    let told = through(&[hole.address, live]);
    assert!(told.message().contains("(407)"), "{told}");
    answers.join().unwrap();
    let told = through(&[refusing(), refusing(), refusing()]);
    let expected = "the proxy cannot be reached (3 addresses tried); check the proxy setting";
    assert!(told.message().starts_with(expected), "{told}");
}
