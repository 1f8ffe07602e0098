//! Where a provider is: a checked address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::error::{Error, Result};

/// A checked base URL, without trailing slash.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    text: String,
    pub(crate) is_https: bool,
}

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| Err(Error::configuration(format!("base_url: {what}")));
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return bad("is empty or holds white space; write it as https://host");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("has no scheme; write it as https://host");
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // In the path, too: `https://user:pa/ss@host` is a password with a slash in it.
        if rest.contains('@') {
            return bad(
                "holds a user name or password; remove it, the credentials go into Credentials",
            );
        }
        if path.contains(['?', '#']) {
            return bad("has a query or a fragment; give only scheme, host, port and path");
        }
        let (host, port) = split_port(authority);
        let Some((host, port)) = host_of(host).zip(port_of(port)) else {
            return bad(
                "is not a URL with a host; write it as https://host or https://host:port, a host of other scripts in its xn-- form",
            );
        };
        let is_loopback =
            host == "localhost" || host_address(&host).is_some_and(|address| address.is_loopback());
        let (is_https, scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (true, "https", 443),
            "http" if is_loopback => (false, "http", 80),
            "http" => {
                return bad(
                    "is plain http, which shows the credentials to the network; use https (http is for loopback alone)",
                );
            }
            _ => return bad("has a scheme other than https; write it as https://host"),
        };
        let Some(path) = path_of(path) else {
            return bad(
                "has a path with empty segments, dots, or characters that do not belong in one; write the plain path",
            );
        };
        let port = match port {
            Some(port) if port != default_port => format!(":{port}"),
            _ => String::new(),
        };
        Ok(Self { text: format!("{scheme}://{host}{port}{path}"), is_https })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone, an IPv6 address in its brackets.
    pub(crate) fn host(&self) -> &str {
        let rest = self.text.split_once("://").map_or(self.text.as_str(), |(_, rest)| rest);
        split_port(rest.split('/').next().unwrap_or_default()).0
    }
}

/// Host and port, where it is one with a port or without.
pub(crate) fn address_of(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = split_port(authority);
    host_of(host).zip(port_of(port))
}

/// Host, and what follows its colon.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_host = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[after_host..].rfind(':') {
        Some(colon) => {
            (&authority[..after_host + colon], Some(&authority[after_host + colon + 1..]))
        }
        None => (authority, None),
    }
}

/// A port from 1 on, in digits alone.
fn port_of(text: Option<&str>) -> Option<Option<u16>> {
    let Some(text) = text else {
        return Some(None);
    };
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_digits && *port > 0).map(Some)
}

/// The one spelling of a host, where it is one.
fn host_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        // A form of an IPv4 address is that address.
        return Some(match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("[{address}]"),
        });
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if ends_in_number {
        // Others read `127.1` and `0x7f000001` as addresses, too.
        return name.parse::<Ipv4Addr>().ok().map(|address| address.to_string());
    }
    let is_label = |label: &str| {
        let is_of_labels = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_of_labels)
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then_some(name)
}

fn host_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The one spelling of a path, without slashes at its end.
fn path_of(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let mut path = String::with_capacity(text.len());
    for segment in text.split('/').skip(1) {
        path.push('/');
        let start = path.len();
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
                    if is_unreserved(value) {
                        path.push(char::from(value));
                    } else {
                        path.push_str(&format!("%{value:02X}"));
                    }
                }
                _ if is_unreserved(byte) || b"!$&'()*+,;=:".contains(&byte) => {
                    path.push(char::from(byte));
                }
                _ => return None,
            }
        }
        if matches!(&path[start..], "" | "." | "..") {
            return None;
        }
    }
    Some(path)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;

    #[test]
    fn a_base_url_is_https_or_loopback_and_nothing_but_an_address() {
        for (text, host) in [
            ("https://api.example", "https://api.example"),
            ("https://api.example:8443/gateway/", "https://api.example:8443/gateway"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://api.example:443/Path/", "https://api.example/Path"),
            ("https://api.example:80", "https://api.example:80"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:1", "http://[::1]:1"),
            ("HTTPS://API.example", "https://api.example"),
            ("https://api.example.", "https://api.example"),
            ("https://api.example.:443/", "https://api.example"),
            ("https://api.example:0443", "https://api.example"),
            ("https://api.example:00008443", "https://api.example:8443"),
            ("https://[2001:DB8:0:0::1]:443", "https://[2001:db8::1]"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]:80", "http://127.0.0.1"),
            ("http://LocalHost./", "http://localhost"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://api.example/a%2fb/%7euser", "https://api.example/a%2Fb/~user"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), host);
        }
        for (text, part) in [
            ("", "empty"),
            ("api.example", "no scheme"),
            ("https://", "with a host"),
            ("https:// api.example", "white space"),
            ("https://u:not-a-password@api.example", "user name or password"),
            ("https://user/not-a-password@api.example", "user name or password"),
            ("https://user?not-a-password@api.example", "user name or password"),
            ("https://api.example/user:not-a-password@x", "user name or password"),
            ("https:user:not-a-password@api.example", "no scheme"),
            ("https:/user:not-a-password@api.example", "no scheme"),
            ("user:not-a-password@api.example", "no scheme"),
            ("https://user:not-a-password%40api.example", "host"),
            ("ftp://user:not-a-password@api.example", "user name or password"),
            ("https://user:not-a-password@\u{202e}", "user name or password"),
            ("https://user:not a-password\n@api.example", "white space"),
            ("https://api.example/?a=1", "query"),
            ("https://api.example?a=1", "query"),
            ("https://api.example/#a", "fragment"),
            ("http://api.example", "plain http"),
            ("http://localhost.example", "plain http"),
            ("http://127.0.0.1.example", "plain http"),
            ("ftp://api.example", "scheme"),
            ("https://api.example:", "port"),
            ("https://api.example:99999", "port"),
            ("https://api.example:+443", "port"),
            ("https://api.example:0", "port"),
            ("https://api.example:443:443", "host"),
            ("https://api.example..", "host"),
            ("https://api..example", "host"),
            ("https://.", "host"),
            ("https://bücher.example", "xn--"),
            ("https://api%2eexample", "host"),
            ("https://-api.example", "host"),
            ("https://[::1", "host"),
            ("https://[::1]443", "host"),
            ("https://[fe80::1%25eth0]", "host"),
            ("https://127.1", "host"),
            ("https://0x7f000001", "host"),
            ("https://2130706433", "host"),
            ("https://127.0.0.01", "host"),
            ("https://api.example\\path", "host"),
            ("https://api.example/a/../b", "path"),
            ("https://api.example/a//b", "path"),
            ("https://api.example/%2e%2E/b", "path"),
            ("https://api.example/%zz", "path"),
            ("https://api.example/ñ", "path"),
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(!error.to_string().contains("not-a-password"));
        }
    }
}
