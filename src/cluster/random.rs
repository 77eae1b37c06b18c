//! Named random streams: a draw added in one place does not shift another.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::time::SignedDuration;

/// Random numbers of a run, by stream.
#[derive(Debug, Clone)]
pub struct Streams {
    seed: u64,
    open: BTreeMap<String, ChaCha8Rng>,
}

impl Streams {
    /// All streams of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            open: BTreeMap::new(),
        }
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self, stream: &str) -> f64 {
        // 53 random bits are what a double holds exactly.
        (self.bits(stream) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A length of time between two bounds, in whole milliseconds.
    pub fn between(&mut self, stream: &str, min_ms: i64, max_ms: i64) -> SignedDuration {
        debug_assert!(min_ms <= max_ms);
        let width = (max_ms - min_ms + 1) as f64;
        SignedDuration::from_millis(min_ms + (self.unit(stream) * width) as i64)
    }

    /// `len` characters as Kubernetes' `generateName` appends them.
    pub fn suffix(&mut self, stream: &str, len: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..len)
            .map(|_| ALPHABET[(self.bits(stream) % ALPHABET.len() as u64) as usize] as char)
            .collect()
    }

    /// As [`Streams::suffix`], from a stream that is drawn from only once.
    #[must_use]
    pub fn suffix_once(&self, stream: &str, len: usize) -> String {
        Self {
            seed: self.seed,
            open: BTreeMap::new(),
        }
        .suffix(stream, len)
    }

    fn bits(&mut self, stream: &str) -> u64 {
        let seed = self.seed;
        if !self.open.contains_key(stream) {
            self.open.insert(stream.to_owned(), open(seed, stream));
        }
        self.open.get_mut(stream).map_or(0, ChaCha8Rng::next_u64)
    }
}

/// FNV-1a of the name picks the stream; the seed picks the generator.
fn open(seed: u64, stream: &str) -> ChaCha8Rng {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in stream.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(hash);
    generator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_in_one_stream_does_not_shift_another() {
        let mut first = Streams::new(1);
        let mut second = Streams::new(1);
        first.unit("other");
        assert_eq!(first.unit("jitter"), second.unit("jitter"));
        assert_ne!(first.unit("jitter"), Streams::new(2).unit("jitter"));
    }

    #[test]
    fn lengths_stay_between_their_bounds() {
        let mut streams = Streams::new(7);
        for _ in 0..1000 {
            let span = streams.between("x", 700, 900).as_millis();
            assert!((700..=900).contains(&span));
        }
    }
}
