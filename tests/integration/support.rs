//! What the tests share: a clock that is moved by hand, a server that answers exact bytes, and
//! sources that talk to the sandbox.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use paytoken::store::{Store, StoreGuard, StoreKey};
use paytoken::{
    Builder, ClientCertificate, Clock, Credentials, Environment, Error, FileStore, Now, Provider,
    Result, TokenSource,
};
use paytoken_sandbox::{Sandbox, example_call};

/// A clock that only moves when told to; both its hands can be moved apart.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Now>>);

impl ManualClock {
    /// Starts now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Now::from_system())))
    }

    /// Starts now on the monotonic clock and at `wall` on the wall clock.
    pub fn at(wall: SystemTime) -> Self {
        let clock = Self::new();
        clock.0.lock().unwrap().wall = wall;
        clock
    }

    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall += by;
    }

    pub fn advance_monotonic_only(&self, by: Duration) {
        self.0.lock().unwrap().monotonic += by;
    }

    pub fn step_wall_forward(&self, by: Duration) {
        self.0.lock().unwrap().wall += by;
    }

    pub fn step_wall_back(&self, by: Duration) {
        self.0.lock().unwrap().wall -= by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// Waits no longer than this for anything: a hang becomes a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The sandbox's own client.
pub fn credentials(sandbox: &Sandbox, provider: Provider) -> Credentials {
    let secret = sandbox.client_secret(provider).to_owned();
    credentials_with(sandbox, provider, &secret)
}

pub fn credentials_with(sandbox: &Sandbox, provider: Provider, secret: &str) -> Credentials {
    let id = sandbox.client_id(provider).to_owned();
    let certificate = || {
        ClientCertificate::from_pem(sandbox.client_certificate_pem())
            .unwrap()
            .with_private_key(sandbox.client_key_pem())
            .unwrap()
    };
    let certificate = provider.facts().takes_certificate.then(certificate);
    Credentials::new(provider, id, secret, certificate).unwrap()
}

/// A builder that reaches the sandbox.
pub fn builder(sandbox: &Sandbox, provider: Provider) -> Builder {
    reach(sandbox, provider, credentials(sandbox, provider))
}

pub fn reach(sandbox: &Sandbox, provider: Provider, credentials: Credentials) -> Builder {
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&sandbox.url(provider))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
}

/// A source that reaches the sandbox, and the clock it lives by.
pub fn source(sandbox: &Sandbox, provider: Provider) -> (TokenSource, ManualClock) {
    let clock = ManualClock::new();
    (builder(sandbox, provider).clock(clock.clone()).build().unwrap(), clock)
}

/// The documented lifetime in the sandbox environment.
pub fn lifetime(provider: Provider) -> Duration {
    provider.facts().sandbox.lifetime
}

/// Runs the same thing on many threads that start together, and collects what they return.
pub fn together<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(threads);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (barrier, run) = (&barrier, &run);
                scope.spawn(move || {
                    barrier.wait();
                    run(index)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read,
    Stamp,
    Lock,
    /// By who holds the lock.
    Write,
}

/// What it does.
pub enum Does {
    AsAsked,
    /// An error.
    Fails,
    /// It says that there is none: no entry, no stamp, no lock in time.
    HasNone,
}

/// A [`FileStore`] of which a closure decides, before each step, what it does.
pub struct Acting<F>(pub FileStore, pub F);

impl<F: Fn(Step) -> Does> Acting<F> {
    fn act<T>(&self, step: Step, real: impl FnOnce() -> Result<Option<T>>) -> Result<Option<T>> {
        match (self.1)(step) {
            Does::AsAsked => real(),
            Does::Fails => Err(Error::store("store: not today")),
            Does::HasNone => Ok(None),
        }
    }
}

impl<F: Fn(Step) -> Does + Send + Sync> Store for Acting<F> {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        self.act(Step::Read, || self.0.read(key))
    }

    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        self.act(Step::Stamp, || self.0.stamp(key))
    }

    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        let guard = self.act(Step::Lock, || self.0.lock(key, wait, hold))?;
        Ok(guard.map(|guard| Box::new(ActingGuard(guard, self)) as Box<dyn StoreGuard>))
    }
}

struct ActingGuard<'a, F>(Box<dyn StoreGuard + 'a>, &'a Acting<F>);

impl<F: Fn(Step) -> Does> StoreGuard for ActingGuard<'_, F> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.read()
    }

    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()> {
        let store = self.1;
        store.act(Step::Write, || self.0.write(entry, keep_for).map(Some)).map(|_| ())
    }
}

/// A plain-HTTP server on loopback that answers every request with the same bytes, closes, and
/// keeps what it received.
pub struct ExactServer {
    pub url: String,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    address: std::net::SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl ExactServer {
    pub fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = received.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let request = read_request(&mut stream);
                if request.is_empty() {
                    return; // the drop below
                }
                keep.lock().unwrap().push(request);
                let _ = stream.write_all(&answer);
            }
        });
        Self { url: format!("http://{address}"), received, address, thread: Some(thread) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for ExactServer {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().unwrap().join();
    }
}

/// Head and body; empty when the other side just hangs up.
fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some(end) = text.find("\r\n\r\n") {
            let length: usize = text
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                })
                .unwrap_or(0);
            if request.len() >= end + 4 + length {
                return request;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return request,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A plain client for the providers' own API endpoints.
pub struct ApiClient {
    agent: ureq::Agent,
    url: String,
    is_post: bool,
}

impl ApiClient {
    pub fn new(sandbox: &Sandbox, provider: Provider) -> Self {
        use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

        let pem = |text: &str| Certificate::from_pem(text.as_bytes()).unwrap();
        let key = PrivateKey::from_pem(sandbox.client_key_pem().as_bytes()).unwrap();
        let identity = ClientCert::new_with_certs(&[pem(sandbox.client_certificate_pem())], key);
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[pem(sandbox.ca_pem())]))
            .client_cert(Some(identity))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        let (method, path) = example_call(provider);
        Self {
            agent: config.new_agent(),
            url: format!("{}{path}", sandbox.url(provider)),
            is_post: method == "POST",
        }
    }

    /// The status of one API call with this token.
    pub fn status(&self, token: &paytoken::Token) -> u16 {
        let (name, value) = (token.header_name(), token.header_value());
        let answer = match self.is_post {
            true => self.agent.post(&self.url).header(name, value).send("{}"),
            false => self.agent.get(&self.url).header(name, value).call(),
        };
        let mut answer = answer.unwrap();
        // Read to the end, so that the connection is used again.
        answer.body_mut().read_to_vec().unwrap();
        answer.status().as_u16()
    }
}
