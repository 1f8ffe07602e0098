//! Whom a token is for, and which of its systems: [`Provider`] and [`Environment`].

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A payment provider. `Display` and `FromStr` use `ntx-pay`, `nexter-pay`, `send-payments`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// NTX Pay México.
    NtxPay,
    /// NexterPay.
    NexterPay,
    /// Send Payments.
    SendPayments,
}

/// Which of a provider's environments. `Display` and `FromStr` use `sandbox` and `production`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Environment {
    /// The provider's test system.
    Sandbox,
    /// Real money.
    Production,
}

impl Provider {
    /// All providers, in the order of their documents.
    pub const ALL: &'static [Self] = &[Self::NtxPay, Self::NexterPay, Self::SendPayments];

    fn name(self) -> &'static str {
        self.facts().name
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|provider| provider.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|provider| provider.name()).collect();
            Error::configuration(format!(
                "provider: {} is not known; use {}",
                quoted(text),
                known.join(", ")
            ))
        })
    }
}

impl Environment {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Sandbox, Self::Production];

    fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
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
fn quoted(word: &str) -> String {
    let is_a_word = word.len() <= 20
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
    if is_a_word { format!("'{word}'") } else { "the value given".into() }
}
