//! Signatures that were made or verified before in this process.
//!
//! Simulated clusters begin alike: the same names, dates, serial numbers and pooled keys in every variant of a scenario. PKCS#1
//! v1.5 with one key over one message gives one signature, and takes most of a millisecond; what was verified once is
//! verified again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, RwLock};

use aws_lc_rs::digest::{Context, SHA256};

/// More are not kept: some megabytes.
const KEPT_MAX: usize = 16_384;

/// A digest.
pub type Name = [u8; 32];

static SIGNED: LazyLock<RwLock<HashMap<Name, Arc<[u8]>>>> = LazyLock::new(RwLock::default);
static VERIFIED: LazyLock<RwLock<HashSet<Name>>> = LazyLock::new(RwLock::default);

/// A signature by the key of a `SubjectPublicKeyInfo` over a message: remembered, or made.
///
/// # Errors
/// What making it gives.
pub(super) fn once<E>(
    spki: &[u8],
    message: &[u8],
    sign: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let name = name_of(&[spki, message]);
    if let Some(known) = SIGNED.read().ok().and_then(|all| all.get(&name).cloned()) {
        return Ok(known.to_vec());
    }
    let signature = sign()?;
    if let Ok(mut all) = SIGNED.write()
        && all.len() < KEPT_MAX
    {
        all.insert(name, Arc::from(signature.as_slice()));
    }
    Ok(signature)
}

/// A verification of everything that `parts` says: known to hold, or done. What fails is not remembered.
///
/// # Errors
/// What doing it gives.
pub(super) fn verified<E>(
    parts: &[&[u8]],
    verify: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let name = name_of(parts);
    if VERIFIED.read().is_ok_and(|all| all.contains(&name)) {
        return Ok(());
    }
    verify()?;
    if let Ok(mut all) = VERIFIED.write()
        && all.len() < KEPT_MAX
    {
        all.insert(name);
    }
    Ok(())
}

/// A digest of byte strings and of where one ends and the next begins.
pub struct Parts(Context);

impl Default for Parts {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Parts {
    /// Adds a byte string.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// Adds a text.
    pub fn text(&mut self, part: &str) {
        self.add(part.as_bytes());
    }

    /// The digest.
    #[must_use]
    pub fn name(self) -> Name {
        let mut name = [0; 32];
        name.copy_from_slice(self.0.finish().as_ref());
        name
    }
}

fn name_of(parts: &[&[u8]]) -> Name {
    let mut all = Parts::default();
    for part in parts {
        all.add(part);
    }
    all.name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_or_message_is_another_signature() {
        let made = |spki: &[u8], message: &[u8], byte| {
            once::<()>(spki, message, || Ok(vec![byte])).unwrap()
        };
        assert_eq!(made(b"key one", b"message", 1), [1]);
        assert_eq!(made(b"key one", b"message", 2), [1]);
        assert_eq!(made(b"key two", b"message", 3), [3]);
        assert_eq!(made(b"key one", b"messages", 4), [4]);
        assert_eq!(made(b"key on", b"emessage", 5), [5]);
    }

    #[test]
    fn what_failed_is_tried_again() {
        let parts: [&[u8]; 2] = [b"verified", b"later"];
        assert_eq!(verified(&parts, || Err(1)), Err(1));
        assert_eq!(verified::<()>(&parts, || Ok(())), Ok(()));
        assert_eq!(verified(&parts, || Err(2)), Ok(()));
    }
}
