//! Which proxy a request goes through: the one that was set, or the environment's.

use std::env;

use ureq::Proxy;

use super::base_url::{BaseUrl, is_address};
use crate::error::{Error, Result};

/// The environment's settings in the order in which they count.
const VARIABLES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Whether a proxy that was set can be used at all.
pub(crate) fn check_proxy(proxy: &str) -> Result<()> {
    if proxy.is_empty() { Ok(()) } else { usable("proxy", proxy).map(drop) }
}

/// The proxy for this address. Plain http goes through none: it would show the credentials there.
pub(super) fn of(set: Option<&str>, base_url: &BaseUrl) -> Result<Option<Proxy>> {
    let proxy = match set {
        _ if !base_url.is_https => None,
        Some("") => None,
        Some(proxy) => Some(usable("proxy", proxy)?),
        // The environment's is not meant for this machine itself.
        None if base_url.is_loopback => None,
        None => from_environment()?,
    };
    let uri = base_url.as_str().parse().unwrap_or_default();
    Ok(proxy.filter(|proxy| !proxy.is_no_proxy(&uri)))
}

/// Where a variable cannot be used, that is an error: a direct connection may be forbidden.
fn from_environment() -> Result<Option<Proxy>> {
    let set = VARIABLES.into_iter().find_map(|name| {
        let value = env::var_os(name)?;
        (!value.is_empty()).then_some((name, value))
    });
    let Some((name, value)) = set else {
        return Ok(None);
    };
    usable(name, value.to_str().unwrap_or_default())?;
    Ok(Proxy::try_from_env())
}

fn usable(name: &str, text: &str) -> Result<Proxy> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let proxy = Proxy::new(text).ok().filter(|_| is_http && is_address(address));
    // The value may hold a password, so it is not repeated.
    proxy.ok_or_else(|| {
        Error::configuration(format!(
            "{name}: not usable as a proxy; write it as http://host:port (SOCKS is not supported), {}",
            if name == "proxy" { "or \"\" for none" } else { "or set proxy to \"\" for none" }
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_for_http_or_an_error_that_names_the_setting_alone() {
        for good in
            ["http://p:1", "HTTPS://p", "p:3128", "http://u:not-a-password@[::1]:1/", "http://p."]
        {
            assert!(usable("proxy", good).is_ok(), "{good}");
        }
        for bad in [
            "socks5://p",
            "SOCKS5://p",
            "::::",
            "http://",
            "//p:1",
            "http://p/x",
            "http://:1",
            "p:x",
        ] {
            let error = usable("HTTPS_PROXY", &bad.replace("p", "u:not-a-password@p")).unwrap_err();
            assert!(error.message().starts_with("HTTPS_PROXY: not usable"), "{bad}: {error}");
            assert!(!error.message().contains("not-a-password"));
        }
    }
}
