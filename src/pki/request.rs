//! PKCS#10 certificate signing requests, as Go's `x509.CreateCertificateRequest` writes them.

use std::net::IpAddr;

use super::certificate::Parsed;
use super::der::{self, Reader, tag};
use super::name::Name;
use super::{IssueError, PrivateKey, issue, oid, parse, pem, signature};

/// A request that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Subject.
    pub subject: Name,
    /// Requested DNS names.
    pub dns_names: Vec<String>,
    /// Requested IP addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// The requester's public key.
    pub spki: Vec<u8>,
}

/// Why a request cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not one `CERTIFICATE REQUEST` block.
    #[error("data doesn't contain a valid certificate request")]
    NoRequest,
    /// The DER is damaged.
    #[error("asn1: structure error: malformed certificate request")]
    Malformed,
    /// The signature was not made by the request's own key.
    #[error("{0}")]
    Signature(String),
}

/// Makes a request as DER. Only a SAN extension is asked for, and only when there are names.
///
/// # Errors
/// When a name cannot be written or the key cannot sign.
pub fn create(
    subject: &Name,
    dns_names: &[String],
    ip_addresses: &[IpAddr],
    key: &PrivateKey,
) -> Result<Vec<u8>, IssueError> {
    let attributes = match issue::alt_names(dns_names, ip_addresses)? {
        None => Vec::new(),
        Some(names) => {
            let extension = issue::extension(oid::SUBJECT_ALT_NAME, false, &names);
            der::sequence(&[
                der::oid(oid::EXTENSION_REQUEST),
                der::element(tag::SET, &der::sequence(&[extension])),
            ])
        }
    };
    let info = der::sequence(&[
        der::unsigned(&[0]),
        subject.to_der(),
        key.spki_der().to_vec(),
        der::element(tag::explicit(0), &attributes),
    ]);
    let signature = der::bit_string(&key.sign(&info)?);
    Ok(der::sequence(&[
        info,
        key.signature_algorithm_der(),
        signature,
    ]))
}

/// A request as PEM.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    pem::encode("CERTIFICATE REQUEST", der)
}

impl Request {
    /// Reads a PEM request and checks that its own key signed it.
    ///
    /// # Errors
    /// When there is no request, it is damaged, or its signature is not its key's.
    pub fn from_pem(text: &[u8]) -> Result<Self, RequestError> {
        let (block, _) = pem::decode(text).ok_or(RequestError::NoRequest)?;
        if block.kind != "CERTIFICATE REQUEST" {
            return Err(RequestError::NoRequest);
        }
        Self::from_der(&block.bytes)
    }

    /// Reads a request and checks that its own key signed it.
    ///
    /// # Errors
    /// When it is damaged or its signature is not its key's.
    pub fn from_der(bytes: &[u8]) -> Result<Self, RequestError> {
        let parts = Self::parts(bytes).ok_or(RequestError::Malformed)?;
        let (request, key, info, algorithm, signature) = parts;
        signature::check_self(info, &signature, &algorithm, &key)
            .map_err(|error| RequestError::Signature(error.to_string()))?;
        Ok(request)
    }

    #[expect(clippy::type_complexity, reason = "a private tuple of parsed parts")]
    fn parts(bytes: &[u8]) -> Option<(Self, Parsed, &[u8], Vec<u32>, Vec<u8>)> {
        let mut whole = Reader(bytes);
        let mut outer = whole.read(tag::SEQUENCE)?;
        let info = outer.element(tag::SEQUENCE)?;
        let algorithm = outer.read(tag::SEQUENCE)?.oid()?;
        let signature = outer.bit_string()?.right_align();
        if !whole.is_empty() || !outer.is_empty() {
            return None;
        }
        let mut body = Reader(info).read(tag::SEQUENCE)?;
        body.int64()?;
        let subject = Name::parse(body.element(tag::SEQUENCE)?).ok()?;
        let mut key = Parsed {
            spki: body.element(tag::SEQUENCE)?.to_vec(),
            ..Parsed::default()
        };
        parse::public_key(&mut key).ok()?;
        let mut names = Parsed::default();
        if let Some(mut attributes) = body.optional(tag::explicit(0))? {
            while !attributes.is_empty() {
                let mut attribute = attributes.read(tag::SEQUENCE)?;
                if attribute.oid()? != oid::EXTENSION_REQUEST {
                    continue;
                }
                let mut list = attribute.read(tag::SET)?.read(tag::SEQUENCE)?;
                while !list.is_empty() {
                    let mut extension = list.read(tag::SEQUENCE)?;
                    let kind = extension.oid()?;
                    if extension.peek(tag::BOOLEAN) {
                        extension.boolean()?;
                    }
                    let value = extension.read(tag::OCTET_STRING)?;
                    if kind == oid::SUBJECT_ALT_NAME {
                        parse::subject_alt_names(value, &mut names).ok()?;
                    }
                }
            }
        }
        let request = Self {
            subject,
            dns_names: names.dns_names,
            ip_addresses: names.ip_addresses,
            spki: key.spki.clone(),
        };
        Some((request, key, info, algorithm, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::KeyAlgorithm;

    #[test]
    fn a_request_survives_a_round_trip_and_a_forged_one_does_not() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let subject = Name {
            common_name: "system:node:w1".into(),
            organizations: vec!["system:nodes".into()],
        };
        let names = ["w1".to_owned()];
        let der = create(&subject, &names, &[], &key).unwrap();
        let back = Request::from_pem(to_pem(&der).as_bytes()).unwrap();
        assert_eq!(back.subject, subject);
        assert_eq!(back.dns_names, names);
        assert_eq!(back.spki, key.spki_der());
        let mut forged = der.clone();
        let at = forged
            .windows(2)
            .position(|pair| pair == b"w1")
            .expect("the name is there");
        forged[at] = b'x';
        assert!(matches!(
            Request::from_der(&forged),
            Err(RequestError::Signature(_))
        ));
    }
}
