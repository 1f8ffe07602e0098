//! Where a user's own store is: one place, the same in a login shell, under cron and under sudo.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::types::error::{Error, Result};

/// The directory, as [`FileStore::open_default`](super::FileStore::open_default) says.
pub(super) fn of_user() -> Result<PathBuf> {
    chosen(&|name| std::env::var_os(name), &home_in_the_password_file)
}

fn chosen(
    variable: &dyn Fn(&str) -> Option<OsString>,
    home_of_user: &dyn Fn() -> Option<PathBuf>,
) -> Result<PathBuf> {
    // The XDG rules: a path that is not absolute is to be ignored.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // Not XDG_RUNTIME_DIR: cron jobs have none, and it ends with the user's last session.
    let caches = || {
        // Of several, the first, as systemd writes them.
        let all = variable("CACHE_DIRECTORY")?;
        let first = std::env::split_paths(&all).next()?;
        first.is_absolute().then_some(first)
    };
    let home = || {
        let home = folder("HOME").or_else(home_of_user)?;
        Some(match home.is_dir() {
            true => Ok(home.join(".cache")),
            // Not made: that is for the system's administrator.
            false => Err(Error::configuration(format!(
                "store: the home directory {} is not there; set XDG_CACHE_HOME, or name a directory",
                home.display()
            ))),
        })
    };
    caches()
        .or_else(|| folder("XDG_CACHE_HOME"))
        .map(Ok)
        .or_else(home)
        .unwrap_or_else(|| {
            Err(Error::configuration(
                "store: neither CACHE_DIRECTORY nor XDG_CACHE_HOME nor HOME is set, and the password file has no home; set one, or name a directory",
            ))
        })
        .map(|folder| folder.join("paytoken"))
}

/// The home of this user in `/etc/passwd`. Users that only a directory service knows have HOME.
#[cfg(not(target_os = "macos"))]
fn home_in_the_password_file() -> Option<PathBuf> {
    use std::io::Read as _;

    const LARGEST: u64 = 16 * 1024 * 1024;
    let mut users = Vec::new();
    std::fs::File::open("/etc/passwd").ok()?.take(LARGEST).read_to_end(&mut users).ok()?;
    home_of(crate::base::files::ourselves().ok()?, &users)
}

/// The file of macOS has the system's own users alone; launchd gives a daemon no HOME.
#[cfg(target_os = "macos")]
fn home_in_the_password_file() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// `name:password:uid:gid:comment:home:shell`, a user a line.
#[cfg(any(test, not(target_os = "macos")))]
fn home_of(user: u32, users: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;

    let user = user.to_string();
    users.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<_> = line.split(|byte| *byte == b':').collect();
        let [_, _, uid, _, _, home, ..] = fields[..] else { return None };
        let home = PathBuf::from(std::ffi::OsStr::from_bytes(home));
        (uid == user.as_bytes() && home.is_absolute()).then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn the_default_directory_is_one_per_user_whatever_the_session() {
        let home = std::env::temp_dir(); // one that is there
        let home = home.to_str().unwrap();
        let with = |pairs: &[(&str, &str)], user: Option<&str>| {
            let variable = |name: &str| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            chosen(&variable, &|| user.map(PathBuf::from))
        };
        let of_home = Path::new(home).join(".cache/paytoken");
        for (pairs, expected) in [
            (&[("HOME", home)][..], of_home.as_path()),
            (&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", home)], &of_home),
            (&[("XDG_CACHE_HOME", "/c"), ("HOME", home)], Path::new("/c/paytoken")),
            (&[("XDG_CACHE_HOME", "relative"), ("HOME", home)], &of_home),
            (&[("XDG_CACHE_HOME", ""), ("CACHE_DIRECTORY", ""), ("HOME", home)], &of_home),
            (
                &[("CACHE_DIRECTORY", "/var/cache/a"), ("XDG_CACHE_HOME", "/c")],
                Path::new("/var/cache/a/paytoken"),
            ),
            (&[("CACHE_DIRECTORY", "/v/a:/v/b")], Path::new("/v/a/paytoken")),
            (&[("CACHE_DIRECTORY", "a:/v/b"), ("XDG_CACHE_HOME", "/c")], Path::new("/c/paytoken")),
        ] {
            assert_eq!(with(pairs, Some("/not/asked")).unwrap(), expected, "{pairs:?}");
        }
        for none in [&[][..], &[("HOME", "")], &[("HOME", "not/absolute")]] {
            assert_eq!(with(none, Some(home)).unwrap(), of_home);
            assert_eq!(with(none, None).unwrap_err().kind(), ErrorKind::Configuration);
        }
        let error = with(&[("HOME", "/not/there")], None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("/not/there"), "{error}");
    }

    #[test]
    fn a_home_is_found_by_the_number_of_the_user() {
        let users = b"root:x:0:0:root:/root:/bin/sh\n\
            # a comment\n\
            short:x:7\n\
            ten:x:10:10::/home/ten:/bin/sh\n\
            one:x:1:10::relative:/bin/sh\n\
            again:x:1:1:G\xe9cos,,,:/home/\xff:\n\
            last:x:12:12::/home/last";
        let home =
            |user| home_of(user, users).map(|home| home.into_os_string().into_encoded_bytes());
        assert_eq!(home(0).unwrap(), b"/root");
        assert_eq!(home(10).unwrap(), b"/home/ten");
        assert_eq!(home(1).unwrap(), b"/home/\xff");
        assert_eq!(home(12).unwrap(), b"/home/last");
        assert_eq!((home(7), home(2)), (None, None));
        assert_eq!(home_of(0, b""), None);
    }
}
