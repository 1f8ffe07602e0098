//! The program's directory: certificates, key and `env.sh`, readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use paytoken_sandbox::Sandbox;

/// A directory with the files of one run; a temporary one goes when this is dropped.
pub(crate) struct Directory {
    path: PathBuf,
    temporary: bool,
    /// Locked while this sandbox's files are in a directory that the user named.
    _lock: Option<File>,
}

impl Directory {
    /// The directory the user named (made if missing), or a fresh private one.
    pub(crate) fn open(named: Option<PathBuf>) -> io::Result<Directory> {
        match named {
            Some(path) => {
                if !path.is_dir() {
                    private_directory().recursive(true).create(&path)?;
                }
                let path = path.canonicalize()?;
                let lock = lock(&path)?;
                Ok(Directory { path, temporary: false, _lock: Some(lock) })
            }
            None => {
                let base = std::env::temp_dir().canonicalize()?;
                // The process number and a count are unique among living processes, and creating
                // fails on a name that somebody else has taken, so no randomness is needed.
                for attempt in 0..1_000 {
                    let name = format!("paytoken-sandbox-{}-{attempt}", std::process::id());
                    let path = base.join(name);
                    match private_directory().create(&path) {
                        Ok(()) => {
                            return Ok(Directory { path, temporary: true, _lock: None });
                        }
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(io::Error::other("no free name for a temporary directory"))
            }
        }
    }

    /// The path of one file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes all files; returns the environment variables that name them.
    pub(crate) fn fill(
        &self,
        sandbox: &Sandbox,
        assertion_key: Option<&Path>,
    ) -> io::Result<Vec<(String, String)>> {
        let trusted = [sandbox.ca_pem().as_bytes(), &systems_authorities()?].concat();
        self.write("ca.pem", sandbox.ca_pem())?;
        self.write("client.cert.pem", sandbox.client_certificate_pem())?;
        self.write("client.key.pem", sandbox.client_key_pem())?;
        self.write("trusted.pem", trusted)?;
        let header = sandbox.client_certificate_header();
        self.write("client.header", format!("X-SSL-Client-Cert: {header}\n"))?;
        let path = |name| self.file(name).to_string_lossy().into_owned();
        let mut variables =
            sandbox.variables(&path("ca.pem"), &path("client.cert.pem"), &path("client.key.pem"));
        if let Some(key) = assertion_key {
            let key = key.canonicalize()?.to_string_lossy().into_owned();
            let of_assertions =
                |(name, _): &&mut (String, String)| name.ends_with("_ASSERTION_KEY");
            variables.iter_mut().filter(of_assertions).for_each(|(_, path)| path.clone_from(&key));
        }
        // No proxy leads to this machine.
        for name in ["no_proxy", "NO_PROXY"] {
            let set = std::env::var(name).ok().filter(|hosts| !hosts.is_empty());
            let hosts = match set.as_deref() {
                Some("*") => "*".to_owned(),
                Some(hosts) => format!("{hosts},127.0.0.1,localhost"),
                None => "127.0.0.1,localhost".to_owned(),
            };
            variables.push((name.to_owned(), hosts));
        }
        // For HTTP clients that ask the system whom to trust, as those of the README do.
        variables.push(("SSL_CERT_FILE".to_owned(), path("trusted.pem")));
        self.write("env.sh", export_lines(&variables))?;
        Ok(variables)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.file(name);
        // A file left by an earlier run may have other permissions, or be a link: start afresh.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        private_file(&path)?.write_all(content.as_ref())
    }
}

/// Those that programs trust already: in the sandbox's shell, the rest of the world stays within reach.
fn systems_authorities() -> io::Result<Vec<u8>> {
    const BUNDLES: [&str; 3] = [
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine
        "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
        "/etc/ssl/cert.pem",                  // macOS, FreeBSD
    ];
    if let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        match fs::read(&path) {
            Ok(bundle) => return Ok(bundle),
            // As in a shell that had the variables of a sandbox which has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let said = format!("SSL_CERT_FILE: {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), said));
            }
        }
    }
    Ok(BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default())
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// One `export` line per variable, safe to source in a shell.
pub(crate) fn export_lines(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
}

/// A value as one word of a shell; plain values stay as they are.
pub(crate) fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%+=,".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

/// A second sandbox would replace the files of the first, whose users then trust the wrong authority.
fn lock(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let lock = options.write(true).create(true).truncate(false).open(directory.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other(format!(
            "--directory: another sandbox uses {}; end it, or name another directory",
            directory.display()
        )),
        TryLockError::Error(error) => error,
    })?;
    Ok(lock)
}

fn private_directory() -> DirBuilder {
    #[allow(unused_mut)]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted_for_the_shell() {
        assert_eq!(quoted("/tmp/a-b.pem"), "/tmp/a-b.pem");
        assert_eq!(quoted("/tmp/a b"), "'/tmp/a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
