//! What a description says, and whether its keys go together.

use std::time::Duration;

use super::keys::{Members, Value, bad};
use crate::types::error::Result;
use crate::types::facts::{BasicEncoding, CLIENT_ID, CLIENT_SECRET, Payload, Renewal};

/// How a client proves who it is (the registered names of RFC 7591 §2).
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Auth {
    Basic,
    Post,
    Assertion,
    Tls,
    /// Fields and headers carry the credentials.
    None,
}

/// What a text says, checked.
#[derive(PartialEq)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) prefix_of_variables: String,
    pub(super) endpoint: String,
    pub(super) sandbox: Option<String>,
    pub(super) production: Option<String>,
    pub(super) auth: Auth,
    pub(super) basic_encoding: BasicEncoding,
    pub(super) signing: Option<[Option<String>; 3]>,
    pub(super) payload: Payload,
    pub(super) headers: Members,
    pub(super) fields: Members,
    pub(super) scope: String,
    pub(super) token: String,
    pub(super) expires_in: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) jwt_expiry: bool,
    pub(super) lifetime: Option<Duration>,
    pub(super) renewal: Renewal,
    pub(super) header: String,
    pub(super) prefix: String,
    pub(super) api: Vec<String>,
    pub(super) refusals_per_hour: u32,
    pub(super) secrets: Vec<String>,
    pub(super) identity: Vec<String>,
}

impl Description {
    /// What the keys say together.
    pub(super) fn check(&self) -> Result<()> {
        let Self { auth, payload, .. } = *self;
        if payload == Payload::Empty && !(self.fields.is_empty() && self.scope.is_empty()) {
            let key = if self.scope.is_empty() { "fields" } else { "scope" };
            return Err(bad(key, "is sent nowhere with body = \"none\"; remove one of the two"));
        }
        if payload == Payload::Empty && matches!(auth, Auth::Post | Auth::Assertion | Auth::Tls) {
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

    /// The variables that its accounts may be set by.
    pub(super) fn variables(&self) -> Vec<String> {
        const OF_ALL: [&str; 9] = [
            "CLIENT_ID",
            "CLIENT_SECRET",
            "CLIENT_CERT",
            "CLIENT_KEY",
            "ASSERTION_KEY",
            "KID",
            "SCOPE",
            "BASE_URL",
            "ENVIRONMENT",
        ];
        let own = self.identity.iter().chain(&self.secrets).map(|name| name.to_ascii_uppercase());
        let names = OF_ALL.into_iter().map(str::to_owned).chain(own);
        names.map(|name| format!("{}_{name}", self.prefix_of_variables)).collect()
    }

    pub(super) fn uses(&self, name: &str) -> bool {
        let parts = self.headers.iter().chain(self.fields.iter());
        parts
            .flat_map(|(_, value)| value.leaves())
            .any(|value| matches!(value, Value::Placeholder(used) if used == name))
    }
}
