//! One cell: a fault, a provider, a state of the cache; what should happen and what does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use paytoken::{Credentials, Environment, Provider, Renewal, TokenSource};
use paytoken_testing::{ManualClock, injected_credentials};

use crate::expect::{Bound, Expect, Row};
use crate::server::{Fault, Server};

/// What the source holds when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    /// NTX Pay and NexterPay: good, and due for renewal; asked for with `token()`.
    /// Send Payments: good; a new one is asked for with `refresh()`.
    Valid,
    Ended,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Empty, Self::Valid, Self::Ended];
}

pub struct Cell {
    pub provider: Provider,
    pub state: State,
}

/// Where a time-out is what is awaited. Long enough to get the first token on a busy machine.
const SHORT: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_millis(1000);
/// Nothing that ends at once takes as long, on the busiest machine.
const LONG: Duration = Duration::from_secs(30);

/// When every fault begins, a whole second, so that dates in headers, which are cut to seconds, are
/// exact: Thu, 01 Jan 2026 00:00:00 GMT.
pub fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

impl Cell {
    pub fn all(row: &Row) -> impl Iterator<Item = Self> + use<> {
        // Where the name is never found there is no server to get a first token from.
        let states = if row.fault.has_server() { &State::ALL[..] } else { &State::ALL[..1] };
        Provider::ALL.iter().copied().flat_map(move |provider| {
            states.iter().map(move |state| Self { provider, state: *state })
        })
    }

    /// As the table says.
    pub fn expected(&self, row: &Row) -> String {
        let Expect { kind, requests, keeps, silent } = row.expected_of(self.provider);
        let goes_on = self.state == State::Valid && !self.replaces();
        let (what, requests) = match kind {
            None => ("new token".to_owned(), requests),
            Some(_) if goes_on => ("old token".to_owned(), 1),
            Some(kind) => (format!("`{kind:?}`"), requests),
        };
        let replaces = kind.is_some() && self.state == State::Valid && !goes_on;
        text(&what, requests, silent, replaces.then_some(keeps))
    }

    /// As it is.
    pub fn happens(&self, row: &Row) -> String {
        let clock = ManualClock::at(start() - self.age());
        let server = Server::start(self.provider, &row.fault);
        let (timeout, connect) = match row.time {
            Bound::AtOnce => (LONG, LONG),
            Bound::TimeOut => (SHORT, LONG),
            Bound::ConnectTimeOut => (LONG, CONNECT),
        };
        let source = TokenSource::builder(self.credentials(), Environment::Sandbox)
            .base_url(&server.url)
            .root_certificates_pem(server.roots().as_bytes())
            .proxy("")
            .timeout(timeout)
            .connect_timeout(connect)
            .clock(clock.clone())
            .build()
            .unwrap();
        if self.state != State::Empty {
            let old = match source.token() {
                Ok(old) => old,
                Err(error) => return format!("no first token: {error}"),
            };
            assert_eq!(old.secret(), "old.token.held");
            clock.advance(self.age());
        }
        server.begin_fault();
        let before = source.status().requests;
        let began = Instant::now();
        let replaces = self.state == State::Valid && self.replaces();
        let result = if replaces { source.refresh() } else { source.token() };
        let took = began.elapsed();
        let what = match &result {
            Ok(token) if token.secret() == "old.token.held" => "old token".to_owned(),
            Ok(token) if token.secret() == "new.token.fetched" => "new token".to_owned(),
            Ok(token) => format!("token {}", token.secret()),
            Err(error) => format!("`{:?}`", error.kind()),
        };
        let status = source.status();
        let silent = status.blocked_for.unwrap_or_default().as_secs_f64().ceil() as u64;
        let keeps = (replaces && result.is_err()).then_some(status.token.is_some());
        let mut seen = text(&what, status.requests - before, silent, keeps);
        if !self.is_in_time(row, took) {
            seen += &format!(", in {took:?}");
        }
        if std::env::var_os("FAULTS_EXPLAIN").is_some()
            && let Err(error) = &result
        {
            seen += &format!(" {error:?}");
        }
        seen
    }

    fn is_in_time(&self, row: &Row, took: Duration) -> bool {
        // A busy machine may be late with everything, but not by this much.
        const LATE: Duration = Duration::from_secs(15);
        match row.time {
            Bound::AtOnce => took < LATE,
            Bound::TimeOut => took < SHORT + LATE,
            Bound::ConnectTimeOut => took < CONNECT * 3 + LATE,
        }
    }

    /// How old the held token is when the fault begins.
    fn age(&self) -> Duration {
        let lifetime = self.provider.facts().sandbox.lifetime.unwrap();
        match self.state {
            State::Empty => Duration::ZERO,
            State::Valid if self.replaces() => Duration::ZERO,
            State::Valid => lifetime * 94 / 100,
            State::Ended => lifetime,
        }
    }

    /// Whether a new token ends the one before, so that it is not renewed before its time.
    fn replaces(&self) -> bool {
        self.provider.facts().renewal == Renewal::ReplacesPrevious
    }

    fn credentials(&self) -> Credentials {
        injected_credentials(self.provider, "merchant", "not-a-real-secret")
    }
}

impl Fault {
    fn has_server(&self) -> bool {
        !matches!(self, Self::NoSuchHost)
    }
}

fn text(what: &str, requests: u64, silent: u64, keeps: Option<bool>) -> String {
    let plural = if requests == 1 { "" } else { "s" };
    let mut text = format!("{what}, {requests} request{plural}");
    if silent > 0 {
        text += &format!(", no new request for {silent} s");
    }
    match keeps {
        Some(true) => text += ", old token stays",
        Some(false) => text += ", old token dropped",
        None => {}
    }
    text
}
