//! Names as people write and read them: of a [`Provider`], an [`Environment`], a kind of failure.

use std::fmt;
use std::str::FromStr;

use crate::types::environment::Environment;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::names::Provider;

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let built_in = Self::ALL.iter().copied().find(|provider| provider.name() == text);
        built_in.or_else(|| Self::of_description(text)).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|provider| provider.name()).collect();
            Error::configuration(format!(
                "provider: {} is not known; use {}, or describe it first",
                quoted(text),
                known.join(", ")
            ))
        })
    }
}

impl FromStr for Environment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|environment| environment.name() == text).ok_or_else(|| {
            Error::configuration(format!(
                "environment: {} is not known; use sandbox or production",
                quoted(text)
            ))
        })
    }
}

/// A word that was not understood, as an error may repeat it: short, printable, and no secret. What
/// is long or odd may be one that was put in the wrong place.
pub(crate) fn quoted(word: &str) -> String {
    let is_a_word = word.len() <= 20
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
    if is_a_word { format!("'{word}'") } else { "the value given".into() }
}

impl fmt::Display for ErrorKind {
    /// In words: `rate limited`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Configuration => "configuration",
            Self::Certificate => "certificate",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate limited",
            Self::ServerUnavailable => "server unavailable",
            Self::InvalidResponse => "invalid response",
            Self::Store => "store",
        })
    }
}
