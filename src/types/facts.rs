//! What a provider's document says and this project decided, as data: [`Facts`].
//!
//! Each provider that is built in is one constant of this type, in `protocol`, and a description becomes
//! one. The library, the command, the C library, the sandbox and the table in docs/providers.md read it.

use std::time::Duration;

use crate::types::environment::Environment;

/// What is known of a provider: see [`Provider::facts`](crate::Provider::facts).
///
/// ```
/// use paytoken::{Environment, Provider};
///
/// let facts = Provider::NtxPay.facts();
/// assert_eq!(facts.endpoint, "/api/auth/token");
/// assert_eq!(facts.variable("CLIENT_CERT"), "NTXPAY_CLIENT_CERT");
/// assert_eq!(facts.in_environment(Environment::Sandbox).lifetime.unwrap().as_secs(), 600);
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
    /// What an account consists of, the client certificate apart, by the names that the provider has for
    /// it: `client_id` and `client_secret`.
    pub fields: &'static [Field],
    /// Whether an X.509 client certificate can belong to the credentials.
    pub takes_certificate: bool,
    /// Whether it has to.
    pub requires_certificate: bool,
    /// The provider's test system.
    pub sandbox: Site,
    /// Its real system.
    pub production: Site,
    /// The longest lifetime that an answer can give a token, where it has a say in it.
    pub longest_lifetime: Option<Duration>,
    /// What a new token means for the one before.
    pub renewal: Renewal,
    /// The header of a request to the API that holds the token: `Authorization`.
    pub header: &'static str,
    /// What stands before the token there: `Bearer`; `""` is nothing.
    pub scheme: &'static str,
    /// Hosts of the provider's API, beside the token endpoint's own: `host`, or `host:port`.
    pub api: &'static [&'static str],
    /// The refused requests in an hour, forced ones apart, after which the provider is not asked again with
    /// a secret that was refused; where it was described, with any.
    pub refusals_per_hour: u32,
    /// Whether it was described, and is none of [`Provider::ALL`](crate::Provider::ALL).
    pub is_described: bool,
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
    pub(crate) payload: Payload,
    /// Left out where the account has no such part.
    pub(crate) headers: &'static [(&'static str, Part)],
    /// The members of what is sent, in this order.
    pub(crate) fields: &'static [(&'static str, Part)],
    /// The scope that is asked for unless the account has one; `""` is none.
    pub(crate) scope: &'static str,
    /// Where a signed assertion proves who asks.
    pub(crate) signing: Option<Signing>,
    /// Where the token stands in the answer, as a JSON pointer (RFC 6901). `""` is the whole
    /// answer, a JSON string or bare.
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
    /// A JSON request, and an answer of which nothing but its token is read; a provider's constant says
    /// what else there is.
    pub(crate) const TOKEN_ALONE: Self = Self {
        payload: Payload::Json,
        headers: &[],
        fields: &[],
        scope: "",
        signing: None,
        token: "",
        expires_in: None,
        expires_at: None,
        jwt_expiry: false,
        is_oauth: false,
    };
}

/// How the fields are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Json,
    Form,
    /// In the query of a GET.
    Query,
    /// A POST of headers alone.
    Empty,
}

/// What stands in a header or a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// The account's value of this name.
    Value(&'static str),
    /// The client certificate: PEM, percent-encoded.
    Certificate,
    Text(&'static str),
    /// A number, true or false.
    Literal(&'static str),
    Table(&'static [(&'static str, Part)]),
    /// The account's, else the provider's; left out where there is none.
    Scope,
    /// Client id and secret as RFC 7617 has them.
    Basic(BasicEncoding),
    /// A client assertion (RFC 7523), made for the request.
    Assertion,
}

/// What is percent-encoded in client id and secret before they are joined: servers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BasicEncoding {
    /// `%` and `+`, and `:` in the id: what servers that decode, and those that do not, read alike in
    /// all but these.
    Minimal,
    /// Everything, as RFC 6749 §2.3.1 says.
    Form,
    None,
}

/// How a client assertion is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signing {
    /// Where the key has more than one.
    pub(crate) alg: Option<&'static str>,
    pub(crate) kid: Option<&'static str>,
    /// The endpoint's URL unless set.
    pub(crate) audience: Option<&'static str>,
}

/// One of the values that an account consists of: its name in settings and in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name of the field: `client_id`.
    pub name: &'static str,
    /// The environment variable, without the provider's prefix: `CLIENT_ID`.
    pub variable: &'static str,
    /// What it is to the account.
    pub kind: FieldKind,
}

/// What a [`Field`] is to an account.
///
/// ```
/// use paytoken::{FieldKind, Provider};
///
/// let fields = Provider::NexterPay.facts().fields;
/// let kinds = fields.iter().map(|field| (field.name, field.kind)).collect::<Vec<_>>();
/// assert_eq!(kinds, [("user_name", FieldKind::Identity), ("password", FieldKind::Secret)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// It tells one account from another: another value is another account, with tokens of its own.
    Identity,
    /// It proves who asks: a refusal is remembered for it, and it is shown nowhere.
    Secret,
    /// A private key that proves who asks, by the path of its PEM file. Where there is none, the client
    /// certificate's is used.
    PrivateKey,
    /// It may be left out: `scope`, of which another value is another account, too; `kid`.
    Optional,
}

impl Field {
    pub(crate) const fn new(name: &'static str, variable: &'static str, kind: FieldKind) -> Self {
        Self { name, variable, kind }
    }

    /// Whether it proves who asks, and is shown nowhere.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, FieldKind::Secret | FieldKind::PrivateKey)
    }
}

/// One of a provider's systems.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Site {
    /// The address that the document states, if it states one.
    pub base_url: Option<&'static str>,
    /// How long a token lives there, where that is known before one comes.
    pub lifetime: Option<Duration>,
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

    /// Whether anything but a secret tells one account from another.
    pub(crate) fn has_identity(&self) -> bool {
        self.fields.iter().any(|field| field.kind == FieldKind::Identity)
    }

    /// The longest that a token can live.
    pub(crate) fn longest_lifetime(&self, environment: Environment) -> Duration {
        self.longest_lifetime
            .or(self.in_environment(environment).lifetime)
            .unwrap_or(LONGEST_LIFETIME)
    }
}

impl Site {
    pub(crate) const fn new(base_url: Option<&'static str>, minutes: u64) -> Self {
        Self { base_url, lifetime: Some(Duration::from_secs(minutes * 60)) }
    }
}

/// No token is believed to live for longer.
const LONGEST_LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What OAuth 2.0 gives a client (RFC 6749 §2.2, §2.3.1).
pub(crate) const CLIENT_ID: Field = Field::new("client_id", "CLIENT_ID", FieldKind::Identity);
pub(crate) const CLIENT_SECRET: Field =
    Field::new("client_secret", "CLIENT_SECRET", FieldKind::Secret);
pub(crate) const CLIENT_CREDENTIALS: &[Field] = &[CLIENT_ID, CLIENT_SECRET];

/// How a bearer token is sent (RFC 6750 §2.1).
pub(crate) const AUTHORIZATION: &str = "Authorization";
pub(crate) const BEARER: &str = "Bearer";

/// The names of what only described providers have.
pub(crate) const SCOPE: &str = "scope";
pub(crate) const KID: &str = "kid";
pub(crate) const ASSERTION_KEY: &str = "assertion_key";

/// So many refused requests an hour are the most at the three that are built in.
pub(crate) const REFUSALS_PER_HOUR: u32 = 6;
