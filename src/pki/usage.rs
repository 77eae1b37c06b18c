//! What a certificate may be used for.

/// Extended key usages that Go knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtKeyUsage {
    /// Good for everything.
    Any,
    /// TLS server.
    ServerAuth,
    /// TLS client.
    ClientAuth,
    /// Code signing.
    CodeSigning,
    /// E-mail protection.
    EmailProtection,
    /// IPsec end system.
    IpsecEndSystem,
    /// IPsec tunnel.
    IpsecTunnel,
    /// IPsec user.
    IpsecUser,
    /// Time stamping.
    TimeStamping,
    /// OCSP signing.
    OcspSigning,
    /// Microsoft server gated crypto.
    MicrosoftServerGatedCrypto,
    /// Netscape server gated crypto.
    NetscapeServerGatedCrypto,
    /// Microsoft commercial code signing.
    MicrosoftCommercialCodeSigning,
    /// Microsoft kernel code signing.
    MicrosoftKernelCodeSigning,
}

const TABLE: &[(ExtKeyUsage, &[u32])] = &[
    (ExtKeyUsage::Any, &[2, 5, 29, 37, 0]),
    (ExtKeyUsage::ServerAuth, &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    (ExtKeyUsage::ClientAuth, &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    (ExtKeyUsage::CodeSigning, &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    (ExtKeyUsage::EmailProtection, &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    (ExtKeyUsage::IpsecEndSystem, &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    (ExtKeyUsage::IpsecTunnel, &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    (ExtKeyUsage::IpsecUser, &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    (ExtKeyUsage::TimeStamping, &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    (ExtKeyUsage::OcspSigning, &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    (
        ExtKeyUsage::MicrosoftServerGatedCrypto,
        &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
    ),
    (
        ExtKeyUsage::NetscapeServerGatedCrypto,
        &[2, 16, 840, 1, 113_730, 4, 1],
    ),
    (
        ExtKeyUsage::MicrosoftCommercialCodeSigning,
        &[1, 3, 6, 1, 4, 1, 311, 2, 1, 22],
    ),
    (
        ExtKeyUsage::MicrosoftKernelCodeSigning,
        &[1, 3, 6, 1, 4, 1, 311, 61, 1, 1],
    ),
];

impl ExtKeyUsage {
    /// The usage an object identifier stands for, if Go knows it.
    #[must_use]
    pub fn from_oid(oid: &[u32]) -> Option<Self> {
        TABLE
            .iter()
            .find(|(_, known)| *known == oid)
            .map(|&(usage, _)| usage)
    }

    /// The object identifier.
    #[must_use]
    pub fn oid(self) -> &'static [u32] {
        TABLE
            .iter()
            .find(|(usage, _)| *usage == self)
            .map_or(&[], |(_, oid)| oid)
    }
}

/// Key usage bits; bit 0 of the extension (`digitalSignature`) is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// keyEncipherment.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// keyCertSign.
    pub const CERT_SIGN: Self = Self(1 << 5);

    /// Both sets of bits.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of another set are in this one.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
