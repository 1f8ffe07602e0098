//! A fetch over mutual TLS, from PEM text to token, beside bare ureq and hand-written rustls doing
//! the same; and a renewal on a resumed session. The sandbox ends each connection.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)] // it measures

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use paytoken_bench::{Candidate, compare, rounds};
use paytoken_sandbox::{Fault, Sandbox, Service};
use paytoken_testing::builder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use serde_json::Value;

const NTX: Service = Service::NtxPay;

fn main() {
    let sandbox = Sandbox::start().unwrap();
    let token = "eyJhbGciOiJSUzI1NiJ9.".to_owned() + &"a".repeat(600);
    let body = format!(
        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":600,"scope":"api"}}"#
    );
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    sandbox.fault_always(NTX, Some(Fault::Raw(answer.into_bytes())));
    let kept = builder(&sandbox, NTX).build().unwrap();
    kept.token().unwrap();
    let with_rustls = rustls_config(&sandbox);
    by_hand(&sandbox, &with_rustls);
    let medians = compare(
        "first fetch, from PEM text to token; renewal",
        rounds(200),
        vec![
            Candidate::call("hand-written rustls", || by_hand(&sandbox, &rustls_config(&sandbox))),
            Candidate::call("bare ureq 3, with time-outs", || bare_ureq(&sandbox, true)),
            Candidate::call("bare ureq 3, without", || bare_ureq(&sandbox, false)),
            Candidate::call("paytoken, first fetch", || {
                builder(&sandbox, NTX).build().unwrap().token().unwrap()
            }),
            Candidate::call("paytoken, renewal on a resumed session", || kept.refresh().unwrap()),
            Candidate::call("hand-written rustls, resumed", || by_hand(&sandbox, &with_rustls)),
        ],
    );
    let ratio =
        |one: usize, other: usize| medians[one].as_secs_f64() / medians[other].as_secs_f64();
    println!(
        "\nfirst fetch: {:.2} × bare ureq, {:.2} × hand-written rustls",
        ratio(3, 1),
        ratio(3, 0)
    );
    println!("renewal on a resumed session: {:.2} × a first fetch", ratio(4, 3));
    let counts = sandbox.counts(NTX);
    println!("{} of {} handshakes were resumed", counts.handshakes_resumed, counts.connections);
}

fn request_body(sandbox: &Sandbox) -> String {
    let (id, secret) = (sandbox.client_id(NTX), sandbox.client_secret(NTX));
    format!(r#"{{"clientId":"{id}","clientSecret":"{secret}"}}"#)
}

fn identity(sandbox: &Sandbox) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(sandbox.client_certificate_pem().as_bytes());
    let key = PrivateKeyDer::from_pem_slice(sandbox.client_key_pem().as_bytes()).unwrap();
    (chain.collect::<Result<_, _>>().unwrap(), key)
}

fn rustls_config(sandbox: &Sandbox) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
    let (chain, key) = identity(sandbox);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn by_hand(sandbox: &Sandbox, config: &Arc<ClientConfig>) -> String {
    let body = request_body(sandbox);
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-SSL-Client-Cert: {}\r\nContent-Length: {}\r\n\r\n{body}",
        NTX.facts().endpoint,
        sandbox.client_certificate_header(),
        body.len(),
    );
    let mut socket = TcpStream::connect(sandbox.address(NTX)).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::with_capacity(4096);
    let mut part = [0; 4096];
    loop {
        let count = stream.read(&mut part).unwrap();
        answer.extend(&part[..count]);
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let body = &answer[end + 4..];
        if body.len() >= length.parse().unwrap() {
            return token_of(body);
        }
    }
}

fn bare_ureq(sandbox: &Sandbox, has_timeouts: bool) -> String {
    use ureq::tls::{
        Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem,
    };

    let chain: Vec<_> = parse_pem(sandbox.client_certificate_pem().as_bytes())
        .filter_map(|item| match item.unwrap() {
            ureq::tls::PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    let key = PrivateKey::from_pem(sandbox.client_key_pem().as_bytes()).unwrap();
    let root = Certificate::from_pem(sandbox.ca_pem().as_bytes()).unwrap();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .client_cert(Some(ClientCert::new_with_certs(&chain, key)))
        .root_certs(RootCerts::new_with_certs(&[root]))
        .build();
    // With a time-out for all, ureq looks the name up in a thread of its own.
    let (all, connect) = (Duration::from_secs(30), Duration::from_secs(10));
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(has_timeouts.then_some(all))
        .timeout_connect(has_timeouts.then_some(connect))
        .build()
        .new_agent();
    let mut answer = agent
        .post(format!("{}{}", sandbox.url(NTX), NTX.facts().endpoint))
        .header("Content-Type", "application/json")
        .header("X-SSL-Client-Cert", sandbox.client_certificate_header())
        .send(request_body(sandbox))
        .unwrap();
    token_of(&answer.body_mut().read_to_vec().unwrap())
}

fn token_of(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap();
    json["access_token"].as_str().unwrap().to_owned()
}
