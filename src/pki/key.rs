//! Private and public keys, in the forms that kubeadm writes and reads.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::der::{self, Reader, tag};
use super::public_key::{PublicKey, bit_length, curve_algorithm, ec_spki, key_id, rsa_spki};
use super::{oid, pem, signed};

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// kubeadm's default.
    Rsa2048,
    /// `encryptionAlgorithm: RSA-3072`.
    Rsa3072,
    /// `encryptionAlgorithm: RSA-4096`.
    Rsa4096,
    /// `encryptionAlgorithm: ECDSA-P256`; also what kubelets use.
    EcdsaP256,
    /// `encryptionAlgorithm: ECDSA-P384`.
    EcdsaP384,
    /// Only read, never asked for by kubeadm.
    EcdsaP521,
    /// RSA of another size (bits): only read, never asked for by kubeadm.
    OtherRsa(u32),
}

impl fmt::Display for KeyAlgorithm {
    /// As in kubeadm's configuration: `RSA-2048`, `ECDSA-P256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa2048 => f.write_str("RSA-2048"),
            Self::Rsa3072 => f.write_str("RSA-3072"),
            Self::Rsa4096 => f.write_str("RSA-4096"),
            Self::EcdsaP256 => f.write_str("ECDSA-P256"),
            Self::EcdsaP384 => f.write_str("ECDSA-P384"),
            Self::EcdsaP521 => f.write_str("ECDSA-P521"),
            Self::OtherRsa(bits) => write!(f, "RSA-{bits}"),
        }
    }
}

impl KeyAlgorithm {
    /// Whether this is RSA of any size.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        !matches!(self, Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521)
    }

    pub(super) fn rsa(bits: u32) -> Self {
        match bits {
            2048 => Self::Rsa2048,
            3072 => Self::Rsa3072,
            4096 => Self::Rsa4096,
            other => Self::OtherRsa(other),
        }
    }

    fn ecdsa(self) -> Option<(&'static EcdsaSigningAlgorithm, &'static [u32], usize)> {
        match self {
            Self::EcdsaP256 => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, oid::P256, 32)),
            Self::EcdsaP384 => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, oid::P384, 48)),
            Self::EcdsaP521 => Some((&ECDSA_P521_SHA512_ASN1_SIGNING, oid::P521, 66)),
            _ => None,
        }
    }
}

/// Why a key cannot be read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// client-go's `keyutil.ParsePrivateKeyPEM`.
    #[error("data does not contain a valid RSA or ECDSA private key")]
    NoPrivateKey,
    /// client-go's `keyutil.ParsePublicKeysPEM`.
    #[error("data does not contain any valid RSA or ECDSA public keys")]
    NoPublicKey,
    /// A well-formed key that is neither RSA nor ECDSA (Ed25519, X25519). kubeadm words this
    /// itself, with the path.
    #[error("the private key is neither in RSA nor ECDSA format")]
    Foreign,
    /// The key is too small or on a curve that cannot be signed with here.
    #[error("crypto: cannot sign with a key of kind {0}")]
    CannotSign(KeyAlgorithm),
}

/// A private key. Cloning shares it.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    algorithm: KeyAlgorithm,
    /// PKCS#1 or SEC1.
    der: Vec<u8>,
    spki: Vec<u8>,
    /// Built at the first signature: most keys of a pool never sign.
    signer: OnceLock<Option<Signer>>,
}

enum Signer {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Drop for Inner {
    /// A key that nobody holds any more does not stay in memory that is given back.
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.der);
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {})", self.0.algorithm, self.id())
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PrivateKey {}

impl PrivateKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub fn generate(algorithm: KeyAlgorithm) -> Self {
        if let Some((signing, curve, size)) = algorithm.ecdsa() {
            let pair = EcdsaKeyPair::generate(signing).expect("randomness is available");
            let scalar: aws_lc_rs::encoding::EcPrivateKeyBin<'_> = pair
                .private_key()
                .as_be_bytes()
                .expect("a generated key can be exported");
            let public = pair.public_key().as_ref().to_vec();
            return Self::new(
                algorithm,
                sec1(size, scalar.as_ref(), Some(curve), &public),
                ec_spki(curve, &public),
                Some(Signer::Ecdsa(pair)),
            );
        }
        let size = match algorithm {
            KeyAlgorithm::Rsa3072 => KeySize::Rsa3072,
            KeyAlgorithm::Rsa4096 => KeySize::Rsa4096,
            _ => KeySize::Rsa2048,
        };
        let pair = RsaKeyPair::generate(size).expect("randomness is available");
        let pkcs8 = pair.as_der().expect("a generated key can be exported");
        let der = pkcs8_content(pkcs8.as_ref())
            .expect("a generated key is PKCS#8")
            .1
            .to_vec();
        let spki = rsa_spki(pair.public_key().as_ref());
        let bits = pair.public_modulus_len() as u32 * 8;
        Self::new(KeyAlgorithm::rsa(bits), der, spki, Some(Signer::Rsa(pair)))
    }

    fn new(algorithm: KeyAlgorithm, der: Vec<u8>, spki: Vec<u8>, signer: Option<Signer>) -> Self {
        let cell = OnceLock::new();
        if signer.is_some() {
            let _ = cell.set(signer);
        }
        Self(Arc::new(Inner {
            algorithm,
            der,
            spki,
            signer: cell,
        }))
    }

    /// The first usable key of a PEM file, as client-go's `keyutil.ParsePrivateKeyPEM`: blocks that
    /// are no keys or do not parse are skipped.
    ///
    /// # Errors
    /// [`KeyError::NoPrivateKey`] or [`KeyError::Foreign`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        for mut block in pem::blocks(text) {
            let found = match block.kind.as_str() {
                kind @ ("EC PRIVATE KEY" | "RSA PRIVATE KEY")
                    if let Some(key) = super::pool::drawn(&block.bytes)
                        && key.algorithm().ecdsa().is_some() == kind.starts_with("EC") =>
                {
                    Some(key)
                }
                "EC PRIVATE KEY" => Self::from_sec1(&block.bytes, None),
                "RSA PRIVATE KEY" => Self::from_pkcs1(&block.bytes),
                "PRIVATE KEY" => match Self::from_pkcs8(&block.bytes) {
                    Some(Ok(key)) => Some(key),
                    Some(Err(error)) => return Err(error),
                    None => None,
                },
                _ => None,
            };
            zeroize::Zeroize::zeroize(&mut block.bytes);
            if let Some(key) = found {
                return Ok(key);
            }
        }
        Err(KeyError::NoPrivateKey)
    }

    /// A PKCS#1 key, its numbers checked against each other.
    pub(super) fn from_pkcs1(bytes: &[u8]) -> Option<Self> {
        let mut outer = Reader(bytes);
        let mut body = outer.read(tag::SEQUENCE)?;
        if !outer.is_empty() || !(0..=1).contains(&body.int64()?) {
            return None;
        }
        let modulus = body.integer()?;
        let exponent = body.integer()?;
        let (d, p, q) = (body.integer()?, body.integer()?, body.integer()?);
        if [modulus, exponent, d, p, q]
            .iter()
            .any(|number| number[0] & 0x80 != 0 || **number == [0])
        {
            return None;
        }
        let bits = bit_length(modulus);
        let public = der::sequence(&[der::unsigned(modulus), der::unsigned(exponent)]);
        // The library refuses small keys; Go reads them and refuses only to sign.
        let signer = match RsaKeyPair::from_der(bytes) {
            Ok(pair) => Some(Signer::Rsa(pair)),
            Err(_) if bits < 2048 => None,
            Err(_) => return None,
        };
        Some(Self::new(
            KeyAlgorithm::rsa(bits),
            bytes.to_vec(),
            rsa_spki(&public),
            signer,
        ))
    }

    /// A SEC1 key. The public key is computed, not believed.
    pub(super) fn from_sec1(bytes: &[u8], outer_curve: Option<&[u32]>) -> Option<Self> {
        let mut body = Reader(bytes).read(tag::SEQUENCE)?;
        if body.int64()? != 1 {
            return None;
        }
        let scalar = body.read(tag::OCTET_STRING)?.0;
        let own_curve = match body.optional(tag::explicit(0))? {
            Some(mut inner) => Some(inner.oid()?),
            None => None,
        };
        let curve = outer_curve.map(<[u32]>::to_vec).or(own_curve)?;
        let algorithm = curve_algorithm(&curve)?;
        let (signing, curve, size) = algorithm.ecdsa()?;
        let skip = scalar.len().saturating_sub(size);
        if scalar[..skip].iter().any(|&byte| byte != 0) {
            return None;
        }
        let scalar = &scalar[skip..];
        let plain = sec1(size, scalar, Some(curve), &[]);
        let pair = EcdsaKeyPair::from_private_key_der(signing, &plain).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        Some(Self::new(
            algorithm,
            sec1(size, scalar, Some(curve), &public),
            ec_spki(curve, &public),
            Some(Signer::Ecdsa(pair)),
        ))
    }

    /// PKCS#8; the inner result tells a foreign kind of key from an RSA or ECDSA key.
    pub(super) fn from_pkcs8(bytes: &[u8]) -> Option<Result<Self, KeyError>> {
        let (mut algorithm, key) = pkcs8_content(bytes)?;
        let kind = algorithm.oid()?;
        match kind.as_slice() {
            oid::RSA => Self::from_pkcs1(key).map(Ok),
            oid::ECDSA => {
                let curve = Reader(algorithm.0).oid();
                Self::from_sec1(key, curve.as_deref()).map(Ok)
            }
            oid::ED25519 | oid::X25519 => {
                let seed = Reader(key).read(tag::OCTET_STRING)?.0;
                (algorithm.is_empty() && seed.len() == 32).then_some(Err(KeyError::Foreign))
            }
            _ => None,
        }
    }

    /// A key of the committed pool: trusted, so nothing but the public part is looked at.
    pub(super) fn from_pool(algorithm: KeyAlgorithm, bytes: Vec<u8>) -> Option<Self> {
        let mut body = Reader(&bytes).read(tag::SEQUENCE)?;
        body.int64()?;
        let spki = match algorithm.ecdsa() {
            None => {
                let (modulus, exponent) = (body.integer()?, body.integer()?);
                rsa_spki(&der::sequence(&[
                    der::unsigned(modulus),
                    der::unsigned(exponent),
                ]))
            }
            Some((_, curve, _)) => {
                body.read(tag::OCTET_STRING)?;
                body.read(tag::explicit(0))?;
                let public = body.read(tag::explicit(1))?.bit_string()?.bytes;
                ec_spki(curve, public)
            }
        };
        Some(Self::new(algorithm, bytes, spki, None))
    }

    /// What kind of key this is.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// The public key as `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_spki(&self.0.spki)
    }

    /// A short name of the key that is the same in every run and says nothing about its bytes.
    #[must_use]
    pub fn id(&self) -> String {
        key_id(&self.0.spki)
    }

    /// PKCS#1 or SEC1, as it stands in a pool file.
    #[must_use]
    pub fn to_traditional_der(&self) -> Vec<u8> {
        self.0.der.clone()
    }

    /// PKCS#1 or SEC1.
    #[cfg(test)]
    pub(super) fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1), as client-go's keyutil writes.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let kind = if self.0.algorithm.is_rsa() {
            "RSA PRIVATE KEY"
        } else {
            "EC PRIVATE KEY"
        };
        pem::encode(kind, &self.0.der)
    }

    /// PKCS#8, for libraries that want it.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Vec<u8> {
        let algorithm = match self.0.algorithm.ecdsa() {
            None => der::sequence(&[der::oid(oid::RSA), der::element(tag::NULL, &[])]),
            Some((_, curve, _)) => der::sequence(&[der::oid(oid::ECDSA), der::oid(curve)]),
        };
        der::sequence(&[
            der::unsigned(&[0]),
            algorithm,
            der::element(tag::OCTET_STRING, &self.0.der),
        ])
    }

    fn signer(&self) -> Option<&Signer> {
        self.0
            .signer
            .get_or_init(|| match self.0.algorithm.ecdsa() {
                None => RsaKeyPair::from_der(&self.0.der).ok().map(Signer::Rsa),
                Some((signing, ..)) => EcdsaKeyPair::from_private_key_der(signing, &self.0.der)
                    .ok()
                    .map(Signer::Ecdsa),
            })
            .as_ref()
    }

    /// Signs as Go does by default: PKCS#1 v1.5 with SHA-256, ECDSA with the curve's own hash.
    ///
    /// # Errors
    /// When the key is too small for the library.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let refused = || KeyError::CannotSign(self.0.algorithm);
        match self.signer().ok_or_else(refused)? {
            Signer::Rsa(pair) => signed::once(&self.0.spki, message, || {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(|_| refused())?;
                Ok(signature)
            }),
            Signer::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| refused()),
        }
    }

    /// The `AlgorithmIdentifier` of [`PrivateKey::sign`]'s signatures.
    #[must_use]
    pub fn signature_algorithm_der(&self) -> Vec<u8> {
        match self.0.algorithm {
            KeyAlgorithm::EcdsaP256 => der::sequence(&[der::oid(oid::ECDSA_SHA256)]),
            KeyAlgorithm::EcdsaP384 => der::sequence(&[der::oid(oid::ECDSA_SHA384)]),
            KeyAlgorithm::EcdsaP521 => der::sequence(&[der::oid(oid::ECDSA_SHA512)]),
            _ => der::sequence(&[der::oid(oid::RSA_SHA256), der::element(tag::NULL, &[])]),
        }
    }
}

fn sec1(size: usize, scalar: &[u8], curve: Option<&[u32]>, public: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; size - scalar.len().min(size)];
    padded.extend_from_slice(scalar);
    let mut parts = vec![
        der::unsigned(&[1]),
        der::element(tag::OCTET_STRING, &padded),
    ];
    if let Some(curve) = curve {
        parts.push(der::element(tag::explicit(0), &der::oid(curve)));
    }
    if !public.is_empty() {
        parts.push(der::element(tag::explicit(1), &der::bit_string(public)));
    }
    der::sequence(&parts)
}

fn pkcs8_content(bytes: &[u8]) -> Option<(Reader<'_>, &[u8])> {
    let mut body = Reader(bytes).read(tag::SEQUENCE)?;
    body.int64()?;
    let algorithm = body.read(tag::SEQUENCE)?;
    let key = body.read(tag::OCTET_STRING)?.0;
    Some((algorithm, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::spki_algorithm;

    #[test]
    fn keys_survive_every_form() {
        for algorithm in [
            KeyAlgorithm::Rsa2048,
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
        ] {
            let key = PrivateKey::generate(algorithm);
            let back = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
            assert_eq!(back, key);
            assert_eq!(back.der(), key.der());
            assert_eq!(back.algorithm(), algorithm);
            let pkcs8 = pem::encode("PRIVATE KEY", &key.to_pkcs8_der());
            assert_eq!(PrivateKey::from_pem(pkcs8.as_bytes()).unwrap(), key);
            assert_eq!(spki_algorithm(key.spki_der()), Some(algorithm));
            let public = PublicKey::parse_pem(key.public_key().to_pem().as_bytes()).unwrap();
            assert_eq!(public, [key.public_key()]);
        }
    }

    #[test]
    fn blocks_that_are_no_keys_are_skipped() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let text = format!(
            "{}{}",
            pem::encode("EC PARAMETERS", &der::oid(oid::P256)),
            key.to_pem()
        );
        assert_eq!(PrivateKey::from_pem(text.as_bytes()).unwrap(), key);
        assert_eq!(
            PrivateKey::from_pem(b"garbage"),
            Err(KeyError::NoPrivateKey)
        );
        let mut damaged = key.der().to_vec();
        damaged.truncate(20);
        let text = pem::encode("EC PRIVATE KEY", &damaged);
        assert_eq!(
            PrivateKey::from_pem(text.as_bytes()),
            Err(KeyError::NoPrivateKey)
        );
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        assert!(format!("{key:?}").starts_with("PrivateKey(ECDSA-P256, key-"));
    }
}
