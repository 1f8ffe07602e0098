//! A server for one cell: first it answers well, then it fails in the row's way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use paytoken::Provider;
use paytoken_sandbox::Sandbox;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use paytoken_testing::{read_request, server_config};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    NoSuchHost,
    /// The listener is closed.
    Refused,
    /// The listener's queue is full: the kernel drops what asks for a connection.
    BlackHole,
    /// Plain http: the request is read, this is written, and then …
    Answer(fn(Provider) -> Vec<u8>, After),
    /// As `Answer` with `After::Close`, made for one row.
    Bytes(Vec<u8>),
    /// Plain http: the request is read, the first is written once, the second without end.
    Flood(&'static [u8], &'static [u8]),
    /// Plain http: one byte at a time.
    Drip(fn(Provider) -> Vec<u8>),
    /// Plain http: reset after the first byte of the request.
    ResetDuring,
    /// Plain http: reset when the whole request was read.
    ResetAfter,
    Tls(TlsFault),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    Close,
    /// Says no more, and listens.
    Stall,
    /// Ends its side of the connection, and listens.
    HalfClose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    ResetInHandshake,
    /// `handshake_failure` in answer to the first message.
    Alert,
    /// Never answers the first message.
    Stall,
    /// Answers the first message in plain http.
    NotTls,
    /// The request is read; a record that cannot be decrypted comes back.
    BrokenRecord,
    /// The request is read; the connection ends without a farewell.
    CutWithoutFarewell,
}

pub struct Server {
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Fills a queue.
    waiting: Mutex<Vec<TcpStream>>,
}

struct Shared {
    provider: Provider,
    fault: Fault,
    listener: Mutex<Option<TcpListener>>,
    has_begun: AtomicBool,
    is_over: AtomicBool,
}

/// A whole success, as each provider's document has it.
pub fn good(provider: Provider, token: &str) -> Vec<u8> {
    let body = match provider {
        Provider::NtxPay => format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":600,"scope":"email profile"}}"#
        ),
        Provider::NexterPay => format!("\"{token}\""),
        Provider::SendPayments => format!(r#"{{"accessToken":"{token}"}}"#),
        other => unreachable!("{other} has no row here"),
    };
    answer(201, "", body.as_bytes())
}

/// The success that a fault still lets through.
pub fn fetched(provider: Provider) -> Vec<u8> {
    good(provider, "new.token.fetched")
}

/// An answer with a right length, and the connection's end.
pub fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Server {
    pub fn start(provider: Provider, fault: &Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = listener.try_clone().unwrap();
        let shared = Arc::new(Shared {
            provider,
            fault: fault.clone(),
            listener: Mutex::new(Some(listener)),
            has_begun: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let own = shared.clone();
        let thread = thread::spawn(move || own.accept(&accepting));
        let url = match fault {
            // RFC 6761: .invalid never resolves.
            Fault::NoSuchHost => "https://no-such-host.invalid".to_owned(),
            Fault::Tls(_) => format!("https://{address}"),
            _ => format!("http://{address}"),
        };
        Self { url, address, shared, thread: Mutex::new(Some(thread)), waiting: Mutex::default() }
    }

    /// The certificate authority of `https` servers.
    pub fn roots(&self) -> &'static str {
        tls().1.as_str()
    }

    /// From now on it fails.
    pub fn begin_fault(&self) {
        self.shared.has_begun.store(true, Ordering::SeqCst);
        match &self.shared.fault {
            Fault::Refused => self.stop_accepting(),
            Fault::BlackHole => {
                let listener = self.shared.listener.lock().unwrap().take().unwrap();
                // The thread goes first: it would empty the queue.
                drop(TcpStream::connect(self.address));
                let _ = self.thread.lock().unwrap().take().unwrap().join();
                // SAFETY: a socket that is open and listens; a queue of length zero holds one.
                assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
                let mut waiting = self.waiting.lock().unwrap();
                while let Ok(stream) =
                    TcpStream::connect_timeout(&self.address, Duration::from_millis(100))
                {
                    waiting.push(stream);
                }
                *self.shared.listener.lock().unwrap() = Some(listener);
            }
            _ => {}
        }
    }

    fn stop_accepting(&self) {
        drop(self.shared.listener.lock().unwrap().take());
        drop(TcpStream::connect(self.address)); // wakes the thread
        if let Some(thread) = self.thread.lock().unwrap().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if self.thread.lock().unwrap().is_some() {
            self.stop_accepting();
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            // Taken away, or over: this was the one that wakes.
            if self.is_over.load(Ordering::SeqCst) || self.listener.lock().unwrap().is_none() {
                return;
            }
            let own = self.clone();
            thread::spawn(move || own.serve(stream));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let has_begun = self.has_begun.load(Ordering::SeqCst);
        let held = good(self.provider, "old.token.held");
        match &self.fault {
            Fault::Tls(fault) if has_begun => self.tls_fault(*fault, stream),
            Fault::Tls(_) => {
                let mut stream =
                    StreamOwned::new(ServerConnection::new(tls().0.clone()).unwrap(), stream);
                read_request(&mut stream);
                let _ = stream.write_all(&held);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
            Fault::ResetDuring if has_begun => {
                // What is unread at the end makes it a reset.
                let _ = stream.read(&mut [0]);
            }
            _ => {
                read_request(&mut stream);
                if has_begun { self.plain_fault(stream) } else { drop(stream.write_all(&held)) }
            }
        }
    }

    fn plain_fault(&self, mut stream: TcpStream) {
        match &self.fault {
            Fault::Answer(bytes, after) => {
                let _ = stream.write_all(&bytes(self.provider));
                match after {
                    After::Close => return,
                    After::Stall => {}
                    After::HalfClose => drop(stream.shutdown(Shutdown::Write)),
                }
                wait_for_end(stream);
            }
            Fault::Bytes(bytes) => drop(stream.write_all(bytes)),
            Fault::Flood(first, more) => {
                let many = more.repeat(64);
                let _ = stream.write_all(first);
                loop {
                    if self.is_over.load(Ordering::Relaxed) || stream.write_all(&many).is_err() {
                        return;
                    }
                }
            }
            Fault::Drip(bytes) => {
                for byte in bytes(self.provider) {
                    // The fault itself: one byte, a pause.
                    thread::sleep(Duration::from_millis(40));
                    if self.is_over.load(Ordering::Relaxed) || stream.write_all(&[byte]).is_err() {
                        return;
                    }
                }
            }
            Fault::ResetAfter => {
                let off = libc::linger { l_onoff: 1, l_linger: 0 };
                // SAFETY: a socket that is open, and an option of its own type and size.
                let done = unsafe {
                    libc::setsockopt(
                        stream.as_raw_fd(),
                        libc::SOL_SOCKET,
                        libc::SO_LINGER,
                        (&raw const off).cast(),
                        size_of::<libc::linger>() as u32,
                    )
                };
                assert_eq!(done, 0);
            }
            _ => {}
        }
    }

    fn tls_fault(&self, fault: TlsFault, mut stream: TcpStream) {
        match fault {
            TlsFault::ResetInHandshake => drop(stream.read(&mut [0])),
            TlsFault::Alert => {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
            }
            TlsFault::Stall => wait_for_end(stream),
            TlsFault::NotTls => {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            }
            TlsFault::BrokenRecord | TlsFault::CutWithoutFarewell => {
                let connection = ServerConnection::new(tls().0.clone()).unwrap();
                let mut tls = StreamOwned::new(connection, stream);
                read_request(&mut tls);
                let mut stream = tls.sock;
                if fault == TlsFault::BrokenRecord {
                    let record = [&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat();
                    let _ = stream.write_all(&record);
                    wait_for_end(stream);
                }
            }
        }
    }
}

fn wait_for_end(mut stream: TcpStream) {
    while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
}

/// One identity for all servers, and who vouches for it.
fn tls() -> &'static (Arc<ServerConfig>, String) {
    static TLS: OnceLock<(Arc<ServerConfig>, String)> = OnceLock::new();
    TLS.get_or_init(|| {
        let sandbox = Sandbox::start().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let issued = sandbox.authority().sign(params, &KeyPair::generate().unwrap());
        let config = server_config(&issued, WebPkiClientVerifier::no_client_auth());
        (config, sandbox.ca_pem().to_owned())
    })
}
