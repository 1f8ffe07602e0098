//! JSON without leftovers: written into memory that does not grow, wiped after reading.

use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

/// Overwrites every string in it.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A JSON value that is wiped on drop.
pub(crate) struct Wiped(pub(crate) Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// `{"name":"value",…}` with these names in this order. Sized so that it never grows, since
/// growing would leave an unwiped copy behind.
pub(crate) fn object(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // At worst a byte becomes \u00XX.
    let size: usize = fields.iter().map(|(name, value)| name.len() + 6 * value.len() + 6).sum();
    let mut json = Zeroizing::new(Vec::with_capacity(size + 2));
    for (index, (name, value)) in fields.iter().enumerate() {
        json.push(if index == 0 { b'{' } else { b',' });
        for (text, after) in [(name, Some(b':')), (value, None)] {
            serde_json::to_writer(&mut *json, text).expect("a string is JSON, and a Vec takes it");
            json.extend(after);
        }
    }
    json.push(b'}');
    json
}

/// A JSON number, or a string that holds one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            // "inf" and "nan" are numbers to Rust, not here.
            let numeric = text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
            numeric.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_whatever_the_value_holds_and_never_reallocates() {
        let value = "\"\\\u{1}\u{7f}/ñ".repeat(50);
        let body = object(&[("a", &value), ("b", "")]);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({"a": value, "b": ""}));
        let size = value.len() * 6 + 2 + 12 + 2;
        assert!(body.capacity() <= size, "{} over {size}", body.capacity());
    }
}
