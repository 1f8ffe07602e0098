//! [`RedisStoreBuilder`]: the settings of a store.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

#[cfg(feature = "tls")]
use paytoken::StoreTls;
use paytoken::{Error, Result, Secret};
use zeroize::Zeroizing;

use crate::address::{Address, Login, Place};
use crate::connection::Target;
use crate::link::Link;
use crate::store::{RedisStore, Replicas};
use crate::tls;

/// For all of a call.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What is longer would make each call of a token source as long.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a [`RedisStore`]; each has a default.
///
/// ```
/// use std::time::Duration;
/// use paytoken_redis::RedisStore;
///
/// let store = RedisStore::builder("redis://localhost/3")
///     .prefix("shop")
///     .timeout(Duration::from_millis(300))
///     .build()?;
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisStoreBuilder {
    url: Zeroizing<String>,
    prefix: String,
    database: Option<u32>,
    timeout: Duration,
    replicas: Option<Replicas>,
    sentinel_login: Option<Login>,
    tls: tls::Wishes,
}

impl RedisStore {
    /// A store with the default settings. Nothing is sent yet.
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:port/database` | user, password, port (6379) and database (0) may be left out |
    /// | `rediss://…` | with TLS (feature `tls`); the certificate is always checked |
    /// | `redis+unix:///run/redis.sock?db=0&user=…&pass=…` | a Unix socket; also `unix://` |
    /// | `redis+sentinel://user:password@host:26379,host:26379/master/database` | the master of this name, by the first Sentinel that answers; also `rediss+sentinel://` |
    ///
    /// `valkey` may stand for `redis`. In a password, what is no letter or digit is written as `%XX`.
    ///
    /// # Errors
    /// As [`RedisStoreBuilder::build`].
    pub fn open(url: &str) -> Result<Self> {
        Self::builder(url).build()
    }

    /// A store with settings of your own.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }
}

impl RedisStoreBuilder {
    fn new(url: &str) -> Self {
        Self {
            url: Zeroizing::new(url.to_owned()),
            prefix: "paytoken".to_owned(),
            database: None,
            timeout: TIMEOUT,
            replicas: None,
            sentinel_login: None,
            tls: tls::Wishes::default(),
        }
    }

    /// What all keys begin with, before a colon. `paytoken` unless set.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The database, whatever the URL says.
    #[must_use]
    pub fn database(mut self, number: u32) -> Self {
        self.database = Some(number);
        self
    }

    /// The longest that one call of the store may take, a wait for a lock apart: to look the name
    /// up, to connect, to log in, to ask a Sentinel and to be answered, all together. 1 s unless
    /// set, 5 s at most.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// A lock and a write count only once so many replicas have them, which may take `wait` (on top
    /// of the time-out). A fail-over then forgets no lock, so long as one of these replicas is made
    /// the master. Each lock and each write takes a round trip between master and replicas longer;
    /// where replicas are missing, nothing can be locked or written.
    #[must_use]
    pub fn min_replicas(mut self, count: u32, wait: Duration) -> Self {
        self.replicas = Some(Replicas { count, wait });
        self
    }

    /// User and password of the Sentinels, where they ask for them; those in the URL are Redis's.
    #[must_use]
    pub fn sentinel_login(mut self, user: Option<&str>, password: Secret) -> Self {
        let password = Zeroizing::new(password.expose().to_owned());
        self.sentinel_login = Some(Login { user: user.map(str::to_owned), password });
        self
    }

    /// Certificate authorities (PEM) to trust with `rediss://`, instead of Mozilla's.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates_pem(mut self, pem: &[u8]) -> Self {
        self.tls.authorities = Some(pem.to_vec());
        self
    }

    /// Certificate (PEM, with its chain) and key (PEM, not encrypted) to show to Redis, which asks
    /// for them where `tls-auth-clients` is on, as it is by default.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate_pem(mut self, certificate: &[u8], key: Secret) -> Self {
        self.tls.certificate = Some((certificate.to_vec(), key));
        self
    }

    /// The authorities, the certificate and the key that [`Settings`](paytoken::Settings) name, where
    /// they do.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, files: StoreTls) -> Self {
        if let Some(pem) = &files.root_certificates_pem {
            self = self.root_certificates_pem(pem);
        }
        if let (Some(pem), Some(key)) = (&files.client_certificate_pem, files.private_key_pem) {
            self = self.client_certificate_pem(pem, key);
        }
        self
    }

    /// Checks the settings and touches no network: a program can start while Redis is away.
    ///
    /// # Errors
    /// [`Configuration`](paytoken::ErrorKind::Configuration), naming the setting. No part of the
    /// URL is repeated.
    pub fn build(self) -> Result<RedisStore> {
        let mut address = Address::parse(&self.url)?;
        if let Some(number) = self.database {
            address.database = number.into();
        }
        check_prefix(&self.prefix)?;
        if self.timeout.as_millis() == 0 || self.timeout > LONGEST_TIMEOUT {
            return Err(Error::configuration(format!(
                "timeout: {:?} is not from 1 ms to {LONGEST_TIMEOUT:?}; a token's callers may have to wait so long where Redis does not answer",
                self.timeout
            )));
        }
        if let Some(Replicas { count, wait }) = &self.replicas {
            // WAIT 0 would wait for ever.
            if *count == 0 || wait.as_millis() == 0 || *wait > LONGEST_TIMEOUT {
                return Err(Error::configuration(format!(
                    "min_replicas: {count} replicas within {wait:?}; give at least 1, and from 1 ms to {LONGEST_TIMEOUT:?}"
                )));
            }
        }
        if self.sentinel_login.is_some() && !matches!(address.place, Place::Sentinel(..)) {
            return Err(Error::configuration(
                "sentinel_login: the URL names no Sentinels; leave it out, or use redis+sentinel://",
            ));
        }
        if let Some(field) = self.tls.named().filter(|_| !address.is_tls) {
            return Err(Error::configuration(format!(
                "{field}: the URL asks for no TLS; write rediss:// (with Sentinels rediss+sentinel://), or leave it out"
            )));
        }
        let tls = if address.is_tls { Some(tls::config(&self.tls)?) } else { None };
        let sentinel_login = self.sentinel_login;
        let target = Target {
            address,
            sentinel_login,
            tls,
            named: Mutex::default(),
            dialer: Default::default(),
        };
        Ok(RedisStore::new(Link::new(target, self.timeout), self.prefix, self.replicas))
    }
}

/// The braces of a key choose its hash slot: they are ours.
fn check_prefix(prefix: &str) -> Result<()> {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(is_fine) {
        return Err(Error::configuration(
            "prefix: is empty, longer than 64 characters, or holds braces, blanks or other characters than printable ASCII; use a word",
        ));
    }
    Ok(())
}

impl fmt::Debug for RedisStoreBuilder {
    /// Without the URL: it holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("database", &self.database)
            .field("timeout", &self.timeout)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use paytoken::store::Store as _;

    use super::*;

    #[test]
    fn the_pages_say_the_same_times() {
        let [usual, longest] = [TIMEOUT, LONGEST_TIMEOUT].map(|time| time.as_secs());
        let look = RedisStore::open("redis://h").unwrap().look_every().as_secs();
        let rustdoc = include_str!("builder.rs").replace("\n    /// ", " ");
        let header = include_str!("../../capi/include/paytoken.h");
        for (text, says) in [
            (
                include_str!("../../docs/redis.md"),
                format!("within `timeout` ({usual} s unless set, {longest} s at most)"),
            ),
            (&rustdoc, format!("all together. {usual} s unless set, {longest} s at most.")),
            (header, format!("each use of the server takes {usual} s at most")),
            (header, format!("in {look} s with a server; that takes {usual} s at most")),
            (header, format!("looked there for {look}.5 s (1 s with a directory)")),
        ] {
            assert!(text.contains(&says), "{says}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        let (one, other) = ("redis://shop:hunter2@h/3", "redis+sentinel://h/main");
        let store = RedisStore::builder;
        let millisecond = Duration::from_millis(1);
        let too_short = Duration::from_micros(999);
        let too_long = LONGEST_TIMEOUT + millisecond;
        let password = || Secret::from("not-a-password");
        for (wrong, says) in [
            (store(one).timeout(too_short), "timeout: "),
            (store(one).timeout(too_long), "timeout: "),
            (store(one).prefix(""), "prefix: "),
            (store(one).prefix("x".repeat(65)), "prefix: "),
            (store(one).prefix("a{b"), "prefix: "),
            (store(one).min_replicas(0, millisecond), "min_replicas: "),
            (store(one).min_replicas(1, too_short), "min_replicas: "),
            (store(one).min_replicas(1, too_long), "min_replicas: "),
            (store(one).sentinel_login(None, password()), "sentinel_login: "),
            #[cfg(feature = "tls")]
            (
                store(one).root_certificates_pem(b""),
                "root_certificates_pem: the URL asks for no TLS",
            ),
        ] {
            let shown = format!("{wrong:?}");
            let error = wrong.build().unwrap_err();
            assert_eq!(error.kind(), paytoken::ErrorKind::Configuration);
            assert!(error.to_string().starts_with(says), "{error}");
            assert!(!format!("{shown} {error:?}").contains("hunter2"), "{shown} {error:?}");
        }
        let longest = store(other).timeout(LONGEST_TIMEOUT).min_replicas(1, LONGEST_TIMEOUT);
        longest.prefix("x".repeat(64)).sentinel_login(None, password()).build().unwrap();
        let shown = format!("{:?}", store(one).database(2).build().unwrap());
        assert!(shown.contains("place: h:6379, database: 2"), "{shown}");
        assert!(!shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    }
}
