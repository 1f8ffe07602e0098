//! Where a provider is: a checked address.

use std::net::IpAddr;

use crate::error::{Error, Result};

/// A checked base URL, without trailing slash.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    text: String,
    pub(super) is_https: bool,
    pub(super) is_loopback: bool,
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
        if authority.contains('@') {
            return bad(
                "holds a user name or password; remove it, the credentials go into Credentials",
            );
        }
        if path.contains(['?', '#']) {
            return bad("has a query or a fragment; give only scheme, host, port and path");
        }
        let text = &text[..text.len() - (path.len() - path.trim_end_matches('/').len())];
        let uri = text.parse::<ureq::http::Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        let after_host = authority.trim_start_matches(host);
        if host.is_empty() || !(after_host.is_empty() || uri.port_u16().is_some()) {
            return bad("is not a URL with a host; write it as https://host or https://host:port");
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" if is_loopback => false,
            "http" => {
                return bad(
                    "is plain http, which shows the credentials to the network; use https (http is for loopback alone)",
                );
            }
            _ => return bad("has a scheme other than https; write it as https://host"),
        };
        // One spelling per address: stores tell accounts apart by it.
        let path = &text[scheme.len() + 3 + authority.len()..];
        let authority = authority.to_ascii_lowercase();
        let default_port = if is_https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
        let scheme = scheme.to_ascii_lowercase();
        Ok(Self { text: format!("{scheme}://{authority}{path}"), is_https, is_loopback })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

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
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), host);
        }
        for (text, part) in [
            ("", "empty"),
            ("api.example", "no scheme"),
            ("https://", "with a host"),
            ("https:// api.example", "white space"),
            ("https://u:not-a-password@api.example", "user name or password"),
            ("https://api.example/?a=1", "query"),
            ("https://api.example?a=1", "query"),
            ("https://api.example/#a", "fragment"),
            ("http://api.example", "plain http"),
            ("http://localhost.example", "plain http"),
            ("http://127.0.0.1.example", "plain http"),
            ("ftp://api.example", "scheme"),
            ("https://api.example:", "port"),
            ("https://api.example:99999", "port"),
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(!error.to_string().contains("not-a-password"));
        }
    }
}
