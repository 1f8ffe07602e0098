//! The directory of a [`FileStore`](super::FileStore): whose it has to be, and what is made on the
//! way to it.
//!
//! It is looked at anew at each use, since it may have been removed and made by somebody else.

#[cfg(unix)]
use std::ffi::OsStr;
#[cfg(unix)]
use std::fs::File;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

#[cfg(unix)]
use log::warn;

#[cfg(windows)]
use super::windows;
#[cfg(unix)]
use crate::base::files::ourselves;
use crate::types::error::{Error, Result};
#[cfg(unix)]
use crate::types::event::LOG_TARGET;

/// A directory that only we may enter.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// The directory of this name, which is there and private, or can be made where its name says.
    /// Nothing is made.
    pub(super) fn named(path: &Path) -> Result<Self> {
        let directory = Self(spelled_out(path)?);
        match fs::symlink_metadata(&directory.0) {
            Ok(metadata) if !metadata.is_dir() => {
                // It is the name that is wrong: asking again does not help.
                Err(Error::configuration(directory.sentence(IS_NO_DIRECTORY)))
            }
            Ok(metadata) => directory.check(&metadata).map(|_| directory),
            Err(error) if is_missing(&error) => {
                directory.missing()?;
                Ok(directory)
            }
            Err(error) => Err(directory.error("cannot be read", error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it where it is missing, and gives it the mode that another umask has kept it from.
    pub(super) fn make_ready(&self) -> Result<()> {
        match fs::symlink_metadata(&self.0) {
            Ok(metadata) if needs_mode(&metadata) => {
                self.check(&metadata)?;
                return self.set_mode(&self.0);
            }
            Ok(metadata) => return self.check(&metadata).map(drop),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(self.error("cannot be read", error)),
        }
        for missing in self.missing()?.iter().rev() {
            #[cfg_attr(windows, expect(unused_mut))]
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(missing) {
                Ok(()) => self.set_mode(missing)?,
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.error("cannot be made", error)),
            }
        }
        self.check_now().map(drop)
    }

    /// That it is private, and ours, at this moment; and whether it had to be closed for that.
    pub(super) fn check_now(&self) -> Result<bool> {
        let metadata = fs::symlink_metadata(&self.0);
        self.check(&metadata.map_err(|error| self.error("cannot be read", error))?)
    }

    /// That it is there, or can be made.
    pub(super) fn check_can_be_there(&self) -> Result<()> {
        self.missing().map(drop)
    }

    /// A directory of this name, whatever it is.
    #[cfg(windows)]
    #[cfg(test)]
    pub(super) fn unchecked(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether nobody can enter it, and why is known.
    pub(super) fn lacks_its_mode(&self) -> bool {
        fs::symlink_metadata(&self.0).is_ok_and(|metadata| needs_mode(&metadata))
    }

    fn check(&self, metadata: &Metadata) -> Result<bool> {
        if !metadata.is_dir() {
            return Err(self.refused(IS_NO_DIRECTORY));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;

            if metadata.uid() != self.ourselves()? {
                return Err(self.refused(
                    "belongs to another user; under sudo, use sudo -H, or name a directory of your own",
                ));
            }
            if metadata.mode() & 0o077 != 0 {
                return self.close().map(|()| true);
            }
        }
        #[cfg(windows)]
        {
            if windows::is_link(metadata) {
                return Err(self.refused(IS_NO_DIRECTORY));
            }
            self.check_may_make_in(&self.0, metadata)?;
        }
        Ok(false)
    }

    /// Closes a store that somebody has opened since we made it, as kubelet does at each start of a
    /// pod with an `fsGroup`. Meanwhile others could read the tokens and exchange the files, so no
    /// token counts that is in one. Only what is a store and nothing else is closed: what was named by
    /// mistake may be the directory of a whole system.
    #[cfg(unix)]
    fn close(&self) -> Result<()> {
        use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};

        const STICKY: u32 = 0o1000;
        let close = || -> io::Result<bool> {
            // By its descriptor, since others may put a link in its place.
            let directory = File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
                .open(&self.0)?;
            let metadata = directory.metadata()?;
            if metadata.mode() & STICKY != 0 || !self.is_a_store()? {
                return Ok(false);
            }
            // Before: whoever finds it closed has to find them marked. And after: until then somebody can
            // put one back that he had taken away.
            self.distrust_files()?;
            directory.set_permissions(fs::Permissions::from_mode(0o700))?;
            self.distrust_files()?;
            Ok(true)
        };
        match close() {
            Ok(true) => {
                warn!(
                    target: LOG_TARGET,
                    "{}",
                    self.sentence("was open to other users and is closed again (0700); the tokens in it are not used, since others could read and exchange them; keep its mode from being changed (in Kubernetes, use an fsGroupChangePolicy of OnRootMismatch)")
                );
                Ok(())
            }
            Ok(false) => Err(self.refused(IS_OPEN)),
            Err(error) => Err(self.refused(IS_OPEN).with_source(error)),
        }
    }

    /// Whether there are files of a store in it, and nothing else.
    #[cfg(unix)]
    fn is_a_store(&self) -> io::Result<bool> {
        let mut has_any = false;
        for file in fs::read_dir(&self.0)? {
            if !is_of_a_store(&file?.file_name()) {
                return Ok(false);
            }
            has_any = true;
        }
        Ok(has_any)
    }

    /// Entries are marked. Of what else has a name of ours others may hold a lock, or have put a directory
    /// in its place.
    #[cfg(unix)]
    fn distrust_files(&self) -> io::Result<()> {
        for file in fs::read_dir(&self.0)? {
            let file = file?;
            let path = file.path();
            let is_entry = path.extension().is_some_and(|ending| ending == "entry");
            // What cannot be marked or removed is found to be no entry, or told, when it is used.
            let _ = match file.file_type()? {
                kind if kind.is_dir() => fs::remove_dir_all(&path),
                _ if is_entry => super::distrust(&path),
                _ => fs::remove_file(&path),
            };
        }
        Ok(())
    }

    /// Whether a file is one of this user's.
    pub(super) fn is_ours(&self, file: &Metadata) -> Result<bool> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;

            Ok(file.uid() == self.ourselves()?)
        }
        #[cfg(windows)]
        Ok(!windows::is_link(file))
    }

    /// What has to be made, the innermost first. Refused where that would be in a directory of
    /// another user: root would make directories there that the user cannot write to.
    fn missing(&self) -> Result<Vec<&Path>> {
        let mut missing = Vec::new();
        for path in self.0.ancestors() {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    self.check_may_make_in(path, &metadata)?;
                    return Ok(missing);
                }
                Ok(_) => {
                    return Err(Error::configuration(self.sentence(&format!(
                        "cannot be made, since {} is not a directory; name another",
                        path.display()
                    ))));
                }
                Err(error) if is_missing(&error) => missing.push(path),
                Err(error) => return Err(self.error("cannot be made", error)),
            }
        }
        Err(self.error("cannot be made", io::ErrorKind::NotFound.into()))
    }

    #[cfg(unix)]
    fn check_may_make_in(&self, parent: &Path, metadata: &Metadata) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;

        const ROOT: u32 = 0;
        // As /tmp is: everybody may, and nobody can take away what another has made.
        let is_for_everybody = metadata.mode() & 0o1002 == 0o1002;
        if is_for_everybody || metadata.uid() == ROOT || metadata.uid() == self.ourselves()? {
            return Ok(());
        }
        Err(self.refused(&format!(
            "is not made, since {} belongs to another user; under sudo, use sudo -H, or name a directory of your own",
            parent.display()
        )))
    }

    #[cfg(windows)]
    fn check_may_make_in(&self, parent: &Path, _: &Metadata) -> Result<()> {
        match windows::is_private(parent) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.refused(windows::IS_ELSEWHERE)),
            Err(error) => Err(self.error("cannot be checked", error)),
        }
    }

    #[cfg(unix)]
    fn ourselves(&self) -> Result<u32> {
        ourselves().map_err(|error| self.error("cannot be checked", error))
    }

    fn set_mode(&self, path: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;

            let metadata = fs::symlink_metadata(path);
            if metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o777 != 0o700) {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                    .map_err(|error| self.error("cannot be made private", error))?;
            }
        }
        #[cfg(windows)]
        let _ = path;
        Ok(())
    }

    pub(super) fn error(&self, what: &str, error: io::Error) -> Error {
        Error::store(self.sentence(&format!(
            "{what} ({error}); check the directory and the disk, or name another directory"
        )))
        .with_source(error)
    }

    pub(super) fn refused(&self, why: &str) -> Error {
        Error::store(self.sentence(why))
    }

    fn sentence(&self, text: &str) -> String {
        format!("store: {} {text}", self.0.display())
    }
}

#[cfg(unix)]
const IS_OPEN: &str =
    "is open to other users; if it is for a store alone, run chmod 700 on it, else name another";
const IS_NO_DIRECTORY: &str = "is not a directory itself (a link?); name a real directory";

/// Absolute, since the process may change its working directory, and without what would make the
/// system follow a link at the end: `link/` and `link/.`.
fn spelled_out(path: &Path) -> Result<PathBuf> {
    if let Some(Component::Normal(first)) = path.components().next()
        && first.as_encoded_bytes().starts_with(b"~")
    {
        return Err(Error::configuration(format!(
            "store: {} starts with ~, which only a shell turns into a home directory; write the whole path (or ./~ for a directory of that name)",
            path.display()
        )));
    }
    let absolute = std::path::absolute(path).map_err(|error| {
        Error::configuration(format!(
            "store: {:?} does not name a directory ({error}); name an absolute path",
            path.display().to_string()
        ))
        .with_source(error)
    })?;
    Ok(absolute.components().collect())
}

/// `PROVIDER-HASH.entry`, `.lock` or `.new`.
#[cfg(unix)]
fn is_of_a_store(name: &OsStr) -> bool {
    let is_key = |key: &str| {
        let Some((provider, hash)) = key.rsplit_once('-') else { return false };
        provider.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && hash.len() == 40
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let parts = name.to_str().and_then(|name| name.split_once('.'));
    parts.is_some_and(|(key, ending)| is_key(key) && matches!(ending, "entry" | "lock" | "new"))
}

/// Below a file there is nothing, either.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A directory that nobody can enter: it was made under a umask like 177, and its maker did not
/// live to set the mode.
fn needs_mode(directory: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        directory.is_dir() && directory.mode() & 0o100 == 0
    }
    #[cfg(windows)]
    {
        let _ = directory;
        false
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;
    use crate::store::Account;
    use crate::types::environment::Environment;
    use crate::types::names::Provider;

    #[test]
    fn a_name_is_absolute_and_ends_with_a_name() {
        let here = std::env::current_dir().unwrap();
        for (named, meant) in [
            ("store", here.join("store")),
            ("./store/.", here.join("store")),
            ("a//b/./", here.join("a/b")),
            ("/a/./b//", "/a/b".into()),
            ("//a", "/a".into()),
            ("a/../b", here.join("a/../b")),
            (".", here.clone()),
            ("/", "/".into()),
            ("./~x", here.join("~x")),
            ("/~", "/~".into()),
        ] {
            assert_eq!(
                spelled_out(Path::new(named)).unwrap().as_os_str(),
                meant.as_os_str(),
                "{named}"
            );
        }
        for wrong in ["", "~", "~/x", "~user/x"] {
            let error = spelled_out(Path::new(wrong)).unwrap_err();
            assert!(!error.is_retryable(), "{error}");
        }
    }

    #[test]
    fn the_files_of_every_account_are_known_as_a_store_s() {
        let longest = Provider::described(
            r#"{"name": "a_provider-of-32-characters_2-x0", "token_endpoint": "https://a.example/token",
                "auth": "client_secret_basic", "renewal": "coexists"}"#,
        );
        for provider in Provider::ALL.iter().copied().chain(longest) {
            let credentials = Credentials::for_tests(provider);
            let url = Some("https://pay.example");
            let account = Account::new(&credentials, Environment::Sandbox, url).unwrap();
            let key = account.key().as_str();
            let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            assert!(key.bytes().all(is_plain) && key.len() <= 80, "{key}");
            assert!(is_of_a_store(OsStr::new(&format!("{key}.entry"))), "{key}");
        }
    }
}
