//! Files that settings name: a secret, a certificate, keys. Each is read with an error that names the
//! setting, and a pipe once.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::clock::Deadline;
use crate::base::files::{Content, as_utf8, check_access, is_content, open_bounded, read_bounded};
use crate::base::sync::lock;
use crate::types::error::{Error, Result};

/// A file larger than this holds no PEM certificates.
pub(crate) const LARGEST_PEM: u64 = 1024 * 1024;

/// What pipes held that were read: the second look at one finds nothing.
#[derive(Clone, Default)]
pub(crate) struct Once(Arc<Mutex<HashMap<PathBuf, Content>>>);

/// How a setting's file is read.
pub(crate) struct NamedFile<'a> {
    /// The setting that names it, for errors.
    pub(crate) name: &'a str,
    /// What to set it to.
    pub(crate) what: &'a str,
    /// Whether an error may show the path: what stands in a variable may be a secret in the wrong
    /// place.
    pub(crate) shows_path: bool,
    pub(crate) holds: Holds,
    pub(crate) limit: u64,
    /// By when a pipe has to be written.
    pub(crate) deadline: Deadline,
    pub(crate) once: &'a Once,
}

/// What is in a file: who may read it depends on that.
#[derive(Clone, Copy)]
pub(crate) enum Holds {
    Secret,
    /// Certificates, and perhaps a private key among them.
    Pem,
}

/// Why a file was not read, or may not be used.
enum Unusable {
    Unreadable(io::Error),
    Open(String),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl NamedFile<'_> {
    /// The whole of it, as it is.
    pub(crate) fn read(&self, path: &Path) -> Result<Content> {
        self.told(path, || self.read_once(path))
    }

    /// Whether it is there and may be used, as far as that can be told without reading it.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        self.told(path, || {
            let file = fs::metadata(path)?;
            // A pipe is for who reads it.
            if file.is_file() || file.is_dir() {
                let (_, file) = open_bounded(path, self.limit)?;
                check_access(path, &file, matches!(self.holds, Holds::Secret))
                    .map_err(Unusable::Open)?;
                // Files of /proc have no length, and hold something.
                if file.len() == 0 && self.read_once(path)?.is_empty() {
                    return Err(Unusable::Open(format!("is empty; set it to {}", self.what)));
                }
            }
            Ok(())
        })
    }

    /// What went wrong, with the setting's name and the way out.
    fn told<T>(&self, path: &Path, used: impl FnOnce() -> Result<T, Unusable>) -> Result<T> {
        if is_content(path) {
            return Err(Error::configuration(format!(
                "{}: give a path, not the content; set it to {}",
                self.name, self.what
            )));
        }
        used().map_err(|unusable| {
            let (name, what) = (self.name, self.what);
            let file = match self.shows_path {
                true => path.display().to_string(),
                false => "that file".to_owned(),
            };
            match unusable {
                Unusable::Open(why) => Error::configuration(format!("{name}: {file} {why}")),
                Unusable::Unreadable(error) => Error::configuration(format!(
                    "{name}: cannot read {file} ({error}); set it to {what}"
                ))
                .with_source(error),
            }
        })
    }

    fn read_once(&self, path: &Path) -> Result<Content, Unusable> {
        let mut known = lock(&self.once.0);
        if let Some(content) = known.get(path) {
            return Ok(content.clone());
        }
        let (content, file) = read_bounded(path, self.limit, self.deadline)?;
        let holds_a_secret = match self.holds {
            Holds::Secret => true,
            Holds::Pem => {
                as_utf8(&content).windows(PRIVATE_KEY.len()).any(|part| part == PRIVATE_KEY)
            }
        };
        check_access(path, &file, holds_a_secret).map_err(Unusable::Open)?;
        if !fs::metadata(path).is_ok_and(|now| now.is_file()) {
            known.insert(path.to_owned(), content.clone());
        }
        Ok(content)
    }
}

/// In the first line of each kind of them.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";
