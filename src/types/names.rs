//! Whom a token is for, and which of its systems: [`Provider`] and [`Environment`].

use std::fmt;

/// A payment provider. `Display` and `FromStr` use `ntx-pay`, `nexter-pay`, `send-payments`.
///
/// ```
/// use paytoken::Provider;
///
/// assert_eq!("ntx-pay".parse::<Provider>()?, Provider::NtxPay);
/// assert_eq!(Provider::NtxPay.to_string(), "ntx-pay");
/// # Ok::<_, paytoken::Error>(())
/// ```
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
///
/// ```
/// use paytoken::Environment;
///
/// assert_eq!("production".parse::<Environment>()?, Environment::Production);
/// # Ok::<_, paytoken::Error>(())
/// ```
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

    pub(crate) fn name(self) -> &'static str {
        self.facts().name
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Environment {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Sandbox, Self::Production];

    pub(crate) fn name(self) -> &'static str {
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
