//! The tokens that a slot has had lately, by a hash with a random key: their text is not kept.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;

#[derive(Default)]
pub(super) struct Recent {
    key: RandomState,
    hashes: [Option<NonZeroU64>; 16],
    next: usize,
}

impl Recent {
    pub(super) fn add(&mut self, token: &str) {
        if !self.has(token) {
            self.hashes[self.next] = self.hash(token);
            self.next = (self.next + 1) % self.hashes.len();
        }
    }

    pub(super) fn has(&self, token: &str) -> bool {
        self.hashes.contains(&self.hash(token))
    }

    fn hash(&self, token: &str) -> Option<NonZeroU64> {
        // Odd, so that it is not zero.
        NonZeroU64::new(self.key.hash_one(token) | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_are_known() {
        let mut recent = Recent::default();
        assert!(!recent.has("0"));
        for number in 0..20 {
            recent.add(&number.to_string());
            recent.add(&number.to_string());
        }
        for number in 0..20 {
            assert_eq!(recent.has(&number.to_string()), number >= 4, "{number}");
        }
    }
}
