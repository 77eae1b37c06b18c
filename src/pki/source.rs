//! Where private keys and serial numbers come from.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{KeyAlgorithm, PrivateKey};

/// Where private keys and random numbers come from: the committed pool by stream, or the operating
/// system.
///
/// A stream is a name such as `cp1/apiserver`: draws from one never shift those of another.
pub trait KeySource {
    /// The next private key of a stream.
    fn key(&mut self, stream: &str, algorithm: KeyAlgorithm) -> PrivateKey;

    /// The next serial number of a stream: at least 1, at most 63 bits.
    fn serial(&mut self, stream: &str) -> u64;

    /// Says that so many keys will be asked for soon, so that they can be made side by side.
    fn prefetch(&mut self, algorithm: KeyAlgorithm, count: usize) {
        let _ = (algorithm, count);
    }
}

/// Fresh keys from the operating system's randomness.
#[derive(Debug, Default)]
pub struct OsKeys {
    batches: BTreeMap<KeyAlgorithm, Batch>,
}

/// Keys of one kind that threads are making.
#[derive(Debug, Default)]
struct Batch {
    /// Keys asked for and not taken yet.
    expected: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    to_make: usize,
    ready: Vec<PrivateKey>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes keys until none is wanted any more.
    fn work(&self, algorithm: KeyAlgorithm) {
        loop {
            {
                let mut state = self.lock();
                if state.to_make == 0 {
                    return;
                }
                state.to_make -= 1;
            }
            let key = PrivateKey::generate(algorithm);
            self.lock().ready.push(key);
            self.changed.notify_one();
        }
    }
}

impl OsKeys {
    /// A source without keys made ahead.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl KeySource for OsKeys {
    fn key(&mut self, _stream: &str, algorithm: KeyAlgorithm) -> PrivateKey {
        let Some(batch) = self
            .batches
            .get_mut(&algorithm)
            .filter(|batch| batch.expected > 0)
        else {
            return PrivateKey::generate(algorithm);
        };
        batch.expected -= 1;
        let mut state = batch.shared.lock();
        loop {
            if let Some(key) = state.ready.pop() {
                return key;
            }
            if state.to_make > 0 {
                // Rather than wait idly for a thread, make one of the wanted keys here.
                state.to_make -= 1;
                drop(state);
                return PrivateKey::generate(algorithm);
            }
            state = batch
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one source that is not a stream"
    )]
    fn serial(&mut self, _stream: &str) -> u64 {
        let mut bytes = [0; 8];
        loop {
            aws_lc_rs::rand::fill(&mut bytes).expect("randomness is available");
            let serial = u64::from_be_bytes(bytes) >> 1;
            if serial > 0 {
                return serial;
            }
        }
    }

    fn prefetch(&mut self, algorithm: KeyAlgorithm, count: usize) {
        let batch = self.batches.entry(algorithm).or_default();
        batch.expected += count;
        batch.shared.lock().to_make += count;
        // The caller's own thread works too, while it waits.
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .saturating_sub(1)
            .min(count);
        for _ in 0..threads {
            let shared = Arc::clone(&batch.shared);
            std::thread::spawn(move || shared.work(algorithm));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_made_ahead_are_all_handed_out_once() {
        let mut source = OsKeys::new();
        source.prefetch(KeyAlgorithm::EcdsaP256, 8);
        let ids: std::collections::BTreeSet<String> = (0..10)
            .map(|_| source.key("x", KeyAlgorithm::EcdsaP256).id())
            .collect();
        assert_eq!(ids.len(), 10);
        assert!(source.serial("x") > 0);
    }
}
