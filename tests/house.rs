//! Architecture: in `src/` the folders are the floors. Each imports only from those above it in the list
//! of `src/lib.rs`, its `mod` lines, so there is no circle of folders. Inside a folder, and in the
//! other members, files import each other in no circle either.

#![allow(clippy::unwrap_used)] // it is a test

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors in the order of `src/lib.rs`, from the ground up, and it itself above all.
fn floors() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let module = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    };
    let mut floors: Vec<_> = text.lines().filter_map(module).collect();
    assert!(floors.len() > 10, "these are not all: {floors:?}");
    floors.push("lib".into());
    floors
}

/// The floor that a file belongs to.
fn floor(path: &Path) -> String {
    let inside = path.strip_prefix(source()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of `src/`, with its text.
fn files() -> BTreeMap<PathBuf, String> {
    let files = files_of(source());
    assert!(files.len() > 30, "these are not all files");
    files
}

fn files_of(folder: PathBuf) -> BTreeMap<PathBuf, String> {
    let mut folders = vec![folder];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                // The catalogue's files, among the command's, are data.
                false if path.extension().is_none_or(|kind| kind != "rs") => {}
                false => _ = files.insert(path.clone(), fs::read_to_string(&path).unwrap()),
            }
        }
    }
    files
}

/// The code of a file, without comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn a_folder_imports_only_from_those_above_it_in_the_list() {
    let floors = floors();
    let height = |floor: &str| floors.iter().position(|known| known == floor);
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let floor = floor(&path);
        let Some(own) = height(&floor) else {
            wrong.push(format!("{floor} has no line in lib.rs"));
            continue;
        };
        for line in code(&text) {
            for other in line.split("crate::").skip(1) {
                let end = other.find(|c: char| !c.is_alphanumeric() && c != '_');
                let other = &other[..end.unwrap_or(other.len())];
                // A name that starts with a capital is the public surface, in a link of the docs.
                if height(other).is_some_and(|other| other > own) {
                    wrong.push(format!(
                        "{floor} imports {other}, which is below it in the list: {line}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_floors_are_folders() {
    for path in files().keys().filter(|path| path.parent() == Some(&source())) {
        let name = floor(path);
        assert!(
            ["lib", "bench"].contains(&&*name),
            "{name}.rs lies flat in src/; put it on a floor"
        );
    }
}

#[test]
fn only_the_wire_names_ureq() {
    for (path, text) in files() {
        let names_it = code(&text).any(|line| line.contains("ureq::"));
        assert!(!names_it || floor(&path) == "transport", "{}", path.display());
    }
}

#[test]
fn a_file_says_first_what_it_is_for_and_is_no_longer_than_five_hundred_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_members = MEMBERS.iter().flat_map(|member| files_of(root.join(member)));
    for (path, text) in files().into_iter().chain(of_members) {
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

/// The members whose files are looked at, besides the library.
const MEMBERS: [&str; 4] = ["capi/src", "cli/src", "redis/src", "sandbox/src"];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut circles = Vec::new();
    for member in MEMBERS.iter().chain(&["src"]) {
        let files = files_of(root.join(member));
        assert!(files.len() > 5, "{member} has more files");
        let files: BTreeMap<Module, &str> = files
            .iter()
            .map(|(path, text)| (module(path.strip_prefix(root.join(member)).unwrap()), &**text))
            .collect();
        circles.extend(circles_of(&files).into_iter().map(|circle| format!("{member}: {circle}")));
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// A module's path below the crate's root, which is the empty one.
type Module = Vec<String>;

fn module(path: &Path) -> Module {
    let path = path.with_extension("");
    let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| !["mod", "lib", "main"].contains(&&**name)).collect()
}

/// The circles among the modules that stand beside each other in one folder. A folder with all that
/// is in it is one of them. What holds a folder's modules together, its `mod.rs`, is none: it knows
/// them, and what stands in it is for all of them.
fn circles_of(files: &BTreeMap<Module, &str>) -> Vec<String> {
    let known: BTreeSet<&[String]> = files.keys().map(Vec::as_slice).collect();
    let exported: BTreeMap<&Module, BTreeMap<String, Module>> = files
        .iter()
        .map(|(module, text)| (module, paths(text, module, &["use "]).into_iter().collect()))
        .collect();
    // Where a path leads: through what modules on the way import from others and pass on.
    let follow = |path: &Module| {
        let mut path = path.clone();
        // As often as names are passed on; a name that leads to itself ends it, too.
        for _ in 0..8 {
            let length =
                (0..=path.len()).rev().find(|length| known.contains(&path[..*length])).unwrap_or(0);
            let (module, rest) = path.split_at(length);
            let passed = rest.first().and_then(|name| exported.get(&module.to_vec())?.get(name));
            match passed {
                Some(target) if *target != path => path = [target, &rest[1..]].concat(),
                _ => return module.to_vec(),
            }
        }
        path
    };
    // For each folder, which of its modules import which.
    let mut imports: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, text) in files {
        for (_, path) in paths(text, module, &["use ", "crate::", "super::"]) {
            let other = follow(&path);
            let common = module.iter().zip(&other).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (module.get(common), other.get(common)) {
                let folder = imports.entry(module[..common].to_vec()).or_default();
                folder.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    let mut circles = Vec::new();
    for (folder, mut imports) in imports {
        // Who imports nobody that is left, or is imported by nobody, is in no circle.
        let mut before = usize::MAX;
        while imports.len() < before {
            before = imports.len();
            let left: BTreeSet<String> = imports.keys().cloned().collect();
            imports.values_mut().for_each(|others| others.retain(|other| left.contains(other)));
            let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
            imports.retain(|one, others| !others.is_empty() && imported.contains(one));
        }
        if !imports.is_empty() {
            circles.push(format!("in {:?}, {imports:?}", folder.join("/")));
        }
    }
    circles
}

/// What of its own crate a file names behind one of these words: the name by which it then knows
/// it, and the whole path. (Names of other crates come along, and lead nowhere.)
fn paths(text: &str, module: &Module, words: &[&str]) -> Vec<(String, Module)> {
    let code: String = code(text).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, word) in words.iter().flat_map(|word| code.match_indices(word)) {
        let is_whole = !code[..at].ends_with(|c: char| is_of_name(c) || c == ':');
        if is_whole {
            tree(&code[at..][word.len() * usize::from(word == "use ")..], &[], &mut found);
        }
    }
    let whole = |path: Module| {
        let mut whole = if path[0] == "crate" { Module::new() } else { module.clone() };
        for name in path {
            match &*name {
                "crate" | "self" => {}
                "super" => _ = whole.pop(),
                _ => whole.push(name),
            }
        }
        whole
    };
    found.into_iter().map(|(name, path)| (name, whole(path))).collect()
}

/// Reads `a::b`, `a::{b, c::d as e}` and so on; what is left of the text.
fn tree<'a>(text: &'a str, before: &[String], found: &mut Vec<(String, Module)>) -> &'a str {
    if let Some(list) = text.strip_prefix('{') {
        let mut rest = list.trim_start();
        while rest.starts_with(|c: char| is_of_name(c) || matches!(c, '*' | '{')) {
            rest = tree(rest, before, found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let (name, rest) = name_at(text);
    let path: Vec<String> = before.iter().cloned().chain([name.to_owned()]).collect();
    if let Some(rest) = rest.strip_prefix("::") {
        return tree(rest, &path, found);
    }
    let (alias, rest) = rest.strip_prefix(" as ").map_or((name, rest), name_at);
    found.push((alias.to_owned(), path));
    rest
}

/// A name, or the `*` for all of them, and what follows it.
fn name_at(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !is_of_name(c)).unwrap_or(text.len());
    text.split_at(if text.starts_with('*') { 1 } else { end })
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let circles = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| (module(Path::new(path)), *text)).collect();
        circles_of(&files)
    };
    let a = ("a.rs", "use crate::b::B;");
    for b in [
        "use crate::a::A;",
        "use super::a::A;",
        "pub(crate) use crate::a::A as Other;",
        "use crate::{\n    c::C,\n    a::{self, A},\n};",
        "use crate::{c::{C, D}, a};",
        "use crate::a::*;",
        "fn b() {\n    crate::a::f();\n}",
        "fn b() -> super::a::A {\n    todo()\n}",
        "mod inner {\n    use crate::a::A;\n}",
        "use crate::A;",
        "use super::A;",
        "use crate::Renamed;",
    ] {
        let root = ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use self::a::A as Renamed;");
        assert_eq!(circles(&[root, a, ("b.rs", b)]).len(), 1, "{b}");
    }
    for b in [
        "use crate::c::C;",
        "// use crate::a::A;",
        "use crate::Sandbox;",
        "use super::*;",
        "use other::a::A;",
        "use std::{a::A, fmt};",
        "fn b() {\n    other::crate_a::f();\n}",
        "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}",
    ] {
        assert!(circles(&[("lib.rs", "pub struct Sandbox;"), a, ("b.rs", b)]).is_empty(), "{b}");
    }
    let below = [
        ("x/mod.rs", ""),
        ("x/y.rs", "use super::z;"),
        ("x/z/mod.rs", ""),
        ("x/z/deep.rs", "use crate::x::y::Y;"),
    ];
    assert_eq!(circles(&below).len(), 1);
    let three = [
        ("a.rs", "use crate::b;"),
        ("b.rs", "use crate::c;"),
        ("c.rs", "use crate::a;"),
        ("d.rs", "use crate::a;"),
    ];
    let found = circles(&three);
    assert!(found.len() == 1 && !found[0].contains("\"d\""), "{found:?}");
}
