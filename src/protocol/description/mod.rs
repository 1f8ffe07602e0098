//! A description of a token endpoint, as data: read, checked and kept as [`Facts`], so that nothing else
//! knows whether a provider was built in or described.

mod keys;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::Duration;

use self::keys::{Keys, Value, bad, placeholder};
use crate::base::sync::lock;
use crate::types::base_url::{BaseUrl, address_of};
use crate::types::error::{Error, Result};
use crate::types::facts::{
    ASSERTION_KEY, BasicEncoding, CLIENT_ID, CLIENT_SECRET, Facts, Field, FieldKind, KID, Part,
    Payload, Protocol, Renewal, SCOPE, Signing, Site,
};
use crate::types::names::{Described, Provider};

/// Those that this process has described, in that order.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

struct Known {
    text: String,
    description: Description,
    facts: &'static Facts,
}

/// A longer text is no description.
const LONGEST: usize = 64 * 1024;
/// Each is kept as long as the process lives.
const MOST: usize = 1_000;

impl Provider {
    /// A provider of your own: any token endpoint, described as JSON. Checked here, and nothing is sent;
    /// known under its name from then on, for as long as the process lives. The same description again is
    /// the same provider. Safe to call from any thread.
    ///
    /// The keys are those of the page "Describing a provider" (docs/describing-a-provider.md), and
    /// `name`. A description holds no secrets: those are in [`Credentials`](crate::Credentials).
    ///
    /// ```
    /// use paytoken::Provider;
    ///
    /// let acme = Provider::described(
    ///     r#"{"name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
    ///         "auth": "client_secret_basic", "renewal": "coexists", "scope": "payments:read"}"#,
    /// )?;
    /// assert_eq!(acme.facts().variable("CLIENT_ID"), "ACME_CLIENT_ID");
    /// assert_eq!("acme".parse::<Provider>()?, acme);
    ///
    /// let error = Provider::described(r#"{"name": "acme-2", "auth": "basic"}"#).unwrap_err();
    /// assert!(error.to_string().contains("token_endpoint"), "{error}");
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the key that is missing, not known, or
    /// cannot be used; or when another description has the name.
    pub fn described(json: &str) -> Result<Self> {
        if let Some(known) = lock(&KNOWN).iter().find(|known| known.text == json) {
            return Ok(Self::Described(Described(known.facts)));
        }
        let description = Description::read(json)?;
        let Description { name, prefix_of_variables: prefix, .. } = &description;
        let mut known = lock(&KNOWN);
        if let Some(same) = known.iter().find(|known| known.facts.name == name) {
            return match same.description == description {
                true => Ok(Self::Described(Described(same.facts))),
                false => Err(bad(
                    "name",
                    &format!("{name} is described otherwise in this process; take another"),
                )),
            };
        }
        if let Some(other) = known.iter().find(|known| known.facts.prefix == prefix) {
            return Err(bad(
                "prefix_of_variables",
                &format!("{} has {prefix}, too; set another", other.facts.name),
            ));
        }
        if known.len() >= MOST {
            return Err(bad("name", "a thousand providers are described already; use those"));
        }
        // Only what is new is made to live as long as the process.
        let facts: &'static Facts = Box::leak(Box::new(description.to_facts()));
        known.push(Known { text: json.to_owned(), description, facts });
        Ok(Self::Described(Described(facts)))
    }

    /// All that are built in, and all that this process has described, in the order of their descriptions.
    ///
    /// ```
    /// assert!(paytoken::Provider::known().contains(&paytoken::Provider::NtxPay));
    /// ```
    pub fn known() -> Vec<Self> {
        let described = lock(&KNOWN);
        let described = described.iter().map(|known| Self::Described(Described(known.facts)));
        Self::ALL.iter().copied().chain(described).collect()
    }

    /// One that was described before.
    pub(crate) fn of_description(name: &str) -> Option<Self> {
        let known = lock(&KNOWN);
        let known = known.iter().find(|known| known.facts.name == name)?;
        Some(Self::Described(Described(known.facts)))
    }
}

/// How a client proves who it is (the registered names of RFC 7591 §2).
#[derive(Clone, Copy, PartialEq)]
enum Auth {
    Basic,
    Post,
    Assertion,
    Tls,
    /// Fields and headers carry the credentials.
    None,
}

/// What a text says, checked.
#[derive(PartialEq)]
struct Description {
    name: String,
    title: String,
    prefix_of_variables: String,
    endpoint: String,
    sandbox: Option<String>,
    production: Option<String>,
    auth: Auth,
    basic_encoding: BasicEncoding,
    signing: Option<[Option<String>; 3]>,
    payload: Payload,
    headers: Vec<(String, Value)>,
    fields: Vec<(String, Value)>,
    scope: String,
    token: String,
    expires_in: Option<String>,
    expires_at: Option<String>,
    jwt_expiry: bool,
    lifetime: Option<Duration>,
    renewal: Renewal,
    header: String,
    prefix: String,
    api: Vec<String>,
    refusals_per_hour: u32,
    secrets: Vec<String>,
    identity: Vec<String>,
}

impl Description {
    fn read(json: &str) -> Result<Self> {
        if json.len() > LONGEST {
            return Err(Error::configuration("description: longer than 64 KiB, so this is none"));
        }
        let mut keys = Keys::of(json)?;
        let name = keys.required("name", "the provider's name, such as \"acme\"")?;
        check_name(&name)?;
        Self::of(name.clone(), keys).map_err(|error| {
            // Whose it is, since a program may have many.
            Error::configuration(format!("description of {name}: {}", error.message()))
        })
    }

    fn of(name: String, mut keys: Keys<'_>) -> Result<Self> {
        keys.check_known()?;
        let auth = auth(&keys.required("auth", "how a client proves who it is: client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, or none")?)?;
        let renewal = renewal(&mut keys)?;
        let (endpoint, sandbox, production) = addresses(&mut keys)?;
        let payload = payload(&mut keys, auth)?;
        let fields = keys.members("fields")?;
        let scope = keys.text("scope")?;
        let headers = headers(&mut keys)?;
        let token = keys.pointer("token")?.unwrap_or_else(|| "/access_token".into());
        if token.rsplit('/').next() == Some("refresh_token") {
            return Err(bad(
                "token",
                "points to a refresh token, which is no token for an API; point to the access token",
            ));
        }
        let expires_in = keys.pointer("expires_in")?;
        let expires_at = keys.pointer("expires_at")?;
        if token.is_empty()
            && let Some(key) = [("expires_in", &expires_in), ("expires_at", &expires_at)]
                .iter()
                .find_map(|(key, pointer)| pointer.as_ref().map(|_| *key))
        {
            return Err(bad(
                key,
                "the whole answer is the token (token = \"\"), so nothing else stands in it; remove one of the two",
            ));
        }
        let has_default = auth != Auth::None && !token.is_empty();
        let expires_in = expires_in.or_else(|| has_default.then(|| "/expires_in".into()));
        let basic_encoding = keys.word(
            "basic_encoding",
            &[
                ("minimal", BasicEncoding::Minimal),
                ("form", BasicEncoding::Form),
                ("none", BasicEncoding::None),
            ],
        )?;
        if basic_encoding.is_some() && auth != Auth::Basic {
            return Err(bad("basic_encoding", "is for auth = \"client_secret_basic\"; remove it"));
        }
        let signing = signing(&mut keys, auth)?;
        let title = keys.shown_text("title")?.unwrap_or_else(|| name.clone());
        let prefix_of_variables = keys.text("prefix_of_variables")?;
        let prefix_of_variables = match prefix_of_variables {
            Some(prefix) => prefix,
            None => name.to_ascii_uppercase().replace('-', "_"),
        };
        check_prefix(&prefix_of_variables)?;
        let header = keys.text("header")?.unwrap_or_else(|| "Authorization".into());
        if !is_header_name(&header) {
            return Err(bad("header", "is not a header name; use letters, digits and hyphens"));
        }
        let prefix = keys.text("prefix")?.unwrap_or_else(|| "Bearer".into());
        if !is_header_text(&prefix) {
            return Err(bad(
                "prefix",
                "holds what does not belong in a header; use a word, or \"\"",
            ));
        }
        let description = Self {
            title,
            prefix_of_variables,
            endpoint,
            sandbox,
            production,
            auth,
            basic_encoding: basic_encoding.unwrap_or(BasicEncoding::Minimal),
            signing,
            payload,
            headers,
            fields: scoped(fields, &scope)?,
            scope: scope.unwrap_or_default(),
            token,
            expires_in,
            expires_at,
            jwt_expiry: keys.flag("jwt_expiry")?.unwrap_or_default(),
            lifetime: keys.time("lifetime")?,
            renewal,
            header,
            prefix,
            api: api(&mut keys)?,
            refusals_per_hour: keys.number("refusals_per_hour", 1..=6)?.unwrap_or(3),
            secrets: keys.names("secrets")?,
            identity: keys.names("identity")?,
            name,
        };
        description.check()?;
        Ok(description)
    }

    /// What the keys say together.
    fn check(&self) -> Result<()> {
        let Self { auth, payload, .. } = *self;
        if payload == Payload::Empty && !(self.fields.is_empty() && self.scope.is_empty()) {
            let key = if self.scope.is_empty() { "fields" } else { "scope" };
            return Err(bad(key, "is sent nowhere with body = \"none\"; remove one of the two"));
        }
        if matches!(auth, Auth::Post | Auth::Assertion | Auth::Tls)
            && matches!(payload, Payload::Query | Payload::Empty)
        {
            return Err(bad(
                "auth",
                "this one is sent in the body, and there is none; use POST with body = \"form\", or another auth",
            ));
        }
        let added: &[&str] = match auth {
            Auth::Post => &["client_id", "client_secret"],
            Auth::Assertion => &["client_id", "client_assertion", "client_assertion_type"],
            Auth::Tls => &["client_id"],
            Auth::Basic | Auth::None => &[],
        };
        if let Some((name, _)) = self.fields.iter().find(|(name, _)| added.contains(&&**name)) {
            return Err(bad("fields", &format!("{name} is added by this auth; remove it here")));
        }
        for (key, members) in [("headers", &self.headers), ("fields", &self.fields)] {
            for value in members.iter().flat_map(|(_, value)| value.leaves()) {
                let Value::Placeholder(name) = value else { continue };
                if key == "fields" && payload == Payload::Query {
                    return Err(bad(
                        key,
                        &format!(
                            "{{{name}}} would stand in the URL, which is logged by whoever passes it on; use POST, or a header"
                        ),
                    ));
                }
                self.check_placeholder(name)?;
            }
            if key == "fields"
                && payload != Payload::Json
                && members.iter().any(|(_, value)| matches!(value, Value::Table(_)))
            {
                return Err(bad(key, "a table needs body = \"json\"; a form holds texts"));
            }
        }
        if let Some(name) = self.secrets.iter().find(|name| self.identity.contains(*name)) {
            return Err(bad(
                "identity",
                &format!("{name} stands in secrets, too; keep it in one of them"),
            ));
        }
        if let Some(name) = self.secrets.iter().find(|name| !self.uses(name)) {
            return Err(bad(
                "secrets",
                &format!(
                    "{name} is used in no header and no field; write {{{name}}} there, or remove it"
                ),
            ));
        }
        let has_proof = self.uses(CLIENT_SECRET.name) || !self.secrets.is_empty();
        if auth == Auth::None && !has_proof {
            return Err(bad(
                "auth",
                "is none, and no field or header holds {client_secret} or one of secrets, so nobody would be known; add it, or set another auth",
            ));
        }
        Ok(())
    }

    fn check_placeholder(&self, name: &String) -> Result<()> {
        let is_known = [CLIENT_ID.name, CLIENT_SECRET.name].contains(&&**name)
            || self.secrets.contains(name)
            || self.identity.contains(name);
        match is_known {
            true => Ok(()),
            false => Err(bad(
                "secrets",
                &format!(
                    "{{{name}}} stands neither here nor in identity; name it here if it proves who asks, else there, where it tells one account from another"
                ),
            )),
        }
    }

    fn uses(&self, name: &str) -> bool {
        let parts = self.headers.iter().chain(&self.fields);
        parts
            .flat_map(|(_, value)| value.leaves())
            .any(|value| matches!(value, Value::Placeholder(used) if used == name))
    }

    /// What its accounts consist of.
    fn account(&self) -> Vec<Field> {
        let of_client =
            |field: Field, is_added| (is_added || self.uses(field.name)).then_some(field);
        let mut fields: Vec<Field> = [
            of_client(CLIENT_ID, self.auth != Auth::None),
            of_client(CLIENT_SECRET, matches!(self.auth, Auth::Basic | Auth::Post)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let field =
            |name: &str, kind| Field::new(keep(name), keep(&name.to_ascii_uppercase()), kind);
        fields.extend(self.identity.iter().map(|name| field(name, FieldKind::Identity)));
        fields.extend(self.secrets.iter().map(|name| field(name, FieldKind::Secret)));
        if self.auth == Auth::Assertion {
            fields.push(Field::new(ASSERTION_KEY, "ASSERTION_KEY", FieldKind::PrivateKey));
            fields.push(Field::new(KID, "KID", FieldKind::Optional));
        }
        if self.payload != Payload::Empty {
            fields.push(Field::new(SCOPE, "SCOPE", FieldKind::Optional));
        }
        fields
    }

    /// The members that are sent: what the auth adds, the scope, and those of the description.
    fn members(&self) -> Vec<(&'static str, Part)> {
        let mut members = Vec::new();
        let has = |name: &str| self.fields.iter().any(|(known, _)| known == name);
        if self.payload == Payload::Empty {
            return members;
        }
        if self.auth != Auth::None && !has("grant_type") {
            members.push(("grant_type", Part::Text("client_credentials")));
        }
        if matches!(self.auth, Auth::Post | Auth::Assertion | Auth::Tls) {
            members.push((CLIENT_ID.name, Part::Value(CLIENT_ID.name)));
        }
        match self.auth {
            Auth::Post => members.push((CLIENT_SECRET.name, Part::Value(CLIENT_SECRET.name))),
            Auth::Assertion => members.extend([
                (
                    "client_assertion_type",
                    Part::Text("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ),
                ("client_assertion", Part::Assertion),
            ]),
            Auth::Basic | Auth::Tls | Auth::None => {}
        }
        if !has(SCOPE) {
            members.push((SCOPE, Part::Scope));
        }
        let own = self.fields.iter();
        // Empty, it is what leaves out the one that would be added.
        let own = own.filter(|(name, value)| name != "grant_type" || !value.is_empty_text());
        members.extend(own.map(|(name, value)| match &**name {
            SCOPE => (SCOPE, Part::Scope),
            name => (keep(name), value.keep()),
        }));
        members
    }

    /// From here on it lives as long as the process.
    fn to_facts(&self) -> Facts {
        let site = |base_url: &Option<String>| Site {
            base_url: base_url.as_deref().map(keep),
            lifetime: self.lifetime,
        };
        let names: Vec<_> = self.account();
        let proofs: Vec<_> =
            names.iter().filter(|it| it.kind != FieldKind::Optional).map(|it| it.name).collect();
        let check = format!(
            "check {}, and that {} to this environment",
            proofs.join(", "),
            if proofs.len() > 1 { "they belong" } else { "it belongs" },
        );
        let mut headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (keep(name), value.keep())).collect();
        if self.auth == Auth::Basic {
            headers.insert(0, ("Authorization", Part::Basic(self.basic_encoding)));
        }
        // An account that sets one, where the description has none.
        let scope = self.fields.iter().find(|(name, _)| name == SCOPE);
        let scope = match scope {
            Some((_, Value::Text(scope))) => scope,
            _ => &self.scope,
        };
        Facts {
            name: keep(&self.name),
            title: keep(&self.title),
            endpoint: keep(&self.endpoint),
            prefix: keep(&self.prefix_of_variables),
            fields: names.leak(),
            takes_certificate: true,
            requires_certificate: self.auth == Auth::Tls,
            sandbox: site(&self.sandbox),
            production: site(&self.production),
            longest_lifetime: None,
            renewal: self.renewal,
            header: keep(&self.header),
            scheme: keep(&self.prefix),
            api: self.api.iter().map(|host| keep(host)).collect::<Vec<_>>().leak(),
            refusals_per_hour: self.refusals_per_hour,
            is_described: true,
            address_hint: keep(&format!(
                "the description of {} states no address for this environment; set it to the one you were given",
                self.name
            )),
            bad_request_hint: keep(&format!(
                "{check}; then the description: scope, fields and body"
            )),
            refusal_hint: keep(&check),
            protocol: Protocol {
                payload: self.payload,
                headers: headers.leak(),
                fields: self.members().leak(),
                scope: keep(scope),
                signing: self.signing.as_ref().map(|[alg, kid, audience]| Signing {
                    alg: alg.as_deref().map(keep),
                    kid: kid.as_deref().map(keep),
                    audience: audience.as_deref().map(keep),
                }),
                token: keep(&self.token),
                expires_in: self.expires_in.as_deref().map(keep),
                expires_at: self.expires_at.as_deref().map(keep),
                jwt_expiry: self.jwt_expiry,
                // With the token alone there is nothing else to read.
                is_oauth: !self.token.is_empty(),
            },
        }
    }
}

impl Value {
    fn keep(&self) -> Part {
        match self {
            Self::Placeholder(name) => Part::Value(keep(name)),
            Self::Text(text) => Part::Text(keep(text)),
            Self::Literal(text) => Part::Literal(keep(text)),
            Self::Table(members) => {
                let members = members.iter().map(|(name, value)| (keep(name), value.keep()));
                Part::Table(members.collect::<Vec<_>>().leak())
            }
        }
    }
}

fn keep(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn check_name(name: &str) -> Result<()> {
    let is_fine = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    if !is_fine {
        return Err(bad("name", "use a-z, 0-9, - and _, a letter first, at most 32 of them"));
    }
    if Provider::ALL.iter().any(|built_in| built_in.facts().name == name) {
        return Err(bad("name", &format!("{name} is built in; take another")));
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<()> {
    let key = "prefix_of_variables";
    let is_fine = prefix.starts_with(|c: char| c.is_ascii_uppercase())
        && prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && !prefix.ends_with('_');
    if !is_fine {
        return Err(bad(key, "use A-Z, 0-9 and _, a letter first, such as \"ACME\""));
    }
    let taken = Provider::ALL.iter().map(|built_in| built_in.facts().prefix).chain(["PAYTOKEN"]);
    for taken in taken {
        if prefix.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
            return Err(bad(key, &format!("{taken} is taken; set another")));
        }
    }
    Ok(())
}

fn auth(name: &str) -> Result<Auth> {
    Ok(match name {
        "client_secret_basic" => Auth::Basic,
        "client_secret_post" => Auth::Post,
        "private_key_jwt" => Auth::Assertion,
        "tls_client_auth" => Auth::Tls,
        "none" => Auth::None,
        _ => {
            return Err(bad(
                "auth",
                "not known; use client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or none",
            ));
        }
    })
}

fn renewal(keys: &mut Keys<'_>) -> Result<Renewal> {
    let words = [("coexists", false), ("replaces-previous", true)];
    let Some(replaces) = keys.word("renewal", &words)? else {
        return Err(bad(
            "renewal",
            "not set; say coexists where older tokens stay valid, replaces-previous where a new token ends the one before (ask the provider: a guess costs payments)",
        ));
    };
    let from = keys.number("renew_from", 1..=95)?;
    match (replaces, from) {
        (true, Some(_)) => Err(bad(
            "renew_from",
            "each new token ends the one before, so it is renewed at 95 %; remove it",
        )),
        (true, None) => Ok(Renewal::ReplacesPrevious),
        (false, from) => Ok(Renewal::Coexists { renew_from_percent: from.unwrap_or(80) }),
    }
}

/// The endpoint's path, and the addresses of the test system and the real one.
type Addresses = (String, Option<String>, Option<String>);

fn addresses(keys: &mut Keys<'_>) -> Result<Addresses> {
    let key = "token_endpoint";
    let text = keys.required(
        key,
        "the URL that gives tokens, such as \"https://auth.acme.example/oauth2/token\"",
    )?;
    let [sandbox, production] = ["sandbox", "production"].map(|key| match keys.text(key) {
        Ok(Some(url)) => base_url(key, &url).map(Some),
        other => other,
    });
    let (sandbox, production) = (sandbox?, production?);
    if text.starts_with('/') {
        check_path(&text)?;
        return Ok((text, sandbox, production));
    }
    if let Some(key) = sandbox.map(|_| "sandbox").or_else(|| production.map(|_| "production")) {
        return Err(bad(
            key,
            "stands beside a token_endpoint with an address; give token_endpoint as a path, such as \"/oauth2/token\", or remove this",
        ));
    }
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let start = text.len() - rest.len();
    let end = start + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let address = base_url(key, &text[..end])?;
    let path = match &text[end..] {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    check_path(&path)?;
    Ok((path, Some(address.clone()), Some(address)))
}

fn base_url(key: &str, url: &str) -> Result<String> {
    BaseUrl::parse(url).map(|url| url.as_str().to_owned()).map_err(|error| {
        let message = error.message();
        let problem = message.strip_prefix("base_url: ").unwrap_or(message);
        bad(key, &problem.replace("into Credentials", "into the account's settings"))
    })
}

fn check_path(path: &str) -> Result<()> {
    let key = "token_endpoint";
    let (plain, _) = path.split_once('?').unwrap_or((path, ""));
    let problem = if path.contains(['{', '}']) {
        "holds a placeholder, and a URL is logged by whoever passes it on; put it into a header or a field"
    } else if path.contains('#') {
        "has a fragment, which is never sent; remove it"
    } else if path.contains('@') {
        "holds an @, as with a user name or password; the credentials go into the account's settings"
    } else if !path.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`|".contains(&b)) {
        "has characters that do not belong in a URL; percent-encode them"
    } else if plain.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has dots as a part of its path; write the plain path"
    } else {
        return Ok(());
    };
    Err(bad(key, problem))
}

fn payload(keys: &mut Keys<'_>, auth: Auth) -> Result<Payload> {
    let is_get = keys.word("method", &[("POST", false), ("GET", true)])?.unwrap_or_default();
    let words = [("form", Payload::Form), ("json", Payload::Json), ("none", Payload::Empty)];
    match (is_get, keys.word("body", &words)?) {
        (true, None | Some(Payload::Empty)) => match auth {
            Auth::Post | Auth::Assertion | Auth::Tls => {
                Err(bad("method", "GET has no body, and this auth is sent there; use POST"))
            }
            Auth::Basic | Auth::None => Ok(Payload::Query),
        },
        (true, Some(_)) => {
            Err(bad("body", "a GET has none, its fields go into the query; remove one of the two"))
        }
        (false, body) => Ok(body.unwrap_or(Payload::Form)),
    }
}

/// What this library, or the connection, decides.
const OWN_HEADERS: [&str; 15] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "user-agent",
];

fn headers(keys: &mut Keys<'_>) -> Result<Vec<(String, Value)>> {
    let headers = keys.members("headers")?;
    for (index, (name, value)) in headers.iter().enumerate() {
        let problem = match value {
            _ if !is_header_name(name) => "is not a header name; use letters, digits and hyphens",
            _ if OWN_HEADERS.contains(&&*name.to_ascii_lowercase()) => {
                "is set by auth, body or the connection; remove it"
            }
            _ if headers[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) => {
                "stands there twice; keep one"
            }
            Value::Text(text) if !text.is_empty() && is_header_text(text) => continue,
            Value::Text(_) => "holds what does not belong in a header; use printable ASCII",
            Value::Placeholder(_) => continue,
            Value::Literal(_) | Value::Table(_) => "has to be a text",
        };
        return Err(bad("headers", &format!("{} {problem}", keys::shown_name(name))));
    }
    Ok(headers)
}

fn is_header_name(name: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_of_name)
}

fn is_header_text(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// The scope stands in one place.
fn scoped(fields: Vec<(String, Value)>, scope: &Option<String>) -> Result<Vec<(String, Value)>> {
    match fields.iter().find(|(name, _)| name == SCOPE) {
        Some(_) if scope.is_some() => {
            Err(bad("scope", "stands in fields, too; keep one of the two"))
        }
        Some((_, Value::Text(_))) | None => {
            match scope.as_deref().is_some_and(|scope| placeholder(scope).is_some()) {
                true => {
                    Err(bad("scope", "is no placeholder; an account's own scope takes its place"))
                }
                false => Ok(fields),
            }
        }
        Some(_) => Err(bad(
            "fields",
            "scope has to be a text, and no placeholder: an account's own scope takes its place",
        )),
    }
}

fn signing(keys: &mut Keys<'_>, auth: Auth) -> Result<Option<[Option<String>; 3]>> {
    const ALGS: [(&str, ()); 4] = [("PS256", ()), ("RS256", ()), ("ES256", ()), ("EdDSA", ())];
    let names = ["signing_alg", "kid", "assertion_audience"];
    keys.check_word("signing_alg", &ALGS)?;
    let mut values = [const { None }; 3];
    for (value, key) in values.iter_mut().zip(names) {
        *value = keys.shown_text(key)?;
        if value.is_some() && auth != Auth::Assertion {
            return Err(bad(key, "is for auth = \"private_key_jwt\"; remove it"));
        }
    }
    Ok((auth == Auth::Assertion).then_some(values))
}

fn api(keys: &mut Keys<'_>) -> Result<Vec<String>> {
    let hosts = keys.texts("api")?;
    match hosts.iter().all(|host| address_of(host).is_some_and(|(name, _)| name == host_of(host))) {
        true => Ok(hosts),
        false => Err(bad(
            "api",
            "has to be hosts in lower case, with a port or without, such as \"api.acme.example\"; no scheme, no path",
        )),
    }
}

/// The host alone, as it was written.
fn host_of(text: &str) -> String {
    let port = text.rfind(':').filter(|at| text[at + 1..].bytes().all(|b| b.is_ascii_digit()));
    text[..port.unwrap_or(text.len())].to_owned()
}
