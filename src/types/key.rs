//! What tells one account from another, and hides both id and secret: [`StoreKey`].

use std::fmt;

/// Names an entry: the provider's name, and a hash of all that makes another token (environment, base
/// URL, client id or user name, certificate …). It shows no secret and is fit for file names and Redis
/// keys (`a-z`, `0-9` and `-`, at most 80 characters).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreKey(pub(crate) String);

impl StoreKey {
    #[cfg(feature = "__bench")]
    pub(crate) fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.0)
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for StoreKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
