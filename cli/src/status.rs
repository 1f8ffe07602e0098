//! `paytoken status`: what the shared store says, for people and, as JSON, for monitoring.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paytoken::store::Account;
use paytoken::{ErrorKind, Provider, StoredStatus, TokenStatus};
use serde_json::{Value, json};

use crate::command_line::Options;
use crate::command_line::duration::spoken;
use crate::exit::Failure;
use crate::settings::{SettingsFile, Target};
use crate::terminal::print;

/// From so many days on, a certificate's end is pointed out.
pub(crate) const SOON: u64 = 30;

pub(crate) fn show(
    name: Option<&str>,
    file: Option<&SettingsFile>,
    options: &Options,
    as_json: bool,
) -> Result<(), Failure> {
    let names: Vec<&str> = match name {
        Some(name) => vec![name],
        None => everybody(file),
    };
    let mut lines = String::new();
    let mut values = Vec::new();
    let mut code = 0;
    let mut is_any_set_up = false;
    for name in &names {
        match state(name, file, options) {
            Ok(state) => {
                is_any_set_up = true;
                code = code.max(state.code());
                lines += &state.line();
                values.push(state.value());
            }
            // Of all, some are usually not set up.
            Err(Trouble::NotSetUp(problem)) if names.len() > 1 => {
                lines += &format!("{name:<14} not set up ({problem})\n");
                values.push(json!({"account": name, "provider": name, "configured": false, "problem": problem}));
            }
            Err(Trouble::NotSetUp(problem)) => return Err(Failure::Configuration(problem)),
            Err(Trouble::Other(failure)) => return Err(failure),
        }
    }
    match as_json {
        true => print(&format!("{:#}\n", Value::Array(values)))?,
        false => print(&lines)?,
    }
    match code {
        0 if !is_any_set_up => Err(Failure::Code(78)),
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

/// All providers, and all accounts of the settings file.
fn everybody(file: Option<&SettingsFile>) -> Vec<&str> {
    let mut names: Vec<&str> = Provider::ALL.iter().map(|provider| provider.facts().name).collect();
    let accounts = file.into_iter().flat_map(SettingsFile::accounts);
    names.extend(accounts.filter(|name| name.parse::<Provider>().is_err()));
    names
}

struct State {
    name: String,
    environment: String,
    base_url: String,
    store: String,
    stored: StoredStatus,
    certificate: Option<Certificate>,
}

/// A client certificate's end.
pub(crate) struct Certificate {
    pub(crate) not_after: SystemTime,
    /// Zero once it has expired.
    pub(crate) left: Duration,
}

impl Certificate {
    pub(crate) fn of(account: &Account) -> Option<Self> {
        let not_after = account.certificate_not_after()?;
        Some(Self { not_after, left: not_after.duration_since(now()).unwrap_or_default() })
    }

    pub(crate) fn days(&self) -> u64 {
        self.left.as_secs() / 86_400
    }
}

#[expect(clippy::disallowed_methods, reason = "a certificate's days are counted by the wall clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The stored token, if it can still be handed out.
pub(crate) fn good_token(status: &StoredStatus) -> Option<&TokenStatus> {
    status.token.as_ref().filter(|token| token.is_good)
}

/// What is said of an entry that is there and does not count.
pub(crate) const UNREADABLE: &str = "there is an entry that cannot be read (sealed with another key, not sealed, damaged, of another version, or open to others); the next fetch replaces it";

/// What the store remembers, in a word or two.
pub(crate) fn happened(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimited => "asked to go slower",
        ErrorKind::ServerUnavailable | ErrorKind::Transport => "the provider fails",
        ErrorKind::Timeout | ErrorKind::InvalidResponse => "the provider fails",
        _ => "refused",
    }
}

/// Why there is no state.
enum Trouble {
    NotSetUp(String),
    Other(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Configuration(problem) => Self::NotSetUp(problem),
            failure => Self::Other(failure),
        }
    }
}

fn state(name: &str, file: Option<&SettingsFile>, options: &Options) -> Result<State, Trouble> {
    let target = Target::open(name, file, options)?;
    let Some(store) = target.store().map_err(Trouble::Other)? else {
        let nothing = "status: there is nothing to tell without a store";
        return Err(Trouble::Other(Failure::Usage(nothing.into())));
    };
    let account = target.account()?;
    let stored = account.stored_status(store.store());
    let stored = stored.map_err(|error| Trouble::Other(target.failure(&error)))?;
    Ok(State {
        name: name.to_owned(),
        environment: target.environment()?.to_string(),
        base_url: target.base_url()?,
        store: store.to_string(),
        stored,
        certificate: Certificate::of(&account),
    })
}

impl State {
    /// For monitoring: 0 where a token is good, or nothing keeps one from being fetched.
    fn code(&self) -> u8 {
        let has_good_token = good_token(&self.stored).is_some();
        if self.certificate.as_ref().is_some_and(|certificate| certificate.left.is_zero()) {
            return 78;
        }
        match self.stored.last_error {
            Some(kind) if !has_good_token => Failure::of(kind, String::new()).code(),
            _ => 0,
        }
    }

    fn line(&self) -> String {
        let stored = &self.stored;
        let mut text = format!("{:<14} ", self.name);
        text += &match &stored.token {
            Some(token) if token.remaining.is_zero() => {
                let ended = now().duration_since(token.expires_at).unwrap_or_default();
                format!("token expired {} ago", spoken(ended))
            }
            Some(token) if !token.is_good => {
                format!("token ends in {}, too soon to be used", spoken(token.remaining))
            }
            Some(token) => {
                format!("token good for {}, {} old", spoken(token.remaining), spoken(token.age))
            }
            None if stored.entry_unreadable => format!("no token: {UNREADABLE}"),
            None if stored.was_revoked => "no token: the API rejected the last one".into(),
            None => "no token".into(),
        };
        if let (Some(kind), Some(left)) = (stored.last_error, stored.blocked_for) {
            text +=
                &format!("; {} ({kind:?}), not asked again for {}", happened(kind), spoken(left));
        }
        match &self.certificate {
            Some(certificate) if certificate.left.is_zero() => {
                text += "; the certificate has expired"
            }
            Some(certificate) if certificate.days() < SOON => {
                text +=
                    &format!("; the certificate expires in {}: renew it", spoken(certificate.left));
            }
            Some(certificate) => text += &format!("; certificate {} days", certificate.days()),
            None => {}
        }
        text + &format!("; {}, {}, store {}\n", self.environment, self.base_url, self.store)
    }

    fn value(&self) -> Value {
        let stored = &self.stored;
        let seconds = |time: Duration| time.as_secs_f64();
        let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({
            "account": self.name,
            "provider": stored.provider.to_string(),
            "configured": true,
            "environment": self.environment,
            "base_url": self.base_url,
            "store": self.store,
            "entry_unreadable": stored.entry_unreadable,
            "exit_code": self.code(),
            "token": stored.token.as_ref().map(|token| json!({
                "age_seconds": seconds(token.age),
                "remaining_seconds": seconds(token.remaining),
                "expires_at": unix(token.expires_at),
                "good": token.is_good,
            })),
            "rejected_by_api": stored.was_revoked,
            "last_error": stored.last_error.map(|kind| format!("{kind:?}")),
            "blocked_for_seconds": stored.blocked_for.map(seconds),
            "certificate": self.certificate.as_ref().map(|certificate| json!({
                "days_left": certificate.days(),
                "expires_at": unix(certificate.not_after),
            })),
        })
    }
}
