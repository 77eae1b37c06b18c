//! Object identifiers that kubeadm's certificates use.

/// rsaEncryption.
pub const RSA: &[u32] = &[1, 2, 840, 113_549, 1, 1, 1];
/// RSASSA-PSS.
pub const RSA_PSS: &[u32] = &[1, 2, 840, 113_549, 1, 1, 10];
/// id-ecPublicKey.
pub const ECDSA: &[u32] = &[1, 2, 840, 10045, 2, 1];
/// id-Ed25519.
pub const ED25519: &[u32] = &[1, 3, 101, 112];
/// id-X25519.
pub const X25519: &[u32] = &[1, 3, 101, 110];
/// id-dsa.
pub const DSA: &[u32] = &[1, 2, 840, 10040, 4, 1];
/// secp224r1.
pub const P224: &[u32] = &[1, 3, 132, 0, 33];
/// prime256v1.
pub const P256: &[u32] = &[1, 2, 840, 10045, 3, 1, 7];
/// secp384r1.
pub const P384: &[u32] = &[1, 3, 132, 0, 34];
/// secp521r1.
pub const P521: &[u32] = &[1, 3, 132, 0, 35];

/// md5WithRSAEncryption.
pub const RSA_MD5: &[u32] = &[1, 2, 840, 113_549, 1, 1, 4];
/// sha1WithRSAEncryption.
pub const RSA_SHA1: &[u32] = &[1, 2, 840, 113_549, 1, 1, 5];
/// sha256WithRSAEncryption.
pub const RSA_SHA256: &[u32] = &[1, 2, 840, 113_549, 1, 1, 11];
/// sha384WithRSAEncryption.
pub const RSA_SHA384: &[u32] = &[1, 2, 840, 113_549, 1, 1, 12];
/// sha512WithRSAEncryption.
pub const RSA_SHA512: &[u32] = &[1, 2, 840, 113_549, 1, 1, 13];
/// ecdsa-with-SHA1.
pub const ECDSA_SHA1: &[u32] = &[1, 2, 840, 10045, 4, 1];
/// ecdsa-with-SHA256.
pub const ECDSA_SHA256: &[u32] = &[1, 2, 840, 10045, 4, 3, 2];
/// ecdsa-with-SHA384.
pub const ECDSA_SHA384: &[u32] = &[1, 2, 840, 10045, 4, 3, 3];
/// ecdsa-with-SHA512.
pub const ECDSA_SHA512: &[u32] = &[1, 2, 840, 10045, 4, 3, 4];

/// commonName.
pub const COMMON_NAME: &[u32] = &[2, 5, 4, 3];
/// organizationName.
pub const ORGANIZATION: &[u32] = &[2, 5, 4, 10];

/// subjectKeyIdentifier.
pub const SUBJECT_KEY_ID: &[u32] = &[2, 5, 29, 14];
/// keyUsage.
pub const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
/// subjectAltName.
pub const SUBJECT_ALT_NAME: &[u32] = &[2, 5, 29, 17];
/// basicConstraints.
pub const BASIC_CONSTRAINTS: &[u32] = &[2, 5, 29, 19];
/// nameConstraints.
pub const NAME_CONSTRAINTS: &[u32] = &[2, 5, 29, 30];
/// authorityKeyIdentifier.
pub const AUTHORITY_KEY_ID: &[u32] = &[2, 5, 29, 35];
/// extKeyUsage.
pub const EXT_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
/// extensionRequest, in a PKCS#10 request.
pub const EXTENSION_REQUEST: &[u32] = &[1, 2, 840, 113_549, 1, 9, 14];
/// authorityInfoAccess.
pub const AUTHORITY_INFO_ACCESS: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
