//! The same certificate for another key: names, dates, extensions and serial number to the byte, another public
//! key and another signature. With it a foreign PKI is rebuilt without its private keys.

use super::certificate::Certificate;
use super::der::{self, Reader, tag};
use super::{PrivateKey, x509_time};
use crate::time::{Timestamp, x509_second};

/// Why a certificate cannot be issued again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReissueError {
    /// Go read the certificate, and it still has a shape that cannot be written again.
    #[error("the certificate has a shape that cannot be written again")]
    Shape,
    /// A date beyond what X.509 can write.
    #[error("a date before year 0 or after year 9999 cannot be written into a certificate")]
    Time,
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] super::KeyError),
}

/// Issues a certificate again: for `subject_spki`, signed by `signer`, with other dates where they are given.
///
/// Key identifiers stay as they are: they are labels that lead from a certificate to its issuer, and they must
/// keep leading there.
///
/// # Errors
/// See [`ReissueError`].
pub fn reissue(
    original: &Certificate,
    subject_spki: &[u8],
    signer: &PrivateKey,
    dates: Option<(Timestamp, Timestamp)>,
) -> Result<Certificate, ReissueError> {
    let algorithm = signer.signature_algorithm_der();
    let mut body = Reader(&original.0.tbs)
        .read(tag::SEQUENCE)
        .ok_or(ReissueError::Shape)?;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    // version (optional), serial, algorithm, issuer, validity, subject, key, and what follows.
    if body.peek(tag::explicit(0)) {
        parts.push(next(&mut body)?);
    }
    parts.push(next(&mut body)?);
    next(&mut body)?;
    parts.push(algorithm.clone());
    parts.push(next(&mut body)?);
    let validity = next(&mut body)?;
    parts.push(match dates {
        None => validity,
        Some((from, until)) => {
            let time = |at: Timestamp| {
                x509_time::encode(x509_second(at).as_second()).ok_or(ReissueError::Time)
            };
            der::sequence(&[time(from)?, time(until)?])
        }
    });
    parts.push(next(&mut body)?);
    next(&mut body)?;
    parts.push(subject_spki.to_vec());
    while !body.is_empty() {
        parts.push(next(&mut body)?);
    }
    let tbs = der::sequence(&parts);
    let signature = der::bit_string(&signer.sign(&tbs)?);
    let whole = der::sequence(&[tbs, algorithm, signature]);
    Certificate::from_der(&whole).map_err(|_| ReissueError::Shape)
}

fn next(reader: &mut Reader<'_>) -> Result<Vec<u8>, ReissueError> {
    reader
        .any()
        .map(|(_, element, _)| element.to_vec())
        .ok_or(ReissueError::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{ExtKeyUsage, KeyAlgorithm, Template, issue};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn all_but_key_and_signature_stay() {
        let old = PrivateKey::generate(KeyAlgorithm::Rsa2048);
        let new = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
        let ca = issue::self_signed_ca("kubernetes", &old, from, until, 7).unwrap();
        let template = Template {
            common_name: "kube-apiserver".into(),
            dns_names: vec!["cp1".into()],
            ext_key_usages: vec![ExtKeyUsage::ServerAuth],
            not_before: from,
            not_after: until,
            serial: 99,
            ..Template::default()
        };
        let leaf = issue::sign(&template, old.spki_der(), &ca, &old).unwrap();
        let new_ca = reissue(&ca, new.spki_der(), &new, None).unwrap();
        let again = reissue(&leaf, old.spki_der(), &new, None).unwrap();
        assert!(again.is_signed_by(&new_ca) && !again.is_signed_by(&ca));
        assert!(new_ca.is_signed_by(&new_ca));
        assert_eq!(again.serial_hex(), leaf.serial_hex());
        assert_eq!(again.dns_names(), leaf.dns_names());
        assert_eq!(again.authority_key_id(), ca.subject_key_id());
        assert_eq!(new_ca.subject_key_id(), ca.subject_key_id());
        assert_eq!(again.not_after(), until);
        assert_eq!(again.ext_key_usages(), leaf.ext_key_usages());
    }

    #[test]
    fn dates_can_be_others() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let ca = issue::self_signed_ca(
            "x",
            &key,
            at("2026-01-01T00:00:00Z"),
            at("2036-01-01T00:00:00Z"),
            7,
        )
        .unwrap();
        let dates = (at("2020-02-03T04:05:06Z"), at("2055-01-01T00:00:00Z"));
        let moved = reissue(&ca, key.spki_der(), &key, Some(dates)).unwrap();
        assert_eq!((moved.not_before(), moved.not_after()), dates);
    }
}
