//! Through an HTTP proxy: it makes the connection and sees nothing of what passes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use paytoken::{ErrorKind, Provider, Token};
use paytoken_sandbox::Sandbox;

use crate::support::{builder, service};

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
        assert_eq!(sandbox.token_requests(service(provider)), 1);
        assert!(proxy.saw(b"CONNECT "), "{provider}: not through the proxy");
        assert!(!proxy.saw(b"POST") && !proxy.saw(token.secret().as_bytes()), "{provider}");
    }
}

#[test]
fn a_proxy_that_does_not_connect_is_named() {
    let sandbox = Sandbox::start().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = Proxy::answering("407 Proxy Authentication Required");
    let broken = Proxy::answering("502 Bad Gateway");
    for url in [refusing.url(), broken.url(), format!("http://{closed}")] {
        let source = builder(&sandbox, Provider::SendPayments).proxy(&url).retries(0);
        let error = source.build().unwrap().token().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.to_string().contains("proxy"), "{error}");
    }
    assert_eq!(sandbox.token_requests(service(Provider::SendPayments)), 0);
}
