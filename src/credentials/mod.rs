//! Who asks for a token: [`Credentials`].

pub(crate) mod assertion;
pub(crate) mod certificate;
pub(crate) mod named_file;
pub(crate) mod variables;

use std::collections::BTreeMap;

use self::assertion::{AssertionKey, SigningAlg};
use self::variables::{Reading, Variables};
use crate::base::header;
use crate::base::secret::Secret;
use crate::credentials::certificate::ClientCertificate;
use crate::types::error::{Error, Result};
use crate::types::facts::{ASSERTION_KEY, BasicEncoding, CLIENT_ID, Facts, FieldKind, Part, SCOPE};
use crate::types::names::Provider;
use crate::types::words::quoted;

/// What a provider gave you at onboarding. They differ per [`Environment`](crate::Environment).
///
/// ```
/// use paytoken::{ClientCertificate, Credentials, Provider, Secret};
///
/// let credentials = Credentials::NexterPay {
///     user_name: "merchant-7".into(),
///     password: Secret::from("not-a-real-password"),
/// };
/// assert_eq!(credentials.provider(), Provider::NexterPay);
/// assert!(!format!("{credentials:?}").contains("not-a-real-password"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// NTX Pay México: client credentials and an X.509 client certificate.
    NtxPay {
        /// The OAuth 2.0 client identifier.
        client_id: String,
        /// The OAuth 2.0 client secret.
        client_secret: Secret,
        /// The certificate issued at onboarding.
        certificate: ClientCertificate,
    },
    /// NexterPay: user name and password.
    NexterPay {
        /// The user name.
        user_name: String,
        /// The password.
        password: Secret,
    },
    /// Send Payments: client credentials.
    SendPayments {
        /// The client identifier.
        client_id: String,
        /// The client secret.
        client_secret: Secret,
    },
    /// A provider that was described: see [`Provider::described`].
    Described {
        /// Which.
        provider: Provider,
        /// What its description asks for, by name: `client_id`, `client_secret`, its placeholders; and
        /// `scope`, `kid`, and the text of the PEM of `assertion_key`.
        values: BTreeMap<String, Secret>,
        /// Shown to the server by TLS, whatever else proves who asks.
        certificate: Option<ClientCertificate>,
    },
}

impl Credentials {
    /// Credentials of any provider: its identifier (client id, user name), its secret (client
    /// secret, password) and, for NTX Pay, the client certificate.
    ///
    /// ```
    /// use paytoken::{Credentials, Provider};
    ///
    /// let credentials = Credentials::new(Provider::NexterPay, "merchant-7", "not-a-real-password", None)?;
    /// assert_eq!(credentials.id(), "merchant-7");
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the certificate is missing, or given
    /// to a provider that takes none, and for a provider that was described:
    /// [`described`](Self::described) takes its values by name.
    pub fn new(
        provider: Provider,
        id: impl Into<String>,
        secret: impl Into<Secret>,
        certificate: Option<ClientCertificate>,
    ) -> Result<Self> {
        let (id, secret) = (id.into(), secret.into());
        match (provider, certificate) {
            (Provider::NtxPay, Some(certificate)) => {
                Ok(Self::NtxPay { client_id: id, client_secret: secret, certificate })
            }
            (Provider::NexterPay, None) => Ok(Self::NexterPay { user_name: id, password: secret }),
            (Provider::SendPayments, None) => {
                Ok(Self::SendPayments { client_id: id, client_secret: secret })
            }
            (Provider::Described(_), _) => {
                Err("credentials: this provider is described; give its values by their names")
            }
            (_, None) => Err("certificate: not set; give the client certificate that was issued"),
            (_, Some(_)) => Err("certificate: this provider takes none; do not set one"),
        }
        .map_err(|problem| Error::configuration(problem).with_provider(provider))
    }

    /// Credentials of a provider that was described, by the names in its description.
    ///
    /// ```
    /// use paytoken::{Credentials, Provider};
    ///
    /// let acme = Provider::described(
    ///     r#"{"name": "acme", "token_endpoint": "https://auth.acme.example/token",
    ///         "auth": "client_secret_basic", "renewal": "coexists", "lifetime": "1h"}"#,
    /// )?;
    /// let values = [("client_id", "merchant-7"), ("client_secret", "not-a-real-secret")];
    /// let credentials = Credentials::described(acme, values, None)?;
    /// assert_eq!(credentials.id(), "merchant-7");
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming what is missing, not known, or cannot
    /// be used.
    pub fn described<N: Into<String>, V: Into<Secret>>(
        provider: Provider,
        values: impl IntoIterator<Item = (N, V)>,
        certificate: Option<ClientCertificate>,
    ) -> Result<Self> {
        let mut known = BTreeMap::new();
        for (name, value) in values {
            known.insert(name.into(), value.into());
        }
        let credentials = Self::Described { provider, values: known, certificate };
        credentials.check().map_err(|error| error.with_provider(provider))?;
        Ok(credentials)
    }

    /// Reads a provider's credentials from the environment:
    ///
    /// | provider | variables |
    /// |---|---|
    /// | NTX Pay | `NTXPAY_CLIENT_ID`, `NTXPAY_CLIENT_SECRET`, and files named by `NTXPAY_CLIENT_CERT`, `NTXPAY_CLIENT_KEY` (optional when the certificate's file holds the key) |
    /// | NexterPay | `NEXTERPAY_USERNAME`, `NEXTERPAY_PASSWORD` |
    /// | Send Payments | `SENDPAYMENTS_CLIENT_ID`, `SENDPAYMENTS_CLIENT_SECRET` |
    /// | a described one | its prefix with `_CLIENT_ID`, `_CLIENT_SECRET` and each placeholder's name in capitals; `_SCOPE`, `_KID`; files named by `_CLIENT_CERT`, `_CLIENT_KEY`, `_ASSERTION_KEY` |
    ///
    /// Each identifier and secret may instead be in a file named by the variable with `_FILE`
    /// appended, or in a pipe that ends within 15 s; a byte order mark and one line end at its end
    /// are dropped. A variable that is empty counts as not set.
    ///
    /// Certificate and key are read again when their files have changed: see [`ClientCertificate`].
    ///
    /// Address and environment are not read here: see
    /// [`Settings::from_env`](crate::Settings::from_env).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) or
    /// [`Certificate`](crate::ErrorKind::Certificate), naming the variable.
    pub fn from_env(provider: Provider) -> Result<Self> {
        Variables::of_process().credentials(provider, Reading::Whole)
    }

    /// Of nobody, for a source that fetches nothing with them.
    pub(crate) fn for_tests(provider: Provider) -> Self {
        let facts = provider.facts();
        let certificate = facts.requires_certificate.then(ClientCertificate::injected_by_proxy);
        if !facts.is_described {
            return Self::new(provider, "test", "test", certificate).expect("all that it takes");
        }
        let fields = facts.fields.iter().filter(|field| field.kind != FieldKind::Optional);
        let values = fields.map(|field| (field.name.to_owned(), Secret::from("test"))).collect();
        Self::Described { provider, values, certificate }
    }

    /// Whose credentials these are.
    pub fn provider(&self) -> Provider {
        match self {
            Self::NtxPay { .. } => Provider::NtxPay,
            Self::NexterPay { .. } => Provider::NexterPay,
            Self::SendPayments { .. } => Provider::SendPayments,
            Self::Described { provider, .. } => *provider,
        }
    }

    /// The account's identifier: client id or user name; where a description has neither, what tells
    /// its accounts apart first.
    pub fn id(&self) -> &str {
        match self {
            Self::NtxPay { client_id: id, .. }
            | Self::NexterPay { user_name: id, .. }
            | Self::SendPayments { client_id: id, .. } => id,
            Self::Described { .. } => {
                self.identity().next().map(|(_, value)| value).unwrap_or_default()
            }
        }
    }

    /// The client certificate, where there is one.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::NtxPay { certificate, .. } => Some(certificate),
            Self::Described { certificate, .. } => certificate.as_ref(),
            Self::NexterPay { .. } | Self::SendPayments { .. } => None,
        }
    }

    /// One of the values that the provider asks for, by its name there.
    pub fn value(&self, name: &str) -> Option<&str> {
        match (self, name) {
            (
                Self::NtxPay { client_id: id, .. } | Self::SendPayments { client_id: id, .. },
                "client_id",
            )
            | (Self::NexterPay { user_name: id, .. }, "user_name") => Some(id),
            (
                Self::NtxPay { client_secret: secret, .. }
                | Self::SendPayments { client_secret: secret, .. },
                "client_secret",
            )
            | (Self::NexterPay { password: secret, .. }, "password") => Some(secret.expose()),
            (Self::Described { values, .. }, name) => values.get(name).map(Secret::expose),
            _ => None,
        }
    }

    /// The same account with another certificate, where it has one.
    pub(crate) fn with_certificate(&self, renewed: ClientCertificate) -> Self {
        let mut credentials = self.clone();
        match &mut credentials {
            Self::NtxPay { certificate, .. }
            | Self::Described { certificate: Some(certificate), .. } => *certificate = renewed,
            _ => {}
        }
        credentials
    }

    /// Refuses what can only be a mistake, naming the field.
    pub(crate) fn check(&self) -> Result<()> {
        let facts = self.provider().facts();
        if let Self::Described { values, certificate, .. } = self {
            check_names(facts, values)?;
            if certificate.is_none() && facts.requires_certificate {
                return Err(Error::configuration(
                    "certificate: not set; this provider knows its clients by their certificate",
                ));
            }
        }
        for field in facts.fields {
            match (field.kind, self.value(field.name)) {
                (FieldKind::PrivateKey, _) => {
                    self.assertion_key()?;
                }
                (_, Some(text)) => check_text(field.name, text)?,
                (FieldKind::Optional, None) => {}
                (_, None) => {
                    return Err(Error::configuration(format!("{}: not set; set it", field.name)));
                }
            }
        }
        self.check_headers(facts)?;
        self.certificate().map_or(Ok(()), ClientCertificate::check_key)
    }

    /// What goes into a header has to fit there.
    fn check_headers(&self, facts: &Facts) -> Result<()> {
        for (_, part) in facts.protocol.headers {
            match part {
                Part::Value(name) if !self.value(name).is_some_and(header::is_printable) => {
                    return Err(Error::configuration(format!(
                        "{name}: goes into a header, where only printable ASCII fits; copy it again"
                    )));
                }
                Part::Basic(BasicEncoding::None)
                    if self.value(CLIENT_ID.name).is_some_and(|id| id.contains(':')) =>
                {
                    return Err(Error::configuration(
                        "client_id: has a colon, which ends the id where nothing is encoded (RFC 7617 §2); describe the provider with another basic_encoding",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The key that signs client assertions, where the provider takes them: the account's own, else
    /// the client certificate's.
    pub(crate) fn assertion_key(&self) -> Result<Option<AssertionKey>> {
        let Some(signing) = self.provider().facts().protocol.signing else { return Ok(None) };
        let alg = signing.alg.and_then(SigningAlg::named);
        let key = match (self.value(ASSERTION_KEY), self.certificate()) {
            (Some(pem), _) => AssertionKey::from_pem(ASSERTION_KEY, pem.as_bytes(), alg)?,
            (None, Some(certificate)) => match certificate.identity() {
                Some((_, key)) => AssertionKey::of("private_key", key.clone(), alg)?,
                None => return Err(Error::configuration(NO_KEY)),
            },
            (None, None) => return Err(Error::configuration(NO_KEY)),
        };
        Ok(Some(key))
    }

    /// What a refusal is remembered for: the secrets and, where there is a certificate, whether its
    /// private key is there. (The certificate itself makes another account.)
    pub(crate) fn proof(&self) -> Secret {
        let mut parts: Vec<&str> = self.secrets().collect();
        let key = self.assertion_key().ok().flatten();
        parts.extend(key.as_ref().map(AssertionKey::fingerprint));
        if self.certificate().is_some_and(|certificate| !certificate.has_private_key()) {
            parts.push("without a private key");
        }
        // Of its size from the beginning: growing would leave an unwiped copy behind.
        Secret::from(parts.join("\0"))
    }

    /// What tells one account from another, by name.
    pub(crate) fn identity(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = self.provider().facts().fields.iter();
        let identity = fields.filter(|field| field.kind == FieldKind::Identity);
        identity.filter_map(|field| Some((field.name, self.value(field.name)?)))
    }

    /// What proves who asks, the private keys apart.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let fields = self.provider().facts().fields.iter();
        let secrets = fields.filter(|field| field.kind == FieldKind::Secret);
        secrets.filter_map(|field| self.value(field.name))
    }

    /// The scope that is asked for; `""` is none.
    pub(crate) fn scope(&self) -> &str {
        self.value(SCOPE).unwrap_or(self.provider().facts().protocol.scope)
    }

    /// Whether they are the same account's, whatever the secret (where anything else tells).
    pub(crate) fn have_account_of(&self, other: &Self) -> bool {
        self.provider() == other.provider()
            && match (self.built_in(), other.built_in()) {
                (Some((own, _)), Some((others, _))) => own == others,
                _ => {
                    self.scope() == other.scope()
                        && self.identity().eq(other.identity())
                        && (self.provider().facts().has_identity()
                            || self.secrets().eq(other.secrets()))
                }
            }
    }

    /// Whether every part is equal, the secrets included. For each call of a cache, so by no list of
    /// fields.
    pub(crate) fn are(&self, other: &Self) -> bool {
        self.provider() == other.provider()
            && match (self, other) {
                (Self::Described { values: own, .. }, Self::Described { values: others, .. }) => {
                    let both = own.iter().zip(others);
                    own.len() == others.len()
                        && both.into_iter().all(|((own, value), (other, others))| {
                            own == other && value.expose() == others.expose()
                        })
                }
                _ => self.built_in() == other.built_in(),
            }
            && match (self.certificate(), other.certificate()) {
                (Some(own), Some(other)) => is_same(own, other),
                (None, None) => true,
                _ => false,
            }
    }

    /// Id and secret, unless the provider was described.
    fn built_in(&self) -> Option<(&str, &str)> {
        match self {
            Self::NtxPay { client_id: id, client_secret: secret, .. }
            | Self::NexterPay { user_name: id, password: secret }
            | Self::SendPayments { client_id: id, client_secret: secret } => {
                Some((id, secret.expose()))
            }
            Self::Described { .. } => None,
        }
    }
}

const NO_KEY: &str =
    "assertion_key: not set; set it, or certificate and private_key, to the private key that signs";

/// Every value has to be one that the description asks for.
fn check_names(facts: &Facts, values: &BTreeMap<String, Secret>) -> Result<()> {
    match values.keys().find(|name| !facts.fields.iter().any(|field| field.name == **name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<_> = facts.fields.iter().map(|field| field.name).collect();
            Err(Error::configuration(format!(
                "{}: not known for {}; it takes {}",
                quoted(name),
                facts.name,
                known.join(", ")
            )))
        }
    }
}

/// A program's copies of a certificate share their memory, which is compared first: chains are long.
fn is_same(one: &ClientCertificate, other: &ClientCertificate) -> bool {
    let leaves = one.leaf().zip(other.leaf());
    leaves.is_some_and(|(one, other)| std::ptr::eq(one, other))
        || one.distinction() == other.distinction()
}

/// Text of any script without control characters and white space around it. What is wrong is said;
/// the text is not repeated.
fn check_text(field: &str, text: &str) -> Result<()> {
    // Seen by nobody: copied along from a web page, or put there by an editor.
    let is_unseen = |c: char| matches!(c, '\u{feff}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    let problem = if text.trim().is_empty() {
        "is empty; set it"
    } else if text.contains(|c: char| c.is_control()) {
        "holds a control character (a line end, or NUL); remove it"
    } else if text.trim() != text {
        "has white space around it; remove it"
    } else if text.starts_with(is_unseen) || text.ends_with(is_unseen) {
        "begins or ends with an invisible character (a byte order mark, or one copied from a web page); type it anew"
    } else {
        return Ok(());
    };
    Err(Error::configuration(format!("{field}: {problem}")))
}
