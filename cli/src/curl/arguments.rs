//! curl's arguments, taken apart into one option a word: only what was taken apart is passed on, so that
//! curl reads nothing else in them than we do.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::options::{self, Known, Source, Takes};
use crate::settings::is_no_file;

pub(super) struct Arguments(Vec<Part>);

/// A file's device, number and size, and when it was changed.
pub(super) type Stamp = ([u64; 3], [(i64, i64); 2]);

/// An option with its value, a switch, or an address.
type Part = (Known, Option<OsString>);

impl Arguments {
    /// Why they are not passed on, in the error. `token` names the token's header.
    pub(super) fn read(words: &[OsString], token: &str) -> Result<Self, String> {
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
                let (name, takes) =
                    options::known(name, by_letter).ok_or_else(|| refusal(name, by_letter))?;
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
        arguments.check(token).map(|()| arguments)
    }

    fn check(&self, token: &str) -> Result<(), String> {
        for ((name, takes), value) in &self.0 {
            let value = value.as_deref().unwrap_or_default();
            takes.check(value, token).map_err(|reason| format!("--{name}: {reason}"))?;
            // Those around an IPv6 address are none.
            let is_glob = |(at, byte): (usize, &u8)| {
                *byte == b'{' || *byte == b'[' && at != "https://".len() && at != "http://".len()
            };
            if matches!(takes, Takes::Address | Takes::File)
                && !self.has("globoff")
                && value.as_bytes().iter().enumerate().any(is_glob)
            {
                return Err("curl would make several calls of {…} or […] in a name; write each, or say --globoff where they are part of it".into());
            }
        }
        match self.calls() {
            0 => Err("no address; write it as https://…".into()),
            // Heads and bodies come by two ways.
            2.. if self.values(Takes::Heads).any(|path| path == "-") => {
                Err("--dump-header: - is for one address; for several, use --include".into())
            }
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
        let is_odd = |path: &Path| path != Path::new("/dev/null") && is_no_file(path);
        let sends = self
            .0
            .iter()
            .any(|((_, takes), value)| takes.sends(value.as_deref().unwrap_or_default()));
        if self.sources().any(|source| source == Source::Unknown) {
            Some("what its form reads is not known here (a list, quotes, @ or ; in a text)")
        } else if self
            .sources()
            .any(|source| matches!(source, Source::File(path) if is_odd(path.as_ref())))
        {
            Some("it reads from a pipe, which is read once")
        } else if self.sources().filter(|source| *source == Source::Stdin).count() > 1 {
            Some("it reads stdin more than once")
        } else if self.outputs().any(|path| is_odd(&path)) {
            Some("it writes to what is no file, where the first answer stays")
        } else if self.calls() > 1 && sends {
            // curl sends a request again by itself where a connection that it used before has ended.
            Some("several calls may have done something")
        } else {
            None
        }
    }

    /// What says of each file that is sent whether it is still the same.
    pub(super) fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &OsStr| {
            let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
            let changed = [(file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())];
            Some(([file.dev(), file.ino(), file.size()], changed))
        };
        self.sources()
            .filter_map(|source| match source {
                Source::File(path) => Some(stamp(path)),
                Source::Stdin => Some(stamp(OsStr::new("/dev/stdin"))),
                _ => None,
            })
            .collect()
    }

    /// Where curl writes answers and heads.
    fn outputs(&self) -> impl Iterator<Item = PathBuf> {
        let folder = Path::new(self.values(Takes::Folder).last().unwrap_or_default());
        let is_by_name = self.has("remote-name") || self.has("remote-name-all");
        let name = |address: &OsStr| {
            let path = address.as_bytes().split(|byte| b"?#".contains(byte)).next();
            let name = path.and_then(|path| path.rsplit(|byte| *byte == b'/').next());
            folder.join(OsStr::from_bytes(name.unwrap_or_default()))
        };
        let named = self.values(Takes::Address).filter(move |_| is_by_name).map(name);
        let given = self.values(Takes::Output).filter(|path| *path != "-");
        let heads = self.values(Takes::Heads).filter(|path| *path != "-").map(PathBuf::from);
        given.map(|path| folder.join(path)).chain(named).chain(heads)
    }

    fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.0.iter().map(|((_, takes), value)| takes.source(value.as_deref().unwrap_or_default()))
    }
}

/// A word that is no plain one may be a secret.
fn refusal(name: &[u8], by_letter: bool) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:#".contains(&byte);
    let name = String::from_utf8_lossy(name);
    if let Some((known, _)) = name.split_once('=')
        && options::known(known.as_bytes(), false).is_some()
    {
        return format!("--{known}: write its value as a word of its own, without =");
    }
    let shown = match name.len() < 40 && name.bytes().all(is_plain) {
        true if by_letter => format!("-{name}"),
        true => format!("--{name}"),
        false => "an option".into(),
    };
    format!("{shown} is not passed on: {}", options::reason(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Arguments::read(&words, "authorization")
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
            &["-D", "-", "https://a", "https://b"],
            &["-\n", "https://a"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
        let shown = read(&["--pass\u{1b}word-of-mine", "https://a"]).map(drop).unwrap_err();
        assert!(shown.starts_with("an option is not passed on"), "{shown}");
    }
}
