//! What happens inside a source, for programs that count or log it themselves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::types::environment::Environment;
use crate::types::error::Error;
use crate::types::key::StoreKey;
use crate::types::names::Provider;

/// Something that happened in a [`TokenSource`](crate::TokenSource), passed to the hook set with
/// [`Builder::on_event`](crate::Builder::on_event). It never holds a secret or a token.
///
/// The same is written to the `log` crate, target `paytoken`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use paytoken::{Credentials, Environment, EventKind, Provider, Secret, TokenSource};
///
/// let fetched = Arc::new(AtomicU64::new(0));
/// let count = fetched.clone();
/// let credentials = Credentials::new(Provider::NexterPay, "merchant-7", "not-a-real-secret", None)?;
/// let source = TokenSource::builder(credentials, Environment::Sandbox)
///     .fetch_with(|| Ok((Secret::new("t-1"), Duration::from_secs(600)))) // no network here
///     .on_event(move |event| {
///         if let EventKind::Fetched { .. } = event.kind {
///             count.fetch_add(1, Ordering::Relaxed);
///         }
///     })
///     .build()?;
/// source.token()?;
/// source.token()?;
/// assert_eq!(fetched.load(Ordering::Relaxed), 1);
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Whose token.
    pub provider: Provider,
    /// In which environment.
    pub environment: Environment,
    /// The program's own name for the account: see [`Builder::label`](crate::Builder::label).
    pub label: Option<Arc<str>>,
    /// The account, as its entry in a store is named: neither its id nor its secret shows.
    pub account: StoreKey,
    /// What happened.
    pub kind: EventKind,
}

/// Of all log records.
pub(crate) const LOG_TARGET: &str = "paytoken";

/// What a program wants to be told.
pub(crate) type EventHook = dyn Fn(&Event) + Send + Sync;

/// The kinds of [`Event`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A request is about to be sent; `attempt` counts from 1.
    #[non_exhaustive]
    Request {
        /// Which attempt of this fetch.
        attempt: u32,
    },
    /// A temporary failure; the request will be retried.
    #[non_exhaustive]
    Retry {
        /// Why.
        error: Error,
        /// The wait before the next attempt.
        wait: Duration,
    },
    /// A new token was fetched.
    #[non_exhaustive]
    Fetched {
        /// How long the fetch took, retries included.
        took: Duration,
        /// How long the token lives.
        lifetime: Duration,
    },
    /// The provider's answer says when the token ends, but not in a form that is understood, or the
    /// end had passed before the answer came.
    #[non_exhaustive]
    LifetimeNotUnderstood {
        /// The lifetime that is counted instead: the one that the provider documents.
        assumed: Duration,
    },
    /// Another process had stored a token; no request was needed.
    #[non_exhaustive]
    Found {
        /// How long it is still good.
        remaining: Duration,
    },
    /// A fetch failed, after its retries.
    #[non_exhaustive]
    Failed {
        /// Why.
        error: Error,
        /// A token that is still good stays in use.
        still_has_token: bool,
        /// How long the provider is not asked again, where the refusal is remembered.
        remembered_for: Option<Duration>,
    },
    /// The API answered 401 to the current token, so it was dropped.
    Invalidated,
    /// The store had an entry of this account that could not be read: damaged, written by another
    /// version, open to others or, where there are keys, not sealed with one of them (see
    /// [`Sealed`](crate::store::Sealed)). It counted as absent, and is replaced.
    EntryUnreadable,
    /// The store cannot be used, so this process does not know what others do: reported when
    /// that begins, and at each fetch that goes on without it. See
    /// [`Builder::require_store`](crate::Builder::require_store).
    #[non_exhaustive]
    StoreUnusable {
        /// Why.
        error: Error,
    },
    /// The client certificate's files had changed and were read again.
    #[non_exhaustive]
    CertificateRenewed {
        /// When the new one expires.
        not_after: SystemTime,
    },
    /// The client certificate's files have changed, but what is in them cannot be used: a key that
    /// does not fit (half of a pair may not be written yet), or no certificate. The one in use
    /// stays; the files are read again when they change once more.
    #[non_exhaustive]
    CertificateNotRenewed {
        /// Why.
        error: Error,
    },
    /// The client certificate expires in less than 30 days. Reported when a token is fetched, once a
    /// day.
    #[non_exhaustive]
    CertificateExpiresSoon {
        /// When.
        not_after: SystemTime,
        /// Until then.
        remaining: Duration,
    },
}

impl EventKind {
    /// A fixed name for each kind, for counters and log fields: `request`, `retry`,
    /// `lifetime_not_understood`, `fetched`, `found`, `failed`, `invalidated`,
    /// `entry_unreadable`, `store_unusable`, `certificate_renewed`, `certificate_not_renewed`,
    /// `certificate_expires_soon`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Retry { .. } => "retry",
            Self::LifetimeNotUnderstood { .. } => "lifetime_not_understood",
            Self::Fetched { .. } => "fetched",
            Self::Found { .. } => "found",
            Self::Failed { .. } => "failed",
            Self::Invalidated => "invalidated",
            Self::EntryUnreadable => "entry_unreadable",
            Self::StoreUnusable { .. } => "store_unusable",
            Self::CertificateRenewed { .. } => "certificate_renewed",
            Self::CertificateNotRenewed { .. } => "certificate_not_renewed",
            Self::CertificateExpiresSoon { .. } => "certificate_expires_soon",
        }
    }
}
