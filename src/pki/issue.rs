//! Issuing certificates in exactly the shape that Go's `x509.CreateCertificate` gives kubeadm's.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::der::{self, tag};
use super::name::Name;
use super::{ExtKeyUsage, KeyError, KeyUsage, PrivateKey, oid, x509_time};
use crate::time::{Timestamp, x509_second};

/// What a certificate is to say. Times are truncated to whole seconds.
#[derive(Debug, Clone)]
pub struct Template {
    /// CN of the subject.
    pub common_name: String,
    /// O values of the subject, written into one SET.
    pub organizations: Vec<String>,
    /// DNS names of the SAN extension.
    pub dns_names: Vec<String>,
    /// IP addresses of the SAN extension.
    pub ip_addresses: Vec<IpAddr>,
    /// Extended key usages.
    pub ext_key_usages: Vec<ExtKeyUsage>,
    /// Key usage; kubeadm's leaves have digital signature and key encipherment, whatever the key.
    pub key_usage: KeyUsage,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
    /// Serial number.
    pub serial: u64,
    /// Whether it is a CA.
    pub is_ca: bool,
    /// Whether the basic constraints are written at all (kubeadm's old leaves have none).
    pub basic_constraints: bool,
}

impl Default for Template {
    /// A leaf without name, usage or validity.
    fn default() -> Self {
        Self {
            common_name: String::new(),
            organizations: Vec::new(),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            ext_key_usages: Vec::new(),
            key_usage: KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH,
            serial: 1,
            is_ca: false,
            basic_constraints: true,
        }
    }
}

/// Why a certificate cannot be issued, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The signing key is not the one in the issuer's certificate.
    #[error("x509: provided PrivateKey doesn't match parent's PublicKey")]
    KeyMismatch,
    /// A DNS name with characters outside ASCII.
    #[error("x509: {0:?} cannot be encoded as an IA5String")]
    DnsName(String),
    /// A year before 0 or after 9999.
    #[error("asn1: structure error: cannot represent time as GeneralizedTime")]
    Time,
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Issues a certificate for a public key.
///
/// # Errors
/// When Go would refuse: the key is not the issuer's, a name or time cannot be written.
pub fn sign(
    template: &Template,
    subject_spki: &[u8],
    issuer: &Certificate,
    issuer_key: &PrivateKey,
) -> Result<Certificate, IssueError> {
    if issuer.spki_der() != issuer_key.spki_der() {
        return Err(IssueError::KeyMismatch);
    }
    create(
        template,
        subject_spki,
        issuer.subject_der(),
        issuer.subject_key_id(),
        issuer_key,
    )
}

/// A CA as kubeadm makes it: only a CN, and that CN as its one DNS name.
///
/// # Errors
/// As [`sign`].
pub fn self_signed_ca(
    common_name: &str,
    key: &PrivateKey,
    not_before: Timestamp,
    not_after: Timestamp,
    serial: u64,
) -> Result<Certificate, IssueError> {
    self_signed(
        &Template {
            common_name: common_name.to_owned(),
            dns_names: vec![common_name.to_owned()],
            key_usage: Template::default().key_usage.and(KeyUsage::CERT_SIGN),
            not_before,
            not_after,
            serial,
            is_ca: true,
            ..Template::default()
        },
        key,
    )
}

/// A certificate that a key signs for itself.
///
/// # Errors
/// As [`sign`].
pub fn self_signed(template: &Template, key: &PrivateKey) -> Result<Certificate, IssueError> {
    let name = subject(template).to_der();
    create(template, key.spki_der(), &name, &[], key)
}

fn subject(template: &Template) -> Name {
    Name {
        common_name: template.common_name.clone(),
        organizations: template.organizations.clone(),
    }
}

fn create(
    template: &Template,
    subject_spki: &[u8],
    issuer_name: &[u8],
    issuer_key_id: &[u8],
    key: &PrivateKey,
) -> Result<Certificate, IssueError> {
    let subject_name = subject(template).to_der();
    let authority_key_id = if issuer_name == subject_name {
        &[]
    } else {
        issuer_key_id
    };
    let algorithm = key.signature_algorithm_der();
    let time =
        |at: Timestamp| x509_time::encode(x509_second(at).as_second()).ok_or(IssueError::Time);
    let extensions = extensions(
        template,
        subject_spki,
        authority_key_id,
        subject_name.len() == 2,
    )?;
    let mut parts = vec![
        der::element(tag::explicit(0), &der::unsigned(&[2])),
        der::unsigned(&template.serial.to_be_bytes()),
        algorithm.clone(),
        issuer_name.to_vec(),
        der::sequence(&[time(template.not_before)?, time(template.not_after)?]),
        subject_name,
        subject_spki.to_vec(),
    ];
    if !extensions.is_empty() {
        parts.push(der::element(tag::explicit(3), &der::sequence(&extensions)));
    }
    let tbs = der::sequence(&parts);
    let signature = der::bit_string(&key.sign(&tbs)?);
    let whole = der::sequence(&[tbs, algorithm, signature]);
    Ok(Certificate::from_der(&whole).expect("a certificate written here can be read"))
}

fn extensions(
    template: &Template,
    subject_spki: &[u8],
    authority_key_id: &[u8],
    subject_is_empty: bool,
) -> Result<Vec<Vec<u8>>, IssueError> {
    let mut out = Vec::new();
    if template.key_usage != KeyUsage::default() {
        out.push(extension(
            oid::KEY_USAGE,
            true,
            &key_usage(template.key_usage),
        ));
    }
    if !template.ext_key_usages.is_empty() {
        let usages: Vec<_> = template
            .ext_key_usages
            .iter()
            .map(|usage| der::oid(usage.oid()))
            .collect();
        out.push(extension(
            oid::EXT_KEY_USAGE,
            false,
            &der::sequence(&usages),
        ));
    }
    if template.basic_constraints {
        let content = if template.is_ca {
            vec![der::element(tag::BOOLEAN, &[0xff])]
        } else {
            Vec::new()
        };
        out.push(extension(
            oid::BASIC_CONSTRAINTS,
            true,
            &der::sequence(&content),
        ));
    }
    if template.is_ca {
        let id = subject_key_id(subject_spki);
        out.push(extension(
            oid::SUBJECT_KEY_ID,
            false,
            &der::element(tag::OCTET_STRING, &id),
        ));
    }
    if !authority_key_id.is_empty() {
        out.push(extension(
            oid::AUTHORITY_KEY_ID,
            false,
            &der::sequence(&[der::element(tag::context(0), authority_key_id)]),
        ));
    }
    if let Some(names) = alt_names(&template.dns_names, &template.ip_addresses)? {
        out.push(extension(oid::SUBJECT_ALT_NAME, subject_is_empty, &names));
    }
    Ok(out)
}

pub(super) fn extension(kind: &[u32], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::oid(kind)];
    if critical {
        parts.push(der::element(tag::BOOLEAN, &[0xff]));
    }
    parts.push(der::element(tag::OCTET_STRING, value));
    der::sequence(&parts)
}

/// `GeneralNames`, or nothing when there are none.
pub(super) fn alt_names(
    dns_names: &[String],
    ip_addresses: &[IpAddr],
) -> Result<Option<Vec<u8>>, IssueError> {
    let mut names = Vec::new();
    for name in dns_names {
        if !name.is_ascii() {
            return Err(IssueError::DnsName(name.clone()));
        }
        names.push(der::element(tag::context(2), name.as_bytes()));
    }
    for ip in ip_addresses {
        names.push(match ip.to_canonical() {
            IpAddr::V4(ip) => der::element(tag::context(7), &ip.octets()),
            IpAddr::V6(ip) => der::element(tag::context(7), &ip.octets()),
        });
    }
    Ok((!names.is_empty()).then(|| der::sequence(&names)))
}

/// A named-bit list: the lowest bit of the set is the first bit, trailing zeros are cut.
fn key_usage(usage: KeyUsage) -> Vec<u8> {
    let reversed = usage.0.reverse_bits().to_be_bytes();
    let bytes = if reversed[1] == 0 {
        &reversed[..1]
    } else {
        &reversed[..]
    };
    let unused = bytes.last().map_or(0, |last| last.trailing_zeros());
    let mut content = vec![unused as u8];
    content.extend_from_slice(bytes);
    der::element(tag::BIT_STRING, &content)
}

/// The leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093, as Go since 1.25).
fn subject_key_id(spki: &[u8]) -> Vec<u8> {
    let bits = der::Reader(spki)
        .read(tag::SEQUENCE)
        .and_then(|mut body| {
            body.any()?;
            body.bit_string()
        })
        .map_or(&[][..], |bits| bits.bytes);
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bits).as_ref()[..20].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::KeyAlgorithm;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ca(key: &PrivateKey) -> Certificate {
        self_signed_ca(
            "kubernetes",
            key,
            at("2026-01-01T00:00:00.9Z"),
            at("2056-01-01T00:00:00Z"),
            7,
        )
        .unwrap()
    }

    #[test]
    fn a_ca_has_kubeadms_shape() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let ca = ca(&key);
        assert!(ca.is_ca() && ca.is_signed_by(&ca));
        assert_eq!(ca.dns_names(), ["kubernetes"]);
        assert_eq!(ca.key_usage(), KeyUsage(0b10_0101));
        assert_eq!(ca.not_before(), at("2026-01-01T00:00:00Z"));
        assert_eq!(ca.subject_key_id().len(), 20);
        assert!(ca.authority_key_id().is_empty());
        assert_eq!(ca.serial_hex(), "07");
    }

    #[test]
    fn a_serial_number_is_printed_in_decimal_like_gos() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        for serial in [0, 1, 9, 10, 255, 256, 0x1234_5678_9abc_def0, u64::MAX >> 1] {
            let ca = self_signed_ca(
                "kubernetes",
                &key,
                at("2026-01-01T00:00:00Z"),
                at("2036-01-01T00:00:00Z"),
                serial,
            )
            .unwrap();
            assert_eq!(ca.serial_decimal(), serial.to_string());
        }
    }

    #[test]
    fn a_leaf_has_kubeadms_shape() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let ca = ca(&key);
        let template = Template {
            common_name: "kube-apiserver".into(),
            organizations: vec!["zeta".into(), "al".into()],
            dns_names: vec!["cp1".into()],
            ip_addresses: vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            ext_key_usages: vec![ExtKeyUsage::ServerAuth],
            ..Template::default()
        };
        let leaf = sign(&template, key.spki_der(), &ca, &key).unwrap();
        assert!(!leaf.is_ca() && leaf.is_signed_by(&ca));
        // One SET in DER order, so the shorter value comes first.
        assert_eq!(leaf.organizations(), ["al", "zeta"]);
        assert_eq!(leaf.authority_key_id(), ca.subject_key_id());
        assert!(leaf.subject_key_id().is_empty());
        assert_eq!(leaf.ip_addresses(), template.ip_addresses);
        let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        assert_eq!(
            sign(&template, key.spki_der(), &ca, &other),
            Err(IssueError::KeyMismatch)
        );
    }
}
