//! Gets, caches and renews the bearer tokens that APIs ask for. Blocking, small, careful.
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
//! # Contents
//!
//! - [Recipes](#recipes): a line or two for each task
//! - [What happens when a token is asked for](#what-happens-when-a-token-is-asked-for)
//! - [Providers](#providers)
//! - [Features](#features)
//! - [Logging](#logging)
//!
//! | you want | look at |
//! |---|---|
//! | tokens for one account | [`TokenSource`], [`Settings`] for variables, [`Builder`] for settings in code |
//! | tokens for many merchants | [`TokenCache`] |
//! | a token with a deadline, a minimum validity or by force | [`TokenOptions`] |
//! | to share tokens between processes | [`FileStore`], [`store`] for others and one of your own |
//! | any other provider | [`Provider::described`] |
//! | to know what went wrong | [`Error`], [`ErrorKind`]; to watch: [`Event`], [`Status`] |
//! | one token, no cache | `fetch_token` of each module in [`provider`] |
//!
//! # Recipes
//!
//! A token alone, and one that is good for a minute more, within 3 s:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use paytoken::{Provider, TokenOptions, TokenSource};
//! # fn main() -> paytoken::Result<()> {
//! let source = TokenSource::from_env(Provider::SendPayments)?;
//! let header = source.token()?.bearer().to_owned();
//! let options =
//!     TokenOptions::new().min_validity(Duration::from_secs(60)).deadline(Duration::from_secs(3));
//! let token = source.token_with(&options)?;
//! # Ok(()) }
//! ```
//!
//! Processes of one user that share their token:
//!
//! ```no_run
//! # use paytoken::{FileStore, Provider, Settings};
//! # fn main() -> paytoken::Result<()> {
//! let store = FileStore::open_default()?;
//! let source = Settings::from_env(Provider::SendPayments)?.builder()?.store(store).build()?;
//! # Ok(()) }
//! ```
//!
//! The API answered 401, and your program does not use [`call`](TokenSource::call):
//!
//! ```no_run
//! # use paytoken::{Provider, TokenSource};
//! # fn main() -> paytoken::Result<()> {
//! # let source = TokenSource::from_env(Provider::NtxPay)?;
//! # let token = source.token()?;
//! source.invalidate(&token)?; // drops this token, and no other
//! let token = source.token()?; // send the request once more with this one, never twice
//! # Ok(()) }
//! ```
//!
//! A wrong password, and a provider that is down, told apart:
//!
//! ```
//! use paytoken::{Error, ErrorKind};
//!
//! fn what_to_do(error: &Error) -> &'static str {
//!     match error.kind() {
//!         ErrorKind::Rejected | ErrorKind::Forbidden => "call a person",
//!         _ if error.is_retryable() => "try again after `retry_after()`",
//!         _ => "correct the settings",
//!     }
//! }
//! # let error = Error::for_tests(ErrorKind::ServerUnavailable, "down");
//! # assert!(what_to_do(&error).starts_with("try again"));
//! ```
//!
//! A test without a network:
//!
//! ```
//! use std::time::Duration;
//! use paytoken::{Provider, Secret, TokenSource};
//!
//! let lifetime = Duration::from_secs(600);
//! let source = TokenSource::from_fn(Provider::NtxPay, move || Ok((Secret::new("t-1"), lifetime)));
//! assert_eq!(source.token()?.bearer(), "Bearer t-1");
//! # Ok::<_, paytoken::Error>(())
//! ```
//!
//! # What happens when a token is asked for
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
//! # Providers
//!
//! | provider | endpoint | a token lives | renewed |
//! |---|---|---|---|
//! | NTX Pay México | `POST /api/auth/token`, X.509 certificate and client credentials | 10 min | after 80 %; the others keep using the old token meanwhile |
//! | NexterPay | `POST /security/createToken`, user name and password | 600 min in the sandbox, 90 min in production | after 90 %, the same way |
//! | Send Payments | `POST /auth`, client credentials | 5 min | after 95 %; all wait: a new token invalidates the old |
//!
//! Any other token endpoint is a description: [`Provider::described`].
//!
//! # Features
//!
//! `system-roots` (off unless asked for): trust the certificate authorities of this system where a
//! program says so, by `Builder::system_root_certificates` or `PAYTOKEN_CA=system`.
//!
//! # Logging
//!
//! Events go to the `log` crate, target `paytoken`, without secrets. At `trace` the HTTP library
//! below logs every byte that it reads and writes; the two bodies with the secret and the token, and
//! the headers that a provider wants, never reach it (it handles fill characters of the same length),
//! so no level of any thread shows them. It does log the rest of the heads: the address, and the
//! headers of the answer, where no provider puts a token. Log your own API calls no lower than
//! `debug`: your HTTP client may log the token at `trace`.

// The floors, as in the `mod` lines below: each folder imports only from those above it in this list, and
// `tests/house.rs` reads it here.
//
//   base         clock ─ sync ─ secret ─ date ─ json ─ files ─ shown ─ dial: it knows nothing of tokens
//   types        Provider ─ Environment ─ Facts ─ Error ─ Event ─ Status ─ TokenOptions ─ StoreKey
//   credentials  credentials ─ certificate ─ variables ─ named files
//   token        token ─ renewal: good, due, ended
//   policy       outcome: what a failure means ─ book: what is remembered, and who may ask now
//   protocol     a constant per provider, built in or described; one request, one answer; refusals
//   transport    the only place that names ureq                                       ▶ the network
//   flight       single flight (Mutex + Condvar) ─ slot: who fetches next ─ the published token
//   store        trait ─ entry ─ account ─ FileStore ─ sealed ─ conformance           ▶ files
//   fetch        attempts, retries, events ─ certificate reloader ─ shared fetch: one for every process
//   source       Builder ─ TokenSource ─ TokenCache ─ Settings ─ fetch_token          ▶ capi/ (C), cli/ (cron, shell)
//
// A token's way: Credentials ─▶ protocol::request ─▶ transport ─▶ protocol::answer ─▶ Token ─▶ slot ─▶ TokenSource.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod base;
mod types;
mod credentials;
mod token;
mod policy;
mod protocol;
mod transport;
mod flight;
pub mod store;
mod fetch;
mod source;
#[cfg(feature = "__bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(all(test, paytoken_model))]
mod simulation;

pub use base::clock::{Clock, Now};
pub use base::secret::Secret;
pub use credentials::Credentials;
pub use credentials::certificate::ClientCertificate;
pub use source::builder::Builder;
pub use source::cache::TokenCache;
pub use source::of::{IsOfOneAccount, ManyAccounts, OneAccount};
pub use source::provider;
pub use source::settings::{Settings, StoreTls};
pub use source::{Attempt, Invalidated, TokenSource};
pub use store::FileStore;
pub use token::Token;
pub use types::environment::Environment;
pub use types::error::{Error, ErrorKind, Result};
pub use types::event::{Event, EventKind};
pub use types::facts::{Facts, Field, FieldKind, Renewal, Site};
pub use types::names::{Described, Provider};
pub use types::options::TokenOptions;
pub use types::status::{AddressProbe, Probe, Status, StoredStatus, TokenStatus};

/// Compiles and runs the examples of the pages. (Those of the README, the tour and the page on async
/// programs are complete programs: `tests/pages` pastes them.)
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../docs/describing-a-provider.md")]
    struct DescribingAProvider;
    #[doc = include_str!("../docs/errors.md")]
    struct Errors;
    #[doc = include_str!("../docs/stores.md")]
    struct Stores;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
