//! The whole library in one run, on your machine alone: `cargo run -p quickstart`.
//!
//! It starts the sandbox (the three providers, simulated over real TLS on loopback), asks it for
//! tokens as a program would, and prints what happened. Exits with 1 if anything is not as promised.
//!
//! Time is moved by hand, so that nobody has to wait ten minutes for a token to age.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use paytoken::{
    Attempt, ClientCertificate, Clock, Credentials, Environment, Error, ErrorKind, Now, Provider,
    Renewal, Token, TokenSource,
};
use paytoken_sandbox::{Sandbox, example_call};

const THREADS: usize = 32;
const PROVIDER_TAKES: Duration = Duration::from_millis(300);

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start()?;
    let mut table = Table::new();
    for &provider in Provider::ALL {
        run(&sandbox, provider, &mut table)?;
    }
    Ok(table.finish())
}

fn run(sandbox: &Sandbox, provider: Provider, table: &mut Table) -> Result<(), Error> {
    let clock = HandMovedClock::new();
    let secret = sandbox.client_secret(provider).to_owned();
    let source = source(sandbox, provider, &secret, &clock)?;
    sandbox.set_delay(provider, PROVIDER_TAKES);
    table.begin(provider);

    let mut step = Step::begin(sandbox, provider, "first token");
    let first = source.token()?;
    step.end(table, 1, true, format!("{}, for {:.0?}", masked(&first), first.lifetime()));

    step = Step::begin(sandbox, provider, "1,000 calls from the cache");
    let same =
        (0..1000).all(|_| source.token().is_ok_and(|token| token.secret() == first.secret()));
    step.end(table, 0, same, String::new());

    // A source of its own, so that its cache is empty.
    let empty = self::source(sandbox, provider, &secret, &clock)?;
    step = Step::begin(sandbox, provider, "32 threads, empty cache");
    let calls = at_once(&empty)?;
    step.end(table, 1, distinct(&calls) == 1, String::new());

    let current = match provider.facts().renewal {
        Renewal::ReplacesPrevious => {
            // Its tokens replace each other, so the cache above now holds the only valid one.
            clock.advance(Duration::from_secs(286));
            step = Step::begin(sandbox, provider, "32 threads, 95 % of life");
            let calls = at_once(&empty)?;
            let is_new = calls.iter().all(|call| call.token.secret() != first.secret());
            let as_promised = is_new && distinct(&calls) == 1;
            step.end(table, 1, as_promised, "one renewed, all waited for it".into());
            &empty
        }
        _ => {
            clock.advance(first.lifetime() * 92 / 100);
            step = Step::begin(sandbox, provider, "32 threads, renewal window");
            let calls = at_once(&source)?;
            let others = calls.iter().filter(|call| call.token.secret() == first.secret());
            let longest = others.map(|call| call.took).max().unwrap_or_default();
            // At least one goes on with the old token; late ones may already get the new one.
            let as_promised = distinct(&calls) <= 2 && longest < PROVIDER_TAKES;
            let told = format!("one renewed, others took {longest:.0?}");
            step.end(table, 1, as_promised, told);
            &source
        }
    };

    let api = Api::new(sandbox, provider);
    sandbox.revoke_all(provider);
    step = Step::begin(sandbox, provider, "API call, revoked token");
    let mut runs = 0;
    let status = current.call(|token| {
        runs += 1;
        Ok::<_, Error>(match api.status(token) {
            401 => Attempt::Unauthorized(401),
            status => Attempt::Done(status),
        })
    })?;
    step.end(table, 1, (runs, status) == (2, 200), "401, new token, replay, 200".into());

    let wrong = self::source(sandbox, provider, "wrong-secret", &clock)?;
    step = Step::begin(sandbox, provider, "100 calls, wrong secret");
    let refused =
        (0..100).all(|_| wrong.token().is_err_and(|error| error.kind() == ErrorKind::Rejected));
    let blocked = wrong.status().blocked_for.unwrap_or_default();
    step.end(table, 1, refused, format!("asked once, remembered {} s", blocked.as_secs()));
    Ok(())
}

fn source(
    sandbox: &Sandbox,
    provider: Provider,
    secret: &str,
    clock: &HandMovedClock,
) -> Result<TokenSource, Error> {
    let id = sandbox.client_id(provider).to_owned();
    let certificate = match provider.facts().takes_certificate {
        true => Some(
            ClientCertificate::from_pem(sandbox.client_certificate_pem())?
                .with_private_key(sandbox.client_key_pem())?,
        ),
        false => None,
    };
    let credentials = Credentials::new(provider, id, secret, certificate)?;
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&sandbox.url(provider))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
        .proxy("") // that of the environment does not lead to this machine
        .clock(clock.clone())
        .build()
}

/// A token is shown like this, never whole.
fn masked(token: &Token) -> String {
    let text = token.secret();
    format!("{}…({} bytes)", text.get(..6).unwrap_or_default(), text.len())
}

struct Call {
    token: Token,
    took: Duration,
}

/// All threads ask at the same moment.
fn at_once(source: &TokenSource) -> Result<Vec<Call>, Error> {
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let began = Instant::now();
                    source.token().map(|token| Call { token, took: began.elapsed() })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn distinct(calls: &[Call]) -> usize {
    calls.iter().map(|call| call.token.secret()).collect::<HashSet<_>>().len()
}

/// Both clocks, moved forward by hand.
#[derive(Clone)]
struct HandMovedClock(Arc<Mutex<Now>>);

impl HandMovedClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Now::from_system())))
    }

    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall += by;
    }
}

impl Clock for HandMovedClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// The provider's own API, called as your program would.
struct Api {
    agent: ureq::Agent,
    url: String,
    method: &'static str,
}

impl Api {
    fn new(sandbox: &Sandbox, provider: Provider) -> Self {
        use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

        let pem = |pem: &str| Certificate::from_pem(pem.as_bytes()).unwrap();
        let key = PrivateKey::from_pem(sandbox.client_key_pem().as_bytes()).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[pem(sandbox.ca_pem())]))
            .client_cert(Some(ClientCert::new_with_certs(
                &[pem(sandbox.client_certificate_pem())],
                key,
            )))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .build();
        let (method, path) = example_call(provider);
        let url = format!("{}{path}", sandbox.url(provider));
        Self { agent: config.new_agent(), url, method }
    }

    fn status(&self, token: &Token) -> u16 {
        let answer = match self.method {
            "POST" => self.agent.post(&self.url).header("Authorization", token.bearer()).send("{}"),
            _ => self.agent.get(&self.url).header("Authorization", token.bearer()).call(),
        };
        answer.unwrap().status().as_u16()
    }
}

/// One line of the table while it happens.
struct Step<'a> {
    sandbox: &'a Sandbox,
    provider: Provider,
    name: &'static str,
    requests_before: usize,
    began: Instant,
}

impl<'a> Step<'a> {
    fn begin(sandbox: &'a Sandbox, provider: Provider, name: &'static str) -> Self {
        let requests_before = sandbox.token_requests(provider);
        Self { sandbox, provider, name, requests_before, began: Instant::now() }
    }

    fn end(self, table: &mut Table, promised_requests: usize, as_promised: bool, what: String) {
        let took = self.began.elapsed();
        let requests = self.sandbox.token_requests(self.provider) - self.requests_before;
        let as_promised = as_promised && requests == promised_requests;
        table.failures += usize::from(!as_promised);
        let mark = if as_promised { "ok" } else { "NO" };
        let name = self.name;
        println!("{mark}  {name:<26} {requests:>4} {:>7}", format!("{took:.0?}"));
        if !what.is_empty() {
            println!("      {what}");
        }
    }
}

struct Table {
    failures: usize,
}

impl Table {
    fn new() -> Self {
        println!("The sandbox takes {PROVIDER_TAKES:?} for each token.");
        Self { failures: 0 }
    }

    /// The head of a provider's lines. Narrow: the README shows them on a phone, too.
    fn begin(&self, provider: Provider) {
        println!("\n{:<27}requests    took", provider.to_string());
    }

    fn finish(self) -> ExitCode {
        match self.failures {
            0 => {
                println!("\nEverything as promised.");
                ExitCode::SUCCESS
            }
            count => {
                println!("\n{count} steps were not as promised.");
                ExitCode::FAILURE
            }
        }
    }
}
