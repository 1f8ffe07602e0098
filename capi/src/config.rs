//! `paytoken_config`: settings collected by setters, checked when a source is made from them.

use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::time::Duration;

use paytoken::store::SealingKeys;
use paytoken::{
    ClientCertificate, Environment, Provider, Renewal, Settings, StoreTls, TokenSource,
};
use zeroize::Zeroizing;

use crate::account::{Account, Certificate};
use crate::boundary::{self, code_and_error, guard};
use crate::code;
use crate::error::Failure;
use crate::memory::{Bytes, Out, Text};
use crate::provider;
use crate::store::{self, Keys, Place, Tls};

/// What C knows as `paytoken_config`. Secrets in it are wiped when replaced and on drop.
pub(crate) struct Config {
    account: Account,
    environment: Environment,
    root_certificates: Option<Vec<u8>>,
    base_url: Option<String>,
    timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    retries: Option<u32>,
    user_agent: Option<String>,
    proxy: Option<String>,
    renews_in_background: i32,
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

impl Config {
    fn new(account: Account, environment: Environment) -> Self {
        Self {
            environment,
            account,
            root_certificates: None,
            base_url: None,
            timeout: None,
            connect_timeout: None,
            retries: None,
            user_agent: None,
            proxy: None,
            renews_in_background: 0,
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
        let account = Account::from_environment(provider)?;
        let mut config = Self::new(account, settings.environment()?);
        config.root_certificates = settings.root_certificates_pem()?;
        config.store = Place::from_environment(&settings)?;
        config.store_keys = settings.sealing_keys()?.map(Keys::Loaded);
        config.store_tls = settings.store_tls()?;
        config.base_url = settings.base_url;
        Ok(config)
    }

    pub(crate) fn build(&self) -> Result<TokenSource, Failure> {
        let mut builder = TokenSource::builder(self.account.credentials()?, self.environment)
            .renew_in_background(self.renews_in_background());
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

    fn renews_in_background(&self) -> bool {
        let coexists = matches!(self.account.provider.facts().renewal, Renewal::Coexists { .. });
        self.renews_in_background != 0
            && (coexists || self.renews_in_background != RENEW_IF_TOKENS_COEXIST)
    }
}

const RENEW_IF_TOKENS_COEXIST: i32 = 2;

fn into_raw(config: Config) -> *mut Config {
    Box::into_raw(Box::new(config))
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_new(provider_number: u32, environment_number: u32) -> *mut Config {
    guard("paytoken_config_new", std::ptr::null_mut(), || {
        match (
            provider::numbered(provider_number),
            provider::environment_numbered(environment_number),
        ) {
            (Some(provider), Some(environment)) => {
                into_raw(Config::new(Account::new(provider), environment))
            }
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
        let provider = provider::numbered(provider_number)
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
        config.account.set_client(false, id.read("client_id")?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_client_secret(config: Option<&mut Config>, secret: Text) -> i32 {
    set("paytoken_config_set_client_secret", config, |config| {
        config.account.set_client(true, secret.read("client_secret")?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_value(
    config: Option<&mut Config>,
    name: Text,
    value: Text,
) -> i32 {
    set("paytoken_config_set_value", config, |config| {
        config.account.set_value(name.read("name")?, value.read("value")?)
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
        config.account.certificate = Some(Certificate::Pem(pem));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn paytoken_config_set_certificate_injected_by_proxy(
    config: Option<&mut Config>,
) -> i32 {
    set("paytoken_config_set_certificate_injected_by_proxy", config, |config| {
        config.account.certificate =
            Some(Certificate::Loaded(ClientCertificate::injected_by_proxy()));
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
        config.account.private_key = Some(Zeroizing::new(pem));
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
        config.renews_in_background = on;
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
