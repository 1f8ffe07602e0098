//! What this process last saw of its entry, from which it tells whether the entry has changed since.

use std::sync::Mutex;
use std::time::Instant;

use crate::base::digest::sha256_hex;
use crate::base::sync::lock;
use crate::store::entry::Entry;
use crate::token::Token;

/// What this process last saw of its entry.
#[derive(Default)]
pub(super) struct LastSeen {
    /// The store's stamp when the slot's token last agreed with the entry.
    pub(super) stamp: Mutex<Option<u64>>,
    taken: Mutex<Taken>,
}

/// The newest token of this process, and the entry's generation when it was read from there or written.
/// Any other token in its memory is older.
#[derive(Default)]
struct Taken {
    generation: u64,
    /// SHA-256.
    token: String,
    since: Option<Instant>,
    is_stored: bool,
}

impl LastSeen {
    pub(super) fn record_stored(&self, token: &Token, generation: u64) {
        self.record(token, generation, true);
    }

    pub(super) fn record_unstored(&self, token: &Token, generation: u64) {
        self.record(token, generation, false);
    }

    fn record(&self, token: &Token, generation: u64, is_stored: bool) {
        let since = Some(token.since().monotonic);
        let token = sha256_hex(token.secret().as_bytes());
        *lock(&self.taken) = Taken { generation, token, since, is_stored };
    }

    /// Whether an entry without a token has the very generation at which ours was written. Then the server
    /// has lost our token, and another process, which did not know of it, may have replaced it.
    pub(super) fn is_lost_in(&self, entry: &Entry) -> bool {
        let taken = lock(&self.taken);
        let is_ours = entry.parked.as_ref() == Some(&taken.token);
        taken.is_stored && taken.generation == entry.generation && !is_ours
    }

    /// Since when this process has counted the age of the token with this hash.
    pub(super) fn since(&self, token: &str) -> Option<Instant> {
        let taken = lock(&self.taken);
        taken.since.filter(|_| taken.token == token)
    }

    /// The entry's generation when a token was last read from it, or written.
    pub(super) fn generation(&self) -> u64 {
        lock(&self.taken).generation
    }

    /// Takes note that this process itself took its token out of the entry in order to replace it: that
    /// is no change by another process.
    pub(super) fn record_parked(&self, entry: &Entry) {
        let mut taken = lock(&self.taken);
        if entry.parked.as_ref() == Some(&taken.token) {
            taken.generation = entry.generation;
        }
    }

    /// The entry's generation when this token was read or written, if it is the newest one.
    pub(super) fn generation_of(&self, token: &Token) -> Option<u64> {
        let taken = lock(&self.taken);
        (taken.token == sha256_hex(token.secret().as_bytes())).then_some(taken.generation)
    }
}
