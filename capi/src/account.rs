//! Whose account a config is for: the provider's values by name, the certificate, the private key.

use std::collections::BTreeMap;

use paytoken::{ClientCertificate, Credentials, Facts, Field, FieldKind, Provider, Secret};
use zeroize::Zeroizing;

use crate::code;
use crate::error::Failure;

/// Secrets in it are wiped when replaced and on drop.
pub(crate) struct Account {
    pub(crate) provider: Provider,
    /// What the provider asks for, by its name there.
    values: BTreeMap<String, Secret>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) private_key: Option<Zeroizing<Vec<u8>>>,
}

pub(crate) enum Certificate {
    /// May hold a key.
    Pem(Zeroizing<Vec<u8>>),
    Loaded(ClientCertificate),
}

impl Account {
    pub(crate) fn new(provider: Provider) -> Self {
        Self { provider, values: BTreeMap::new(), certificate: None, private_key: None }
    }

    pub(crate) fn from_environment(provider: Provider) -> Result<Self, Failure> {
        let mut account = Self::new(provider);
        let credentials = Credentials::from_env(provider)?;
        for field in provider.facts().fields {
            let value = credentials.value(field.name).map(Secret::from);
            account.values.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        account.certificate = credentials.certificate().cloned().map(Certificate::Loaded);
        Ok(account)
    }

    /// The client id, or the client secret; of those that are built in also by the provider's own name for it.
    pub(crate) fn set_client(&mut self, is_secret: bool, value: &str) -> Result<(), Failure> {
        let facts = self.provider.facts();
        let mut of_built_in = facts.fields.iter().filter(|_| !facts.is_described);
        let field = of_built_in.find(|field| field.is_secret() == is_secret);
        let name = if is_secret { "client_secret" } else { "client_id" };
        self.set_value(field.map_or(name, |field| field.name), value)
    }

    /// One of what the provider asks for.
    pub(crate) fn set_value(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let fields = self.provider.facts().fields;
        let is_known = |name: &str| fields.iter().any(|field| field.name == name);
        if is_known(name) {
            self.values.insert(name.to_owned(), Secret::from(value));
            return Ok(());
        }
        // What is no name may be the secret, in the wrong place.
        let is_name = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let shown = match is_name && (1..=20).contains(&name.len()) && !is_known(value) {
            true => name,
            false => "name",
        };
        let known: Vec<_> = fields.iter().map(|field| field.name).collect();
        Err(Failure::new(
            code::INVALID_ARGUMENT,
            format!("{shown}: not known for {}; it takes {}", self.provider, known.join(", ")),
        ))
    }

    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let facts = self.provider.facts();
        let mut values = self.values.clone();
        for field in facts.fields {
            let is_required = matches!(field.kind, FieldKind::Identity | FieldKind::Secret);
            if is_required && !values.contains_key(field.name) {
                return Err(self.missing(setter_of(facts, field)));
            }
        }
        let certificate = self.certificate(&mut values)?;
        if facts.is_described {
            return Ok(Credentials::described(self.provider, values, certificate)?);
        }
        let mut of_kind = |is_secret: bool| {
            let field = facts.fields.iter().find(|field| field.is_secret() == is_secret);
            field.and_then(|field| values.remove(field.name)).unwrap_or_else(|| Secret::from(""))
        };
        let (id, secret) = (of_kind(false), of_kind(true));
        Ok(Credentials::new(self.provider, id.expose(), secret, certificate)?)
    }

    /// A private key without a certificate signs assertions, where the provider takes them.
    fn certificate(
        &self,
        values: &mut BTreeMap<String, Secret>,
    ) -> Result<Option<ClientCertificate>, Failure> {
        let facts = self.provider.facts();
        let key = self.private_key.as_ref();
        if !facts.takes_certificate && (self.certificate.is_some() || key.is_some()) {
            return Err(Failure::new(
                code::CONFIGURATION,
                format!("{}: takes no client certificate; do not set one", self.provider),
            ));
        }
        let mut fields = facts.fields.iter();
        let signing = fields.find(|field| field.kind == FieldKind::PrivateKey);
        let certificate = match (&self.certificate, key, signing) {
            (Some(Certificate::Pem(pem)), ..) => ClientCertificate::from_pem(pem)?,
            (Some(Certificate::Loaded(certificate)), ..) => certificate.clone(),
            (None, None, _) if !facts.requires_certificate => return Ok(None),
            (None, Some(pem), Some(field)) => {
                let pem = Zeroizing::new(String::from_utf8_lossy(pem).into_owned());
                values.insert(field.name.to_owned(), Secret::from(pem.as_str()));
                return Ok(None);
            }
            _ => return Err(self.missing("certificate_pem".into())),
        };
        Ok(Some(match key {
            Some(pem) => certificate.with_private_key(pem)?,
            None => certificate,
        }))
    }

    fn missing(&self, setter: String) -> Failure {
        Failure::new(
            code::CONFIGURATION,
            format!("{}: not set; call paytoken_config_set_{setter}", self.provider),
        )
    }
}

fn setter_of(facts: &Facts, field: &Field) -> String {
    match (field.name, field.is_secret()) {
        (_, true) if !facts.is_described => "client_secret".into(),
        (_, false) if !facts.is_described => "client_id".into(),
        ("client_id" | "client_secret", _) => field.name.into(),
        (name, _) => format!("value for {name}"),
    }
}
