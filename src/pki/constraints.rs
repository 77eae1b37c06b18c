//! Name constraints of a CA certificate: read, and applied to the names of a leaf.

use std::net::IpAddr;

use super::certificate::Parsed;
use super::der::{Reader, tag};
use super::parse::OrMalformed as _;

/// Constraints of one certificate.
#[derive(Debug, Default)]
pub(super) struct NameConstraints {
    permitted: Subtrees,
    excluded: Subtrees,
}

#[derive(Debug, Default)]
struct Subtrees {
    dns: Vec<String>,
    /// Network and mask, as bytes.
    ip: Vec<(Vec<u8>, Vec<u8>)>,
    email: Vec<String>,
    uri: Vec<String>,
}

impl NameConstraints {
    /// Reads the extension; `true` when it holds kinds of names that Go does not handle.
    pub(super) fn parse(mut value: Reader<'_>) -> Result<(Self, bool), String> {
        let invalid = "invalid NameConstraints extension";
        let mut body = value.read(tag::SEQUENCE).or_x509(invalid)?;
        let permitted = body.optional(tag::explicit(0)).or_x509(invalid)?;
        let excluded = body.optional(tag::explicit(1)).or_x509(invalid)?;
        if !value.is_empty() || !body.is_empty() {
            return Err(format!("x509: {invalid}"));
        }
        let length = |part: &Option<Reader<'_>>| part.map_or(0, |part| part.0.len());
        if length(&permitted) + length(&excluded) == 0 {
            return Err("x509: empty name constraints extension".to_owned());
        }
        let mut unhandled = false;
        let mut read = |part: Option<Reader<'_>>| match part {
            Some(part) => Subtrees::parse(part, &mut unhandled),
            None => Ok(Subtrees::default()),
        };
        let out = Self {
            permitted: read(permitted)?,
            excluded: read(excluded)?,
        };
        Ok((out, unhandled))
    }

    /// The first name of a certificate that these constraints forbid, in Go's words.
    pub(super) fn check(&self, leaf: &Parsed) -> Result<(), String> {
        for ip in &leaf.ip_addresses {
            let bytes = ip_bytes(*ip);
            let matches = |list: &[(Vec<u8>, Vec<u8>)]| {
                list.iter()
                    .find(|(network, mask)| in_network(&bytes, network, mask))
                    .map(|(network, _)| show_ip(network))
            };
            self.judge(
                "IP address",
                &ip.to_string(),
                !self.permitted.ip.is_empty(),
                matches(&self.permitted.ip).is_some(),
                matches(&self.excluded.ip),
            )?;
        }
        for name in &leaf.dns_names {
            self.domains("DNS name", name, name, |subtrees| &subtrees.dns)?;
        }
        for uri in &leaf.uris {
            let host = uri_host(uri);
            self.domains("URI", uri, &host, |subtrees| &subtrees.uri)?;
        }
        for email in &leaf.email_addresses {
            let domain = email.rsplit('@').next().unwrap_or_default();
            self.domains("email address", email, domain, |subtrees| &subtrees.email)?;
        }
        Ok(())
    }

    fn domains(
        &self,
        kind: &str,
        shown: &str,
        domain: &str,
        of: impl Fn(&Subtrees) -> &Vec<String>,
    ) -> Result<(), String> {
        let matches = |list: &[String]| {
            list.iter()
                .find(|constraint| {
                    constraint.contains('@') && constraint.eq_ignore_ascii_case(shown)
                        || has_suffix(constraint, domain)
                })
                .cloned()
        };
        self.judge(
            kind,
            shown,
            !of(&self.permitted).is_empty(),
            matches(of(&self.permitted)).is_some(),
            matches(of(&self.excluded)),
        )
    }

    fn judge(
        &self,
        kind: &str,
        name: &str,
        limited: bool,
        permitted: bool,
        excluded: Option<String>,
    ) -> Result<(), String> {
        if limited && !permitted {
            return Err(format!(
                "{kind} {name:?} is not permitted by any constraint"
            ));
        }
        match excluded {
            Some(by) => Err(format!("{kind} {name:?} is excluded by constraint {by:?}")),
            None => Ok(()),
        }
    }
}

impl Subtrees {
    fn parse(mut list: Reader<'_>, unhandled: &mut bool) -> Result<Self, String> {
        let mut out = Self::default();
        while !list.is_empty() {
            let (kind, _, value) = list
                .read(tag::SEQUENCE)
                .and_then(|mut entry| entry.any())
                .or_x509("invalid NameConstraints extension")?;
            let text = || {
                if value.is_ascii() {
                    Ok(String::from_utf8_lossy(value).into_owned())
                } else {
                    Err(format!(
                        "x509: invalid constraint value: x509: {:?} cannot be encoded as an IA5String",
                        String::from_utf8_lossy(value)
                    ))
                }
            };
            match kind ^ 0x80 {
                1 => out.email.push(text()?),
                2 => out.dns.push(text()?),
                6 => out.uri.push(text()?),
                7 => match value.len() {
                    8 | 32 => {
                        let (network, mask) = value.split_at(value.len() / 2);
                        out.ip.push((network.to_vec(), mask.to_vec()));
                    }
                    other => {
                        return Err(format!(
                            "x509: IP constraint contained value of length {other}"
                        ));
                    }
                },
                _ => *unhandled = true,
            }
        }
        Ok(out)
    }
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn show_ip(network: &[u8]) -> String {
    match (<[u8; 4]>::try_from(network), <[u8; 16]>::try_from(network)) {
        (Ok(bytes), _) => IpAddr::from(bytes).to_string(),
        (_, Ok(bytes)) => IpAddr::from(bytes).to_string(),
        _ => String::new(),
    }
}

fn in_network(ip: &[u8], network: &[u8], mask: &[u8]) -> bool {
    ip.len() == network.len()
        && ip
            .iter()
            .zip(network)
            .zip(mask)
            .all(|((ip, network), mask)| ip & mask == network & mask)
}

/// Whether a constraint is a suffix of a name at a label's border; `.x` means only below `x`.
fn has_suffix(constraint: &str, name: &str) -> bool {
    let Some(start) = name.len().checked_sub(constraint.len()) else {
        return false;
    };
    if constraint.is_empty() {
        return true;
    }
    let Some(tail) = name.get(start..) else {
        return false;
    };
    tail.eq_ignore_ascii_case(constraint)
        && (start == 0 || constraint.starts_with('.') || name.as_bytes()[start - 1] == b'.')
}

fn uri_host(uri: &str) -> String {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_lowercase()
}
