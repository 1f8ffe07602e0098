//! What must hold between processes. All of them tell one judge, who puts it in the order in which
//! it happened, and looks a few seconds later.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use paytoken::{Provider, Renewal};
use paytoken_sandbox::Sandbox;

use crate::line::{Line, What, now};
use crate::recipe::owner;

/// A line, and which process told it; 0 is the parent.
pub(crate) struct Told {
    pub(crate) process: usize,
    pub(crate) line: Line,
}

const SECOND: u64 = 1_000_000;
/// A line that takes longer than this to come is not judged, but counted.
const PATIENCE: u64 = 5 * SECOND;
/// Clocks are written down in milliseconds.
const ROUNDING: u64 = SECOND / 100;
/// What others did is known everywhere within this time.
const KNOWN_WITHIN: u64 = SECOND + ROUNDING;

#[derive(Default)]
pub(crate) struct Judge {
    waiting: BTreeMap<(u64, u64), Told>,
    came: u64,
    judged_until: u64,
    pub(crate) late: u64,
    pub(crate) accounts: BTreeMap<String, Case>,
}

/// What is known of one account.
pub(crate) struct Case {
    pub(crate) provider: Provider,
    pub(crate) handed: u64,
    pub(crate) errors: u64,
    pub(crate) requests: u64,
    pub(crate) fetched: u64,
    pub(crate) failed: u64,
    pub(crate) invalidated: u64,
    pub(crate) most_attempts: u32,
    /// Requests whose process was killed before it said what came of them.
    pub(crate) orphans: u64,
    // What must not happen.
    pub(crate) foreign: u64,
    pub(crate) revoked: u64,
    pub(crate) superseded: u64,
    pub(crate) over_the_pace: [u64; KINDS.len()],

    /// By their last part.
    tokens: HashMap<String, Seen>,
    newest: Option<(String, u64)>,
    /// Requests under way, by process.
    open: HashMap<usize, Open>,
    fetched_at: u64,
    /// No request that nobody forces before these moments.
    held_until: [u64; KINDS.len()],
    /// In a row.
    refusals: u32,
    /// Failed requests in a row.
    failures: u32,
}

/// Why requests are held back.
pub(crate) const KINDS: [&str; 3] = ["a refusal", "a wait that was asked for", "an outage"];

#[derive(Default)]
struct Seen {
    first: u64,
    invalidated: Option<u64>,
    superseded: Option<u64>,
}

struct Open {
    at: u64,
    attempts: u32,
}

impl Judge {
    pub(crate) fn new(accounts: impl IntoIterator<Item = (Provider, String)>) -> Self {
        let accounts = accounts.into_iter().map(|(provider, id)| (id, Case::new(provider)));
        Self { accounts: accounts.collect(), ..Self::default() }
    }

    /// Until it is over, and nothing more comes.
    pub(crate) fn run(
        mut self,
        sandbox: &Sandbox,
        told: Receiver<Told>,
        is_over: &AtomicBool,
    ) -> Self {
        loop {
            match told.recv_timeout(Duration::from_millis(100)) {
                Ok(told) => {
                    // The provider has ended it, if there is to be a 401.
                    if let What::Invalidated { token } = &told.line.what {
                        sandbox.revoke(token);
                    }
                    self.late += u64::from(told.line.at < self.judged_until);
                    self.came += 1;
                    self.waiting.insert((told.line.at, self.came), told);
                }
                Err(RecvTimeoutError::Timeout) if !is_over.load(Ordering::Relaxed) => {}
                Err(_) => break,
            }
            self.judge(now().saturating_sub(PATIENCE));
        }
        self.judge(u64::MAX);
        self
    }

    fn judge(&mut self, until: u64) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 < until
        {
            let Told { process, line } = first.remove();
            self.judged_until = self.judged_until.max(line.at);
            if line.what == What::Died {
                for case in self.accounts.values_mut() {
                    case.orphans += u64::from(case.open.remove(&process).is_some());
                }
            } else if let Some(case) = self.accounts.get_mut(&line.account) {
                case.take(process, line);
            }
        }
    }
}

impl Case {
    fn new(provider: Provider) -> Self {
        Self {
            provider,
            handed: 0,
            errors: 0,
            requests: 0,
            fetched: 0,
            failed: 0,
            invalidated: 0,
            most_attempts: 0,
            orphans: 0,
            foreign: 0,
            revoked: 0,
            superseded: 0,
            over_the_pace: [0; KINDS.len()],
            tokens: HashMap::new(),
            newest: None,
            open: HashMap::new(),
            fetched_at: 0,
            held_until: [0; KINDS.len()],
            refusals: 0,
            failures: 0,
        }
    }

    fn take(&mut self, process: usize, line: Line) {
        let at = line.at;
        match line.what {
            What::Asks { attempt, is_forced } => self.asks(process, at, attempt, is_forced),
            What::Fetched => {
                self.fetched += 1;
                self.open.remove(&process);
                self.succeeds(at);
            }
            What::Failed { status, has_token, is_local } => {
                if let Some(open) = self.open.remove(&process) {
                    self.failed += 1;
                    self.fails(&open, status, has_token, is_local);
                }
            }
            What::Handed { began, token } => {
                self.handed += 1;
                self.foreign +=
                    u64::from(owner(&token) != Some((self.provider, line.account.clone())));
                self.hands_out(at, began, &token);
            }
            What::Nothing => self.errors += 1,
            What::Invalidated { token } => {
                self.invalidated += 1;
                self.tokens.entry(last_part(&token)).or_default().invalidated.get_or_insert(at);
            }
            What::Died => {}
        }
    }

    /// Retries of the same fetch are counted elsewhere.
    fn asks(&mut self, process: usize, at: u64, attempt: u32, is_forced: bool) {
        self.requests += 1;
        self.most_attempts = self.most_attempts.max(attempt);
        if attempt == 1
            && !is_forced
            && let Some(kind) = self.held_until.iter().position(|until| at + ROUNDING < *until)
        {
            self.over_the_pace[kind] += 1;
            let early = (self.held_until[kind] - at) / 1000;
            eprintln!("process {process} asks {early} ms too early after {}", KINDS[kind]);
        }
        self.open.insert(process, Open { at, attempts: attempt });
    }

    fn succeeds(&mut self, at: u64) {
        self.fetched_at = at;
        self.held_until = [0; KINDS.len()];
        (self.refusals, self.failures) = (0, 0);
    }

    /// As `src/policy/pace.rs` says; counted from the request, which is before its answer.
    fn fails(&mut self, open: &Open, status: u16, has_token: bool, is_local: bool) {
        // Somebody was forced to ask meanwhile, and got a token.
        if self.fetched_at > open.at || is_local {
            return;
        }
        let (kind, seconds) = match status {
            401 | 403 => {
                self.refusals += 1;
                (0, 60 * 4u64.pow(self.refusals.min(4) - 1))
            }
            // The sandbox always says `Retry-After: 1`.
            429 | 503 => (1, 1),
            // Only a refusal holds back who has a token; each process counts its renewals itself.
            _ if has_token => {
                self.failures = 0;
                return;
            }
            _ => {
                self.failures += open.attempts;
                (2, [1, 2, 5, 10, 15][self.failures.min(5) as usize - 1])
            }
        };
        let until = open.at + seconds.min(900) * SECOND;
        self.held_until[kind] = self.held_until[kind].max(until);
    }

    fn hands_out(&mut self, at: u64, began: u64, token: &str) {
        let name = last_part(token);
        if !self.tokens.contains_key(&name) {
            // Its process may have been killed before it could tell.
            self.succeeds(at);
            self.tokens.retain(|_, seen| seen.first + 60 * SECOND > at);
        }
        let seen = self
            .tokens
            .entry(name.clone())
            .or_insert_with(|| Seen { first: at, ..Seen::default() });
        let is_known = |since: Option<u64>| since.is_some_and(|since| began > since + KNOWN_WITHIN);
        self.revoked += u64::from(is_known(seen.invalidated));
        self.superseded += u64::from(is_known(seen.superseded));
        if self.provider.facts().renewal != Renewal::ReplacesPrevious || seen.superseded.is_some() {
            return;
        }
        match &self.newest {
            Some((newest, _)) if *newest == name => {}
            // A slow thread may bring an old one.
            Some((_, since)) if began <= *since => {}
            Some((newest, _)) => {
                if let Some(older) = self.tokens.get_mut(newest) {
                    older.superseded = Some(at);
                }
                self.newest = Some((name, at));
            }
            None => self.newest = Some((name, at)),
        }
    }
}

fn last_part(token: &str) -> String {
    token.rsplit('.').next().unwrap_or_default().to_owned()
}
