//! Files of certificates that were read before in this process.
//!
//! A command reads every certificate of its node, and most are those that the last one read. A certificate is shared and never
//! changed, so that reading a text again gives what it gave before.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use aws_lc_rs::digest::{SHA256, digest};

use super::certificate::{Certificate, CertificateError};

/// More are not kept: some megabytes.
const KEPT_MAX: usize = 4096;
/// Longer texts are no certificates of a cluster.
const TEXT_MAX: usize = 64 * 1024;

static READ: LazyLock<RwLock<HashMap<[u8; 32], Vec<Certificate>>>> = LazyLock::new(RwLock::default);

/// The certificates of a text: remembered, or read. What cannot be read is not remembered.
///
/// # Errors
/// What reading it gives.
pub(super) fn once(
    text: &[u8],
    read: impl FnOnce() -> Result<Vec<Certificate>, CertificateError>,
) -> Result<Vec<Certificate>, CertificateError> {
    if text.len() > TEXT_MAX {
        return read();
    }
    let mut name = [0; 32];
    name.copy_from_slice(digest(&SHA256, text).as_ref());
    if let Some(known) = READ.read().ok().and_then(|all| all.get(&name).cloned()) {
        return Ok(known);
    }
    let certificates = read()?;
    if let Ok(mut all) = READ.write() {
        // Those of runs that are over make room.
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.insert(name, certificates.clone());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_and_what_failed_again() {
        let name = b"a text of this test alone";
        let fails = || Err(CertificateError::NoCertificates);
        assert!(once(name, fails).is_err());
        assert!(once(name, || Ok(Vec::new())).is_ok());
        assert!(once(name, fails).is_ok());
    }
}
