//! Every link of every Markdown file that does not leave the repository leads to a file, and to a
//! heading that exists.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// All Markdown files that are the project's own.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
            if path.is_dir() && !path.is_symlink() && is_ours {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The text without fenced blocks and code in a line, where brackets are code.
fn prose(page: &str) -> String {
    let mut prose = String::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // What stands in an even place is outside of the backticks.
            let outside: Vec<_> = line.split('`').step_by(2).collect();
            prose += &outside.join("x");
            prose.push('\n');
        }
    }
    prose
}

/// The targets of `[…](target)`, `[…]: target` and `src="target"`.
fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = prose.lines().filter_map(|line| {
        let (name, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!name.contains(']')).then_some(target)
    });
    let pictures = prose.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    inline.chain(defined).chain(pictures).map(|target| target.trim().to_owned()).collect()
}

/// A heading's anchor, as GitHub makes it.
fn anchors(page: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) else { continue };
        let anchor: String = heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let twins = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(if twins == 0 { anchor } else { format!("{anchor}-{twins}") });
    }
    anchors
}

fn problem(page: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_owned(),
        path => page.parent().unwrap().join(path),
    };
    if !file.exists() {
        return Some("there is no such file".into());
    }
    if !anchor.is_empty() {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if !anchors(&text).iter().any(|known| known == anchor) {
            return Some("there is no such heading".into());
        }
    }
    None
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 15, "these are not all pages: {pages:?}");
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in &pages {
        for target in targets(&fs::read_to_string(page).unwrap()) {
            links += 1;
            if let Some(problem) = problem(page, &target) {
                let page = page.strip_prefix(root()).unwrap();
                wrong.push(format!("{}: {target}: {problem}", page.display()));
            }
        }
    }
    assert!(links > 50, "these are not all links: {links}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let mut reached = vec![root().join("README.md")];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        for target in targets(&fs::read_to_string(&page).unwrap_or_default()) {
            let path = page.parent().unwrap().join(target.split('#').next().unwrap_or_default());
            let Ok(path) = path.canonicalize() else { continue };
            if path.extension().is_some_and(|it| it == "md") && !reached.contains(&path) {
                reached.push(path);
            }
        }
    }
    for page in pages() {
        let is_ours = page.parent() == Some(&root().join("docs"));
        assert!(!is_ours || reached.contains(&page.canonicalize().unwrap()), "{}", page.display());
    }
}

#[test]
fn links_in_code_do_not_count_and_anchors_are_githubs() {
    let page = "[a](b.md#c) `[x](y)` [d][e]\n```\n[f](g)\n```\n[e]: h.md\n![i](j.svg)\n<img src=\"k.svg\">\n";
    assert_eq!(targets(page), ["b.md#c", "j.svg", "h.md", "k.svg"]);
    let page = "# From C\n## `Retry-After`\n## C's other codes\n```sh\n# no\n```\n## From C\n";
    assert_eq!(anchors(page), ["from-c", "retry-after", "cs-other-codes", "from-c-1"]);
}
