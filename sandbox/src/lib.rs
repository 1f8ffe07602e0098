//! The payment providers simulated over real TLS on loopback.
//!
//! [`Sandbox::start`] opens a TLS listener per provider and a plain HTTP control listener, each on
//! a free port of 127.0.0.1. It behaves as the providers' documents say, and fails on demand.
//! Of the `paytoken` library it uses the providers' facts alone (names, paths, lifetimes): how
//! requests and answers look is written down here once more, so it can judge that library. A provider
//! that is [described](Sandbox::describe) is played as the text of its description says.
//!
//! ```
//! use paytoken_sandbox::{Fault, Sandbox, Service};
//!
//! let sandbox = Sandbox::start()?;
//! sandbox.fault_next(Service::SendPayments, 1, Fault::Status(503));
//! println!("{} trusts {}", sandbox.url(Service::SendPayments), sandbox.ca_pem());
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answer;
mod authority;
mod clock;
mod connection;
mod control;
mod counts;
mod credentials;
mod described;
mod effects;
mod fault;
mod gate;
mod hold;
mod request;
mod server;
mod service;
mod simulations;
mod state;
mod stop;
mod text;
mod tokens;
mod variables;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

pub use authority::{Authority, IssuedCertificate};
pub use control::control_help;
pub use counts::Counts;
pub use fault::{Fault, ParseError};
pub use hold::Hold;
pub use paytoken::Provider as Service;
pub use rcgen;
pub use simulations::{example_call, token_body};

use authority::ClientCertificate;
use described::Described;
use rcgen::KeyPair;
use server::{Listener, Registry};
use state::{Endpoint, ServiceState, Services};
use stop::Stop;
use text::lock;
use tokens::Standing;

/// The client that every service knows from the start.
const CLIENT_ID: &str = "sandbox-client";
/// Its secret.
const CLIENT_SECRET: &str = "sandbox-secret-not-real";

/// The running simulation; ends when dropped.
pub struct Sandbox {
    stop: Arc<Stop>,
    registry: Arc<Registry>,
    authority: Authority,
    client: IssuedCertificate,
    services: Arc<Services>,
    /// In the order of `services`.
    listeners: Mutex<Vec<Listener>>,
    control: Listener,
}

impl Sandbox {
    /// Starts all listeners, with a new certificate authority.
    pub fn start() -> io::Result<Sandbox> {
        let stop = Arc::new(Stop::default());
        let registry = Arc::new(Registry::default());
        let authority = Authority::new()?;
        let client = authority.client_certificate(CLIENT_ID);
        let services = Arc::<Services>::default();
        let controlled = Arc::clone(&services);
        let control_stop = Arc::clone(&stop);
        let control = Listener::start("control", &registry, &stop, move |socket| {
            connection::serve_plain(socket, &control_stop, |request| {
                control::answer(&controlled, request)
            });
        })?;
        let listeners = Mutex::default();
        let sandbox = Sandbox { stop, registry, authority, client, services, listeners, control };
        for &service in Service::ALL {
            sandbox.serve(service, None)?;
        }
        Ok(sandbox)
    }

    /// Plays one more provider, as its description says: the JSON that
    /// [`Provider::described`](paytoken::Provider::described) takes. It knows the same client, whose secret is
    /// each of the description's; what other placeholders stand for is not looked at.
    ///
    /// ```
    /// # let sandbox = paytoken_sandbox::Sandbox::start()?;
    /// let acme = sandbox.describe(
    ///     r#"{"name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
    ///         "auth": "client_secret_basic", "renewal": "coexists"}"#,
    /// )?;
    /// assert!(sandbox.url(acme).starts_with("https://127.0.0.1:"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the description; or no port could be had.
    pub fn describe(&self, json: &str) -> io::Result<Service> {
        let service = Service::described(json).map_err(io::Error::other)?;
        if self.services().contains(&service) {
            return Ok(service);
        }
        let key = KeyPair::from_pem(self.client_key_pem()).map_err(io::Error::other)?;
        let described = Described::new(service.facts(), json, &key).map_err(io::Error::other)?;
        self.serve(service, Some(described))?;
        self.state(service).described.iter().for_each(|it| it.set_url(self.url(service)));
        Ok(service)
    }

    fn serve(&self, service: Service, described: Option<Described>) -> io::Result<()> {
        let facts = service.facts();
        let certificate = match (facts.takes_certificate, &described) {
            (false, _) => ClientCertificate::None,
            (true, Some(_)) if !facts.requires_certificate => ClientCertificate::Optional,
            (true, _) => ClientCertificate::Required,
        };
        let config = self.authority.server_config(certificate)?;
        let state = Arc::new(ServiceState::new(service, described, Arc::clone(&self.stop)));
        state.add_client(CLIENT_ID, CLIENT_SECRET);
        let serving = Arc::clone(&state);
        let listener = Listener::start(facts.name, &self.registry, &self.stop, move |socket| {
            serving.count(|counts| counts.connections += 1);
            connection::serve_tls(socket, Arc::clone(&config), &serving);
        })?;
        lock(&self.listeners).push(listener);
        self.services.add(state);
        Ok(())
    }

    /// Those that are simulated: the three, then those that were described.
    pub fn services(&self) -> Vec<Service> {
        self.services.all().iter().map(|state| state.service).collect()
    }

    fn state(&self, service: Service) -> Arc<ServiceState> {
        Arc::clone(&self.services.all()[self.index(service)])
    }

    fn index(&self, service: Service) -> usize {
        let place = self.services().iter().position(|known| *known == service);
        place.expect("every provider is simulated that is built in, or was described here")
    }

    /// Gives a described provider the key (PEM) whose assertions it takes from now on: P-256, Ed25519 or RSA. At
    /// first it is the client certificate's.
    ///
    /// # Errors
    /// It is no such key, or the provider was not described.
    pub fn set_assertion_key(&self, service: Service, key_pem: &str) -> io::Result<()> {
        let key = KeyPair::from_pem(key_pem).map_err(io::Error::other)?;
        let state = self.state(service);
        let described = state.described.as_ref();
        described.ok_or_else(|| io::Error::other("it was not described"))?.set_key(&key);
        Ok(())
    }

    /// The service's base address, such as `https://127.0.0.1:40123`.
    pub fn url(&self, service: Service) -> String {
        format!("https://{}", self.address(service))
    }

    /// The service's socket address.
    pub fn address(&self, service: Service) -> SocketAddr {
        lock(&self.listeners)[self.index(service)].address
    }

    /// The address of the control interface, such as `http://127.0.0.1:40124`.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address())
    }

    /// The control interface's socket address.
    pub fn control_address(&self) -> SocketAddr {
        self.control.address
    }

    /// The certificate that clients must trust.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The client certificate, for a provider that asks for one.
    pub fn client_certificate_pem(&self) -> &str {
        &self.client.certificate_pem
    }

    /// The client certificate's private key: P-256, PKCS#8.
    pub fn client_key_pem(&self) -> &str {
        &self.client.key_pem
    }

    /// Makes one more client certificate, as good as the first.
    pub fn issue_client_certificate(&self, common_name: &str) -> IssuedCertificate {
        self.authority.client_certificate(common_name)
    }

    /// From now on this certificate is answered 401; false if the PEM holds none.
    pub fn revoke_certificate(&self, certificate_pem: &str) -> bool {
        match CertificateDer::from_pem_slice(certificate_pem.as_bytes()) {
            Ok(certificate) => {
                for state in self.services.all() {
                    state.revoke_certificate(certificate.to_vec());
                }
                true
            }
            Err(_) => false,
        }
    }

    /// The certificate authority, for tests of odd certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The id of the client that is known from the start.
    pub fn client_id(&self, _service: Service) -> &str {
        CLIENT_ID
    }

    /// The secret that client has at the start.
    pub fn client_secret(&self, _service: Service) -> &str {
        CLIENT_SECRET
    }

    /// Makes another client known.
    pub fn add_client(&self, service: Service, id: &str, secret: &str) {
        self.state(service).add_client(id, secret);
    }

    /// Suspends a client (NexterPay answers 403, the others 401), or ends the suspension.
    pub fn suspend_client(&self, service: Service, id: &str, suspended: bool) {
        _ = self.state(service).suspend(id, suspended);
    }

    /// Gives a known client another secret; tokens issued before stay valid.
    pub fn change_secret(&self, service: Service, id: &str, new_secret: &str) {
        self.state(service).change_secret(id, new_secret);
    }

    /// Sets how long tokens issued from now on live, measured from the issue. The answer states
    /// it in whole seconds, rounded down but at least 1 (Send Payments: in milliseconds).
    pub fn set_lifetime(&self, service: Service, lifetime: Duration) {
        self.state(service).set_lifetime(lifetime);
    }

    /// Sets a pause before every token request is processed; the end of the sandbox ends it.
    pub fn set_delay(&self, service: Service, delay: Duration) {
        self.state(service).set_delay(delay);
    }

    /// Spoils the next token requests, after the faults already queued. A request takes its fault
    /// when it is processed, that is, after a [`hold`](Sandbox::hold).
    pub fn fault_next(&self, service: Service, times: usize, fault: Fault) {
        self.state(service).queue_fault(Endpoint::Token, times, vec![fault]);
    }

    /// Spoils every token request (the queued faults go first) until called with `None`.
    pub fn fault_always(&self, service: Service, fault: Option<Fault>) {
        self.state(service).keep_fault(Endpoint::Token, fault.into_iter().collect());
    }

    /// Spoils the next requests at the example API endpoints. A fault that replaces the answer is
    /// given whatever the token.
    pub fn api_fault_next(&self, service: Service, times: usize, fault: Fault) {
        self.state(service).queue_fault(Endpoint::Api, times, vec![fault]);
    }

    /// Forgets all faults still to come, at the token and the API endpoints.
    pub fn clear_faults(&self, service: Service) {
        self.state(service).clear_faults(Endpoint::Token);
        self.state(service).clear_faults(Endpoint::Api);
    }

    /// Keeps token requests that arrive from now on waiting, before their token is issued, until
    /// the hold is released or dropped.
    pub fn hold(&self, service: Service) -> Hold {
        let state = self.state(service);
        let gate = state.add_gate();
        Hold { gate, state }
    }

    /// Ends a token of any service; false if no such token is valid.
    pub fn revoke(&self, token: &str) -> bool {
        self.services.all().iter().any(|state| state.revoke(token))
    }

    /// Ends all tokens of a service.
    pub fn revoke_all(&self, service: Service) {
        self.state(service).revoke_all();
    }

    /// Whether the service would accept this token now.
    pub fn is_valid(&self, service: Service, token: &str) -> bool {
        self.state(service).standing(token) == Standing::Valid
    }

    /// What the service has counted.
    pub fn counts(&self, service: Service) -> Counts {
        self.state(service).counts()
    }

    /// How many token requests the service has read.
    pub fn token_requests(&self, service: Service) -> usize {
        self.counts(service).token_requests
    }

    /// How many of them named this client, with whatever secret.
    pub fn token_requests_by(&self, service: Service, client_id: &str) -> usize {
        let by_client = self.state(service).counts_by_client();
        by_client.get(client_id).copied().unwrap_or_default()
    }

    /// How many of them came while another one of this client was in work.
    pub fn overlapping_token_requests_by(&self, service: Service, client_id: &str) -> usize {
        self.state(service).overlaps_by(client_id)
    }

    /// Sets all counters of all services to zero.
    pub fn reset_counts(&self) {
        for state in self.services.all() {
            state.reset_counts();
        }
    }

    /// The last 64 requests to a service, head and body as received inside TLS.
    pub fn received(&self, service: Service) -> Vec<Vec<u8>> {
        self.state(service).received()
    }

    /// The environment variables that point a program at this sandbox, given the paths of the
    /// files with the authority's certificate, the client's certificate and the client's key.
    pub fn variables(&self, ca: &str, certificate: &str, key: &str) -> Vec<(String, String)> {
        variables::of(self, ca, certificate, key)
    }

    /// The client certificate as the value of `X-SSL-Client-Cert`, encoded as nginx does.
    pub fn client_certificate_header(&self) -> String {
        text::percent_encode(self.client_certificate_pem())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.stop();
        for state in self.services.all() {
            state.open_gates();
        }
        for listener in lock(&self.listeners).iter().chain([&self.control]) {
            listener.wake();
        }
        self.registry.close();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = formatter.debug_struct("Sandbox");
        for service in self.services() {
            out.field(service.facts().name, &self.address(service));
        }
        out.field("control", &self.control_address()).finish_non_exhaustive()
    }
}
