//! A bearer token that is cheap to clone, hides itself in `Debug` and knows when it ends.

pub(crate) mod renewal;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::base::clock::{Boot, ClockSource, Now};
use crate::base::json::SecretText;
use crate::types::facts::Facts;

/// The scheme of RFC 6750 §2.1, with the space that follows it.
const BEARER: &str = "Bearer ";

/// The token in a text that may be a header's value, or a whole header: its last word, as no token
/// has a blank in it.
pub(crate) fn without_scheme(text: &str) -> &str {
    text.split_whitespace().next_back().unwrap_or_default()
}

/// A bearer token (RFC 6750) from a payment provider.
///
/// A clone shares the memory of the first; that memory is wiped when the last clone goes.
/// Safe to send to and share between threads.
///
/// ```
/// use std::time::Duration;
/// use paytoken::Token;
///
/// let token = Token::for_tests("t-1", Duration::from_secs(600));
/// assert_eq!(token.bearer(), "Bearer t-1"); // for the header Authorization
/// assert!(token.remaining() > Duration::from_secs(590));
/// assert!(!format!("{token:?}").contains("t-1"));
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    /// "Bearer …"; the token itself is its tail.
    bearer: Zeroizing<String>,
    /// The header's value where its prefix is not "Bearer ".
    custom: Option<Zeroizing<String>>,
    header_name: Arc<str>,
    /// Before the request was sent: the provider counts from some later moment.
    since: Now,
    lifetime: Duration,
    expires_at: SystemTime,
    scope: Option<String>,
    clock: ClockSource,
}

impl Token {
    /// The token itself, without a scheme. Keep it out of logs.
    pub fn secret(&self) -> &str {
        &self.0.bearer[BEARER.len()..]
    }

    /// `Bearer …`: the value of an `Authorization` header.
    pub fn bearer(&self) -> &str {
        &self.0.bearer
    }

    /// The header to send the token in: `Authorization`, unless the provider's description or
    /// [`Builder::authorization_header`](crate::Builder::authorization_header) says otherwise.
    pub fn header_name(&self) -> &str {
        &self.0.header_name
    }

    /// The value for [`header_name`](Self::header_name): [`bearer`](Self::bearer), unless it has another
    /// prefix there.
    pub fn header_value(&self) -> &str {
        match &self.0.custom {
            Some(value) => value,
            None => &self.0.bearer,
        }
    }

    /// When the token ends, by this machine's wall clock.
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at
    }

    /// How long the token has left: the lesser of what the monotonic and the wall clock say,
    /// zero once it has expired.
    pub fn remaining(&self) -> Duration {
        self.remaining_at(self.0.clock.now())
    }

    /// How long the token lives in all, counted from before its request was sent.
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// The scope the provider granted, where it names one (NTX Pay does).
    pub fn scope(&self) -> Option<&str> {
        self.0.scope.as_deref()
    }
}

impl Token {
    /// A token of this text, fetched just now, for tests of programs that use this library.
    ///
    /// ```
    /// use std::time::Duration;
    /// use paytoken::Token;
    ///
    /// let token = Token::for_tests("t-1", Duration::from_secs(600));
    /// assert_eq!(token.bearer(), "Bearer t-1");
    /// ```
    pub fn for_tests(secret: &str, lifetime: Duration) -> Self {
        let issued = IssuedToken::of(secret, lifetime);
        Self::new(issued, Now::from_system(), &AuthorizationHeader::default(), ClockSource::System)
    }
}

/// A token as a provider's answer issues it: the parsers' result, from which a [`Token`] is made.
pub(crate) struct IssuedToken<'a> {
    pub(crate) access_token: SecretText<'a>,
    pub(crate) lifetime: Duration,
    /// The answer says when the token ends, but not so that anybody understands it.
    pub(crate) lifetime_not_understood: bool,
    pub(crate) scope: Option<String>,
}

impl<'a> IssuedToken<'a> {
    /// A token and its lifetime, and nothing else.
    pub(crate) fn of(access_token: &'a str, lifetime: Duration) -> Self {
        let access_token = SecretText::Borrowed(access_token);
        Self { access_token, lifetime, lifetime_not_understood: false, scope: None }
    }
}

/// How a token is put into a request.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationHeader {
    pub(crate) name: Arc<str>,
    /// With its trailing space; `None` is `Bearer `.
    pub(crate) prefix: Option<String>,
}

impl Default for AuthorizationHeader {
    fn default() -> Self {
        Self { name: "Authorization".into(), prefix: None }
    }
}

impl AuthorizationHeader {
    /// As the provider has it.
    pub(crate) fn of(facts: &Facts) -> Self {
        Self::new(facts.header, facts.scheme)
    }

    /// An empty prefix is the token alone.
    pub(crate) fn new(name: &str, prefix: &str) -> Self {
        let prefix = match prefix {
            "Bearer" => None,
            "" => Some(String::new()),
            prefix => Some(format!("{prefix} ")),
        };
        Self { name: name.into(), prefix }
    }
}

impl Token {
    pub(crate) fn new(
        issued: IssuedToken<'_>,
        since: Now,
        header: &AuthorizationHeader,
        clock: ClockSource,
    ) -> Self {
        let prefixed = |prefix: &str| {
            // Sized at once: growing would leave an unwiped copy behind.
            let mut text =
                Zeroizing::new(String::with_capacity(prefix.len() + issued.access_token.len()));
            text.push_str(prefix);
            text.push_str(&issued.access_token);
            text
        };
        Self(Arc::new(Inner {
            bearer: prefixed(BEARER),
            custom: header.prefix.as_deref().map(prefixed),
            header_name: header.name.clone(),
            since,
            lifetime: issued.lifetime,
            expires_at: since.wall.checked_add(issued.lifetime).unwrap_or(since.wall),
            scope: issued.scope,
            clock,
        }))
    }

    /// When its request was sent, by the machine's own time.
    pub(crate) fn boot(&self) -> Option<Boot> {
        self.0.clock.boot_at(self.0.since.monotonic)
    }

    /// Before its request was sent.
    pub(crate) fn since(&self) -> Now {
        self.0.since
    }

    /// By the wall clock, before its request was sent.
    pub(crate) fn obtained_at(&self) -> SystemTime {
        self.0.since.wall
    }

    /// How old the token is by the clock that says more.
    #[inline]
    pub(crate) fn age_at(&self, now: Now) -> Duration {
        let monotonic = now.monotonic.saturating_duration_since(self.0.since.monotonic);
        let wall = now.wall.duration_since(self.0.since.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    #[inline]
    pub(crate) fn remaining_at(&self, now: Now) -> Duration {
        self.0.lifetime.saturating_sub(self.age_at(now))
    }

    /// The moment at which it is this old by either clock.
    pub(crate) fn moment_of_age(&self, age: Duration) -> Option<Now> {
        self.0.since.checked_add(age)
    }

    pub(crate) fn has_secret(&self, secret: &str) -> bool {
        self.secret() == secret
    }
}

#[cfg(test)]
impl Token {
    /// How many there are, this one included.
    pub(crate) fn clones(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// As a provider would have issued it, asked for at `since`.
    pub(crate) fn issued(secret: &str, lifetime: Duration, since: Now) -> Self {
        let issued = IssuedToken::of(secret, lifetime);
        Self::new(issued, since, &AuthorizationHeader::default(), ClockSource::System)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("secret", &format_args!("redacted({} bytes)", self.secret().len()))
            .field("expires_at", &self.0.expires_at)
            .field("lifetime", &self.0.lifetime)
            .finish_non_exhaustive()
    }
}
