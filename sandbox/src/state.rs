//! The state of one simulated service: its clients, tokens, settings, faults, counters and holds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Service;
use crate::counts::{Counters, Counts};
use crate::described::Described;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::stop::Stop;
use crate::text::lock;
use crate::tokens::{Issued, Ledger, Standing};

/// How many requests are kept as received.
const KEPT_REQUESTS: usize = 64;

/// Which of a service's endpoints a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    Api,
}

/// What is known of a client.
#[derive(Clone, Debug)]
struct Client {
    secret: String,
    suspended: bool,
}

/// What a service makes of an id and a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Welcome,
    WrongCredentials,
    Suspended,
}

/// Faults to come: first the queue, then the one that stays.
#[derive(Default)]
struct Faults {
    queue: VecDeque<(usize, Vec<Fault>)>,
    always: Vec<Fault>,
}

impl Faults {
    fn next(&mut self) -> Vec<Fault> {
        let Some((left, faults)) = self.queue.front_mut() else {
            return self.always.clone();
        };
        if *left > 1 {
            *left -= 1;
            return faults.clone();
        }
        self.queue.pop_front().map(|(_, faults)| faults).unwrap_or_default()
    }
}

struct Settings {
    lifetime: Duration,
    delay: Duration,
    token_faults: Faults,
    api_faults: Faults,
}

impl Settings {
    fn of(service: Service) -> Settings {
        Settings {
            lifetime: service.facts().sandbox.lifetime.unwrap_or(Duration::from_secs(3600)),
            delay: Duration::ZERO,
            token_faults: Faults::default(),
            api_faults: Faults::default(),
        }
    }

    fn faults(&mut self, endpoint: Endpoint) -> &mut Faults {
        match endpoint {
            Endpoint::Token => &mut self.token_faults,
            Endpoint::Api => &mut self.api_faults,
        }
    }
}

/// Everything one service knows; shared by its connections and the [`Sandbox`](crate::Sandbox).
pub(crate) struct ServiceState {
    pub(crate) service: Service,
    /// What is known of one that was described.
    pub(crate) described: Option<Described>,
    pub(crate) stop: Arc<Stop>,
    clients: Mutex<HashMap<String, Client>>,
    ledger: Mutex<Ledger>,
    settings: Mutex<Settings>,
    counters: Mutex<Counters>,
    received: Mutex<VecDeque<Vec<u8>>>,
    gates: Mutex<Vec<Arc<Gate>>>,
    /// DER of certificates that are refused.
    revoked_certificates: Mutex<HashSet<Vec<u8>>>,
}

impl ServiceState {
    pub(crate) fn new(
        service: Service,
        described: Option<Described>,
        stop: Arc<Stop>,
    ) -> ServiceState {
        ServiceState {
            service,
            described,
            stop,
            clients: Mutex::default(),
            ledger: Mutex::new(Ledger::new(service)),
            settings: Mutex::new(Settings::of(service)),
            counters: Mutex::default(),
            received: Mutex::default(),
            gates: Mutex::default(),
            revoked_certificates: Mutex::default(),
        }
    }

    // Clients.

    /// Adds a client, or gives a known one this secret and ends its suspension.
    pub(crate) fn add_client(&self, id: &str, secret: &str) {
        let client = Client { secret: secret.to_owned(), suspended: false };
        lock(&self.clients).insert(id.to_owned(), client);
    }

    /// Changes a known client's secret; an unknown id changes nothing.
    pub(crate) fn change_secret(&self, id: &str, secret: &str) {
        if let Some(client) = lock(&self.clients).get_mut(id) {
            client.secret = secret.to_owned();
        }
    }

    /// Whether there is such a client.
    pub(crate) fn suspend(&self, id: &str, suspended: bool) -> bool {
        let mut clients = lock(&self.clients);
        let client = clients.get_mut(id);
        client.map(|client| client.suspended = suspended).is_some()
    }

    /// Each of the secrets has to be the client's; who proves itself otherwise has none.
    pub(crate) fn judge(&self, id: &str, secrets: &[impl AsRef<str>]) -> Verdict {
        match lock(&self.clients).get(id) {
            Some(client) if secrets.iter().all(|secret| client.secret == secret.as_ref()) => {
                match client.suspended {
                    false => Verdict::Welcome,
                    true => Verdict::Suspended,
                }
            }
            _ => Verdict::WrongCredentials,
        }
    }

    pub(crate) fn revoke_certificate(&self, der: Vec<u8>) {
        lock(&self.revoked_certificates).insert(der);
    }

    pub(crate) fn is_certificate_revoked(&self, der: &[u8]) -> bool {
        lock(&self.revoked_certificates).contains(der)
    }

    // Tokens.

    pub(crate) fn issue(
        &self,
        client: &str,
        lifetime: Option<Duration>,
        clock_offset_seconds: i64,
    ) -> Issued {
        let lifetime = lifetime.unwrap_or_else(|| lock(&self.settings).lifetime);
        let issued = lock(&self.ledger).issue(client, lifetime, clock_offset_seconds);
        lock(&self.counters).counts.tokens_issued += 1;
        issued
    }

    pub(crate) fn standing(&self, token: &str) -> Standing {
        lock(&self.ledger).standing(token)
    }

    pub(crate) fn revoke(&self, token: &str) -> bool {
        lock(&self.ledger).revoke(token)
    }

    pub(crate) fn revoke_all(&self) {
        lock(&self.ledger).revoke_all();
    }

    // Settings and faults.

    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        lock(&self.settings).lifetime = lifetime;
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        lock(&self.settings).delay = delay;
    }

    pub(crate) fn delay(&self) -> Duration {
        lock(&self.settings).delay
    }

    pub(crate) fn queue_fault(&self, endpoint: Endpoint, times: usize, faults: Vec<Fault>) {
        if times > 0 {
            let mut settings = lock(&self.settings);
            settings.faults(endpoint).queue.push_back((times, faults));
        }
    }

    pub(crate) fn keep_fault(&self, endpoint: Endpoint, faults: Vec<Fault>) {
        lock(&self.settings).faults(endpoint).always = faults;
    }

    pub(crate) fn clear_faults(&self, endpoint: Endpoint) {
        *lock(&self.settings).faults(endpoint) = Faults::default();
    }

    pub(crate) fn next_faults(&self, endpoint: Endpoint) -> Vec<Fault> {
        lock(&self.settings).faults(endpoint).next()
    }

    pub(crate) fn reset_settings(&self) {
        *lock(&self.settings) = Settings::of(self.service);
    }

    // Counters and records.

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.counters).counts
    }

    pub(crate) fn counts_by_client(&self) -> HashMap<String, usize> {
        lock(&self.counters).by_client.clone()
    }

    pub(crate) fn overlaps_by(&self, client: &str) -> usize {
        lock(&self.counters).overlaps_by_client.get(client).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counters).counts);
    }

    pub(crate) fn reset_counts(&self) {
        lock(&self.counters).reset();
    }

    /// Keeps a request as received.
    pub(crate) fn record(&self, raw: &[u8]) {
        let mut received = lock(&self.received);
        if received.len() == KEPT_REQUESTS {
            received.pop_front();
        }
        received.push_back(raw.to_vec());
    }

    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.received).iter().cloned().collect()
    }

    pub(crate) fn clear_received(&self) {
        lock(&self.received).clear();
    }

    // Token requests in work, and holds.

    /// Counts a token request that has been read, then keeps it as long as a hold asks.
    pub(crate) fn arrive(self: &Arc<Self>, client: Option<&str>) -> InFlight {
        let gates = lock(&self.gates).clone();
        {
            let mut counters = lock(&self.counters);
            counters.counts.token_requests += 1;
            if let Some(client) = client {
                *counters.by_client.entry(client.to_owned()).or_default() += 1;
                let in_work = counters.in_flight_by_client.entry(client.to_owned()).or_default();
                *in_work += 1;
                if *in_work > 1 {
                    *counters.overlaps_by_client.entry(client.to_owned()).or_default() += 1;
                }
            }
            counters.in_flight += 1;
            let most = counters.in_flight;
            let counts = &mut counters.counts;
            counts.max_concurrent_token_requests = counts.max_concurrent_token_requests.max(most);
        }
        for gate in &gates {
            gate.arrive();
        }
        for gate in &gates {
            gate.wait();
        }
        InFlight { state: Arc::clone(self), client: client.map(str::to_owned) }
    }

    pub(crate) fn add_gate(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        lock(&self.gates).push(Arc::clone(&gate));
        gate
    }

    pub(crate) fn remove_gate(&self, gate: &Arc<Gate>) {
        lock(&self.gates).retain(|other| !Arc::ptr_eq(other, gate));
    }

    /// Lets every held request go: the sandbox ends.
    pub(crate) fn open_gates(&self) {
        for gate in std::mem::take(&mut *lock(&self.gates)) {
            gate.open();
        }
    }
}

/// All services of one sandbox, which may become more.
#[derive(Default)]
pub(crate) struct Services(Mutex<Vec<Arc<ServiceState>>>);

impl Services {
    pub(crate) fn add(&self, state: Arc<ServiceState>) {
        lock(&self.0).push(state);
    }

    pub(crate) fn all(&self) -> Vec<Arc<ServiceState>> {
        lock(&self.0).clone()
    }
}

/// A token request in work; dropped just before the client can know the answer, so that a client
/// that asks one after the other is never seen as asking twice at once.
pub(crate) struct InFlight {
    state: Arc<ServiceState>,
    client: Option<String>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counters = lock(&self.state.counters);
        counters.in_flight -= 1;
        if let Some(client) = &self.client
            && let Some(in_work) = counters.in_flight_by_client.get_mut(client)
        {
            *in_work -= 1;
            if *in_work == 0 {
                counters.in_flight_by_client.remove(client);
            }
        }
    }
}
