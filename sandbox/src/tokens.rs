//! The tokens of one service: made, looked up, ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use paytoken::Renewal;
use serde_json::json;

use crate::Service;
use crate::clock;
use crate::text;

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Valid,
    /// Ended by a newer token of the same client.
    Superseded,
    Revoked,
    Expired,
    Unknown,
}

struct Record {
    issued: Instant,
    lifetime: Duration,
    superseded: bool,
    revoked: bool,
}

impl Record {
    fn standing(&self) -> Standing {
        // Superseded comes first: that is the mistake worth counting, also after the token's time.
        if self.superseded {
            Standing::Superseded
        } else if self.revoked {
            Standing::Revoked
        } else if self.has_expired() {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }

    fn has_expired(&self) -> bool {
        clock::now().saturating_duration_since(self.issued) >= self.lifetime
    }
}

/// All tokens of one service that may still matter.
pub(crate) struct Ledger {
    service: Service,
    records: HashMap<String, Record>,
    latest_of_client: HashMap<String, String>,
    /// Above this many records the expired ones are dropped.
    sweep_above: usize,
}

/// A token just issued, and what the answer says of it.
pub(crate) struct Issued {
    pub(crate) token: String,
    /// At least one: zero would mean "no token".
    pub(crate) lifetime_seconds: i64,
    pub(crate) expires_at_milliseconds: i64,
}

const FEW_RECORDS: usize = 16 * 1024;

impl Ledger {
    pub(crate) fn new(service: Service) -> Ledger {
        Ledger {
            service,
            records: HashMap::new(),
            latest_of_client: HashMap::new(),
            sweep_above: FEW_RECORDS,
        }
    }

    /// Issues a token; where tokens replace each other, this very moment ends the
    /// client's one before.
    pub(crate) fn issue(
        &mut self,
        client: &str,
        lifetime: Duration,
        clock_offset_seconds: i64,
    ) -> Issued {
        let issued = clock::now();
        let wall = clock::wall_milliseconds() + clock_offset_seconds * 1_000;
        let lifetime_seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX).max(1);
        let token = self.mint(client, wall.div_euclid(1_000), lifetime_seconds);
        if self.service.facts().renewal == Renewal::ReplacesPrevious {
            let previous = self.latest_of_client.insert(client.to_owned(), token.clone());
            let record = previous.and_then(|previous| self.records.get_mut(&previous));
            // One that had ended before was not ended by this one.
            if let Some(record) = record.filter(|record| record.standing() == Standing::Valid) {
                record.superseded = true;
            }
        }
        let record = Record { issued, lifetime, superseded: false, revoked: false };
        self.records.insert(token.clone(), record);
        self.sweep();
        Issued {
            token,
            lifetime_seconds,
            expires_at_milliseconds: wall.saturating_add(clock::milliseconds(lifetime)),
        }
    }

    pub(crate) fn standing(&self, token: &str) -> Standing {
        self.records.get(token).map_or(Standing::Unknown, Record::standing)
    }

    /// Ends one token; false if there is none such that is valid.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        match self.records.get_mut(token) {
            Some(record) if record.standing() == Standing::Valid => {
                record.revoked = true;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn revoke_all(&mut self) {
        for record in self.records.values_mut() {
            record.revoked = true;
        }
    }

    fn sweep(&mut self) {
        if self.records.len() > self.sweep_above {
            self.records.retain(|_, record| !record.has_expired());
            self.sweep_above = FEW_RECORDS.max(self.records.len() * 2);
        }
    }

    /// Three base64url parts like a real JWT's; the signature is noise and verifies nowhere.
    fn mint(&self, client: &str, issued: i64, lifetime_seconds: i64) -> String {
        let payload = json!({
            "iss": format!("https://{}.sandbox.invalid/", self.service),
            "aud": "paytoken-sandbox",
            "sub": client,
            "scope": "email profile",
            "note": "Made by a simulation on this machine. Opens nothing and is worth nothing.",
            "sid": text::hexadecimal(&text::random::<24>()),
            "jti": text::hexadecimal(&text::random::<16>()),
            "iat": issued,
            "exp": issued.saturating_add(lifetime_seconds),
        });
        format!(
            "{}.{}.{}",
            text::base64url(br#"{"alg":"HS256","typ":"JWT"}"#),
            text::base64url(payload.to_string().as_bytes()),
            text::base64url(&text::random::<32>()),
        )
    }
}
