//! A small HTTPS client of the tests' own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use paytoken_sandbox::{IssuedCertificate, Sandbox, Service, example_call, token_body};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that keeps its connection as long as the server does.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
    stream: Option<Tls>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The token of a token answer, whatever the provider.
    pub(crate) fn token(&self) -> String {
        let body = self.json();
        let value = match &body {
            Value::String(_) => &body,
            _ => body.get("access_token").or(body.get("accessToken")).unwrap(),
        };
        value.as_str().unwrap().to_owned()
    }
}

pub(crate) fn config(sandbox: &Sandbox, identity: Option<&IssuedCertificate>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    })
}

/// The sandbox's own client certificate.
pub(crate) fn identity(sandbox: &Sandbox) -> IssuedCertificate {
    IssuedCertificate {
        certificate_pem: sandbox.client_certificate_pem().to_owned(),
        key_pem: sandbox.client_key_pem().to_owned(),
    }
}

impl Client {
    pub(crate) fn new(sandbox: &Sandbox, service: Service) -> Client {
        Client::with_config(sandbox, service, config(sandbox, Some(&identity(sandbox))))
    }

    pub(crate) fn with_config(
        sandbox: &Sandbox,
        service: Service,
        config: Arc<ClientConfig>,
    ) -> Client {
        Client { config, address: sandbox.address(service), stream: None }
    }

    pub(crate) fn connect(&self) -> Tls {
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_nodelay(true).unwrap();
        // Far beyond what any test needs: it only keeps a failing test from hanging.
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let name = ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        StreamOwned::new(tls, tcp)
    }

    pub(crate) fn disconnect(&mut self) {
        self.stream = None;
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<Reply> {
        let mut stream = self.stream.take().unwrap_or_else(|| self.connect());
        stream.write_all(request)?;
        let reply = read_reply(&mut stream)?;
        if reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(reply)
    }

    /// Sends and reads everything until the end of the connection.
    pub(crate) fn send_to_end(&self, request: &[u8]) -> (Vec<u8>, io::Result<()>) {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut all = Vec::new();
        let mut chunk = [0u8; 4096];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return (all, Ok(())),
                Ok(read) => all.extend_from_slice(&chunk[..read]),
                Err(error) => return (all, Err(error)),
            }
        }
    }
}

pub(crate) fn read_reply(stream: &mut impl Read) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut reply = Reply {
                status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                body: bytes[end + 4..].to_vec(),
                head,
            };
            let length: usize =
                reply.header("content-length").map_or(0, |value| value.parse().unwrap());
            while reply.body.len() < length {
                let read = stream.read(&mut chunk)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                reply.body.extend_from_slice(&chunk[..read]);
            }
            assert_eq!(reply.body.len(), length, "more bytes than promised");
            return Ok(reply);
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// A token request with this id and secret and these further headers.
pub(crate) fn token_request_as(
    service: Service,
    id: &str,
    secret: &str,
    more: &[(&str, &str)],
) -> Vec<u8> {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend_from_slice(more);
    request("POST", service.facts().endpoint, &headers, &token_body(service, id, secret))
}

/// A token request as documented, with these further headers.
pub(crate) fn token_request_with(
    sandbox: &Sandbox,
    service: Service,
    more: &[(&str, &str)],
) -> Vec<u8> {
    let certificate = sandbox.client_certificate_header();
    let mut headers = Vec::new();
    if service.facts().takes_certificate {
        headers.push(("X-SSL-Client-Cert", certificate.as_str()));
    }
    headers.extend_from_slice(more);
    let (id, secret) = (sandbox.client_id(service), sandbox.client_secret(service));
    token_request_as(service, id, secret, &headers)
}

pub(crate) fn token_request(sandbox: &Sandbox, service: Service) -> Vec<u8> {
    token_request_with(sandbox, service, &[])
}

/// The service's example API call with this token.
pub(crate) fn api_request(service: Service, token: &str) -> Vec<u8> {
    let (method, path) = example_call(service);
    let bearer = format!("Bearer {token}");
    request(method, path, &[("Authorization", &bearer)], "")
}
