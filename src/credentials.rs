//! Who is asking, whom, and where: [`Credentials`], [`Provider`], [`Environment`].

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::certificate::ClientCertificate;
use crate::error::{Error, Result};
use crate::files;
use crate::secret::Secret;

/// What a provider gave you at onboarding. They differ per [`Environment`].
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

/// A payment provider. `Display` and `FromStr` use `ntx-pay`, `nexter-pay`, `send-payments`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// NTX Pay México.
    NtxPay,
    /// NexterPay.
    NexterPay,
    /// Send Payments.
    SendPayments,
}

/// Which of a provider's environments. `Display` and `FromStr` use `sandbox` and `production`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// The provider's test system.
    Sandbox,
    /// Real money.
    Production,
}

impl Credentials {
    /// Reads a provider's credentials from the environment:
    ///
    /// | provider | variables |
    /// |---|---|
    /// | NTX Pay | `NTXPAY_CLIENT_ID`, `NTXPAY_CLIENT_SECRET`, and files named by `NTXPAY_CLIENT_CERT`, `NTXPAY_CLIENT_KEY` (optional when the certificate's file holds the key) |
    /// | NexterPay | `NEXTERPAY_USERNAME`, `NEXTERPAY_PASSWORD` |
    /// | Send Payments | `SENDPAYMENTS_CLIENT_ID`, `SENDPAYMENTS_CLIENT_SECRET` |
    ///
    /// Each identifier and secret may instead be in a file named by the variable with `_FILE`
    /// appended; one line end at the file's end is dropped.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) or
    /// [`Certificate`](crate::ErrorKind::Certificate), naming the variable.
    pub fn from_env(provider: Provider) -> Result<Self> {
        Self::from_variables(provider, &|name| std::env::var_os(name), Reading::Whole)
            .map_err(|error| error.with_provider(provider))
    }

    /// As [`from_env`](Self::from_env), but neither secret nor private key is read: enough to tell
    /// whose account it is, and for nothing else.
    pub(crate) fn from_env_without_secret(provider: Provider) -> Result<Self> {
        Self::from_variables(provider, &|name| std::env::var_os(name), Reading::WithoutSecret)
            .map_err(|error| error.with_provider(provider))
    }

    /// Whose credentials these are.
    pub fn provider(&self) -> Provider {
        match self {
            Self::NtxPay { .. } => Provider::NtxPay,
            Self::NexterPay { .. } => Provider::NexterPay,
            Self::SendPayments { .. } => Provider::SendPayments,
        }
    }

    fn from_variables(
        provider: Provider,
        variables: &Variables<'_>,
        reading: Reading,
    ) -> Result<Self> {
        let id = |name| text(variables, name).map(|text| text.to_string());
        let secret = |name| match reading {
            Reading::Whole => Ok(Secret::from(text(variables, name)?.as_str())),
            Reading::WithoutSecret => Ok(Secret::from("")),
        };
        let credentials = match provider {
            Provider::NtxPay => {
                let path = certificate_path(variables)?;
                Self::NtxPay {
                    client_id: id("NTXPAY_CLIENT_ID")?,
                    client_secret: secret("NTXPAY_CLIENT_SECRET")?,
                    certificate: match reading {
                        Reading::Whole => {
                            let key = variables("NTXPAY_CLIENT_KEY").map(PathBuf::from);
                            ClientCertificate::from_pem_files(path, key.as_deref())?
                        }
                        Reading::WithoutSecret => {
                            ClientCertificate::from_pem_file_without_key(&path)?
                        }
                    },
                }
            }
            Provider::NexterPay => Self::NexterPay {
                user_name: id("NEXTERPAY_USERNAME")?,
                password: secret("NEXTERPAY_PASSWORD")?,
            },
            Provider::SendPayments => Self::SendPayments {
                client_id: id("SENDPAYMENTS_CLIENT_ID")?,
                client_secret: secret("SENDPAYMENTS_CLIENT_SECRET")?,
            },
        };
        Ok(credentials)
    }

    /// Refuses what can only be a mistake, naming the field.
    pub(crate) fn check(&self) -> Result<()> {
        let parts = self.parts();
        check_text(parts.id_field, parts.id)?;
        check_text(parts.secret_field, parts.secret.expose())
    }

    /// The same three things whatever the provider calls them.
    pub(crate) fn parts(&self) -> Parts<'_> {
        match self {
            Self::NtxPay { client_id, client_secret, certificate } => Parts {
                id_field: "client_id",
                id: client_id,
                secret_field: "client_secret",
                secret: client_secret,
                certificate: Some(certificate),
            },
            Self::NexterPay { user_name, password } => Parts {
                id_field: "user_name",
                id: user_name,
                secret_field: "password",
                secret: password,
                certificate: None,
            },
            Self::SendPayments { client_id, client_secret } => Parts {
                id_field: "client_id",
                id: client_id,
                secret_field: "client_secret",
                secret: client_secret,
                certificate: None,
            },
        }
    }
}

pub(crate) struct Parts<'a> {
    pub(crate) id_field: &'static str,
    pub(crate) id: &'a str,
    pub(crate) secret_field: &'static str,
    pub(crate) secret: &'a Secret,
    pub(crate) certificate: Option<&'a ClientCertificate>,
}

/// Credentials as a map's key: equal when every part is, the secret included. Borrowed for a
/// look-up, so that it copies no secret.
#[derive(Clone)]
pub(crate) struct CredentialsKey<'a>(pub(crate) Cow<'a, Credentials>, pub(crate) Environment);

impl CredentialsKey<'_> {
    fn parts(&self) -> (Provider, Environment, &str, &str, impl Eq) {
        let parts = self.0.parts();
        (
            self.0.provider(),
            self.1,
            parts.id,
            parts.secret.expose(),
            parts.certificate.map(ClientCertificate::distinction),
        )
    }
}

impl PartialEq for CredentialsKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for CredentialsKey<'_> {}

impl Hash for CredentialsKey<'_> {
    /// Without the long parts: who has many secrets or certificates for one id has few.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.provider(), self.1, self.0.parts().id).hash(state);
    }
}

/// How much of the environment is read.
#[derive(Clone, Copy)]
enum Reading {
    Whole,
    /// Neither secret nor private key.
    WithoutSecret,
}

/// Where variables come from: the environment, or a test.
type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

fn certificate_path(variables: &Variables<'_>) -> Result<PathBuf> {
    variables("NTXPAY_CLIENT_CERT").map(PathBuf::from).ok_or_else(|| {
        Error::configuration(
            "NTXPAY_CLIENT_CERT: not set; set it to the path of the client certificate's PEM file",
        )
    })
}

/// A secret in a file is short.
const LARGEST_SECRET_FILE: u64 = 64 * 1024;

/// The variable, or the content of the file that `NAME_FILE` names.
fn text(variables: &Variables<'_>, name: &str) -> Result<Zeroizing<String>> {
    let file_name = format!("{name}_FILE");
    let text = match (variables(name), variables(&file_name)) {
        (Some(_), Some(_)) => {
            return Err(Error::configuration(format!(
                "{name}: set together with {file_name}; keep one of them"
            )));
        }
        (None, None) => {
            return Err(Error::configuration(format!(
                "{name}: not set; set it, or {file_name} to a file that holds it"
            )));
        }
        (Some(value), None) => value
            .into_string()
            .map(Zeroizing::new)
            .map_err(|_| Error::configuration(format!("{name}: not valid UTF-8")))?,
        (None, Some(path)) => text_of_file(&file_name, Path::new(&path))?,
    };
    check_text(name, &text)?;
    Ok(text)
}

fn text_of_file(name: &str, path: &Path) -> Result<Zeroizing<String>> {
    let content = files::read_bounded(path, LARGEST_SECRET_FILE).map_err(|error| {
        Error::configuration(format!("{name}: cannot read {}: {error}", path.display()))
            .with_source(error)
    })?;
    let content = std::str::from_utf8(&content)
        .map_err(|_| Error::configuration(format!("{name}: the file is not valid UTF-8")))?;
    let content = content.strip_suffix('\n').unwrap_or(content);
    let content = content.strip_suffix('\r').unwrap_or(content);
    Ok(Zeroizing::new(content.to_owned()))
}

/// Printable ASCII, no white space around it. What is wrong is said; the text is not repeated.
fn check_text(field: &str, text: &str) -> Result<()> {
    let problem = if text.trim().is_empty() {
        "is empty; set it"
    } else if text.contains(|c: char| c.is_control()) {
        "holds a control character (a line end, or NUL); remove it"
    } else if text.trim() != text {
        "has white space around it; remove it"
    } else if !text.is_ascii() {
        "holds a character that is not ASCII; copy it again from the provider's portal"
    } else {
        return Ok(());
    };
    Err(Error::configuration(format!("{field}: {problem}")))
}

impl Provider {
    /// All providers, in the order of their documents.
    pub const ALL: [Self; 3] = [Self::NtxPay, Self::NexterPay, Self::SendPayments];

    fn name(self) -> &'static str {
        match self {
            Self::NtxPay => "ntx-pay",
            Self::NexterPay => "nexter-pay",
            Self::SendPayments => "send-payments",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == text).ok_or_else(|| {
            Error::configuration("provider: not known; use ntx-pay, nexter-pay or send-payments")
        })
    }
}

impl Environment {
    fn name(self) -> &'static str {
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

impl FromStr for Environment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Sandbox, Self::Production]
            .into_iter()
            .find(|environment| environment.name() == text)
            .ok_or_else(|| {
                Error::configuration("environment: not known; use sandbox or production")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(provider: Provider, pairs: &[(&str, &str)]) -> Result<Credentials> {
        Credentials::from_variables(
            provider,
            &|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
            Reading::Whole,
        )
    }

    #[test]
    fn a_variable_that_is_missing_is_named() {
        let error = from(Provider::NexterPay, &[("NEXTERPAY_USERNAME", "u")]).unwrap_err();
        assert!(error.to_string().starts_with("NEXTERPAY_PASSWORD: not set"), "{error}");
    }

    #[test]
    fn a_variable_given_twice_is_refused() {
        let pairs = [("SENDPAYMENTS_CLIENT_ID", "a"), ("SENDPAYMENTS_CLIENT_ID_FILE", "/nowhere")];
        let error = from(Provider::SendPayments, &pairs).unwrap_err();
        assert!(error.to_string().contains("keep one of them"), "{error}");
    }

    #[test]
    fn a_secret_may_be_in_a_file_with_one_line_end() {
        let path = std::env::temp_dir().join(format!("paytoken-secret-{}", std::process::id()));
        std::fs::write(&path, "sandbox-password\r\n").unwrap();
        let pairs =
            [("NEXTERPAY_USERNAME", "u"), ("NEXTERPAY_PASSWORD_FILE", path.to_str().unwrap())];
        let read = from(Provider::NexterPay, &pairs);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap().parts().secret.expose(), "sandbox-password");
    }

    #[test]
    fn the_largest_file_is_read_whole() {
        let path = std::env::temp_dir().join(format!("paytoken-largest-{}", std::process::id()));
        std::fs::write(&path, [b'a'; LARGEST_SECRET_FILE as usize]).unwrap();
        let read = text_of_file("NAME", &path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap().len(), LARGEST_SECRET_FILE as usize);
    }

    #[test]
    fn a_file_that_holds_no_secret_is_named_and_says_why() {
        let path = std::env::temp_dir().join(format!("paytoken-no-secret-{}", std::process::id()));
        let read = |path: &Path| {
            let path = path.to_str().unwrap();
            let pairs = [("NEXTERPAY_USERNAME", "u"), ("NEXTERPAY_PASSWORD_FILE", path)];
            from(Provider::NexterPay, &pairs).unwrap_err().to_string()
        };
        for (content, problem) in [
            (&[b'a'; LARGEST_SECRET_FILE as usize + 1][..], "larger than 65536 bytes"),
            (b"caf\xe9", "not valid UTF-8"),
            (b"two\nlines", "control character"),
            (b"\n", "is empty"),
        ] {
            std::fs::write(&path, content).unwrap();
            let text = read(&path);
            std::fs::remove_file(&path).unwrap();
            assert!(text.starts_with("NEXTERPAY_PASSWORD") && text.contains(problem), "{text}");
            assert!(!text.contains("caf") && !text.contains("lines"), "{text}");
        }
        assert!(read(&path).starts_with("NEXTERPAY_PASSWORD_FILE: cannot read"));
        assert!(read(&std::env::temp_dir()).contains("not a regular file"));
    }

    #[test]
    fn a_bad_variable_is_named_and_not_repeated() {
        for bad in ["", "  ", " padded", "two\nlines", "nul\0", "señor"] {
            let pairs = [("NEXTERPAY_USERNAME", "u"), ("NEXTERPAY_PASSWORD", bad)];
            let text = from(Provider::NexterPay, &pairs).unwrap_err().to_string();
            assert!(text.starts_with("NEXTERPAY_PASSWORD: "), "{text}");
            assert!(bad.trim().is_empty() || !text.contains(bad.trim()), "{text}");
        }
    }
}
