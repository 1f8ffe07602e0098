//! Bearer tokens of payment providers' APIs: obtained, cached, renewed. Blocking, small, careful.
//!
//! ```text
//! Credentials ─▶ provider::request ─▶ transport ─▶ provider::parse ─▶ Token ─▶ slot ─▶ TokenSource ─┬▶ your program
//!                  (pure)           (ureq, only here)  (pure)                   │           ▲       ├▶ capi/ (C)
//!                                                                           flight.rs:      │       └▶ cli/ (cron, shell)
//!                                                                         Mutex + Condvar,  │
//!                                                                           snapshots       │
//!                                                                               │      TokenCache: one
//!                                                                               ▼      source per merchant
//!                                                                     Store (FileStore), shared
//!                                                                       between processes
//! ```
//!
//! | provider | endpoint | lives | renewed |
//! |---|---|---|---|
//! | NTX Pay México | `POST /api/auth/token`, X.509 certificate + client credentials | 10 min | from 80 %, others go on meanwhile |
//! | NexterPay | `POST /security/createToken`, user name and password | 600 min sandbox, 90 min production | from 90 %, others go on meanwhile |
//! | Send Payments | `POST /auth`, client credentials | 5 min | at 95 %, all wait: a new token ends the old |
//!
//! Start with [`TokenSource`]; serve many merchants with [`TokenCache`]; for one token without a
//! cache there is a `fetch_token` per provider in [`provider`].
//!
//! # Logging
//!
//! Events go to the `log` crate, target `paytoken`, without secrets. While a token request is on
//! the wire, `trace` records are held back in the whole process: ureq's protocol layer would log
//! the secret and the token at that level. Log your own API calls no lower than `debug` for the
//! same reason.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub mod bench;
mod breaker;
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
mod json;
mod names;
mod options;
mod protocol;
pub mod provider;
mod renewal;
mod secret;
mod settings;
mod shared;
mod slot;
mod snapshots;
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
pub use settings::Settings;
pub use source::{Attempt, TokenSource};
pub use status::{Status, StoredStatus, TokenStatus};
pub use store::FileStore;
pub use token::Token;

/// Compiles the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
