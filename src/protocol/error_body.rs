//! What the body of a refusal says, in the four shapes that are known.

use serde_json::value::RawValue;

use crate::base::json::{Members, SecretText};

/// No more of a list is read.
const LONGEST_LIST: usize = 4;

/// `{error, error_description}` (RFC 6749 §5.2), `{title, detail}` (RFC 9457),
/// `{message, errors: [{message}]}`, and `{statusCode, message: text or list, error}`.
const EXPLAINING: [&str; 6] =
    ["error", "error_description", "title", "detail", "message", "errors"];

/// Its explaining texts. A server may repeat the credentials in them.
pub(super) fn said_by(body: &[u8]) -> Vec<SecretText<'_>> {
    let members = serde_json::from_slice(body).ok().and_then(Members::of);
    members
        .iter()
        .flat_map(|members| EXPLAINING.map(|name| members.get(name)))
        .flatten()
        .flat_map(texts)
        .collect()
}

/// A text, or the texts of a list.
fn texts(json: &RawValue) -> Vec<SecretText<'_>> {
    if !json.get().starts_with('[') {
        return text(json).into_iter().collect();
    }
    let list: Vec<&RawValue> = serde_json::from_str(json.get()).unwrap_or_default();
    list.into_iter()
        .take(LONGEST_LIST)
        .filter_map(|json| text(json).or_else(|| message(json)))
        .collect()
}

fn text(json: &RawValue) -> Option<SecretText<'_>> {
    serde_json::from_str(json.get()).ok()
}

fn message(json: &RawValue) -> Option<SecretText<'_>> {
    text(Members::of(json)?.get("message")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_all_shapes_are_read() {
        for (body, expected) in [
            (r#"{"error":"a","error_description":"b\/c"}"#, &["a", "b/c"][..]),
            (r#"{"type":"t","title":"a","status":401,"detail":"b"}"#, &["a", "b"]),
            (
                r#"{"message":"a","errors":[{"message":"b","type":"t"},{"message":"c"}]}"#,
                &["a", "b", "c"],
            ),
            (r#"{"statusCode":401,"message":["a","b"],"error":"c"}"#, &["c", "a", "b"]),
            (r#"{"message":["1","2","3","4","5"]}"#, &["1", "2", "3", "4"]),
            (r#"{"error":{"message":"a"},"title":null,"detail":7,"errors":[7,{},[],"b"]}"#, &["b"]),
            (r#"{"error":"a","error":"b"}"#, &["b"]),
            ("\"a\"", &[]),
            ("[\"a\"]", &[]),
            ("{\"error\":\"a\"", &[]),
            ("", &[]),
        ] {
            let said = said_by(body.as_bytes());
            let said: Vec<&str> = said.iter().map(|text| &**text).collect();
            assert_eq!(said, expected, "{body}");
        }
        assert!(said_by(b"{\"error\":\"\xff\"}").is_empty());
    }
}
