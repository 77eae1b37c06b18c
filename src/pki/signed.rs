//! RSA signatures that were made before in this process.
//!
//! PKCS#1 v1.5 with one key over one message gives one signature, and simulated clusters begin alike: the same names, dates,
//! serial numbers and pooled keys in every variant of a scenario. Signing takes most of a millisecond.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use aws_lc_rs::digest::{Context, SHA256};

/// More are not kept: some megabytes.
const KEPT_MAX: usize = 16_384;

static SIGNED: LazyLock<RwLock<HashMap<[u8; 32], Arc<[u8]>>>> = LazyLock::new(RwLock::default);

/// A signature by the key of a `SubjectPublicKeyInfo` over a message: remembered, or made.
///
/// # Errors
/// What making it gives.
pub(super) fn once<E>(
    spki: &[u8],
    message: &[u8],
    sign: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut context = Context::new(&SHA256);
    // The length of a SubjectPublicKeyInfo stands in its first bytes: no two pairs run together alike.
    context.update(spki);
    context.update(message);
    let mut name = [0; 32];
    name.copy_from_slice(context.finish().as_ref());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_or_message_is_another_signature() {
        let made = |spki: &[u8], message: &[u8], byte| {
            once::<()>(spki, message, || Ok(vec![byte])).unwrap()
        };
        assert_eq!(made(b"\x30\x02one", b"message", 1), [1]);
        assert_eq!(made(b"\x30\x02one", b"message", 2), [1]);
        assert_eq!(made(b"\x30\x02two", b"message", 3), [3]);
        assert_eq!(made(b"\x30\x02one", b"messages", 4), [4]);
    }
}
