//! A description's text, key by key.

use super::keys::{self, Keys, Members, Value, bad, placeholder};
use super::shape::{Auth, Description};
use crate::base::header;
use crate::types::base_url::{BaseUrl, address_of};
use crate::types::error::{Error, Result};
use crate::types::facts::{BasicEncoding, Payload, Renewal, SCOPE};
use crate::types::names::Provider;

/// A longer text is no description.
const LONGEST: usize = 64 * 1024;

impl Description {
    pub(super) fn read(json: &str) -> Result<Self> {
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
        if !header::is_name(&header) {
            return Err(bad("header", "is not a header name; use letters, digits and hyphens"));
        }
        let is_own = OWN_HEADERS.contains(&&*header.to_ascii_lowercase());
        if is_own && !header.eq_ignore_ascii_case("authorization") {
            return Err(bad("header", "is the connection's, and holds no token; set another"));
        }
        let prefix = keys.text("prefix")?.unwrap_or_else(|| "Bearer".into());
        if !header::is_value(&prefix) {
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

fn headers(keys: &mut Keys<'_>) -> Result<Members> {
    let headers = keys.members("headers")?;
    for (index, (name, value)) in headers.iter().enumerate() {
        let problem = match value {
            _ if !header::is_name(name) => "is not a header name; use letters, digits and hyphens",
            _ if OWN_HEADERS.contains(&&*name.to_ascii_lowercase()) => {
                "is set by auth, body or the connection; remove it"
            }
            _ if headers[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) => {
                "stands there twice; keep one"
            }
            Value::Text(text) if !text.is_empty() && header::is_value(text) => continue,
            Value::Text(_) => "holds what does not belong in a header; use printable ASCII",
            Value::Placeholder(_) => continue,
            Value::Literal(_) | Value::Table(_) => "has to be a text",
        };
        return Err(bad("headers", &format!("{} {problem}", keys::shown_name(name))));
    }
    Ok(headers)
}

/// The scope stands in one place.
fn scoped(fields: Members, scope: &Option<String>) -> Result<Members> {
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
    match hosts.iter().all(|host| address_of(host).is_some()) {
        true => Ok(hosts),
        false => Err(bad(
            "api",
            "has to be hosts, with a port or without, such as \"api.acme.example\"; no scheme, no path",
        )),
    }
}
