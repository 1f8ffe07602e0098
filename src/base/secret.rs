//! A string that does not show itself and is wiped when it goes.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

/// A client secret or a password.
///
/// `Debug` shows nothing of it, there is no `Display`, and its memory is overwritten on drop.
///
/// ```
/// let secret = paytoken::Secret::from("not-a-real-secret");
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// assert_eq!(secret.expose(), "not-a-real-secret");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; a borrowed one is copied.
    ///
    /// ```
    /// let secret = paytoken::Secret::new("not-a-real-secret");
    /// assert_eq!(secret.expose(), "not-a-real-secret");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Keep it out of logs and error messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for Secret {
    /// Takes the string over, so that no second copy is left behind.
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Secret {
    fn from(text: Cow<'_, str>) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
