//! The case files of `tests/testdata/described`: what is to be sent for a description and an account, what
//! the server answers, and what comes out. Their form is told at the top of paypal.toml there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paytoken_sandbox::rcgen::{CertificateParams, KeyPair};
use paytoken_sandbox::{Authority, IssuedCertificate};
use toml::{Table, Value};

use crate::Server;

/// One of the files.
pub struct Case {
    /// The provider's name.
    pub name: String,
    whole: Table,
    description: Table,
}

/// What comes out.
pub struct Outcome {
    /// The token itself.
    pub secret: String,
    /// Its lifetime.
    pub lifetime: Duration,
    /// The header line for the API.
    pub header: String,
    /// From before the request until after the answer.
    pub took: Duration,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn toml_of(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Paths of the files in this folder of the repository, in their order.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The names in the catalogue: one file each.
pub fn catalogue() -> Vec<String> {
    files("providers").iter().map(|path| stem(path)).collect()
}

/// The text of this file of the catalogue.
pub fn catalogue_text(name: &str) -> String {
    fs::read_to_string(root().join("providers").join(name).with_extension("toml")).unwrap()
}

/// A table `[providers.NAME]` as JSON, with its name.
pub fn to_json(name: &str, description: &Table) -> String {
    let mut whole = Table::new();
    whole.insert("name".into(), name.into());
    whole.extend(description.clone());
    serde_json::to_string(&whole).unwrap()
}

/// As a settings file has it.
pub fn to_toml(name: &str, description: &Table) -> String {
    let named: Table = [(name.to_owned(), description.clone().into())].into_iter().collect();
    let whole: Table = [("providers".to_owned(), named.into())].into_iter().collect();
    toml::to_string(&whole).unwrap()
}

/// The description of a file that holds `[providers.NAME]`.
pub fn description(toml: &Table, name: &str) -> Option<Table> {
    toml.get("providers")?.get(name)?.as_table().cloned()
}

impl Case {
    /// Every file of the folder.
    pub fn all() -> Vec<Self> {
        files("tests/testdata/described").iter().map(|path| Self::of(path)).collect()
    }

    fn of(path: &Path) -> Self {
        let (name, whole) = (stem(path), toml_of(path));
        let known =
            ["account", "answer", "catalogue", "providers", "request", "token"].map(str::to_owned);
        only(&whole, &known, &name);
        let description = match whole.get("catalogue") {
            Some(of) => {
                assert_eq!(of.as_str(), Some(&*name));
                description(&catalogue_text(&name).parse().unwrap(), &name)
            }
            None => description(&whole, &name),
        };
        Self { description: description.unwrap(), name, whole }
    }

    /// Whether the description is the catalogue's.
    pub fn is_of_catalogue(&self) -> bool {
        self.whole.contains_key("catalogue")
    }

    /// As the library takes it.
    pub fn json(&self) -> String {
        to_json(&self.name, &self.description)
    }

    /// The lines of a settings file that describe the provider; none for one of the catalogue.
    pub fn toml(&self) -> String {
        match self.is_of_catalogue() {
            true => String::new(),
            false => to_toml(&self.name, &self.description),
        }
    }

    /// The account's settings.
    pub fn account(&self) -> Vec<(&str, &str)> {
        let account = self.table("account");
        account.iter().map(|(key, value)| (&**key, value.as_str().unwrap())).collect()
    }

    /// Whether an assertion is signed.
    pub fn has_assertion(&self) -> bool {
        self.table("request").contains_key("assertion")
    }

    fn table(&self, key: &str) -> &Table {
        self.whole[key].as_table().unwrap()
    }

    /// What gives the answer of this case.
    pub fn server(&self, authority: &Authority) -> Server {
        let answer = self.table("answer");
        only(answer, &["status", "body", "expires_at_in", "end_format"], &self.name);
        let (status, body) =
            (answer["status"].clone(), answer["body"].as_str().unwrap().to_owned());
        let seconds = answer.get("expires_at_in").and_then(Value::as_integer);
        let format = answer.get("end_format").and_then(Value::as_str).map(str::to_owned);
        Server::by_tls(authority, move || {
            let body = match (seconds, &format) {
                (Some(seconds), Some(format)) => body.replace("@END@", &end(seconds, format)),
                _ => body.clone(),
            };
            let length = body.len();
            format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .into_bytes()
        })
    }

    /// Whether what the server received is what has to be sent, and what came out is what has to.
    pub fn check(&self, server: &Server, outcome: &Outcome) -> Result<(), String> {
        self.check_request(server)?;
        let token = self.table("token");
        only(token, &["secret", "lifetime", "header"], &self.name);
        equal("secret", &outcome.secret, token["secret"].as_str().unwrap())?;
        equal("header", &outcome.header, token["header"].as_str().unwrap())?;
        let wanted = token["lifetime"].as_integer().unwrap() as f64;
        let came = outcome.lifetime.as_secs_f64();
        // The end that is told as a date is counted from the answer, and rounded to the second.
        let (less, more) = match self.table("answer").contains_key("expires_at_in") {
            true => (1.0, outcome.took.as_secs_f64()),
            false => (0.0, 0.001),
        };
        match came >= wanted - less && came <= wanted + more {
            true => Ok(()),
            false => Err(format!("lifetime: {came} instead of {wanted}")),
        }
    }

    /// This case with one expectation of each kind made wrong, and its name.
    pub fn broken(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for part in ["request", "token"] {
            for way in ways(&self.whole[part], part) {
                let mut whole = self.whole.clone();
                spoil(whole.get_mut(part).unwrap(), &way[1..]);
                let Self { name, description, .. } = self;
                let (name, description) = (name.clone(), description.clone());
                all.push((way.join("."), Self { name, whole, description }));
            }
        }
        all
    }

    fn check_request(&self, server: &Server) -> Result<(), String> {
        let wanted = self.table("request");
        let known = [
            "method",
            "target",
            "headers",
            "absent",
            "body",
            "body_has",
            "certificate",
            "assertion",
        ];
        only(wanted, &known, &self.name);
        let received = server.received();
        let [request] = &received[..] else {
            return Err(format!("{} requests instead of one", received.len()));
        };
        let request = String::from_utf8(request.clone()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").ok_or("no head")?;
        let mut lines = head.lines();
        let text = |key: &str| wanted[key].as_str().unwrap();
        let first = format!("{} {} HTTP/1.1", text("method"), text("target"));
        equal("first line", lines.next().unwrap_or_default(), &first)?;
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let of_case = wanted["headers"].as_table().unwrap();
        for (name, value) in of_case {
            let found: Vec<_> = headers.iter().filter(|(known, _)| known == name).collect();
            let [(_, found)] = found[..] else { return Err(format!("{name}: {found:?}")) };
            equal(name, found, value.as_str().unwrap())?;
        }
        let absent = wanted.get("absent").and_then(Value::as_array).into_iter().flatten();
        let absent: BTreeSet<_> = absent.map(|name| name.as_str().unwrap()).collect();
        let usual = ["host", "user-agent", "accept", "accept-encoding", "content-length"];
        for (name, value) in &headers {
            let is_known = of_case.contains_key(name) || usual.contains(&&**name);
            if absent.contains(&**name) || !is_known {
                return Err(format!("{name} was sent: {value}"));
            }
        }
        match wanted.get("body").and_then(Value::as_str) {
            Some(wanted) => equal("body", body, wanted)?,
            None => {
                let pieces = wanted["body_has"].as_array().unwrap();
                for piece in pieces.iter().map(|piece| piece.as_str().unwrap()) {
                    // An assertion's beginning is all that is known of it.
                    let is_it = |sent: &str| {
                        sent == piece || piece.ends_with("=eyJ") && sent.starts_with(piece)
                    };
                    if !body.split('&').any(is_it) {
                        return Err(format!("{piece} is not in {body}"));
                    }
                }
                equal("pieces", &body.split('&').count().to_string(), &pieces.len().to_string())?;
            }
        }
        if let Some(wanted) = wanted.get("assertion") {
            let target = text("target").split('?').next().unwrap();
            check_assertion(wanted.as_table().unwrap(), body, &format!("{}{target}", server.url))?;
        }
        let is_shown = !server.certificates_shown().is_empty();
        match is_shown == wanted.get("certificate").is_some_and(|it| it.as_bool().unwrap()) {
            true => Ok(()),
            false => Err(format!("the certificate was shown: {is_shown}")),
        }
    }
}

fn check_assertion(wanted: &Table, body: &str, endpoint: &str) -> Result<(), String> {
    only(wanted, &["head", "head_has", "claims", "has", "lacks"], "assertion");
    let assertion = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("client_assertion="))
        .ok_or("no assertion")?;
    let parts: Vec<_> = assertion.split('.').collect();
    let [head, claims, _] = parts[..] else { return Err(format!("no JWT: {assertion}")) };
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    for (part, members, has) in [(head, "head", "head_has"), (claims, "claims", "has")] {
        let decoded = json(part);
        for (name, value) in wanted[members].as_table().unwrap() {
            let value = value.as_str().unwrap().replace("@ENDPOINT@", endpoint);
            if decoded[name] != *value {
                return Err(format!("{members}: {name} is {} instead of {value}", decoded[name]));
            }
        }
        let names = |key| wanted.get(key).and_then(Value::as_array).into_iter().flatten();
        for name in names(has).map(|name| name.as_str().unwrap()) {
            if decoded.get(name).is_none() {
                return Err(format!("{members}: no {name}"));
            }
        }
        for name in names("lacks").map(|name| name.as_str().unwrap()) {
            if decoded.get(name).is_some() {
                return Err(format!("{members}: {name} is there"));
            }
        }
    }
    Ok(())
}

/// The ways to all values in it.
fn ways(value: &Value, name: &str) -> Vec<Vec<String>> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => return vec![vec![name.to_owned()]],
    };
    let of_inner = inner.iter().flat_map(|(inner, value)| ways(value, inner));
    of_inner.map(|way| [vec![name.to_owned()], way].concat()).collect()
}

fn spoil(value: &mut Value, way: &[String]) {
    match (value, way) {
        (Value::Table(table), [name, rest @ ..]) => {
            let inner = table.get_mut(name).unwrap();
            match (&**name, inner) {
                // What is sent, and so is not absent.
                ("absent", inner) => *inner = Value::Array(vec!["host".into()]),
                ("lacks", inner) => *inner = Value::Array(vec!["iat".into()]),
                (_, inner) => spoil(inner, rest),
            }
        }
        (Value::Array(items), [at, rest @ ..]) => {
            spoil(&mut items[at.parse::<usize>().unwrap()], rest);
        }
        (Value::String(text), _) => *text = format!("other-{text}"),
        (Value::Integer(number), _) => *number += 2,
        (Value::Boolean(is), _) => *is = !*is,
        (value, _) => panic!("{value:?} is not expected"),
    }
}

fn equal(what: &str, found: &str, wanted: &str) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} instead of {wanted:?}")),
    }
}

/// A key that nobody reads would be a promise that nobody keeps.
fn only(table: &Table, known: &[impl AsRef<str>], name: &str) {
    let other = table.keys().find(|key| !known.iter().any(|known| known.as_ref() == *key));
    assert!(other.is_none(), "{name}: {other:?} is not known");
}

/// The time so many seconds from now, as a server writes it.
pub fn end(seconds: i64, format: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let milliseconds = i64::try_from(now.as_millis()).unwrap() + seconds * 1_000;
    let utc = jiff::Timestamp::from_millisecond(milliseconds).unwrap();
    match format {
        "epoch" => (milliseconds / 1_000).to_string(),
        "epoch-ms" => milliseconds.to_string(),
        "iso" => utc.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "iso-compact-offset" => utc.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        other => panic!("{other} is no format"),
    }
}

/// An RSA key (PKCS#8), which only openssl makes, and a certificate for it.
pub fn rsa_identity(authority: &Authority) -> IssuedCertificate {
    static KEY: OnceLock<String> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    let params = CertificateParams::new(vec!["merchant.example".into()]).unwrap();
    authority.sign(params, &KeyPair::from_pem(key).unwrap())
}
