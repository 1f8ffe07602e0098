//! What sources with a store tell, and how two of them settle.

use std::sync::{Arc, Mutex};

use paytoken::{Attempt, Error, Event, EventKind, Provider, Token, TokenSource};
use paytoken_sandbox::Sandbox;
use paytoken_testing::until;

pub(crate) const NTX: Provider = Provider::NtxPay;
pub(crate) const SEND: Provider = Provider::SendPayments;

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

/// What was logged of this place, such as a server's folder or port. All tests log to one record.
pub(crate) fn logged(place: &str) -> Vec<String> {
    LOGGED.0.lock().unwrap().iter().filter(|line| line.contains(place)).cloned().collect()
}

/// From now on, records are kept.
pub(crate) fn keep_log() {
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(log::LevelFilter::Info);
}

static LOGGED: Logged = Logged(Mutex::new(Vec::new()));

struct Logged(Mutex<Vec<String>>);

impl log::Log for Logged {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "paytoken"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}
