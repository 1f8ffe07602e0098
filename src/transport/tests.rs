//! Sharing of TLS configurations, names with several addresses, what is sent, and what of it is logged.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use log::LevelFilter;
use paytoken_sandbox::{Sandbox, Service};
use paytoken_testing::{Server, bytes_logged};

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
    let error = error(&transport);
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
    send(transport, request(Method::Post, &[], None, "{}")).unwrap_err()
}

fn request(
    method: Method,
    headers: &[(&'static str, &str)],
    content_type: Option<&'static str>,
    body: &str,
) -> Request {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned().into()));
    let (headers, body) = (headers.collect(), body.as_bytes().to_vec().into());
    Request { method, path: "/token?a=b:c".to_owned().into(), headers, content_type, body }
}

fn send(transport: &Transport, request: Request) -> Result<Response> {
    transport.send(request, Deadline::after(Duration::from_secs(60)))
}

/// The way to a server on loopback.
fn to(url: &str, roots: Option<Roots>) -> Transport {
    let settings = ConnectionSettings {
        certificate: None,
        roots,
        proxy: Some(String::new()),
        connect_timeout: Duration::from_secs(60),
    };
    Transport::new(BaseUrl::parse(url).unwrap(), settings, None, &TlsPool::default()).unwrap()
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

const ANSWER: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_has_the_headers_and_the_body_that_it_is_given_and_no_other() {
    let server = Server::answering(ANSWER);
    let transport = to(&server.url, None);
    let host = server.address;
    let own = concat!("user-agent: paytoken/", env!("CARGO_PKG_VERSION"));
    let key = ("X-API-Key", "xkéy: x");
    let basic = ("Authorization", "Basic eDp4");
    let agent = ("user-agent", "shop/1");
    let accept = ("ACCEPT", "text/plain");
    let form = Some("application/x-www-form-urlencoded");
    for (request, expected) in [
        (
            request(Method::Post, &[basic, key], form, "a=x&b=y"),
            format!(
                "POST /token?a=b:c HTTP/1.1\r\ncontent-length: 7\r\nhost: {host}\r\n{own}\r\ncontent-type: application/x-www-form-urlencoded\r\naccept: application/json\r\nauthorization: Basic eDp4\r\nx-api-key: xkéy: x\r\n\r\na=x&b=y"
            ),
        ),
        (
            request(Method::Post, &[key, agent], None, ""),
            format!(
                "POST /token?a=b:c HTTP/1.1\r\ncontent-length: 0\r\nhost: {host}\r\naccept: application/json\r\nx-api-key: xkéy: x\r\nuser-agent: shop/1\r\n\r\n"
            ),
        ),
        (
            request(Method::Get, &[accept, basic], None, ""),
            format!(
                "GET /token?a=b:c HTTP/1.1\r\nhost: {host}\r\n{own}\r\naccept: text/plain\r\nauthorization: Basic eDp4\r\n\r\n"
            ),
        ),
    ] {
        assert_eq!(send(&transport, request).unwrap().status, 204);
        let received = server.received();
        assert_eq!(String::from_utf8_lossy(received.last().unwrap()), expected);
    }
}

#[test]
fn a_request_that_cannot_be_written_down_is_not_sent() {
    let server = Server::answering(ANSWER);
    let with_header = |name, value: &str| request(Method::Post, &[(name, value)], None, "");
    let to_path = |path: &str| Request { path: path.to_owned().into(), ..with_header("x", "") };
    for request in [
        with_header("x-key", "a\r\nx-admin: 1"),
        with_header("x-key", &"a".repeat(40_000)),
        with_header("x key", "a"),
        with_header("", "a"),
        to_path("/a b"),
        to_path(&"/a".repeat(20_000)),
        to_path("/a\r\nx-admin: 1"),
    ] {
        let error = send(&to(&server.url, None), request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(!error.may_have_arrived(), "{error}");
    }
    assert_eq!(server.received().len(), 0);
}

thread_local! {
    /// What this thread has logged, where that is asked for.
    static RECORDS: RefCell<Option<Vec<(String, String)>>> = const { RefCell::new(None) };
}

/// Every record of every crate, of the threads that ask for it.
struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        RECORDS.with_borrow_mut(|records| {
            if let Some(records) = records {
                records.push((record.target().to_owned(), record.args().to_string()));
            }
        });
    }

    fn flush(&self) {}
}

#[test]
fn no_level_shows_a_secret_in_a_header_or_a_body() {
    log::set_logger(&Recorder).unwrap();
    let plain = Server::answering(ANSWER);
    let sandbox = Sandbox::start().unwrap();
    let roots = Roots::from_pem("ca", sandbox.ca_pem().as_bytes()).unwrap();
    let tls = sandbox.url(Service::SendPayments);
    let secrets = ["Basic c2VjcmV0", "s3cr\"t-key", "b0dy-s3cret"];
    for (url, roots) in [(&plain.url, None), (&tls, Some(roots))] {
        let transport = to(url, roots);
        for level in LevelFilter::iter() {
            log::set_max_level(level);
            RECORDS.set(Some(Vec::new()));
            let headers = [("Authorization", secrets[0]), ("X-Key", secrets[1])];
            send(&transport, request(Method::Post, &headers, None, secrets[2])).unwrap();
            let records = RECORDS.take().unwrap();
            let bytes = bytes_logged(&records);
            for text in records.iter().map(|(_, text)| text).chain([&bytes]) {
                assert!(!secrets.iter().any(|secret| text.contains(secret)), "{level}: {text}");
            }
            assert_eq!(bytes.contains("x-key: xxxxxxxxxx\r\n"), level == LevelFilter::Trace);
        }
    }
    log::set_max_level(LevelFilter::Off);
    // What is not logged has arrived.
    let received = [plain.received(), sandbox.received(Service::SendPayments)].map(|requests| {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        requests.iter().map(text).collect::<Vec<_>>()
    });
    for requests in received {
        assert_eq!(requests.len(), LevelFilter::iter().count());
        for request in requests {
            assert!(secrets.iter().all(|secret| request.contains(secret)), "{request}");
        }
    }
}
