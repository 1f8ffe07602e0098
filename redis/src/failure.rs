//! Why Redis gave no answer that can be used, and what to do about it.
//!
//! What a server says is never shown: it can repeat a command, and with it the password.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use paytoken::Error;

/// Where a failure may be over in seconds.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
use crate::dial::{NotConnected, NotFound};

#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No name server knows the host, or none answered in time.
    NotFound(Arc<io::Error>),
    NotReached(Arc<NotConnected>),
    /// Time ran out with an answer outstanding.
    Silent,
    /// The connection ended in the middle.
    Broken(Arc<io::Error>),
    Tls(Arc<io::Error>),
    /// What answers is not Redis.
    Garbage,
    /// An answer that is longer than any that is expected.
    TooLong,
    /// An error of Redis.
    Refused(Refusal),
    /// None of the Sentinels knows a master of this name.
    NoMaster,
    /// It was done, but fewer replicas have it than must.
    TooFewReplicas {
        have: i64,
        must: u32,
    },
    /// Nobody was asked: it failed a moment ago, or another caller is waiting for it in vain.
    Away,
}

/// The errors that are told apart, by their first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPassword,
    WrongPassword,
    NoPasswordExpected,
    NotAllowed,
    ReadOnly,
    OutOfMemory,
    Loading,
    Busy,
    CannotSave,
    LostItsMaster,
    TooFewReplicas,
    Cluster,
    TooManyClients,
    Protected,
    NoSuchDatabase,
    WrongType,
    Other,
}

impl Refusal {
    pub(crate) fn of(code: &str, details: &str) -> Self {
        match code {
            "NOAUTH" => Self::NoPassword,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NotAllowed,
            "READONLY" => Self::ReadOnly,
            "OOM" => Self::OutOfMemory,
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "MISCONF" => Self::CannotSave,
            "MASTERDOWN" => Self::LostItsMaster,
            "NOREPLICAS" => Self::TooFewReplicas,
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "TRYAGAIN" => Self::Cluster,
            "DENIED" => Self::Protected,
            "WRONGTYPE" => Self::WrongType,
            _ if details.contains("number of clients") => Self::TooManyClients,
            _ if details.contains("without any password") => Self::NoPasswordExpected,
            _ if details.contains("DB index") => Self::NoSuchDatabase,
            // A script that is not allowed to write ends in an error of its own.
            _ if details.contains("read only replica") => Self::ReadOnly,
            _ if details.contains("maxmemory") => Self::OutOfMemory,
            // So says a script of a user who may not do all of it.
            _ if details.contains("user executing the script") => Self::NotAllowed,
            _ => Self::Other,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoPassword => {
                "asks for a password; put user and password into its URL (redis://user:password@host)"
            }
            Self::WrongPassword => "does not know this user with this password; correct the URL",
            Self::NoPasswordExpected => {
                "expects no password of its default user; leave the password out of the URL, or name a user"
            }
            Self::NotAllowed => {
                "does not allow this user what is needed; give it the rights that docs/redis.md lists"
            }
            Self::ReadOnly => {
                "is a replica, which cannot be written; give the master's address, or use redis+sentinel://"
            }
            Self::OutOfMemory => {
                "has no memory left (maxmemory); give it more, or a Redis of its own"
            }
            Self::Loading => "is still loading its data; it will be there in a moment",
            Self::Busy => "is busy with another client's script; end that script",
            Self::CannotSave => {
                "refuses writes because it cannot save its data; check its disk, or turn saving off: it is not needed here"
            }
            Self::LostItsMaster => {
                "is a replica that has lost its master; give the master's address"
            }
            Self::TooFewReplicas => "has fewer replicas than it needs to accept writes; check them",
            Self::Cluster => {
                "is part of a cluster, which is not supported; use one Redis, with Sentinel where it must not fail"
            }
            Self::TooManyClients => "has as many clients as it takes; raise its maxclients",
            Self::Protected => {
                "is in protected mode and takes local clients only; give it a password"
            }
            Self::NoSuchDatabase => "has no database of this number; correct the URL",
            Self::WrongType => "holds something else under this name; use another prefix",
            Self::Other => {
                "answered with an error; check its log, and that it is Redis 6 or newer, or Valkey"
            }
        }
    }

    /// Whether another connection, to whoever is master now, could do better.
    fn is_of_the_connection(self) -> bool {
        matches!(self, Self::ReadOnly | Self::LostItsMaster | Self::Loading | Self::TooManyClients)
    }
}

impl Failure {
    /// Whether a kept connection may have failed just because it is old.
    pub(crate) fn is_of_an_old_connection(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Refused(refusal) => refusal.is_of_the_connection(),
            _ => false,
        }
    }

    /// Whether Redis answers.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::TooFewReplicas { .. })
    }

    /// Whether the connection can be used again.
    pub(crate) fn leaves_the_connection_good(&self) -> bool {
        matches!(self, Self::Refused(refusal) if !refusal.is_of_the_connection())
    }

    /// While reading or writing.
    pub(crate) fn of_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            // rustls says so of what is wrong with the other side.
            io::ErrorKind::InvalidData if error.get_ref().is_some() => Self::Tls(Arc::new(error)),
            _ => Self::Broken(Arc::new(error)),
        }
    }

    /// Whether it may be over in seconds without anybody's doing, as a fail-over is.
    fn may_pass(&self) -> bool {
        match self {
            // A socket is gone while its server starts anew; or nobody has answered in time.
            Self::NotReached(failure) => failure.error.as_ref().is_none_or(|error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
                )
            }),
            // No name server has answered.
            Self::NotFound(error) => error.kind() == io::ErrorKind::TimedOut,
            Self::Silent | Self::Broken(_) | Self::TooFewReplicas { .. } | Self::Away => true,
            Self::Refused(refusal) => {
                refusal.is_of_the_connection()
                    || matches!(refusal, Refusal::TooFewReplicas | Refusal::Busy)
            }
            Self::Tls(_) | Self::Garbage | Self::TooLong | Self::NoMaster => false,
        }
    }

    /// Of a socket, or of a thread.
    pub(crate) fn not_reached(error: io::Error) -> Self {
        NotConnected { error: Some(error), tried: String::new() }.into()
    }

    /// For the user: `place` is where, `limit` how long a call may take.
    pub(crate) fn into_error(self, place: &str, limit: Duration) -> Error {
        let wait = self.may_pass().then_some(ASK_AGAIN_AFTER);
        let says = |what: &str| {
            Error::store(format!("store: Redis at {place} {what}")).with_retry_after(wait)
        };
        let silent = |tried: &str| {
            format!(
                "did not answer within {limit:?}{tried}; check that it runs, and the network to it"
            )
        };
        match self {
            Self::NotFound(error) => {
                says("was not found: its name leads to no address; check the URL and the name servers")
                    .with_source(shown(&error))
            }
            Self::NotReached(failed) => {
                let tried = &failed.tried;
                let Some(error) = &failed.error else {
                    return says(&silent(tried));
                };
                let why = match error.kind() {
                    io::ErrorKind::ConnectionRefused => "nothing listens there",
                    io::ErrorKind::NotFound => "no such socket",
                    io::ErrorKind::PermissionDenied => "this user may not use that socket",
                    _ => "the network does not lead there",
                };
                says(&format!("cannot be reached ({why}){tried}; check that it runs, and the URL"))
                    .with_source(shown(error))
            }
            Self::Silent => says(&silent("")),
            Self::Broken(error) => {
                says("ended the connection; check that it runs, and its log").with_source(shown(&error))
            }
            Self::Tls(error) => says(
                "cannot be spoken to by TLS; check its certificate, the authorities that are trusted, and that the port is its TLS port",
            )
            .with_source(shown(&error)),
            Self::Garbage | Self::TooLong => {
                says("does not answer as Redis does; check that the address is that of a Redis")
            }
            Self::Refused(refusal) => says(refusal.sentence()),
            Self::NoMaster => says(
                "cannot be found: no Sentinel that answers knows a master of this name; check the URL",
            ),
            Self::TooFewReplicas { have, must } => says(&format!(
                "has {have} replicas that took it in time, and {must} must; check the replicas, or lower min_replicas"
            )),
            Self::Away => says("did not answer a moment ago; it is asked again soon"),
        }
    }
}

/// An error that is shared, with the system's number where it has one.
fn shown(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl From<NotConnected> for Failure {
    fn from(failed: NotConnected) -> Self {
        Self::NotReached(Arc::new(failed))
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let of_kind = |kind: io::ErrorKind| Arc::new(io::Error::from(kind));
        match error {
            NotFound::NoThread(error) => Self::not_reached(error),
            NotFound::TooSlow => Self::NotFound(of_kind(io::ErrorKind::TimedOut)),
            NotFound::Unknown(error) => {
                Self::NotFound(error.unwrap_or_else(|| of_kind(io::ErrorKind::NotFound)))
            }
        }
    }
}
