//! Where a token may go: to the provider's own host, over https.

use std::ffi::OsStr;

/// The hosts that may see the token.
pub(super) struct Hosts {
    /// The provider's own address.
    own: Option<Place>,
    /// Others, in small letters; one of the description's may have a port.
    allowed: Vec<Place>,
}

impl Hosts {
    /// `api` is the description's, `allowed` the command line's.
    pub(super) fn new(
        base_url: Option<&str>,
        api: &[&str],
        allowed: &[String],
    ) -> Result<Self, String> {
        // Not repeated where it is not understood.
        let host = |name: &String| match Place::of(&format!("https://{name}")) {
            Some(place) if place.port.is_empty() && !name.contains(['/', '?', '#', ':']) => {
                Ok(place)
            }
            _ => Err("--allow-host: not a host name; give it alone, as in api.example.com"),
        };
        let mut allowed = allowed.iter().map(host).collect::<Result<Vec<_>, _>>()?;
        allowed.extend(api.iter().filter_map(|host| Place::of(&format!("https://{host}"))));
        Ok(Self { own: base_url.and_then(Place::of), allowed })
    }

    /// The host that may be asked by plain http, where the provider's own address is a program on this
    /// machine.
    pub(super) fn plain(&self) -> Option<&str> {
        self.own.as_ref().filter(|own| own.scheme == "http").map(|own| &*own.host)
    }

    /// Why this address must not see the token.
    pub(super) fn check(&self, address: &OsStr) -> Result<(), String> {
        let own = self.own.as_ref().map_or("the provider's own host", |own| &*own.host);
        let Some(place) = address.to_str().and_then(Place::of) else {
            return Err(format!(
                "cannot tell to which host an address would send the token; write it as https://{own}/…"
            ));
        };
        // Any port of a machine that proves its name; without TLS that very program alone.
        let is_own = |own: &Place| match &*place.scheme {
            "https" => own.host == place.host,
            _ => *own == place,
        };
        let is_it = |allowed: &Place| {
            allowed.host == place.host
                && (allowed.port.is_empty() || allowed.port() == place.port())
        };
        let is_allowed = place.scheme == "https" && self.allowed.iter().any(is_it);
        if is_allowed || self.own.as_ref().is_some_and(is_own) {
            return Ok(());
        }
        Err(match &*place.scheme {
            "https" => format!(
                "the token is for {own}, and would be sent to {}; if that is meant, use --allow-host {0}",
                place.host
            ),
            scheme => format!("{scheme} would show the token to the network; use https"),
        })
    }
}

#[derive(PartialEq, Eq)]
struct Place {
    scheme: String,
    host: String,
    port: String,
}

impl Place {
    /// Of https, where none is said.
    fn port(&self) -> &str {
        if self.port.is_empty() { ":443" } else { &self.port }
    }

    /// `SCHEME://HOST[:PORT]` of an address; `None` where curl might read another one in it.
    fn of(address: &str) -> Option<Self> {
        let (scheme, rest) = address.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        // The colons of an IPv6 address stand in brackets.
        let end = authority.find(']').map_or(0, |end| end + 1);
        let at = authority[end..].find(':').map_or(authority.len(), |colon| end + colon);
        let (host, port) = authority.split_at(at);
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Neither user, nor escapes, nor what looks like another host.
        let is_host = match inner {
            Some(inner) => {
                inner.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
            }
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        let digits = port.strip_prefix(':').unwrap_or("0");
        let is_port =
            matches!(digits.len(), 1..=5) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_scheme =
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let has_odd_bytes = address.contains(|c: char| c.is_control() || c.is_whitespace());
        (is_scheme && is_host && is_port && !host.is_empty() && !has_odd_bytes).then(|| Self {
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_ascii_lowercase(),
            port: port.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_host_may_see_the_token() {
        let hosts =
            Hosts::new(Some("https://api.example:444"), &[], &["Other.example".into()]).unwrap();
        for fine in [
            "https://api.example/api/balance",
            "HTTPS://API.example:8443?x",
            "https://api.example/{a,b}/[1-9]",
            "https://api.example/ñ?q=a@b:c",
            "https://other.example#x",
            "https://api.example",
        ] {
            assert_eq!(hosts.check(OsStr::new(fine)), Ok(()), "{fine}");
        }
        for bad in [
            "http://api.example/",
            "http://other.example/",
            "ftp://api.example/",
            "https://evil.example/",
            "https://api.example.evil.example/",
            "https://api.example@evil.example/",
            "https://evil.example\\@api.example/",
            "https://evil.example#@api.example/",
            "https://user@api.example/",
            "https://user:pass@api.example/",
            "https://{api.example,evil.example}/",
            "https://api.example%2eevil.example/",
            "https://api.example\t/",
            "https://api.example/a b",
            "https://api.example/\u{7f}",
            "https://api.example\r\nHost: evil.example/",
            "https://api.example:port/",
            "https://api.example:/",
            "https://api.example:123456/",
            "https://api.example:80:443/",
            "https:///api.example/",
            "https:/api.example/",
            "https:api.example",
            "https://api.example./",
            "https://xn--api.example/",
            "https://äpi.example/",
            "https://[::1]/",
            "https://[api.example]/",
            "https://]api.example/",
            "https://[]/",
            "api.example",
            "api.example/",
            "evil.example",
            "@file",
            "{{address}}",
            "://api.example",
            "",
            "-",
        ] {
            assert!(hosts.check(OsStr::new(bad)).is_err(), "{bad}");
        }
        assert!(Hosts::new(None, &[], &[]).unwrap().check(OsStr::new("https://a")).is_err());
        for bad in ["a b", "https://a", "a/b", "a:443", "user@a", "a?b", "", "[::1", "a\n"] {
            assert!(Hosts::new(None, &[], &[bad.into()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_of_the_description_means_any_port_unless_it_has_one() {
        let hosts =
            Hosts::new(None, &["a.example", "b.example:444", "c.example:443"], &[]).unwrap();
        for (address, is_fine) in [
            ("https://a.example/x", true),
            ("https://A.example:8443/x", true),
            ("http://a.example/x", false),
            ("https://b.example:444/x", true),
            ("https://b.example/x", false),
            ("https://b.example:443/x", false),
            ("https://c.example/x", true),
            ("https://c.example:444/x", false),
            ("https://d.example/x", false),
        ] {
            assert_eq!(hosts.check(OsStr::new(address)).is_ok(), is_fine, "{address}");
        }
    }

    #[test]
    fn plain_http_is_for_the_very_program_on_this_machine() {
        let hosts = Hosts::new(Some("http://127.0.0.1:81"), &[], &["a.example".into()]).unwrap();
        assert_eq!(hosts.plain(), Some("127.0.0.1"));
        for (address, is_fine) in [
            ("http://127.0.0.1:81/x", true),
            ("http://127.0.0.1:82/x", false),
            ("http://127.0.0.1/x", false),
            ("http://localhost:81/x", false),
            ("http://a.example/", false),
            ("https://a.example/", true),
            ("https://127.0.0.1:82/x", true),
        ] {
            assert_eq!(hosts.check(OsStr::new(address)).is_ok(), is_fine, "{address}");
        }
        let hosts = Hosts::new(Some("http://[::1]:81/"), &[], &[]).unwrap();
        assert_eq!(hosts.check(OsStr::new("http://[::1]:81/x")), Ok(()));
        assert_eq!(Hosts::new(Some("https://a"), &[], &[]).unwrap().plain(), None);
    }
}
