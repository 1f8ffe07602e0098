//! `paytoken_config`: settings collected by setters, checked when a source is made from them.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::time::Duration;

use paytoken::store::SealingKeys;
use paytoken::{
    ClientCertificate, Credentials, Environment, Field, Provider, Secret, Settings, StoreTls,
    TokenSource,
};
use zeroize::Zeroizing;

use crate::boundary::{self, code_and_error, guard};
use crate::code;
use crate::error::Failure;
use crate::memory::{Bytes, Out, Text};
use crate::store::{self, Keys, Place, Tls};

/// What C knows as `paytoken_config`. Secrets in it are wiped when replaced and on drop.
pub(crate) struct Config {
    provider: Provider,
    environment: Environment,
    /// What the provider asks for, by its name there.
    values: BTreeMap<String, Secret>,
    certificate: Option<Certificate>,
    private_key: Option<Zeroizing<Vec<u8>>>,
    root_certificates: Option<Vec<u8>>,
    base_url: Option<String>,
    timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    retries: Option<u32>,
    user_agent: Option<String>,
    proxy: Option<String>,
    renews_in_background: bool,
    /// A directory or a server: what was set last.
    store: Option<Place>,
    store_keys: Option<Keys>,
    accept_unsealed: Option<String>,
    /// What the environment names.
    store_tls: StoreTls,
    /// Authorities, certificate and key, read when a source is made.
    store_files: [Option<PathBuf>; 3],
    /// Why the last setter failed; empty where it did not.
    refusal: CString,
}

enum Certificate {
    /// May hold a key.
    Pem(Zeroizing<Vec<u8>>),
    Loaded(ClientCertificate),
}

impl Config {
    fn new(provider: Provider, environment: Environment) -> Self {
        Self {
            provider,
            environment,
            values: BTreeMap::new(),
            certificate: None,
            private_key: None,
            root_certificates: None,
            base_url: None,
            timeout: None,
            connect_timeout: None,
            retries: None,
            user_agent: None,
            proxy: None,
            renews_in_background: false,
            store: None,
            store_keys: None,
            accept_unsealed: None,
            store_tls: StoreTls::default(),
            store_files: Default::default(),
            refusal: CString::default(),
        }
    }

    /// As the `paytoken` command reads it.
    fn from_environment(provider: Provider) -> Result<Self, Failure> {
        let settings = Settings::from_env(provider)?;
        let mut config = Self::new(provider, settings.environment()?);
        let credentials = Credentials::from_env(provider)?;
        for field in provider.facts().fields {
            let value = credentials.value(field.name).map(Secret::from);
            config.values.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        config.certificate = credentials.certificate().cloned().map(Certificate::Loaded);
        config.root_certificates = settings.root_certificates_pem()?;
        config.store = Place::from_environment(&settings)?;
        config.store_keys = settings.sealing_keys()?.map(Keys::Loaded);
        config.store_tls = settings.store_tls()?;
        config.base_url = settings.base_url;
        Ok(config)
    }

    pub(crate) fn build(&self) -> Result<TokenSource, Failure> {
        let mut builder = TokenSource::builder(self.credentials()?, self.environment)
            .renew_in_background(self.renews_in_background);
        if let Some(url) = &self.base_url {
            builder = builder.base_url(url);
        }
        if let Some(pem) = &self.root_certificates {
            builder = builder.root_certificates_pem(pem);
        }
        if let Some(limit) = self.timeout {
            builder = builder.timeout(limit);
        }
        if let Some(limit) = self.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        if let Some(retries) = self.retries {
            builder = builder.retries(retries);
        }
        if let Some(name) = &self.user_agent {
            builder = builder.user_agent(name);
        }
        if let Some(url) = &self.proxy {
            builder = builder.proxy(url);
        }
        if let Some(store) = store::open(self.store.as_ref(), self.keys()?, self.tls()?)? {
            builder = builder.store(store);
        }
        Ok(builder.build()?)
    }

    fn keys(&self) -> Result<Option<SealingKeys>, Failure> {
        let keys = match &self.store_keys {
            Some(Keys::File(_)) if self.store.is_none() => {
                return Err(Failure::new(
                    code::CONFIGURATION,
                    "paytoken_config_set_store_key_file: there is no store to seal; call paytoken_config_set_store_directory or paytoken_config_set_store_url, too",
                ));
            }
            Some(Keys::File(path)) => Some(SealingKeys::from_file(path)?),
            Some(Keys::Loaded(keys)) => Some(keys.clone()),
            None => None,
        };
        let Some(text) = &self.accept_unsealed else { return Ok(keys) };
        let unsealed = text.parse()?;
        match keys {
            Some(keys) => Ok(Some(keys.accept_unsealed(unsealed))),
            None => Err(Failure::new(
                code::CONFIGURATION,
                "paytoken_config_set_accept_unsealed: there are no keys, so nothing is sealed; call paytoken_config_set_store_key_file, too",
            )),
        }
    }

    /// What the setters name counts before what the environment does.
    fn tls(&self) -> Result<Tls, Failure> {
        let [ca, certificate, key] = self.store_files.each_ref().map(Option::as_deref);
        let is_server = matches!(self.store, Some(Place::Server { .. }));
        if !is_server && let Some(index) = self.store_files.iter().position(Option::is_some) {
            return Err(Failure::new(
                code::CONFIGURATION,
                format!(
                    "{}: there is no server to reach by TLS; call paytoken_config_set_store_url, too",
                    Tls::SETTERS[index]
                ),
            ));
        }
        let files = StoreTls::from_files(ca, certificate, key)?;
        let mut tls = Tls { files: self.store_tls.clone(), names: Tls::VARIABLES };
        if ca.is_some() {
            tls.files.root_certificates_pem = files.root_certificates_pem;
            tls.names[0] = Tls::SETTERS[0];
        }
        if certificate.is_some() {
            tls.files.client_certificate_pem = files.client_certificate_pem;
            tls.files.private_key_pem = files.private_key_pem;
            tls.names[1] = Tls::SETTERS[1];
        }
        Ok(tls)
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let value = |field: &Field| self.values.get(field.name).cloned();
        let [id, secret] = [false, true].map(|is_secret| {
            let mut fields = self.provider.facts().fields.iter();
            fields.find(|field| field.is_secret() == is_secret).and_then(value)
        });
        let id = id.ok_or_else(|| self.missing("client_id"))?;
        let secret = secret.ok_or_else(|| self.missing("client_secret"))?;
        let certificate = match self.provider.facts().takes_certificate {
            true => Some(self.certificate()?),
            false if self.certificate.is_some() || self.private_key.is_some() => {
                return Err(Failure::new(
                    code::CONFIGURATION,
                    format!("{}: takes no client certificate; do not set one", self.provider),
                ));
            }
            false => None,
        };
        Ok(Credentials::new(self.provider, id.expose(), secret, certificate)?)
    }

    fn certificate(&self) -> Result<ClientCertificate, Failure> {
        let certificate = match &self.certificate {
            Some(Certificate::Pem(pem)) => ClientCertificate::from_pem(pem)?,
            Some(Certificate::Loaded(certificate)) => certificate.clone(),
            None => return Err(self.missing("certificate_pem")),
        };
        Ok(match &self.private_key {
            Some(pem) => certificate.with_private_key(pem)?,
            None => certificate,
        })
    }

    /// The id, or the secret, by the name that the provider has for it.
    fn set_first(&mut self, is_secret: bool, value: Secret) {
        let mut fields = self.provider.facts().fields.iter();
        let field = fields.find(|field| field.is_secret() == is_secret);
        self.values.extend(field.map(|field| (field.name.to_owned(), value)));
    }

    fn missing(&self, field: &str) -> Failure {
        Failure::new(
            code::CONFIGURATION,
            format!("{}: not set; call paytoken_config_set_{field}", self.provider),
        )
    }
}

/// The header's numbers are the places in this list, from 1.
pub(crate) fn number_of<T: PartialEq>(all: &[T], one: &T) -> u32 {
    all.iter().position(|known| known == one).map_or(0, |place| place as u32 + 1)
}

fn numbered<T: Copy>(all: &[T], number: u32) -> Option<T> {
    all.get((number as usize).checked_sub(1)?).copied()
}

fn into_raw(config: Config) -> *mut Config {
    Box::into_raw(Box::new(config))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_new(provider_number: u32, environment_number: u32) -> *mut Config {
    guard("paytoken_config_new", std::ptr::null_mut(), || {
        match (
            numbered(Provider::ALL, provider_number),
            numbered(Environment::ALL, environment_number),
        ) {
            (Some(provider), Some(environment)) => into_raw(Config::new(provider, environment)),
            _ => std::ptr::null_mut(),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_from_env(
    provider_number: u32,
    out: Out<*mut Config>,
    error: Out<*mut Failure>,
) -> i32 {
    code_and_error("paytoken_config_from_env", error, || {
        out.check("out")?;
        let provider = numbered(Provider::ALL, provider_number)
            .ok_or_else(|| Failure::new(code::INVALID_ARGUMENT, "provider: not known"))?;
        out.write(into_raw(Config::from_environment(provider)?));
        Ok(code::OK)
    })
}

/// The body of every setter.
fn set(
    name: &'static str,
    config: Option<&mut Config>,
    change: impl FnOnce(&mut Config) -> Result<(), Failure>,
) -> i32 {
    boundary::code(name, || {
        let config = config.ok_or_else(|| Failure::null("config"))?;
        let (code, refusal) = match change(config) {
            Ok(()) => (code::OK, CString::default()),
            Err(failure) => (failure.code(), failure.into_message()),
        };
        config.refusal = refusal;
        Ok(code)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_error_message(config: Option<&Config>) -> *const c_char {
    guard("paytoken_config_error_message", c"".as_ptr(), || {
        config.map_or(c"", |config| &config.refusal).as_ptr()
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_client_id(config: Option<&mut Config>, id: Text) -> i32 {
    set("paytoken_config_set_client_id", config, |config| {
        config.set_first(false, Secret::from(id.read("client_id")?));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_client_secret(config: Option<&mut Config>, secret: Text) -> i32 {
    set("paytoken_config_set_client_secret", config, |config| {
        config.set_first(true, Secret::from(secret.read("client_secret")?));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_certificate_pem(
    config: Option<&mut Config>,
    pem: Bytes,
    length: usize,
) -> i32 {
    set("paytoken_config_set_certificate_pem", config, |config| {
        let pem = Zeroizing::new(pem.read(length, "certificate_pem")?.to_vec());
        config.certificate = Some(Certificate::Pem(pem));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_certificate_injected_by_proxy(
    config: Option<&mut Config>,
) -> i32 {
    set("paytoken_config_set_certificate_injected_by_proxy", config, |config| {
        config.certificate = Some(Certificate::Loaded(ClientCertificate::injected_by_proxy()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_private_key_pem(
    config: Option<&mut Config>,
    pem: Bytes,
    length: usize,
) -> i32 {
    set("paytoken_config_set_private_key_pem", config, |config| {
        let pem = pem.read(length, "private_key_pem")?.to_vec();
        config.private_key = Some(Zeroizing::new(pem));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_root_certificates_pem(
    config: Option<&mut Config>,
    pem: Bytes,
    length: usize,
) -> i32 {
    set("paytoken_config_set_root_certificates_pem", config, |config| {
        config.root_certificates = Some(pem.read(length, "root_certificates_pem")?.to_vec());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_base_url(config: Option<&mut Config>, url: Text) -> i32 {
    set("paytoken_config_set_base_url", config, |config| {
        config.base_url = Some(url.read("base_url")?.to_owned());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_timeout_ms(config: Option<&mut Config>, limit_ms: u64) -> i32 {
    set("paytoken_config_set_timeout_ms", config, |config| {
        config.timeout = Some(Duration::from_millis(limit_ms));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_connect_timeout_ms(
    config: Option<&mut Config>,
    limit_ms: u64,
) -> i32 {
    set("paytoken_config_set_connect_timeout_ms", config, |config| {
        config.connect_timeout = Some(Duration::from_millis(limit_ms));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_retries(config: Option<&mut Config>, retries: u32) -> i32 {
    set("paytoken_config_set_retries", config, |config| {
        config.retries = Some(retries);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_user_agent(config: Option<&mut Config>, name: Text) -> i32 {
    set("paytoken_config_set_user_agent", config, |config| {
        config.user_agent = Some(name.read("user_agent")?.to_owned());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_proxy(config: Option<&mut Config>, url: Text) -> i32 {
    set("paytoken_config_set_proxy", config, |config| {
        config.proxy = Some(url.read("proxy")?.to_owned());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_renew_in_background(config: Option<&mut Config>, on: i32) -> i32 {
    set("paytoken_config_set_renew_in_background", config, |config| {
        config.renews_in_background = on != 0;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_directory(
    config: Option<&mut Config>,
    directory: Text,
) -> i32 {
    set("paytoken_config_set_store_directory", config, |config| {
        config.store = Some(Place::Directory(directory.read("store_directory")?.into()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_url(config: Option<&mut Config>, url: Text) -> i32 {
    set("paytoken_config_set_store_url", config, |config| {
        config.store = Some(Place::of_setter(url.read("store_url")?));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_key_file(config: Option<&mut Config>, path: Text) -> i32 {
    set("paytoken_config_set_store_key_file", config, |config| {
        config.store_keys = Some(Keys::File(path.read("store_key_file")?.into()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_accept_unsealed(config: Option<&mut Config>, what: Text) -> i32 {
    set("paytoken_config_set_accept_unsealed", config, |config| {
        config.accept_unsealed = Some(what.read("accept_unsealed")?.to_owned());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_ca_file(config: Option<&mut Config>, path: Text) -> i32 {
    set("paytoken_config_set_store_ca_file", config, |config| {
        config.store_files[0] = Some(path.read("store_ca_file")?.into());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_certificate_file(
    config: Option<&mut Config>,
    path: Text,
) -> i32 {
    set("paytoken_config_set_store_certificate_file", config, |config| {
        config.store_files[1] = Some(path.read("store_certificate_file")?.into());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_store_private_key_file(
    config: Option<&mut Config>,
    path: Text,
) -> i32 {
    set("paytoken_config_set_store_private_key_file", config, |config| {
        config.store_files[2] = Some(path.read("store_private_key_file")?.into());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_free(config: Option<Box<Config>>) {
    guard("paytoken_config_free", (), || drop(config));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_and_environment_has_its_number_in_the_header() {
        let header = include_str!("../include/paytoken.h");
        let has = |name: &str, number: u32| {
            let line =
                format!("#define PAYTOKEN_{} {number} ", name.to_uppercase().replace('-', "_"));
            assert!(header.contains(&line), "{line}");
        };
        for &provider in Provider::ALL {
            has(provider.facts().name, number_of(Provider::ALL, &provider));
        }
        for environment in Environment::ALL {
            has(&environment.to_string(), number_of(Environment::ALL, environment));
        }
    }
}
