//! What is in an entry: the token, and the account's book.
//!
//! An entry is one line that names version and checksum, then JSON. Whatever does not fit exactly
//! (torn, truncated, foreign, of another version, for another account, from the future) is no
//! entry: a cache miss, never an error, never a wrong token. The secret is not in it, nor
//! anything it could be guessed from in reasonable time.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreKey;
use crate::base::clock::{Boot, ClockSource, Now};
use crate::base::digest::sha256_hex;
use crate::base::fields::{moment, or_absent, read_moment, read_secret, read_span, secret, span};
use crate::base::json::{self, SecretText};
use crate::policy::book::{Book, MOST_REVOKED};
use crate::protocol::{check_token, checked_scope};
use crate::token::renewal::end_margin;
use crate::token::{AuthorizationHeader, IssuedToken, Token};

/// The first line, before the checksum. Another version is another line.
const MAGIC: &str = "paytoken-entry-2 ";

/// An entry without a token is of use for so long: a refusal counts for an hour.
const HOUR: Duration = Duration::from_secs(3600);
/// For monitoring, one whose last fetch failed is of use until the next fetch; so long at most.
const FAILING: Duration = Duration::from_secs(7 * 24 * 3600);

/// An entry, and its JSON, of which a part that is not as it should be counts as absent. One that has
/// nothing in it is the same as none.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Entry {
    #[serde(skip_serializing)]
    account: String,
    /// There is one, and it is none that can be read, so that nothing in it counts; or its file was open
    /// to others, and its token was taken out.
    #[serde(rename = "distrusted", skip_serializing)]
    pub(crate) is_unreadable: bool,
    /// Grows with every change of the token: larger is newer, whatever the clocks say.
    #[serde(deserialize_with = "or_absent")]
    pub(crate) generation: u64,
    #[serde(deserialize_with = "or_absent")]
    pub(crate) token: Option<StoredToken>,
    /// SHA-256 of the token that is being replaced: taken out, and put back only if the request was
    /// not sent.
    #[serde(deserialize_with = "or_absent")]
    pub(crate) parked: Option<String>,
    /// What is remembered of the account's requests.
    #[serde(deserialize_with = "or_absent")]
    pub(crate) book: Book,
    /// What a newer version has written: kept.
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct StoredToken {
    #[serde(serialize_with = "secret", deserialize_with = "read_secret")]
    secret: Zeroizing<String>,
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    pub(crate) obtained_at: SystemTime,
    #[serde(serialize_with = "span", deserialize_with = "read_span")]
    lifetime: Duration,
    scope: Option<String>,
    /// When its request was sent, by the machine's own time.
    #[serde(default, deserialize_with = "or_absent", skip_serializing_if = "Option::is_none")]
    boot: Option<Boot>,
}

/// An entry's JSON as it is written, for whose account it is.
#[derive(Serialize)]
struct Written<'a> {
    account: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    distrusted: bool,
}

impl Entry {
    /// The entry in these bytes, which are wiped afterwards.
    pub(crate) fn decode(bytes: Option<Vec<u8>>, key: &StoreKey) -> Self {
        let Some(bytes) = bytes.map(Zeroizing::new) else { return Self::default() };
        Self::try_decode(&bytes, key)
            .unwrap_or_else(|| Self { is_unreadable: true, ..Self::default() })
    }

    pub(crate) fn try_decode(bytes: &[u8], key: &StoreKey) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC.as_bytes())?;
        let (checksum, content) = rest.split_at_checked(64)?;
        let content = content.strip_prefix(b"\n")?;
        if sha256_hex(content).as_bytes() != checksum {
            return None;
        }
        let mut entry: Self = serde_json::from_slice(content).ok()?;
        let is_distrusted = entry.is_unreadable;
        entry.token = entry.token.take().filter(|_| !is_distrusted).and_then(StoredToken::checked);
        entry.book = entry.book.checked();
        (entry.account == key.as_str()).then_some(entry)
    }

    /// The same entry without its token, as if that were being replaced: whoever has it in memory may
    /// go on with it. `None` where these bytes are no entry. Unless `is_told`, whoever reads it tells that
    /// its file was open to others.
    pub(crate) fn without_token(
        bytes: &[u8],
        key: &StoreKey,
        is_told: bool,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut entry = Self::try_decode(bytes, key)?;
        if let Some(token) = entry.token.take() {
            entry.parked = Some(token.sha256());
        }
        Some(entry.written(key, !is_told))
    }

    /// As it is kept in a store: there, nothing is distrusted any more.
    pub(crate) fn encode(&self, key: &StoreKey) -> Zeroizing<Vec<u8>> {
        self.written(key, false)
    }

    fn written(&self, key: &StoreKey, distrusted: bool) -> Zeroizing<Vec<u8>> {
        let written = Written { account: key.as_str(), entry: self, distrusted };
        let content = json::to_wiped_vec(&written);
        // Sized at once: growing would leave an unwiped copy of the token behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + 65 + content.len()));
        bytes.extend_from_slice(MAGIC.as_bytes());
        bytes.extend_from_slice(sha256_hex(&content).as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&content);
        bytes
    }

    /// How long the entry can be of use to anybody: a token's life, a refusal's count, or for monitoring.
    pub(crate) fn keep_for(&self) -> Duration {
        let least = if self.book.is_failing() { FAILING } else { HOUR };
        self.token.as_ref().map_or(least, |token| token.lifetime.max(least))
    }

    /// The next generation. Who can write to the store can have put the last one there.
    fn count(&mut self) {
        self.generation = self.generation.saturating_add(1);
    }

    /// Whether a token that was good at this generation can have been revoked since and be forgotten.
    pub(crate) fn may_have_forgotten(&self, generation: u64) -> bool {
        self.generation.saturating_sub(generation) > MOST_REVOKED as u64
            && self.book.revoked() >= MOST_REVOKED
    }

    /// Whether this token is the one that is here, or the one that is being replaced.
    pub(crate) fn is_about(&self, secret: &str) -> bool {
        self.token.as_ref().is_some_and(|token| *token.secret == *secret)
            || self.parked.as_deref().is_some_and(|parked| parked == sha256_hex(secret.as_bytes()))
    }

    /// Drops the token with this text, and takes note of it; false where another one is there. That
    /// one stays, and the note is for who still has the revoked one.
    pub(crate) fn revoke(&mut self, secret: &str, now: Now, replaces: bool) -> bool {
        let is_it = self.is_about(secret);
        let dropped = if is_it { self.token.take() } else { None };
        if is_it {
            self.parked = None;
        } else if self.book.has_revoked(secret) {
            return false;
        }
        self.count();
        let age = dropped.map(|it| now.wall.duration_since(it.obtained_at).unwrap_or_default());
        self.book.note_revoked(now, secret, age, replaces);
        is_it
    }

    /// Whether the API answered 401 to the last token, and there is no new one.
    pub(crate) fn was_revoked(&self) -> bool {
        self.book.revoked() > 0 && self.token.is_none() && self.parked.is_none()
    }

    /// Takes the token out while it is being replaced; also where there is none, so that others see
    /// that a replacement is under way.
    pub(crate) fn park(&mut self) -> Option<StoredToken> {
        let parked = self.token.take();
        self.count();
        self.parked = Some(parked.as_ref().map(StoredToken::sha256).unwrap_or_default());
        parked
    }

    /// A new token.
    pub(crate) fn succeed(&mut self, token: &Token) {
        self.count();
        self.token = Some(StoredToken::of(token));
        self.parked = None;
    }
}

impl StoredToken {
    pub(crate) fn of(token: &Token) -> Self {
        Self {
            secret: Zeroizing::new(token.secret().to_owned()),
            obtained_at: token.obtained_at(),
            lifetime: token.lifetime(),
            scope: token.scope().map(str::to_owned),
            boot: token.boot(),
        }
    }

    /// The token, with its age by the wall clock and, within one boot of the machine, by that; and with no
    /// longer a life than its provider gives. `None` where it seems to come from the future: a clock was set
    /// back, and its real age is unknown. A process that has had it knows since when, whatever the wall
    /// clock says now.
    pub(crate) fn to_token(
        &self,
        now: Now,
        known_since: Option<Instant>,
        longest_lifetime: Duration,
        header: &AuthorizationHeader,
        clock: ClockSource,
    ) -> Option<Token> {
        let lifetime = self.lifetime.min(longest_lifetime);
        let since_boot = self.boot.as_ref().and_then(|boot| clock.time_since(boot));
        let age = match (now.wall.duration_since(self.obtained_at), since_boot) {
            (age, Some(since_boot)) => since_boot.max(age.unwrap_or_default()),
            (Ok(age), None) => age,
            // Machines that share a store disagree a little; the end's margin makes up for it.
            (Err(ahead), None) if ahead.duration() <= end_margin(lifetime) => Duration::ZERO,
            (Err(_), None) => return None,
        };
        // Soon after boot the monotonic clock may not reach back that far; the wall clock does.
        let monotonic = now.monotonic.checked_sub(age).unwrap_or(now.monotonic);
        let since = Now {
            monotonic: known_since.map_or(monotonic, |known| known.min(monotonic)),
            wall: now.wall.checked_sub(age)?.min(self.obtained_at),
        };
        let issued = IssuedToken {
            access_token: SecretText::Borrowed(&self.secret),
            lifetime,
            lifetime_not_understood: false,
            scope: self.scope.clone(),
        };
        Some(Token::new(issued, since, header, clock))
    }

    pub(crate) fn sha256(&self) -> String {
        sha256_hex(self.secret.as_bytes())
    }

    /// The checksum is no signature: what others wrote is checked as an answer is.
    fn checked(self) -> Option<Self> {
        let is_fine = check_token(&self.secret).is_ok() && !self.lifetime.is_zero();
        is_fine.then(|| Self { scope: checked_scope(self.scope.clone()), ..self })
    }
}
