//! A server as the store: whether it answers, and whether it is set up as `docs/redis.md` says.

use super::Table;
use crate::settings::Target;
use crate::store::Server;

/// Whether it serves.
#[cfg(not(feature = "redis"))]
pub(super) fn check(_: &Server, _: &Target, _: &mut Table) -> bool {
    true // without the feature there is none
}

/// Whether it serves; where it does not, no token is there to be looked for.
#[cfg(feature = "redis")]
pub(super) fn check(server: &Server, target: &Target, table: &mut Table) -> bool {
    let status = match server.status() {
        Ok(status) => status,
        Err(error) => {
            table.wrong("store server", target.failure(&error).to_string());
            return false;
        }
    };
    let name = status.product.as_deref().unwrap_or("Redis");
    let version = status.version.as_deref().unwrap_or("of a version that is not known");
    let [latency, connecting] = [status.latency, status.connecting]
        .map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    table.ok(
        "store server",
        format!("{name} {version}, connected in {connecting}, answers in {latency}"),
    );
    if let Some((master, sentinel)) = &status.master_and_sentinel {
        table.ok("store master", format!("{master}, as the Sentinel at {sentinel} says"));
    }
    role(&status, table);
    match &status.refusal {
        // Said above.
        Some(_) if status.is_replica == Some(true) => {}
        Some(error) => table.wrong("store writes", target.failure(error).to_string()),
        None => table.ok("store writes", "a key was written, and removed again"),
    }
    match (status.is_encrypted, status.is_local) {
        (true, _) => table.ok("store network", "over TLS that is verified"),
        (false, true) => table.ok("store network", "without TLS, and on this machine"),
        (false, false) => table.warning(
            "store network",
            "without TLS: who can listen on the way can read the password and the tokens; use rediss://, or a private network",
        ),
    }
    match status.eviction.as_deref() {
        Some("noeviction") => table.ok("store memory", "maxmemory-policy is noeviction"),
        Some(policy) => table.warning(
            "store memory",
            format!("maxmemory-policy is {policy}, which may throw away a lock that is held; set it to noeviction"),
        ),
        None => table.ok(
            "store memory",
            "maxmemory-policy is not known: this user may not ask (+info); make sure that it is noeviction",
        ),
    }
    true
}

#[cfg(feature = "redis")]
fn role(status: &paytoken_redis::ServerStatus, table: &mut Table) {
    match status.is_replica {
        Some(true) => table.wrong(
            "store role",
            "a replica, which cannot be written; give the master's address, or the Sentinels' (redis+sentinel://)",
        ),
        Some(false) => table.ok(
            "store role",
            match status.replicas {
                Some(1) => "master, with 1 replica".to_owned(),
                Some(count) => format!("master, with {count} replicas"),
                None => "master; how many replicas it has is not known: this user may not ask (+wait)".to_owned(),
            },
        ),
        None => table.ok("store role", "not known: the server does not say"),
    }
    if status.is_cluster == Some(true) {
        table.warning(
            "store role",
            "part of a cluster, which is not supported; use one server, with Sentinel where it must not fail",
        );
    }
}
