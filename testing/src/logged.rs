//! What ureq logs.

/// ureq's protocol layer logs all that it sees, in rows of up to sixteen bytes: digits, then text.
pub fn bytes_logged(records: &[(String, String)]) -> String {
    let mut bytes = Vec::new();
    for (_, text) in records.iter().filter(|(target, _)| target.starts_with("ureq_proto::util")) {
        let digits: String = text.chars().take(40).filter(char::is_ascii_hexdigit).collect();
        for pair in digits.as_bytes().chunks(2) {
            bytes.extend(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
