//! Looks a host name up within the time allowed, and says what kept it from being found.
//!
//! The system's look-up cannot be given a time-out, so it has a thread of its own; one that hangs
//! is waited for by all who ask for the same name, so there is never more than one for each.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::failure::RequestFailure;
use super::wire::{Limit, Phase, Wire};
use crate::base::sync::lock;
use crate::policy::outcome::Cause;

#[derive(Debug)]
pub(super) struct Lookup(pub(super) Arc<Wire>);

/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 16;

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let wire = &self.0;
        let host = uri.host().unwrap_or_default();
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => look_up(bare, port, wire.remaining(), &wire.limit()).map_err(|failure| {
                let is_proxy = config.proxy().is_some_and(|proxy| proxy.uri() == uri);
                let failure = if is_proxy { failure.of_proxy_name(&wire.limit()) } else { failure };
                failure.into_ureq()
            })?,
        };
        check(&addresses, wire.is_plain_http()).map_err(RequestFailure::into_ureq)?;
        wire.reach(Phase::Connecting);
        let mut resolved = self.empty();
        addresses.into_iter().take(MOST_ADDRESSES).for_each(|address| resolved.push(address));
        Ok(resolved)
    }
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

/// Look-ups under way, by process: a forked child has none of its parent's threads.
static UNDER_WAY: Mutex<Option<HashMap<Name, Arc<Pending>>>> = Mutex::new(None);

type Name = (u32, String, u16);

#[derive(Default)]
struct Pending {
    found: Mutex<Option<Result<Vec<SocketAddr>, Arc<io::Error>>>>,
    is_done: Condvar,
}

fn look_up(
    host: &str,
    port: u16,
    left: Duration,
    limit: &Limit,
) -> Result<Vec<SocketAddr>, RequestFailure> {
    let pending = join(host, port).map_err(|error| {
        RequestFailure::new(
            Cause::NoThread,
            "no thread could be started to look up the host name; raise the limit on processes or memory, or free some",
        )
        .with_source(error)
    })?;
    let (found, _) = pending
        .is_done
        .wait_timeout_while(lock(&pending.found), left, |found| found.is_none())
        .unwrap_or_else(PoisonError::into_inner);
    match &*found {
        Some(Ok(found)) if !found.is_empty() => Ok(found.clone()),
        Some(Ok(_)) => Err(RequestFailure::not_found()),
        Some(Err(error)) => Err(RequestFailure::of_look_up(error)),
        None => Err(RequestFailure::name_too_slow(limit)),
    }
}

/// The look-up of this name that is under way, or a new one.
fn join(host: &str, port: u16) -> io::Result<Arc<Pending>> {
    let mut under_way = lock(&UNDER_WAY);
    let under_way = under_way.get_or_insert_default();
    let key = (std::process::id(), host.to_owned(), port);
    if let Some(pending) = under_way.get(&key) {
        return Ok(pending.clone());
    }
    let pending = Arc::<Pending>::default();
    let own = pending.clone();
    let name = key.clone();
    thread::Builder::new().name("paytoken-lookup".to_owned()).spawn(move || {
        let found = (name.1.as_str(), name.2).to_socket_addrs();
        *lock(&own.found) = Some(found.map(Vec::from_iter).map_err(Arc::new));
        if let Some(under_way) = &mut *lock(&UNDER_WAY) {
            under_way.remove(&name);
        }
        own.is_done.notify_all();
    })?;
    under_way.insert(key, pending.clone());
    Ok(pending)
}

#[cfg(test)]
pub(super) mod tests {
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

    /// A look-up that never ends, as far as others can see.
    pub(in crate::transport) fn hang(host: &str, port: u16) {
        let key = (std::process::id(), host.to_owned(), port);
        lock(&UNDER_WAY).get_or_insert_default().insert(key, Arc::default());
    }

    #[test]
    fn a_look_up_that_hangs_is_waited_for_by_all_who_ask_for_the_name_and_has_one_thread() {
        hang("hangs.example", 1);
        let look_up = |host, time| look_up(host, 1, time, &Limit { time, setting: "timeout" });
        for _ in 0..20 {
            let failure = look_up("hangs.example", Duration::from_millis(2)).unwrap_err();
            assert_eq!(failure.cause, Cause::NameTooSlow);
        }
        assert_eq!(Arc::strong_count(&join("hangs.example", 1).unwrap()), 2);
        assert_eq!(look_up("localhost", Duration::from_secs(20)).unwrap()[0].port(), 1);
    }
}
