//! How the command ends: exit codes after sysexits(3), one for each failure that a script would
//! treat differently.

use std::fmt;

use paytoken::ErrorKind;

/// A failure and its one line.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line.
    Usage(String),
    /// `invalidate` had nothing to drop.
    NotDropped(String),
    /// Nothing came on stdin.
    NoInput(String),
    /// The provider or the network is down.
    Unavailable(String),
    /// The store, or writing to stdout.
    Store(String),
    Output(String),
    /// Too slow, or too many requests.
    Temporary(String),
    /// An answer that is not what is documented.
    Protocol(String),
    /// Wrong credentials, or a suspended account.
    Refused(String),
    /// A setting, a certificate.
    Configuration(String),
    /// There is no curl, or it cannot be run: as a shell ends then.
    NoCurl(String),
    /// All has been said already: curl's own code, or what a table comes to.
    Code(u8),
}

impl Failure {
    pub(crate) fn of(kind: ErrorKind, text: String) -> Self {
        match kind {
            ErrorKind::Configuration | ErrorKind::Certificate => Self::Configuration(text),
            ErrorKind::Rejected | ErrorKind::Forbidden => Self::Refused(text),
            ErrorKind::RateLimited | ErrorKind::Timeout => Self::Temporary(text),
            ErrorKind::InvalidResponse => Self::Protocol(text),
            ErrorKind::Store => Self::Store(text),
            _ => Self::Unavailable(text),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::NotDropped(_) => 65,
            Self::NoInput(_) => 66,
            Self::Unavailable(_) => 69,
            Self::Store(_) | Self::Output(_) => 74,
            Self::Temporary(_) => 75,
            Self::Protocol(_) => 76,
            Self::Refused(_) => 77,
            Self::Configuration(_) => 78,
            Self::NoCurl(_) => 127,
            Self::Code(code) => *code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => write!(f, "{text}; see paytoken --help"),
            Self::NotDropped(text)
            | Self::NoInput(text)
            | Self::Unavailable(text)
            | Self::Store(text)
            | Self::Output(text)
            | Self::Temporary(text)
            | Self::Protocol(text)
            | Self::Refused(text)
            | Self::Configuration(text)
            | Self::NoCurl(text) => f.write_str(text),
            Self::Code(_) => Ok(()),
        }
    }
}
