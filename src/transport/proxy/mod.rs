//! Which proxy a request goes through: the one that was set, or the environment's by curl's rules.

#[cfg(test)]
mod beside_curl;
mod exempt;

use std::env;
use std::ffi::OsString;

use percent_encoding::percent_decode_str;
use ureq::{Proxy, ProxyProtocol};

use crate::types::base_url::{BaseUrl, address_of};
use crate::types::error::{Error, Result};

/// Whether a proxy that was set can be used at all.
pub(crate) fn check_proxy(proxy: &str) -> Result<()> {
    if proxy.is_empty() { Ok(()) } else { usable("proxy", proxy).map(drop) }
}

/// The proxy for this address. Plain http goes through none: it would show the credentials there.
pub(super) fn of(set: Option<&str>, base_url: &BaseUrl) -> Result<Option<Proxy>> {
    match set {
        _ if !base_url.is_https => Ok(None),
        Some("") => Ok(None),
        Some(proxy) => usable("proxy", proxy).map(Some),
        None => from_variables(&|name| env::var_os(name), base_url.host()),
    }
}

/// The first of these that is not empty counts. (The one for http, which a web server may have set
/// from a request's header, is not for https.)
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Where a variable cannot be used, that is an error: a direct connection may be forbidden.
fn from_variables(
    variable: &dyn Fn(&str) -> Option<OsString>,
    host: &str,
) -> Result<Option<Proxy>> {
    let first = |names: &[&'static str]| {
        let set = |name| Some((name, variable(name).filter(|value| !value.is_empty())?));
        names.iter().copied().find_map(set)
    };
    // What needs no proxy is not kept from the network by one that cannot be used.
    if first(&["no_proxy", "NO_PROXY"])
        .is_some_and(|(_, list)| exempt::is_exempt(host, &list.to_string_lossy()))
    {
        return Ok(None);
    }
    let proxy = first(&VARIABLES);
    proxy.map(|(name, value)| usable(name, value.to_str().unwrap_or_default())).transpose()
}

/// curl's own, where the setting has none: ureq takes 80.
const DEFAULT_PORT: u16 = 1080;
const DEFAULT_HTTPS_PORT: u16 = 443;

fn usable(name: &str, text: &str) -> Result<Proxy> {
    // The value may hold a password, so it is not repeated.
    let unusable = |problem: &str| {
        Error::configuration(format!(
            "{name}: not usable as a proxy ({problem}); write it as http://host:port, or http://user:password@host:port, {}",
            if name == "proxy" { "or \"\" for none" } else { "or unset it for none" }
        ))
    };
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(unusable("it holds white space"));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (protocol, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyProtocol::Http, DEFAULT_PORT),
        "https" => (ProxyProtocol::Https, DEFAULT_HTTPS_PORT),
        socks if socks.starts_with("socks") => return Err(unusable("SOCKS is not supported")),
        _ => return Err(unusable("its scheme is neither http nor https")),
    };
    // A path is of no use, and does no harm.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (login, address) = match authority.split_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let (host, port) = address_of(address).ok_or_else(|| {
        let is_login = address.contains('@');
        let of_login = "its password holds an @, which is written %40";
        unusable(if is_login {
            of_login
        } else {
            "there is no host in it, or no port after the colon"
        })
    })?;
    let mut proxy = Proxy::builder(protocol).host(&host).port(port.unwrap_or(default_port));
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let decoded = |text| percent_decode_str(text).decode_utf8();
        let (Ok(user), Ok(password)) = (decoded(user), decoded(password)) else {
            return Err(unusable("its user name or password is not percent-encoded UTF-8"));
        };
        proxy = proxy.username(&user).password(&password);
    }
    proxy.build().map_err(|_| unusable("its host is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_for_http_or_an_error_that_names_the_setting_alone() {
        for (good, host, port, user, password) in [
            ("http://p:1", "p", 1, None, None),
            ("HTTPS://p", "p", 443, None, None),
            ("http://p", "p", 1080, None, None),
            ("p:3128", "p", 3128, None, None),
            ("P.example:3128/", "p.example", 3128, None, None),
            ("http://u:a%40b%3Ac@[::1]:1/", "[::1]", 1, Some("u"), Some("a@b:c")),
            ("http://u:a:b@p", "p", 1080, Some("u"), Some("a:b")),
            ("http://contrase%C3%B1a:ñ@p", "p", 1080, Some("contraseña"), Some("ñ")),
            ("u@p:1", "p", 1, Some("u"), Some("")),
            ("http://p./path?a=b#c", "p", 1080, None, None),
            ("http://p/wpad@x", "p", 1080, None, None),
        ] {
            let proxy = usable("proxy", good).unwrap_or_else(|error| panic!("{good}: {error}"));
            assert_eq!((proxy.host(), proxy.port()), (host, port), "{good}");
            assert_eq!((proxy.username(), proxy.password()), (user, password), "{good}");
        }
        for (bad, part) in [
            ("socks5://p", "SOCKS"),
            ("SOCKS5h://p", "SOCKS"),
            ("socks://p", "SOCKS"),
            ("ftp://p", "scheme"),
            ("::::", "no host"),
            ("http://", "no host"),
            ("//p:1", "no host"),
            ("http://:1", "no host"),
            ("p:x", "no port"),
            ("p:", "no port"),
            ("p:99999", "no port"),
            ("*", "no host"),
            (" http://p", "white space"),
            ("http://p\n", "white space"),
            ("http://u:not-a-password@x@p", "%40"),
            ("socks5://u:not-a-password@p", "SOCKS"),
            ("http://u:not-a-password@p:x", "no port"),
            ("http://%ff@p", "percent-encoded"),
            ("", "no host"),
        ] {
            let error = usable("HTTPS_PROXY", bad).unwrap_err();
            assert!(error.message().starts_with("HTTPS_PROXY: not usable"), "{bad}: {error}");
            assert!(error.message().contains(part), "{bad}: {error}");
            assert!(!error.message().contains("not-a-password"));
        }
    }

    #[test]
    fn a_variable_that_is_no_text_is_named() {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt as _;
            let value = |name: &str| {
                (name == "ALL_PROXY").then(|| OsString::from_vec(b"http://p\xff:1".to_vec()))
            };
            let error = from_variables(&value, "api.example").unwrap_err();
            assert!(error.message().starts_with("ALL_PROXY: not usable"), "{error}");
        }
    }
}
