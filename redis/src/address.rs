//! Where Redis is and who we are to it: what a URL says. Its text holds a password, so no message
//! repeats any of it but what was understood as an address.

use std::fmt;
use std::path::PathBuf;

use paytoken::{Error, Result};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use zeroize::Zeroizing;

/// What a URL says.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) login: Option<Login>,
    pub(crate) database: i64,
    pub(crate) is_tls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(Host),
    Unix(PathBuf),
    /// These know where the master of this name is.
    Sentinel(Vec<Host>, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// An ACL user, or the default one, and a password.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Zeroizing<String>,
}

const SENTINEL_PORT: u16 = 26_379;

impl Address {
    /// Reads `redis://`, `rediss://`, `redis+unix://`, `unix://`, `redis+sentinel://` or
    /// `rediss+sentinel://`, and the same with `valkey`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(
                "holds blanks or characters that are not ASCII; write them as %20 and so on",
            ));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong(
                "does not begin with redis://, rediss://, redis+unix:// or redis+sentinel://; give it in one of these forms",
            ));
        };
        if rest.contains('#') {
            return Err(wrong(
                "holds a #; write it as %23 in a password, and leave #insecure out: TLS is always checked",
            ));
        }
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => Self::of_server(rest, false),
            "rediss" | "valkeys" => Self::of_server(rest, true),
            "redis+unix" | "valkey+unix" | "unix" => Self::of_socket(rest),
            "redis+sentinel" | "valkey+sentinel" => Self::of_sentinels(rest, false),
            "rediss+sentinel" | "valkeys+sentinel" => Self::of_sentinels(rest, true),
            _ => Err(wrong(
                "begins with a scheme that is not known; use redis, rediss (TLS), redis+unix or redis+sentinel",
            )),
        }
    }

    fn of_server(rest: &str, is_tls: bool) -> Result<Self> {
        let (authority, path) = split_authority(rest)?;
        // TLS is ours, so this one is asked for the plain form.
        let info = read(&format!("redis://{authority}{path}"))?;
        let ConnectionAddr::Tcp(name, port) = info.addr() else {
            return Err(wrong("names no host; write redis://host:port"));
        };
        let place = Place::Tcp(Host { name: name.clone(), port: *port });
        Self::of(place, &info, is_tls)
    }

    fn of_socket(rest: &str) -> Result<Self> {
        let (path, settings) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') {
            return Err(wrong(
                "names no socket; write redis+unix:///path/of/the.sock, with three slashes",
            ));
        }
        let names = settings.split('&').filter_map(|setting| setting.split('=').next());
        if !names.into_iter().all(|name| matches!(name, "" | "db" | "user" | "pass")) {
            return Err(wrong(
                "has a setting after the ? that is not known; db, user and pass are",
            ));
        }
        let info = read(&format!("unix://{rest}"))?;
        let ConnectionAddr::Unix(path) = info.addr() else {
            return Err(wrong("names no socket; write redis+unix:///path/of/the.sock"));
        };
        Self::of(Place::Unix(path.clone()), &info, false)
    }

    fn of_sentinels(rest: &str, is_tls: bool) -> Result<Self> {
        let (authority, path) = split_authority(rest)?;
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let mut parts = path.trim_matches('/').splitn(2, '/');
        let master = parts.next().unwrap_or_default();
        if !is_word(master) {
            return Err(wrong(
                "names no master; write redis+sentinel://host:26379,host:26379/master-name",
            ));
        }
        let database = parts.next().unwrap_or_default();
        let login = Zeroizing::new(format!("redis://{login}unused/{database}"));
        let info = read(&login)?;
        let sentinel = |host: &str| {
            let info = read(&format!("redis://{host}"))?;
            match info.addr() {
                // Where no port is said, this crate's reader says 6379.
                ConnectionAddr::Tcp(name, port) => Ok(Host {
                    name: name.clone(),
                    port: if host.ends_with(&format!(":{port}")) { *port } else { SENTINEL_PORT },
                }),
                _ => Err(wrong("names a Sentinel that is no host")),
            }
        };
        let sentinels = hosts.split(',').map(sentinel).collect::<Result<Vec<_>>>()?;
        Self::of(Place::Sentinel(sentinels, master.to_owned()), &info, is_tls)
    }

    fn of(place: Place, info: &ConnectionInfo, is_tls: bool) -> Result<Self> {
        let settings = info.redis_settings();
        let login = match (settings.username(), settings.password()) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(wrong(
                    "has a user without a password; write redis://user:password@host, or redis://:password@host for the default user",
                ));
            }
            (user, Some(password)) => Some(Login {
                user: user.map(str::to_owned),
                password: Zeroizing::new(password.to_owned()),
            }),
        };
        if settings.db() < 0 {
            return Err(wrong("has a database below 0; databases are numbered from 0"));
        }
        Ok(Self { place, login, database: settings.db(), is_tls })
    }
}

/// `host:port`, and `/database`. What follows a `?` is refused: none of it would be heeded.
fn split_authority(rest: &str) -> Result<(&str, &str)> {
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // A password with a raw slash would be taken for a host: `redis://user:pa/ss@host`.
    if path.contains('@') {
        return Err(wrong("has a / or ? before its @; in a password write %2F and %3F"));
    }
    if path.contains('?') {
        return Err(wrong("has settings after a ?, and none is known there; leave them out"));
    }
    Ok((authority, path))
}

/// By the redis crate. Its errors may repeat what it read.
fn read(url: &str) -> Result<ConnectionInfo> {
    url.into_connection_info().map_err(|_| {
        wrong("is not understood; write redis://user:password@host:port/database, with odd characters of the password as %XX")
    })
}

/// Of a master's name, or a host's.
pub(crate) fn is_word(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_fine)
}

fn wrong(what: &str) -> Error {
    Error::configuration(format!("Redis URL: {what}"))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => host.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            Self::Sentinel(_, master) => write!(f, "{master} (by Sentinel)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Address {
        Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn tcp(name: &str, port: u16) -> Place {
        Place::Tcp(Host { name: name.to_owned(), port })
    }

    #[test]
    fn urls_say_place_login_database_and_tls() {
        let login = |address: &Address| {
            let login = address.login.as_ref()?;
            Some((login.user.clone().unwrap_or_default(), login.password.to_string()))
        };
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        let socket = || Place::Unix("/run/redis.sock".into());
        let three = |name: &str, port| Host { name: name.to_owned(), port };
        let sentinel = Place::Sentinel(
            vec![three("a", 26_379), three("::1", 7), three("c", 6379)],
            "main".into(),
        );
        for (url, place, is_tls, database, who) in [
            ("redis://h", tcp("h", 6379), false, 0, None),
            ("REDIS://h:7/3", tcp("h", 7), false, 3, None),
            ("valkey://h", tcp("h", 6379), false, 0, None),
            ("rediss://h:7", tcp("h", 7), true, 0, None),
            ("redis://[::1]:7/", tcp("::1", 7), false, 0, None),
            ("redis://:p%40%2F%23@h", tcp("h", 6379), false, 0, both("", "p@/#")),
            ("redis://u:p@h:1/2", tcp("h", 1), false, 2, both("u", "p")),
            ("redis://u:contrase%C3%B1a@h", tcp("h", 6379), false, 0, both("u", "contraseña")),
            ("unix:///run/redis.sock", socket(), false, 0, None),
            (
                "redis+unix:///run/redis.sock?db=4&user=u&pass=p%26",
                socket(),
                false,
                4,
                both("u", "p&"),
            ),
            ("redis+sentinel://u:p@a,[::1]:7,c:6379/main/5", sentinel, false, 5, both("u", "p")),
        ] {
            let address = parse(url);
            assert_eq!(address.place, place, "{url}");
            assert_eq!((address.is_tls, address.database), (is_tls, database), "{url}");
            assert_eq!(login(&address), who, "{url}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_one_piece_of_it_is_repeated() {
        for url in [
            "",
            "hunter2",
            "hunter2@h",
            "http://u:hunter2@h",
            "redis://u:hunter2 @h",
            "redis://u:hunter2/x@h",
            "redis://hunter2?x@h",
            "redis://u:hunter2#x@h",
            "redis://u:hunter2@h:port",
            "redis://u:hunter2@h:99999",
            "redis://u:hunter2@h/hunter2",
            "redis://u:hunter2@h/-1",
            "redis://u:hunter2@h?ssl=hunter2",
            "redis://u:hunter2@h#insecure",
            "redis://hunter2@h",
            "redis://u:hunter2@",
            "redis://u:hunter2@0.0.0.0",
            "redis://u:%ffhunter2@h",
            "redis+unix://u:hunter2@/run/x.sock",
            "redis+unix://hunter2",
            "unix:///x?password=hunter2",
            "unix:///x?db=hunter2",
            "redis+sentinel://u:hunter2@a,b",
            "redis+sentinel://u:hunter2@a,b:x/main",
            "redis+sentinel://u:hunter2@a/main/hunter2",
            "redis://u:contraseña-hunter2@h",
        ] {
            let error = match Address::parse(url) {
                Err(error) => error,
                Ok(_) => panic!("{url} was taken"),
            };
            assert_eq!(error.kind(), paytoken::ErrorKind::Configuration, "{url}");
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("hunter2"), "{url}: {text}");
            }
        }
    }
}
