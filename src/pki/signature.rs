//! Whether a certificate's key made a signature, with the refusals of Go's `CheckSignatureFrom`.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::certificate::Parsed;
use super::der::Reader;
use super::{KeyUsage, oid, signed};

/// Why a certificate cannot have been signed by another, displayed as Go does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The parent is not a CA, or may not sign.
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    Constraint,
    /// A kind of key or signature that Go does not know.
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    Unsupported,
    /// MD5 or SHA-1.
    #[error("x509: cannot verify signature: insecure algorithm {0}")]
    Insecure(&'static str),
    /// The signature is of another kind than the parent's key.
    #[error(
        "x509: signature algorithm specifies an {wanted} public key, but have public key of type {found}"
    )]
    Mismatch {
        /// What the signature's algorithm wants.
        wanted: &'static str,
        /// Go's type of the parent's key.
        found: &'static str,
    },
    /// The numbers do not agree: RSA.
    #[error("crypto/rsa: verification error")]
    Rsa,
    /// The parent's RSA key is below 1024 bits.
    #[error(
        "crypto/rsa: {0}-bit keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)"
    )]
    SmallKey(usize),
    /// The numbers do not agree: ECDSA.
    #[error("x509: ECDSA verification failure")]
    Ecdsa,
    /// The numbers do not agree: Ed25519.
    #[error("x509: Ed25519 verification failure")]
    Ed25519,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Hash),
    Ed25519,
}

impl Kind {
    /// A number of its own.
    fn code(self) -> u8 {
        let hash = |hash| match hash {
            Hash::Sha256 => 0,
            Hash::Sha384 => 1,
            Hash::Sha512 => 2,
        };
        match self {
            Self::RsaPkcs1(of) => hash(of),
            Self::RsaPss(of) => 3 + hash(of),
            Self::Ecdsa(of) => 6 + hash(of),
            Self::Ed25519 => 9,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) | Self::RsaPss(_) => "RSA",
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// Checks a child's signature with its parent's key. Names and dates are not looked at.
pub(super) fn check(child: &Parsed, parent: &Parsed) -> Result<(), SignatureError> {
    if parent.version == 3 && !parent.has_basic_constraints
        || parent.has_basic_constraints && !parent.is_ca
        || parent.key_usage != KeyUsage::default()
            && !parent.key_usage.contains(KeyUsage::CERT_SIGN)
    {
        return Err(SignatureError::Constraint);
    }
    check_numbers(
        kind(&child.signature_algorithm, &child.signature_parameters),
        &child.tbs,
        &child.signature,
        &parent.key_algorithm,
        &parent.key_parameters,
        &parent.key_bits,
    )
}

/// Whether a parent's key made a child's signature, whatever the parent may do.
pub(super) fn made_by(child: &Parsed, parent: &Parsed) -> bool {
    check_numbers(
        kind(&child.signature_algorithm, &child.signature_parameters),
        &child.tbs,
        &child.signature,
        &parent.key_algorithm,
        &parent.key_parameters,
        &parent.key_bits,
    )
    .is_ok()
}

/// Checks a request's signature with its own key; here Go accepts SHA-1, which nothing makes.
pub(super) fn check_self(
    message: &[u8],
    signature: &[u8],
    algorithm: &[u32],
    key: &Parsed,
) -> Result<(), SignatureError> {
    check_numbers(
        kind(algorithm, &[]),
        message,
        signature,
        &key.key_algorithm,
        &key.key_parameters,
        &key.key_bits,
    )
}

fn kind(algorithm: &[u32], parameters: &[u8]) -> Result<Kind, SignatureError> {
    Ok(match algorithm {
        oid::RSA_SHA256 => Kind::RsaPkcs1(Hash::Sha256),
        oid::RSA_SHA384 => Kind::RsaPkcs1(Hash::Sha384),
        oid::RSA_SHA512 => Kind::RsaPkcs1(Hash::Sha512),
        oid::ECDSA_SHA256 => Kind::Ecdsa(Hash::Sha256),
        oid::ECDSA_SHA384 => Kind::Ecdsa(Hash::Sha384),
        oid::ECDSA_SHA512 => Kind::Ecdsa(Hash::Sha512),
        oid::ED25519 if parameters.is_empty() => Kind::Ed25519,
        oid::RSA_MD5 => return Err(SignatureError::Insecure("MD5-RSA")),
        oid::RSA_SHA1 => return Err(SignatureError::Insecure("SHA1-RSA")),
        oid::ECDSA_SHA1 => return Err(SignatureError::Insecure("ECDSA-SHA1")),
        oid::RSA_PSS => Kind::RsaPss(pss_hash(parameters).ok_or(SignatureError::Unsupported)?),
        _ => return Err(SignatureError::Unsupported),
    })
}

fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let mut body = Reader(parameters).read(super::der::tag::SEQUENCE)?;
    let hash = body
        .read(super::der::tag::explicit(0))?
        .read(super::der::tag::SEQUENCE)?
        .oid()?;
    match hash.as_slice() {
        [2, 16, 840, 1, 101, 3, 4, 2, 1] => Some(Hash::Sha256),
        [2, 16, 840, 1, 101, 3, 4, 2, 2] => Some(Hash::Sha384),
        [2, 16, 840, 1, 101, 3, 4, 2, 3] => Some(Hash::Sha512),
        _ => None,
    }
}

fn check_numbers(
    kind: Result<Kind, SignatureError>,
    message: &[u8],
    signature: &[u8],
    key_algorithm: &[u32],
    key_parameters: &[u8],
    key: &[u8],
) -> Result<(), SignatureError> {
    let found = match key_algorithm {
        oid::RSA => "*rsa.PublicKey",
        oid::ECDSA => "*ecdsa.PublicKey",
        oid::ED25519 => "ed25519.PublicKey",
        _ => return Err(SignatureError::Unsupported),
    };
    let kind = kind?;
    let mismatch = SignatureError::Mismatch {
        wanted: kind.wanted(),
        found,
    };
    let (algorithm, failure): (&'static dyn VerificationAlgorithm, _) = match (kind, key_algorithm)
    {
        (Kind::RsaPkcs1(hash), oid::RSA) => {
            small_key(key)?;
            let algorithm = match hash {
                Hash::Sha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
                Hash::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            };
            (algorithm, SignatureError::Rsa)
        }
        (Kind::RsaPss(hash), oid::RSA) => {
            let algorithm = match hash {
                Hash::Sha256 => &RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => &RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => &RSA_PSS_2048_8192_SHA512,
            };
            (algorithm, SignatureError::Rsa)
        }
        (Kind::Ecdsa(hash), oid::ECDSA) => {
            let curve = Reader(key_parameters).oid().unwrap_or_default();
            let algorithm = match (curve.as_slice(), hash) {
                (oid::P256, Hash::Sha256) => &ECDSA_P256_SHA256_ASN1,
                (oid::P256, Hash::Sha384) => &ECDSA_P256_SHA384_ASN1,
                (oid::P256, Hash::Sha512) => &ECDSA_P256_SHA512_ASN1,
                (oid::P384, Hash::Sha256) => &ECDSA_P384_SHA256_ASN1,
                (oid::P384, Hash::Sha384) => &ECDSA_P384_SHA384_ASN1,
                (oid::P384, Hash::Sha512) => &ECDSA_P384_SHA512_ASN1,
                (oid::P521, Hash::Sha256) => &ECDSA_P521_SHA256_ASN1,
                (oid::P521, Hash::Sha384) => &ECDSA_P521_SHA384_ASN1,
                (oid::P521, Hash::Sha512) => &ECDSA_P521_SHA512_ASN1,
                _ => return Err(SignatureError::Ecdsa),
            };
            (algorithm, SignatureError::Ecdsa)
        }
        (Kind::Ed25519, oid::ED25519) => (&ED25519, SignatureError::Ed25519),
        _ => return Err(mismatch),
    };
    let parts = [&[kind.code()], key_parameters, key, signature, message];
    signed::verified(&parts, || {
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .map_err(|_| failure)
    })
}

fn small_key(key: &[u8]) -> Result<(), SignatureError> {
    let modulus = Reader(key)
        .read(super::der::tag::SEQUENCE)
        .and_then(|mut body| body.integer())
        .unwrap_or_default();
    let skip = modulus.iter().take_while(|&&byte| byte == 0).count();
    let bits = modulus.get(skip).map_or(0, |first| {
        (modulus.len() - skip) * 8 - first.leading_zeros() as usize
    });
    if bits < 1024 {
        return Err(SignatureError::SmallKey(bits));
    }
    Ok(())
}
