//! One account: its source, what was done with it, and what must not have happened.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use paytoken::{Provider, TokenSource};
use paytoken_sandbox::Sandbox;

use crate::LIFETIME;
use crate::line::{Line, Teller};
use crate::recipe::Recipe;

pub(crate) const SECRET: &str = "soak-secret-not-real";
pub(crate) const WRONG: &str = "another-secret-not-real";

pub(crate) struct Account {
    pub(crate) provider: Provider,
    pub(crate) id: String,
    pub(crate) source: TokenSource,
    pub(crate) tally: Tally,
    /// Tokens about to be revoked, or revoked: the sandbox does not know them any more.
    pub(crate) revoked: Recent,
    /// Tokens that the source was told of, and since when.
    pub(crate) rejected: Recent,
}

/// What callers saw.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) calls: AtomicU64,
    pub(crate) tokens: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Calls that may ask the provider although a good token is there.
    pub(crate) demands: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) known_rejected: AtomicU64,
    /// Tokens that the provider did not accept, for no reason that the source could not know.
    pub(crate) dead: AtomicU64,
}

/// Token texts with the moment they were noted; forgotten some time after the token's end.
#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<String, Instant>>);

impl Account {
    pub(crate) fn new(sandbox: &Sandbox, provider: Provider, number: usize, tell: &Teller) -> Self {
        let id = format!("{provider}-merchant-{number}");
        sandbox.add_client(provider, &id, SECRET);
        Self::with(&Recipe::new(sandbox, provider, &id, SECRET), tell)
    }

    /// The sandbox does not know its secret.
    pub(crate) fn wrong(sandbox: &Sandbox, provider: Provider, tell: &Teller) -> Self {
        Self::with(&Recipe::new(sandbox, provider, sandbox.client_id(provider), WRONG), tell)
    }

    fn with(recipe: &Recipe, tell: &Teller) -> Self {
        let tally = Tally::default();
        let (id, tell) = (recipe.id.clone(), tell.clone());
        let source = recipe.source(None, move |event| {
            if let Some(line) = Line::of_event(&id, event) {
                tell(line);
            }
        });
        Self {
            provider: recipe.provider,
            id: recipe.id.clone(),
            source,
            tally,
            revoked: Recent::default(),
            rejected: Recent::default(),
        }
    }
}

impl Recent {
    pub(crate) fn note(&self, token: &str) {
        let now = Instant::now();
        let mut noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.retain(|_, at| now.duration_since(*at) < LIFETIME + Duration::from_secs(10));
        noted.entry(token.to_owned()).or_insert(now);
    }

    /// Whether it was noted before this moment.
    pub(crate) fn has(&self, token: &str, before: Instant) -> bool {
        let noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.get(token).is_some_and(|at| *at < before)
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
