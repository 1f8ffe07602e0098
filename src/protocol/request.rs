//! What is sent to get a token: the same code for every provider.

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::base::json::{self, SecretText};
use crate::credentials::Credentials;
use crate::credentials::assertion::x5t_s256;
use crate::credentials::certificate::ClientCertificate;
use crate::protocol::message::{Method, Request};
use crate::types::error::Result;
use crate::types::facts::{BasicEncoding, CLIENT_ID, CLIENT_SECRET, Facts, KID, Part, Payload};

/// The request that gets a token for these credentials at this address. An assertion in it is a new
/// one each time: servers refuse one that they have seen.
pub(crate) fn request(
    credentials: &Credentials,
    base_url: &str,
    wall: SystemTime,
) -> Result<Request> {
    let facts = credentials.provider().facts();
    let protocol = &facts.protocol;
    let parts = Parts { facts, credentials, base_url, wall };
    let fields = parts.fields(protocol.fields)?;
    let (method, content_type) = match protocol.payload {
        Payload::Json => (Method::Post, Some("application/json")),
        Payload::Form => (Method::Post, Some("application/x-www-form-urlencoded")),
        Payload::Empty => (Method::Post, None),
        Payload::Query => (Method::Get, None),
    };
    let mut path = Cow::Borrowed(facts.endpoint);
    let body = match protocol.payload {
        Payload::Json => json::to_wiped_vec(&Object(&fields)),
        Payload::Form => Zeroizing::new(std::mem::take(&mut *form(&fields)).into_bytes()),
        Payload::Empty => Zeroizing::default(),
        Payload::Query => {
            if !fields.is_empty() {
                let sign = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{sign}{}", *form(&fields)).into();
            }
            Zeroizing::default()
        }
    };
    let mut headers = Vec::with_capacity(protocol.headers.len());
    for (name, part) in protocol.headers {
        if let Some(Content::Text(text)) = parts.content(part)? {
            headers.push((*name, text.into_owned()));
        }
    }
    Ok(Request { method, path, headers, content_type, body })
}

/// What stands in a header or a field of this request.
enum Content<'a> {
    Text(SecretText<'a>),
    Literal(&'a str),
    Table(Fields<'a>),
}

type Fields<'a> = Vec<(&'static str, Content<'a>)>;

/// Where what is sent comes from.
struct Parts<'a> {
    facts: &'static Facts,
    credentials: &'a Credentials,
    base_url: &'a str,
    wall: SystemTime,
}

impl<'a> Parts<'a> {
    fn fields(&self, of: &[(&'static str, Part)]) -> Result<Fields<'a>> {
        let mut fields = Vec::with_capacity(of.len());
        for (name, part) in of {
            fields.extend(self.content(part)?.map(|content| (*name, content)));
        }
        Ok(fields)
    }

    fn content(&self, part: &Part) -> Result<Option<Content<'a>>> {
        let borrowed = |text: &'a str| Content::Text(SecretText::Borrowed(text));
        Ok(match part {
            Part::Value(name) => self.credentials.value(name).map(borrowed),
            Part::Certificate => {
                let certificate = self.credentials.certificate();
                certificate.and_then(ClientCertificate::header_value).map(borrowed)
            }
            Part::Text(text) => Some(borrowed(text)),
            Part::Literal(text) => Some(Content::Literal(text)),
            Part::Table(members) => Some(Content::Table(self.fields(members)?)),
            Part::Scope => Some(self.credentials.scope()).filter(|it| !it.is_empty()).map(borrowed),
            Part::Basic(encoding) => {
                let value = |name| self.credentials.value(name).unwrap_or_default();
                let text = basic(value(CLIENT_ID.name), value(CLIENT_SECRET.name), *encoding);
                Some(Content::Text(SecretText::Unescaped(text)))
            }
            Part::Assertion => {
                let assertion = self.assertion()?;
                assertion.map(|text| Content::Text(SecretText::Unescaped(text)))
            }
        })
    }

    /// RFC 7523 §2.2.
    fn assertion(&self) -> Result<Option<Zeroizing<String>>> {
        let Some(signing) = self.facts.protocol.signing else { return Ok(None) };
        let Some(key) = self.credentials.assertion_key()? else { return Ok(None) };
        let endpoint = format!("{}{}", self.base_url, self.facts.endpoint);
        let client_id = self.credentials.value(CLIENT_ID.name).unwrap_or_default();
        let leaf = self.credentials.certificate().and_then(ClientCertificate::leaf);
        let assertion = key.sign(
            client_id,
            signing.audience.unwrap_or(&endpoint),
            self.credentials.value(KID).or(signing.kid),
            leaf.map(x5t_s256).as_deref(),
            self.wall,
        )?;
        Ok(Some(assertion))
    }
}

/// `Basic …` (RFC 7617).
fn basic(id: &str, secret: &str, encoding: BasicEncoding) -> Zeroizing<String> {
    let pair = basic_pair(id, secret, encoding);
    let mut value = Zeroizing::new(String::with_capacity(8 + pair.len() * 4 / 3 + 4));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    value
}

/// Id and secret, each encoded as this server reads it.
pub(super) fn basic_pair(id: &str, secret: &str, encoding: BasicEncoding) -> Zeroizing<String> {
    // Only what would be read as something else; of other scripts, nothing.
    let minimal = |text: &str, has_end: bool| {
        let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
        for c in text.chars() {
            match c {
                '%' => encoded.push_str("%25"),
                '+' => encoded.push_str("%2B"),
                ':' if has_end => encoded.push_str("%3A"),
                c => encoded.push(c),
            }
        }
        encoded
    };
    let (id, secret) = match encoding {
        BasicEncoding::Minimal => (minimal(id, true), minimal(secret, false)),
        BasicEncoding::Form => (form_encoded(id), form_encoded(secret)),
        BasicEncoding::None => (Zeroizing::new(id.to_owned()), Zeroizing::new(secret.to_owned())),
    };
    Zeroizing::new([&*id, ":", &*secret].concat())
}

/// What a form leaves as it is; a blank becomes `+`, all else `%XX`.
const OF_FORM: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

/// In memory sized at once: growing would leave an unwiped copy behind.
fn form_encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    push_encoded(&mut encoded, text);
    encoded
}

fn push_encoded(to: &mut String, text: &str) {
    for piece in utf8_percent_encode(text, OF_FORM) {
        // Blanks stand among what is left as it is.
        for (index, part) in piece.split(' ').enumerate() {
            if index > 0 {
                to.push('+');
            }
            to.push_str(part);
        }
    }
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &Fields<'_>) -> Zeroizing<String> {
    let text = |content: &Content<'_>| match content {
        Content::Text(text) => text.len(),
        Content::Literal(text) => text.len(),
        Content::Table(_) => 0,
    };
    let size = fields.iter().map(|(name, content)| 3 * (name.len() + text(content)) + 2).sum();
    let mut form = Zeroizing::new(String::with_capacity(size));
    for (name, content) in fields {
        let text: &str = match content {
            Content::Text(text) => text,
            Content::Literal(text) => text,
            // Refused when described.
            Content::Table(_) => continue,
        };
        if !form.is_empty() {
            form.push('&');
        }
        push_encoded(&mut form, name);
        form.push('=');
        push_encoded(&mut form, text);
    }
    form
}

/// The members of a JSON object, in their order.
struct Object<'a>(&'a Fields<'a>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, content)| (name, content)))
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            // It was read as JSON once.
            Self::Literal(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(json) => json.serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
            Self::Table(fields) => Object(fields).serialize(serializer),
        }
    }
}
