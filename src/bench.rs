//! The pure parts, for `benches/` alone (feature `__bench`).

use crate::clock::Now;
use crate::credentials::Credentials;
use crate::error::Result;
use crate::exchange::Response;
use crate::names::Environment;
use crate::protocol::{self, Timing};
use crate::store::StoreKey;

/// Reads a provider's answer with status 200; the length of its token.
///
/// # Errors
/// As for any answer.
pub fn parse(credentials: &Credentials, body: &[u8]) -> Result<usize> {
    let response = Response {
        status: 200,
        content_type: None,
        retry_after: None,
        date: None,
        body: body.to_vec().into(),
    };
    let wall = Now::from_system().wall;
    let timing = Timing { sent: wall, answered: wall };
    let grant = protocol::read(credentials, Environment::Sandbox, &response, timing)?;
    Ok(grant.access_token.len())
}

/// Makes a provider's request; the length of its body.
pub fn request(credentials: &Credentials) -> usize {
    protocol::request(credentials).body.len()
}

/// A name for an entry of no account.
pub fn store_key() -> StoreKey {
    StoreKey::named("bench")
}
