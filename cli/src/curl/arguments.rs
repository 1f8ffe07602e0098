//! curl's arguments, taken apart into one option a word: only what was taken apart is passed on, so that
//! curl reads nothing else in them than we do.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::address::Hosts;
use super::options::{self, Known, Source, Takes};
use crate::settings::is_no_file;

pub(super) struct Arguments(Vec<Part>);

/// An option with its value, a switch, or an address.
type Part = (Known, Option<OsString>);

impl Arguments {
    /// Why they are not passed on, in the error. `token` names the token's header.
    pub(super) fn read(words: &[OsString], hosts: &Hosts, token: &str) -> Result<Self, String> {
        let address = |word: &OsString| (options::ADDRESS, Some(word.clone()));
        let mut parts = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (by_letter, mut rest) = match word.as_bytes() {
                b"--" => {
                    parts.extend(words.by_ref().map(address));
                    break;
                }
                [b'-', b'-', name @ ..] => (false, name),
                [b'-', letters @ ..] if !letters.is_empty() => (true, letters),
                _ => {
                    parts.push(address(word));
                    continue;
                }
            };
            // Several letters in one word; the first that takes a value takes the rest of it.
            while !rest.is_empty() {
                let name =
                    rest.split_off(..if by_letter { 1 } else { rest.len() }).unwrap_or_default();
                let (name, takes) = options::known(name, by_letter).ok_or_else(|| refusal(name))?;
                let value = match takes {
                    Takes::Nothing => None,
                    _ if !rest.is_empty() => {
                        Some(OsStr::from_bytes(std::mem::take(&mut rest)).into())
                    }
                    _ => Some(
                        words.next().cloned().ok_or(format!("--{name}: its value is missing"))?,
                    ),
                };
                parts.push(((name, takes), value));
            }
        }
        let arguments = Self(parts);
        arguments.check(hosts, token).map(|()| arguments)
    }

    fn check(&self, hosts: &Hosts, token: &str) -> Result<(), String> {
        for ((name, takes), value) in &self.0 {
            let value = value.as_deref().unwrap_or_default();
            takes.check(value, token).map_err(|reason| format!("--{name}: {reason}"))?;
            if *takes == Takes::Address {
                hosts.check(value)?;
            }
            // Those around an IPv6 address are none.
            let is_glob =
                |at: usize, byte: u8| byte == b'{' || byte == b'[' && at != "https://".len();
            let mut bytes = value.as_bytes().iter().enumerate();
            if matches!(takes, Takes::Address | Takes::File)
                && !self.has("globoff")
                && bytes.any(|(at, byte)| is_glob(at, *byte))
            {
                return Err(format!(
                    "--{name}: curl would make several calls of {{…}} or […]; write each, or say --globoff where they are part of the name"
                ));
            }
        }
        match self.calls() {
            0 => Err("no address; write it as https://…".into()),
            _ => Ok(()),
        }
    }

    /// The words for curl, without those that `is_ours` names.
    pub(super) fn words(&self, is_ours: impl Fn(Takes) -> bool) -> impl Iterator<Item = OsString> {
        let passed_on = self.0.iter().filter(move |((_, takes), _)| !is_ours(*takes));
        let words = |((name, _), value): &Part| [Some(format!("--{name}").into()), value.clone()];
        passed_on.flat_map(words).flatten()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|((known, _), _)| *known == name)
    }

    pub(super) fn values(&self, takes: Takes) -> impl Iterator<Item = &OsStr> {
        let parts = self.0.iter().filter(move |((_, taken), _)| *taken == takes);
        parts.filter_map(|(_, value)| value.as_deref())
    }

    /// How many requests there are.
    pub(super) fn calls(&self) -> usize {
        self.values(Takes::Address).count()
    }

    pub(super) fn reads_stdin(&self) -> bool {
        self.sources().any(|source| source == Source::Stdin)
    }

    /// Why the same call could not be made again.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let is_odd = |path: &OsStr| path != "/dev/null" && is_no_file(Path::new(path));
        if self.sources().any(|source| source == Source::Unknown) {
            Some("its form may read what can be read once only")
        } else if self.sources().any(|source| matches!(source, Source::File(path) if is_odd(path)))
        {
            Some("it reads from a pipe, which is read once")
        } else if self.values(Takes::Output).any(is_odd) {
            Some("it writes to what is no file, where the first answer stays")
        } else {
            None
        }
    }

    fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.0.iter().map(|((_, takes), value)| takes.source(value.as_deref().unwrap_or_default()))
    }
}

/// A word that is no plain one may be a secret.
fn refusal(name: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:#".contains(&byte);
    let name = String::from_utf8_lossy(name);
    let shown = match name.len() {
        1 => format!("-{name}"),
        2..40 if name.bytes().all(is_plain) => format!("--{name}"),
        _ => "an option".into(),
    };
    format!("{shown} is not passed on: {}", options::reason(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let hosts = Hosts::new(Some("https://a"), &["b".into()]).unwrap();
        Arguments::read(&words, &hosts, "authorization")
    }

    #[test]
    fn each_option_is_passed_on_as_a_word_of_its_own_by_its_whole_name() {
        for (words, passed_on) in [
            (&["https://a"][..], "--url https://a"),
            (
                &["-fsSD", "h", "https://a"],
                "--fail --silent --show-error --dump-header h --url https://a",
            ),
            (&["-sSoout", "https://a"], "--silent --show-error --output out --url https://a"),
            (&["-qd", "BODY", "https://a"], "--disable --data BODY --url https://a"),
            (&["-XPOST", "https://a", "-d", "-L"], "--request POST --url https://a --data -L"),
            (&["-d", "--", "https://a"], "--data -- --url https://a"),
            (&["-d", "", "https://a"], "--data  --url https://a"),
            (&["--url", "https://a", "https://b/c"], "--url https://a --url https://b/c"),
            (&["-s", "--", "https://a", "https://b"], "--silent --url https://a --url https://b"),
            (&["-gs", "https://a/{b}"], "--globoff --silent --url https://a/{b}"),
            (&["https://a", "-T", "{b}", "-g"], "--url https://a --upload-file {b} --globoff"),
        ] {
            let arguments = read(words).unwrap();
            let shown: Vec<_> = arguments.words(|_| false).collect();
            assert_eq!(shown.join(OsStr::new(" ")), passed_on, "{words:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for words in [
            &["-L", "https://a"][..],
            &["-sL", "https://a"],
            &["--silen", "https://a"],
            &["--Silent", "https://a"],
            &["--no-silent", "https://a"],
            &["--expand-url", "https://a"],
            &["--data=x", "https://a"],
            &["--", "-s", "https://a"],
            &["-", "https://a"],
            &["---", "https://a"],
            &["--silent ", "https://a"],
            &["-s\u{e9}", "https://a"],
            &["https://a", "-d"],
            &["https://a", "-sd"],
            &["-s"],
            &[],
            &["-d", "https://a"],
            &["https://a?x={b,c}"],
            &["https://a/[1-2]"],
            &["https://a", "-T", "{b,c}"],
            &["https://a", "https://c"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
        let shown = read(&["--pass\u{1b}word-of-mine", "https://a"]).map(drop).unwrap_err();
        assert!(shown.starts_with("an option is not passed on"), "{shown}");
    }
}
