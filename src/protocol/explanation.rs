//! What of a refusal's text may be shown: it is bounded, and cleaned of the credentials and of
//! anything that looks like a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::certificate::UNRESERVED;
use crate::credentials::Credentials;
use crate::exchange::Response;
use crate::json;

/// How much of a server's explanation is shown.
const LONGEST_EXPLANATION: usize = 200;

/// A run of token characters this long is not shown: it may be a token or a secret.
const LONGEST_WORD: usize = 24;
/// The same where the run holds a digit, as nearly every secret does.
const LONGEST_WORD_WITH_DIGIT: usize = 14;

/// ` (what the server says)`, or nothing.
pub(super) fn explanation(credentials: &Credentials, response: &Response) -> String {
    let is_html = response.content_type.as_deref().is_some_and(|kind| kind.contains("html"))
        || response.body.trim_ascii_start().starts_with(b"<");
    if is_html {
        return " with a web page instead of JSON".into();
    }
    let Ok(json) = serde_json::from_slice(&response.body) else {
        return String::new();
    };
    let json = json::Wiped(json);
    let said = said_by(&json.0);
    let mut shown = String::new();
    for text in said {
        let text = clean(&text, credentials);
        if text.is_empty() || shown.contains(&text) {
            continue;
        }
        if !shown.is_empty() {
            shown.push_str(": ");
        }
        shown.push_str(&text);
    }
    if shown.is_empty() {
        return shown;
    }
    if shown.chars().count() > LONGEST_EXPLANATION {
        shown = shown.chars().take(LONGEST_EXPLANATION).collect();
        shown.push('…');
    }
    format!(" ({shown})")
}

/// The explaining fields of the four shapes that are known: RFC 6749 §5.2, `message` and
/// `errors[]`, RFC 9457, and `statusCode`/`message`/`error`.
fn said_by(json: &Value) -> Vec<Zeroizing<String>> {
    let mut said = Vec::new();
    let mut say = |value: Option<&Value>| match value {
        Some(Value::String(text)) => said.push(Zeroizing::new(text.clone())),
        Some(Value::Array(values)) => {
            for value in values.iter().take(4) {
                let text = value.as_str().or_else(|| value.get("message")?.as_str());
                said.extend(text.map(|text| Zeroizing::new(text.to_owned())));
            }
        }
        _ => {}
    };
    for field in ["error", "error_description", "title", "detail", "message", "errors"] {
        say(json.get(field));
    }
    said
}

/// One line of printable text without the credentials, and without anything that looks like one.
fn clean(text: &str, credentials: &Credentials) -> String {
    let parts = credentials.parts();
    let mut text = one_line(text);
    for form in forms(parts.secret.expose()) {
        if text.contains(&**form) {
            text = Zeroizing::new(text.replace(&**form, "[redacted]"));
        }
    }
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

/// With one space wherever there is white space or a control character.
fn one_line(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    for word in text.split(is_gap).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// A secret as it might be echoed: as it is, escaped for JSON, HTML or a URL, or in base64. Each
/// once, and on one line, as the text is.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let quoted = Zeroizing::new(serde_json::to_string(secret).unwrap_or_default());
    let quoted = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let mut html = Zeroizing::new(secret.replace('&', "&amp;"));
    for (plain, escaped) in [("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")] {
        html = Zeroizing::new(html.replace(plain, escaped));
    }
    let mut forms = vec![
        one_line(secret),
        one_line(quoted),
        one_line(&Zeroizing::new(quoted.replace('/', "\\/"))),
        one_line(&html),
        Zeroizing::new(STANDARD_NO_PAD.encode(secret)),
    ];
    for set in [NON_ALPHANUMERIC, UNRESERVED] {
        let escaped = Zeroizing::new(utf8_percent_encode(secret, set).to_string());
        let lower = Zeroizing::new(lower_escapes(&escaped));
        for escaped in [escaped, lower] {
            forms.push(Zeroizing::new(escaped.replace("%20", "+")));
            forms.push(escaped);
        }
    }
    // The longest first: it may hold a shorter one. An empty one would be everywhere.
    forms.retain(|form| !form.is_empty());
    forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.as_str().cmp(other)));
    forms.dedup_by(|one, other| **one == **other);
    forms
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| match c {
        '%' => {
            digits = 2;
            c
        }
        _ if digits > 0 => {
            digits -= 1;
            c.to_ascii_lowercase()
        }
        _ => c,
    };
    text.chars().map(lower).collect()
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
    use crate::secret::Secret;

    fn credentials(password: &str) -> Credentials {
        Credentials::NexterPay { user_name: "u".into(), password: Secret::from(password) }
    }

    #[test]
    fn an_explanation_shows_neither_the_secret_in_any_form_nor_what_looks_like_a_token() {
        let secret = "hunt+er \"2";
        let credentials = credentials(secret);
        let echoed = ["hunt%2Ber%20%222", "hunt%2ber+%222", "hunt+er &quot;2", "hunt+er  \t\"2"];
        let known: Vec<_> = forms(secret);
        for form in known.iter().map(|form| &***form).chain(echoed) {
            let shown = clean(&format!("wrong <{form}> given"), &credentials);
            assert_eq!(shown, "wrong <[redacted]> given");
        }
        let shown = clean(
            "token eyJhbGciOiJIUzI1NiJ9.e30.c2ln is bad, id=550e8400-e29b-41d4",
            &credentials,
        );
        assert_eq!(shown, "token […] is bad, […]");
    }

    fn explained(content_type: &str, body: &str) -> String {
        let response = Response {
            status: 400,
            content_type: Some(content_type.into()),
            retry_after: None,
            date: None,
            body: body.as_bytes().to_vec().into(),
        };
        explanation(&credentials("not-a-real-secret"), &response)
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
        assert_eq!(json(&format!(r#"{{"message":"{longest}s"}}"#)), format!(" ({longest}…)"));
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

    #[test]
    fn only_the_digits_of_an_escape_are_made_lower() {
        assert_eq!(lower_escapes("A%2FABC%3AF%"), "A%2fABC%3aF%");
    }
}
