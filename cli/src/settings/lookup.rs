//! The variables of one account, as the library asks for them: from the environment, or from the
//! settings file as if they stood there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use paytoken::{Error, ErrorKind};
use zeroize::Zeroizing;

use super::file::{self, DEFAULTS, SettingsFile};
use super::keys::{self, Setting};
use super::secret_command::{self, Problem};
use crate::command_line::Options;
use crate::deadline::Deadline;
use crate::exit::Failure;
use crate::words;

/// The variables of one account.
pub(super) struct Lookup {
    pub(super) names: Vec<keys::Name>,
    pub(super) of_file: Option<file::Account>,
    pub(super) file: PathBuf,
    /// Of the account's table in it.
    pub(super) name: String,
    /// The provider's variables in the environment are this account's.
    pub(super) takes_variables: bool,
    pub(super) deadline: Mutex<Deadline>,
    pub(super) secrets: Mutex<Secrets>,
}

#[derive(Default)]
pub(super) struct Secrets {
    /// What stands in the settings file, and what commands printed, by key.
    pub(super) known: Vec<(&'static str, Zeroizing<String>)>,
    /// The first that could not be had, by its key.
    pub(super) failed: Option<(&'static str, Problem)>,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Option(&'static str),
    Variable(String),
    File(&'static str),
    NotSet,
}

impl Lookup {
    pub(super) fn deadline(&self) -> Deadline {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn value(&self, variable: &str) -> Option<OsString> {
        match self.origin(variable) {
            Origin::Variable(name) if name == variable => std::env::var_os(variable),
            Origin::File(key) => self.of_file_for(variable, key),
            _ => None,
        }
    }

    /// The settings file's value for a variable that this key sets, be it as text or as a file.
    fn of_file_for(&self, variable: &str, key: &'static str) -> Option<OsString> {
        let is_about_a_file = variable.ends_with("_FILE");
        match self.of_file.as_ref()?.get(key)? {
            Setting::Inline(text) if !is_about_a_file => Some(text.into()),
            Setting::Secret if !is_about_a_file => self.known_or(key, || self.read_again(key)),
            Setting::Path(path) if is_about_a_file || !key.ends_with("_file") => Some(path.into()),
            Setting::Command(words) if !is_about_a_file => self.known_or(key, || {
                let folder = keys::folder_of(&self.file);
                secret_command::output_of(words, &folder, self.deadline())
            }),
            _ => None,
        }
    }

    fn known_or(
        &self,
        key: &'static str,
        find: impl FnOnce() -> Result<Zeroizing<String>, Problem>,
    ) -> Option<OsString> {
        let mut secrets = self.secrets();
        // A command that failed has said why; another run of it takes as long, and may ask again.
        if secrets.failed.as_ref().is_some_and(|(failed, _)| *failed == key) {
            return None;
        }
        if let Some((_, secret)) = secrets.known.iter().find(|(known, _)| *known == key) {
            return Some(secret.as_str().into());
        }
        match find() {
            Ok(secret) => {
                let value = secret.as_str().into();
                secrets.known.push((key, secret));
                Some(value)
            }
            Err(problem) => {
                let text = format!("{}: {}", self.place(key), problem.text);
                secrets.failed.get_or_insert((key, Problem { text, ..problem }));
                None
            }
        }
    }

    /// The secret that stands in the settings file, after it was forgotten. It may only be used with
    /// the address and the id that stand beside it.
    fn read_again(&self, key: &str) -> Result<Zeroizing<String>, Problem> {
        let file = SettingsFile::open().ok().flatten();
        let again = file.and_then(|file| file.account(&self.name).ok().flatten());
        let is_as =
            |again: &file::Account| self.of_file.as_ref().is_some_and(|before| before.is_as(again));
        let secrets = again.filter(is_as).map(|mut again| again.take_secrets()).unwrap_or_default();
        let secret = secrets.into_iter().find(|(known, _)| *known == key);
        secret.map(|(_, secret)| secret).ok_or_else(|| Problem {
            text: "the settings were changed while curl ran; the next run reads them".into(),
            is_temporary: true,
        })
    }

    pub(super) fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn origin(&self, variable: &str) -> Origin {
        let base = variable.strip_suffix("_FILE").unwrap_or(variable);
        if self.takes_variables || variable.starts_with("PAYTOKEN_") {
            // A variable that is set, itself or with _FILE, hides the file's key, however that is set.
            for name in [variable.to_owned(), base.to_owned(), format!("{base}_FILE")] {
                if keys::variable(&name).is_some() {
                    return Origin::Variable(name);
                }
            }
        }
        let key = self.key(base);
        let way = key.and_then(|key| self.of_file.as_ref()?.way(key));
        way.map_or(Origin::NotSet, Origin::File)
    }

    /// The settings file's key for what this variable sets.
    fn key(&self, variable: &str) -> Option<&'static str> {
        let (key, ..) = self.names.iter().find(|(_, known, _)| known == variable)?;
        Some(keys::stem(key))
    }

    pub(super) fn place(&self, key: &str) -> String {
        let file = self.file.display();
        match self.of_file.as_ref().is_some_and(|account| account.is_default(key)) {
            true => format!("{key} in [{DEFAULTS}] of {file}"),
            false => format!("{key} in {file}"),
        }
    }

    pub(super) fn failure(&self, error: &Error, options: &Options) -> Failure {
        // Without its output, the library can only say that the secret is not set.
        if let Some((key, problem)) = &self.secrets().failed
            && error.kind() == ErrorKind::Configuration
            && self
                .names
                .iter()
                .any(|(known, variable, _)| known == key && error.to_string().contains(variable))
        {
            let failure = match problem.is_temporary {
                true => Failure::Temporary,
                false => Failure::Configuration,
            };
            return failure(problem.text.clone());
        }
        let mut text = words::sentence(error);
        for (key, variable, _) in &self.names {
            let is_of_file = !self.takes_variables
                || match self.origin(variable) {
                    Origin::File(_) => true,
                    Origin::NotSet => {
                        self.of_file.as_ref().is_some_and(|account| account.has_table)
                    }
                    _ => false,
                };
            if is_of_file {
                let key = keys::stem(key);
                let (file, key_file) = (format!("{variable}_FILE"), format!("{key}_file"));
                text = words::renamed(&words::renamed(&text, &file, &key_file), variable, key);
            }
        }
        if options.ca.is_some() {
            text = words::renamed(&text, "PAYTOKEN_CA", "--ca");
        }
        if options.store.is_some() {
            text = text.replace("PAYTOKEN_STORE: ", "--store: ");
        }
        if self.of_file.is_some() && error.kind() == ErrorKind::Configuration {
            text += &format!(" [settings: {}]", self.file.display());
        }
        Failure::of(error.kind(), text)
    }
}
