//! A file of the user's own for curl's `--config`: it may hold any option but those that would lead
//! the token to a host that nobody has checked.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::TRUSTED;
use super::arguments::Arguments;
use crate::settings::is_no_file;

/// A larger file holds no options.
const LARGEST: u64 = 1024 * 1024;

/// Why curl is not run with this file.
pub(super) fn check(path: &OsStr) -> Result<(), String> {
    let cannot = |why: &str| {
        format!(
            "curl: --config: {why}, so it cannot be checked where its options would send the token; name a regular file"
        )
    };
    let path = Path::new(path);
    if path == "-" || is_no_file(path) {
        return Err(cannot("it is no regular file"));
    }
    let mut text = Zeroizing::new(Vec::new());
    let file = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    file.map_err(|error| cannot(&format!("it cannot be read ({error})")))?;
    if text.len() as u64 > LARGEST {
        return Err(cannot("it is larger than 1 MiB"));
    }
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if let Some(problem) = problem(&String::from_utf8_lossy(line)) {
            return Err(format!("curl: --config: line {}: {problem}", at + 1));
        }
    }
    Ok(())
}

/// What is wrong with a line: an option, and after white space, `=` or `:` its value. The line is not
/// repeated: it may hold a password.
fn problem(line: &str) -> Option<&'static str> {
    const ADDRESS: &str = "an address, which has to stand among the arguments, where it is checked";
    const ANOTHER: &str = "it begins another call, or names another file; write that as arguments";
    let line = line.trim_start();
    let is_dashed = line.starts_with('-');
    let is_end = |c: char| c.is_whitespace() || (!is_dashed && matches!(c, '=' | ':'));
    let word = line.split(is_end).next().unwrap_or_default();
    let word = if is_dashed { word.to_owned() } else { format!("--{word}") };
    let option = Arguments::read(vec![word.into()]);
    option.parts.iter().find_map(|part| match part.name.as_str() {
        // It adds to an address, and names none.
        "url-query" => None,
        "location-trusted" => Some(TRUSTED),
        name if name.starts_with("ur") => Some(ADDRESS),
        name if name == "next" || name.starts_with("conf") => Some(ANOTHER),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_leads_elsewhere_is_found_however_it_is_written() {
        for line in [
            "url = \"https://evil.example\"",
            "url=https://evil.example",
            "  url: https://evil.example",
            "--url https://evil.example",
            "url\thttps://evil.example",
            "expand-url = \"{{x}}\"",
            "location-trusted",
            "--location-trus",
            "next",
            "-:",
            "config = other",
            "--config other",
            "-K other",
            "-sKother",
            "conf other",
        ] {
            assert!(problem(line).is_some(), "{line}");
        }
        for line in [
            "",
            "# url = https://evil.example",
            "header = \"X-Url: https://api.example\"",
            "user = \"me:not-a-real-secret\"",
            "-s",
            "-H \"Key: K\"",
            "-uKey:K",
            "-HKey: K",
            "location",
            "silent",
            "url-query = \"a=b\"",
            "connect-timeout = 5",
        ] {
            assert_eq!(problem(line), None, "{line}");
        }
    }
}
