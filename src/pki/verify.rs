//! Chain verification at an instant, with the rules and the words of Go's `crypto/x509` (1.26).
//!
//! Every component of a cluster verifies with Go, so Go's rules count, also where the Web PKI's are
//! stricter: any certificate in the pool is a trust anchor (an intermediate or a leaf too), a CA may
//! be an end entity, an anchor's own dates are checked, usages nest. A test holds this to
//! `rustls-webpki` where the two agree by design.

use std::net::IpAddr;

use super::certificate::{Certificate, Parsed};
use super::signature::{self, SignatureError};
use super::{ExtKeyUsage, x509_time};
use crate::time::{SignedDuration, Timestamp, shift};

/// What the leaf is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// By a TLS server.
    Server,
    /// By a TLS client.
    Client,
    /// By anyone for anything.
    Any,
}

/// The name a client connects to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl ServerName {
    /// An address if the text is one, else a DNS name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        match text.parse() {
            Ok(ip) => Self::Ip(ip),
            Err(_) => Self::Dns(text.to_owned()),
        }
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VerifyErrorKind {
    /// A certificate of the chain is past its end.
    Expired,
    /// A certificate of the chain has not begun.
    NotYetValid,
    /// No chain to a trust anchor.
    UnknownAuthority,
    /// The server's certificate does not hold the name.
    NameMismatch,
    /// The chain does not allow the usage.
    IncompatibleUsage,
    /// Anything else.
    Other,
}

/// Why a certificate is not accepted. Displayed in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Outside the validity of a certificate of the chain.
    #[error(
        "x509: certificate has expired or is not yet valid: current time {} is {} {}",
        x509_time::rfc3339(now.as_second()), if *after { "after" } else { "before" }, x509_time::rfc3339(*limit)
    )]
    Validity {
        /// The verifier's clock.
        now: Timestamp,
        /// The limit that was missed, in seconds since 1970.
        limit: i64,
        /// `true`: expired; `false`: not yet valid.
        after: bool,
        /// CN of the certificate.
        common_name: String,
    },
    /// No chain to a trust anchor, perhaps with the reason a candidate was rejected.
    #[error("{}", unknown_authority(.hint.as_ref().map(|(error, name)| (error.to_string(), name))))]
    UnknownAuthority {
        /// Why a candidate was rejected, and the candidate's name.
        hint: Option<(Box<VerifyError>, String)>,
    },
    /// A candidate's key did not make the signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The certificate does not hold the name.
    #[error("{0}")]
    Hostname(String),
    /// The chain does not allow the usage.
    #[error("x509: certificate specifies an incompatible key usage")]
    IncompatibleUsage,
    /// An intermediate is not a CA.
    #[error("x509: certificate is not authorized to sign other certificates")]
    NotAuthorizedToSign,
    /// A path length constraint is violated.
    #[error("x509: too many intermediates for path length constraint")]
    TooManyIntermediates,
    /// A name constraint is violated.
    #[error(
        "x509: a root or intermediate certificate is not authorized to sign for this name: {0}"
    )]
    NotAuthorizedForName(String),
    /// A critical extension that Go does not know.
    #[error("x509: unhandled critical extension")]
    UnhandledCriticalExtension,
    /// Too many signatures to check.
    #[error("x509: signature check attempts limit reached while verifying certificate chain")]
    SignatureLimit,
}

fn unknown_authority(hint: Option<(impl AsRef<str>, &String)>) -> String {
    let mut text = "x509: certificate signed by unknown authority".to_owned();
    if let Some((error, name)) = hint {
        let error = error.as_ref();
        text += &format!(
            " (possibly because of {error:?} while trying to verify candidate authority certificate {name:?})"
        );
    }
    text
}

impl VerifyError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        match self {
            Self::Validity { after: true, .. } => VerifyErrorKind::Expired,
            Self::Validity { after: false, .. } => VerifyErrorKind::NotYetValid,
            Self::UnknownAuthority { .. } | Self::Signature(_) => VerifyErrorKind::UnknownAuthority,
            Self::Hostname(_) | Self::NotAuthorizedForName(_) => VerifyErrorKind::NameMismatch,
            Self::IncompatibleUsage => VerifyErrorKind::IncompatibleUsage,
            _ => VerifyErrorKind::Other,
        }
    }

    /// The same failure as it would read at another instant of the same window.
    #[must_use]
    pub fn at(&self, instant: Timestamp) -> Self {
        let mut out = self.clone();
        match &mut out {
            Self::Validity { now, .. } => *now = instant,
            Self::UnknownAuthority {
                hint: Some((error, _)),
            } => **error = error.at(instant),
            _ => {}
        }
        out
    }

    /// In the words of Go before 1.15, which do not say what time it is (golang/go#34646).
    #[must_use]
    pub fn without_current_time(&self) -> String {
        match self {
            Self::Validity { .. } => "x509: certificate has expired or is not yet valid".to_owned(),
            Self::UnknownAuthority {
                hint: Some((error, name)),
            } => unknown_authority(Some((&error.without_current_time(), name))),
            _ => self.to_string(),
        }
    }
}

/// A result with the instants, both included, between which it stays the same (the time in its text
/// aside).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What verification says.
    pub result: Result<(), VerifyError>,
    /// First instant of the window.
    pub valid_from: Timestamp,
    /// Last instant of the window.
    pub valid_until: Timestamp,
}

/// Verifies a leaf.
///
/// # Errors
/// When Go would not accept it; the first reason Go finds.
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    usage: Usage,
    name: Option<&ServerName>,
    at: Timestamp,
) -> Result<(), VerifyError> {
    is_valid(leaf, Role::Leaf, &[], at)?;
    if let Some(name) = name {
        verify_hostname(leaf, name)?;
    }
    let chains = if roots.contains(leaf) {
        vec![vec![leaf.clone()]]
    } else {
        Builder {
            intermediates,
            roots,
            at,
            checks: 0,
        }
        .build(leaf, std::slice::from_ref(leaf))?
    };
    let mut constraint = None;
    let mut usage_failed = false;
    for chain in &chains {
        if !allows_usage(chain, usage) {
            usage_failed = true;
            continue;
        }
        match check_constraints(chain) {
            Ok(()) => return Ok(()),
            Err(text) => constraint = constraint.or(Some(text)),
        }
    }
    match constraint {
        Some(text) => Err(VerifyError::NotAuthorizedForName(text)),
        None if usage_failed => Err(VerifyError::IncompatibleUsage),
        None => Err(VerifyError::UnknownAuthority { hint: None }),
    }
}

/// Verifies a leaf and says how long the answer stays the same: until a certificate that was given
/// begins or ends.
#[must_use]
pub fn verify_window(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    usage: Usage,
    name: Option<&ServerName>,
    at: Timestamp,
) -> Window {
    let nanosecond = SignedDuration::from_nanos(1);
    let mut window = Window {
        result: verify(leaf, intermediates, roots, usage, name, at),
        valid_from: Timestamp::MIN,
        valid_until: Timestamp::MAX,
    };
    for certificate in std::iter::once(leaf).chain(intermediates).chain(roots) {
        // A certificate holds from its first instant to its last, both included.
        for first in [
            certificate.not_before(),
            shift(certificate.not_after(), nanosecond),
        ] {
            if first <= at {
                window.valid_from = window.valid_from.max(first);
            } else {
                window.valid_until = window.valid_until.min(shift(first, -nanosecond));
            }
        }
    }
    window
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Leaf,
    Intermediate,
    Root,
}

fn is_valid(
    certificate: &Certificate,
    role: Role,
    chain: &[Certificate],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let parsed = &certificate.0;
    if parsed.unhandled_critical {
        return Err(VerifyError::UnhandledCriticalExtension);
    }
    let outside = |limit, after| VerifyError::Validity {
        now,
        limit,
        after,
        common_name: certificate.common_name().to_owned(),
    };
    // At full precision: half a second behind the last second is expired.
    let nanos = now.as_nanosecond();
    if nanos < i128::from(parsed.not_before) * 1_000_000_000 {
        return Err(outside(parsed.not_before, false));
    }
    if nanos > i128::from(parsed.not_after) * 1_000_000_000 {
        return Err(outside(parsed.not_after, true));
    }
    if role == Role::Intermediate && !(parsed.has_basic_constraints && parsed.is_ca) {
        return Err(VerifyError::NotAuthorizedToSign);
    }
    if let Some(limit) = parsed.max_path_len.filter(|_| parsed.has_basic_constraints)
        && chain.len() as i64 - 1 > limit
    {
        return Err(VerifyError::TooManyIntermediates);
    }
    Ok(())
}

const SIGNATURE_CHECKS_MAX: usize = 100;

struct Builder<'a> {
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    at: Timestamp,
    checks: usize,
}

impl Builder<'_> {
    fn build(
        &mut self,
        child: &Certificate,
        chain: &[Certificate],
    ) -> Result<Vec<Vec<Certificate>>, VerifyError> {
        let mut chains = Vec::new();
        let mut hint: Option<(Box<VerifyError>, String)> = None;
        // Go keeps the error of the candidate that came last, even a success.
        let mut last: Option<VerifyError> = None;
        for (role, pool) in [
            (Role::Root, self.roots),
            (Role::Intermediate, self.intermediates),
        ] {
            for candidate in potential_parents(child, pool) {
                self.checks += 1;
                if self.checks > SIGNATURE_CHECKS_MAX {
                    return if chains.is_empty() {
                        Err(VerifyError::SignatureLimit)
                    } else {
                        Ok(chains)
                    };
                }
                if !has_known_key(&candidate.0) || in_chain(candidate, chain) {
                    continue;
                }
                let mut reject = |error: VerifyError| {
                    hint.get_or_insert_with(|| (Box::new(error), hint_name(candidate)));
                };
                if let Err(error) = signature::check(&child.0, &candidate.0) {
                    reject(error.into());
                    continue;
                }
                if let Err(error) = is_valid(candidate, role, chain, self.at) {
                    reject(error.clone());
                    last = Some(error);
                    continue;
                }
                last = None;
                let mut longer = chain.to_vec();
                longer.push(candidate.clone());
                if role == Role::Root {
                    chains.push(longer);
                } else {
                    match self.build(candidate, &longer) {
                        Ok(found) => chains.extend(found),
                        Err(error) => last = Some(error),
                    }
                }
            }
        }
        if !chains.is_empty() {
            return Ok(chains);
        }
        Err(last.unwrap_or(VerifyError::UnknownAuthority { hint }))
    }
}

/// Certificates with the issuer's name, the likeliest first.
fn potential_parents<'a>(child: &Certificate, pool: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut ranked: Vec<(u8, &Certificate)> = Vec::new();
    for (index, candidate) in pool.iter().enumerate() {
        if candidate.subject_der() != child.issuer_der() || pool[..index].contains(candidate) {
            continue;
        }
        let (subject_id, authority_id) = (candidate.subject_key_id(), child.authority_key_id());
        let rank = if subject_id == authority_id {
            0
        } else if subject_id.is_empty() || authority_id.is_empty() {
            1
        } else {
            2
        };
        ranked.push((rank, candidate));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

fn has_known_key(parsed: &Parsed) -> bool {
    matches!(
        parsed.key_algorithm.as_slice(),
        super::oid::RSA | super::oid::ECDSA | super::oid::ED25519 | super::oid::DSA
    )
}

/// Whether a certificate with the same subject, key and SAN is in the chain already.
fn in_chain(candidate: &Certificate, chain: &[Certificate]) -> bool {
    for certificate in chain {
        if candidate.subject_der() != certificate.subject_der()
            || candidate.spki_der() != certificate.spki_der()
        {
            continue;
        }
        match (&candidate.0.san_value, &certificate.0.san_value) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other => return true,
            (Some(_), Some(_)) => {}
            _ => return false,
        }
    }
    false
}

fn hint_name(candidate: &Certificate) -> String {
    if !candidate.common_name().is_empty() {
        return candidate.common_name().to_owned();
    }
    match candidate.organizations().first() {
        Some(organization) => organization.clone(),
        None => format!("serial:{}", candidate.serial_decimal()),
    }
}

/// Whether every certificate of the chain that lists usages lists this one.
fn allows_usage(chain: &[Certificate], usage: Usage) -> bool {
    let wanted = match usage {
        Usage::Any => return true,
        Usage::Server => ExtKeyUsage::ServerAuth,
        Usage::Client => ExtKeyUsage::ClientAuth,
    };
    chain.iter().all(|certificate| {
        let (known, unknown) = (
            certificate.ext_key_usages(),
            certificate.unknown_ext_key_usages(),
        );
        known.is_empty() && unknown.is_empty()
            || known.contains(&ExtKeyUsage::Any)
            || known.contains(&wanted)
    })
}

fn check_constraints(chain: &[Certificate]) -> Result<(), String> {
    for (index, certificate) in chain.iter().enumerate() {
        if let Some(constraints) = &certificate.0.name_constraints {
            for below in chain[..index].iter().filter(|below| below.0.has_san) {
                constraints.check(&below.0)?;
            }
        }
    }
    Ok(())
}

/// Checks that a certificate holds a name: its SANs only, wildcards as the leftmost label.
///
/// # Errors
/// [`VerifyError::Hostname`] with Go's text.
pub fn verify_hostname(certificate: &Certificate, name: &ServerName) -> Result<(), VerifyError> {
    let found = match name {
        ServerName::Ip(ip) => certificate
            .ip_addresses()
            .iter()
            .any(|candidate| candidate.to_canonical() == ip.to_canonical()),
        ServerName::Dns(host) => {
            let host = host.to_ascii_lowercase();
            let valid = valid_hostname(host.strip_suffix('.').unwrap_or(&host), false);
            certificate.dns_names().iter().any(|pattern| {
                if valid && valid_hostname(pattern, true) {
                    matches_pattern(pattern, &host)
                } else {
                    !matches!(pattern.as_str(), "" | ".")
                        && !matches!(host.as_str(), "" | ".")
                        && pattern.to_ascii_lowercase() == host
                }
            })
        }
    };
    if found {
        return Ok(());
    }
    Err(VerifyError::Hostname(hostname_text(certificate, name)))
}

fn hostname_text(certificate: &Certificate, name: &ServerName) -> String {
    const NAMES_SHOWN_MAX: usize = 100;
    let host = name.to_string();
    if !certificate.0.has_san
        && matches_pattern(certificate.common_name(), &host.to_ascii_lowercase())
    {
        return "x509: certificate relies on legacy Common Name field, use SANs instead".to_owned();
    }
    let valid = match name {
        ServerName::Ip(_) => {
            let addresses = certificate.ip_addresses();
            if addresses.is_empty() {
                return format!(
                    "x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"
                );
            }
            if addresses.len() >= NAMES_SHOWN_MAX {
                return format!(
                    "x509: certificate is valid for {} IP SANs, but none matched {host}",
                    addresses.len()
                );
            }
            addresses
                .iter()
                .map(IpAddr::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        }
        ServerName::Dns(_) => {
            let names = certificate.dns_names();
            if names.len() >= NAMES_SHOWN_MAX {
                return format!(
                    "x509: certificate is valid for {} names, but none matched {host}",
                    names.len()
                );
            }
            names.join(", ")
        }
    };
    if valid.is_empty() {
        return format!("x509: certificate is not valid for any names, but wanted to match {host}");
    }
    format!("x509: certificate is valid for {valid}, not {host}")
}

fn valid_hostname(host: &str, is_pattern: bool) -> bool {
    if host.is_empty() || host == "*" {
        return false;
    }
    host.split('.').enumerate().all(|(index, part)| {
        if is_pattern && index == 0 && part == "*" {
            return true;
        }
        !part.is_empty()
            && part
                .char_indices()
                .all(|(at, c)| c.is_ascii_alphanumeric() || c == '_' || c == '-' && at != 0)
    })
}

fn matches_pattern(pattern: &str, host: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(host);
    if pattern.is_empty() {
        return false;
    }
    let (patterns, parts): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), host.split('.').collect());
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(&parts)
            .enumerate()
            .all(|(index, (pattern, part))| index == 0 && *pattern == "*" || pattern == part)
}
