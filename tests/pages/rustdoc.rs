//! Every public type shows how it is used, or is shown where it comes from.

use std::fs;

use crate::root;

/// Types without an example of their own, and whose example shows them.
const SHOWN_BY: [(&str, &str); 14] = [
    ("IsOfOneAccount", "ManyAccounts"),
    ("OneAccount", "ManyAccounts"),
    ("Attempt", "TokenSource"),
    ("ErrorKind", "Error"),
    ("EventKind", "Event"),
    ("Field", "Facts"),
    ("Now", "Clock"),
    ("Renewal", "Facts"),
    ("SealingKeys", "Sealed"),
    ("Site", "Facts"),
    ("StoreGuard", "Store"),
    ("StoreKey", "Store"),
    ("StoredStatus", "Account"),
    ("TokenStatus", "Status"),
];

/// The public types of the listing that the gate compares with the code.
fn public_types() -> Vec<String> {
    let listing = fs::read_to_string(root().join("docs/public-api.txt")).unwrap();
    let kinds = ["struct ", "enum ", "trait "];
    let types = listing.lines().filter_map(|line| {
        let line = line.trim_start_matches("#[non_exhaustive] ");
        let path = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
        let path = path
            .split([' ', '<', ':', '{'])
            .next()
            .filter(|it| *it != "store")
            .or_else(|| path.strip_prefix("store::")?.split([' ', '<', ':', '{']).next())?;
        Some(path.to_owned())
    });
    types.collect()
}

/// The doc comment of a type, wherever it is declared in `src/`.
fn documentation(name: &str) -> Option<String> {
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<_> = text.lines().collect();
            let is_it = |line: &&str| {
                ["pub struct ", "pub enum ", "pub trait "].iter().any(|kind| {
                    line.strip_prefix(kind)
                        .and_then(|rest| rest.strip_prefix(name))
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
                })
            };
            if let Some(at) = lines.iter().position(is_it) {
                let above = lines[..at].iter().rev();
                let above =
                    above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
                return Some(above.copied().collect());
            }
        }
    }
    None
}

#[test]
fn every_public_type_has_an_example_or_is_shown_by_another() {
    let types = public_types();
    assert!(types.len() > 30 && types.iter().any(|name| name == "SealingKeys"), "{types:?}");
    let has_example = |name: &str| documentation(name).is_some_and(|text| text.contains("```"));
    for name in types {
        match SHOWN_BY.iter().find(|(known, _)| *known == name) {
            Some((_, by)) => {
                assert!(!has_example(&name), "{name} has an example: take it off the list");
                assert!(has_example(by), "{by}, which is to show {name}, has no example");
            }
            None => assert!(has_example(&name), "{name} has no example"),
        }
    }
}
