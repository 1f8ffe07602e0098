//! Changes of input: seeded, so that every run can be done again.

pub(crate) struct Mutator {
    state: u64,
    words: &'static [&'static [u8]],
}

/// Inputs grow no longer than this; beyond 64 KiB every answer is refused anyway.
const LONGEST: usize = 80 * 1024;

/// Bytes that parsers like to trip over.
const ODD: &[u8] = b"\0\r\n\t \"\\{}[]:,.-+%&=<>/0129eEZTtz\x7f\x80\xc3\xef\xff";

impl Mutator {
    pub(crate) fn new(seed: u64, words: &'static [&'static [u8]]) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, words }
    }

    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        number as usize % bound.max(1)
    }

    /// A seed with one to eight changes.
    pub(crate) fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..1 << self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(16)).min(input.len());
        match self.below(12) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = ODD[self.below(ODD.len())],
            2 => input.insert(at, ODD[self.below(ODD.len())]),
            3 => input.insert(at, self.below(256) as u8),
            4 => drop(input.drain(at..end)),
            5 => {
                let part = input[at..end].to_vec();
                self.insert(input, at, &part);
            }
            6 | 7 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                self.insert(input, at, word);
            }
            8 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                input.splice(at..end, word.iter().copied());
            }
            9 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            10 if self.below(20) == 0 => {
                let part = input[at..end].to_vec();
                let many = part.repeat(self.below(4000));
                self.insert(input, at, &many);
            }
            11 if self.below(4) == 0 => input.truncate(at),
            _ => {
                // Another number where there is one.
                if let Some(digit) = input[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                    *digit = b"0123456789eE.-"[self.state as usize % 14];
                }
            }
        }
    }

    fn insert(&mut self, input: &mut Vec<u8>, at: usize, part: &[u8]) {
        input.splice(at..at, part.iter().copied());
    }
}
