//! One history's processes: how they start, what their threads do, how they die, and what the rest
//! of the world does to them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use shuttle::thread::{self, JoinHandle};

use super::judge::Ask;
use super::plan::{Plan, either};
use super::provider::{Moment, number_of};
use super::store::Reach;
use super::{Case, PATIENCE, RIGHT};
use crate::base::clock::{Clock, Now, monotonic};
use crate::base::sync::lock;
use crate::base::sync::simulated::{self, machine_time, now, sleep};
use crate::credentials::Credentials;
use crate::credentials::certificate::ClientCertificate;
use crate::source::{Attempt, TokenSource};
use crate::types::environment::Environment;
use crate::types::options::TokenOptions;

pub(super) struct State {
    machine: usize,
    secret: usize,
    timeout: Duration,
    source: Option<TokenSource>,
    /// Milliseconds.
    wall_is_ahead: i64,
    steps_to_live: Option<u64>,
    is_dead: bool,
    store_failed: Option<Duration>,
    /// Its machine stood still for so long while its monotonic clock ran.
    stopped: Duration,
    awake_since: Duration,
    /// From the store.
    cut_off_until: Duration,
}

/// What a thread unwinds with when its process is dead.
struct Dead;

pub(super) struct Process;

impl Process {
    /// Its threads.
    pub(super) fn start(case: &Arc<Case>) -> Vec<JoinHandle<()>> {
        let (process, source) = case.new_process();
        (0..case.plan.threads)
            .map(|_| {
                let (case, source) = (case.clone(), source.clone());
                thread::spawn(move || case.thread(process, &source))
            })
            .collect()
    }
}

/// A process's clocks.
struct Clocks {
    case: Arc<Case>,
    process: usize,
}

impl Clock for Clocks {
    fn now(&self) -> Now {
        let ahead = lock(&self.case.processes)[self.process].wall_is_ahead;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000) + now();
        let ahead_by = Duration::from_millis(ahead.unsigned_abs());
        lock(&self.case.judge).clock_was_read(now());
        Now {
            monotonic: monotonic(),
            wall: if ahead < 0 { wall - ahead_by } else { wall + ahead_by },
        }
    }
}

pub(super) fn credentials(plan: &Plan, secret: usize) -> Credentials {
    let facts = plan.provider.facts();
    let secret = format!("secret-{secret}");
    if facts.is_described {
        let values = [("client_id", "id"), ("client_secret", &*secret)];
        return Credentials::described(plan.provider, values, None).unwrap();
    }
    let certificate = facts.takes_certificate.then(ClientCertificate::injected_by_proxy);
    Credentials::new(plan.provider, "id", secret, certificate).unwrap()
}

impl Case {
    pub(super) fn percent(&self, percent: u64) -> bool {
        lock(&self.chance).percent(percent)
    }

    fn below(&self, limit: u64) -> u64 {
        lock(&self.chance).below(limit)
    }

    fn new_process(self: &Arc<Self>) -> (usize, TokenSource) {
        let plan = &self.plan;
        let secret = if plan.secrets_differ { self.below(4) as usize } else { RIGHT };
        let wall_is_ahead =
            if plan.clocks_disagree { self.below(240_000) as i64 - 120_000 } else { 0 };
        let steps_to_live = (plan.processes_die && self.percent(60)).then(|| 1 + self.below(120));
        let timeout = Duration::from_secs(2 + self.below(14));
        let process = {
            let mut processes = lock(&self.processes);
            processes.push(State {
                timeout,
                machine: simulated::new_machine(),
                secret,
                source: None,
                wall_is_ahead,
                steps_to_live,
                is_dead: false,
                store_failed: None,
                stopped: Duration::ZERO,
                awake_since: Duration::ZERO,
                cut_off_until: Duration::ZERO,
            });
            processes.len() - 1
        };
        self.tell(|| {
            format!("process {process} starts, secret {secret}, clock {wall_is_ahead} ms ahead")
        });
        let mut builder = TokenSource::builder(credentials(plan, secret), Environment::Sandbox)
            .base_url("https://api.example")
            .timeout(timeout)
            .retries(plan.retries)
            .renew_in_background(plan.renews_in_background)
            .clock(Clocks { case: self.clone(), process })
            .store(Reach { case: self.clone(), process });
        let case = self.clone();
        builder.supply = Some(Arc::new(move |deadline| case.request(process, secret, deadline)));
        let source = builder.build().unwrap();
        lock(&self.processes)[process].source = Some(source.clone());
        (process, source)
    }

    // What happens at the edge of a process.

    /// A point at which threads change places, and a process may die.
    pub(super) fn step(&self, process: usize) {
        let dies = {
            let mut processes = lock(&self.processes);
            let state = &mut processes[process];
            match &mut state.steps_to_live {
                Some(0) => !std::mem::replace(&mut state.is_dead, true),
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            }
        };
        if dies {
            self.tell(|| format!("process {process} dies"));
            self.shelf.process_died(process);
            lock(&self.judge).process_died(process);
            lock(&self.endpoint).process_died(process);
        }
        if !self.is_dead(process) {
            thread::yield_now();
        }
        if self.is_dead(process) {
            resume_unwind(Box::new(Dead));
        }
    }

    pub(super) fn is_dead(&self, process: usize) -> bool {
        lock(&self.processes)[process].is_dead
    }

    pub(super) fn store_fails(&self, process: usize) -> bool {
        let is_cut_off = lock(&self.processes)[process].cut_off_until > now();
        let fails =
            !self.plan.is_well(now()) && (is_cut_off || self.plan.store_fails && self.percent(12));
        if fails {
            lock(&self.processes)[process].store_failed = Some(now());
        }
        fails
    }

    pub(super) fn lost_its_lease(&self, process: usize) {
        self.tell(|| format!("process {process} has lost its lease"));
        lock(&self.judge).lost_its_lease(process);
    }

    /// Since then it may not know what the store says.
    pub(super) fn store_failed(&self, process: usize) -> Option<Duration> {
        lock(&self.processes)[process].store_failed
    }

    /// When this process's machine woke up last: if its clock was set meanwhile, nothing there shows
    /// how long it slept.
    pub(super) fn awake_since(&self, process: usize) -> Option<Duration> {
        self.plan.clocks_disagree.then(|| lock(&self.processes)[process].awake_since)
    }

    pub(super) fn has_right_secret(&self, process: usize) -> bool {
        lock(&self.processes)[process].secret == RIGHT
    }

    pub(super) fn timeout_of(&self, process: usize) -> Duration {
        lock(&self.processes)[process].timeout
    }

    /// The furthest that two clocks can be apart.
    pub(super) fn clocks_apart(&self) -> Duration {
        Duration::from_secs(if self.plan.clocks_disagree { 240 + 600 } else { 0 })
    }

    // What its threads do.

    fn thread(self: &Arc<Self>, process: usize, source: &TokenSource) {
        simulated::run_on(Some(lock(&self.processes)[process].machine));
        let work = || {
            for _ in 0..self.plan.calls {
                self.step(process);
                self.pause();
                self.act(process, source);
            }
        };
        let Err(payload) = catch_unwind(AssertUnwindSafe(work)) else { return };
        if !payload.is::<Dead>() {
            resume_unwind(payload);
        }
        let is_first = lock(&self.processes)[process].source.take().is_some();
        if is_first && self.percent(60) && lock(&self.processes).len() < 10 {
            let threads = Process::start(self);
            lock(&self.successors).extend(threads);
        }
    }

    fn pause(&self) {
        let most = match self.below(20) {
            0..10 => 500,
            10..16 => 10_000,
            16..19 => 120_000,
            _ => 700_000,
        };
        sleep(Duration::from_millis(self.below(most)));
    }

    fn act(&self, process: usize, source: &TokenSource) {
        let plan = &self.plan;
        let options = TokenOptions::new();
        match self.below(20) {
            0 | 1 if plan.some_force => self.token(process, source, options.force(true)),
            2..6 if plan.some_hurry => {
                let limit = [0, 50, 300, 1500][self.below(4) as usize];
                self.token(process, source, options.deadline(Duration::from_millis(limit)));
            }
            6..9 if plan.some_want_long => {
                let life = plan.life().as_millis() as u64;
                let least = Duration::from_millis(self.below(life * 85 / 100));
                self.token(process, source, options.min_validity(least));
            }
            9 => {
                let asked = now();
                if let Some(token) = source.cached() {
                    self.handed_out(process, &token, asked);
                }
            }
            10..13 => self.call(process, source),
            13..16 => self.use_one(process, source),
            _ => self.token(process, source, options),
        }
    }

    fn token(&self, process: usize, source: &TokenSource, options: TokenOptions) {
        let ask = Ask::of(&options, now(), machine_time(), self.timeout_of(process));
        let stopped = lock(&self.processes)[process].stopped;
        lock(&self.judge).begins(ask.clone());
        let result = source.token_with(&options);
        lock(&self.judge).ends();
        self.tell(|| match &result {
            Ok(token) => format!("process {process} has {} by {ask:?}", token.secret()),
            Err(error) => format!("process {process} has an error by {ask:?}: {error}"),
        });
        let stopped = lock(&self.processes)[process].stopped - stopped;
        let limit = options.deadline.unwrap_or(Duration::from_secs(16));
        self.took(process, &ask, limit + stopped);
        match result {
            Ok(token) => self.handed_out(process, &token, ask.at),
            Err(error) => self.went_without(process, &ask, &error),
        }
    }

    /// As `call`, by hand: whether the others were told is known.
    fn use_one(&self, process: usize, source: &TokenSource) {
        let asked = now();
        let Ok(token) = source.token() else { return };
        self.handed_out(process, &token, asked);
        self.step(process);
        let number = number_of(token.secret()).unwrap();
        if lock(&self.endpoint).accepts(&self.plan, number) {
            return;
        }
        lock(&self.endpoint).issued[number].invalidation_began.get_or_insert(now());
        let told = source.invalidate(&token);
        self.tell(|| format!("process {process} invalidates {}: {told:?}", token.secret()));
        if told.is_ok() {
            lock(&self.endpoint).issued[number].invalidated.get_or_insert(Moment::now());
        }
    }

    fn call(&self, process: usize, source: &TokenSource) {
        let mut asked = now();
        let ask = Ask::of(&TokenOptions::new(), now(), machine_time(), self.timeout_of(process));
        lock(&self.judge).begins(ask.clone());
        let result = source.call(|token| {
            self.handed_out(process, token, asked);
            sleep(Duration::from_millis(self.below(300)));
            let number = number_of(token.secret()).unwrap();
            self.step(process);
            let is_accepted = lock(&self.endpoint).accepts(&self.plan, number);
            if !is_accepted {
                lock(&self.endpoint).issued[number].invalidation_began.get_or_insert(now());
            }
            self.tell(|| format!("process {process} uses {}: {is_accepted}", token.secret()));
            asked = now();
            Ok::<_, crate::types::error::Error>(match is_accepted {
                true => Attempt::Done(()),
                false => Attempt::Unauthorized(()),
            })
        });
        lock(&self.judge).ends();
        match result {
            Ok(()) => {}
            Err(error) => self.went_without(process, &ask, &error),
        }
    }

    // What the rest of the world does.

    /// Tokens that the API ends, machines that stop, clocks that are set.
    pub(super) fn fate(&self) {
        for _ in 0..8 {
            let time = either(&mut lock(&self.chance), 20_000, 300_000);
            sleep(time);
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            if self.percent(30) {
                let mut endpoint = lock(&self.endpoint);
                if let Some(last) = endpoint.issued.last_mut() {
                    last.revoked.get_or_insert(now());
                    self.tell(|| "the API ends the newest token".into());
                }
            }
            let process = self.below(lock(&self.processes).len() as u64) as usize;
            if self.plan.machines_stop && self.percent(50) {
                let time = either(&mut lock(&self.chance), 30_000, 7_200_000);
                let sleeps = self.percent(50);
                self.tell(|| {
                    format!("process {process} stops for {time:?}, its machine sleeps: {sleeps}")
                });
                let machine = {
                    let mut processes = lock(&self.processes);
                    let state = &mut processes[process];
                    match sleeps {
                        true => state.awake_since = state.awake_since.max(now() + time),
                        false => state.stopped += time,
                    }
                    processes[process].machine
                };
                simulated::stop(machine, time, sleeps);
            }
            if self.plan.store_fails_over && self.percent(40) {
                self.tell(|| "the store fails over and forgets its last write".into());
                self.shelf.fails_over(self);
                lock(&self.judge).store_failed_over();
            }
            if self.plan.network_splits && self.percent(50) {
                let time = either(&mut lock(&self.chance), 5_000, 120_000);
                self.tell(|| format!("process {process} is cut off from the store for {time:?}"));
                lock(&self.processes)[process].cut_off_until = now() + time;
            }
            if self.plan.clocks_disagree && self.percent(30) {
                let ahead = self.below(600_000) as i64 - 300_000;
                self.tell(|| format!("process {process}: its clock is set {ahead} ms ahead"));
                lock(&self.processes)[process].wall_is_ahead = ahead;
            }
        }
    }

    /// Nothing happens any more.
    pub(super) fn is_over(&self) {
        loop {
            let Some(thread) = lock(&self.successors).pop() else { break };
            thread.join().expect("checked by the judge");
        }
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Provider and store are well again: whoever has the right secret has a token within the pace.
    pub(super) fn finale(self: &Arc<Self>) {
        self.plan.be_well(now());
        self.tell(|| "all is well".into());
        let alive: Vec<usize> = {
            let mut processes = lock(&self.processes);
            processes.iter_mut().for_each(|state| state.steps_to_live = None);
            (0..processes.len())
                .filter(|at| !processes[*at].is_dead && processes[*at].secret == RIGHT)
                .collect()
        };
        for process in alive {
            let (machine, source) = {
                let processes = lock(&self.processes);
                (processes[process].machine, processes[process].source.clone())
            };
            simulated::run_on(Some(machine));
            // Whoever still stands still goes on first.
            sleep(Duration::from_millis(1));
            self.gets_a_token(process, &source.expect("it is alive"));
        }
        simulated::run_on(None);
        // Each source holds the case.
        let sources: Vec<_> =
            lock(&self.processes).iter_mut().map(|state| state.source.take()).collect();
        drop(sources);
    }

    fn gets_a_token(&self, process: usize, source: &TokenSource) {
        let mut waited = Duration::ZERO;
        for _ in 0..4 {
            let asked = now();
            let error = match source.token() {
                Ok(token) => return self.handed_out(process, &token, asked),
                Err(error) => error,
            };
            self.tell(|| format!("process {process} waits: {error}"));
            let wait =
                error.retry_after().unwrap_or(Duration::from_secs(20)) + Duration::from_secs(1);
            waited += wait;
            assert!(waited < PATIENCE, "process {process} has to wait {waited:?}, and all is well");
            sleep(wait);
        }
        panic!("process {process} has no token after {waited:?}, and all is well");
    }
}
