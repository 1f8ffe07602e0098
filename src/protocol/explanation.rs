//! What of a refusal's text may be shown: it is bounded, and cleaned of the credentials and of
//! anything that looks like a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::error_body::said_by;
use super::request::basic_pair;
use crate::base::json;
use crate::base::shown::{LONGEST, one_line, shortened};
use crate::credentials::Credentials;
use crate::credentials::certificate::UNRESERVED;
use crate::protocol::message::Response;
use crate::types::facts::BasicEncoding;

/// A run of token characters this long is not shown: it may be a token or a secret.
const LONGEST_WORD: usize = 24;
/// The same where the run holds a digit, as nearly every secret does.
const LONGEST_WORD_WITH_DIGIT: usize = 14;

/// ` (what the server says)`, or nothing.
pub(super) fn explanation(credentials: &Credentials, response: &Response) -> String {
    if let Some(encoding) = response.unasked_encoding() {
        return format!(" with a compressed body (Content-Encoding: {encoding})");
    }
    let is_html = response.content_type.as_deref().is_some_and(|kind| kind.contains("html"))
        || response.body.trim_ascii_start().starts_with(b"<");
    if is_html {
        return " with a web page instead of JSON".into();
    }
    // Sized at once, so that no growing leaves an unwiped copy behind.
    let mut text = Zeroizing::new(String::with_capacity(response.body.len() + 16));
    for said in said_by(&response.body) {
        let said = one_line(start_of(&said));
        if said.is_empty() || text.contains(said.as_str()) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
    }
    let shown = clean(&text, credentials);
    if shown.is_empty() {
        return shown;
    }
    format!(" ({})", shortened(&shown))
}

/// No more of one text is looked at: it is not shown to its end anyway.
const LONGEST_TEXT: usize = 2 * LONGEST;

fn start_of(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

/// The names of an answer's members, of which one may repeat what was sent, too.
pub(super) fn names(of: &str, credentials: &Credentials) -> String {
    shortened(&clean(of, credentials))
}

/// One line without the credentials, and without anything that looks like one.
fn clean(line: &str, credentials: &Credentials) -> String {
    let forms: Vec<_> =
        credentials.secrets().flat_map(|secret| forms(credentials.id(), secret)).collect();
    let text = redact(line, &forms);
    let mut shown = String::new();
    for word in text.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        if looks_secret(word) {
            shown.push_str("[…]");
        } else {
            shown.push_str(word);
        }
    }
    shown
}

/// No piece of a secret this long is shown; a shorter secret is not shown as a whole.
const LONGEST_PIECE: usize = 6;
/// The same in letters of the other case: they tell less, and a word of the answer is easily part
/// of a secret by chance.
const LONGEST_PIECE_IN_OTHER_CASE: usize = 10;

/// With `[redacted]` over every piece of these forms, also where it is spread over blanks, fields
/// or signs.
fn redact(line: &str, forms: &[Zeroizing<String>]) -> Zeroizing<String> {
    let mut is_hidden = vec![false; line.len()];
    for is_kept in [|_| true, is_visible, char::is_alphanumeric] {
        let places: Vec<usize> =
            line.char_indices().filter(|(_, c)| is_kept(*c)).map(|(place, _)| place).collect();
        for (longest, fold) in [
            (LONGEST_PIECE, char::to_owned as fn(&char) -> char),
            (LONGEST_PIECE_IN_OTHER_CASE, lower_case),
        ] {
            let text = squeezed(line, is_kept, fold);
            for form in forms {
                let whole = form.chars().count();
                let form = squeezed(form, is_kept, fold);
                let size = form.len().min(longest);
                // The few letters among many signs could stand in any word.
                if size == 0 || size < LONGEST_PIECE && form.len() < whole {
                    continue;
                }
                for (at, here) in text.windows(size).enumerate() {
                    if form.windows(size).any(|piece| piece == here) {
                        is_hidden[places[at]..=places[at + size - 1]].fill(true);
                    }
                }
            }
        }
    }
    let mut shown = Zeroizing::new(String::with_capacity(line.len() + 16));
    let mut was_hidden = false;
    for (place, c) in line.char_indices() {
        match (is_hidden[place], was_hidden) {
            (false, _) => shown.push(c),
            (true, false) => shown.push_str("[redacted]"),
            (true, true) => {}
        }
        was_hidden = is_hidden[place];
    }
    shown
}

fn lower_case(c: &char) -> char {
    c.to_lowercase().next().unwrap_or(*c)
}

fn is_visible(c: char) -> bool {
    !c.is_whitespace()
}

/// The characters that are kept, each of them folded.
fn squeezed(
    text: &str,
    is_kept: fn(char) -> bool,
    fold: fn(&char) -> char,
) -> Zeroizing<Vec<char>> {
    let mut squeezed = Zeroizing::new(Vec::with_capacity(text.len()));
    squeezed.extend(text.chars().filter(|c| is_kept(*c)).map(|c| fold(&c)));
    squeezed
}

/// A secret as it might be echoed: as it is, in the wrong encoding, escaped for JSON, HTML or a
/// URL, in base64 wherever it begins in what was encoded, or in hexadecimal digits. Each once, and
/// on one line, as the text is.
fn forms(id: &str, secret: &str) -> Vec<Zeroizing<String>> {
    let quoted = json::to_wiped_vec(&secret);
    let quoted = std::str::from_utf8(&quoted).unwrap_or_default();
    let quoted = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let mut html = replaced(secret, "&", "&amp;");
    for (plain, escaped) in [("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")] {
        html = replaced(&html, plain, escaped);
    }
    let mut forms = vec![
        one_line(secret),
        one_line(quoted),
        one_line(&replaced(quoted, "/", "\\/")),
        one_line(&html),
        Zeroizing::new(secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
    ];
    if !secret.is_ascii() {
        // What becomes of UTF-8 that is taken for Latin-1.
        let mut latin = Zeroizing::new(String::with_capacity(2 * secret.len()));
        latin.extend(secret.bytes().map(char::from));
        forms.push(one_line(&latin));
    }
    // A byte more before it moves all that follows; what that byte is mixed into is left out.
    for (before, mixed) in [(&b""[..], 0), (b"0", 2), (b"00", 3)] {
        let bytes = Zeroizing::new([before, secret.as_bytes()].concat());
        let base64 = Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes));
        forms.push(Zeroizing::new(base64.get(mixed..).unwrap_or_default().to_owned()));
    }
    for encoding in [BasicEncoding::None, BasicEncoding::Minimal, BasicEncoding::Form] {
        let pair = basic_pair(id, secret, encoding);
        let basic = Zeroizing::new(STANDARD_NO_PAD.encode(&*pair));
        // Where nothing has to be encoded, all three are the same.
        if !forms.contains(&basic) {
            forms.push(basic);
        }
    }
    for set in [NON_ALPHANUMERIC, UNRESERVED] {
        let mut escaped = Zeroizing::new(String::with_capacity(3 * secret.len()));
        escaped.extend(utf8_percent_encode(secret, set));
        forms.push(replaced(&escaped, "%20", "+"));
        forms.push(escaped);
    }
    forms
}

/// With one text in place of another, in memory sized at once: growing would leave an unwiped copy
/// behind.
fn replaced(text: &str, from: &str, to: &str) -> Zeroizing<String> {
    let size = text.len() + text.matches(from).count() * to.len();
    let mut result = Zeroizing::new(String::with_capacity(size));
    for (index, part) in text.split(from).enumerate() {
        if index > 0 {
            result.push_str(to);
        }
        result.push_str(part);
    }
    result
}

fn looks_secret(word: &str) -> bool {
    let is_token_byte = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=' | b'%' | b'~')
    };
    word.as_bytes().split(|byte| !is_token_byte(*byte)).any(|run| {
        run.len() > LONGEST_WORD
            || run.len() > LONGEST_WORD_WITH_DIGIT && run.iter().any(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn credentials(password: &str) -> Credentials {
        Credentials::NexterPay { user_name: "u".into(), password: Secret::from(password) }
    }

    #[test]
    fn an_explanation_shows_neither_the_secret_in_any_form_nor_what_looks_like_a_token() {
        let secret = "hunt+er \"2";
        let credentials = credentials(secret);
        let echoed = ["hunt%2Ber%20%222", "hunt%2ber+%222", "hunt+er &quot;2", "hunt+er  \t\"2"];
        let known: Vec<_> = forms("u", secret);
        for form in known.iter().map(|form| &***form).chain(echoed) {
            let shown = clean(&format!("wrong <{form}> given"), &credentials);
            assert_eq!(shown, "wrong <[redacted]> given");
        }
        // As Basic sent it, which is not always as it is.
        for encoding in [BasicEncoding::None, BasicEncoding::Minimal, BasicEncoding::Form] {
            let sent = STANDARD_NO_PAD.encode(&*basic_pair("u", secret, encoding));
            assert_eq!(clean(&format!("Basic {sent}"), &credentials), "Basic [redacted]");
        }
        let shown = clean(
            "token eyJhbGciOiJIUzI1NiJ9.e30.c2ln is bad, id=550e8400-e29b-41d4",
            &credentials,
        );
        assert_eq!(shown, "token […] is bad, […]");
    }

    #[test]
    fn no_piece_of_six_characters_of_a_secret_is_shown_however_it_is_spread() {
        let secret = "Zq7!wK-pR4 vM2=tYx9";
        let credentials = credentials(secret);
        let between = |with: &str| {
            let spread: Vec<_> = secret.chars().map(String::from).collect();
            spread.join(with)
        };
        for echo in [
            between("\u{200b}"),
            between(" "),
            between("\u{e0041}\u{202e}"),
            between("\u{301}\u{302}"),
            between("."),
            between("\n"),
            format!("{}\",\"detail\":\"{}", &secret[..9], &secret[9..]),
            secret[3..14].to_owned(),
            secret[8..14].to_owned(),
            secret.to_ascii_uppercase(),
            STANDARD_NO_PAD.encode(format!("u:{secret}")),
            STANDARD_NO_PAD.encode(secret),
            STANDARD_NO_PAD.encode(format!("x{secret}")),
            base64::engine::general_purpose::URL_SAFE.encode(format!("xy{secret}")),
            secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
            secret.bytes().map(|byte| format!("{byte:02x}:")).collect(),
        ] {
            let quoted = echo.replace('\n', "\\n");
            let body = format!("{{\"error\":\"bad {quoted}\"}}");
            let response = response("application/json", &body);
            let shown = explanation(&credentials, &response);
            assert!(
                shown.starts_with(" (bad ") && shown.contains("[redacted]"),
                "{quoted}: {shown}"
            );
            let letters: String = shown.chars().filter(|c| c.is_alphanumeric()).collect();
            assert!(letters.len() <= "badredactedredacted".len() + 5, "{quoted}: {shown}");
        }
        // By chance a piece of this one, in another case.
        let named = self::credentials("not-a-real-secret");
        assert_eq!(clean("clientSecret is wrong", &named), "clientSecret is wrong");
        let short = self::credentials("a!b");
        assert_eq!(clean("a b, ab, xa!by", &short), "a b, ab, x[redacted]y");
    }

    #[test]
    fn what_is_not_seen_is_not_shown_and_marks_do_not_pile_up() {
        let json = |text: &str| explained("application/json", &format!("{{\"error\":\"{text}\"}}"));
        let marks = "\u{301}".repeat(300);
        assert_eq!(
            json(&format!("si\u{202e}n\u{200d} cre{marks}dito\u{e007f}\u{feff}")),
            " (sin cre\u{301}dito)"
        );
        assert_eq!(json("\u{200b}\u{2060}"), "");
        assert_eq!(json("contraseña inválida – 無効"), " (contraseña inválida – 無効)");
    }

    fn explained(content_type: &str, body: &str) -> String {
        explanation(&credentials("not-a-real-secret"), &response(content_type, body))
    }

    fn response(content_type: &str, body: &str) -> Response {
        Response {
            status: 400,
            content_type: Some(content_type.into()),
            content_encoding: None,
            retry_after: None,
            date: None,
            body: body.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn an_explanation_is_said_once_and_is_short() {
        let json = |text: &str| explained("application/json", text);
        assert_eq!(
            json(r#"{"error":"no such client","message":"no such client"}"#),
            " (no such client)"
        );
        assert_eq!(json(r#"{"error":"a","message":"","detail":"b"}"#), " (a: b)");
        assert_eq!(json(r#"{"error":""}"#), "");
        let longest = "word ".repeat(39) + "words";
        assert_eq!(json(&format!(r#"{{"message":"{longest}"}}"#)), format!(" ({longest})"));
        let cut = json(&format!(r#"{{"message":"{longest} end"}}"#));
        assert!(cut.starts_with(" (word word") && cut.ends_with("words end)"), "{cut}");
        assert_eq!(cut.chars().count(), " ()".len() + LONGEST);
        let page = " with a web page instead of JSON";
        assert_eq!(explained("text/html", r#"{"error":"a"}"#), page);
        assert_eq!(json(" <p>a</p>"), page);
    }

    #[test]
    fn what_looks_secret_is_long() {
        for (word, is_hidden) in [
            ("a".repeat(24), false),
            ("a".repeat(25), true),
            (format!("{}1", "a".repeat(13)), false),
            (format!("{}1", "a".repeat(14)), true),
            (format!("{}1", "a".repeat(23)), true),
        ] {
            assert_eq!(looks_secret(&word), is_hidden, "{word}");
        }
    }
}
