//! [`Sealed`]: a store whose entries are encrypted before they leave the process.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use log::warn;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::{Store, StoreGuard, StoreKey};
use crate::base::clock::Now;
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::credentials::named_file::Holds;
use crate::credentials::variables::Variables;
use crate::types::error::{Error, Result};
use crate::types::event::LOG_TARGET;
use crate::types::words::quoted;

/// The first bytes of a sealed entry; then the key's id, the number, the nonce, the sealed bytes.
const MAGIC: &[u8] = b"paytoken-sealed-1 ";
const KEY: usize = 32;
const ID: usize = 4;
const NUMBER: usize = 8;
const HEAD: usize = MAGIC.len() + ID + NUMBER + NONCE_LEN;

/// What is handed on for an entry that is there and is not to be believed: no entry is empty, so it
/// is noticed where entries are read.
const UNREADABLE: Vec<u8> = Vec::new();

/// No key file is larger.
const LARGEST_FILE: u64 = 64 * 1024;

/// Encrypts the entries of any [`Store`], files or a server, so that whoever can read the store
/// gets no token from it, and whoever can write to it cannot make up or exchange an entry.
///
/// Each entry is sealed by ChaCha20-Poly1305 with a random nonce and bound to its account and to a
/// number that grows with each write. An entry that is not sealed, was changed, is sealed with another
/// key, belongs to another account, or is older than one that this process has seen is unreadable:
/// nothing in it is believed, the source reports
/// [`EntryUnreadable`](crate::EventKind::EntryUnreadable), and the next fetch replaces it. (`read`
/// gives no bytes for it, which is no entry.) What it does not hide: that there is an
/// entry, its length, and when it was written. Whoever can write to the store can still delete
/// entries, hold locks, and put an older entry back before a process that has seen none.
///
/// Sealing is turned on and off in a running fleet with [`SealingKeys::accept_unsealed`].
///
/// ```
/// use paytoken::FileStore;
/// use paytoken::store::{Sealed, SealingKeys};
///
/// # fn main() -> paytoken::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("paytoken-sealed-{}", std::process::id()));
/// # std::fs::create_dir(&folder).unwrap();
/// # let key_file = folder.join("key");
/// # std::fs::write(&key_file, SealingKeys::generate()?.expose()).unwrap();
/// # std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
/// // One key a line; the first seals, all open. `paytoken new-store-key` prints a new one.
/// let keys = SealingKeys::from_file(&key_file)?;
/// let store = Sealed::new(FileStore::open(folder.join("store"))?, keys);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(()) }
/// ```
pub struct Sealed<S> {
    store: S,
    keys: SealingKeys,
    /// The highest number that was seen of each entry.
    seen: Mutex<HashMap<StoreKey, u64>>,
}

impl<S: Store> Sealed<S> {
    /// Seals what is written to `store`, and opens what is read. Keys that
    /// [accept unsealed entries](SealingKeys::accept_unsealed) are reported in the log, once per process.
    pub fn new(store: S, keys: SealingKeys) -> Self {
        static TOLD: std::sync::Once = std::sync::Once::new();
        if let Some(unsealed) = keys.unsealed {
            TOLD.call_once(|| warn!(target: LOG_TARGET, "{}", unsealed.warning()));
        }
        Self { store, keys, seen: Mutex::default() }
    }

    /// What the source is to see.
    fn open(&self, key: &StoreKey, bytes: Vec<u8>) -> Vec<u8> {
        if self.keys.unsealed.is_some() && !bytes.starts_with(MAGIC) {
            return bytes;
        }
        let bytes = Zeroizing::new(bytes);
        let Some((number, plain)) = self.keys.open(key, &bytes) else { return UNREADABLE };
        let mut seen = lock(&self.seen);
        let newest = seen.entry(key.clone()).or_default();
        if number < *newest {
            return UNREADABLE;
        }
        *newest = number;
        plain
    }

    /// Larger than any that was seen, and than those of a store that has forgotten them.
    fn next_number(&self, key: &StoreKey) -> u64 {
        let since_1970 = Now::from_system().wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = lock(&self.seen).get(key).copied().unwrap_or_default();
        newest.saturating_add(1).max(since_1970.as_millis() as u64)
    }

    fn has_seen(&self, key: &StoreKey, number: u64) {
        let mut seen = lock(&self.seen);
        let newest = seen.entry(key.clone()).or_default();
        *newest = number.max(*newest);
    }
}

impl<S> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

impl<S: Store> Store for Sealed<S> {
    fn read(&self, key: &StoreKey) -> Result<Option<Vec<u8>>> {
        Ok(self.store.read(key)?.map(|bytes| self.open(key, bytes)))
    }

    fn stamp(&self, key: &StoreKey) -> Result<Option<u64>> {
        self.store.stamp(key)
    }

    fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    fn lock(
        &self,
        key: &StoreKey,
        wait: Duration,
        hold: Duration,
    ) -> Result<Option<Box<dyn StoreGuard + '_>>> {
        let guard = self.store.lock(key, wait, hold)?;
        Ok(guard.map(|guard| {
            let guard = SealedGuard { guard, store: self, key: key.clone(), has_read: false };
            Box::new(guard) as Box<dyn StoreGuard + '_>
        }))
    }
}

struct SealedGuard<'a, S> {
    guard: Box<dyn StoreGuard + 'a>,
    store: &'a Sealed<S>,
    key: StoreKey,
    /// The number that stands in the store is known.
    has_read: bool,
}

impl<S: Store> StoreGuard for SealedGuard<'_, S> {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let bytes = self.guard.read()?;
        self.has_read = true;
        Ok(bytes.map(|bytes| self.store.open(&self.key, bytes)))
    }

    fn write(&mut self, entry: &[u8], keep_for: Duration) -> Result<()> {
        if self.store.keys.unsealed == Some(Unsealed::Write) {
            return self.guard.write(entry, keep_for);
        }
        // A machine whose clock is ahead may have written a larger number than ours would be, and
        // who has seen that would take our entry for an old one.
        if !self.has_read {
            self.read()?.map(Zeroizing::new);
        }
        let number = self.store.next_number(&self.key);
        let sealed = self.store.keys.seal(&self.key, number, entry)?;
        self.guard.write(&sealed, keep_for)?;
        // Only now: where it could not be written, the entry that stays is not an older one.
        self.store.has_seen(&self.key, number);
        Ok(())
    }
}

/// The keys of a [`Sealed`] store: the first seals, all open. To change the key in a running fleet,
/// give the new one to every process as the second, then to every process as the first, and take the
/// old one away when no entry needs it any more (an hour, or the longest life of a token). `Debug`
/// shows none of them, and their memory is overwritten on drop.
#[derive(Clone)]
pub struct SealingKeys {
    keys: Vec<SealingKey>,
    unsealed: Option<Unsealed>,
}

/// What a [`Sealed`] store does with entries that are not sealed, while sealing is turned on or off:
/// see [`SealingKeys::accept_unsealed`]. `Display` and `FromStr` use `read` and `write`.
///
/// ```
/// use paytoken::store::{SealingKeys, Unsealed};
///
/// let keys = SealingKeys::new(&[7; 32]).accept_unsealed("read".parse()?);
/// assert_eq!(keys.accepts_unsealed(), Some(Unsealed::Read));
/// # Ok::<_, paytoken::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsealed {
    /// They are believed, and what is written is sealed.
    Read,
    /// They are believed, and what is written is not sealed, either.
    Write,
}

#[derive(Clone)]
struct SealingKey {
    id: [u8; ID],
    bytes: Zeroizing<[u8; KEY]>,
}

impl SealingKeys {
    /// One key of 32 random bytes.
    ///
    /// ```
    /// use paytoken::store::SealingKeys;
    ///
    /// // From where your program keeps its keys; never a constant.
    /// let key = [7; 32];
    /// let keys = SealingKeys::new(&key);
    /// assert_eq!(format!("{keys:?}"), "SealingKeys(redacted)");
    /// ```
    pub fn new(key: &[u8; 32]) -> Self {
        Self { keys: vec![SealingKey::new(key)], unsealed: None }
    }

    /// Opens entries of this key, too.
    pub fn and_opens(mut self, key: &[u8; 32]) -> Self {
        self.keys.push(SealingKey::new(key));
        self
    }

    /// Believes entries that are not sealed, too: for the time in which sealing is turned on or off in
    /// a running fleet, so that no process finds an entry that it cannot read. Meanwhile, whoever can
    /// write to the store can hand out a token of his own.
    ///
    /// To turn it on, give every process the keys with [`Unsealed::Write`], then every process
    /// [`Unsealed::Read`], and take that away when no entry is unsealed any more (an hour, or the
    /// longest life of a token). To turn it off, go the same way back.
    pub fn accept_unsealed(self, unsealed: Unsealed) -> Self {
        Self { unsealed: Some(unsealed), ..self }
    }

    /// Whether unsealed entries are believed: see [`accept_unsealed`](Self::accept_unsealed).
    pub fn accepts_unsealed(&self) -> Option<Unsealed> {
        self.unsealed
    }

    /// The keys in a file: one a line in base64, as [`generate`](Self::generate) makes them; empty
    /// lines, and lines that begin with `#`, do not count. Or one key as its 32 bytes. Pipes are
    /// read for 15 seconds at most. A file that others can read or change is refused
    /// ([`Settings::check_file`](crate::Settings::check_file)).
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when it cannot be read, has no key, or a
    /// line that is none.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_variable(&Variables::of_process(), "sealing keys", path.as_ref())
    }

    /// As `from_file`; errors name the setting that led here.
    pub(crate) fn from_variable(
        variables: &Variables<'_>,
        name: &str,
        path: &Path,
    ) -> Result<Self> {
        let what = "a file with one key a line, made by `paytoken new-store-key`";
        let content = variables.file(name, what, Holds::Secret, LARGEST_FILE).read(path)?;
        // A line of text is a note, or a key in base64 that was cut.
        let is_text = content.is_ascii()
            && (content.starts_with(b"#") || content.ends_with(b"\n"))
            && content.iter().any(u8::is_ascii_graphic);
        if !is_text && let Ok(key) = <&[u8; KEY]>::try_from(content.as_slice()) {
            return Ok(Self::new(key));
        }
        let wrong = |line: usize| {
            Error::configuration(format!(
                "{name}: line {line} of that file is not 32 bytes in base64; `paytoken new-store-key` makes a key"
            ))
        };
        let text = std::str::from_utf8(&content).map_err(|_| wrong(1))?;
        let mut keys = Vec::new();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut key = Zeroizing::new([0; KEY + 4]);
            match STANDARD.decode_slice(line, &mut *key) {
                Ok(KEY) => keys.push(SealingKey::new(key.first_chunk().expect("it is longer"))),
                _ => return Err(wrong(at + 1)),
            }
        }
        match keys.is_empty() {
            true => {
                Err(Error::configuration(format!("{name}: no key in that file; set it to {what}")))
            }
            false => Ok(Self { keys, unsealed: None }),
        }
    }

    /// A new key, as a line for the file.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the system has no random numbers.
    pub fn generate() -> Result<Secret> {
        let mut key = Zeroizing::new([0; KEY]);
        random(&mut *key)?;
        Ok(Secret::from(STANDARD.encode(*key) + "\n"))
    }

    fn seal(&self, name: &StoreKey, number: u64, plain: &[u8]) -> Result<Vec<u8>> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(MAGIC);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&number.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.aead().seal_in_place_separate_tag(
            nonce,
            associated(name, number),
            &mut sealed[HEAD..],
        );
        let tag = tag.map_err(|_| Error::store("an entry is too long to be sealed"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The number and the plain bytes, if one of the keys fits and nothing was changed.
    fn open(&self, name: &StoreKey, sealed: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (id, rest) = sealed.strip_prefix(MAGIC)?.split_first_chunk::<ID>()?;
        let (number, rest) = rest.split_first_chunk::<NUMBER>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let number = u64::from_be_bytes(*number);
        self.keys.iter().filter(|key| key.id == *id).find_map(|key| {
            let mut bytes = Zeroizing::new(rest.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key.aead().open_in_place(nonce, associated(name, number), &mut bytes);
            Some((number, plain.ok()?.to_vec()))
        })
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys(redacted)")
    }
}

impl Unsealed {
    fn warning(self) -> String {
        let written = match self {
            Self::Read => "",
            Self::Write => ", and what is written is not sealed",
        };
        format!(
            "accept_unsealed: {self} is set, so entries that are not sealed are believed{written}; take it away once sealing is turned on or off everywhere"
        )
    }
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl FromStr for Unsealed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(Error::configuration(format!(
                "accept_unsealed: {} is not known; use read or write",
                quoted(text)
            ))),
        }
    }
}

impl SealingKey {
    fn new(bytes: &[u8; KEY]) -> Self {
        let hash = digest(&SHA256, &[b"paytoken sealing key ".as_slice(), bytes].concat());
        let id = *hash.as_ref().first_chunk().expect("a hash is longer");
        Self { id, bytes: Zeroizing::new(*bytes) }
    }

    fn aead(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*self.bytes).expect("it has 32 bytes");
        LessSafeKey::new(key)
    }
}

/// What an entry is bound to.
fn associated(name: &StoreKey, number: u64) -> Aad<Vec<u8>> {
    Aad::from([MAGIC, &number.to_be_bytes(), name.as_str().as_bytes()].concat())
}

fn random(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| Error::configuration("this system has no random numbers to make a key from"))
}

#[cfg(test)]
mod tests {
    use paytoken_testing::temporary_folder;

    use super::super::FileStore;
    use super::*;

    #[test]
    fn what_is_written_without_a_look_is_newer_than_what_a_clock_that_is_ahead_has_written() {
        let (folder, key) = (temporary_folder(), StoreKey("account".to_owned()));
        let [ahead, ours] = [(); 2].map(|()| {
            let store = FileStore::open(folder.path()).unwrap();
            Sealed::new(store, SealingKeys::new(&[7; KEY]))
        });
        let write = |store: &Sealed<FileStore>, entry: &[u8]| {
            let mut guard = store.lock(&key, Duration::ZERO, Duration::ZERO).unwrap().unwrap();
            guard.write(entry, Duration::ZERO).unwrap();
        };
        // As where its clock stands some thousand years later.
        ahead.has_seen(&key, 1 << 45);
        write(&ahead, b"the first");
        write(&ours, b"the second");
        let read = ahead.read(&key).unwrap();
        assert_eq!(read.as_deref(), Some(&b"the second"[..]), "it is not taken for an old one");
    }
}
