//! Shares paytoken's tokens between machines, in Redis or Valkey: a
//! [`Store`](paytoken::store::Store) for a fleet.
//!
//! ```no_run
//! use paytoken::{Provider, Settings};
//! use paytoken_redis::RedisStore;
//!
//! # fn main() -> paytoken::Result<()> {
//! // From a file or the environment, never from the command line: it holds a password.
//! let url = std::env::var("REDIS_URL").unwrap_or_default();
//! let source = Settings::from_env(Provider::SendPayments)?
//!     .builder()?
//!     .store(RedisStore::open(&url)?)
//!     .build()?;
//! let token = source.token()?; // one request for all machines
//! # Ok(()) }
//! ```
//!
//! `docs/redis.md` in the repository says how to run the server: rights, memory, fail-over, and what
//! happens when it is away. In short: tokens in memory go on being served, and
//! [`timeout`](RedisStoreBuilder::timeout) bounds each call of the store.

#![forbid(unsafe_code)]

mod address;
mod builder;
mod clock;
mod connection;
mod descriptor; // the library's own, too: see dial
#[allow(dead_code)] // the library's own folder, which uses all of it
mod dial;
mod failure;
mod lease;
mod link;
mod scripts;
mod status;
mod store;
mod sync;
mod tls;
mod wire;

pub use builder::RedisStoreBuilder;
pub use status::ServerStatus;
pub use store::RedisStore;
