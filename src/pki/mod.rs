//! X.509 as kubeadm and Go see it: keys, certificates, chains, requests, kubeconfigs.

mod source;

pub use source::KeySource;

/// Algorithm and size of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// NIST P-256.
    EcdsaP256,
    /// NIST P-384.
    EcdsaP384,
}
