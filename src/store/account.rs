//! [`Account`]: whose entry it is, and what can be done with it without a secret.

use std::time::{Duration, SystemTime};

use log::warn;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::{Store, StoreKey};
use crate::base::clock::{ClockSource, Now};
use crate::base::digest::sha256_hex;
use crate::credentials::Credentials;
use crate::credentials::certificate::ClientCertificate;
use crate::policy::book::Cap;
use crate::protocol;
use crate::token::renewal;
use crate::token::{AuthorizationHeader, Token, without_scheme};
use crate::types::base_url::BaseUrl;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::event::LOG_TARGET;
use crate::types::facts::Part;
use crate::types::names::Provider;
use crate::types::status::{StoredStatus, TokenStatus};

/// An account at a provider, without its secret: what a [`Store`] keeps an entry for.
///
/// It serves short-lived programs: a token that another process has stored is handed out without
/// reading a secret or a private key, and without setting up TLS.
///
/// ```
/// use std::time::Duration;
///
/// use paytoken::store::Account;
/// use paytoken::{Credentials, Environment, FileStore, Provider};
///
/// # let folder = std::env::temp_dir().join(format!("paytoken-account-{}", std::process::id()));
/// let credentials = Credentials::new(Provider::NexterPay, "merchant-7", "not-a-real-secret", None)?;
/// let account = Account::new(&credentials, Environment::Sandbox, None)?;
/// let store = FileStore::open(&folder)?;
/// assert!(account.stored_token(&store, Duration::ZERO)?.is_none()); // nothing is stored yet
/// assert!(account.stored_status(&store)?.token.is_none());
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Account {
    provider: Provider,
    environment: Environment,
    key: StoreKey,
    certificate_not_after: Option<SystemTime>,
}

impl Account {
    /// The account of these credentials. `base_url` as given to
    /// [`Builder::base_url`](crate::Builder::base_url), or `None` for the provider's own.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the field.
    pub fn new(
        credentials: &Credentials,
        environment: Environment,
        base_url: Option<&str>,
    ) -> Result<Self> {
        let provider = credentials.provider();
        let account = || {
            let base_url = match base_url {
                Some(url) => BaseUrl::parse(url)?,
                None => BaseUrl::parse(protocol::base_url(provider, environment)?)?,
            };
            let account = Self::of(credentials, environment, &base_url);
            let certificate = credentials.certificate();
            let certificate_not_after = certificate.and_then(ClientCertificate::not_after);
            Ok(Self { certificate_not_after, ..account })
        };
        account().map_err(|error: Error| error.with_provider(provider))
    }

    /// Whose account it is.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The name of its entry.
    pub fn key(&self) -> &StoreKey {
        &self.key
    }

    /// When its client certificate expires, where it has one.
    pub fn certificate_not_after(&self) -> Option<SystemTime> {
        self.certificate_not_after
    }

    /// The stored token, if it is good for at least this long and not due for renewal.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when the store cannot be read.
    pub fn stored_token(
        &self,
        store: &(impl Store + ?Sized),
        min_validity: Duration,
    ) -> Result<Option<Token>> {
        let now = Now::from_system();
        let Some(token) = self.token(&self.entry(store)?, now) else {
            return Ok(None);
        };
        let is_good = renewal::is_good(&token, now, min_validity)
            && !self.provider.facts().renewal.is_due(&token, now);
        Ok(is_good.then_some(token))
    }

    /// Drops the stored token if it is this one, so that no process uses it again; a newer one
    /// stays. Returns false if it was not the stored one. The text may be a header's value: a scheme
    /// before the token (`Bearer`) and blanks are removed.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when it cannot be written, or another process holds the
    /// lock for all of `limit`.
    pub fn invalidate(
        &self,
        store: &(impl Store + ?Sized),
        revoked: &str,
        limit: Duration,
    ) -> Result<bool> {
        let tell = || warn!(target: LOG_TARGET, "{}: {UNREADABLE}", self.provider);
        self.invalidate_at(store, without_scheme(revoked), limit, Now::from_system(), tell)
            .map(|(was_stored, _)| was_stored)
            .map_err(|error| error.with_provider(self.provider))
    }

    /// Writes into the entry that this token is revoked. Returns whether it is the one that was there, and
    /// the entry as it is now.
    /// Where tokens coexist, other processes may still have it in memory though the entry has a newer
    /// one, so it is written in any case. An entry that cannot be read is reported before it is replaced.
    pub(crate) fn invalidate_at(
        &self,
        store: &(impl Store + ?Sized),
        revoked: &str,
        limit: Duration,
        now: Now,
        tell_unreadable: impl FnOnce(),
    ) -> Result<(bool, Entry)> {
        let key = &self.key;
        let replaces = self.provider.facts().renewal.replaces();
        // Nothing is to be written if the entry does not have this token and says already that it is
        // revoked. Neither where tokens replace each other, if the entry has a newer one or has never had
        // any. (A replica that took over too early may have lost both the newer token and the revocation:
        // then it is written.)
        let is_settled = |entry: &Entry| {
            let is_replaced = replaces && (entry.token.is_some() || entry.generation == 0);
            !entry.is_about(revoked) && (entry.book.has_revoked(revoked) || is_replaced)
        };
        // Mostly this is known without the lock.
        let entry = Entry::decode(store.read(key)?, key);
        if is_settled(&entry) {
            return Ok((false, entry));
        }
        let Some(mut guard) = store.lock(key, limit, HOLD)? else {
            return Err(Error::store(
                "store: another process holds the lock, so the revoked token could not be dropped there; it is dropped here",
            ));
        };
        let mut entry = Entry::decode(guard.read()?, key);
        if is_settled(&entry) {
            return Ok((false, entry));
        }
        if entry.is_unreadable {
            tell_unreadable();
        }
        let is_it = entry.revoke(revoked, now, replaces);
        guard.write(&entry.encode(key), entry.keep_for())?;
        Ok((is_it, entry))
    }

    /// What the store says of this account: never a secret.
    ///
    /// # Errors
    /// [`Store`](crate::ErrorKind::Store) when the store cannot be read.
    pub fn stored_status(&self, store: &(impl Store + ?Sized)) -> Result<StoredStatus> {
        let now = Now::from_system();
        let entry = self.entry(store)?;
        let token = self.token(&entry, now).map(|token| TokenStatus::of(&token, now));
        let history = entry.book.history(now, Cap::of(self.provider.facts()));
        let renewals_failing =
            entry.book.is_failing() && token.as_ref().is_some_and(|token| token.is_good);
        Ok(StoredStatus {
            provider: self.provider,
            entry_unreadable: entry.is_unreadable,
            token,
            was_revoked: entry.was_revoked(),
            last_success_at: history.succeeded_at,
            last_error: history.last_error.map(|(kind, ..)| kind),
            last_error_message: history.last_error.map(|(_, message, _)| message.to_owned()),
            last_error_at: history.last_error.and_then(|(.., at)| at),
            renewals_failing,
            refused_in_last_hour: history.refused_in_last_hour,
            blocked_for: history.blocked_for,
        })
    }

    pub(crate) fn of(
        credentials: &Credentials,
        environment: Environment,
        base_url: &BaseUrl,
    ) -> Self {
        let provider = credentials.provider();
        let leaf = credentials.certificate().and_then(ClientCertificate::leaf);
        let certificate = leaf.map(sha256_hex).unwrap_or_default();
        let name = provider.to_string();
        // Of a described one it only chooses the address, which is a part of its own.
        let place = match provider.facts().is_described {
            true => String::new(),
            false => environment.to_string(),
        };
        let mut parts = vec![&*name, &*place, base_url.as_str(), credentials.id(), &*certificate];
        let facts = provider.facts();
        if facts.is_described {
            // All else that makes another token.
            parts.extend([facts.endpoint, facts.protocol.token, credentials.scope()]);
            parts.extend(credentials.identity().flat_map(|(name, value)| [name, value]));
            constants(facts.protocol.headers, &mut parts);
            constants(facts.protocol.fields, &mut parts);
            // Where nothing else tells one account from another, nobody may get another's token.
            parts.extend(credentials.secrets().filter(|_| !facts.has_identity()));
        }
        // Each part with its length, so that no two sets of parts are the same text; sized at once, since
        // growing could leave an unwiped copy of a secret behind.
        let size = parts.iter().map(|part| part.len() + 21).sum();
        let mut text = Zeroizing::new(String::with_capacity(size));
        for part in parts {
            text.push_str(&part.len().to_string());
            text.push(':');
            text.push_str(part);
        }
        let hash = sha256_hex(text.as_bytes());
        let key = StoreKey(format!("{}-{}", name.replace('_', "-"), &hash[..40]));
        Self { provider, environment, key, certificate_not_after: None }
    }

    fn entry(&self, store: &(impl Store + ?Sized)) -> Result<Entry> {
        let bytes = store.read(&self.key).map_err(|error| error.with_provider(self.provider))?;
        Ok(Entry::decode(bytes, &self.key))
    }

    fn token(&self, entry: &Entry, now: Now) -> Option<Token> {
        let longest = self.provider.facts().longest_lifetime(self.environment);
        let header = AuthorizationHeader::of(self.provider.facts());
        entry.token.as_ref()?.to_token(now, None, longest, &header, ClockSource::System)
    }
}

/// What is the same in every request, by name, with its kind and the end of each table. What differs from
/// account to account is a part of its own; where that goes is told by its place among these.
///
/// In the order of their names: processes that describe the provider from a map, which has no order in many
/// a language, share the account.
fn constants(of: &[(&'static str, Part)], parts: &mut Vec<&str>) {
    let mut sorted: Vec<_> = of.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    for (name, part) in sorted {
        parts.push(name);
        match part {
            Part::Text(text) => parts.extend(["text", text]),
            Part::Literal(text) => parts.extend(["literal", text]),
            Part::Value(name) => parts.extend(["value", name]),
            Part::Table(members) => {
                parts.push("table");
                constants(members, parts);
            }
            _ => parts.push("other"),
        }
    }
    parts.push("");
}

/// What is reported of an entry that cannot be read, whatever the reason.
pub(crate) const UNREADABLE: &str = "the store's entry cannot be read (sealed with another key, not sealed, damaged, of another version, or open to others); it counts as absent, and is replaced";

/// How long the lock may be held for a change that does not use the network.
const HOLD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::facts::{Facts, Protocol};
    use crate::types::names::Described;

    /// A provider of this one's name that differs in something, as another process may know it.
    fn like(provider: Provider, change: impl FnOnce(&mut Facts)) -> Provider {
        let mut facts = *provider.facts();
        change(&mut facts);
        Provider::Described(Described(Box::leak(Box::new(facts))))
    }

    fn key(provider: Provider, values: &[(&str, &str)], pem: Option<&str>) -> StoreKey {
        key_at("https://auth.acme.example", provider, values, pem)
    }

    fn key_at(
        url: &str,
        provider: Provider,
        values: &[(&str, &str)],
        pem: Option<&str>,
    ) -> StoreKey {
        let certificate = pem.map(|pem| ClientCertificate::from_pem(pem).unwrap());
        let credentials =
            Credentials::described(provider, values.iter().copied(), certificate).unwrap();
        Account::new(&credentials, Environment::Sandbox, Some(url)).unwrap().key
    }

    #[test]
    fn accounts_that_differ_in_what_makes_another_token_share_no_entry() {
        let acme = Provider::described(
            r#"{"name": "account-keys", "token_endpoint": "/token", "auth": "client_secret_basic",
                "renewal": "coexists", "body": "json", "identity": ["shop"], "headers": {"x-shop": "{shop}"},
                "fields": {"audience": "a", "table": {"in": "b"}, "after": "c"}}"#,
        )
        .unwrap();
        let fields = |fields: &'static [(&'static str, Part)]| {
            like(acme, |facts| facts.protocol = Protocol { fields, ..facts.protocol })
        };
        let headers = |headers: &'static [(&'static str, Part)]| {
            like(acme, |facts| facts.protocol = Protocol { headers, ..facts.protocol })
        };
        let values = &[("client_id", "1"), ("client_secret", "s"), ("shop", "7")][..];
        let with = |name: &'static str, value: &'static str| {
            let kept = values.iter().filter(|(known, _)| *known != name).copied();
            kept.chain([(name, value)]).collect::<Vec<_>>()
        };
        let pem = |path| std::fs::read_to_string(format!("fuzz/seeds/{path}.pem")).unwrap();
        let [one, other] = ["certificate", "rsa"].map(pem);
        let keys = [
            key(acme, values, None),
            key_at("https://other.acme.example", acme, values, None),
            key(like(acme, |facts| facts.endpoint = "/token?tenant=7"), values, None),
            key(like(acme, |facts| facts.protocol.token = "/id_token"), values, None),
            key(like(acme, |facts| facts.protocol.scope = "read"), values, None),
            key(acme, &with("scope", "write"), None),
            key(acme, &with("client_id", "2"), None),
            key(acme, &with("shop", "8"), None),
            key(acme, &with("shop", "1"), None),
            key(acme, values, Some(&one)),
            key(acme, values, Some(&other)),
            // The same words in other places.
            key(fields(&[("a", Part::Text("b"))]), values, None),
            key(fields(&[("a", Part::Literal("b"))]), values, None),
            key(fields(&[("a", Part::Value("b"))]), values, None),
            key(fields(&[("a", Part::Table(&[("b", Part::Text("c"))]))]), values, None),
            key(fields(&[("a", Part::Table(&[])), ("b", Part::Text("c"))]), values, None),
            key(fields(&[("a", Part::Scope), ("text", Part::Text("b"))]), values, None),
            key(headers(&[("a", Part::Text("b"))]), values, None),
            key(headers(&[("a", Part::Text("c"))]), values, None),
            key(
                like(acme, |facts| {
                    facts.protocol.headers = &[];
                    facts.protocol.fields = &[("x-shop", Part::Value("shop"))];
                }),
                values,
                None,
            ),
        ];
        let distinct: BTreeSet<_> = keys.iter().map(StoreKey::as_str).collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:#?}");
        // A wrong secret is not another account.
        assert_eq!(keys[0], key(acme, &with("client_secret", "another"), None));
        let (scope, own) = (&with("scope", "read"), like(acme, |it| it.protocol.scope = "read"));
        assert_eq!(key(acme, scope, None), key(own, values, None), "the same is asked for");
    }

    #[test]
    fn a_secret_makes_an_account_where_nothing_else_does() {
        let described = |name: &str, more: &str| {
            let json = format!(
                r#"{{"name": "{name}", "token_endpoint": "/token", "auth": "none", "lifetime": "1h",
                    "renewal": "coexists", "headers": {{"x-key": "{{api_key}}"}}, "secrets": ["api_key"]{more}}}"#
            );
            Provider::described(&json).unwrap()
        };
        let alone = described("secret-alone", "");
        let keys = ["one", "other", "one"].map(|secret| key(alone, &[("api_key", secret)], None));
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0], keys[2]);
        let credentials =
            |secret| Credentials::described(alone, [("api_key", secret)], None).unwrap();
        assert!(!credentials("one").have_account_of(&credentials("other")));
        assert!(credentials("one").have_account_of(&credentials("one")));
        let beside = described("secret-beside", r#", "identity": ["shop"]"#);
        let keys =
            ["one", "other"].map(|secret| key(beside, &[("api_key", secret), ("shop", "7")], None));
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn the_order_of_fields_makes_no_other_account() {
        let parts = |fields: &[(&'static str, Part)]| {
            let mut parts = Vec::new();
            constants(fields, &mut parts);
            parts.join(" ")
        };
        let inner: [(&'static str, Part); 2] = [("x", Part::Text("1")), ("y", Part::Literal("2"))];
        let turned: [(&'static str, Part); 2] = [inner[1], inner[0]];
        let one = [("b", Part::Table(inner.to_vec().leak())), ("a", Part::Value("shop"))];
        let other = [one[1], ("b", Part::Table(turned.to_vec().leak()))];
        assert_eq!(parts(&one), parts(&other));
        assert_eq!(parts(&one), "a value shop b table x text 1 y literal 2  ");
    }
}
