//! A provider as its description says: what a token request has to hold, and where the answer's members stand.
//! Read from the text itself once more, so that it can judge the library.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use paytoken::{Facts, FieldKind};
use rcgen::{KeyPair, PublicKeyData as _};
use ring::signature;
use serde_json::{Map, Value, json};

use crate::CLIENT_ID;
use crate::answer::Answer;
use crate::clock;
use crate::credentials::Credentials;
use crate::request::Request;
use crate::text::{self, lock};
use crate::tokens::Issued;

/// A status, and what is wrong.
type Refused = (u16, String);

/// The longest life of an assertion, in seconds: some servers allow no more.
const LONGEST_ASSERTION: i64 = 10 * 60;

pub(crate) struct Described {
    facts: &'static Facts,
    keys: Map<String, Value>,
    /// Of the client's assertions: as ring takes it.
    public_key: Mutex<Vec<u8>>,
    /// `jti` of the assertions that were taken.
    seen: Mutex<HashSet<String>>,
    url: OnceLock<String>,
}

/// What a token request holds, by name: of its body or query.
type Members = HashMap<String, Value>;

impl Described {
    pub(crate) fn new(
        facts: &'static Facts,
        json: &str,
        key: &KeyPair,
    ) -> serde_json::Result<Described> {
        Ok(Described {
            facts,
            keys: serde_json::from_str(json.trim_start_matches('\u{feff}'))?,
            public_key: Mutex::new(key.der_bytes().to_vec()),
            seen: Mutex::default(),
            url: OnceLock::new(),
        })
    }

    pub(crate) fn set_url(&self, url: String) {
        let _ = self.url.set(url);
    }

    pub(crate) fn set_key(&self, key: &KeyPair) {
        *lock(&self.public_key) = key.der_bytes().to_vec();
    }

    pub(crate) fn method(&self) -> &str {
        self.text("method").unwrap_or("POST")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.as_str()
    }

    fn table(&self, key: &str) -> Map<String, Value> {
        self.keys.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    fn auth(&self) -> &str {
        self.text("auth").unwrap_or_default()
    }

    fn has_body(&self) -> bool {
        self.method() == "POST" && self.text("body") != Some("none")
    }

    fn members(&self, request: &Request) -> Option<Members> {
        let strings = |pairs: Vec<(String, String)>| {
            pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
        };
        match self.text("body") {
            _ if self.method() == "GET" => text::form_decode(&request.query).map(strings),
            Some("none") => request.body.is_empty().then(Members::new),
            Some("json") => Some(request.json()?.as_object()?.clone().into_iter().collect()),
            _ => request.form().map(strings),
        }
    }

    /// Who asks, and with which secrets.
    pub(crate) fn credentials(&self, request: &Request) -> Result<Credentials, Refused> {
        let members = self.members(request).ok_or_else(|| bad("the body is of another form"))?;
        let mut values = self.basic(request)?;
        let as_text = |value: &Value| value.as_str().map(str::to_owned);
        if matches!(self.auth(), "client_secret_post" | "private_key_jwt" | "tls_client_auth") {
            for name in ["client_id", "client_secret"] {
                values.extend(members.get(name).and_then(as_text).map(|it| (name.into(), it)));
            }
        }
        for (name, wanted) in self.table("headers") {
            let found = request.header(&name).map(Value::from);
            compare(&name, &wanted, found.as_ref(), &mut values)?;
        }
        for (name, wanted) in self.fields() {
            compare(&name, &wanted, members.get(&name), &mut values)?;
        }
        let of = |kind| {
            let fields = self.facts.fields.iter().filter(move |field| field.kind == kind);
            fields.map(|field| values.get(field.name).cloned().ok_or(field.name))
        };
        let missing = |name: &str| bad(&format!("{name} is missing"));
        // An identity that stands nowhere in the request is nothing that a server could know.
        let id = of(FieldKind::Identity).flatten().next().unwrap_or(CLIENT_ID.to_owned());
        let secrets = of(FieldKind::Secret).collect::<Result<_, _>>().map_err(missing)?;
        Ok(Credentials { id, secrets })
    }

    /// The fields that have one value, with what is added to them.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = self.table("fields");
        let is_sent = self.has_body() || self.method() == "GET";
        if self.auth() != "none" && is_sent {
            fields.entry("grant_type").or_insert_with(|| "client_credentials".into());
        }
        fields.retain(|name, value| name != "scope" && !(name == "grant_type" && value == ""));
        fields
    }

    fn basic(&self, request: &Request) -> Result<HashMap<String, String>, Refused> {
        if self.auth() != "client_secret_basic" {
            return Ok(HashMap::new());
        }
        let decoded = request.header("authorization").and_then(|value| {
            let pair =
                String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            let decode = |part: &str| match self.text("basic_encoding") {
                Some("none") => Some(part.to_owned()),
                Some("form") => {
                    String::from_utf8(text::percent_decode(&part.replace('+', " "))?).ok()
                }
                _ => String::from_utf8(text::percent_decode(part)?).ok(),
            };
            Some([
                ("client_id".to_owned(), decode(id)?),
                ("client_secret".to_owned(), decode(secret)?),
            ])
        });
        decoded.map(HashMap::from).ok_or((401, "Authorization: Basic is missing".to_owned()))
    }

    /// All but the secrets: nothing else is sent, and certificate or assertion prove who asks.
    pub(crate) fn check(
        &self,
        request: &Request,
        id: &str,
        certificate: Option<&[u8]>,
    ) -> Result<(), Refused> {
        let members = self.members(request).unwrap_or_default();
        let fields = self.fields();
        let of_auth: &[&str] = match self.auth() {
            "client_secret_post" => &["client_id", "client_secret"],
            "private_key_jwt" => &["client_id", "client_assertion", "client_assertion_type"],
            "tls_client_auth" => &["client_id"],
            _ => &[],
        };
        let in_endpoint = self.facts.endpoint.split_once('?').map_or("", |(_, query)| query);
        let in_endpoint = text::form_decode(in_endpoint).unwrap_or_default();
        let is_known = |name: &String| {
            *name == "scope"
                || fields.contains_key(name)
                || of_auth.contains(&&**name)
                || in_endpoint.iter().any(|(known, _)| known == name)
        };
        if let Some(name) = members.keys().find(|name| !is_known(name)) {
            return Err(bad(&format!("{name} is not expected")));
        }
        match self.auth() {
            "tls_client_auth" if certificate.is_none() => {
                Err((401, "no client certificate was shown".into()))
            }
            "private_key_jwt" => {
                let text = |name| members.get(name).and_then(Value::as_str).unwrap_or_default();
                if text("client_assertion_type")
                    != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                {
                    return Err(bad("client_assertion_type is another"));
                }
                let checked = self.check_assertion(text("client_assertion"), id);
                checked.map_err(|problem| (401, format!("client_assertion: {problem}")))
            }
            _ => Ok(()),
        }
    }

    /// RFC 7523 §3.
    fn check_assertion(&self, assertion: &str, id: &str) -> Result<(), &'static str> {
        let (signed, signature) = assertion.rsplit_once('.').ok_or("not a JWT")?;
        let (head, claims) = signed.split_once('.').ok_or("not a JWT")?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url");
        let json = |part: &str| -> Result<Value, &'static str> {
            serde_json::from_slice(&decoded(part)?).map_err(|_| "not JSON")
        };
        let (head, claims) = (json(head)?, json(claims)?);
        let algorithm: &dyn signature::VerificationAlgorithm = match head["alg"].as_str() {
            Some("PS256") => &signature::RSA_PSS_2048_8192_SHA256,
            Some("RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
            Some("ES256") => &signature::ECDSA_P256_SHA256_FIXED,
            Some("EdDSA") => &signature::ED25519,
            _ => return Err("alg is not known"),
        };
        if self.keys.get("signing_alg").is_some_and(|alg| *alg != head["alg"]) {
            return Err("alg is another");
        }
        if self.keys.get("kid").is_some() && head["kid"].as_str().is_none() {
            return Err("kid is missing");
        }
        let key = signature::UnparsedPublicKey::new(algorithm, lock(&self.public_key).clone());
        key.verify(signed.as_bytes(), &decoded(signature)?)
            .map_err(|_| "the signature is wrong")?;
        let endpoint = format!("{}{}", self.url.get().map_or("", |url| url), self.facts.endpoint);
        let audience = self.text("assertion_audience").unwrap_or(&endpoint);
        let now = clock::wall_milliseconds() / 1_000;
        let left = claims["exp"].as_i64().ok_or("exp is missing")? - now;
        if claims["aud"] != audience {
            Err("aud is another")
        } else if claims["iss"] != id || claims["sub"] != id {
            Err("iss or sub is another")
        } else if !(0..=LONGEST_ASSERTION).contains(&left) {
            Err("exp has passed, or is too far away")
        } else if claims["iat"].as_i64().is_some_and(|made| made > now) {
            Err("iat is in the future")
        } else if !lock(&self.seen).insert(claims["jti"].as_str().ok_or("jti is missing")?.into()) {
            Err("jti was seen before")
        } else {
            Ok(())
        }
    }

    /// What the description's pointers point to, and nothing else but `token_type`.
    pub(crate) fn answer(&self, issued: &Issued) -> Answer {
        let token = self.text("token").unwrap_or("/access_token");
        if token.is_empty() {
            return Answer::json(200, &json!(issued.token));
        }
        let mut body = Value::Null;
        put(&mut body, token, json!(issued.token));
        let default = (self.auth() != "none").then_some("/expires_in");
        if let Some(pointer) = self.text("expires_in").or(default) {
            put(&mut body, pointer, json!(issued.lifetime_seconds));
        }
        if let Some(pointer) = self.text("expires_at") {
            put(&mut body, pointer, json!(clock::rfc3339(issued.expires_at_milliseconds)));
        }
        if self.facts.scheme == "Bearer" && body.is_object() {
            put(&mut body, "/token_type", json!("Bearer"));
        }
        Answer::json(200, &body)
    }
}

fn bad(problem: &str) -> Refused {
    (400, problem.to_owned())
}

/// A constant has to be as it is; a placeholder's value is kept.
fn compare(
    name: &str,
    wanted: &Value,
    found: Option<&Value>,
    values: &mut HashMap<String, String>,
) -> Result<(), Refused> {
    let missing = || bad(&format!("{name} is missing or not as described"));
    let found = found.ok_or_else(missing)?;
    if let Value::Object(members) = wanted {
        return members
            .iter()
            .try_for_each(|(name, wanted)| compare(name, wanted, found.get(name), values));
    }
    let placeholder = wanted.as_str().and_then(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let text = found.as_str();
    match placeholder {
        Some(placeholder) => {
            values.insert(placeholder.to_owned(), text.ok_or_else(missing)?.to_owned());
            Ok(())
        }
        // In a form, a number is text.
        None if found == wanted || text == Some(&wanted.to_string()) => Ok(()),
        None => Err(missing()),
    }
}

/// Puts a value where this pointer (RFC 6901) points, with all that is on the way.
fn put(whole: &mut Value, pointer: &str, value: Value) {
    let mut place = whole;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        match (name.parse::<usize>().ok().filter(|at| *at < 100), &place) {
            (Some(at), Value::Null | Value::Array(_)) => {
                if !place.is_array() {
                    *place = json!([]);
                }
                let items = place.as_array_mut().expect("it is one now");
                items.resize(items.len().max(at + 1), Value::Null);
                place = &mut items[at];
            }
            _ => {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[name];
            }
        }
    }
    *place = value;
}
