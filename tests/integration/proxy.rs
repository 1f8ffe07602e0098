//! Through an HTTP proxy: it makes the connection and sees nothing of what passes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{Credentials, Environment, ErrorKind, Provider, Secret, Token, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use paytoken_testing::{PATIENCE, Server, builder, nobody_listens, server_config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;

/// A proxy for `CONNECT` (RFC 9110 §9.3.6), one connection after the other.
struct Proxy {
    address: SocketAddr,
    /// All that clients sent, the requests to connect and what went through.
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// It answers with this status line, and connects if that is a success.
    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = seen.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let _ = serve(client.unwrap(), status, &seen);
            }
        });
        Self { address, seen: kept }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn saw(&self, bytes: &[u8]) -> bool {
        self.seen.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }
}

fn serve(mut client: TcpStream, status: &str, seen: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    seen.lock().unwrap().extend(&head);
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
    if !status.starts_with("200") {
        return Ok(());
    }
    let target = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().to_owned();
    let mut server = TcpStream::connect(target)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer)? {
            0 => return server.shutdown(std::net::Shutdown::Both),
            count => {
                seen.lock().unwrap().extend(&buffer[..count]);
                server.write_all(&buffer[..count])?;
            }
        }
    }
}

#[test]
fn a_token_comes_through_a_proxy_that_sees_only_where_to_connect() {
    let sandbox = Sandbox::start().unwrap();
    for &provider in Provider::ALL {
        let proxy = Proxy::answering("200 Connection established");
        let source = builder(&sandbox, provider).proxy(&proxy.url()).build().unwrap();
        let token: Token = source.token().unwrap();
        assert_eq!(sandbox.token_requests(provider), 1);
        assert!(proxy.saw(b"CONNECT "), "{provider}: not through the proxy");
        assert!(!proxy.saw(b"POST") && !proxy.saw(token.secret().as_bytes()), "{provider}");
    }
}

#[test]
fn a_proxy_that_does_not_connect_is_named() {
    let sandbox = Sandbox::start().unwrap();
    let closed = nobody_listens();
    let broken = Proxy::answering("502 Bad Gateway");
    let strange = Proxy::answering("what");
    for (url, part) in [
        (broken.url(), "(502)"),
        (strange.url(), "proxy"),
        (format!("http://{closed}"), "cannot be reached"),
        ("http://no-such-proxy.invalid:1".to_owned(), "proxy's host name was not found"),
    ] {
        let source = builder(&sandbox, Provider::SendPayments).proxy(&url).retries(0);
        let error = source.build().unwrap().token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.to_string().contains("proxy"), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(sandbox.token_requests(Provider::SendPayments), 0);
}

#[test]
fn a_proxy_that_wants_credentials_is_asked_once_and_says_so() {
    let sandbox = Sandbox::start().unwrap();
    let proxy = Proxy::answering("407 Proxy Authentication Required");
    let source = builder(&sandbox, Provider::NexterPay).proxy(&proxy.url()).build().unwrap();
    let error = source.token().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("407") && !error.is_retryable(), "{error}");
    assert_eq!(source.status().requests, 1);
}

/// Sends this over and over, a byte at a time, as slowly as a patient attacker.
pub fn dripping(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            for byte in answer.iter().cycle() {
                // The fault itself: one byte, a pause.
                thread::sleep(Duration::from_millis(150));
                if client.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        }
    });
    url
}

#[test]
fn a_proxy_that_drips_its_answer_does_not_outlast_the_time_out() {
    let sandbox = Sandbox::start().unwrap();
    for answer in [&b"HTTP/1.1 200 OK\r\nX: "[..], b"x"] {
        let url = dripping(answer);
        for (timeout, connect) in [(600, 600), (600, 60_000), (60_000, 300)] {
            let source = builder(&sandbox, Provider::SendPayments)
                .proxy(&url)
                .retries(0)
                .timeout(Duration::from_millis(timeout))
                .connect_timeout(Duration::from_millis(connect))
                .build()
                .unwrap();
            let began = Instant::now();
            let error = source.token().unwrap_err();
            // Not a measurement: it would never end without the deadline.
            assert!(began.elapsed() < Duration::from_secs(15), "{error}");
            if answer.len() > 1 {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            }
            assert!(error.to_string().contains("proxy"), "{error}");
        }
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_and_no_direct_connection() {
    let sandbox = Sandbox::start().unwrap();
    for proxy in [
        "SOCKS5://127.0.0.1:1",
        "socks5h://127.0.0.1:1",
        "Socks4://127.0.0.1:1",
        "socks4a://x",
        "ftp://127.0.0.1:1",
        "::::",
        "http://",
        "http://:8080",
        "http://a b",
        " http://127.0.0.1:1",
        "http://127.0.0.1:99999",
        "//127.0.0.1:1",
        "quic://127.0.0.1:1",
    ] {
        let error = builder(&sandbox, Provider::NexterPay).proxy(proxy).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{proxy}");
        assert!(error.to_string().contains("proxy: "), "{proxy}: {error}");
    }
}

#[test]
fn plain_http_on_loopback_goes_through_no_proxy() {
    let proxy = Proxy::answering("200 OK");
    let server = Server::answering(
        b"HTTP/1.1 201 Created\r\nContent-Length: 16\r\n\r\n\"aaaa.bbbb.cccc\"".to_vec(),
    );
    let credentials =
        Credentials::NexterPay { user_name: "u".into(), password: Secret::from("not-real") };
    let source = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&server.url)
        .proxy(&proxy.url())
        .build()
        .unwrap();
    assert_eq!(source.token().unwrap().secret(), "aaaa.bbbb.cccc");
    assert_eq!(server.received().len(), 1);
    assert!(!proxy.saw(b"HTTP"));
}

/// A proxy that speaks TLS itself and asks for a client certificate; tells what came, and hangs up
/// when it has read the request.
fn asking_for_a_certificate(sandbox: &Sandbox) -> (String, mpsc::Receiver<usize>) {
    let key = KeyPair::generate().unwrap();
    let issued = sandbox
        .authority()
        .sign(CertificateParams::new(vec!["localhost".to_owned()]).unwrap(), &key);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = server_config(&issued, verifier);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, client.unwrap());
            if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                let _ = tell.send(stream.conn.peer_certificates().map_or(0, |chain| chain.len()));
            }
        }
    });
    (url, told)
}

#[test]
fn a_proxy_that_asks_for_a_client_certificate_gets_none() {
    let sandbox = Sandbox::start().unwrap();
    let (url, told) = asking_for_a_certificate(&sandbox);
    let source = builder(&sandbox, Provider::NtxPay).proxy(&url).retries(0).build().unwrap();
    let error = source.token().unwrap_err();
    assert!(error.to_string().contains("proxy"), "{error}");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(0), "certificates that came");
}
