//! PEM as files really hold it: tidied, cut into blocks, and what a file is that holds none.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::der;
use crate::base::files;

/// One block, wiped on drop.
pub(super) struct Block {
    pub(super) label: String,
    /// `None` where its base64 or its END line is wrong.
    pub(super) der: Option<Zeroizing<Vec<u8>>>,
    /// The old way to encrypt a key, in the block's headers.
    pub(super) is_encrypted: bool,
}

pub(super) const DAMAGED: &str =
    "a PEM block is damaged (its END line or base64 is wrong); copy the file again";

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";
/// No label in use is longer.
const LONGEST_LABEL: usize = 40;

/// All blocks of a text, in its order. Text around them is skipped.
pub(super) fn blocks(text: &[u8]) -> Vec<Block> {
    let text = tidy(text);
    let mut blocks = Vec::new();
    let mut rest = &text[..];
    while let Some(begin) = find(rest, BEGIN) {
        rest = &rest[begin + BEGIN.len()..];
        let Some(end) = find(rest, DASHES).filter(|end| *end <= LONGEST_LABEL) else {
            continue;
        };
        let label = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + DASHES.len()..];
        let end = find(rest, format!("-----END {label}-----").as_bytes());
        let end = end.filter(|end| find(&rest[..*end], BEGIN).is_none());
        let body = end.map(|end| &rest[..end]);
        let is_encrypted = body.is_some_and(|body| find(body, b"ENCRYPTED").is_some());
        blocks.push(Block { label, der: body.and_then(decode), is_encrypted });
    }
    blocks
}

impl Block {
    /// The certificate in it, where it is labelled as one.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        let der = self.der.as_deref()?;
        match self.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => Some(der.to_vec().into()),
            // OpenSSL's own: what the certificate is trusted for stands behind it.
            "TRUSTED CERTIFICATE" => Some(der::first(der)?.to_vec().into()),
            _ => None,
        }
    }

    pub(super) fn is_damaged_certificate(&self) -> bool {
        self.der.is_none() && self.label.ends_with("CERTIFICATE")
    }
}

/// The certificates of a text; `None` where the block of one is damaged.
pub(crate) fn certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let blocks = blocks(text);
    let is_whole = !blocks.iter().any(Block::is_damaged_certificate);
    is_whole.then(|| blocks.iter().filter_map(Block::certificate).collect())
}

/// What a file is that holds no block of use, and how to make PEM of it; `None` where it is
/// nothing that is known.
pub(crate) fn what_instead(file: &[u8], is_key: bool) -> Option<&'static str> {
    if file.starts_with(b"\xfe\xed\xfe\xed") {
        return Some(
            "is a Java key store; convert it: keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12, then openssl pkcs12 -in NEW.p12 -nodes -out NEW.pem",
        );
    }
    match der::kind(file) {
        Some(der::Kind::Pkcs12) => Some(
            "is PKCS#12 (.p12, .pfx), not PEM; convert it: openssl pkcs12 -in FILE -nodes -out NEW.pem (add -legacy if that fails), and keep NEW.pem 0600",
        ),
        Some(der::Kind::Pkcs7) => Some(
            "is PKCS#7 (.p7b), not PEM; convert it: openssl pkcs7 -inform DER -print_certs -in FILE -out NEW.pem",
        ),
        Some(der::Kind::Certificate) if is_key => {
            Some("is a certificate, not a private key; give the key's PEM file")
        }
        Some(der::Kind::Certificate) => {
            Some("is DER, not PEM; convert it: openssl x509 -inform DER -in FILE -out NEW.pem")
        }
        Some(der::Kind::Key) => Some(
            "is a private key in DER, not PEM; convert it: openssl pkey -inform DER -in FILE -out NEW.pem, and keep NEW.pem 0600",
        ),
        Some(der::Kind::EncryptedKey) => Some(
            "is an encrypted private key in DER, not PEM; decrypt it: openssl pkey -inform DER -in FILE -out NEW.pem, and keep NEW.pem 0600",
        ),
        None => what_blocks_instead(file, is_key),
    }
}

fn what_blocks_instead(file: &[u8], is_key: bool) -> Option<&'static str> {
    blocks(file).iter().find_map(|block| match block.label.as_str() {
        "PKCS7" | "CMS" => Some(
            "holds PKCS#7; take the certificates out of it: openssl pkcs7 -print_certs -in FILE -out NEW.pem",
        ),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" if !is_key => Some(
            "holds a certificate request, which is what you send to the provider; give the certificate that came back",
        ),
        "PUBLIC KEY" | "RSA PUBLIC KEY" if is_key => {
            Some("holds a public key; give the private key that was made with it")
        }
        _ => None,
    })
}

/// Canonical PEM (RFC 7468: 64 columns, LF, a final LF).
pub(crate) fn certificate_text(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = further;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Without byte order mark, in UTF-8, and with line ends where a variable has turned them into
/// `\n`.
fn tidy(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut tidy = files::as_utf8(text);
    if !tidy.contains(&b'\n') {
        for at in 1..tidy.len() {
            if tidy[at - 1..=at] == *b"\\n" {
                tidy[at - 1..=at].copy_from_slice(b" \n");
            }
        }
    }
    tidy
}

/// Base64 with white space anywhere and padding or none. Lines with a colon are headers.
fn decode(body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut digits = Zeroizing::new(Vec::with_capacity(body.len()));
    let lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    for line in lines.filter(|line| !line.contains(&b':')) {
        digits.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
    }
    let mut der = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let length = ANY_PADDING.decode_slice(&*digits, &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let block = |block: Block| (block.label, block.der.map(|der| der.to_vec()));
        blocks(text.as_bytes()).into_iter().map(block).collect()
    }

    #[test]
    fn blocks_are_found_however_they_are_laid_out() {
        let whole = vec![("A B".to_owned(), Some(b"hello".to_vec()))];
        for text in [
            "-----BEGIN A B-----\naGVsbG8=\n-----END A B-----\n",
            "-----BEGIN A B-----\r\naGVs\r\nbG8=\r\n-----END A B-----",
            "-----BEGIN A B-----\raGVsbG8\r-----END A B-----",
            "  -----BEGIN A B-----\n\n  aGVs \n\tbG8=  \n-----END A B-----",
            "-----BEGIN A B----- aGVsbG8= -----END A B-----",
            "-----BEGIN A B-----\\naGVsbG8=\\n-----END A B-----\\n",
            "-----BEGIN A B-----\nName: value\n\naGVsbG8=\n-----END A B-----",
            "text\n-----BEGIN A B-----\naGVsbG8=\n-----END A B-----\nmore text",
            "\u{feff}-----BEGIN A B-----\naGVsbG8=\n-----END A B-----",
        ] {
            assert_eq!(labels(text), whole, "{text}");
        }
    }

    #[test]
    fn a_block_that_is_cut_or_garbled_is_known_and_the_next_one_read() {
        let [bad, good] = [("A".to_owned(), None), ("B".to_owned(), Some(b"hello".to_vec()))];
        for text in [
            "-----BEGIN A-----\naGVs\n-----BEGIN B-----\naGVsbG8=\n-----END B-----\n",
            "-----BEGIN A-----\na?Vs\n-----END A-----\n-----BEGIN B-----\naGVsbG8=\n-----END B-----\n",
            "-----BEGIN A-----\naGVsb\n-----END A-----\n-----BEGIN B-----\naGVsbG8=\n-----END B-----\n",
        ] {
            assert_eq!(labels(text), [bad.clone(), good.clone()], "{text}");
        }
        assert_eq!(labels("-----BEGIN A-----\naGVs"), [bad]);
        assert_eq!(labels("-----BEGIN ----BEGIN A\n"), []);
        assert_eq!(labels("-----BEGIN A"), []);
    }

    #[test]
    fn utf_16_is_read_as_some_shells_write_it() {
        let text = "-----BEGIN A-----\r\naGVsbG8=\r\n-----END A-----\r\n";
        let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [little, big] {
            assert_eq!(blocks(&bytes)[0].der.as_deref().unwrap(), b"hello");
        }
    }
}
