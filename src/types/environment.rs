//! Which of a provider's systems: [`Environment`].

use std::fmt;

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
