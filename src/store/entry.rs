//! What is in an entry: the token, which token was rejected last, and a remembered refusal.
//!
//! An entry is one line that names version and checksum, then JSON. Whatever does not fit exactly
//! (torn, truncated, foreign, of another version, for another account, from the future) is no
//! entry: a cache miss, never an error, never a wrong token. The secret is not in it, nor
//! anything it could be guessed from in reasonable time.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom as _;
use ring::{digest, pbkdf2, rand};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::StoreKey;
use crate::clock::{ClockSource, Now};
use crate::error::{Error, ErrorKind};
use crate::json::{self, Member, SecretText};
use crate::pace::{LONGEST, LONGEST_PAUSE};
use crate::protocol::{check_token, checked_scope};
use crate::renewal::end_margin;
use crate::secret::Secret;
use crate::token::{AuthorizationHeader, Grant, Token};

/// The first line, before the checksum. Another version is another line.
const MAGIC: &str = "paytoken-entry-1 ";

/// OWASP's figure for PBKDF2-HMAC-SHA256: a fraction of a second, paid only while a refusal is
/// remembered.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// No message of ours is longer, in characters.
const LONGEST_MESSAGE: usize = 800;

/// An entry that has nothing in it is the same as none.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) token: Option<StoredToken>,
    /// SHA-256 of the token that the API rejected last.
    pub(crate) rejected: Option<String>,
    pub(crate) refusal: Option<StoredRefusal>,
    pub(crate) outage: Option<StoredOutage>,
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
}

/// A refusal by the provider, and for which secret.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredRefusal {
    #[serde(serialize_with = "kind", deserialize_with = "read_kind")]
    kind: ErrorKind,
    status: Option<u16>,
    #[serde(deserialize_with = "read_message")]
    message: String,
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    until: SystemTime,
    pub(crate) strikes: u32,
    #[serde(serialize_with = "base64", deserialize_with = "read_base64")]
    pub(crate) salt: [u8; 16],
    #[serde(serialize_with = "base64", deserialize_with = "read_base64")]
    derived: [u8; 32],
}

/// An outage that a process has met: whatever the secret, nobody asks before its end.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredOutage {
    #[serde(serialize_with = "kind", deserialize_with = "read_kind")]
    kind: ErrorKind,
    status: Option<u16>,
    #[serde(deserialize_with = "read_message")]
    message: String,
    #[serde(serialize_with = "moment", deserialize_with = "read_moment")]
    until: SystemTime,
    /// Failed requests in a row.
    pub(crate) failures: u32,
}

/// An entry's JSON, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    account: &'a str,
    token: &'a Option<StoredToken>,
    rejected: &'a Option<String>,
    refusal: &'a Option<StoredRefusal>,
    outage: &'a Option<StoredOutage>,
}

/// An entry's JSON, as it is read: a part that is not as it should be is none.
#[derive(Deserialize)]
struct Found {
    account: String,
    #[serde(default)]
    token: Member<StoredToken>,
    #[serde(default)]
    rejected: Member<String>,
    #[serde(default)]
    refusal: Member<StoredRefusal>,
    #[serde(default)]
    outage: Member<StoredOutage>,
}

impl Entry {
    pub(crate) fn decode(bytes: Option<&Zeroizing<Vec<u8>>>, key: &StoreKey) -> Self {
        bytes.and_then(|bytes| Self::try_decode(bytes, key)).unwrap_or_default()
    }

    pub(crate) fn try_decode(bytes: &[u8], key: &StoreKey) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC.as_bytes())?;
        let (checksum, content) = rest.split_at_checked(64)?;
        let content = content.strip_prefix(b"\n")?;
        if sha256_hex(content).as_bytes() != checksum {
            return None;
        }
        let found: Found = serde_json::from_slice(content).ok()?;
        (found.account == key.as_str()).then(|| Self {
            token: found.token.ok().and_then(StoredToken::checked),
            rejected: found.rejected.ok(),
            refusal: found.refusal.ok(),
            outage: found.outage.ok(),
        })
    }

    pub(crate) fn encode(&self, key: &StoreKey) -> Zeroizing<Vec<u8>> {
        let content = json::to_wiped_vec(&Written {
            account: key.as_str(),
            token: &self.token,
            rejected: &self.rejected,
            refusal: &self.refusal,
            outage: &self.outage,
        });
        // Sized at once: growing would leave an unwiped copy of the token behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + 65 + content.len()));
        bytes.extend_from_slice(MAGIC.as_bytes());
        bytes.extend_from_slice(sha256_hex(&content).as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&content);
        bytes
    }

    /// How long the entry can be of use to anybody: a token's life, or a refusal's count.
    pub(crate) fn keep_for(&self) -> Duration {
        const AN_HOUR: Duration = Duration::from_secs(3600);
        self.token.as_ref().map_or(AN_HOUR, |token| token.lifetime.max(AN_HOUR))
    }

    pub(crate) fn has_rejected(&self, secret: &str) -> bool {
        self.rejected.as_deref().is_some_and(|rejected| rejected == sha256_hex(secret.as_bytes()))
    }

    /// Drops the token with this text, and takes note of it; false where another one is there.
    pub(crate) fn reject(&mut self, secret: &str) -> bool {
        let is_it = self.token.take_if(|token| *token.secret == *secret).is_some();
        if is_it {
            self.rejected = Some(sha256_hex(secret.as_bytes()));
        }
        is_it
    }
}

impl StoredToken {
    pub(crate) fn of(token: &Token) -> Self {
        Self {
            secret: Zeroizing::new(token.secret().to_owned()),
            obtained_at: token.obtained_at(),
            lifetime: token.lifetime(),
            scope: token.scope().map(str::to_owned),
        }
    }

    /// The token, with its age by the wall clock, and with no longer a life than its provider
    /// gives. `None` where it seems to come from the future:
    /// a clock was set back, and its real age is unknown.
    pub(crate) fn to_token(
        &self,
        now: Now,
        longest_lifetime: Duration,
        header: &AuthorizationHeader,
        clock: ClockSource,
    ) -> Option<Token> {
        let lifetime = self.lifetime.min(longest_lifetime);
        let age = match now.wall.duration_since(self.obtained_at) {
            Ok(age) => age,
            // Machines that share a store disagree a little; the end's margin makes up for it.
            Err(ahead) if ahead.duration() <= end_margin(lifetime) => Duration::ZERO,
            Err(_) => return None,
        };
        let since = Now {
            // Soon after boot the monotonic clock may not reach back that far; the wall clock does.
            monotonic: now.monotonic.checked_sub(age).unwrap_or(now.monotonic),
            wall: self.obtained_at.min(now.wall),
        };
        let grant = Grant {
            access_token: SecretText::Borrowed(&self.secret),
            lifetime,
            lifetime_not_understood: false,
            scope: self.scope.clone(),
        };
        Some(Token::new(grant, since, header, clock))
    }

    /// The checksum is no signature: what others wrote is checked as an answer is.
    fn checked(self) -> Option<Self> {
        let is_fine = check_token(&self.secret).is_ok() && !self.lifetime.is_zero();
        is_fine.then(|| Self { scope: checked_scope(self.scope.clone()), ..self })
    }
}

impl StoredRefusal {
    /// Slow on purpose: it derives a key from the secret.
    pub(crate) fn of(
        error: &Error,
        until: SystemTime,
        strikes: u32,
        secret: &Secret,
    ) -> Option<Self> {
        let mut salt = [0; 16];
        rand::SystemRandom::new().fill(&mut salt).ok()?;
        let mut derived = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ITERATIONS,
            &salt,
            secret.expose().as_bytes(),
            &mut derived,
        );
        Some(Self {
            kind: error.kind(),
            status: error.status(),
            message: error.message().to_owned(),
            until,
            strikes,
            salt,
            derived,
        })
    }

    /// How long it still stands; not longer than any refusal does, whatever the clock says.
    pub(crate) fn left(&self, wall: SystemTime) -> Duration {
        self.until.duration_since(wall).unwrap_or_default().min(LONGEST)
    }

    /// Whether it was this secret that was refused. Slow on purpose.
    pub(crate) fn is_for(&self, secret: &Secret) -> bool {
        let secret = secret.expose().as_bytes();
        pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &self.salt, secret, &self.derived)
            .is_ok()
    }

    pub(crate) fn error(&self) -> Error {
        error(self.kind, &self.message, self.status)
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl StoredOutage {
    pub(crate) fn of(error: &Error, until: SystemTime, failures: u32) -> Self {
        let (kind, status) = (error.kind(), error.status());
        Self { kind, status, message: error.message().to_owned(), until, failures }
    }

    /// How long it still holds everybody back; no longer than any pause, whatever the clock says.
    pub(crate) fn left(&self, wall: SystemTime) -> Duration {
        // One from a clock that is ahead is none.
        self.until
            .duration_since(wall)
            .ok()
            .filter(|left| *left <= LONGEST_PAUSE)
            .unwrap_or_default()
    }

    pub(crate) fn error(&self) -> Error {
        error(self.kind, &self.message, self.status)
    }
}

fn error(kind: ErrorKind, message: &str, status: Option<u16>) -> Error {
    let error = Error::new(kind, message);
    match status {
        Some(status) => error.with_status(status),
        None => error,
    }
}

fn secret<S: Serializer>(secret: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

fn read_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    SecretText::deserialize(from).map(SecretText::into_owned)
}

/// Nanoseconds since 1970: whole precision, and enough until the year 2554.
fn moment<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    span(&at.duration_since(UNIX_EPOCH).unwrap_or_default(), serializer)
}

fn read_moment<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let since_1970 = read_span(from)?;
    UNIX_EPOCH.checked_add(since_1970).ok_or_else(|| D::Error::custom("no moment"))
}

fn span<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

fn read_span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_nanos)
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_base64<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
    let bytes = STANDARD.decode(String::deserialize(from)?).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| D::Error::custom("no such bytes"))
}

fn kind<S: Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{kind:?}"))
}

/// One of the kinds that can be remembered.
fn read_kind<'de, D: Deserializer<'de>>(from: D) -> Result<ErrorKind, D::Error> {
    let name = String::deserialize(from)?;
    [
        ErrorKind::Configuration,
        ErrorKind::Certificate,
        ErrorKind::Rejected,
        ErrorKind::Forbidden,
        ErrorKind::RateLimited,
        ErrorKind::ServerUnavailable,
        ErrorKind::Transport,
        ErrorKind::Timeout,
        ErrorKind::InvalidResponse,
    ]
    .into_iter()
    .find(|kind| format!("{kind:?}") == name)
    .ok_or_else(|| D::Error::custom("no such kind"))
}

/// One bounded line, whoever wrote it.
fn read_message<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let message = String::deserialize(from)?;
    let printable = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    Ok(printable.take(LONGEST_MESSAGE).collect())
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> Now {
        Now::from_system()
    }

    fn token(secret: &str) -> Token {
        let grant = Grant {
            access_token: SecretText::Borrowed(secret),
            lifetime: Duration::from_secs(600),
            lifetime_not_understood: false,
            scope: Some("email".into()),
        };
        Token::new(grant, now(), &AuthorizationHeader::default(), ClockSource::System)
    }

    fn entry() -> Entry {
        Entry {
            token: Some(StoredToken::of(&token("token-\"1\""))),
            rejected: Some("abc".into()),
            refusal: None,
            outage: None,
        }
    }

    fn key(text: &str) -> StoreKey {
        StoreKey(text.to_owned())
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let bytes = entry().encode(&key("a"));
        let read = Entry::decode(Some(&bytes), &key("a"));
        let token = read
            .token
            .unwrap()
            .to_token(now(), DAY, &AuthorizationHeader::default(), ClockSource::System)
            .unwrap();
        assert_eq!((token.secret(), token.scope()), ("token-\"1\"", Some("email")));
        assert_eq!(token.lifetime(), Duration::from_secs(600));
        assert_eq!(read.rejected.as_deref(), Some("abc"));
    }

    #[test]
    fn whatever_is_not_exactly_an_entry_of_this_account_is_none() {
        let good = entry().encode(&key("a"));
        assert!(Entry::decode(Some(&good), &key("b")).token.is_none(), "another account");
        assert!(Entry::decode(None, &key("a")).token.is_none());
        for length in 0..good.len() {
            assert!(Entry::try_decode(&good[..length], &key("a")).is_none(), "cut at {length}");
        }
        for at in 0..good.len() {
            let mut torn = good.to_vec();
            torn[at] ^= 1;
            assert!(Entry::try_decode(&torn, &key("a")).is_none(), "one bit at {at}");
        }
        let longer = [&good[..], b" "].concat();
        assert!(Entry::try_decode(&longer, &key("a")).is_none());
        let newer = String::from_utf8(good.to_vec()).unwrap().replace("entry-1 ", "entry-2 ");
        assert!(Entry::try_decode(newer.as_bytes(), &key("a")).is_none(), "another version");
    }

    #[test]
    fn a_token_from_the_future_is_none_beyond_what_clocks_may_disagree() {
        let stored = StoredToken::of(&token("t"));
        let at = |wall| {
            let now = Now { wall, ..now() };
            stored.to_token(now, DAY, &AuthorizationHeader::default(), ClockSource::System)
        };
        let obtained = stored.obtained_at;
        assert!(at(obtained - Duration::from_secs(30)).is_some());
        assert!(at(obtained - Duration::from_secs(31)).is_none());
        let later = at(obtained + Duration::from_secs(100)).unwrap();
        let moment = Now { wall: obtained + Duration::from_secs(100), ..now() };
        let left = later.remaining_at(moment);
        assert!(left <= Duration::from_secs(500) && left > Duration::from_secs(499), "{left:?}");
    }

    #[test]
    fn an_entry_is_of_use_for_an_hour_or_its_token_s_life() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Entry::default().keep_for(), hour);
        let mut entry = entry();
        assert_eq!(entry.keep_for(), hour);
        if let Some(token) = &mut entry.token {
            token.lifetime = hour * 10;
        }
        assert_eq!(entry.keep_for(), hour * 10);
    }

    #[test]
    fn a_rejected_token_is_known_by_its_text() {
        let entry = Entry { rejected: Some(sha256_hex(b"a")), ..Entry::default() };
        assert!(entry.has_rejected("a") && !entry.has_rejected("b"));
        assert!(!Entry::default().has_rejected("a"));
    }

    /// The same entry, as it is read when the JSON says something else.
    fn tampered(from: &str, to: &str) -> Option<Entry> {
        let bytes = entry().encode(&key("a"));
        let content = String::from_utf8(bytes[MAGIC.len() + 65..].to_vec()).unwrap();
        assert!(content.contains(from), "{content}");
        let content = content.replace(from, to);
        let checksum = sha256_hex(content.as_bytes());
        Entry::try_decode(format!("{MAGIC}{checksum}\n{content}").as_bytes(), &key("a"))
    }

    #[test]
    fn a_token_lives_no_longer_than_its_provider_gives() {
        let lifetime = |from: &str, longest| {
            let token = tampered("600000000000", from).unwrap().token?;
            let header = AuthorizationHeader::default();
            Some(token.to_token(now(), longest, &header, ClockSource::System)?.lifetime())
        };
        let five_minutes = Duration::from_secs(300);
        assert_eq!(lifetime("600000000000", five_minutes), Some(five_minutes));
        assert_eq!(lifetime("18446744073709551615", five_minutes), Some(five_minutes));
        assert_eq!(lifetime("299000000000", five_minutes), Some(Duration::from_secs(299)));
        assert_eq!(lifetime("0", five_minutes), None);
    }

    #[test]
    fn what_others_wrote_is_checked_as_an_answer_is() {
        let scope = |to| tampered("\"email\"", to).unwrap().token.map(|token| token.scope);
        assert_eq!(scope("\"email\""), Some(Some("email".into())));
        assert_eq!(scope("null"), Some(None));
        assert_eq!(scope("\"\\u001b[31mred\""), Some(None));
        assert_eq!(scope("7"), None, "no token of ours");
        let secret = |to| tampered("\"token-\\\"1\\\"\"", to).unwrap().token;
        assert_eq!(*secret("\"a\\/b\\u0041\"").unwrap().secret, "a/bA");
        for refused in ["\"a b\"", "\"\"", "\"a\\r\\nb\"", "7", "null"] {
            assert!(secret(refused).is_none(), "{refused}");
        }
        assert!(tampered("\"rejected\"", "\"account\":\"a\",\"rejected\"").is_none(), "twice");
        assert!(tampered("\"rejected\"", "\"more\":[1],\"rejected\"").unwrap().token.is_some());
    }

    #[test]
    fn a_refusal_knows_its_secret_and_hides_it() {
        let secret = Secret::from("wrong-password");
        let error = Error::new(ErrorKind::Rejected, "no").with_status(401);
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let refusal = StoredRefusal::of(&error, until, 3, &secret);
        let bytes = Entry { refusal, ..Entry::default() }.encode(&key("a"));
        assert!(!String::from_utf8_lossy(&bytes).contains("wrong-password"));
        let read = Entry::decode(Some(&bytes), &key("a")).refusal.unwrap();
        assert!(read.is_for(&secret));
        assert!(!read.is_for(&Secret::from("wrong-passwore")));
        assert_eq!(
            (read.kind, read.status, read.strikes, read.until),
            (ErrorKind::Rejected, Some(401), 3, until)
        );
        let error = Error::new(ErrorKind::Rejected, "two\nlines".repeat(200));
        let refusal = StoredRefusal::of(&error, until, 3, &secret);
        let bytes = Entry { refusal, ..Entry::default() }.encode(&key("a"));
        let said = Entry::decode(Some(&bytes), &key("a")).refusal.unwrap().error().to_string();
        assert!(said.starts_with("two linestwo lines"), "{said}");
        assert!(said.chars().count() <= LONGEST_MESSAGE, "{}", said.len());
    }
}
