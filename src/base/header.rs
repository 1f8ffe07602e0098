//! What fits into a line of an HTTP head (RFC 9110 §5.1 and §5.5, and no more than ASCII).

/// Whether it is a header's name.
pub(crate) fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_name)
}

/// Whether it can stand in a header's value.
pub(crate) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Whether it can be a header's value, or a part of one: without white space around it.
pub(crate) fn is_value(text: &str) -> bool {
    text.trim() == text && is_printable(text)
}
