//! The constant that a description becomes.

use super::keys::Value;
use super::shape::{Auth, Description};
use crate::types::facts::{
    ASSERTION_KEY, CLIENT_ID, CLIENT_SECRET, Facts, Field, FieldKind, KID, Part, Payload, Protocol,
    SCOPE, Signing, Site,
};

impl Description {
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
    pub(super) fn to_facts(&self) -> Facts {
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
