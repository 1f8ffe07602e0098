//! Servers on loopback that answer exact bytes, and what a server with TLS is made of.

use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use paytoken_sandbox::{Authority, IssuedCertificate};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A plain-HTTP server on loopback that answers every request with the same bytes, closes, and
/// keeps what it received. It ends with this value.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The same as `http://…`.
    pub url: String,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    shown: Arc<Mutex<Vec<Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it on a free port.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(None, move || answer.clone())
    }

    /// With an answer that is made for each request.
    pub fn making(answer: impl FnMut() -> Vec<u8> + Send + 'static) -> Self {
        Self::start(None, answer)
    }

    /// The same by TLS, as 127.0.0.1 and as localhost, with an answer that is made for each request. It
    /// asks for a client's certificate, and works without.
    pub fn by_tls(authority: &Authority, answer: impl FnMut() -> Vec<u8> + Send + 'static) -> Self {
        Self::start(Some(asking_config(authority)), answer)
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        mut answer: impl FnMut() -> Vec<u8> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
        let (received, shown) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::default()));
        let (keep, certificates) = (received.clone(), shown.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if !matches!(stream.peek(&mut [0]), Ok(1)) {
                    return; // the drop below
                }
                let Some(tls) = &tls else {
                    keep.lock().unwrap().push(read_request(&mut stream));
                    let _ = stream.write_all(&answer());
                    continue;
                };
                let tls = rustls::ServerConnection::new(tls.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(tls, stream);
                keep.lock().unwrap().push(read_request(&mut stream));
                let came = stream.conn.peer_certificates().unwrap_or_default();
                *certificates.lock().unwrap() = came.iter().map(|one| one.to_vec()).collect();
                let _ = stream.write_all(&answer());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { address, url, received, shown, thread: Some(thread) }
    }

    /// Every request so far, head and body.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    /// The certificates (DER) that the last client showed; none in plain.
    pub fn certificates_shown(&self) -> Vec<Vec<u8>> {
        self.shown.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().unwrap().join();
    }
}

/// Head and body of a request, as far as they come; empty when the other side just hangs up.
pub fn read_request(stream: &mut impl Read) -> Vec<u8> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if request.len() >= end + 4 + length {
                return request;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return request,
        }
    }
}

/// Listens on loopback where nothing may come, in plain or by TLS with a certificate that is trusted, and
/// keeps what comes. Asks for a client's certificate, and keeps that, too. It ends with this value.
pub struct Trap {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Trap {
    /// Starts it on a free port, as 127.0.0.1 and as localhost.
    pub fn start(authority: &Authority) -> Self {
        let config = asking_config(authority);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = received.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                // Who waits for an answer has said all that it says.
                stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                let mut first = [0];
                let came = match stream.peek(&mut first).map(|_| first) {
                    Ok([0]) | Err(_) => continue,
                    Ok(STOP) => return,
                    Ok([0x16]) => {
                        let tls = rustls::ServerConnection::new(config.clone()).unwrap();
                        let mut tls = rustls::StreamOwned::new(tls, stream);
                        let mut came = read_request(&mut tls);
                        let shown = tls.conn.peer_certificates().unwrap_or_default();
                        came.extend(shown.iter().flat_map(|certificate| certificate.to_vec()));
                        came
                    }
                    _ => read_request(&mut stream),
                };
                keep.lock().unwrap().push(came);
            }
        });
        Self { address, received, thread: Some(thread) }
    }

    /// What came since this was asked last.
    pub fn take_received(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        let _ = TcpStream::connect(self.address).and_then(|mut stream| stream.write_all(&STOP));
        let _ = self.thread.take().unwrap().join();
    }
}

/// Ends a trap: no protocol begins with it.
const STOP: [u8; 1] = [0xff];

/// An address where nobody listens: the port was free a moment ago.
pub fn nobody_listens() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// TLS as 127.0.0.1 and as localhost, which asks for a client's certificate and works without.
fn asking_config(authority: &Authority) -> Arc<ServerConfig> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let key = KeyPair::generate().unwrap();
    let issued = authority.sign(CertificateParams::new(names).unwrap(), &key);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .allow_unauthenticated()
        .build();
    server_config(&issued, verifier.unwrap())
}

/// TLS with this certificate, for clients that the verifier accepts.
pub fn server_config(
    issued: &IssuedCertificate,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key);
    Arc::new(config.unwrap())
}
