//! What curl is told by us, through a pipe: neither an argument nor a variable shows it.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Write as _, pipe};
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use paytoken::Token;
use rustix::io::{FdFlags, fcntl_setfd};
use zeroize::Zeroizing;

/// Everything but the token.
pub(super) struct Settings {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    /// Plain http is fine: the provider's own address is a program on this machine.
    pub(super) may_be_plain: bool,
    /// curl shows its progress where its output is no terminal: ours is one, and its is a pipe.
    pub(super) is_quiet: bool,
}

/// A configuration file of curl's (`man curl`, -K), wiped on drop.
pub(super) fn text(settings: &Settings, token: &Token, heads: Option<&str>) -> Zeroizing<Vec<u8>> {
    // Sized at once: growing would leave unwiped copies behind.
    let paths = [&settings.certificate, &settings.key, &settings.ca];
    let length: usize = paths.into_iter().flatten().map(|path| path.as_os_str().len()).sum();
    let mut text =
        Zeroizing::new(Vec::with_capacity(1024 + 2 * length + 2 * token.header_value().len()));
    let mut line = |name: &str, value: &[&[u8]]| {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b" = \"");
        value.iter().for_each(|part| quote(part, &mut text));
        text.extend_from_slice(b"\"\n");
    };
    let (name, value) = (token.header_name(), token.header_value());
    line("header", &[name.as_bytes(), b": ", value.as_bytes()]);
    for (name, path) in
        [("cert", &settings.certificate), ("key", &settings.key), ("cacert", &settings.ca)]
    {
        if let Some(path) = path {
            // A colon would begin a password.
            let escaped = match name {
                "cert" => escape_colons(path),
                _ => path.as_os_str().as_encoded_bytes().to_vec(),
            };
            line(name, &[&escaped]);
        }
    }
    if let Some(heads) = heads {
        line("dump-header", &[heads.as_bytes()]);
    }
    let protocols: &[u8] = if settings.may_be_plain { b"=http,https" } else { b"=https" };
    line("proto", &[protocols]);
    line("proto-redir", &[protocols]);
    line("proto-default", &[b"https"]);
    if settings.may_be_plain {
        // It would read the token.
        line("noproxy", &[b"localhost,127.0.0.1,::1"]);
    }
    // What a proxy says to CONNECT is not the API's answer.
    text.extend_from_slice(b"suppress-connect-headers\n");
    if settings.is_quiet {
        text.extend_from_slice(b"silent\nshow-error\n");
    }
    text
}

/// As curl reads a value in double quotes.
fn quote(value: &[u8], text: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', byte]),
            b'\t' => text.extend(b"\\t"),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            0x0b => text.extend(b"\\v"),
            byte => text.push(byte),
        }
    }
}

fn escape_colons(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if matches!(byte, b':' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// A pipe whose one end curl inherits and opens by name.
pub(super) struct Inherited<Ours> {
    theirs: File,
    pub(super) ours: Ours,
}

impl Inherited<PipeWriter> {
    pub(super) fn for_reading() -> io::Result<Self> {
        let (theirs, ours) = pipe()?;
        Self::of(theirs, ours)
    }

    /// Once curl runs: what it does not read is no failure of ours, it will say why.
    pub(super) fn write(mut self, text: &[u8]) {
        drop(self.theirs);
        let _ = self.ours.write_all(text);
    }
}

impl Inherited<PipeReader> {
    pub(super) fn for_writing() -> io::Result<Self> {
        let (ours, theirs) = pipe()?;
        Self::of(theirs, ours)
    }

    /// Once curl runs.
    pub(super) fn into_ours(self) -> PipeReader {
        self.ours
    }
}

impl<Ours> Inherited<Ours> {
    fn of(theirs: impl Into<std::os::fd::OwnedFd>, ours: Ours) -> io::Result<Self> {
        let theirs = File::from(theirs.into());
        // curl is the only program that is run from now on.
        fcntl_setfd(theirs.as_fd(), FdFlags::empty())?;
        Ok(Self { theirs, ours })
    }

    pub(super) fn name(&self) -> String {
        let folder = if Path::new("/dev/fd").exists() { "/dev/fd" } else { "/proc/self/fd" };
        format!("{folder}/{}", self.theirs.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn odd_paths_and_tokens_stay_one_value() {
        let settings = Settings {
            certificate: Some(PathBuf::from("/a b/c:\"d\\.pem")),
            key: Some(PathBuf::from("/k\ney")),
            ca: None,
            may_be_plain: false,
            is_quiet: true,
        };
        let token = Token::for_tests("t\"\\1", Duration::from_secs(60));
        let text = text(&settings, &token, Some("/dev/fd/7"));
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "header = \"Authorization: Bearer t\\\"\\\\1\"\n\
             cert = \"/a b/c\\\\:\\\"d\\\\\\\\.pem\"\n\
             key = \"/k\\ney\"\n\
             dump-header = \"/dev/fd/7\"\n\
             proto = \"=https\"\nproto-redir = \"=https\"\nproto-default = \"https\"\n\
             suppress-connect-headers\nsilent\nshow-error\n"
        );
    }
}
