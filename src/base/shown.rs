//! Texts from outside as errors, logs and `status` show them: what a server answers, and what stands
//! in a store's entry, where somebody else may have put it.

use zeroize::Zeroizing;

/// So many characters of one text are shown.
pub(crate) const LONGEST: usize = 200;

/// Of a longer line this much of the end is kept: there an error of ours says how to fix it.
const LONGEST_END: usize = 79;

/// A text as it is shown: one line, of so many visible characters at most.
pub(crate) fn shown(text: &str) -> String {
    shortened(&one_line(text))
}

/// A line without its middle where it is too long.
pub(crate) fn shortened(line: &str) -> String {
    let count = line.chars().count();
    if count <= LONGEST {
        return line.to_owned();
    }
    let start = line.chars().take(LONGEST - LONGEST_END - 1);
    start.chain(['…']).chain(line.chars().skip(count - LONGEST_END)).collect()
}

/// With one space wherever there is white space or a control character, without what is not seen,
/// and with one mark at most on a letter.
pub(crate) fn one_line(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    let (mut is_gap, mut is_marked) = (false, true);
    for c in text.chars() {
        if is_invisible(c) || is_mark(c) && is_marked {
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            is_gap = true;
            continue;
        }
        if is_gap && !line.is_empty() {
            line.push(' ');
        }
        is_gap = false;
        is_marked = is_mark(c);
        line.push(c);
    }
    line
}

/// Format characters, fillers, selectors, tags, and what is private or no character (Unicode's
/// Default_Ignorable_Code_Point, Cf, Co, Cn as far as they are in use).
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2
        | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x202a..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xe000..=0xf8ff
        | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xffff
        | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
        | 0xe0000..)
}

/// Marks that are drawn onto the letter before.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f
        | 0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0x302a..=0x302f | 0x3099..=0x309a | 0xfe20..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_one_line_of_two_hundred_characters_that_are_seen() {
        for (text, line) in [
            ("two\nlines\r\n\tand\u{2028}more\u{85}", "two lines and more"),
            ("\u{202e}drow\u{202c} \u{2066}x\u{2069}\u{61c}\u{200f}", "drow x"),
            ("a\u{200b}b\u{200c}c\u{200d}d\u{2060}e\u{feff}f\u{ad}g", "abcdefg"),
            ("\u{1b}[31mred\u{7}\u{0}", "[31mred"),
            ("e\u{301}\u{302}\u{303}", "e\u{301}"),
            ("\u{301}\u{e0041}\u{fe0f}\u{3164}", ""),
            ("contraseña inválida – 無効", "contraseña inválida – 無効"),
        ] {
            assert_eq!(shown(text), line, "{text:?}");
        }
        let [whole, long] = [200, 201].map(|count| "0123456789".repeat(30)[..count].to_owned());
        assert_eq!(shown(&whole), whole);
        let cut = shown(&long);
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(long.starts_with(&cut[..120]) && cut.contains("…") && cut.ends_with(&long[122..]));
        let hidden = format!("a{}b", "\u{202e}\u{200b}".repeat(100_000));
        assert_eq!(shown(&hidden), "ab");
    }
}
