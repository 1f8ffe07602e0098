//! A server that asks for another TLS handshake when the request is there, as IIS does where an
//! address, and not the whole site, wants client certificates: the real openssl.

use std::io::{BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use paytoken::{Environment, ErrorKind, Provider, TokenSource};
use paytoken_testing::{has_tool, injected_credentials, temporary_folder, write_private};

use crate::authority::{Authority, Identity};

/// What an openssl says and is told, and where it listens.
struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Server {
    fn start(identity: &Identity) -> Self {
        let folder = temporary_folder();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        write_private(&certificate, &identity.certificate);
        write_private(&key, &identity.key);
        let mut child = Command::new("openssl")
            .args(["s_server", "-tls1_2", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert"])
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        said_until(&mut stdout, "ACCEPT ");
        let address = said_until(&mut stdout, "\n").trim().to_owned();
        Self { child, stdin, stdout, address }
    }

    /// Once the request is there.
    fn ask_for_another_handshake(&mut self) {
        said_until(&mut self.stdout, "not-a-real-secret");
        self.stdin.write_all(b"R\n").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes until these words end it.
fn said_until(output: &mut impl Read, words: &str) -> String {
    let mut said = Vec::new();
    while !said.ends_with(words.as_bytes()) {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap_or_else(|_| panic!("no {words:?}"));
        said.push(byte[0]);
    }
    String::from_utf8(said).unwrap()
}

#[test]
fn a_server_that_wants_another_handshake_for_the_request_is_told_of_as_that() {
    if !has_tool("openssl") {
        return;
    }
    let authority = Authority::new("root");
    let identity = authority.server(&["127.0.0.1"], |_| ());
    for ends_like_iis in [false, true] {
        let mut server = Server::start(&identity);
        let address =
            if ends_like_iis { cut_at_alert(&server.address) } else { server.address.clone() };
        let credentials = injected_credentials(Provider::SendPayments, "me", "not-a-real-secret");
        let source = TokenSource::builder(credentials, Environment::Sandbox)
            .base_url(&format!("https://{address}"))
            .root_certificates_pem(authority.pem().as_bytes())
            .build()
            .unwrap();
        let asking = thread::spawn(move || (source.token().unwrap_err(), source.status()));
        server.ask_for_another_handshake();
        let (error, status) = asking.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.to_string().contains("asked for another TLS handshake"), "{error:?}");
        assert_eq!(status.requests, 1, "{error}");
    }
}

/// A way to this address that ends when the client declines: openssl says goodbye, IIS does not.
fn cut_at_alert(address: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().to_string();
    let there = TcpStream::connect(address).unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let (mut from, mut to) = (there.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut head, mut to) = ([0; 5], there);
        while client.read_exact(&mut head).is_ok() && head[0] != 0x15 {
            let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            client.read_exact(&mut record).unwrap();
            to.write_all(&[&head[..], &record].concat()).unwrap();
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        let _ = back.join();
    });
    here
}
