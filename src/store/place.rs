//! What a setting that names a store says: a directory, or the address of a server. One rule for the
//! library, the command and the C library.

use std::path::Path;

use crate::base::files::{Odd, oddity};
use crate::types::error::{Error, Result};

/// Where a store is, as a setting such as `PAYTOKEN_STORE` says it.
///
/// An address has its `//`: `redis://host:6379`. What only looks like one (`redis:6379`,
/// `user:password@host`), like a secret or like a file's content is neither: it would become a
/// directory of that name, nothing would be shared, and a password would stand there for all to
/// read.
///
/// ```
/// use std::path::Path;
///
/// use paytoken::store::Place;
///
/// let place = |text| Place::named("PAYTOKEN_STORE", Path::new(text));
/// assert!(matches!(place("redis://redis.internal:6379")?, Place::Server(_)));
/// assert!(matches!(place("/var/cache/shop/paytoken")?, Place::Directory(_)));
/// assert!(place("redis:6379").is_err());
/// assert!(matches!(place("./redis:6379")?, Place::Directory(_)));
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Place<'a> {
    /// A directory, for a [`FileStore`](super::FileStore).
    Directory(&'a Path),
    /// The address of a server. It can hold a password.
    Server(&'a str),
}

impl<'a> Place<'a> {
    /// What the value of this setting says.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the setting, for what is neither.
    /// The value is not repeated.
    pub fn named(setting: &str, value: &'a Path) -> Result<Self> {
        if let Some(address) = value.to_str().filter(|text| is_address(text)) {
            return Ok(Self::Server(address));
        }
        let wrong = |what: &str| Err(Error::configuration(format!("{setting}: {what}")));
        match oddity(value) {
            None => Ok(Self::Directory(value)),
            Some(Odd::Content) => {
                wrong("give a path, not the content; set it to a directory's path")
            }
            Some(Odd::Address) => wrong(
                "looks like an address or a login, which is no directory; write an address with its //, as in redis://host:6379, or ./ before the name of a directory",
            ),
            Some(Odd::Secret) => wrong(
                "looks like a secret, which is no directory; set it to a directory's path, with ./ before a name like this one",
            ),
        }
    }
}

/// Not yet whether it is one that is understood.
fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let is_of_schemes = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(is_of_schemes)
            && !text.contains(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn a_place_is_a_directory_or_an_address_and_what_is_like_a_password_is_not_repeated() {
        let is_server = |text: &str| {
            Place::named("PAYTOKEN_STORE", Path::new(text))
                .map(|place| matches!(place, Place::Server(_)))
        };
        for directory in [
            "store",
            "./store",
            "../a/b",
            ".",
            "/",
            "/var/cache/paytoken",
            "paytoken-store-of-production-2026",
            "./redis:6379",
            "../u:hunter2@h",
            "cache/redis:6379",
            "./a=b",
            "/srv/a=b?c%d",
            "/srv/a:b",
            "/home/me@corp.example/store",
            "/home/me@corp.example/a:b",
            "me@corp",
            "señor/tokens",
            "~/x",
            "0123456789abcdef",
        ] {
            assert_eq!(is_server(directory).ok(), Some(false), "{directory}");
        }
        for server in [
            "redis://h",
            "REDISS://u:hunter2@h:6379/0",
            "redis+unix:///run/redis.sock?pass=hunter2",
            "valkey+sentinel://a,b/main",
            "http://h",
        ] {
            assert_eq!(is_server(server).ok(), Some(true), "{server}");
        }
        for (text, says) in [
            ("redis:/u:hunter2@host", "//, as in redis://"),
            ("redis:u:hunter2@host", "//, as in redis://"),
            ("rediss:hunter2", "//, as in redis://"),
            ("valkey:hunter2", "//, as in redis://"),
            ("valkeys:/hunter2", "//, as in redis://"),
            ("unix:/run/hunter2.sock", "//, as in redis://"),
            ("redis+unix:/run/hunter2.sock", "//, as in redis://"),
            ("redis+sentinel:hunter2", "//, as in redis://"),
            ("redis:6379", "./ before"),
            ("hunter2.internal:6379", "./ before"),
            ("hunter2.internal:6379/0", "./ before"),
            ("[::1]:6379", "./ before"),
            ("u:hunter2@host", "./ before"),
            (":hunter2@host", "./ before"),
            ("//u:hunter2@host:6379/0", "looks like an address or a login"),
            ("/u:hunter2@host", "looks like an address or a login"),
            ("cache/u:hunter2@host", "looks like an address or a login"),
            (" redis://u:hunter2@host", "looks like an address or a login"),
            ("1redis://u:hunter2@host", "looks like an address or a login"),
            ("u:hunter2@redis://host", "looks like an address or a login"),
            ("mysql:host=hunter2", "looks like an address or a login"),
            ("redis.internal?password=hunter2", "looks like an address or a login"),
            ("host=h password=hunter2", "looks like an address or a login"),
            ("redis%3A%2F%2Fu%3Ahunter2%40h", "looks like an address or a login"),
            ("redis;//u;hunter2@h", "looks like an address or a login"),
            ("redis\u{ff1a}//u\u{ff1a}hunter2\u{ff20}h", "looks like an address or a login"),
            ("pass&hunter2", "looks like an address or a login"),
            ("-----BEGIN PRIVATE KEY-----hunter2", "not the content"),
            ("hunter2\n", "not the content"),
            ("/store\u{1b}[2Jhunter2", "not the content"),
            ("redis://u:hunter2\n@h", "not the content"),
            ("kZq7hunter2wKpR4vM2tYx9kZq7wKpR4vM2tYx9kZq=", "looks like a secret"),
            ("eyJhbGciOiJIUzI1NiJ9.hunter2.c2ln", "looks like a secret"),
            ("hunter2Zq7wKpR4vM2tYx9kZq7wKpR4vM2tYx9", "looks like a secret"),
            ("550e8400-e29b-41d4-a716-446655440000", "looks like a secret"),
            ("9f86d081884c7d659a2feaa0c55ad015", "looks like a secret"),
        ] {
            let error = is_server(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().starts_with("PAYTOKEN_STORE: "), "{error}");
            assert!(error.to_string().contains(says), "{text:?}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{text:?}: {error}");
        }
    }
}
