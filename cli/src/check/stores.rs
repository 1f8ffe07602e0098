//! The store, and other stores in which the same account has a token: jobs that use them do not
//! know of each other.

use std::path::{Path, PathBuf};

use paytoken::{FileStore, Renewal};

use super::{Table, Verdict, files, from, from_or, server};
use crate::command_line::duration::spoken;
use crate::settings::{Target, home, variable};
use crate::status::{UNREADABLE, good_token, happened};
use crate::store::{Place, SharedStore};

pub(super) fn check(target: &Target, table: &mut Table) {
    if let Some(path) = &target.settings.store_key_file {
        files::file("store key file", path, true, table);
    }
    let are_keys_wrong =
        matches!(table.rows.last(), Some((Verdict::Wrong, what, _)) if what == "store key file");
    if let Some(unsealed) = target.settings.accept_unsealed {
        let origin = from(target, &target.origin("PAYTOKEN_ACCEPT_UNSEALED"));
        table.warning("accept_unsealed", format!("{unsealed}, {origin}: entries that are not sealed are believed; remove it once sealing is turned on or off everywhere"));
    }
    let store = match target.store() {
        Ok(Some(store)) => store,
        Ok(None) => return table.warning("store", "none, so each run gets a token of its own"),
        Err(failure) => {
            match are_keys_wrong {
                true => table.untried("store"),
                false => table.wrong("store", failure.to_string()),
            }
            return table.untried("stored token");
        }
    };
    let origin = from_or(target, &target.origin("PAYTOKEN_STORE"), "the default");
    let directory = match store.place() {
        Place::Directory(directory) => Some(directory.as_path()),
        Place::Server(_) => None,
    };
    match store.place() {
        Place::Directory(directory) => check_directory(directory, &store, &origin, table),
        Place::Server(server) => {
            table.ok("store", format!("{store}, {origin}"));
            if !server::check(server, target, table) {
                return table.untried("stored token");
            }
        }
    }
    let Ok(account) = target.account() else { return table.untried("stored token") };
    match account.stored_status(store.store()) {
        Ok(status) => {
            match good_token(&status) {
                Some(token) => {
                    table.ok("stored token", format!("good for {}", spoken(token.remaining)))
                }
                None if status.entry_unreadable => table.warning(
                    "stored token",
                    format!("none: {UNREADABLE}; check PAYTOKEN_STORE_KEY_FILE"),
                ),
                None => table.ok("stored token", "none"),
            }
            if let (Some(kind), Some(left)) = (status.last_error, status.blocked_for) {
                let (happened, left) = (happened(kind), spoken(left));
                let way_out = match happened {
                    "refused" => "correct the credentials, or use --force",
                    _ => "wait, or use --force",
                };
                table.warning("held back", format!("{happened} ({kind:?}), so the provider is not asked again for {left}; {way_out}"));
            }
        }
        Err(error) => table.wrong("stored token", target.failure(&error).to_string()),
    }
    for other in others(directory) {
        let status = FileStore::open(&other).and_then(|store| account.stored_status(&store));
        if status.is_ok_and(|status| good_token(&status).is_some()) {
            let harm = match target.provider().facts().renewal {
                Renewal::ReplacesPrevious => "jobs that use it end each other's tokens",
                _ => "jobs that use it get tokens of their own",
            };
            table.warning(
                "other store",
                format!(
                    "{} has a token of this account, too: {harm}; name one with PAYTOKEN_STORE",
                    other.display()
                ),
            );
        }
    }
}

fn check_directory(directory: &Path, store: &SharedStore, origin: &str, table: &mut Table) {
    // Where it is, or will be made.
    let existing = directory.ancestors().find(|folder| folder.exists()).unwrap_or(directory);
    let writable = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK);
    match (free_of(existing), writable.and_then(|()| write_in(existing))) {
        (_, Err(error)) => table.wrong(
            "store",
            format!(
                "{} cannot be written ({error}); check its owner, its mode and the disk",
                existing.display()
            ),
        ),
        (Some(0), _) => {
            table.wrong("store", format!("{}: the disk is full; make room", directory.display()))
        }
        _ if !directory.exists() => {
            table.ok("store", format!("{store}, {origin}; made when there is something to keep"));
        }
        _ => table.ok("store", format!("{store}, {origin}")),
    }
}

/// Elsewhere no file is without a name, and nothing is known of those.
#[cfg(not(target_os = "linux"))]
fn write_in(_: &Path) -> rustix::io::Result<()> {
    Ok(())
}

/// Writes there as a run will, into a file that never has a name: quotas, and what only looks writable.
#[cfg(target_os = "linux")]
fn write_in(folder: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
        // Not every file system can do this; nothing is known of those then.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => return Ok(()),
        file => file?,
    };
    rustix::io::write(&file, b"x").map(drop)
}

/// Blocks for us on the disk that it is on; what has no blocks is no disk.
fn free_of(existing: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(existing).ok().filter(|disk| disk.f_blocks > 0);
    disk.map(|disk| disk.f_bavail)
}

/// Where login shells, cron jobs, units and earlier versions have theirs.
fn others(chosen: Option<&Path>) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folders = [
        variable("CACHE_DIRECTORY").and_then(|all| std::env::split_paths(&all).next()),
        variable("XDG_CACHE_HOME").map(PathBuf::from),
        home().map(|home| home.join(".cache")),
        variable("XDG_RUNTIME_DIR").map(PathBuf::from),
        Some(PathBuf::from(format!("/run/user/{user}"))),
    ];
    let mut others: Vec<_> =
        folders.into_iter().flatten().map(|folder| folder.join("paytoken")).collect();
    others.extend(variable("PAYTOKEN_STORE").map(PathBuf::from));
    others.retain(|other| Some(other.as_path()) != chosen && other.is_dir());
    others.sort();
    others.dedup();
    others
}
