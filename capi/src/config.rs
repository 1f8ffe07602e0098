//! `paytoken_config`: settings collected by setters, checked when a source is made from them.

use std::path::PathBuf;
use std::time::Duration;

use paytoken::{
    ClientCertificate, Credentials, Environment, FileStore, Provider, Secret, TokenSource,
};
use zeroize::Zeroizing;

use crate::boundary::{self, code_and_error, guard};
use crate::code;
use crate::error::Failure;
use crate::memory::{Bytes, Out, Text};

pub(crate) const NTX_PAY: u32 = 1;
pub(crate) const NEXTER_PAY: u32 = 2;
pub(crate) const SEND_PAYMENTS: u32 = 3;
pub(crate) const SANDBOX: u32 = 1;
pub(crate) const PRODUCTION: u32 = 2;

/// What C knows as `paytoken_config`. Secrets in it are wiped when replaced and on drop.
pub(crate) struct Config {
    provider: Provider,
    environment: Environment,
    id: Option<String>,
    secret: Option<Secret>,
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
    store_directory: Option<PathBuf>,
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
            id: None,
            secret: None,
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
            store_directory: None,
        }
    }

    /// As the `paytoken` command reads it.
    fn from_environment(provider: Provider) -> Result<Self, Failure> {
        let prefix = match provider {
            Provider::NtxPay => "NTXPAY",
            Provider::NexterPay => "NEXTERPAY",
            Provider::SendPayments => "SENDPAYMENTS",
        };
        let environment = match variable(&format!("{prefix}_ENVIRONMENT"))? {
            Some(text) => text.parse()?,
            None => Environment::Sandbox,
        };
        let mut config = Self::new(provider, environment);
        match Credentials::from_env(provider)? {
            Credentials::NtxPay { client_id, client_secret, certificate } => {
                config.id = Some(client_id);
                config.secret = Some(client_secret);
                config.certificate = Some(Certificate::Loaded(certificate));
            }
            Credentials::NexterPay { user_name: id, password: secret }
            | Credentials::SendPayments { client_id: id, client_secret: secret } => {
                config.id = Some(id);
                config.secret = Some(secret);
            }
            _ => return Err(Failure::new(code::CONFIGURATION, "provider: not supported here")),
        }
        config.base_url = variable(&format!("{prefix}_BASE_URL"))?;
        config.store_directory = variable("PAYTOKEN_STORE")?.map(PathBuf::from);
        if let Some(path) = variable("PAYTOKEN_CA")? {
            let pem = std::fs::read(&path).map_err(|error| {
                Failure::new(
                    code::CONFIGURATION,
                    format!("PAYTOKEN_CA: cannot read {path}: {error}"),
                )
            })?;
            config.root_certificates = Some(pem);
        }
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
        if let Some(directory) = &self.store_directory {
            builder = builder.store(FileStore::open(directory)?);
        }
        Ok(builder.build()?)
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let id = self.id.clone().ok_or_else(|| self.missing("client_id"))?;
        let secret = self.secret.clone().ok_or_else(|| self.missing("client_secret"))?;
        if self.provider != Provider::NtxPay
            && (self.certificate.is_some() || self.private_key.is_some())
        {
            return Err(Failure::new(
                code::CONFIGURATION,
                format!("{}: takes no client certificate; do not set one", self.provider),
            ));
        }
        Ok(match self.provider {
            Provider::NtxPay => Credentials::NtxPay {
                client_id: id,
                client_secret: secret,
                certificate: self.certificate()?,
            },
            Provider::NexterPay => Credentials::NexterPay { user_name: id, password: secret },
            Provider::SendPayments => {
                Credentials::SendPayments { client_id: id, client_secret: secret }
            }
        })
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

    fn missing(&self, field: &str) -> Failure {
        Failure::new(
            code::CONFIGURATION,
            format!("{}: not set; call paytoken_config_set_{field}", self.provider),
        )
    }
}

/// Set and not empty.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => value
            .into_string()
            .map(Some)
            .map_err(|_| Failure::new(code::CONFIGURATION, format!("{name}: not valid UTF-8"))),
    }
}

fn provider(number: u32) -> Option<Provider> {
    match number {
        NTX_PAY => Some(Provider::NtxPay),
        NEXTER_PAY => Some(Provider::NexterPay),
        SEND_PAYMENTS => Some(Provider::SendPayments),
        _ => None,
    }
}

fn environment(number: u32) -> Option<Environment> {
    match number {
        SANDBOX => Some(Environment::Sandbox),
        PRODUCTION => Some(Environment::Production),
        _ => None,
    }
}

fn into_raw(config: Config) -> *mut Config {
    Box::into_raw(Box::new(config))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_new(provider_number: u32, environment_number: u32) -> *mut Config {
    guard("paytoken_config_new", std::ptr::null_mut(), || {
        match (provider(provider_number), environment(environment_number)) {
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
        let provider = provider(provider_number)
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
        change(config.ok_or_else(|| Failure::null("config"))?)?;
        Ok(code::OK)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_client_id(config: Option<&mut Config>, id: Text) -> i32 {
    set("paytoken_config_set_client_id", config, |config| {
        config.id = Some(id.read("client_id")?.to_owned());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_client_secret(config: Option<&mut Config>, secret: Text) -> i32 {
    set("paytoken_config_set_client_secret", config, |config| {
        config.secret = Some(Secret::from(secret.read("client_secret")?));
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
        config.store_directory = Some(directory.read("store_directory")?.into());
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_free(config: Option<Box<Config>>) {
    guard("paytoken_config_free", (), || drop(config));
}
