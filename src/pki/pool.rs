//! The committed pool of throw-away keys, and the source that draws from it by stream.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{LazyLock, OnceLock, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::{KeyAlgorithm, KeySource, PrivateKey};

static RSA_2048: Pool = Pool::new(
    KeyAlgorithm::Rsa2048,
    include_bytes!("../../fixtures/keys/rsa-2048.bin"),
);
static RSA_3072: Pool = Pool::new(
    KeyAlgorithm::Rsa3072,
    include_bytes!("../../fixtures/keys/rsa-3072.bin"),
);
static RSA_4096: Pool = Pool::new(
    KeyAlgorithm::Rsa4096,
    include_bytes!("../../fixtures/keys/rsa-4096.bin"),
);
static ECDSA_P256: Pool = Pool::new(
    KeyAlgorithm::EcdsaP256,
    include_bytes!("../../fixtures/keys/ecdsa-p256.bin"),
);
static ECDSA_P384: Pool = Pool::new(
    KeyAlgorithm::EcdsaP384,
    include_bytes!("../../fixtures/keys/ecdsa-p384.bin"),
);

/// Keys of one kind: length-prefixed PKCS#1 or SEC1, read when first drawn and then shared.
struct Pool {
    algorithm: KeyAlgorithm,
    bytes: &'static [u8],
    slots: OnceLock<Vec<Slot>>,
}

struct Slot {
    der: &'static [u8],
    key: OnceLock<PrivateKey>,
}

impl Pool {
    const fn new(algorithm: KeyAlgorithm, bytes: &'static [u8]) -> Self {
        Self {
            algorithm,
            bytes,
            slots: OnceLock::new(),
        }
    }

    fn slots(&self) -> &[Slot] {
        self.slots.get_or_init(|| {
            let mut slots = Vec::new();
            let mut rest = self.bytes;
            while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                let Some((der, tail)) =
                    tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                else {
                    break;
                };
                slots.push(Slot {
                    der,
                    key: OnceLock::new(),
                });
                rest = tail;
            }
            slots
        })
    }

    fn key(&self, index: usize) -> PrivateKey {
        let slot = &self.slots()[index];
        slot.key
            .get_or_init(|| {
                let key = PrivateKey::from_pool(self.algorithm, slot.der.to_vec())
                    .expect("a pooled key can be read");
                if let Ok(mut drawn) = DRAWN.write() {
                    drawn.insert(fingerprint(slot.der), key.clone());
                }
                key
            })
            .clone()
    }
}

/// Pooled keys that were drawn, by the digest of their DER.
///
/// Reading an RSA key means checking it, which takes longer than everything else a simulated file costs; a
/// pooled key was checked when it was drawn.
static DRAWN: LazyLock<RwLock<HashMap<[u8; 32], PrivateKey>>> = LazyLock::new(RwLock::default);

/// The pooled key that the DER of a key is, to the byte.
pub(super) fn drawn(der: &[u8]) -> Option<PrivateKey> {
    DRAWN.read().ok()?.get(&fingerprint(der)).cloned()
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, der).as_ref());
    bytes
}

fn pool(algorithm: KeyAlgorithm) -> Option<&'static Pool> {
    match algorithm {
        KeyAlgorithm::Rsa2048 => Some(&RSA_2048),
        KeyAlgorithm::Rsa3072 => Some(&RSA_3072),
        KeyAlgorithm::Rsa4096 => Some(&RSA_4096),
        KeyAlgorithm::EcdsaP256 => Some(&ECDSA_P256),
        KeyAlgorithm::EcdsaP384 => Some(&ECDSA_P384),
        KeyAlgorithm::EcdsaP521 | KeyAlgorithm::OtherRsa(_) => None,
    }
}

/// How many keys of a kind the pool holds.
#[must_use]
pub fn pool_size(algorithm: KeyAlgorithm) -> usize {
    pool(algorithm).map_or(0, |pool| pool.slots().len())
}

/// One key of the pool by its place; `None` behind the last.
#[must_use]
pub fn pool_key(algorithm: KeyAlgorithm, index: usize) -> Option<PrivateKey> {
    let pool = pool(algorithm)?;
    (index < pool.slots().len()).then(|| pool.key(index))
}

/// Keys and numbers that are a function of a seed and the name of the stream they are drawn from.
#[derive(Debug, Clone)]
pub struct PoolKeys {
    seed: u64,
    streams: BTreeMap<String, Stream>,
    /// Places drawn of late, by whatever stream: two files of a node must not hold one key by chance.
    recent: BTreeMap<KeyAlgorithm, VecDeque<usize>>,
}

#[derive(Debug, Clone)]
struct Stream {
    numbers: ChaCha8Rng,
    /// Places of keys not drawn yet, per kind: a stream repeats a key only when the pool is used up.
    left: BTreeMap<KeyAlgorithm, Vec<usize>>,
}

impl PoolKeys {
    /// A source whose every draw follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            streams: BTreeMap::new(),
            recent: BTreeMap::new(),
        }
    }

    fn stream(&mut self, name: &str, purpose: &str) -> &mut Stream {
        let full = format!("{purpose}\0{name}");
        let seed = self.seed;
        self.streams.entry(full).or_insert_with_key(|full| {
            let mut input = seed.to_be_bytes().to_vec();
            input.extend_from_slice(full.as_bytes());
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest(&SHA256, &input).as_ref());
            Stream {
                numbers: ChaCha8Rng::from_seed(bytes),
                left: BTreeMap::new(),
            }
        })
    }
}

impl KeySource for PoolKeys {
    fn key(&mut self, stream: &str, algorithm: KeyAlgorithm) -> PrivateKey {
        let Some(pool) = pool(algorithm) else {
            return PrivateKey::generate(algorithm);
        };
        let stream = self.stream(stream, "key");
        let left = stream.left.entry(algorithm).or_default();
        if left.is_empty() {
            left.extend(0..pool.slots().len());
        }
        // The slight preference for low places that a modulus gives does not matter here.
        let at = (stream.numbers.next_u64() % left.len() as u64) as usize;
        let mut place = left.swap_remove(at);
        // The stream goes on as if its place had been free, so that no further draw of it shifts.
        let recent = self.recent.entry(algorithm).or_default();
        let size = pool.slots().len();
        while recent.contains(&place) {
            place = (place + 1) % size;
        }
        recent.push_back(place);
        // Some places stay free, or the search would not end.
        if recent.len() > size * 3 / 4 {
            recent.pop_front();
        }
        pool.key(place)
    }

    fn serial(&mut self, stream: &str) -> u64 {
        let numbers = &mut self.stream(stream, "serial").numbers;
        loop {
            let serial = numbers.next_u64() >> 1;
            if serial > 0 {
                return serial;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pooled_key_can_sign() {
        for algorithm in [
            KeyAlgorithm::Rsa2048,
            KeyAlgorithm::Rsa3072,
            KeyAlgorithm::Rsa4096,
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
        ] {
            let size = pool_size(algorithm);
            assert!(size >= 8);
            for index in 0..size.min(8) {
                let key = pool_key(algorithm, index).unwrap();
                assert_eq!(key.algorithm(), algorithm);
                assert_eq!(
                    PrivateKey::from_pem(key.to_pem().as_bytes())
                        .unwrap()
                        .spki_der(),
                    key.spki_der()
                );
                key.sign(b"x").unwrap();
            }
        }
        assert!(pool_size(KeyAlgorithm::Rsa2048) >= 96);
        assert!(pool_size(KeyAlgorithm::EcdsaP256) >= 256);
    }

    #[test]
    fn a_draw_does_not_shift_another_stream() {
        let mut one = PoolKeys::new(7);
        let mut two = PoolKeys::new(7);
        two.key("other", KeyAlgorithm::EcdsaP256);
        two.serial("a");
        for _ in 0..20 {
            assert_eq!(
                one.key("a", KeyAlgorithm::EcdsaP256),
                two.key("a", KeyAlgorithm::EcdsaP256)
            );
        }
        assert_ne!(PoolKeys::new(1).serial("a"), PoolKeys::new(2).serial("a"));
    }

    #[test]
    fn two_streams_do_not_draw_one_key_within_half_the_pool() {
        let mut source = PoolKeys::new(3);
        let half = pool_size(KeyAlgorithm::Rsa2048) / 2;
        let mut ids = std::collections::BTreeSet::new();
        for number in 0..half {
            let stream = format!("stream {number}");
            assert!(ids.insert(source.key(&stream, KeyAlgorithm::Rsa2048).id()));
        }
    }

    #[test]
    fn a_stream_does_not_repeat_a_key_while_there_are_others() {
        let mut source = PoolKeys::new(1);
        let ids: std::collections::BTreeSet<_> = (0..96)
            .map(|_| source.key("a", KeyAlgorithm::Rsa2048).id())
            .collect();
        assert_eq!(ids.len(), 96);
    }
}
