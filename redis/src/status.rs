//! [`ServerStatus`]: what a server says of itself, for people who look at a set-up.

use std::time::Duration;

use paytoken::{Error, Result};
use redis::Value;

use crate::clock::{self, Deadline};
use crate::connection::{Command, Connection};
use crate::failure::{Failure, Refusal};
use crate::link::Link;
use crate::scripts;
use crate::sync::lock;

/// More of a server's own words are not taken.
const LONGEST_WORD: usize = 32;

/// What [`RedisStore::server`](crate::RedisStore::server) found out. `None` is what the server does not
/// tell this user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerStatus {
    /// To find it, connect and log in.
    pub connecting: Duration,
    /// From a command to its answer, on a connection that is open.
    pub latency: Duration,
    /// Where the master is that a Sentinel names (`host:port`), and that Sentinel.
    pub master_and_sentinel: Option<(String, String)>,
    /// `redis`, `valkey` or whatever it calls itself.
    pub product: Option<String>,
    /// Such as `7.0.15`.
    pub version: Option<String>,
    /// Whether it is a replica, which cannot be written: the store does not work there.
    pub is_replica: Option<bool>,
    /// Why it takes no lock, as a call would be told it: a missing right, no memory, a disk that is
    /// full, a replica. `None` where a key of ours could be written, and removed again.
    pub refusal: Option<Error>,
    /// Whether it is part of a cluster, which is not supported.
    pub is_cluster: Option<bool>,
    /// How many replicas follow it. Asked with `WAIT`.
    pub replicas: Option<u64>,
    /// Its `maxmemory-policy`. Asked with `INFO`, a right that the store does not need itself.
    pub eviction: Option<String>,
    /// Whether the connection is encrypted (TLS).
    pub is_encrypted: bool,
    /// Whether it is on this machine: a Unix socket, or a loopback address.
    pub is_local: bool,
}

/// Asks on a connection of its own, within one time-out.
pub(crate) fn ask(link: &Link, prefix: &str) -> Result<ServerStatus> {
    status(link, prefix).map_err(|failure| link.error(failure))
}

fn status(link: &Link, prefix: &str) -> Result<ServerStatus, Failure> {
    let deadline = Deadline::after(link.limit);
    let began = clock::monotonic();
    let mut connection = Connection::open(&link.target, deadline)?;
    let connecting = began.elapsed();
    let began = clock::monotonic();
    // Whether it serves this user at all: all that follows may be refused.
    connection.ask(&[Command::new(&[b"EVAL", b"return 1", b"0"])], deadline)?;
    let latency = began.elapsed();
    let key = format!("{prefix}:{{check}}").into_bytes();
    let trial = Command::new(&[b"EVAL", scripts::TRIAL.as_bytes(), b"1", &key]);
    let refusal = match connection.ask(&[trial], deadline) {
        Ok(_) => None,
        Err(failure @ Failure::Refused(_)) => Some(link.error(failure)),
        Err(failure) => return Err(failure),
    };
    // Every user may say HELLO, without a right to it.
    let hello = optional(&mut connection, &[b"HELLO", b"2"], deadline)?;
    let told = |name: &str| hello.as_ref().and_then(|answer| member(answer, name));
    let role = told("role");
    let is_replica = match role.as_deref() {
        Some("master") => Some(false),
        Some("replica" | "slave") => Some(true),
        _ => None,
    };
    // How many have what this connection has written. Replicas refuse it.
    let replicas = match is_replica {
        Some(true) => None,
        _ => optional(&mut connection, &[b"WAIT", b"1000000", b"20"], deadline)?,
    };
    let information = optional(&mut connection, &[b"INFO", b"memory"], deadline)?;
    Ok(ServerStatus {
        connecting,
        latency,
        master_and_sentinel: lock(&link.target.named)
            .as_ref()
            .map(|named| (named.master.to_string(), named.sentinel.to_string())),
        product: told("server"),
        version: told("version"),
        is_replica,
        refusal,
        is_cluster: told("mode").map(|mode| mode == "cluster"),
        replicas: match replicas {
            Some(Value::Int(count)) => u64::try_from(count).ok(),
            _ => None,
        },
        eviction: information.and_then(|text| line(&text, "maxmemory_policy:")),
        is_encrypted: link.target.address.is_tls,
        is_local: connection.peer().is_none_or(|address| address.is_loopback()),
    })
}

/// The answer, unless this user may not ask.
fn optional(
    connection: &mut Connection,
    words: &[&[u8]],
    deadline: Deadline,
) -> Result<Option<Value>, Failure> {
    match connection.ask(&[Command::new(words)], deadline) {
        Ok(mut answers) => Ok(answers.pop()),
        // Other: a server that does not know the command, or where it has another name.
        Err(Failure::Refused(Refusal::NotAllowed | Refusal::Other)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// From a list of names and values in turn.
fn member(answer: &Value, name: &str) -> Option<String> {
    let Value::Array(parts) = answer else { return None };
    let at = parts.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(name))?;
    text(&at[1])
}

fn line(answer: &Value, name: &str) -> Option<String> {
    let Value::BulkString(bytes) = answer else { return None };
    let all = std::str::from_utf8(bytes).ok()?;
    word(all.lines().find_map(|line| line.strip_prefix(name))?.trim())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => word(std::str::from_utf8(bytes).ok()?),
        Value::SimpleString(text) => word(text),
        _ => None,
    }
}

/// What a server says is shown where it is a short word, and nothing that a terminal would obey.
fn word(text: &str) -> Option<String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    let is_word = !text.is_empty() && text.len() <= LONGEST_WORD && text.bytes().all(is_fine);
    is_word.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_words_of_a_server_are_taken() {
        for fine in ["7.0.15", "allkeys-lru", "8.0.1-rc1+x", "valkey"] {
            assert_eq!(word(fine).as_deref(), Some(fine));
        }
        for bad in ["", "two words", "\x1b[2J", "caf\u{e9}", &"x".repeat(33), "a\nb"] {
            assert_eq!(word(bad), None, "{bad:?}");
        }
    }
}
