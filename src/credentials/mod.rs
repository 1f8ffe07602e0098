//! Who asks for a token: [`Credentials`].

pub(crate) mod certificate;
pub(crate) mod named_file;

pub(crate) mod variables;

use self::variables::{Reading, Variables};
use crate::base::secret::Secret;
use crate::credentials::certificate::ClientCertificate;
use crate::types::error::{Error, Result};
use crate::types::names::Provider;

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
    /// to a provider that takes none.
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
            (_, None) => Err("certificate: not set; give the client certificate that was issued"),
            (_, Some(_)) => Err("certificate: this provider takes none; do not set one"),
        }
        .map_err(|problem| Error::configuration(problem).with_provider(provider))
    }

    /// Reads a provider's credentials from the environment:
    ///
    /// | provider | variables |
    /// |---|---|
    /// | NTX Pay | `NTXPAY_CLIENT_ID`, `NTXPAY_CLIENT_SECRET`, and files named by `NTXPAY_CLIENT_CERT`, `NTXPAY_CLIENT_KEY` (optional when the certificate's file holds the key) |
    /// | NexterPay | `NEXTERPAY_USERNAME`, `NEXTERPAY_PASSWORD` |
    /// | Send Payments | `SENDPAYMENTS_CLIENT_ID`, `SENDPAYMENTS_CLIENT_SECRET` |
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

    /// Whose credentials these are.
    pub fn provider(&self) -> Provider {
        match self {
            Self::NtxPay { .. } => Provider::NtxPay,
            Self::NexterPay { .. } => Provider::NexterPay,
            Self::SendPayments { .. } => Provider::SendPayments,
        }
    }

    /// The account's identifier: client id or user name.
    pub fn id(&self) -> &str {
        self.parts().id
    }

    /// Identifier, secret and certificate, whatever the provider calls them.
    pub fn into_parts(self) -> (String, Secret, Option<ClientCertificate>) {
        match self {
            Self::NtxPay { client_id, client_secret, certificate } => {
                (client_id, client_secret, Some(certificate))
            }
            Self::NexterPay { user_name: id, password: secret }
            | Self::SendPayments { client_id: id, client_secret: secret } => (id, secret, None),
        }
    }

    /// The same account with another certificate, where it has one.
    pub(crate) fn with_certificate(&self, renewed: ClientCertificate) -> Self {
        let mut credentials = self.clone();
        if let Self::NtxPay { certificate, .. } = &mut credentials {
            *certificate = renewed;
        }
        credentials
    }

    /// Refuses what can only be a mistake, naming the field.
    pub(crate) fn check(&self) -> Result<()> {
        let parts = self.parts();
        let facts = self.provider().facts();
        check_text(facts.id.name, parts.id)?;
        check_text(facts.secret.name, parts.secret.expose())?;
        parts.certificate.map_or(Ok(()), ClientCertificate::check_key)
    }

    /// What a refusal is remembered for: the secret and, where there is a certificate, whether its
    /// private key is there. (The certificate itself makes another account.)
    pub(crate) fn proof(&self) -> Secret {
        let Parts { secret, certificate, .. } = self.parts();
        match certificate {
            Some(certificate) if !certificate.has_private_key() => {
                Secret::from([secret.expose(), "\0without a private key"].concat())
            }
            _ => secret.clone(),
        }
    }

    /// The same three things whatever the provider calls them.
    pub(crate) fn parts(&self) -> Parts<'_> {
        match self {
            Self::NtxPay { client_id, client_secret, certificate } => {
                Parts { id: client_id, secret: client_secret, certificate: Some(certificate) }
            }
            Self::NexterPay { user_name, password } => {
                Parts { id: user_name, secret: password, certificate: None }
            }
            Self::SendPayments { client_id, client_secret } => {
                Parts { id: client_id, secret: client_secret, certificate: None }
            }
        }
    }
}

impl Credentials {
    /// Whether they are the same account's, whatever the secret.
    pub(crate) fn have_account_of(&self, other: &Self) -> bool {
        self.id() == other.id() && self.provider() == other.provider()
    }

    /// Whether every part is equal, the secret included.
    pub(crate) fn are(&self, other: &Self) -> bool {
        let (own, others) = (self.parts(), other.parts());
        own.id == others.id
            && own.secret.expose() == others.secret.expose()
            && self.provider() == other.provider()
            && match (own.certificate, others.certificate) {
                (Some(own), Some(other)) => is_same(own, other),
                (None, None) => true,
                _ => false,
            }
    }
}

pub(crate) struct Parts<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a Secret,
    pub(crate) certificate: Option<&'a ClientCertificate>,
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
