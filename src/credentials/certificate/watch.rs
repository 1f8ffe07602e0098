//! The files a certificate came from, and whether they have changed since.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ClientCertificate, FieldNames, Inner, Loaded};
use crate::base::clock::Deadline;
use crate::credentials::named_file::{Holds, LARGEST_PEM, NamedFile, Once};
use crate::types::error::Result;

/// A certificate's file, and its key's where that is another.
pub(crate) struct Files {
    certificate: PathBuf,
    key: Option<PathBuf>,
    /// What errors call them, where that is not the field's name.
    names: Option<Names>,
}

/// The variables that name the files.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The files of a loaded certificate, and what they were like before they were read.
#[derive(Clone)]
pub(super) struct Origin {
    files: Arc<Files>,
    stamps: Stamps,
}

/// What the file system says of the files; equal as long as they have not changed. `None` for what
/// is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

impl Stamps {
    fn are_whole(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}

type Stamp = (u64, u64, u64, SystemTime, i64);

impl ClientCertificate {
    /// The certificate as it is in its files now, where they have changed since it was read.
    /// `None` also for what has `failed` already.
    pub(crate) fn read_again(&self, failed: &mut Option<Stamps>) -> Option<Result<Self>> {
        let origin = self.loaded()?.origin.as_ref()?;
        let stamps = origin.files.stamps();
        if stamps == origin.stamps || failed.as_ref() == Some(&stamps) {
            return None;
        }
        let read = origin
            .files
            // Files they were: a pipe in the place of one is not waited for.
            .read(Deadline::after(Duration::ZERO), &Once::default())
            .and_then(|read| read.check_key().map(|()| read));
        *failed = read.is_err().then_some(stamps);
        Some(read)
    }
}

impl Files {
    pub(crate) fn new(certificate: &Path, key: Option<&Path>, names: Option<Names>) -> Self {
        Self { certificate: certificate.to_owned(), key: key.map(Path::to_owned), names }
    }

    /// Pipes among them are waited for until then, and what they held is kept there.
    pub(crate) fn load(self, deadline: Deadline, once: &Once) -> Result<ClientCertificate> {
        Arc::new(self).read(deadline, once)
    }

    fn read(self: &Arc<Self>, deadline: Deadline, once: &Once) -> Result<ClientCertificate> {
        // Taken first: what is written meanwhile then shows.
        let origin = Origin { files: self.clone(), stamps: self.stamps() };
        let [field, key_field] = self.fields();
        let text = |field: FieldNames<'_>, path: &Path| {
            let file = NamedFile {
                name: field.name,
                what: "the PEM file's path",
                shows_path: self.names.is_none(),
                holds: Holds::Pem,
                limit: LARGEST_PEM,
                deadline,
                once,
            };
            file.read(path)
        };
        let certificate = text(field, &self.certificate)?;
        let loaded = Loaded::of(&certificate, field)?;
        let loaded = match &self.key {
            Some(key) => loaded.with_key_apart(&text(key_field, key)?, key_field)?,
            None => loaded.with_key_of(&certificate, field),
        };
        // A pipe is read once.
        let origin = origin.stamps.are_whole().then_some(origin);
        Ok(ClientCertificate(Arc::new(Inner::Loaded(Box::new(Loaded { origin, ..loaded })))))
    }

    fn stamps(&self) -> Stamps {
        let files = [Some(&self.certificate), self.key.as_ref()].into_iter().flatten();
        Stamps(files.map(|path| stamp(path)).collect())
    }

    fn fields(&self) -> [FieldNames<'_>; 2] {
        match &self.names {
            Some(names) => {
                [&names.certificate, &names.key].map(|name| FieldNames::of_variable(name))
            }
            None => [FieldNames::CERTIFICATE, FieldNames::PRIVATE_KEY],
        }
    }
}

/// Follows links, so that a link which leads elsewhere shows (Kubernetes changes `..data` so).
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let written = metadata.modified().ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let changed =
            metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec());
        Some((metadata.dev(), metadata.ino(), metadata.len(), written, changed))
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::MetadataExt as _;
        Some((metadata.creation_time(), 0, metadata.len(), written, 0))
    }
}
