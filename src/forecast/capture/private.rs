//! The one place that sees a private key. It says which certificates the key belongs to, and nothing else.

use zeroize::Zeroizing;

use super::Key;
use super::read::Place;
use crate::pki::{KeyError, PrivateKey, pem};

/// A public key of the node and the file it is in.
pub(super) struct Candidate {
    pub file: String,
    pub spki: Vec<u8>,
}

/// Reads a file that holds a private key and says whose it is. The bytes are overwritten before they are given
/// back. `None`: the file cannot be read, or there is no private key in it.
pub(super) fn key_of_file(place: &dyn Place, path: &str, candidates: &[Candidate]) -> Option<Key> {
    let content = place.read(path).ok()?;
    has_key(&content).then(|| owner(&content, candidates))
}

/// Whose key a PEM text is. The caller owns the text and overwrites it.
pub(super) fn owner(text: &Zeroizing<Vec<u8>>, candidates: &[Candidate]) -> Key {
    let key = match PrivateKey::from_pem(text) {
        Ok(key) => key,
        // An Ed25519 key is a key; kubeadm cannot use it, and its public half is not computed here.
        Err(KeyError::Foreign) => return Key::default(),
        Err(_) => {
            return Key {
                unreadable: true,
                ..Key::default()
            };
        }
    };
    let mut belongs_to: Vec<String> = candidates
        .iter()
        .filter(|candidate| candidate.spki == key.spki_der())
        .map(|candidate| candidate.file.clone())
        .collect();
    belongs_to.sort();
    belongs_to.dedup();
    Key {
        belongs_to,
        unreadable: false,
    }
}

/// Whether a text has a block that says it is a private key.
fn has_key(text: &[u8]) -> bool {
    const WORDS: &[u8] = b"PRIVATE KEY-----";
    memchr::memmem::find(text, WORDS).is_some()
}

/// The PEM text of one kind of block, with everything else left out.
pub(super) fn only(text: &[u8], kind: &str) -> Vec<Vec<u8>> {
    pem::blocks(text)
        .filter_map(|mut block| {
            if block.kind == kind && !block.has_headers {
                return Some(block.bytes);
            }
            zeroize::Zeroize::zeroize(&mut block.bytes);
            None
        })
        .collect()
}
