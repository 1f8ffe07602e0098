//! Where a token may go: to the provider's own host, over https.

use std::ffi::OsStr;

/// The hosts that may see the token, in small letters.
pub(super) struct Hosts {
    /// With the provider's own address first.
    known: Vec<String>,
    /// The provider's own address is http, on loopback.
    may_be_plain: bool,
}

impl Hosts {
    pub(super) fn new(base_url: Option<&str>, allowed: &[String]) -> Result<Self, String> {
        let mut known = Vec::new();
        let mut may_be_plain = false;
        if let Some((scheme, host)) = base_url.and_then(parts) {
            known.push(host);
            may_be_plain = scheme == "http";
        }
        for allowed in allowed {
            // Not repeated where it is not understood.
            let (_, host) = parts(allowed)
                .ok_or("--allow-host: not a host name; give it alone, as in api.example.com")?;
            known.push(host);
        }
        Ok(Self { known, may_be_plain })
    }

    pub(super) fn may_be_plain(&self) -> bool {
        self.may_be_plain
    }

    /// Why this address must not see the token.
    pub(super) fn check(&self, address: &OsStr) -> Result<(), String> {
        let known = || self.known.first().map_or("the provider's own", String::as_str);
        let Some((scheme, host)) = address.to_str().and_then(parts) else {
            return Err(format!(
                "curl: cannot tell to which host an address would send the token; write it as https://{}/…",
                known()
            ));
        };
        if !self.known.contains(&host) {
            return Err(format!(
                "curl: the token is for {}, and would be sent to {host}; if that is meant, use --allow-host {host}",
                known()
            ));
        }
        let is_plain = scheme == "http" && self.may_be_plain;
        if scheme != "https" && !is_plain {
            return Err(format!("curl: {scheme} would show the token to the network; use https"));
        }
        Ok(())
    }
}

/// Scheme and host of an address as curl reads it; `None` where that is in doubt.
fn parts(address: &str) -> Option<(String, String)> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let is_fine = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
            (host.bytes().all(is_fine).then(|| format!("[{host}]"))?, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            // Neither user, nor escapes, globs, or what looks like another host.
            let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (host.bytes().all(is_fine).then(|| host.to_owned())?, port)
        }
    };
    let is_port = port.strip_prefix(':').map_or(port.is_empty(), |port| {
        port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    (!host.is_empty() && is_port).then(|| (scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_host_may_see_the_token() {
        let hosts = Hosts::new(Some("https://api.example:444"), &["Other.example".into()]).unwrap();
        for fine in [
            "https://api.example/api/balance",
            "HTTPS://API.example:8443?x",
            "api.example",
            "api.example/{a,b}/[1-9]",
            "https://other.example#x",
            "https://api.example",
        ] {
            assert_eq!(hosts.check(OsStr::new(fine)), Ok(()), "{fine}");
        }
        for bad in [
            "http://api.example/",
            "ftp://api.example/",
            "https://evil.example/",
            "https://api.example.evil.example/",
            "https://api.example@evil.example/",
            "https://evil.example\\@api.example/",
            "https://evil.example#@api.example/",
            "https://user@api.example/",
            "https://{api.example,evil.example}/",
            "https://api.example%2eevil.example/",
            "https://api.example\t/",
            "https://api.example:port/",
            "https:///api.example/",
            "https:api.example",
            "https://api.example./",
            "https://xn--api.example/",
            "https://äpi.example/",
            "https://[::1]/",
            "evil.example",
            "@file",
            "{{address}}",
            "",
            "-",
        ] {
            assert!(hosts.check(OsStr::new(bad)).is_err(), "{bad}");
        }
        let plain = Hosts::new(Some("http://127.0.0.1:80"), &[]).unwrap();
        assert_eq!(plain.check(OsStr::new("http://127.0.0.1:80/x")), Ok(()));
        assert!(Hosts::new(None, &["a b".into()]).is_err());
        assert!(Hosts::new(None, &[]).unwrap().check(OsStr::new("https://a")).is_err());
    }
}
