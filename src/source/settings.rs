//! Everything that the environment says of a provider, read the same way by Rust programs, the
//! command and the C library: [`Settings`].

use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::files;
use crate::base::secret::Secret;
use crate::credentials::named_file::Once;
use crate::credentials::variables::{Reading, Variables};
use crate::protocol;
use crate::source::TokenSource;
use crate::source::builder::Builder;
use crate::store::{Account, FileStore, Place, Sealed, SealingKeys, Unsealed};
use crate::transport::Roots;
use crate::types::base_url::BaseUrl;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::facts::Site;
use crate::types::names::Provider;

/// Settings from environment variables; change what you want to decide yourself, then
/// [`builder`](Self::builder).
///
/// | variable | |
/// |---|---|
/// | `<PREFIX>_ENVIRONMENT` | `sandbox` (default) or `production` |
/// | `<PREFIX>_BASE_URL` | the provider's address, where its document states none |
/// | `PAYTOKEN_CA` | path of a PEM file: certificate authorities instead of the built-in ones; `system` for the system's (feature `system-roots`) |
/// | `PAYTOKEN_STORE` | the directory of the [`FileStore`] to share tokens in; none unless set |
/// | `PAYTOKEN_STORE_KEY_FILE` | a file with the keys that its entries are [`Sealed`] with; not sealed unless set |
/// | `PAYTOKEN_ACCEPT_UNSEALED` | `read` or `write`, while sealing is turned on or off: see [`SealingKeys::accept_unsealed`] |
/// | `PAYTOKEN_STORE_CA`, `PAYTOKEN_STORE_CLIENT_CERT`, `PAYTOKEN_STORE_CLIENT_KEY` | paths of PEM files, for a server's store that is reached by TLS: see [`store_tls`](Settings::store_tls) |
/// | those of [`Credentials::from_env`](crate::Credentials::from_env) | read when they are needed |
///
/// `<PREFIX>` is `NTXPAY`, `NEXTERPAY`, `SENDPAYMENTS`, or a described provider's own. An empty variable counts as not set.
/// A file may be a pipe (`<(…)`, `/dev/stdin`): it is read once for all that follows. One that others
/// can change, or a secret's that others can read, is refused: [`check_file`](Self::check_file).
///
/// ```no_run
/// use std::time::Duration;
/// use paytoken::{Provider, Settings};
///
/// # fn main() -> paytoken::Result<()> {
/// let source = Settings::from_env(Provider::NtxPay)?
///     .builder()?
///     .timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Whose tokens.
    pub provider: Provider,
    /// In which environment, where that is said.
    pub environment: Option<Environment>,
    /// The provider's address, where it is said.
    pub base_url: Option<String>,
    /// A PEM file of certificate authorities to trust instead of the built-in ones.
    pub ca: Option<PathBuf>,
    /// The directory of a [`FileStore`].
    pub store: Option<PathBuf>,
    /// A file with the keys that the store's entries are [`Sealed`] with.
    pub store_key_file: Option<PathBuf>,
    /// What is done with entries that are not sealed, while sealing is turned on or off.
    pub accept_unsealed: Option<Unsealed>,
    /// A PEM file of certificate authorities to trust as a server's store, instead of Mozilla's.
    pub store_ca: Option<PathBuf>,
    /// A PEM file of the certificate to show to a server's store.
    pub store_certificate: Option<PathBuf>,
    /// A PEM file of its private key; unless set, the key is in the certificate's file.
    pub store_private_key: Option<PathBuf>,
    /// The time for one fetch, as [`Builder::timeout`]; pipes among the files that one call reads
    /// are waited for as long. Not read from the environment; 15 s unless set.
    pub timeout: Option<Duration>,
    /// What was read from pipes.
    once: Once,
    lookup: VariableLookup,
}

/// Where the variables are.
#[derive(Clone)]
struct VariableLookup(Arc<Find>);

type Find = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Settings {
    /// Reads the variables above, the credentials not yet.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the variable.
    pub fn from_env(provider: Provider) -> Result<Self> {
        Self::from_variables(provider, |name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with variables from somewhere else, such as a file of
    /// settings: `variables` gives the value for a name of the table above. Those of the credentials
    /// are asked for when they are needed.
    ///
    /// ```
    /// use paytoken::{Provider, Settings};
    ///
    /// let settings = Settings::from_variables(Provider::SendPayments, |name| match name {
    ///     "SENDPAYMENTS_CLIENT_ID" => Some("merchant-7".into()),
    ///     "SENDPAYMENTS_BASE_URL" => Some("https://send.example".into()),
    ///     _ => std::env::var_os(name),
    /// })?;
    /// assert_eq!(settings.base_url.as_deref(), Some("https://send.example"));
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(
        provider: Provider,
        variables: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Result<Self> {
        let lookup = VariableLookup(Arc::new(variables));
        let variables = Variables::of(&*lookup.0);
        Ok(Self {
            provider,
            environment: variables.environment(provider)?,
            base_url: variables
                .base_url(provider)
                .map_err(|error| error.with_provider(provider))?,
            ca: variables.path("PAYTOKEN_CA"),
            store: variables.path("PAYTOKEN_STORE"),
            store_key_file: variables.path("PAYTOKEN_STORE_KEY_FILE"),
            accept_unsealed: variables.word("PAYTOKEN_ACCEPT_UNSEALED", "accept_unsealed")?,
            store_ca: variables.path(StoreTls::VARIABLES[0]),
            store_certificate: variables.path(StoreTls::VARIABLES[1]),
            store_private_key: variables.path(StoreTls::VARIABLES[2]),
            timeout: None,
            once: Once::default(),
            lookup,
        })
    }

    /// The environment: what was said, else the sandbox.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when an address is given that is not the
    /// document's, no environment is said, and tokens do not live equally long in both: a guess
    /// could use a token for hours after it expired.
    pub fn environment(&self) -> Result<Environment> {
        if let Some(environment) = self.environment {
            return Ok(environment);
        }
        let facts = self.provider.facts();
        let is_documented = |url: &str| {
            let url = url.trim_end_matches('/');
            facts.sandbox.base_url.is_some_and(|known| url.eq_ignore_ascii_case(known))
        };
        let minutes = |site: &Site| site.lifetime.unwrap_or_default().as_secs() / 60;
        if facts.sandbox.lifetime != facts.production.lifetime
            && self.base_url.as_deref().is_some_and(|url| !is_documented(url))
        {
            return Err(Error::configuration(format!(
                "{}: not set beside an address; set it to sandbox or production, since tokens live {} minutes in one and {} in the other",
                facts.variable("ENVIRONMENT"),
                minutes(&facts.sandbox),
                minutes(&facts.production),
            ))
            .with_provider(self.provider));
        }
        Ok(Environment::Sandbox)
    }

    /// The provider's address, in the one way in which it is written: what was set, else what the
    /// provider's document states. For showing it; what was set may hold a password until it is
    /// checked here.
    ///
    /// ```
    /// use paytoken::{Provider, Settings};
    ///
    /// let mut settings = Settings::from_variables(Provider::SendPayments, |_| None)?;
    /// settings.base_url = Some("HTTPS://Send.example:443/".into());
    /// assert_eq!(settings.address()?, "https://send.example");
    /// settings.base_url = Some("https://merchant:not-a-password@send.example".into());
    /// assert!(!settings.address().unwrap_err().to_string().contains("not-a-password"));
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when there is none, or what was set is none;
    /// it is not repeated. As [`environment`](Self::environment).
    pub fn address(&self) -> Result<String> {
        let address = || {
            let url = match &self.base_url {
                Some(url) => url,
                None => protocol::base_url(self.provider, self.environment()?)?,
            };
            Ok(BaseUrl::parse(url)?.as_str().to_owned())
        };
        address().map_err(|error: Error| error.with_provider(self.provider))
    }

    /// A builder with these settings and their credentials.
    ///
    /// # Errors
    /// As [`Credentials::from_env`](crate::Credentials::from_env), [`environment`](Self::environment) and [`FileStore::open`].
    pub fn builder(&self) -> Result<Builder> {
        let environment = self.environment()?;
        let variables = self.variables();
        let credentials = variables.credentials(self.provider, Reading::Whole)?;
        let mut builder = Builder::new(credentials, environment);
        if let Some(url) = &self.base_url {
            builder = builder.base_url(url);
        }
        if let Some(pem) = self.authorities(&variables)? {
            builder = builder.root_certificates_pem(&pem);
        }
        if let Some(limit) = self.timeout {
            builder = builder.timeout(limit);
        }
        if let Some(directory) = &self.store {
            let Place::Directory(directory) = Place::named("PAYTOKEN_STORE", directory)? else {
                return Err(Error::configuration(
                    "PAYTOKEN_STORE: an address, and this program opens directories only; a Rust program opens a server's store itself (crate paytoken-redis) and passes it to Builder::store",
                ));
            };
            let store = FileStore::open(directory)?;
            builder = match self.keys(&variables)? {
                Some(keys) => builder.store(Sealed::new(store, keys)),
                None => builder.store(store),
            };
        }
        Ok(builder)
    }

    /// The keys in the file named by [`store_key_file`](Self::store_key_file), which accept what
    /// [`accept_unsealed`](Self::accept_unsealed) says.
    ///
    /// # Errors
    /// As [`SealingKeys::from_file`], naming the variable.
    pub fn sealing_keys(&self) -> Result<Option<SealingKeys>> {
        self.keys(&self.variables())
    }

    fn keys(&self, variables: &Variables<'_>) -> Result<Option<SealingKeys>> {
        match &self.store_key_file {
            Some(path) => {
                let keys = SealingKeys::from_variable(variables, "PAYTOKEN_STORE_KEY_FILE", path)?;
                Ok(Some(match self.accept_unsealed {
                    Some(unsealed) => keys.accept_unsealed(unsealed),
                    None => keys,
                }))
            }
            // Whoever sets it means that entries are sealed.
            None if variables.path("PAYTOKEN_STORE_KEY").is_some() => Err(Error::configuration(
                "PAYTOKEN_STORE_KEY: not read, so that the key does not stand in the environment; put it into a file and set PAYTOKEN_STORE_KEY_FILE to its path",
            )),
            None if self.accept_unsealed.is_some() => Err(Error::configuration(
                "PAYTOKEN_ACCEPT_UNSEALED: set without keys, so nothing is sealed; set PAYTOKEN_STORE_KEY_FILE, too, or remove it",
            )),
            None => Ok(None),
        }
    }

    /// The files named by [`store_ca`](Self::store_ca), [`store_certificate`](Self::store_certificate)
    /// and [`store_private_key`](Self::store_private_key).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the variable, when one cannot be
    /// read, or there is a key without a certificate.
    pub fn store_tls(&self) -> Result<StoreTls> {
        let files = [&self.store_ca, &self.store_certificate, &self.store_private_key];
        StoreTls::read(&self.variables(), StoreTls::VARIABLES, files.map(Option::as_deref))
    }

    /// The content of the file named by [`ca`](Self::ca), or for `system` the certificate
    /// authorities that this system trusts (with the feature `system-roots`).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the variable, when it cannot be
    /// read, or something in it cannot be used.
    pub fn root_certificates_pem(&self) -> Result<Option<Vec<u8>>> {
        self.authorities(&self.variables())
    }

    fn authorities(&self, variables: &Variables<'_>) -> Result<Option<Vec<u8>>> {
        let path = self.ca.as_deref();
        path.map(|path| authorities(variables, "PAYTOKEN_CA", path)).transpose()
    }

    /// The account that these settings describe. A secret or a private key is read only where nothing
    /// else tells a described provider's accounts apart, or which of several certificates is meant.
    ///
    /// # Errors
    /// As [`Credentials::from_env`](crate::Credentials::from_env) and [`environment`](Self::environment).
    pub fn account(&self) -> Result<Account> {
        let credentials = self.variables().credentials(self.provider, Reading::WithoutSecret)?;
        Account::new(&credentials, self.environment()?, self.base_url.as_deref())
    }

    /// Whether the secret and the private key, which [`account`](Self::account) does without, are there:
    /// set, and where they are in files, these are there and may be used. The files are not read.
    ///
    /// ```
    /// use paytoken::{Provider, Settings};
    ///
    /// let settings = Settings::from_variables(Provider::SendPayments, |_| None)?;
    /// let error = settings.check_secrets().unwrap_err();
    /// assert!(error.to_string().contains("SENDPAYMENTS_CLIENT_SECRET: not set"));
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the variable.
    pub fn check_secrets(&self) -> Result<()> {
        self.variables().check_secrets(self.provider)
    }

    /// Whether a file may be used: the rule for every file that a setting names, here for a program
    /// that reads such a file itself. Refused is
    ///
    /// - a file that others can change: one that belongs to neither this process's user nor root, or
    ///   that its group or everybody can write;
    /// - a file with a secret in it (a password, a private key, a key that seals a store) that its group
    ///   or everybody can read. Root may give such a file to a group, for a service.
    ///
    /// On a read-only mount, as containers and systemd hand in secrets, owner and mode do not count;
    /// nor does the rule for pipes, or for what the caller has opened (`/dev/stdin`, `/dev/fd/…`).
    /// On Windows every file passes: keep them below `%LOCALAPPDATA%`.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// # use std::os::unix::fs::PermissionsExt as _;
    /// # let path = std::env::temp_dir().join(format!("paytoken-mode-{}", std::process::id()));
    /// # std::fs::write(&path, "not a real secret").unwrap();
    /// # std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    /// use paytoken::Settings;
    ///
    /// let file = std::fs::File::open(&path).unwrap(); // 0644
    /// let metadata = file.metadata().unwrap();
    /// assert!(Settings::check_file(&path, &metadata, false).is_ok());
    /// let error = Settings::check_file(&path, &metadata, true).unwrap_err();
    /// assert!(error.to_string().ends_with("others can read it (mode 644); chmod 600 it"));
    /// # std::fs::remove_file(path).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): what is wrong, with the path.
    pub fn check_file(path: &Path, metadata: &Metadata, holds_a_secret: bool) -> Result<()> {
        files::check_access(path, metadata, holds_a_secret)
            .map_err(|why| Error::configuration(format!("{} {why}", path.display())))
    }

    /// The time for pipes begins here.
    fn variables(&self) -> Variables<'_> {
        Variables::of(&*self.lookup.0).with_pipes(self.timeout, self.once.clone())
    }
}

/// What `PAYTOKEN_CA` says instead of a path. (A file of that name is `./system`.)
const SYSTEM: &str = "system";

fn authorities(variables: &Variables<'_>, name: &str, path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str() == SYSTEM {
        return system_authorities(name);
    }
    let pem = variables.pem(name).read(path)?;
    Roots::from_pem(name, &pem)?;
    Ok(pem.to_vec())
}

#[cfg(feature = "system-roots")]
fn system_authorities(_: &str) -> Result<Vec<u8>> {
    Ok(Roots::of_system()?.to_pem().into_bytes())
}

#[cfg(not(feature = "system-roots"))]
fn system_authorities(name: &str) -> Result<Vec<u8>> {
    Err(Error::configuration(format!(
        "{name}: this program was built without the system's certificate authorities (feature system-roots of paytoken); set it to the PEM file's path",
    )))
}

/// What TLS to a server's store takes beside its address: for a crate that opens one, as
/// paytoken-redis does.
///
/// ```no_run
/// use paytoken::{Provider, Settings};
///
/// let files = Settings::from_env(Provider::SendPayments)?.store_tls()?;
/// let authorities = files.root_certificates_pem.as_deref(); // instead of Mozilla's
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct StoreTls {
    /// Certificate authorities (PEM) to trust, instead of Mozilla's.
    pub root_certificates_pem: Option<Vec<u8>>,
    /// The certificate to show (PEM, with its chain).
    pub client_certificate_pem: Option<Vec<u8>>,
    /// Its private key (PEM), where there is a certificate.
    pub private_key_pem: Option<Secret>,
}

impl StoreTls {
    const VARIABLES: [&'static str; 3] =
        ["PAYTOKEN_STORE_CA", "PAYTOKEN_STORE_CLIENT_CERT", "PAYTOKEN_STORE_CLIENT_KEY"];

    /// From PEM files: authorities, certificate, private key. Without the last, the key is in the
    /// certificate's file.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming `store_ca`, `store_certificate` or
    /// `store_private_key`.
    pub fn from_files(
        ca: Option<&Path>,
        certificate: Option<&Path>,
        private_key: Option<&Path>,
    ) -> Result<Self> {
        let names = ["store_ca", "store_certificate", "store_private_key"];
        Self::read(&Variables::of_process(), names, [ca, certificate, private_key])
    }

    fn read(
        variables: &Variables<'_>,
        [ca_name, certificate_name, key_name]: [&str; 3],
        [ca, certificate, key]: [Option<&Path>; 3],
    ) -> Result<Self> {
        let read = |name: &str, path| variables.pem(name).read(path);
        let certificate = certificate.map(|path| read(certificate_name, path)).transpose()?;
        let key = match (key, &certificate) {
            (Some(_), None) => {
                return Err(Error::configuration(format!(
                    "{key_name}: set without a certificate; set {certificate_name}, too"
                )));
            }
            (Some(path), Some(_)) => Some((key_name, read(key_name, path)?)),
            (None, certificate) => certificate.clone().map(|pem| (certificate_name, pem)),
        };
        let key = key.map(|(name, pem)| match std::str::from_utf8(&files::as_utf8(&pem)) {
            Ok(pem) => Ok(Secret::from(pem)),
            Err(_) => Err(Error::configuration(format!(
                "{name}: the file is not text; give the PEM, not the DER, of the key"
            ))),
        });
        Ok(Self {
            root_certificates_pem: ca
                .map(|path| authorities(variables, ca_name, path))
                .transpose()?,
            client_certificate_pem: certificate.map(|pem| pem.to_vec()),
            private_key_pem: key.transpose()?,
        })
    }
}

impl fmt::Debug for StoreTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    /// Without address and paths: what stands there may be a secret in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |is_set: bool| if is_set { "set" } else { "not set" };
        f.debug_struct("Settings")
            .field("provider", &self.provider)
            .field("environment", &self.environment)
            .field("base_url", &set(self.base_url.is_some()))
            .field("ca", &set(self.ca.is_some()))
            .field("store", &set(self.store.is_some()))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl TokenSource {
    /// A source with everything from the environment: [`Settings::from_env`] lists the variables.
    ///
    /// ```no_run
    /// use paytoken::{Provider, TokenSource};
    ///
    /// # fn main() -> paytoken::Result<()> {
    /// let source = TokenSource::from_env(Provider::NtxPay)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Settings::builder`] and [`Builder::build`].
    pub fn from_env(provider: Provider) -> Result<Self> {
        Settings::from_env(provider)?.builder()?.build()
    }
}
