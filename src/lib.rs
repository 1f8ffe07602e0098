//! Gets, caches and renews the bearer tokens of payment providers' APIs. Blocking, small, careful.
//!
//! ```no_run
//! use paytoken::{Attempt, Error, Provider, TokenSource};
//!
//! # fn get(url: &str, authorization: &str) -> Result<(u16, String), Error> { Ok((200, String::new())) }
//! # fn main() -> Result<(), Error> {
//! // Once, at the start; clone it into every thread. Reads NTXPAY_CLIENT_ID and so on.
//! let source = TokenSource::from_env(Provider::NtxPay)?;
//!
//! // For each request: a valid token, from the cache whenever possible.
//! let balance = source.call(|token| {
//!     let (status, body) = get("https://sandbox.mx.ntxpay.com/api/balance", token.bearer())?;
//!     Ok::<_, Error>(match status {
//!         401 => Attempt::Unauthorized(body), // a new token and one replay, never two
//!         _ => Attempt::Done(body),
//!     })
//! })?;
//! # Ok(()) }
//! ```
//!
//! What happens when a token is asked for:
//!
//! ```text
//! your threads ──▶ TokenSource ──▶ the token in memory is
//!
//!   good      ▶ used at once: no request, no waiting
//!   due       ▶ one caller renews it, the others use it meanwhile
//!   expired   ▶ one caller fetches, the others wait for it
//!   replaced  ▶ (Send Payments) a new token invalidates the old one:
//!               one caller fetches late, the others wait for it
//!
//! one caller ──▶ lock in the store, if there is one (files, Redis)
//!            ──▶ another process was faster? then its token
//!            ──▶ refused or down a moment ago? then that error, at once
//!            ──▶ one request to the provider, over TLS
//!            ──▶ memory, and the store: everybody has the new token
//! ```
//!
//! | provider | endpoint | a token lives | renewed |
//! |---|---|---|---|
//! | NTX Pay México | `POST /api/auth/token`, X.509 certificate and client credentials | 10 min | after 80 %; the others keep using the old token meanwhile |
//! | NexterPay | `POST /security/createToken`, user name and password | 600 min in the sandbox, 90 min in production | after 90 %, the same way |
//! | Send Payments | `POST /auth`, client credentials | 5 min | after 95 %; all wait: a new token invalidates the old |
//!
//! Start with [`TokenSource`]; serve many merchants with [`TokenCache`]; share tokens between
//! processes with a [`FileStore`]; for one token without a cache there is a `fetch_token` per
//! provider in [`provider`]. In your own tests, [`TokenSource::from_fn`] needs no network.
//!
//! # Features
//!
//! `system-roots` (off unless asked for): trust the certificate authorities of this system where a
//! program says so, by `Builder::system_root_certificates` or `PAYTOKEN_CA=system`.
//!
//! # Logging
//!
//! Events go to the `log` crate, target `paytoken`, without secrets. At `trace` the HTTP library
//! below logs every byte that it reads and writes; the two bodies with the secret and the token
//! never reach it (it handles fill characters of the same length), so no level of any thread shows
//! them. It does log the heads: the public client certificate among the headers sent, and the
//! headers of the answer, where no provider puts a token. Log your own API calls no lower than
//! `debug`: your HTTP client may log the token at `trace`.

// The house, from the ground up; `tests/house.rs` checks that no room imports from above.
//
//   faces          lib ─ provider ─ settings ─ cache ─ source ─ builder            ▶ capi/ (C), cli/ (cron, shell)
//                             │
//   fetching       upstream ──┼── fetch: attempts, retries, telling
//                     │       ├── identity: certificates read again
//                     │       └── shared: one fetch for every process
//   sharing           │           store: trait, entry, account, FileStore          ▶ files
//   single flight  flight (Mutex + Condvar) ─ slot (who fetches next) ─ published
//   wire           transport: the only place that names ureq                       ▶ the network
//   protocols      protocol: a constant per provider, one request, one answer; pace: when it may be asked again
//                  outcome: what a failure means
//   token          renewal: good, due, ended ─ token
//   credentials    credentials (variables) ─ certificate
//   ground         facts ─ event ─ status ─ options ─ error ─ names ─ clock ─ secret ─ sync ─ files ─ date
//
// A token's way: Credentials ─▶ protocol::request ─▶ transport ─▶ protocol::answer ─▶ Token ─▶ slot ─▶ TokenSource.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub mod bench;
mod builder;
mod cache;
mod certificate;
mod clock;
mod credentials;
mod date;
mod error;
mod event;
mod exchange;
mod facts;
mod fetch;
mod files;
mod flight;
mod identity;
mod json;
mod key;
mod names;
mod options;
mod outcome;
mod pace;
mod protocol;
pub mod provider;
mod published;
mod renewal;
mod secret;
mod settings;
mod shared;
mod shown;
#[cfg(all(test, paytoken_model))]
mod simulation;
mod slot;
mod source;
mod status;
pub mod store;
mod sync;
mod token;
mod transport;
mod unwind;
mod upstream;
mod words;

pub use builder::Builder;
pub use cache::TokenCache;
pub use certificate::ClientCertificate;
pub use clock::{Clock, Now};
pub use credentials::Credentials;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventKind};
pub use facts::{Facts, Field, Renewal, Site};
pub use names::{Environment, Provider};
pub use options::TokenOptions;
pub use secret::Secret;
pub use settings::{Settings, StoreTls};
pub use source::{Attempt, Invalidated, TokenSource};
pub use status::{Probe, Status, StoredStatus, TokenStatus};
pub use store::FileStore;
pub use token::Token;

/// Compiles and runs the examples of the pages. (Those of the README, the tour and the page on async
/// programs are complete programs: `tests/pages` pastes them.)
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../docs/errors.md")]
    struct Errors;
    #[doc = include_str!("../docs/stores.md")]
    struct Stores;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
