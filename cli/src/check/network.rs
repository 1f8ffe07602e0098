//! The way to the provider, its clock, and, if asked for, a token.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use paytoken::{
    AddressProbe, ClientCertificate, Credentials, FieldKind, Renewal, TokenOptions, TokenSource,
};

use super::{Table, Wish};
use crate::child;
use crate::command_line::duration::spoken;
use crate::settings::{Target, variable};
use crate::status::good_token;

/// In the order in which they count for https.
const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Clocks that differ by less do no harm.
const NEAR: Duration = Duration::from_secs(60);
const FAR: Duration = Duration::from_secs(3_600);

/// An address that has not answered by then does not.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// In what is said of a server that asks for one. If it does not load, that has been reported.
const CLIENT_CERTIFICATE: &str = "client certificate";

/// `source` is none where the credentials do not load.
pub(super) fn check(target: &Target, source: Option<TokenSource>, wish: &Wish, table: &mut Table) {
    // The value may hold a password.
    match PROXIES.iter().find(|name| variable(name).is_some()) {
        Some(name) => table.ok("proxy", format!("{name} is set; NO_PROXY may exempt the address")),
        None => table.ok("proxy", "none is set"),
    }
    let has_source = source.is_some();
    let is_reached = connection(target, source, table);
    match child::command("curl").arg("--version").output() {
        Ok(_) => table.ok("curl", "is there, for paytoken curl"),
        Err(error) => table
            .warning("curl", format!("cannot be run ({error}), so paytoken curl cannot, either")),
    }
    match wish.fetch {
        true if has_source && is_reached => fetch(target, wish, table),
        true => table.untried("fetch"),
        false => {}
    }
}

/// Whether the provider answered.
fn connection(target: &Target, source: Option<TokenSource>, table: &mut Table) -> bool {
    let shows_all = source.is_some();
    // A command for a secret may have taken all of the time.
    let time = target.deadline().left();
    let source = source.or_else(|| without_credentials(target).filter(|_| !time.is_zero()));
    let Some(source) = source else {
        table.untried("connection");
        return false;
    };
    let base_url = source.status().base_url;
    let is_plain = base_url.starts_with("http://");
    let probe = source.probe(time).map_err(|error| target.failure(&error));
    let is_reached = probe.is_ok();
    // Where the name leads nowhere, the connection's row says so. The other rows need time, too.
    if let Ok(addresses) = source.probe_addresses(LONGEST_LOOK.min(target.deadline().left() / 2)) {
        self::addresses(&addresses, &base_url, table);
    }
    match probe {
        Ok(probe) => {
            let how = match is_plain {
                true => "over plain http, which stays on this machine",
                false => "over TLS that is verified",
            };
            table.ok("connection", format!("answered in {} ms, {how}", probe.took.as_millis()));
            match probe.clocks {
                Some((theirs, ours)) => {
                    let (apart, is_slow) = match theirs.duration_since(ours) {
                        Ok(apart) => (apart, true),
                        Err(error) => (error.duration(), false),
                    };
                    let how = if is_slow { "behind" } else { "ahead of" };
                    let text = format!("{} {how} the server's", spoken(apart));
                    match apart {
                        _ if apart < NEAR => table.ok("clock", "agrees with the server's"),
                        _ if apart < FAR => table.warning("clock", format!("{text}; set it (NTP)")),
                        _ => table.wrong("clock", format!("{text}; set it (NTP)")),
                    }
                }
                None => table.warning("clock", "the server does not say what time it is"),
            }
        }
        Err(failure) if !shows_all && failure.to_string().contains(CLIENT_CERTIFICATE) => {
            table.untried("connection");
        }
        // What a server by TLS answers to plain http is no HTTP.
        Err(failure) if is_plain => table.wrong(
            "connection",
            format!("{failure}; if the server speaks TLS, write https:// in the address"),
        ),
        Err(failure) => table.wrong("connection", failure.to_string()),
    }
    is_reached
}

/// Which of them answers: one that does not can cost each new connection time.
fn addresses(probe: &AddressProbe, base_url: &str, table: &mut Table) {
    let each = |(address, result): &(SocketAddr, Result<Duration, io::ErrorKind>)| match result {
        Ok(took) => format!("{} answers in {} ms", address.ip(), took.as_millis()),
        Err(why) => format!("{} does not answer ({why})", address.ip()),
    };
    let list = probe.addresses.iter().map(each).collect::<Vec<_>>().join(", ");
    let whose = if is_of_provider(probe, base_url) { "" } else { "the proxy " };
    let text = format!("{whose}{}: {list}", probe.host);
    match probe.addresses.iter().all(|(_, result)| result.is_ok()) {
        true => table.ok("addresses", text),
        false => table.warning("addresses", text),
    }
}

/// Whether it is the provider's host, and not a proxy's that requests go through.
fn is_of_provider(probe: &AddressProbe, base_url: &str) -> bool {
    let (scheme, rest) = base_url.split_once("://").unwrap_or(("https", base_url));
    let authority = rest.split('/').next().unwrap_or_default();
    let port = match authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
        Some(port) => port,
        None if scheme == "http" => 80,
        None => 443,
    };
    authority.starts_with(&probe.host)
        && probe.addresses.iter().all(|(address, _)| address.port() == port)
}

/// The way to the provider can be tried while its credentials are incomplete; what else is missing has
/// been said.
fn without_credentials(target: &Target) -> Option<TokenSource> {
    let provider = target.provider();
    let facts = provider.facts();
    let certificate = facts.requires_certificate.then(ClientCertificate::injected_by_proxy);
    let source = || -> paytoken::Result<_> {
        let needed = facts.fields.iter().filter(|field| field.kind != FieldKind::Optional);
        let credentials = match facts.is_described {
            true => {
                let values = needed.map(|field| (field.name, "check"));
                Credentials::described(provider, values, certificate)?
            }
            false => Credentials::new(provider, "check", "check", certificate)?,
        };
        let mut builder = TokenSource::builder(credentials, target.settings.environment()?);
        if let Some(url) = &target.settings.base_url {
            builder = builder.base_url(url);
        }
        if let Some(pem) = target.settings.root_certificates_pem()? {
            builder = builder.root_certificates_pem(&pem);
        }
        builder.build()
    };
    source().ok()
}

fn fetch(target: &Target, wish: &Wish, table: &mut Table) {
    let store = match target.store() {
        Ok(store) => store,
        Err(_) => return table.untried("fetch"),
    };
    let replaces = target.provider().facts().renewal == Renewal::ReplacesPrevious;
    let status = store.as_ref().zip(target.account().ok());
    let status = status.map(|(store, account)| account.stored_status(store.store()));
    // It may hold the good token that a fetch would end.
    let Ok(status) = status.transpose() else { return table.untried("fetch") };
    let has_good_token = status.as_ref().is_some_and(|status| good_token(status).is_some());
    if replaces && has_good_token && !wish.force {
        return table.warning("fetch", "not tried, since it would end the good token that is stored; use --force if that is meant");
    }
    // Without a good token it is asked for as by `token`, which knows when none may be. With one it is
    // asked for all the same, but not again and again: too many wrong credentials lock an account.
    let blocked = status.and_then(|status| status.blocked_for).filter(|_| has_good_token);
    if let Some(left) = blocked.filter(|_| !wish.force) {
        return table.wrong("fetch", format!("not tried, since the last request failed (see the row of the store), and none is sent for {}; use --force to ask now", spoken(left)));
    }
    let asked = TokenOptions::new().force(wish.force || has_good_token);
    let token = target
        .source(store)
        .and_then(|source| source.token_with(&asked).map_err(|error| target.failure(&error)));
    match token {
        Ok(token) => table.ok("fetch", format!("a token, good for {}", spoken(token.remaining()))),
        Err(failure) => table.wrong("fetch", failure.to_string()),
    }
}
