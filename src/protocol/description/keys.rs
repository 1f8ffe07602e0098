//! The keys of a description: which there are, and each read with its own sentence.

use std::fmt;
use std::ops::{Deref, RangeInclusive};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::types::error::{Error, Result};

pub(super) const KNOWN: [&str; 29] = [
    "name",
    "token_endpoint",
    "sandbox",
    "production",
    "auth",
    "renewal",
    "method",
    "body",
    "scope",
    "fields",
    "headers",
    "token",
    "expires_in",
    "expires_at",
    "jwt_expiry",
    "lifetime",
    "renew_from",
    "header",
    "prefix",
    "api",
    "refusals_per_hour",
    "basic_encoding",
    "signing_alg",
    "kid",
    "assertion_audience",
    "title",
    "prefix_of_variables",
    "secrets",
    "identity",
];

/// What settings of an account are called: no placeholder is.
const SETTINGS: [&str; 27] = [
    "provider",
    "environment",
    "base_url",
    "ca",
    "certificate",
    "private_key",
    "client_cert",
    "client_key",
    "assertion_key",
    "kid",
    "scope",
    "label",
    "name",
    "proxy",
    "retries",
    "user_agent",
    "timeout",
    "connect_timeout",
    "require_store",
    "accept_unsealed",
    "store",
    "store_ca",
    "store_certificate",
    "store_key_file",
    "store_private_key",
    "certificate_warning",
    "store_key",
];

/// The error for what this key says.
pub(super) fn bad(key: &str, problem: &str) -> Error {
    Error::configuration(format!("{key}: {problem}"))
}

/// A name that others wrote, as an error may repeat it.
pub(super) fn shown_name(name: &str) -> String {
    crate::base::shown::shown(name)
}

/// The members of an object, in their order, each once.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, &RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if pairs.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("{name} stands there twice")));
                    }
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// What stands in a header or a field.
#[derive(PartialEq)]
pub(super) enum Value {
    /// The account's value of this name.
    Placeholder(String),
    Text(String),
    /// A number, true or false.
    Literal(String),
    Table(Members),
}

/// Headers, fields, or what is in a table of these: the same in whatever order, as a map of many a language
/// has none.
#[derive(Default)]
pub(super) struct Members(Vec<(String, Value)>);

impl Deref for Members {
    type Target = [(String, Value)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|member| other.contains(member))
    }
}

impl Value {
    pub(super) fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// Itself, or what is in the table.
    pub(super) fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::Table(members) => members.iter().flat_map(|(_, value)| value.leaves()).collect(),
            leaf => vec![leaf],
        }
    }

    fn of(key: &str, name: &str, json: &RawValue, depth: usize) -> Result<Self> {
        let name = shown_name(name);
        let json = json.get();
        match json.as_bytes()[0] {
            b'"' => {
                let text = text(json)
                    .ok_or_else(|| bad(key, &format!("{name} is not text that can be sent")))?;
                if text.contains(char::is_control) {
                    return Err(bad(key, &format!("{name} holds a control character; remove it")));
                }
                match placeholder(&text) {
                    Some(Ok(placeholder)) => Ok(Self::Placeholder(placeholder.to_owned())),
                    Some(Err(problem)) => Err(bad(key, &format!("{name} {problem}"))),
                    None => Ok(Self::Text(text)),
                }
            }
            b'{' if depth < 8 => {
                let pairs =
                    pairs(json).map_err(|problem| bad(key, &format!("{name}: {problem}")))?;
                Ok(Self::Table(values(key, pairs, depth + 1)?))
            }
            b'-' | b'0'..=b'9' | b't' | b'f' => Ok(Self::Literal(json.to_owned())),
            _ => Err(bad(
                key,
                &format!("{name} has to be a text, a number, true or false, or a table of these"),
            )),
        }
    }
}

fn values(key: &str, pairs: Pairs<'_>, depth: usize) -> Result<Members> {
    let value = |(name, json): (String, &RawValue)| {
        let problem = if name.is_empty() {
            "a name is empty; give it one".to_owned()
        } else if name.contains(|c: char| c.is_control() || matches!(c, '{' | '}')) {
            format!(
                "{}: a name holds neither control characters nor a placeholder",
                shown_name(&name)
            )
        } else {
            let value = Value::of(key, &name, json, depth)?;
            return Ok((name, value));
        };
        Err(bad(key, &problem))
    };
    pairs.0.into_iter().map(value).collect::<Result<_>>().map(Members)
}

/// The name of a placeholder; or what is wrong with what looks like one.
pub(super) fn placeholder(text: &str) -> Option<std::result::Result<&str, &'static str>> {
    if !text.contains('{') || !text.contains('}') {
        return None;
    }
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    Some(match name {
        Some(name) if is_placeholder_name(name) => match problem_of(name) {
            Some(problem) => Err(problem),
            None => Ok(name),
        },
        _ => Err(
            "has a placeholder in it that is not the whole value: a value is text, or {name} alone, of a-z, 0-9 and _",
        ),
    })
}

fn is_placeholder_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn problem_of(name: &str) -> Option<&'static str> {
    let is_way = ["_file", "_command"].iter().any(|end| name.ends_with(end));
    (SETTINGS.contains(&name) || is_way)
        .then_some("is a setting's name, and no placeholder; call it otherwise")
}

/// `None` where the JSON is no string, or half of a surrogate pair.
fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn pairs(json: &str) -> std::result::Result<Pairs<'_>, String> {
    serde_json::from_str(json).map_err(|error| {
        let text = error.to_string();
        let twice = text.split(" stands there twice").next().filter(|_| text.contains(" twice"));
        match twice {
            Some(name) => format!("{} stands there twice; keep one", shown_name(name)),
            None => format!("not JSON (line {}, column {})", error.line(), error.column()),
        }
    })
}

/// The keys that are left to read.
pub(super) struct Keys<'a>(Pairs<'a>);

impl<'a> Keys<'a> {
    pub(super) fn of(json: &'a str) -> Result<Self> {
        let json = json.trim_start_matches('\u{feff}').trim();
        if !json.starts_with('{') {
            return Err(Error::configuration(
                "description: has to be a JSON object, such as {\"name\": \"acme\", …}",
            ));
        }
        pairs(json).map(Self).map_err(|problem| bad("description", &problem))
    }

    /// Every key has to be one that there is.
    pub(super) fn check_known(&self) -> Result<()> {
        let Some((key, _)) = self.0.0.iter().find(|(key, _)| !KNOWN.contains(&&**key)) else {
            return Ok(());
        };
        let in_common = |known: &str| {
            let letters = |text: &str| -> Vec<char> {
                text.chars()
                    .filter(char::is_ascii_alphabetic)
                    .map(|c| c.to_ascii_lowercase())
                    .collect()
            };
            letters(key)
                .iter()
                .zip(letters(known))
                .take_while(|(one, other)| **one == *other)
                .count()
        };
        // Of several the longest: others call the endpoint token_url.
        let close = KNOWN.into_iter().max_by_key(|known| (in_common(known), known.len()));
        Err(bad(
            &shown_name(key),
            &match close.filter(|known| in_common(known) >= 3) {
                Some(close) => format!("not known; did you mean {close}?"),
                None => format!("not known; the keys are {}", KNOWN.join(", ")),
            },
        ))
    }

    fn take(&mut self, key: &str) -> Option<&'a RawValue> {
        let at = self.0.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.0.remove(at).1)
    }

    pub(super) fn required(&mut self, key: &str, what: &str) -> Result<String> {
        self.text(key)?.ok_or_else(|| bad(key, &format!("not set; it is {what}")))
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        let Some(json) = self.take(key) else { return Ok(None) };
        let text = text(json.get()).ok_or_else(|| bad(key, "has to be a text"))?;
        match text.contains(char::is_control) {
            true => Err(bad(key, "holds a control character; remove it")),
            false => Ok(Some(text)),
        }
    }

    /// One that is not empty.
    pub(super) fn shown_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.text(key)? {
            Some(text) if text.trim().is_empty() => Err(bad(key, "is empty; set it, or remove it")),
            text => Ok(text),
        }
    }

    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        self.check_word(key, words)?;
        let text = self.text(key)?;
        Ok(text.and_then(|text| words.iter().find(|(word, _)| *word == text)).map(|(_, is)| *is))
    }

    pub(super) fn check_word<T>(&self, key: &str, words: &[(&str, T)]) -> Result<()> {
        let Some((_, json)) = self.0.0.iter().find(|(known, _)| known == key) else {
            return Ok(());
        };
        match text(json.get()) {
            Some(text) if words.iter().any(|(word, _)| *word == text) => Ok(()),
            _ => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(bad(key, &format!("not known; use {}", words.join(" or "))))
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(bad(key, "has to be true or false")),
        }
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let Some(json) = self.take(key) else { return Ok(None) };
        match json.get().parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(bad(
                key,
                &format!("has to be a whole number from {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A JSON pointer (RFC 6901).
    pub(super) fn pointer(&mut self, key: &str) -> Result<Option<String>> {
        let Some(json) = self.take(key) else { return Ok(None) };
        let is_fine = |text: &String| is_pointer(text) && (key == "token" || !text.is_empty());
        match text(json.get()).filter(is_fine) {
            Some(text) => Ok(Some(text)),
            None => Err(bad(
                key,
                match key {
                    "token" => {
                        "has to be a JSON pointer to the token in the answer, such as \"/access_token\"; \"\" where the whole answer is the token"
                    }
                    "expires_in" => {
                        "has to be a JSON pointer to the seconds in the answer, such as \"/expires_in\"; how long a token lives by the provider's documents goes into lifetime"
                    }
                    _ => {
                        "has to be a JSON pointer to the date in the answer, such as \"/expires_at\""
                    }
                },
            )),
        }
    }

    /// `"30m"`.
    pub(super) fn time(&mut self, key: &str) -> Result<Option<Duration>> {
        const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
        let Some(json) = self.take(key) else { return Ok(None) };
        let seconds = text(json.get()).and_then(|text| {
            let (number, length) =
                UNITS.iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, length)))?;
            let is_number = number.bytes().all(|b| b.is_ascii_digit());
            number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(*length)
        });
        match seconds.filter(|seconds| (1..=10 * 366 * 86_400).contains(seconds)) {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => Err(bad(
                key,
                "has to be a text of a number and its unit: \"90s\", \"30m\", \"12h\" or \"1d\"",
            )),
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let Some(json) = self.take(key) else { return Ok(Vec::new()) };
        serde_json::from_str(json.get()).map_err(|_| bad(key, "has to be a list of texts"))
    }

    /// Of placeholders.
    pub(super) fn names(&mut self, key: &str) -> Result<Vec<String>> {
        let names = self.texts(key)?;
        for (index, name) in names.iter().enumerate() {
            let problem = if matches!(&**name, "client_id" | "client_secret") {
                "needs not stand here: it is known what it is; remove it"
            } else if !is_placeholder_name(name) {
                // Not repeated: it may be the secret itself.
                return Err(bad(
                    key,
                    "holds what is no placeholder's name; use a-z, 0-9 and _, without braces",
                ));
            } else if let Some(problem) = problem_of(name) {
                problem
            } else if names[..index].contains(name) {
                "stands there twice; keep one"
            } else {
                continue;
            };
            return Err(bad(key, &format!("{} {problem}", shown_name(name))));
        }
        Ok(names)
    }

    /// Headers, or fields.
    pub(super) fn members(&mut self, key: &str) -> Result<Members> {
        let Some(json) = self.take(key) else { return Ok(Members::default()) };
        if !json.get().starts_with('{') {
            return Err(bad(key, "has to be a table of names and values"));
        }
        let pairs = pairs(json.get()).map_err(|problem| bad(key, &problem))?;
        values(key, pairs, 0)
    }
}

fn is_pointer(text: &str) -> bool {
    let is_escape = |rest: &str| rest.starts_with(['0', '1']);
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(is_escape)
        && !text.contains(char::is_control)
}
