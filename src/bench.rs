//! The pure parts, for `benches/` and `tests/heap` alone (feature `__bench`).

use std::time::Duration;

use crate::base::clock::{ClockSource, Deadline, Now};
use crate::credentials::Credentials;
use crate::protocol::message::{Method, Request, Response};
use crate::protocol::{self, Timing};
use crate::store::StoreKey;
use crate::store::entry::Entry;
use crate::token::{AuthorizationHeader, IssuedToken, Token};
use crate::transport::{ConnectionSettings, Roots, TlsPool, Transport};
use crate::types::base_url::BaseUrl;
use crate::types::environment::Environment;
use crate::types::error::Result;

/// Reads a provider's answer with status 200; the length of its token.
///
/// # Errors
/// As for any answer.
pub fn parse(credentials: &Credentials, body: &[u8]) -> Result<usize> {
    let response = response(200, body);
    let now = Now::from_system();
    Ok(read(credentials, &response, now)?.access_token.len())
}

/// The token of a provider's answer with this status.
///
/// # Errors
/// As for any answer.
pub fn token(credentials: &Credentials, status: u16, body: &[u8]) -> Result<Token> {
    let response = response(status, body);
    let now = Now::from_system();
    let issued = read(credentials, &response, now)?;
    Ok(Token::new(issued, now, &AuthorizationHeader::default(), ClockSource::System))
}

fn response(status: u16, body: &[u8]) -> Response {
    Response {
        status,
        content_type: None,
        content_encoding: None,
        retry_after: None,
        date: None,
        body: body.to_vec().into(),
    }
}

fn read<'a>(
    credentials: &Credentials,
    response: &'a Response,
    now: Now,
) -> Result<IssuedToken<'a>> {
    let timing = Timing { sent: now.wall, answered: now.wall };
    protocol::answer(credentials, Environment::Sandbox, response, timing)
}

/// Makes a provider's request; the length of its body.
///
/// # Errors
/// When the account's private key cannot be used.
pub fn request(credentials: &Credentials) -> Result<usize> {
    let wall = Now::from_system().wall;
    Ok(protocol::request(credentials, "https://nowhere.invalid", wall)?.body.len())
}

/// Sends a header and a body to a server of loopback; the status of its answer.
///
/// # Errors
/// As for any request.
pub fn send(url: &str, ca: Option<&str>, header: &str, body: &str) -> Result<u16> {
    let settings = ConnectionSettings {
        certificate: None,
        roots: ca.map(|pem| Roots::from_pem("ca", pem.as_bytes())).transpose()?,
        proxy: Some(String::new()),
        connect_timeout: Duration::from_secs(60),
    };
    let transport = Transport::new(BaseUrl::parse(url)?, settings, None, &TlsPool::default())?;
    let request = Request {
        method: Method::Post,
        path: "/".into(),
        headers: vec![("x-key", header.to_owned().into())],
        content_type: None,
        body: body.as_bytes().to_vec().into(),
    };
    let answer = transport.send(request, Deadline::after(Duration::from_secs(60)))?;
    Ok(answer.status)
}

/// The token after it was written into an entry and read again.
pub fn stored(token: &Token) -> Option<Token> {
    let key = store_key();
    let mut entry = Entry::default();
    entry.succeed(token);
    let read = Entry::try_decode(&entry.encode(&key), &key)?;
    let (header, longest) = (AuthorizationHeader::default(), token.lifetime());
    read.token?.to_token(Now::from_system(), None, longest, &header, ClockSource::System)
}

/// A name for an entry of no account.
pub fn store_key() -> StoreKey {
    StoreKey::named("bench")
}
