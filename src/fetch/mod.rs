//! One fetch from beginning to end: attempts, retries and what is reported about them. No cache.

pub(crate) mod account_book;
pub(crate) mod certificate_reloader;
pub(crate) mod shared_fetch;
pub(crate) mod backend;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::{debug, info, warn};

use crate::base::clock::{ClockSource, Deadline, Now};
use crate::base::date;
use crate::base::secret::Secret;
use crate::base::sync::{chance, sleep};
use crate::credentials::Credentials;
use crate::fetch::account_book::AccountBook;
use crate::fetch::certificate_reloader::CertificateReloader;
use crate::flight::{Effort, Order};
use crate::policy::book::{Asker, BETWEEN_TOKENS, Cap, FailedFetch};
use crate::policy::outcome::Cause;
use crate::protocol::{self, Timing};
use crate::store::account::UNREADABLE;
use crate::token::{AuthorizationHeader, IssuedToken, Token};
use crate::transport::Transport;
use crate::types::environment::Environment;
use crate::types::error::{Error, HoldsBack, Result, Verdict};
use crate::types::event::{Event, EventHook, EventKind, LOG_TARGET};
use crate::types::key::StoreKey;
use crate::types::names::Provider;

/// What all clones and workers of a source share.
pub(crate) struct Fetcher {
    pub(crate) credentials: Credentials,
    pub(crate) environment: Environment,
    pub(crate) transport: Transport,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) header: AuthorizationHeader,
    pub(crate) renew_in_background: bool,
    /// Where the store cannot be used, no token is fetched.
    pub(crate) requires_store: bool,
    pub(crate) on_event: Option<Arc<EventHook>>,
    pub(crate) clock: ClockSource,
    pub(crate) book: AccountBook,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) account: StoreKey,
    pub(crate) certificate_reloader: CertificateReloader,
    /// Where tokens come from instead of the network.
    pub(crate) supply: Option<Arc<Supply>>,
}

/// Where neither the provider's document nor a token says how long one lives.
const USUAL_LIFETIME: Duration = Duration::from_secs(3600);

/// A token and how long it lives.
pub(crate) type Supply = dyn Fn(Deadline) -> Result<(Secret, Duration)> + Send + Sync;

impl Fetcher {
    pub(crate) fn fetch_once(&self) -> Result<Token> {
        let order = Order::of_any_caller(Duration::ZERO, Deadline::after(self.timeout));
        self.fetch(&order, None, &AtomicU64::new(0))
    }

    pub(crate) fn provider(&self) -> Provider {
        self.credentials.provider()
    }

    /// How long a token lives by the document, else as long as this one.
    pub(crate) fn documented_lifetime(&self, last: Option<&Token>) -> Duration {
        let documented = self.provider().facts().in_environment(self.environment).lifetime;
        documented.or(last.map(Token::lifetime)).unwrap_or(USUAL_LIFETIME)
    }

    /// This source, as it asks the book.
    pub(crate) fn asker(&self, allows: Duration, renews: bool) -> Asker {
        let cap = Cap::of(self.provider().facts());
        Asker { secret: self.book.secret(), allows, renews, cap }
    }

    /// The remembered error, if who asks so may not ask the provider now.
    pub(crate) fn blocked(&self, now: Now, allows: Duration, renews: bool) -> Option<Error> {
        let asker = self.asker(allows, renews);
        self.book.lock().blocked(now, asker).map(|error| self.error(error))
    }

    /// How long a refusal, or too many of them, still holds this source back.
    pub(crate) fn refused_for(&self, now: Now) -> Option<Duration> {
        let asker = self.asker(self.timeout, false);
        self.book.lock().refused_for(now, asker)
    }

    /// One fetch, after which the book knows how it ended. A token that the API has revoked counts as a
    /// failure. `last` is the token that the new one is to take the place of.
    pub(crate) fn fetch(
        &self,
        order: &Order,
        last: Option<&Token>,
        requests: &AtomicU64,
    ) -> Result<Token> {
        let is_forced = order.forced_at.is_some();
        if let Some(last) = last.filter(|_| !is_forced) {
            self.keep_distance(last, order.deadline)?;
        }
        let (allows, renews) = (order.deadline.remaining(), order.is_renewal());
        let asker = self.asker(allows, renews);
        let now = self.clock.now();
        let is_probe = !is_forced && self.book.lock().is_probing(now, asker);
        let retries = match order.effort {
            Effort::Full | Effort::Background if !is_probe => self.retries,
            _ => 0,
        };
        let mut told = Vec::new();
        let result = self.attempts(order.deadline, retries, requests, &mut told);
        let now = self.clock.now();
        let error = match result {
            Ok(token) => {
                self.book.lock().note_success(now, asker.secret);
                return Ok(token);
            }
            Err(error) => error,
        };
        // If time ran out in the end, or this machine was short of something, what the provider did before
        // says more.
        let answered = told.iter().rfind(|error| !error.ran_out_of_time());
        let failed = FailedFetch {
            error: answered.or(told.last()).unwrap_or(&error),
            requests: told.len() as u32,
            asker,
            is_forced,
            lifetime: self.documented_lifetime(last),
            chance: chance(),
        };
        // The error says how long it is remembered, from the first time on.
        let wait = self.book.lock().note_failure(now, &failed);
        Err(if wait.is_some() { error.with_retry_after(wait) } else { error })
    }

    /// A token that lives for a moment only is not asked for again and again: there is a second between
    /// the requests that brought one, unless a person asks or the API has revoked it.
    fn keep_distance(&self, last: &Token, deadline: Deadline) -> Result<()> {
        let wait = BETWEEN_TOKENS.saturating_sub(last.age_at(self.clock.now()));
        if wait.is_zero() || self.book.lock().has_revoked(last.secret()) {
            return Ok(());
        }
        if wait >= deadline.remaining() {
            let error = Cause::NoTimeLeft.error(
                "the last token came less than a second ago, and there is no time to wait for that second's end; allow more time",
            );
            return Err(self.error(error.with_retry_after(Some(wait))));
        }
        sleep(wait);
        Ok(())
    }

    /// Attempts until one succeeds, fails for good, or time or retries are used up. Failures that say
    /// something of the provider go into `told`.
    fn attempts(
        &self,
        deadline: Deadline,
        retries: u32,
        requests: &AtomicU64,
        told: &mut Vec<Error>,
    ) -> Result<Token> {
        let mut may_have_arrived = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.attempt(attempt, deadline, requests) {
                Ok(token) if self.book.lock().has_revoked(token.secret()) => self.error(Cause::RevokedTokenAgain.error(
                    "the provider answered with the very token that its API has answered 401 to; try again in a moment",
                )),
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            may_have_arrived |= error.may_have_arrived();
            if error.is_remembered() || error.holds_back() != HoldsBack::Nobody {
                told.push(error.clone());
            }
            let wait = backoff(attempt);
            let is_over =
                attempt > retries || !error.is_tried_again() || wait >= deadline.remaining();
            if is_over {
                return Err(error.with_may_have_arrived(may_have_arrived));
            }
            self.tell(EventKind::Retry { error, wait });
            sleep(wait);
        }
    }

    fn attempt(&self, attempt: u32, deadline: Deadline, requests: &AtomicU64) -> Result<Token> {
        let sent = self.clock.now();
        let (newer, news) =
            self.certificate_reloader.look(&self.credentials, &self.transport, sent.wall);
        news.into_iter().for_each(|kind| self.tell(kind));
        let (credentials, transport) = match newer.as_deref() {
            Some(newer) => (&newer.credentials, &newer.transport),
            None => (&self.credentials, &self.transport),
        };
        if let Some(certificate) = credentials.certificate() {
            certificate.check_validity(sent.wall).map_err(|error| self.error(error))?;
        }
        self.tell(EventKind::Request { attempt });
        requests.fetch_add(1, Ordering::Relaxed);
        if let Some(supply) = &self.supply {
            return self.supplied(&**supply, sent, deadline);
        }
        let request = protocol::request(credentials, transport.base_url().as_str(), sent.wall)
            .map_err(|error| self.error(error))?;
        let response = transport.send(request, deadline).map_err(|error| self.error(error))?;
        let timing = Timing { sent: sent.wall, answered: self.clock.now().wall };
        let issued = protocol::answer(credentials, self.environment, &response, timing)
            .map_err(|error| self.error(Cause::UnusableSuccess.of(error)))?;
        if issued.lifetime_not_understood {
            self.tell(EventKind::LifetimeNotUnderstood { assumed: issued.lifetime });
        }
        Ok(Token::new(issued, sent, &self.header, self.clock.clone()))
    }

    fn supplied(&self, supply: &Supply, sent: Now, deadline: Deadline) -> Result<Token> {
        // As a provider's own failure would.
        let holds_back = |error: Error| match error.has_verdict() {
            true => error,
            false => error
                .with_verdict(Verdict { holds_back: HoldsBack::Everybody, ..Verdict::default() }),
        };
        let (secret, lifetime) = supply(deadline).map_err(|error| self.error(holds_back(error)))?;
        protocol::check_token(secret.expose()).map_err(|error| self.error(error))?;
        let issued = IssuedToken::of(secret.expose(), lifetime);
        Ok(Token::new(issued, sent, &self.header, self.clock.clone()))
    }

    pub(crate) fn error(&self, error: Error) -> Error {
        error.with_provider(self.provider())
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        let provider = self.provider();
        // Errors begin with the provider's name.
        let label = self.label.as_deref().map(|label| format!(" [{label}]")).unwrap_or_default();
        match &kind {
            EventKind::Request { attempt } => {
                debug!(target: LOG_TARGET, "{provider}: requesting a token, attempt {attempt}{label}")
            }
            EventKind::Retry { error, wait } => {
                debug!(target: LOG_TARGET, "{error}; next attempt in {wait:?}{label}")
            }
            EventKind::Found { remaining } => {
                debug!(target: LOG_TARGET, "{provider}: another process had a token, good for {remaining:?}{label}");
            }
            EventKind::LifetimeNotUnderstood { assumed } => {
                warn!(
                    target: LOG_TARGET,
                    "{provider}: the answer does not say when its token ends in a way that is understood; it is taken to live for {assumed:?}{label}"
                );
            }
            EventKind::Fetched { took, lifetime } => {
                info!(target: LOG_TARGET, "{provider}: new token in {took:?}, good for {lifetime:?}{label}");
            }
            EventKind::Failed { error, still_has_token: true, .. } => {
                warn!(target: LOG_TARGET, "{error}; the token in use is still good{label}");
            }
            EventKind::Failed { error, .. } => warn!(target: LOG_TARGET, "{error}{label}"),
            EventKind::Invalidated => {
                info!(target: LOG_TARGET, "{provider}: the API answered 401 to the token; it is dropped{label}")
            }
            EventKind::EntryUnreadable => {
                warn!(target: LOG_TARGET, "{provider}: {UNREADABLE}{label}")
            }
            EventKind::StoreUnusable { error } => warn!(
                target: LOG_TARGET,
                "{error}; this process goes on without sharing{label}"
            ),
            EventKind::CertificateRenewed { not_after } => info!(
                target: LOG_TARGET,
                "{provider}: the client certificate was read again, and is valid until {}{label}",
                date::utc(*not_after)
            ),
            EventKind::CertificateNotRenewed { error } => warn!(
                target: LOG_TARGET,
                "{provider}: the client certificate's files have changed and cannot be used, so the one in use stays: {}{label}",
                error.message()
            ),
            EventKind::CertificateExpiresSoon { not_after, remaining } => warn!(
                target: LOG_TARGET,
                "{provider}: the client certificate expires on {}, in {} days; ask the provider for a renewal{label}",
                date::utc(*not_after),
                remaining.as_secs() / (24 * 3600)
            ),
        }
        if let Some(hook) = &self.on_event {
            let (environment, label) = (self.environment, self.label.clone());
            hook(&Event { provider, environment, label, account: self.account.clone(), kind });
        }
    }
}

/// 100 ms, doubling up to 2 s, less up to half of it at random so that many clients spread out.
fn backoff(attempt: u32) -> Duration {
    let full =
        Duration::from_millis(100 << attempt.saturating_sub(1).min(5)).min(Duration::from_secs(2));
    full - full * (chance() % 1000) as u32 / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_less_up_to_half_at_random() {
        for (attempt, full) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1600),
            (6, 2000),
            (7, 2000),
            (u32::MAX, 2000),
        ] {
            let waits: Vec<_> = (0..100).map(|_| backoff(attempt)).collect();
            let full = Duration::from_millis(full);
            assert!(waits.iter().all(|wait| *wait <= full && *wait > full / 2), "{waits:?}");
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*most - *least > full / 8, "no spread: {least:?} to {most:?}");
        }
    }
}
