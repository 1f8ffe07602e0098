//! What a provider's document says and this project decided, as data: [`Facts`].
//!
//! Each provider is one constant of this type, in `protocol`. The library, the command, the C library,
//! the sandbox and the table in the README read it.

use std::time::Duration;

use crate::types::names::Environment;

/// What is known of a provider: see [`Provider::facts`](crate::Provider::facts).
///
/// ```
/// use paytoken::{Environment, Provider};
///
/// let facts = Provider::NtxPay.facts();
/// assert_eq!(facts.endpoint, "/api/auth/token");
/// assert_eq!(facts.variable("CLIENT_CERT"), "NTXPAY_CLIENT_CERT");
/// assert_eq!(facts.in_environment(Environment::Sandbox).lifetime.as_secs(), 600);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// The name in settings and messages: `ntx-pay`.
    pub name: &'static str,
    /// The name for people: `NTX Pay México`.
    pub title: &'static str,
    /// The path of the token endpoint, appended to the base URL.
    pub endpoint: &'static str,
    /// What environment variables of this provider start with: `NTXPAY`.
    pub prefix: &'static str,
    /// What the provider calls the account's identifier.
    pub id: Field,
    /// What the provider calls the account's secret.
    pub secret: Field,
    /// Whether an X.509 client certificate belongs to the credentials.
    pub takes_certificate: bool,
    /// The provider's test system.
    pub sandbox: Site,
    /// Its real system.
    pub production: Site,
    /// The longest lifetime that an answer can give a token, where it has a say in it.
    pub longest_lifetime: Option<Duration>,
    /// What a new token means for the one before.
    pub renewal: Renewal,
    /// Where the address comes from when the document states none.
    pub(crate) address_hint: &'static str,
    /// What to check when the provider calls the request a bad one (400).
    pub(crate) bad_request_hint: &'static str,
    /// What to check when the provider refuses the credentials.
    pub(crate) refusal_hint: &'static str,
    /// What goes over the wire.
    pub(crate) protocol: Protocol,
}

/// How a provider is asked and where its answer holds what: all that differs between token
/// endpoints, so that one request and one reader serve every provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// Left out where the credentials have no such part.
    pub(crate) headers: &'static [(&'static str, Part)],
    /// The members of the request's JSON, in the document's order.
    pub(crate) fields: &'static [(&'static str, Part)],
    /// Where the token stands in the answer, as a JSON pointer (RFC 6901). `""` is the whole
    /// answer, a JSON string or a bare JWT.
    pub(crate) token: &'static str,
    /// Where the seconds stand that the token lives, as a number or as text.
    pub(crate) expires_in: Option<&'static str>,
    /// Where the date stands at which the token ends, in any common form.
    pub(crate) expires_at: Option<&'static str>,
    /// Whether the token is a JWT, whose `exp` may end it earlier: a hint, never verified.
    pub(crate) jwt_expiry: bool,
    /// Whether the answer is one of RFC 6749 §5.1: `token_type` has to be Bearer, where it is
    /// there, and `scope` is what was granted.
    pub(crate) is_oauth: bool,
}

impl Protocol {
    /// An answer of which nothing but its token is read; a provider's constant says what else is.
    pub(crate) const TOKEN_ALONE: Self = Self {
        headers: &[],
        fields: &[],
        token: "",
        expires_in: None,
        expires_at: None,
        jwt_expiry: false,
        is_oauth: false,
    };
}

/// A part of the credentials, as a request holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Id,
    Secret,
    /// PEM, percent-encoded.
    Certificate,
}

/// A part of the credentials: its name in [`Credentials`](crate::Credentials) and in the environment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Field {
    /// The name of the field: `client_id`.
    pub name: &'static str,
    /// The environment variable, without the provider's prefix: `CLIENT_ID`.
    pub variable: &'static str,
}

/// One of a provider's systems.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Site {
    /// The address that the document states, if it states one.
    pub base_url: Option<&'static str>,
    /// How long a token lives there.
    pub lifetime: Duration,
}

/// What a new token means for the one before, and so when to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewal {
    /// Older tokens stay valid. From this percentage of the lifetime on, one caller renews while
    /// the others keep using the token they have.
    #[non_exhaustive]
    Coexists {
        /// Percent of the lifetime.
        renew_from_percent: u32,
    },
    /// A new token invalidates the one before: no early renewal, and every caller waits for it.
    ReplacesPrevious,
}

impl Facts {
    /// The system of this environment.
    pub fn in_environment(&self, environment: Environment) -> &Site {
        match environment {
            Environment::Sandbox => &self.sandbox,
            Environment::Production => &self.production,
        }
    }

    /// The environment variable of this name: `NTXPAY_BASE_URL` for `BASE_URL`.
    pub fn variable(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// The longest that a token can live.
    pub(crate) fn longest_lifetime(&self, environment: Environment) -> Duration {
        self.longest_lifetime.unwrap_or(self.in_environment(environment).lifetime)
    }
}

impl Site {
    pub(crate) const fn new(base_url: Option<&'static str>, minutes: u64) -> Self {
        Self { base_url, lifetime: Duration::from_secs(minutes * 60) }
    }
}

pub(crate) const CLIENT_ID: Field = Field { name: "client_id", variable: "CLIENT_ID" };
pub(crate) const CLIENT_SECRET: Field = Field { name: "client_secret", variable: "CLIENT_SECRET" };
