//! Parsing certificates with the rules and the words of Go's `crypto/x509` (1.26).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, ParsedPublicKey, UnparsedPublicKey};

use super::certificate::Parsed;
use super::constraints::NameConstraints;
use super::der::{self, Reader, tag};
use super::name::Name;
use super::{ExtKeyUsage, KeyUsage, oid, x509_time};

type Result<T> = std::result::Result<T, String>;

/// `None` becomes an error with Go's prefix.
pub(super) trait OrMalformed<T> {
    fn or_x509(self, text: &str) -> Result<T>;
}

impl<T> OrMalformed<T> for Option<T> {
    fn or_x509(self, text: &str) -> Result<T> {
        self.ok_or_else(|| format!("x509: {text}"))
    }
}

/// Parses exactly one certificate.
pub(super) fn certificate(input: &[u8]) -> Result<Parsed> {
    let mut reader = Reader(input);
    let raw = reader
        .element(tag::SEQUENCE)
        .or_x509("malformed certificate")?;
    let mut out = Parsed {
        der: raw.to_vec(),
        ..Parsed::default()
    };
    let mut outer = Reader(raw)
        .read(tag::SEQUENCE)
        .or_x509("malformed certificate")?;
    let tbs_raw = outer
        .element(tag::SEQUENCE)
        .or_x509("malformed tbs certificate")?;
    out.tbs = tbs_raw.to_vec();
    let mut tbs = Reader(tbs_raw)
        .read(tag::SEQUENCE)
        .or_x509("malformed tbs certificate")?;
    out.version = version(&mut tbs)?;
    let serial = tbs.integer().or_x509("malformed serial number")?;
    if serial[0] & 0x80 != 0 {
        return Err("x509: negative serial number".to_owned());
    }
    out.serial = if serial.len() > 1 && serial[0] == 0 {
        serial[1..].to_vec()
    } else {
        serial.to_vec()
    };
    let inner = tbs
        .read(tag::SEQUENCE)
        .or_x509("malformed signature algorithm identifier")?;
    let outer_algorithm = outer
        .read(tag::SEQUENCE)
        .or_x509("malformed algorithm identifier")?;
    if inner.0 != outer_algorithm.0 {
        return Err("x509: inner and outer signature algorithm identifiers don't match".to_owned());
    }
    (out.signature_algorithm, out.signature_parameters) = algorithm(inner)?;
    out.issuer_der = tbs
        .element(tag::SEQUENCE)
        .or_x509("malformed issuer")?
        .to_vec();
    out.issuer = Name::parse(&out.issuer_der)?;
    let mut validity = tbs.read(tag::SEQUENCE).or_x509("malformed validity")?;
    out.not_before = time(&mut validity)?;
    out.not_after = time(&mut validity)?;
    out.subject_der = tbs
        .element(tag::SEQUENCE)
        .or_x509("malformed issuer")?
        .to_vec();
    out.subject = Name::parse(&out.subject_der)?;
    out.spki = tbs
        .element(tag::SEQUENCE)
        .or_x509("malformed spki")?
        .to_vec();
    public_key(&mut out)?;
    if out.version > 1 {
        tbs.optional(tag::context(1))
            .or_x509("malformed issuerUniqueID")?;
        tbs.optional(tag::context(2))
            .or_x509("malformed subjectUniqueID")?;
    }
    if out.version == 3
        && let Some(wrapped) = tbs
            .optional(tag::explicit(3))
            .or_x509("malformed extensions")?
    {
        extensions(wrapped, &mut out)?;
    }
    out.signature = outer
        .bit_string()
        .or_x509("malformed signature")?
        .right_align();
    if reader.is_empty() {
        Ok(out)
    } else {
        Err("x509: trailing data".to_owned())
    }
}

fn version(tbs: &mut Reader<'_>) -> Result<i64> {
    let version = match tbs
        .optional(tag::explicit(0))
        .or_x509("malformed version")?
    {
        None => 0,
        Some(mut inner) => {
            let version = inner.int64().or_x509("malformed version")?;
            if !inner.is_empty() || version < 0 {
                return Err("x509: malformed version".to_owned());
            }
            version
        }
    };
    if version > 2 {
        return Err("x509: invalid version".to_owned());
    }
    Ok(version + 1)
}

fn algorithm(mut reader: Reader<'_>) -> Result<(Vec<u32>, Vec<u8>)> {
    let kind = reader.oid().or_x509("malformed OID")?;
    if reader.is_empty() {
        return Ok((kind, Vec::new()));
    }
    let (_, parameters, _) = reader.any().or_x509("malformed parameters")?;
    Ok((kind, parameters.to_vec()))
}

fn time(reader: &mut Reader<'_>) -> Result<i64> {
    if reader.peek(tag::UTC_TIME) {
        reader
            .read(tag::UTC_TIME)
            .and_then(|text| x509_time::parse_utc(text.0))
            .or_x509("malformed UTCTime")
    } else if reader.peek(tag::GENERALIZED_TIME) {
        reader
            .read(tag::GENERALIZED_TIME)
            .and_then(|text| x509_time::parse_generalized(text.0))
            .or_x509("malformed GeneralizedTime")
    } else {
        Err("x509: unsupported time format".to_owned())
    }
}

pub(super) fn public_key(out: &mut Parsed) -> Result<()> {
    let mut spki = Reader(&out.spki)
        .read(tag::SEQUENCE)
        .or_x509("malformed spki")?;
    let identifier = spki
        .read(tag::SEQUENCE)
        .or_x509("malformed public key algorithm identifier")?;
    let (kind, parameters) = algorithm(identifier)?;
    let bits = spki
        .bit_string()
        .or_x509("malformed subjectPublicKey")?
        .right_align();
    match kind.as_slice() {
        oid::RSA => rsa_key(&parameters, &bits)?,
        oid::ECDSA => ecdsa_key(&parameters, &bits)?,
        oid::ED25519 => {
            if !parameters.is_empty() {
                return Err("x509: Ed25519 key encoded with illegal parameters".to_owned());
            }
            if bits.len() != 32 {
                return Err("x509: wrong Ed25519 public key size".to_owned());
            }
        }
        _ => {}
    }
    out.key_algorithm = kind;
    out.key_parameters = parameters;
    out.key_bits = bits;
    Ok(())
}

fn rsa_key(parameters: &[u8], bits: &[u8]) -> Result<()> {
    if parameters != [tag::NULL, 0] {
        return Err("x509: RSA key missing NULL parameters".to_owned());
    }
    let mut key = Reader(bits)
        .read(tag::SEQUENCE)
        .or_x509("invalid RSA public key")?;
    let modulus = key.integer().or_x509("invalid RSA modulus")?;
    let exponent = key.int64().or_x509("invalid RSA public exponent")?;
    if modulus[0] & 0x80 != 0 || modulus == [0] {
        return Err("x509: RSA modulus is not a positive number".to_owned());
    }
    if exponent <= 0 {
        return Err("x509: RSA public exponent is not a positive number".to_owned());
    }
    Ok(())
}

fn ecdsa_key(parameters: &[u8], point: &[u8]) -> Result<()> {
    let curve = Reader(parameters)
        .oid()
        .or_x509("invalid ECDSA parameters")?;
    let size = match curve.as_slice() {
        oid::P224 => 28,
        oid::P256 => 32,
        oid::P384 => 48,
        oid::P521 => 66,
        _ => return Err("x509: unsupported elliptic curve".to_owned()),
    };
    if point.first() != Some(&4) {
        return Err("ecdsa: invalid uncompressed public key".to_owned());
    }
    if point.len() != 1 + 2 * size {
        return Err("invalid point encoding".to_owned());
    }
    let agreement = match curve.as_slice() {
        oid::P256 => Some(&ECDH_P256),
        oid::P384 => Some(&ECDH_P384),
        oid::P521 => Some(&ECDH_P521),
        _ => None,
    };
    let on_curve = agreement.is_none_or(|agreement| {
        ParsedPublicKey::try_from(&UnparsedPublicKey::new(agreement, point)).is_ok()
    });
    if !on_curve {
        return Err("point not on curve".to_owned());
    }
    Ok(())
}

fn extensions(mut wrapped: Reader<'_>, out: &mut Parsed) -> Result<()> {
    let mut list = wrapped
        .read(tag::SEQUENCE)
        .or_x509("malformed extensions")?;
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut extension = list.read(tag::SEQUENCE).or_x509("malformed extension")?;
        let kind = extension.oid().or_x509("malformed extension OID field")?;
        let critical = if extension.peek(tag::BOOLEAN) {
            extension
                .boolean()
                .or_x509("malformed extension critical field")?
        } else {
            false
        };
        let value = extension
            .read(tag::OCTET_STRING)
            .or_x509("malformed extension value field")?;
        if !seen.insert(kind.clone()) {
            return Err(format!(
                "x509: certificate contains duplicate extension with OID \"{}\"",
                der::dotted(&kind)
            ));
        }
        found.push((kind, critical, value));
    }
    for (kind, critical, value) in found {
        let unhandled = extension(&kind, critical, value, out)?;
        out.unhandled_critical |= critical && unhandled;
    }
    Ok(())
}

/// Takes in one extension; `true` when nothing was understood of it.
fn extension(kind: &[u32], critical: bool, value: Reader<'_>, out: &mut Parsed) -> Result<bool> {
    let mut value = value;
    match kind {
        oid::KEY_USAGE => {
            let bits = value.bit_string().or_x509("invalid key usage")?;
            out.key_usage = KeyUsage(
                (0..9)
                    .filter(|&bit| bits.at(bit))
                    .fold(0, |set, bit| set | (1 << bit)),
            );
        }
        oid::BASIC_CONSTRAINTS => {
            basic_constraints(value, out).or_x509("invalid basic constraints")?
        }
        oid::SUBJECT_ALT_NAME => {
            out.has_san = true;
            out.san_value = Some(value.0.to_vec());
            subject_alt_names(value, out)?;
            return Ok(out.dns_names.is_empty()
                && out.email_addresses.is_empty()
                && out.ip_addresses.is_empty()
                && out.uris.is_empty());
        }
        oid::NAME_CONSTRAINTS => {
            let (constraints, unhandled) = NameConstraints::parse(value)?;
            out.name_constraints = Some(constraints);
            return Ok(unhandled);
        }
        oid::AUTHORITY_KEY_ID => {
            if critical {
                return Err("x509: authority key identifier incorrectly marked critical".to_owned());
            }
            let mut inner = value
                .read(tag::SEQUENCE)
                .or_x509("invalid authority key identifier")?;
            if inner.peek(tag::context(0)) {
                out.authority_key_id = inner
                    .read(tag::context(0))
                    .or_x509("invalid authority key identifier")?
                    .0
                    .to_vec();
            }
        }
        oid::SUBJECT_KEY_ID => {
            if critical {
                return Err("x509: subject key identifier incorrectly marked critical".to_owned());
            }
            out.subject_key_id = value
                .read(tag::OCTET_STRING)
                .or_x509("invalid subject key identifier")?
                .0
                .to_vec();
        }
        oid::EXT_KEY_USAGE => {
            let mut list = value
                .read(tag::SEQUENCE)
                .or_x509("invalid extended key usages")?;
            while !list.is_empty() {
                let usage = list.oid().or_x509("invalid extended key usages")?;
                match ExtKeyUsage::from_oid(&usage) {
                    Some(known) => out.ext_key_usages.push(known),
                    None => out.unknown_ext_key_usages.push(usage),
                }
            }
        }
        oid::AUTHORITY_INFO_ACCESS => authority_info_access(critical, value)?,
        other => return super::parse_policy::extension(other, value),
    }
    Ok(false)
}

fn basic_constraints(mut value: Reader<'_>, out: &mut Parsed) -> Option<()> {
    let mut inner = value.read(tag::SEQUENCE)?;
    if inner.peek(tag::BOOLEAN) {
        out.is_ca = inner.boolean()?;
    }
    if inner.peek(tag::INTEGER) {
        let length = inner.int64()?;
        if length < 0 {
            return None;
        }
        out.max_path_len = Some(length);
    }
    out.has_basic_constraints = true;
    Some(())
}

pub(super) fn subject_alt_names(mut value: Reader<'_>, out: &mut Parsed) -> Result<()> {
    let mut names = value
        .read(tag::SEQUENCE)
        .or_x509("invalid subject alternative names")?;
    let ia5 = |bytes: &[u8], kind: &str| {
        if bytes.is_ascii() {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        } else {
            Err(format!("x509: SAN {kind} is malformed"))
        }
    };
    while !names.is_empty() {
        let (found, _, data) = names.any().or_x509("invalid subject alternative name")?;
        match found ^ 0x80 {
            1 => out.email_addresses.push(ia5(data, "rfc822Name")?),
            2 => out.dns_names.push(ia5(data, "dNSName")?),
            6 => out.uris.push(ia5(data, "uniformResourceIdentifier")?),
            7 => out.ip_addresses.push(ip_address(data)?),
            _ => {}
        }
    }
    Ok(())
}

fn ip_address(data: &[u8]) -> Result<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(data) {
        return Ok(IpAddr::from(bytes));
    }
    match <[u8; 16]>::try_from(data) {
        // Go prints and writes an IPv4 address in IPv6 form as IPv4.
        Ok(bytes) => Ok(Ipv6Addr::from(bytes).to_canonical()),
        Err(_) => Err(format!(
            "x509: cannot parse IP address of length {}",
            data.len()
        )),
    }
}

fn authority_info_access(critical: bool, mut value: Reader<'_>) -> Result<()> {
    if critical {
        return Err("x509: authority info access incorrectly marked critical".to_owned());
    }
    let invalid = "invalid authority info access";
    let mut list = value.read(tag::SEQUENCE).or_x509(invalid)?;
    while !list.is_empty() {
        let mut entry = list.read(tag::SEQUENCE).or_x509(invalid)?;
        entry.oid().or_x509(invalid)?;
        if entry.peek(tag::context(6)) {
            entry.read(tag::context(6)).or_x509(invalid)?;
        }
    }
    Ok(())
}
