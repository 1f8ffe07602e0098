//! Reading settings from environment variables and from the files that they name: the same for the
//! library, the command and the C library.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Credentials, check_text};
use crate::base::clock::Deadline;
use crate::base::files::{self, PATIENCE};
use crate::base::secret::Secret;
use crate::credentials::certificate::{ClientCertificate, Files, Names};
use crate::credentials::named_file::{Holds, LARGEST_PEM, NamedFile, Once};
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::facts::{Facts, Field, FieldKind};
use crate::types::names::Provider;

/// How much of the credentials is read.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    Whole,
    /// Neither secret nor private key: enough to tell whose account it is, and for nothing else. (Where
    /// only a secret tells that, it is read.)
    WithoutSecret,
}

/// Where variables come from: the environment, or a test. One that is empty is not set.
pub(crate) struct Variables<'a> {
    values: &'a dyn Fn(&str) -> Option<OsString>,
    /// By when pipes have to be written, all of them.
    deadline: Deadline,
    /// What was read from them.
    once: Once,
}

impl Variables<'static> {
    pub(crate) fn of_process() -> Self {
        Self::of(&|name| std::env::var_os(name))
    }
}

impl<'a> Variables<'a> {
    pub(crate) fn of(values: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { values, deadline: Deadline::after(PATIENCE), once: Once::default() }
    }

    pub(crate) fn with_pipes(self, patience: Option<Duration>, once: Once) -> Self {
        Self { deadline: Deadline::after(patience.unwrap_or(PATIENCE)), once, ..self }
    }

    pub(crate) fn credentials(&self, provider: Provider, reading: Reading) -> Result<Credentials> {
        self.read_credentials(provider, reading).map_err(|error| error.with_provider(provider))
    }

    /// `<PREFIX>_ENVIRONMENT`.
    pub(crate) fn environment(&self, provider: Provider) -> Result<Option<Environment>> {
        let environment = self.word(&provider.facts().variable("ENVIRONMENT"), "environment");
        environment.map_err(|error| error.with_provider(provider))
    }

    /// One of a few words, which are those of this field.
    pub(crate) fn word<T>(&self, name: &str, field: &str) -> Result<Option<T>>
    where
        T: FromStr<Err = Error>,
    {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        // The variable's name in the place of the field's.
        let known = text.parse().map_err(|error: Error| {
            let problem = error.message().trim_start_matches(field);
            Error::configuration(format!("{name}{problem}"))
        })?;
        Ok(Some(known))
    }

    /// `<PREFIX>_BASE_URL`.
    pub(crate) fn base_url(&self, provider: Provider) -> Result<Option<String>> {
        self.text(&provider.facts().variable("BASE_URL"))
    }

    /// A path, in whatever bytes.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    fn read_credentials(&self, provider: Provider, reading: Reading) -> Result<Credentials> {
        let facts = provider.facts();
        let certificate = self.certificate(facts, reading)?;
        let mut values = BTreeMap::new();
        for field in facts.fields {
            let name = facts.variable(field.variable);
            let value = match (field.kind, reading) {
                (FieldKind::Secret, Reading::WithoutSecret) if facts.has_identity() => continue,
                (FieldKind::PrivateKey, Reading::WithoutSecret) => continue,
                (FieldKind::Identity | FieldKind::Secret, _) => Some(self.credential(&name)?),
                (FieldKind::Optional, _) => self.text(&name)?.map(Zeroizing::new),
                (FieldKind::PrivateKey, _) => self.assertion_key(facts, &name)?,
            };
            if let Some(value) = value {
                values.insert(field.name.to_owned(), Secret::from(value.as_str()));
            }
        }
        if let Provider::Described(_) = provider {
            return Ok(Credentials::Described { provider, values, certificate });
        }
        let mut value = |index: usize| {
            let field: Option<&Field> = facts.fields.get(index);
            field.and_then(|field| values.remove(field.name)).unwrap_or_else(|| Secret::from(""))
        };
        Credentials::new(provider, value(0).expose(), value(1), certificate)
    }

    /// The PEM of the key that signs assertions, unless the client certificate's does.
    fn assertion_key(&self, facts: &Facts, name: &str) -> Result<Option<Zeroizing<String>>> {
        let [certificate, key] = certificate_variables(facts);
        let (name, path) = match (self.path(name), self.path(&key)) {
            (Some(path), _) => (name, path),
            (None, Some(path)) if self.path(&certificate).is_none() => (&*key, path),
            (None, None) if self.path(&certificate).is_none() => {
                return Err(Error::configuration(format!(
                    "{key}: not set; set it to the path of the private key's PEM file"
                )));
            }
            _ => return Ok(None),
        };
        let pem = NamedFile { holds: Holds::Secret, ..self.pem(name) }.read(&path)?;
        Ok(Some(Zeroizing::new(String::from_utf8_lossy(&pem).into_owned())))
    }

    /// Whether what [`Reading::WithoutSecret`] leaves out is set, and stands in files that may be used.
    /// Those are not read.
    pub(crate) fn check_secrets(&self, provider: Provider) -> Result<()> {
        let facts = provider.facts();
        let check = || {
            let mut keys = vec![facts.variable("CLIENT_KEY")];
            keys.retain(|_| facts.takes_certificate);
            for field in facts.fields {
                let name = facts.variable(field.variable);
                let file_name = format!("{name}_FILE");
                match (field.kind, self.text(&name)?, self.path(&file_name)) {
                    (FieldKind::Secret, None, Some(path)) => {
                        self.secret_file(&file_name).check(&path)?
                    }
                    (FieldKind::Secret, ..) => drop(self.credential(&name)?),
                    (FieldKind::PrivateKey, ..) => keys.push(name),
                    _ => {}
                }
            }
            for name in keys {
                if let Some(path) = self.path(&name) {
                    NamedFile { holds: Holds::Secret, ..self.pem(&name) }.check(&path)?;
                }
            }
            Ok(())
        };
        check().map_err(|error: Error| error.with_provider(provider))
    }

    fn certificate(&self, facts: &Facts, reading: Reading) -> Result<Option<ClientCertificate>> {
        if !facts.takes_certificate {
            return Ok(None);
        }
        let [name, key_name] = certificate_variables(facts);
        let key = self.path(&key_name);
        let Some(path) = self.path(&name) else {
            return match key.filter(|_| facts.protocol.signing.is_none()) {
                None if !facts.requires_certificate => Ok(None),
                _ => Err(Error::configuration(format!(
                    "{name}: not set; set it to the path of the client certificate's PEM file"
                ))),
            };
        };
        if let Reading::WithoutSecret = reading {
            let pem = self.pem(&name).read(&path)?;
            if let Some(certificate) = ClientCertificate::from_pem_without_key(&pem, &name)? {
                return Ok(Some(certificate));
            }
        }
        let names = Names { certificate: name, key: key_name };
        let files = Files::new(&path, key.as_deref(), Some(names));
        files.load(self.deadline, &self.once).map(Some)
    }

    /// The variable, or the content of the file that `NAME_FILE` names.
    fn credential(&self, name: &str) -> Result<Zeroizing<String>> {
        let file_name = format!("{name}_FILE");
        let text = match (self.text(name)?, self.path(&file_name)) {
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
            (Some(text), None) => Zeroizing::new(text),
            (None, Some(path)) => self.text_of_file(&file_name, &path)?,
        };
        check_text(name, &text)?;
        Ok(text)
    }

    fn text_of_file(&self, name: &str, path: &Path) -> Result<Zeroizing<String>> {
        let content = files::as_utf8(&self.secret_file(name).read(path)?);
        let content = std::str::from_utf8(&content)
            .map_err(|_| Error::configuration(format!("{name}: the file is not valid UTF-8")))?;
        let content = content.strip_suffix('\n').unwrap_or(content);
        let content = content.strip_suffix('\r').unwrap_or(content);
        Ok(Zeroizing::new(content.to_owned()))
    }

    fn secret_file<'b>(&'b self, name: &'b str) -> NamedFile<'b> {
        self.file(name, "the path of a file that holds it", Holds::Secret, LARGEST_SECRET_FILE)
    }

    pub(crate) fn pem<'b>(&'b self, name: &'b str) -> NamedFile<'b> {
        self.file(name, "the PEM file's path", Holds::Pem, LARGEST_PEM)
    }

    /// The path is not shown: it may be the secret itself, put in the wrong place.
    pub(crate) fn file<'b>(
        &'b self,
        name: &'b str,
        what: &'b str,
        holds: Holds,
        limit: u64,
    ) -> NamedFile<'b> {
        let (deadline, once) = (self.deadline, &self.once);
        NamedFile { name, what, shows_path: false, holds, limit, deadline, once }
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let not_text = |_| Error::configuration(format!("{name}: not valid UTF-8"));
        self.value(name).map(|value| value.into_string().map_err(not_text)).transpose()
    }

    fn value(&self, name: &str) -> Option<OsString> {
        (self.values)(name).filter(|value| !value.is_empty())
    }
}

/// Of the files with certificate and private key.
fn certificate_variables(facts: &Facts) -> [String; 2] {
    ["CLIENT_CERT", "CLIENT_KEY"].map(|name| facts.variable(name))
}

/// A secret in a file is short.
const LARGEST_SECRET_FILE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use paytoken_testing::{temporary_folder, write_private};

    use super::*;

    fn from(provider: Provider, pairs: &[(&str, &str)]) -> Result<Credentials> {
        let value = |name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        Variables::of(&value).read_credentials(provider, Reading::Whole)
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
        let folder = temporary_folder();
        let path = folder.path().join("secret");
        write_private(&path, "sandbox-password\r\n");
        let pairs =
            [("NEXTERPAY_USERNAME", "u"), ("NEXTERPAY_PASSWORD_FILE", path.to_str().unwrap())];
        let read = from(Provider::NexterPay, &pairs);
        assert_eq!(read.unwrap().value("password"), Some("sandbox-password"));
    }

    #[test]
    fn the_largest_file_is_read_whole() {
        let folder = temporary_folder();
        let path = folder.path().join("largest");
        write_private(&path, [b'a'; LARGEST_SECRET_FILE as usize]);
        let read = Variables::of(&|_| None).text_of_file("NAME", &path);
        assert_eq!(read.unwrap().len(), LARGEST_SECRET_FILE as usize);
    }

    #[test]
    fn a_file_that_holds_no_secret_is_named_and_says_why() {
        let folder = temporary_folder();
        let path = folder.path().join("no secret");
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
            write_private(&path, content);
            let text = read(&path);
            std::fs::remove_file(&path).unwrap();
            assert!(text.starts_with("NEXTERPAY_PASSWORD") && text.contains(problem), "{text}");
            assert!(!text.contains("caf") && !text.contains("lines"), "{text}");
        }
        assert!(read(&path).starts_with("NEXTERPAY_PASSWORD_FILE: cannot read"));
        assert!(read(folder.path()).contains("not a regular file"));
    }

    #[test]
    fn a_bad_variable_is_named_and_not_repeated() {
        for bad in ["  ", " padded", "two\nlines", "nul\0", "\u{200b}pasted"] {
            let pairs = [("NEXTERPAY_USERNAME", "u"), ("NEXTERPAY_PASSWORD", bad)];
            let text = from(Provider::NexterPay, &pairs).unwrap_err().to_string();
            assert!(text.starts_with("NEXTERPAY_PASSWORD: "), "{text}");
            assert!(bad.trim().is_empty() || !text.contains(bad.trim()), "{text}");
        }
    }
}
