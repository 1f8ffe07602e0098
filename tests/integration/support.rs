//! What these tests alone share: a store that does what a closure says, threads that start together,
//! and a client of the providers' own APIs.

use std::thread;
use std::time::Duration;

use paytoken::store::{Store, StoreGuard, StoreKey};
use paytoken::{Error, FileStore, Provider, Result, TokenSource};
use paytoken_sandbox::{Sandbox, example_call};
use paytoken_testing::{ManualClock, agent, builder};

/// A source that reaches the sandbox, and the clock it lives by.
pub fn source(sandbox: &Sandbox, provider: Provider) -> (TokenSource, ManualClock) {
    let clock = ManualClock::new();
    (builder(sandbox, provider).clock(clock.clone()).build().unwrap(), clock)
}

/// The documented lifetime in the sandbox environment.
pub fn lifetime(provider: Provider) -> Duration {
    provider.facts().sandbox.lifetime.unwrap()
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

/// A plain client for the providers' own API endpoints.
pub struct ApiClient {
    agent: ureq::Agent,
    url: String,
    is_post: bool,
}

impl ApiClient {
    pub fn new(sandbox: &Sandbox, provider: Provider) -> Self {
        let (method, path) = example_call(provider);
        Self {
            agent: agent(sandbox),
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
