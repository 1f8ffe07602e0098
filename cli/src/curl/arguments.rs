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
struct Part {
    option: Known,
    value: Option<OsString>,
}

impl Arguments {
    /// Why they are not passed on, in the error. `token` names the token's header.
    pub(super) fn read(words: &[OsString], hosts: &Hosts, token: &str) -> Result<Self, String> {
        let address =
            |word: &OsString| Part { option: options::ADDRESS, value: Some(word.clone()) };
        let mut parts = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (mut shown, mut option, mut rest) = match word.as_bytes() {
                b"--" => {
                    parts.extend(words.by_ref().map(address));
                    break;
                }
                [b'-', b'-', name @ ..] => (name, options::named(name), &b""[..]),
                [b'-', letters @ ..] if !letters.is_empty() => lettered(letters),
                _ => {
                    parts.push(address(word));
                    continue;
                }
            };
            // Several letters in one word; the first that takes a value takes the rest of it.
            loop {
                let known = option.ok_or_else(|| refusal(shown))?;
                let value = match known.takes {
                    Takes::Nothing => None,
                    _ if !rest.is_empty() => {
                        Some(OsStr::from_bytes(std::mem::take(&mut rest)).into())
                    }
                    _ => Some(
                        words
                            .next()
                            .cloned()
                            .ok_or_else(|| format!("--{}: its value is missing", known.name))?,
                    ),
                };
                parts.push(Part { option: known, value });
                if rest.is_empty() {
                    break;
                }
                (shown, option, rest) = lettered(rest);
            }
        }
        let arguments = Self(parts);
        arguments.check(hosts, token).map(|()| arguments)
    }

    fn check(&self, hosts: &Hosts, token: &str) -> Result<(), String> {
        for Part { option, value } in &self.0 {
            let value = value.as_deref().unwrap_or_default();
            option
                .takes
                .check(value.as_bytes(), token)
                .map_err(|reason| format!("--{}: {reason}", option.name))?;
            if option.takes != Takes::Address {
                continue;
            }
            hosts.check(value)?;
            let path = value.as_bytes().splitn(4, |byte| *byte == b'/').nth(3).unwrap_or_default();
            if !self.has("globoff") && path.iter().any(|byte| b"{[".contains(byte)) {
                return Err("curl would make several calls of {…} or […] in an address; write each address, or say --globoff where they are part of it".into());
            }
        }
        match self.calls() {
            0 => Err("no address; write it as https://…".into()),
            _ => Ok(()),
        }
    }

    /// The words for curl, without those that `is_ours` names.
    pub(super) fn words(&self, is_ours: impl Fn(Takes) -> bool) -> impl Iterator<Item = OsString> {
        let passed_on = self.0.iter().filter(move |part| !is_ours(part.option.takes));
        passed_on.flat_map(|part| {
            [Some(format!("--{}", part.option.name).into()), part.value.clone()]
                .into_iter()
                .flatten()
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|part| part.option.name == name)
    }

    pub(super) fn values(&self, takes: Takes) -> impl Iterator<Item = &OsStr> {
        let parts = self.0.iter().filter(move |part| part.option.takes == takes);
        parts.filter_map(|part| part.value.as_deref())
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
        let is_read_once =
            |source: &Source<'_>| matches!(source, Source::File(path) if is_odd(path));
        if self.sources().any(|source| source == Source::Unknown) {
            Some("its form may read what can be read once only")
        } else if self.sources().any(|source| is_read_once(&source)) {
            Some("it reads from a pipe, which is read once")
        } else if self.values(Takes::Output).any(is_odd) {
            Some("it writes to what is no file, where the first answer stays")
        } else {
            None
        }
    }

    fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.0
            .iter()
            .map(|part| part.option.takes.source(part.value.as_deref().unwrap_or_default()))
    }
}

fn lettered(letters: &[u8]) -> (&[u8], Option<Known>, &[u8]) {
    let (letter, rest) = letters.split_at(1);
    (letter, options::lettered(letter[0]), rest)
}

/// A word that is no plain one may be a secret.
fn refusal(name: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.:#".contains(byte);
    let name = String::from_utf8_lossy(name);
    let shown = match name.len() {
        1 => format!("-{name}"),
        2..40 if name.bytes().all(|byte| is_plain(&byte)) => format!("--{name}"),
        _ => "an option".into(),
    };
    format!("{shown} is not passed on: {}", options::reason(&name))
}
