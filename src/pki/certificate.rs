//! A parsed certificate and what can be asked of it.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};

use super::name::Name;
use super::x509_time::timestamp;
use super::{ExtKeyUsage, KeyUsage, PublicKey, parse, pem};
use crate::time::Timestamp;

/// Why certificates cannot be read, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The DER is not a certificate: Go's `x509.ParseCertificate`.
    #[error("{0}")]
    Malformed(String),
    /// client-go's `cert.ParseCertsPEM`.
    #[error("data does not contain any valid RSA or ECDSA certificates")]
    NoCertificates,
}

/// A certificate. Cloning shares it; two are equal when their bytes are.
#[derive(Clone)]
pub struct Certificate(pub(super) Arc<Parsed>);

/// Everything Go keeps that matters here.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub der: Vec<u8>,
    pub tbs: Vec<u8>,
    pub version: i64,
    pub serial: Vec<u8>,
    pub signature_algorithm: Vec<u32>,
    pub signature_parameters: Vec<u8>,
    pub signature: Vec<u8>,
    pub issuer_der: Vec<u8>,
    pub issuer: Name,
    pub subject_der: Vec<u8>,
    pub subject: Name,
    pub not_before: i64,
    pub not_after: i64,
    pub spki: Vec<u8>,
    pub key_algorithm: Vec<u32>,
    pub key_parameters: Vec<u8>,
    pub key_bits: Vec<u8>,
    pub key_usage: KeyUsage,
    pub has_basic_constraints: bool,
    pub is_ca: bool,
    pub max_path_len: Option<i64>,
    pub has_san: bool,
    pub san_value: Option<Vec<u8>>,
    pub dns_names: Vec<String>,
    pub email_addresses: Vec<String>,
    pub ip_addresses: Vec<IpAddr>,
    pub uris: Vec<String>,
    pub ext_key_usages: Vec<ExtKeyUsage>,
    pub unknown_ext_key_usages: Vec<Vec<u32>>,
    pub subject_key_id: Vec<u8>,
    pub authority_key_id: Vec<u8>,
    pub name_constraints: Option<super::constraints::NameConstraints>,
    pub unhandled_critical: bool,
    /// SHA-256 of `der`, once somebody asked.
    pub fingerprint: OnceLock<[u8; 32]>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Certificate({:?}, serial {})",
            self.common_name(),
            self.serial_hex()
        )
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// Parses one certificate, as Go's `x509.ParseCertificate`.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] with Go's text.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        parse::certificate(der)
            .map(|parsed| Self(Arc::new(parsed)))
            .map_err(CertificateError::Malformed)
    }

    /// Parses the `CERTIFICATE` blocks of a PEM file, as client-go's `cert.ParseCertsPEM`: other
    /// blocks and blocks with headers are skipped, the first that does not parse is an error.
    ///
    /// # Errors
    /// When one does not parse, or there is none.
    pub fn parse_pem_certs(text: &[u8]) -> Result<Vec<Self>, CertificateError> {
        super::parsed::once(text, || {
            let certificates: Vec<Self> = pem::blocks(text)
                .filter(|block| block.kind == "CERTIFICATE" && !block.has_headers)
                .map(|block| Self::from_der(&block.bytes))
                .collect::<Result<_, _>>()?;
            if certificates.is_empty() {
                return Err(CertificateError::NoCertificates);
            }
            Ok(certificates)
        })
    }

    /// The encoded certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// One `CERTIFICATE` block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.0.der)
    }

    /// CN of the subject (the last one), or empty.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.0.subject.common_name
    }

    /// Every O of the subject.
    #[must_use]
    pub fn organizations(&self) -> &[String] {
        &self.0.subject.organizations
    }

    /// DNS names of the SAN extension.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.0.dns_names
    }

    /// IP addresses of the SAN extension.
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.0.ip_addresses
    }

    /// E-mail addresses of the SAN extension.
    #[must_use]
    pub fn email_addresses(&self) -> &[String] {
        &self.0.email_addresses
    }

    /// URIs of the SAN extension.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.0.uris
    }

    /// Extended key usages that Go knows, in order.
    #[must_use]
    pub fn ext_key_usages(&self) -> &[ExtKeyUsage] {
        &self.0.ext_key_usages
    }

    /// Extended key usages that Go does not know.
    #[must_use]
    pub fn unknown_ext_key_usages(&self) -> &[Vec<u32>] {
        &self.0.unknown_ext_key_usages
    }

    /// Key usage bits; none when there is no such extension.
    #[must_use]
    pub fn key_usage(&self) -> KeyUsage {
        self.0.key_usage
    }

    /// `cA` of the basic constraints.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.0.is_ca
    }

    /// First instant of validity. Held at what a [`Timestamp`] can be.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        timestamp(self.0.not_before)
    }

    /// Last instant of validity. Held at what a [`Timestamp`] can be.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        timestamp(self.0.not_after)
    }

    /// First second of validity since 1970.
    #[must_use]
    pub fn not_before_unix(&self) -> i64 {
        self.0.not_before
    }

    /// Last second of validity since 1970 (a certificate "without end" lies beyond a [`Timestamp`]).
    #[must_use]
    pub fn not_after_unix(&self) -> i64 {
        self.0.not_after
    }

    /// The serial number in lower-case hexadecimal, whole bytes.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        self.0
            .serial
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The serial number in decimal, as Go prints a number.
    #[must_use]
    pub fn serial_decimal(&self) -> String {
        let mut digits = vec![0_u8];
        for &byte in &self.0.serial {
            let mut carry = u32::from(byte);
            for digit in &mut digits {
                carry += u32::from(*digit) * 256;
                *digit = (carry % 10) as u8;
                carry /= 10;
            }
            while carry > 0 {
                digits.push((carry % 10) as u8);
                carry /= 10;
            }
        }
        digits
            .iter()
            .rev()
            .map(|&digit| char::from(b'0' + digit))
            .collect()
    }

    /// How many bits the serial number has.
    #[must_use]
    pub fn serial_bits(&self) -> u32 {
        let skip = self.0.serial.iter().take_while(|&&byte| byte == 0).count();
        let rest = &self.0.serial[skip..];
        rest.first()
            .map_or(0, |first| rest.len() as u32 * 8 - first.leading_zeros())
    }

    /// The `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_spki(&self.0.spki)
    }

    /// The encoded subject.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.0.subject_der
    }

    /// The encoded issuer.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer_der
    }

    /// CN of the issuer.
    #[must_use]
    pub fn issuer_common_name(&self) -> &str {
        &self.0.issuer.common_name
    }

    /// Content of the SKI extension; empty without one.
    #[must_use]
    pub fn subject_key_id(&self) -> &[u8] {
        &self.0.subject_key_id
    }

    /// `keyIdentifier` of the AKI extension; empty without one.
    #[must_use]
    pub fn authority_key_id(&self) -> &[u8] {
        &self.0.authority_key_id
    }

    /// SHA-256 of the encoded certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.0.fingerprint.get_or_init(|| {
            let mut out = [0; 32];
            out.copy_from_slice(digest(&SHA256, &self.0.der).as_ref());
            out
        })
    }

    /// Whether another certificate's key made this one's signature, as Go's `CheckSignatureFrom`:
    /// names and dates are not looked at.
    ///
    /// # Errors
    /// With Go's text.
    pub fn check_signature_from(&self, parent: &Self) -> Result<(), super::SignatureError> {
        super::signature::check(&self.0, &parent.0)
    }

    /// Whether another certificate's key made this one's signature, whatever that certificate may do.
    #[must_use]
    pub fn signature_is_by(&self, parent: &Self) -> bool {
        super::signature::made_by(&self.0, &parent.0)
    }

    /// Whether another certificate's key made this one's signature and its name is the issuer's.
    #[must_use]
    pub fn is_signed_by(&self, parent: &Self) -> bool {
        self.0.issuer_der == parent.0.subject_der
            && super::signature::check(&self.0, &parent.0).is_ok()
    }
}
