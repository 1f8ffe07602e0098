//! `token-server DIRECTORY`: an RFC 6749 token endpoint over mutual TLS on loopback.
//!
//! Any POST is answered with a token. Into the directory it writes its authority (`ca.pem`), and the
//! certificate that clients need with its key (`client.cert.pem`, `client.key.pem`). Prints its
//! address and the control's, and serves until stdin ends. The control is plain HTTP:
//!
//! ```text
//! /set?delay=300&status=500&expires=600    from now on (milliseconds, seconds)
//! /stats                                   the number of requests
//! /reset                                   that number to zero
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use std::{fs, thread};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

static DELAY: AtomicU64 = AtomicU64::new(0);
static STATUS: AtomicU64 = AtomicU64::new(200);
static EXPIRES: AtomicU64 = AtomicU64::new(600);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static TOKENS: AtomicU64 = AtomicU64::new(0);

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("DIRECTORY"));
    let config = config(|name, content| {
        fs::write(directory.join(name), content).expect("a writable file");
    });

    let tokens = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let control = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("https://{}", tokens.local_addr().expect("an address"));
    println!("http://{}", control.local_addr().expect("an address"));
    io::stdout().flush().expect("stdout");

    let config = Arc::new(config);
    accept(tokens, move |socket| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        serve(StreamOwned::new(connection, socket), token)
    });
    accept(control, |socket| serve(socket, set));
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// A thread for each connection.
fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) {
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                let _ = socket.set_nodelay(true).and_then(|()| serve(socket));
            });
        }
    });
}

/// Requests one after the other until the client goes.
fn serve(stream: impl Read + Write, answer: fn(&str) -> (u64, String)) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        let mut length = 0;
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        stream.read_exact(&mut vec![0; length])?;
        let (status, body) = answer(first.split(' ').nth(1).unwrap_or_default());
        let text = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(text.as_bytes())?;
        stream.get_mut().flush()?;
    }
}

fn token(_target: &str) -> (u64, String) {
    REQUESTS.fetch_add(1, SeqCst);
    thread::sleep(Duration::from_millis(DELAY.load(SeqCst)));
    let status = STATUS.load(SeqCst);
    if status != 200 {
        return (status, r#"{"error":"server_error"}"#.to_owned());
    }
    let number = TOKENS.fetch_add(1, SeqCst);
    let expires = EXPIRES.load(SeqCst);
    let body = format!(
        r#"{{"access_token":"peer-benchmark-token-{number:020}","token_type":"Bearer","expires_in":{expires}}}"#
    );
    (200, body)
}

fn set(target: &str) -> (u64, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/stats" => return (200, REQUESTS.load(SeqCst).to_string()),
        "/reset" => REQUESTS.store(0, SeqCst),
        "/set" => {
            for pair in query.split('&') {
                let setting = match pair.split_once('=') {
                    Some(("delay", value)) => (&DELAY, value),
                    Some(("status", value)) => (&STATUS, value),
                    Some(("expires", value)) => (&EXPIRES, value),
                    _ => return (400, "delay, status or expires".to_owned()),
                };
                let Ok(value) = setting.1.parse() else { return (400, "a number".to_owned()) };
                setting.0.store(value, SeqCst);
            }
        }
        _ => return (404, "/set, /stats or /reset".to_owned()),
    }
    (200, "done".to_owned())
}

/// P-256, and leaves directly under their authority.
fn config(write: impl Fn(&str, &str)) -> ServerConfig {
    let mut params = named("paytoken peers authority", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("an authority");
    let (server, server_key) =
        leaf(&authority, &["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth);
    let (client, client_key) = leaf(&authority, &["peer"], ExtendedKeyUsagePurpose::ClientAuth);
    write("ca.pem", &authority.pem());
    write("client.cert.pem", &client.pem());
    write("client.key.pem", &client_key.serialize_pem());

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("a usable authority");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .expect("a certificate and its key");
    config.ticketer = rustls::crypto::ring::Ticketer::new().expect("a ticketer");
    config
}

fn leaf(
    authority: &CertifiedIssuer<'_, KeyPair>,
    hosts: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> (Certificate, KeyPair) {
    let mut params = named("paytoken peers", hosts);
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, authority).expect("a certificate"), key)
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
