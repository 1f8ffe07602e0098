//! How the house stands: each room of `src/` imports only from rooms further down this list, so
//! there is no circle. A room is a file of `src/` or a folder with all that is in it.

#![allow(clippy::unwrap_used)] // it is a test

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. The rooms of one floor are in order, too.
const FLOORS: [(&str, &[&str]); 9] = [
    (
        "ground",
        &[
            "sync", "secret", "clock", "names", "key", "error", "words", "facts", "files", "date",
            "json", "options", "event", "status",
        ],
    ),
    ("credentials", &["certificate", "credentials"]),
    ("token", &["token", "renewal"]),
    ("protocols", &["exchange", "outcome", "pace", "protocol"]),
    ("wire", &["transport"]),
    ("single flight", &["published", "slot", "flight"]),
    ("sharing", &["store"]),
    ("fetching", &["identity", "fetch", "shared", "upstream"]),
    (
        "faces",
        &[
            "builder",
            "source",
            "cache",
            "settings",
            "provider",
            "unwind",
            "bench",
            "simulation",
            "lib",
        ],
    ),
];

/// The room that a file belongs to.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(source()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of `src/`, with its text.
fn files() -> BTreeMap<PathBuf, String> {
    let mut folders = vec![source()];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => _ = files.insert(path.clone(), fs::read_to_string(&path).unwrap()),
            }
        }
    }
    assert!(files.len() > 30, "these are not all files");
    files
}

/// The code of a file, without comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn a_room_imports_only_from_rooms_below_it() {
    let order: Vec<&str> = FLOORS.iter().flat_map(|(_, rooms)| rooms.iter().copied()).collect();
    let height = |room: &str| order.iter().position(|known| *known == room);
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let room = room(&path);
        let Some(own) = height(&room) else {
            wrong.push(format!("{room} is on no floor"));
            continue;
        };
        for line in code(&text) {
            for other in line.split("crate::").skip(1) {
                let end = other.find(|c: char| !c.is_alphanumeric() && c != '_');
                let other = &other[..end.unwrap_or(other.len())];
                // A name that starts with a capital is the public surface, in a link of the docs.
                if height(other).is_some_and(|other| other > own) {
                    wrong.push(format!("{room} imports {other}, which is above it: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_room_of_the_list_is_there() {
    let rooms: Vec<_> = files().keys().map(|path| room(path)).collect();
    for room in FLOORS.iter().flat_map(|(_, rooms)| *rooms) {
        assert!(rooms.iter().any(|known| known == room), "{room} is not in src/");
    }
}

#[test]
fn only_the_wire_names_ureq() {
    for (path, text) in files() {
        let names_it = code(&text).any(|line| line.contains("ureq::"));
        assert!(!names_it || room(&path) == "transport", "{}", path.display());
    }
}

#[test]
fn a_file_says_first_what_it_is_for_and_is_no_longer_than_five_hundred_lines() {
    for (path, text) in files() {
        assert!(text.starts_with("//! "), "{}", path.display());
        let lines = text.lines().count();
        assert!(lines <= 500, "{}: {lines} lines", path.display());
    }
}

#[test]
fn a_room_with_children_is_a_folder_with_a_mod_rs() {
    for path in files().keys() {
        let beside = path.with_extension("");
        assert!(!beside.is_dir(), "{} stands beside its folder", path.display());
    }
}
