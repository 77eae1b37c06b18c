//! Extensions that kubeadm never uses but that decide whether Go accepts a certificate at all.

use std::collections::BTreeSet;

use super::der::{Reader, tag};
use super::parse::OrMalformed as _;

/// Checks one extension's form; `true` when Go does not know it.
pub(super) fn extension(kind: &[u32], value: Reader<'_>) -> Result<bool, String> {
    match kind {
        [2, 5, 29, 31] => crl_distribution_points(value)?,
        [2, 5, 29, 32] => policies(value).or_x509("invalid certificate policies")?,
        [2, 5, 29, 33] => mappings(value).or_x509("invalid policy mappings extension")?,
        [2, 5, 29, 36] => constraints(value).or_x509("invalid policy constraints extension")?,
        [2, 5, 29, 54] => {
            let mut value = value;
            value
                .int64()
                .or_x509("invalid inhibit any policy extension")?;
        }
        _ => return Ok(true),
    }
    Ok(false)
}

fn crl_distribution_points(mut value: Reader<'_>) -> Result<(), String> {
    let point = "invalid CRL distribution point";
    let mut list = value
        .read(tag::SEQUENCE)
        .or_x509("invalid CRL distribution points")?;
    while !list.is_empty() {
        let mut entry = list.read(tag::SEQUENCE).or_x509(point)?;
        let Some(mut name) = entry.optional(tag::explicit(0)).or_x509(point)? else {
            continue;
        };
        let mut names = name.read(tag::explicit(0)).or_x509(point)?;
        while names.peek(tag::context(6)) {
            names.read(tag::context(6)).or_x509(point)?;
        }
    }
    Ok(())
}

fn policies(mut value: Reader<'_>) -> Option<()> {
    let mut seen = BTreeSet::new();
    let mut list = value.read(tag::SEQUENCE)?;
    while !list.is_empty() {
        let oid = list.read(tag::SEQUENCE)?.read(tag::OID)?.0;
        let ends = oid.last().is_some_and(|last| last & 0x80 == 0);
        if !ends || !seen.insert(oid) {
            return None;
        }
    }
    Some(())
}

fn mappings(mut value: Reader<'_>) -> Option<()> {
    let mut list = value.read(tag::SEQUENCE)?;
    while !list.is_empty() {
        let mut pair = list.read(tag::SEQUENCE)?;
        pair.read(tag::OID)?;
        pair.read(tag::OID)?;
    }
    Some(())
}

fn constraints(mut value: Reader<'_>) -> Option<()> {
    let mut body = value.read(tag::SEQUENCE)?;
    for number in [0, 1] {
        if body.peek(tag::context(number)) {
            let bytes = body.read(tag::context(number))?.0;
            if bytes.len() > 8 || !super::der::minimal_integer(bytes) {
                return None;
            }
        }
    }
    Some(())
}
