//! JSON without leftovers: secrets are borrowed from what is read, or unescaped into memory that is
//! wiped, and what is written goes into memory that does not grow.
//!
//! No error of serde's leaves this file: it can quote what it read.

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The members of an object that others wrote. Where a name comes twice, the last one counts.
pub(crate) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// `None` where it is not an object.
    pub(crate) fn of(json: &'a RawValue) -> Option<Self> {
        // An error about a string that should be an object would be a copy of it.
        let is_object = json.get().starts_with('{');
        is_object.then(|| serde_json::from_str(json.get()).ok()).flatten().map(Self)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// As [`at`], from here.
    pub(crate) fn at(&self, pointer: &str) -> Option<Option<&'a RawValue>> {
        let (name, rest) = first_of(pointer)?;
        self.get(&name).map_or(Some(None), |json| at(json, rest))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// `None` where it is no JSON that anybody can use.
    pub(crate) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<Member<T>> {
        self.get(name).map_or(Some(Member::Absent), Member::of)
    }
}

/// What a JSON pointer (RFC 6901) points to: `Some(None)` where nothing stands there, `None` where what
/// is on the way is no JSON that anybody can use.
pub(crate) fn at<'a>(json: &'a RawValue, pointer: &str) -> Option<Option<&'a RawValue>> {
    let Some((name, rest)) = first_of(pointer) else { return Some(Some(json)) };
    match json.get().as_bytes()[0] {
        b'{' => Members::of(json)?.at(pointer),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
            let is_index = name == "0" || !name.starts_with(['0', '+']);
            let item = name.parse().ok().filter(|_| is_index);
            item.and_then(|at: usize| items.get(at)).map_or(Some(None), |item| at(item, rest))
        }
        _ => Some(None),
    }
}

/// The first name of a pointer, and what follows it.
fn first_of(pointer: &str) -> Option<(String, &str)> {
    let names = pointer.strip_prefix('/')?;
    let (name, rest) = names.split_at(names.find('/').unwrap_or(names.len()));
    Some((name.replace("~1", "/").replace("~0", "~"), rest))
}

/// One of the members.
#[derive(Default)]
pub(crate) enum Member<T> {
    /// Not there, or `null`.
    #[default]
    Absent,
    Is(T),
    /// There, but of another type.
    IsNot,
}

impl<T> Member<T> {
    pub(crate) fn ok(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::IsNot => None,
        }
    }

    /// What `read` makes of it. What it cannot read is of another type, too.
    pub(crate) fn and_then<U>(self, read: impl FnOnce(T) -> Option<U>) -> Member<U> {
        match self {
            Self::Absent => Member::Absent,
            Self::Is(value) => read(value).map_or(Member::IsNot, Member::Is),
            Self::IsNot => Member::IsNot,
        }
    }
}

impl<'a, T: Deserialize<'a>> Member<T> {
    pub(crate) fn of(json: &'a RawValue) -> Option<Self> {
        if json.get() == "null" {
            return Some(Self::Absent);
        }
        match serde_json::from_str(json.get()) {
            Ok(value) => Some(Self::Is(value)),
            Err(error) if error.is_data() => Some(Self::IsNot),
            // A number beyond all bounds, half of a surrogate pair: no JSON that anybody can use.
            Err(_) => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        Self::of(json).ok_or_else(|| D::Error::custom("malformed"))
    }
}

/// A string that may be a secret: borrowed, or wiped when it goes.
pub(crate) enum SecretText<'a> {
    Borrowed(&'a str),
    Unescaped(Zeroizing<String>),
}

impl SecretText<'_> {
    pub(crate) fn into_owned(self) -> Zeroizing<String> {
        match self {
            Self::Borrowed(text) => Zeroizing::new(text.to_owned()),
            Self::Unescaped(text) => text,
        }
    }
}

impl Deref for SecretText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for SecretText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        let text = json.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = text.ok_or_else(|| D::Error::custom("not a string"))?;
        Ok(match text.contains('\\') {
            true => Self::Unescaped(unescaped(text)),
            false => Self::Borrowed(text),
        })
    }
}

/// A string's text without its escapes. serde_json would undo them in memory that it does not wipe.
fn unescaped(text: &str) -> Zeroizing<String> {
    // No escape is shorter than what it stands for, so this never grows.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut after = escape.chars();
        plain.push(match after.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => code_point(&mut after),
            Some(itself) => itself,
            None => char::REPLACEMENT_CHARACTER,
        });
        rest = after.as_str();
    }
    plain.push_str(rest);
    plain
}

/// What follows `\u`: four digits, and another escape where they are the first half of a pair.
fn code_point(after: &mut std::str::Chars<'_>) -> char {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let Some(first) = unit(after.as_str()) else {
        return char::REPLACEMENT_CHARACTER;
    };
    *after = after.as_str()[4..].chars();
    let second = after.as_str().strip_prefix("\\u").and_then(unit);
    let mut decoded = char::decode_utf16([first].into_iter().chain(second));
    let is_pair = matches!(first, 0xD800..=0xDBFF);
    match decoded.next() {
        Some(Ok(character)) => {
            if is_pair {
                *after = after.as_str()[6..].chars();
            }
            character
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// A number, or a string that may hold one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum NumberOrText {
    Number(f64),
    Text(String),
}

impl NumberOrText {
    pub(crate) fn number(&self) -> Option<f64> {
        let text = match self {
            Self::Number(number) => return Some(*number),
            Self::Text(text) => text.trim(),
        };
        // "inf" and "nan" are numbers to Rust, not here.
        let is_numeric = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
        text.bytes().all(is_numeric).then(|| text.parse().ok()).flatten()
    }
}

/// As JSON, in memory sized at once: growing would leave an unwiped copy behind.
pub(crate) fn to_wiped_vec(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut size = Count(0);
    serde_json::to_writer(&mut size, value).expect("text and numbers are JSON, and counting works");
    let mut json = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *json, value).expect("the same, and a Vec takes it");
    json
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_into_memory_of_its_size() {
        let value = "\"\\\u{1}\u{7f}/ñ".repeat(50);
        let json = to_wiped_vec(&[&value, ""]);
        assert_eq!(serde_json::from_slice::<Vec<String>>(&json).unwrap(), [&value, ""]);
        assert_eq!(json.capacity(), json.len());
    }

    fn secret(json: &str) -> SecretText<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_secret_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(secret("\"a/b\""), SecretText::Borrowed("a/b")));
        assert!(matches!(secret("\"a\\/b\""), SecretText::Unescaped(text) if *text == "a/b"));
        assert!(serde_json::from_str::<SecretText<'_>>("7").is_err());
    }

    #[test]
    fn escapes_are_undone_as_serde_json_undoes_them() {
        for json in [
            r#""\/""#,
            r#""a\"b\\c\/d\be\ff\ng\rh\ti""#,
            r#""\u0041\u00f1\u20AC\ud83d\ude00z""#,
            r#""\ud83d\ude00\ud83d\ude00""#,
            r#""\\u0041""#,
            r#""\\\\""#,
            r#""ñ\u000añ""#,
        ] {
            let expected: String = serde_json::from_str(json).unwrap();
            assert_eq!(&*secret(json), expected, "{json}");
            let SecretText::Unescaped(text) = secret(json) else { panic!("{json} has escapes") };
            assert_eq!(text.capacity(), json.len() - 2, "{json}: it grew");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_character() {
        for (json, expected) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00a""#, "\u{fffd}a"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
        ] {
            assert_eq!(&*secret(json), expected, "{json}");
        }
    }

    fn members(json: &str) -> Option<Members<'_>> {
        Members::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_last_of_two_members_counts_and_unknown_ones_do_not() {
        let answer = members(r#"{"token":"a","x":[1,{}],"token":"b","life":null}"#).unwrap();
        let token = answer.read::<SecretText<'_>>("token");
        assert!(matches!(token, Some(Member::Is(token)) if &*token == "b"));
        assert!(matches!(answer.read::<NumberOrText>("life"), Some(Member::Absent)));
        assert!(matches!(answer.read::<NumberOrText>("other"), Some(Member::Absent)));
        let answer = members(r#"{"\u0074oken":7,"life":[]}"#).unwrap();
        assert!(matches!(answer.read::<SecretText<'_>>("token"), Some(Member::IsNot)));
        assert!(matches!(answer.read::<NumberOrText>("life"), Some(Member::IsNot)));
        for no_object in ["[]", "\"token\"", "7", "null", r#"{"\ud83d":1}"#] {
            assert!(members(no_object).is_none(), "{no_object}");
        }
    }

    #[test]
    fn a_number_may_be_text_but_not_beyond_all_bounds() {
        for (json, expected) in [
            ("600", Some(600.0)),
            ("-1.5e2", Some(-150.0)),
            ("18446744073709551615", Some(18_446_744_073_709_551_615.0)),
            ("\" 600 \"", Some(600.0)),
            ("\"\\u0036\"", Some(6.0)),
            ("\"nan\"", None),
            ("\"inf\"", None),
            ("\"\"", None),
            ("\"soon\"", None),
        ] {
            let json = format!("{{\"life\":{json}}}");
            let life = members(&json).unwrap().read::<NumberOrText>("life").and_then(Member::ok);
            assert_eq!(life.unwrap().number(), expected, "{json}");
        }
        assert!(members(r#"{"life":1e999}"#).unwrap().read::<NumberOrText>("life").is_none());
    }
}
