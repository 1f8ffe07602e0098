//! `paytoken status`: what the shared store says, for people and, as JSON, for monitoring.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paytoken::store::Account;
use paytoken::{Environment, ErrorKind, Provider, StoredStatus, TokenStatus};
use serde_json::{Value, json};

use crate::command_line::duration::spoken;
use crate::command_line::{Options, is_a_plain_word};
use crate::exit::Failure;
use crate::settings::{SettingsFile, Source, Target, all_providers, is_set_up, named};
use crate::store::SharedStore;
use crate::terminal::print;
use crate::words;

/// The exit code while the stored token is good and its renewals fail: nothing is broken yet.
const RENEWALS_FAIL: u8 = 1;

/// The exit code where a person has to ask for another certificate, and there is time for it.
const CERTIFICATE_ENDS_SOON: u8 = 2;

pub(crate) fn run(
    name: Option<&str>,
    file: Result<Option<SettingsFile>, Failure>,
    options: &Options,
    as_json: bool,
) -> Result<(), Failure> {
    if options.no_store {
        let nothing = "status: there is nothing to tell without a store";
        return Err(Failure::Usage(nothing.into()));
    }
    let is_of_all = name.is_none() && file.is_ok();
    let states = match file {
        Ok(file) => {
            let file = file.as_ref();
            let names = name.map_or_else(|| everybody(file), |name| vec![name.to_owned()]);
            let states = names.into_iter().map(|name| State::of(&name, file, options));
            states.collect::<Result<Vec<_>, _>>()?
        }
        // A name that is not known may be a secret in the wrong place.
        Err(failure) => vec![State {
            name: name.filter(|name| is_a_plain_word(name)).map(str::to_owned),
            is_set_up: true,
            failure: Some(failure),
            ..State::default()
        }],
    };
    let text = match as_json {
        true => format!("{:#}\n", states.iter().map(State::value).collect::<Value>()),
        // Of one account, what is wrong is told on stderr.
        false => {
            let shown = states.iter().filter(|state| is_of_all || state.stored.is_some());
            shown.map(State::line).collect()
        }
    };
    print(&text)?;
    // Of all, some are usually not set up.
    let counting = states.into_iter().filter(|state| state.is_set_up || !is_of_all);
    // The first of those.
    let worst = counting.rev().max_by_key(State::code);
    match worst.map(|state| (state.code(), state.failure)) {
        None => Err(Failure::Code(78)),
        Some((_, Some(failure))) => Err(failure),
        Some((0, None)) => Ok(()),
        Some((code, None)) => Err(Failure::Code(code)),
    }
}

/// All providers, and all accounts of the settings file.
pub(crate) fn everybody(file: Option<&SettingsFile>) -> Vec<String> {
    let providers = all_providers(file).into_iter();
    let providers =
        providers.filter(|(name, source)| *source == Source::BuiltIn || is_set_up(name, file));
    let mut names: Vec<_> = providers.map(|(name, _)| name).collect();
    for account in file.into_iter().flat_map(SettingsFile::accounts) {
        if !names.iter().any(|name| name == account) {
            names.push(account.to_owned());
        }
    }
    names
}

/// What is known of an account: all that could be found out.
#[derive(Default)]
struct State {
    /// Unless it may not be shown.
    name: Option<String>,
    is_set_up: bool,
    provider: Option<Provider>,
    environment: Option<Environment>,
    base_url: Option<String>,
    store: Option<SharedStore>,
    place: Option<String>,
    /// Whether it could be read, where that was tried.
    is_reachable: Option<bool>,
    stored: Option<StoredStatus>,
    certificate: Option<Certificate>,
    /// A setting that is wrong, or a store that cannot be read.
    failure: Option<Failure>,
}

/// A client certificate's end.
pub(crate) struct Certificate {
    pub(crate) not_after: SystemTime,
    /// Zero once it has expired.
    pub(crate) left: Duration,
    /// Whether it is time to ask for another.
    pub(crate) ends_soon: bool,
}

impl Certificate {
    pub(crate) fn of(target: &Target, account: &Account) -> Option<Self> {
        let not_after = account.certificate_not_after()?;
        let left = not_after.duration_since(now()).unwrap_or_default();
        Some(Self { not_after, left, ends_soon: left < target.certificate_warning })
    }

    fn days(&self) -> u64 {
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

impl State {
    fn of(name: &str, file: Option<&SettingsFile>, options: &Options) -> Result<Self, Failure> {
        let mut state = Self {
            name: Some(name.to_owned()),
            is_set_up: is_set_up(name, file),
            provider: named(name, file).and_then(Result::ok),
            ..Self::default()
        };
        match Target::open(name, file, options) {
            Ok(target) => state.find(&target),
            Err(failure @ Failure::Usage(_)) => return Err(failure),
            Err(failure) => state.failure = Some(failure),
        }
        Ok(state)
    }

    /// Looks at everything, whatever is wrong with another part of it.
    fn find(&mut self, target: &Target) {
        self.provider = Some(target.provider());
        // What is wrong with these, the account says.
        self.environment = target.environment().ok();
        self.base_url = target.base_url().ok();
        let (store, account, rest) = (target.store(), target.account(), target.check_the_rest());
        self.certificate =
            account.as_ref().ok().and_then(|account| Certificate::of(target, account));
        let stored = match (&store, &account) {
            (Ok(Some(store)), Ok(account)) => account.stored_status(store.store()).map(Some),
            _ => Ok(None),
        };
        let (store, no_store) = apart(store);
        let (stored, not_read) = apart(stored.map_err(|error| target.failure(&error)));
        (self.store, self.stored) = (store.flatten(), stored.flatten());
        self.is_reachable = match (&self.stored, no_store.as_ref().or(not_read.as_ref())) {
            (Some(_), _) => Some(true),
            (None, Some(Failure::Store(_))) => Some(false),
            (None, _) => None,
        };
        self.place = match (&self.store, &no_store) {
            (Some(store), _) => Some(store.place().to_string()),
            // A directory that cannot be used: its error names it, too.
            (None, Some(Failure::Store(_))) => {
                target.settings.store.as_ref().map(|directory| directory.display().to_string())
            }
            (None, _) => None,
        };
        // A setting that is wrong counts before a store that is away.
        let failures = [no_store, account.err(), rest.err(), not_read];
        self.failure = failures.into_iter().flatten().rev().max_by_key(Failure::code);
    }

    /// For monitoring.
    fn code(&self) -> u8 {
        if let Some(failure) = &self.failure {
            return failure.code();
        }
        if self.certificate.as_ref().is_some_and(|certificate| certificate.left.is_zero()) {
            return 78;
        }
        let of_token = self.stored.as_ref().map_or(0, |stored| match stored.last_error {
            Some(kind) if good_token(stored).is_none() => Failure::of(kind, String::new()).code(),
            _ if stored.renewals_failing => RENEWALS_FAIL,
            _ => 0,
        });
        match &self.certificate {
            // What fails already is told first.
            Some(certificate) if certificate.ends_soon && of_token == 0 => CERTIFICATE_ENDS_SOON,
            _ => of_token,
        }
    }

    fn line(&self) -> String {
        let mut parts = Vec::new();
        match &self.failure {
            Some(problem) if !self.is_set_up => parts.push(format!("not set up ({problem})")),
            Some(problem) => parts.push(format!("error: {problem}")),
            None => {}
        }
        if let Some(stored) = &self.stored {
            parts.push(token_line(stored));
            parts.extend(history_lines(stored));
        }
        match &self.certificate {
            Some(certificate) if certificate.left.is_zero() => {
                parts.push("the certificate has expired".into());
            }
            Some(certificate) if certificate.ends_soon => {
                let left = spoken(certificate.left);
                parts.push(format!("the certificate expires in {left}: renew it"));
            }
            Some(certificate) => parts.push(format!("certificate {} days", certificate.days())),
            None => {}
        }
        if self.is_set_up
            && let (Some(environment), Some(base_url)) = (self.environment, &self.base_url)
        {
            parts.push(format!("{environment}, {base_url}"));
            parts.extend(self.store.as_ref().map(|store| format!("store {store}")));
        }
        format!("{:<14} {}\n", self.name.as_deref().unwrap_or_default(), parts.join("; "))
    }

    fn value(&self) -> Value {
        let stored = self.stored.as_ref();
        let failure = self.failure.as_ref().map(Failure::to_string);
        let blocked_for = stored.and_then(|stored| stored.blocked_for).map(seconds);
        let days_left = self.certificate.as_ref().map(Certificate::days);
        let entry_unreadable = stored.map(|stored| stored.entry_unreadable);
        json!({
            "account": self.name,
            "provider": self.provider.map(|provider| provider.to_string()),
            "configured": self.is_set_up,
            "problem": failure,
            "error": failure,
            "exit_code": self.code(),
            "environment": self.environment.map(|environment| environment.to_string()),
            "base_url": self.base_url,
            "store": {
                "place": self.place,
                "reachable": self.is_reachable,
                "sealed": self.store.as_ref().map(SharedStore::is_sealed),
                "entry_unreadable": entry_unreadable,
            },
            "entry_unreadable": entry_unreadable,
            "token": stored.and_then(|stored| stored.token.as_ref()).map(|token| json!({
                "age_seconds": seconds(token.age),
                "remaining_seconds": seconds(token.remaining),
                "expires_at": unix(token.expires_at),
                "good": token.is_good,
            })),
            "rejected_by_api": stored.map(|stored| stored.was_revoked),
            "last_success_at": stored.and_then(|stored| stored.last_success_at).map(unix),
            "last_error": stored.and_then(|stored| stored.last_error).map(|kind| format!("{kind:?}")),
            "last_error_message": stored.and_then(last_message),
            "last_error_at": stored.and_then(|stored| stored.last_error_at).map(unix),
            "renewals_failing": stored.map(|stored| stored.renewals_failing),
            "refused_in_last_hour": stored.map(|stored| stored.refused_in_last_hour),
            "blocked_for": blocked_for,
            "blocked_for_seconds": blocked_for,
            "certificate": self.certificate.as_ref().map(|certificate| json!({
                "days_left": days_left,
                "expires_at": unix(certificate.not_after),
            })),
            "certificate_days_left": days_left,
        })
    }
}

fn apart<T>(result: Result<T, Failure>) -> (Option<T>, Option<Failure>) {
    match result {
        Ok(found) => (Some(found), None),
        Err(failure) => (None, Some(failure)),
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Seconds since 1970.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `3 min ago`; another machine's clock may be ahead.
fn ago(time: SystemTime) -> String {
    format!("{} ago", spoken(now().duration_since(time).unwrap_or_default()))
}

fn last_message(stored: &StoredStatus) -> Option<String> {
    stored.last_error_message.as_ref().map(|text| words::of_provider(text, stored.provider))
}

fn token_line(stored: &StoredStatus) -> String {
    match &stored.token {
        Some(token) if token.remaining.is_zero() => {
            format!("token expired {}", ago(token.expires_at))
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
    }
}

fn history_lines(stored: &StoredStatus) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(kind) = stored.last_error {
        let renewals = if stored.renewals_failing { "renewals fail: " } else { "" };
        let mut text = format!("{renewals}{} ({kind:?})", happened(kind));
        if let Some(left) = stored.blocked_for {
            text += &format!(", not asked again for {}", spoken(left));
        }
        if let Some(at) = stored.last_error_at {
            text += &format!(", last {}", ago(at));
        }
        if let Some(message) = last_message(stored) {
            text += &format!(": {message}");
        }
        parts.push(text);
        parts.push(match stored.last_success_at {
            Some(at) => format!("the last token came {}", ago(at)),
            None => "no token has come yet".into(),
        });
    }
    if stored.refused_in_last_hour > 0 {
        parts.push(format!("{} refused within the hour", stored.refused_in_last_hour));
    }
    parts
}
