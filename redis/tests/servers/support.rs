//! Sources that reach the sandbox and share a store, a clock that is moved by hand, and tools.

use std::io::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paytoken::{
    Attempt, Builder, ClientCertificate, Clock, Credentials, Environment, Error, Event, EventKind,
    Now, Provider, Token, TokenSource,
};
use paytoken_sandbox::Sandbox;

use crate::server::until;

pub(crate) const NTX: Provider = Provider::NtxPay;
pub(crate) const SEND: Provider = Provider::SendPayments;

/// Whether a tool is there. In CI it has to be; elsewhere its absence is said aloud.
pub(crate) fn has_tool(tool: &str) -> bool {
    let found = is_installed(tool);
    assert!(found || std::env::var_os("CI").is_none(), "{tool} has to be installed in CI");
    if !found {
        say(&format!("not checked: {tool} is not installed here"));
    }
    found
}

pub(crate) fn is_installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}

/// Past the test harness, which keeps what a passing test prints.
pub(crate) fn say(message: &str) {
    std::io::stderr().write_all(format!("{message}\n").as_bytes()).unwrap();
}

/// A builder that reaches the sandbox with its own client.
pub(crate) fn builder(sandbox: &Sandbox, provider: Provider) -> Builder {
    let certificate = || {
        ClientCertificate::from_pem(sandbox.client_certificate_pem())
            .unwrap()
            .with_private_key(sandbox.client_key_pem())
            .unwrap()
    };
    let certificate = provider.facts().takes_certificate.then(certificate);
    let (id, secret) = (sandbox.client_id(provider), sandbox.client_secret(provider));
    let credentials = Credentials::new(provider, id, secret, certificate).unwrap();
    TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&sandbox.url(provider))
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
}

/// Which of two requests Send has seen last, nobody here knows: the API's 401 says so, and one more
/// request settles it. Then both machines have the same valid token, and no 401 reached a caller.
pub(crate) fn settle(sandbox: &Sandbox, sources: &[TokenSource; 2]) {
    until("both have the valid token", || {
        let [first, second] = [0, 1].map(|index: usize| {
            let call = |token: &Token| {
                let is_valid = sandbox.is_valid(SEND, token.secret());
                let secret = token.secret().to_owned();
                Ok::<_, Error>(match is_valid {
                    true => Attempt::Done((secret, true)),
                    false => Attempt::Unauthorized((secret, false)),
                })
            };
            sources[index].call(call).unwrap()
        });
        assert!(first.1 && second.1, "a 401 reached a caller");
        first == second
    });
}

/// Both clocks, moved by hand.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Now>>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Now::from_system())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.monotonic += by;
        now.wall += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// Counts what events tell.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    pub(crate) fn hook(&self) -> impl Fn(&Event) + Send + Sync + use<> {
        let told = self.0.clone();
        move |event| {
            let text = match &event.kind {
                EventKind::Failed { error, still_has_token, .. } => {
                    format!("failed {:?} {still_has_token}", error.kind())
                }
                other => other.name().to_owned(),
            };
            told.lock().unwrap().push(text);
        }
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|text| *text == what).count()
    }
}
