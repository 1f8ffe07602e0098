//! Looks a host name up within the time allowed, and says what kept it from being found.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::failure::RequestFailure;
use super::wire::{Phase, Wire};
use crate::base::clock::Deadline;
use crate::base::dial::Route;
use crate::policy::outcome::Cause;

#[derive(Debug)]
pub(super) struct Lookup(pub(super) Arc<Wire>);

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let wire = &self.0;
        // Where a name may lead to what is refused below, nobody connects before.
        let ahead = (!wire.is_plain_http()).then(|| wire.time_to_connect());
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.uri() == uri);
        let route = find(wire, uri, is_proxy, ahead).map_err(RequestFailure::into_ureq)?;
        check(&route.addresses, wire.is_plain_http()).map_err(RequestFailure::into_ureq)?;
        wire.reach(Phase::Connecting);
        // ureq wants one. The connector takes the route.
        let mut resolved = self.empty();
        resolved.push(route.addresses[0]);
        wire.set_route(route);
        Ok(resolved)
    }
}

/// The addresses of a URI's host.
pub(super) fn find(
    wire: &Wire,
    uri: &Uri,
    is_proxy: bool,
    ahead: Option<(Duration, Deadline)>,
) -> Result<Route, RequestFailure> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    wire.dialer.find(host, port, wire.remaining(), ahead).map_err(|error| {
        let failure = RequestFailure::of_look_up(error, &wire.limit());
        if is_proxy { failure.of_proxy_name(&wire.limit()) } else { failure }
    })
}

/// Plain http stays on this machine, whatever a name says.
fn check(addresses: &[SocketAddr], is_plain_http: bool) -> Result<(), RequestFailure> {
    if is_plain_http && addresses.iter().any(|found| !found.ip().is_loopback()) {
        return Err(RequestFailure::new(
            Cause::NameNotLoopback,
            "base_url: its name leads to another machine, and plain http would show the credentials to the network; use https, or http://127.0.0.1",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect()
    }

    #[test]
    fn plain_http_goes_to_loopback_alone_whatever_a_name_says() {
        for (list, is_loopback) in [
            (&["127.0.0.1"][..], true),
            (&["127.0.0.9", "::1"], true),
            (&["10.0.0.1"], false),
            (&["127.0.0.1", "10.0.0.1"], false),
            (&["::1", "fe80::1"], false),
            (&["0.0.0.0"], false),
            (&["::"], false),
            (&["::ffff:10.0.0.1"], false),
        ] {
            let checked = check(&addresses(list), true);
            assert_eq!(checked.is_ok(), is_loopback, "{list:?}");
            assert!(checked.is_ok_and(|()| true) || check(&addresses(list), false).is_ok());
        }
    }
}
