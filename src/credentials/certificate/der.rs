//! DER, as far as certificates and keys are looked into (X.690; RFC 5280, 5208, 5915, 8017).

pub(in crate::credentials) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(in crate::credentials) const SEQUENCE: u8 = 0x30;

/// The first DER element: its tag, its content, and what follows it.
pub(super) fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, which has this tag, and what follows it.
pub(in crate::credentials) fn of_tag(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = value(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// The content of the one element that this is.
pub(in crate::credentials) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    of_tag(bytes, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// The bytes of the first element, tag and length included.
pub(super) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (_, _, rest) = value(bytes)?;
    Some(&bytes[..bytes.len() - rest.len()])
}

/// What a file of DER is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Certificate,
    Key,
    EncryptedKey,
    Pkcs7,
    Pkcs12,
}

/// 1.2.840.113549.1.7, with the last number to follow: PKCS#7.
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];

/// By its shape; `None` where it is nothing that is known, as text is.
pub(super) fn kind(bytes: &[u8]) -> Option<Kind> {
    let (inside, _) = of_tag(bytes, SEQUENCE)?;
    let (tag, content, rest) = value(inside)?;
    let second = value(rest).map(|(tag, content, _)| (tag, content));
    match (tag, second) {
        (OID, _) => content.starts_with(PKCS7).then_some(Kind::Pkcs7),
        // PFX has version 3, and then PKCS#7.
        (INTEGER, Some((SEQUENCE, content)))
            if of_tag(content, OID).is_some_and(|(oid, _)| oid.starts_with(PKCS7)) =>
        {
            Some(Kind::Pkcs12)
        }
        (INTEGER, Some((SEQUENCE | INTEGER | OCTET_STRING, _))) => Some(Kind::Key),
        (SEQUENCE, Some((OCTET_STRING, _))) => Some(Kind::EncryptedKey),
        (SEQUENCE, Some((SEQUENCE, _))) => Some(Kind::Certificate),
        _ => None,
    }
}
