//! Whom a token is for: [`Provider`].

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::types::facts::Facts;

/// Whose tokens. `Display` and `FromStr` use `ntx-pay`, `nexter-pay`, `send-payments`, and the names of
/// those that this process has described.
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
    /// Another one, by its description: see [`Provider::described`].
    Described(Described),
}

/// A provider that was described; its name is all that it is known by in this process.
///
/// ```
/// use paytoken::{Described, Provider};
///
/// let of = |provider| -> Option<Described> {
///     match provider {
///         Provider::Described(described) => Some(described),
///         _ => None,
///     }
/// };
/// assert!(of(Provider::NtxPay).is_none());
/// ```
#[derive(Clone, Copy)]
pub struct Described(pub(crate) &'static Facts);

impl PartialEq for Described {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Described {}

impl PartialOrd for Described {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Described {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name.cmp(other.0.name)
    }
}

impl Hash for Described {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Described({})", self.0.name)
    }
}

impl Provider {
    /// All that are built in, in the order of their documents.
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
