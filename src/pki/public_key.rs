//! Public keys: their form in certificates and in `sa.pub`, their kind, their short name.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::der::{self, Reader, tag};
use super::key::{KeyAlgorithm, KeyError, PrivateKey};
use super::{oid, pem};

/// A public key, equal to another when the `SubjectPublicKeyInfo` is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(Arc<[u8]>);

impl PublicKey {
    /// From `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn from_spki(der: &[u8]) -> Self {
        Self(Arc::from(der))
    }

    /// The keys of a PEM file (public, private or certificates), as client-go's
    /// `keyutil.ParsePublicKeysPEM`.
    ///
    /// # Errors
    /// [`KeyError::NoPublicKey`].
    pub fn parse_pem(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        let keys: Vec<Self> = pem::blocks(text)
            .filter_map(|block| Self::from_block(&block.bytes))
            .collect();
        if keys.is_empty() {
            return Err(KeyError::NoPublicKey);
        }
        Ok(keys)
    }

    fn from_block(bytes: &[u8]) -> Option<Self> {
        let private = PrivateKey::from_pkcs1(bytes)
            .or_else(|| PrivateKey::from_pkcs8(bytes).and_then(Result::ok))
            .or_else(|| PrivateKey::from_sec1(bytes, None));
        if let Some(key) = private {
            return Some(key.public_key());
        }
        let spki = match super::Certificate::from_der(bytes) {
            Ok(certificate) => certificate.spki_der().to_vec(),
            Err(_) => bytes.to_vec(),
        };
        spki_algorithm(&spki).map(|_| Self::from_spki(&spki))
    }

    /// The `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0
    }

    /// Short name, equal to the private key's.
    #[must_use]
    pub fn id(&self) -> String {
        key_id(&self.0)
    }

    /// `PUBLIC KEY`, as kubeadm writes `sa.pub`.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.0)
    }
}

/// Short name of a public key: `key-` and eight hexadecimal digits of a digest.
#[must_use]
pub fn key_id(spki: &[u8]) -> String {
    let hash = digest(&SHA256, spki);
    let hash = hash.as_ref();
    format!(
        "key-{:02x}{:02x}{:02x}{:02x}",
        hash[0], hash[1], hash[2], hash[3]
    )
}

/// Kind of key in a `SubjectPublicKeyInfo`; `None` when it is neither RSA nor ECDSA on a known curve.
#[must_use]
pub fn spki_algorithm(spki: &[u8]) -> Option<KeyAlgorithm> {
    let mut outer = Reader(spki);
    let mut body = outer.read(tag::SEQUENCE)?;
    let mut algorithm = body.read(tag::SEQUENCE)?;
    let kind = algorithm.oid()?;
    let bits = body.bit_string()?;
    if !outer.is_empty() {
        return None;
    }
    match kind.as_slice() {
        oid::RSA => {
            let modulus = Reader(bits.bytes).read(tag::SEQUENCE)?.integer()?;
            Some(KeyAlgorithm::rsa(bit_length(modulus)))
        }
        oid::ECDSA => curve_algorithm(&algorithm.oid()?),
        _ => None,
    }
}

pub(super) fn curve_algorithm(curve: &[u32]) -> Option<KeyAlgorithm> {
    match curve {
        oid::P256 => Some(KeyAlgorithm::EcdsaP256),
        oid::P384 => Some(KeyAlgorithm::EcdsaP384),
        oid::P521 => Some(KeyAlgorithm::EcdsaP521),
        _ => None,
    }
}

pub(super) fn bit_length(number: &[u8]) -> u32 {
    let skip = number.iter().take_while(|&&byte| byte == 0).count();
    match number.get(skip) {
        Some(first) => (number.len() - skip) as u32 * 8 - first.leading_zeros(),
        None => 0,
    }
}

pub(super) fn rsa_spki(pkcs1_public: &[u8]) -> Vec<u8> {
    der::sequence(&[
        der::sequence(&[der::oid(oid::RSA), der::element(tag::NULL, &[])]),
        der::bit_string(pkcs1_public),
    ])
}

pub(super) fn ec_spki(curve: &[u32], point: &[u8]) -> Vec<u8> {
    der::sequence(&[
        der::sequence(&[der::oid(oid::ECDSA), der::oid(curve)]),
        der::bit_string(point),
    ])
}
