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
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::StoreKey;
use crate::breaker::LONGEST;
use crate::clock::{ClockSource, Now};
use crate::error::{Error, ErrorKind};
use crate::json::Wiped;
use crate::protocol::check_token;
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
}

pub(crate) struct StoredToken {
    secret: Zeroizing<String>,
    pub(crate) obtained_at: SystemTime,
    lifetime: Duration,
    scope: Option<String>,
}

/// A refusal by the provider, and for which secret.
pub(crate) struct StoredRefusal {
    kind: ErrorKind,
    status: Option<u16>,
    message: String,
    until: SystemTime,
    pub(crate) strikes: u32,
    pub(crate) salt: [u8; 16],
    derived: [u8; 32],
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
        let mut json = Wiped(serde_json::from_slice(content).ok()?);
        let fields = json.0.as_object_mut()?;
        if fields.get("account")?.as_str()? != key.as_str() {
            return None;
        }
        let token = fields.get_mut("token").and_then(StoredToken::decode);
        let rejected = fields.get("rejected").and_then(Value::as_str).map(str::to_owned);
        let refusal = fields.get("refusal").and_then(StoredRefusal::decode);
        Some(Self { token, rejected, refusal })
    }

    pub(crate) fn encode(&self, key: &StoreKey) -> Zeroizing<Vec<u8>> {
        let json = Wiped(json!({
            "account": key.as_str(),
            "token": self.token.as_ref().map(StoredToken::encode),
            "rejected": self.rejected,
            "refusal": self.refusal.as_ref().map(StoredRefusal::encode),
        }));
        // Sized at once: growing would leave an unwiped copy of the token behind.
        let token_size = self.token.as_ref().map_or(0, |token| 6 * token.secret.len());
        let mut content = Zeroizing::new(Vec::with_capacity(token_size + 8 * 1024));
        serde_json::to_writer(&mut *content, &json.0).expect("a Vec takes it");
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

    /// The token, with its age by the wall clock. `None` where it seems to come from the future:
    /// a clock was set back, and its real age is unknown.
    pub(crate) fn to_token(
        &self,
        now: Now,
        header: &AuthorizationHeader,
        clock: ClockSource,
    ) -> Option<Token> {
        let age = match now.wall.duration_since(self.obtained_at) {
            Ok(age) => age,
            // Machines that share a store disagree a little; the end's margin makes up for it.
            Err(ahead) if ahead.duration() <= end_margin(self.lifetime) => Duration::ZERO,
            Err(_) => return None,
        };
        let since = Now {
            // Soon after boot the monotonic clock may not reach back that far; the wall clock does.
            monotonic: now.monotonic.checked_sub(age).unwrap_or(now.monotonic),
            wall: self.obtained_at.min(now.wall),
        };
        let grant = Grant {
            access_token: self.secret.clone(),
            lifetime: self.lifetime,
            scope: self.scope.clone(),
        };
        Some(Token::new(grant, since, header, clock))
    }

    fn decode(value: &mut Value) -> Option<Self> {
        let fields = value.as_object_mut()?;
        let number = |name| fields.get(name).and_then(Value::as_u64);
        let obtained_at = from_nanos(number("obtained_at")?)?;
        // A day is the longest lifetime anything is given; more is no entry of ours.
        let lifetime = Duration::from_nanos(number("lifetime")?);
        if lifetime.is_zero() || lifetime > Duration::from_secs(86_400) {
            return None;
        }
        let scope = fields.get("scope").and_then(Value::as_str).map(str::to_owned);
        match fields.get_mut("secret")?.take() {
            Value::String(text) => {
                let secret = Zeroizing::new(text);
                // The checksum is no signature: what others wrote is checked as an answer is.
                check_token(&secret).ok()?;
                Some(Self { secret, obtained_at, lifetime, scope })
            }
            _ => None,
        }
    }

    fn encode(&self) -> Value {
        json!({
            "secret": *self.secret,
            "obtained_at": to_nanos(self.obtained_at),
            "lifetime": self.lifetime.as_nanos() as u64,
            "scope": self.scope,
        })
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
        let error = Error::new(self.kind, self.message.as_str());
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn decode(value: &Value) -> Option<Self> {
        let number = |name| value.get(name).and_then(Value::as_u64);
        let text = |name| value.get(name).and_then(Value::as_str);
        let bytes = |name| STANDARD.decode(text(name)?).ok();
        Some(Self {
            kind: kind_named(text("kind")?)?,
            status: number("status").and_then(|status| u16::try_from(status).ok()),
            message: printable(text("message")?),
            until: from_nanos(number("until")?)?,
            strikes: number("strikes")?.min(100) as u32,
            salt: bytes("salt")?.try_into().ok()?,
            derived: bytes("derived")?.try_into().ok()?,
        })
    }

    fn encode(&self) -> Value {
        json!({
            "kind": format!("{:?}", self.kind),
            "status": self.status,
            "message": self.message,
            "until": to_nanos(self.until),
            "strikes": self.strikes,
            "salt": STANDARD.encode(self.salt),
            "derived": STANDARD.encode(self.derived),
        })
    }
}

/// One bounded line, whoever wrote it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect()
}

/// The kinds that can be remembered, by name.
fn kind_named(name: &str) -> Option<ErrorKind> {
    [
        ErrorKind::Configuration,
        ErrorKind::Certificate,
        ErrorKind::Rejected,
        ErrorKind::Forbidden,
        ErrorKind::RateLimited,
        ErrorKind::ServerUnavailable,
    ]
    .into_iter()
    .find(|kind| format!("{kind:?}") == name)
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Nanoseconds since 1970: whole precision, and enough until the year 2554.
fn to_nanos(at: SystemTime) -> u64 {
    let nanos = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn from_nanos(nanos: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now::from_system()
    }

    fn token(secret: &str) -> Token {
        let grant = Grant {
            access_token: Zeroizing::new(secret.to_owned()),
            lifetime: Duration::from_secs(600),
            scope: Some("email".into()),
        };
        Token::new(grant, now(), &AuthorizationHeader::default(), ClockSource::System)
    }

    fn entry() -> Entry {
        Entry {
            token: Some(StoredToken::of(&token("token-\"1\""))),
            rejected: Some("abc".into()),
            refusal: None,
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
            .to_token(now(), &AuthorizationHeader::default(), ClockSource::System)
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
            stored.to_token(now, &AuthorizationHeader::default(), ClockSource::System)
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

    #[test]
    fn a_lifetime_is_more_than_nothing_and_no_more_than_a_day() {
        let day = Duration::from_secs(86_400);
        for (lifetime, is_known) in
            [(day, true), (day + Duration::from_nanos(1), false), (Duration::ZERO, false)]
        {
            let token = StoredToken { lifetime, ..StoredToken::of(&token("t")) };
            let bytes = Entry { token: Some(token), ..Entry::default() }.encode(&key("a"));
            assert_eq!(Entry::decode(Some(&bytes), &key("a")).token.is_some(), is_known);
        }
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
