//! Distinguished names: what Go keeps of one, and how Go writes one.

use super::der::{self, Reader, tag};
use super::oid;

/// The parts of a name that kubeadm uses, in Go's flattened form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Name {
    /// The last CN of the name.
    pub common_name: String,
    /// Every O, in the order of the DER.
    pub organizations: Vec<String>,
}

impl Name {
    /// Reads a `Name` element.
    ///
    /// # Errors
    /// With Go's words.
    pub(super) fn parse(element: &[u8]) -> Result<Self, String> {
        let invalid = |what: &str| format!("x509: invalid RDNSequence{what}");
        let mut rdns = Reader(element)
            .read(tag::SEQUENCE)
            .ok_or_else(|| invalid(""))?;
        let mut name = Self::default();
        while !rdns.is_empty() {
            let mut set = rdns.read(tag::SET).ok_or_else(|| invalid(""))?;
            while !set.is_empty() {
                let mut attribute = set
                    .read(tag::SEQUENCE)
                    .ok_or_else(|| invalid(": invalid attribute"))?;
                let kind = attribute
                    .oid()
                    .ok_or_else(|| invalid(": invalid attribute type"))?;
                let (value_tag, _, content) = attribute
                    .any()
                    .ok_or_else(|| invalid(": invalid attribute value"))?;
                let value = string(value_tag, content)
                    .map_err(|error| invalid(&format!(": invalid attribute value: {error}")))?;
                match kind.as_slice() {
                    oid::COMMON_NAME => name.common_name = value,
                    oid::ORGANIZATION => name.organizations.push(value),
                    _ => {}
                }
            }
        }
        Ok(name)
    }

    /// Writes the name as Go's `pkix.Name.ToRDNSequence`: every O in one SET, then CN.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut rdns = Vec::new();
        if !self.organizations.is_empty() {
            let mut values: Vec<Vec<u8>> = self
                .organizations
                .iter()
                .map(|value| attribute(oid::ORGANIZATION, value))
                .collect();
            // DER wants the elements of a SET in order.
            values.sort_unstable();
            rdns.push(der::constructed(tag::SET, &values));
        }
        if !self.common_name.is_empty() {
            rdns.push(der::element(
                tag::SET,
                &attribute(oid::COMMON_NAME, &self.common_name),
            ));
        }
        der::sequence(&rdns)
    }
}

fn attribute(kind: &[u32], value: &str) -> Vec<u8> {
    // Go reads `*` and `&` in a PrintableString but does not write them into one.
    let printable = value
        .bytes()
        .all(|byte| is_printable(byte) && byte != b'*' && byte != b'&');
    let value_tag = if printable {
        tag::PRINTABLE_STRING
    } else {
        tag::UTF8_STRING
    };
    der::sequence(&[der::oid(kind), der::element(value_tag, value.as_bytes())])
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

/// Reads one of the ASN.1 string types, as Go's `parseASN1String`.
fn string(value_tag: u8, value: &[u8]) -> Result<String, String> {
    let ascii = || String::from_utf8_lossy(value).into_owned();
    match value_tag {
        tag::T61_STRING => Ok(value.iter().map(|&byte| char::from(byte)).collect()),
        tag::PRINTABLE_STRING if value.iter().all(|&byte| is_printable(byte)) => Ok(ascii()),
        tag::PRINTABLE_STRING => Err("invalid PrintableString".to_owned()),
        tag::UTF8_STRING => {
            String::from_utf8(value.to_vec()).map_err(|_| "invalid UTF-8 string".to_owned())
        }
        tag::BMP_STRING => bmp_string(value).ok_or_else(|| "invalid BMPString".to_owned()),
        tag::IA5_STRING if value.is_ascii() => Ok(ascii()),
        tag::IA5_STRING => Err("invalid IA5String".to_owned()),
        tag::NUMERIC_STRING
            if value
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b' ') =>
        {
            Ok(ascii())
        }
        tag::NUMERIC_STRING => Err("invalid NumericString".to_owned()),
        other => Err(format!("unsupported string type: {other}")),
    }
}

fn bmp_string(value: &[u8]) -> Option<String> {
    if !value.len().is_multiple_of(2) {
        return None;
    }
    let value = value.strip_suffix(&[0, 0]).unwrap_or(value);
    value
        .chunks_exact(2)
        .map(|pair| {
            let point = u32::from(pair[0]) << 8 | u32::from(pair[1]);
            if point == 0xfffe || point == 0xffff || (0xfdd0..=0xfdef).contains(&point) {
                return None;
            }
            char::from_u32(point)
        })
        .collect()
}
