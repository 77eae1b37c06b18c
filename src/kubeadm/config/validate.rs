//! Validation of a configuration, with the words of `field.ErrorList`.

use super::super::failure::{Failure, FailureKind, Result};
use super::super::process::Process;
use super::fields::show_duration;
use super::{CA_VALIDITY, ClusterConfiguration, Etcd, InitConfiguration, LEAF_VALIDITY};

/// Names that `encryptionAlgorithm` may have, sorted.
pub(super) const ALGORITHMS: &str = "[ECDSA-P256 ECDSA-P384 RSA-2048 RSA-3072 RSA-4096]";

/// What validation needs to know beyond the parsed configuration.
#[derive(Debug, Default)]
pub(super) struct Unparsed {
    /// An `encryptionAlgorithm` that is none.
    pub algorithm: Option<String>,
    /// Whether both kinds of etcd are configured.
    pub both_etcds: bool,
    /// Endpoints of the external etcd.
    pub etcd_endpoints: Vec<String>,
    /// CA, certificate and key files of the external etcd.
    pub etcd_files: [String; 3],
    /// The data directory of the local etcd.
    pub etcd_data_dir: Option<String>,
    /// Whether a validity period was written or defaulted (v1beta4).
    pub has_validity: bool,
}

/// Checks a configuration.
///
/// # Errors
/// With all that is wrong in one message.
pub(super) fn validate(
    process: &mut Process<'_, '_>,
    config: &InitConfiguration,
    unparsed: &Unparsed,
) -> Result<()> {
    let cluster = &config.cluster;
    let mut errors: Vec<String> = Vec::new();
    let mut invalid = |path: &str, value: &str, detail: String| {
        errors.push(format!("{path}: Invalid value: {value:?}: {detail}"));
    };
    if !is_subdomain(&config.node_name) {
        invalid(
            "nodeRegistration.name",
            &config.node_name,
            SUBDOMAIN.to_owned(),
        );
    }
    if !is_subdomain(&cluster.dns_domain) {
        invalid(
            "networking.dnsDomain",
            &cluster.dns_domain,
            SUBDOMAIN.to_owned(),
        );
    }
    for subnet in cluster.service_subnet.split(',') {
        if super::load::first_address(subnet).is_none() {
            invalid(
                "networking.serviceSubnet",
                &cluster.service_subnet,
                format!("invalid CIDR address: {subnet}"),
            );
        }
    }
    check_sans(&cluster.api_server_sans, "apiServer.certSANs", &mut invalid);
    if !cluster.certificates_dir.starts_with('/') {
        invalid(
            "certificatesDir",
            &cluster.certificates_dir,
            "path is not absolute".to_owned(),
        );
    }
    check_etcd(cluster, unparsed, &mut invalid);
    if let Some(algorithm) = &unparsed.algorithm {
        invalid(
            "encryptionAlgorithm",
            algorithm,
            format!("Invalid encryption algorithm {algorithm:?}. Must be one of {ALGORITHMS}"),
        );
    }
    if unparsed.has_validity {
        warn_about_validity(process, cluster);
    }
    let text = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => {
            let mut distinct: Vec<&String> = Vec::new();
            for error in many {
                if !distinct.contains(&error) {
                    distinct.push(error);
                }
            }
            let joined: Vec<&str> = distinct.iter().map(|error| error.as_str()).collect();
            if joined.len() == 1 {
                joined[0].to_owned()
            } else {
                format!("[{}]", joined.join(", "))
            }
        }
    };
    Err(Failure {
        kind: FailureKind::Validation,
        ..Failure::new(text)
    })
}

fn check_etcd(
    cluster: &ClusterConfiguration,
    unparsed: &Unparsed,
    invalid: &mut impl FnMut(&str, &str, String),
) {
    if unparsed.both_etcds {
        invalid(
            "etcd",
            "",
            ".Etcd.Local and .Etcd.External are mutually exclusive".to_owned(),
        );
        return;
    }
    match &cluster.etcd {
        Etcd::Local {
            server_sans,
            peer_sans,
        } => {
            if let Some(dir) = &unparsed.etcd_data_dir
                && !dir.starts_with('/')
            {
                invalid("etcd.local.dataDir", dir, "path is not absolute".to_owned());
            }
            check_sans(server_sans, "etcd.local.serverCertSANs", invalid);
            check_sans(peer_sans, "etcd.local.peerCertSANs", invalid);
        }
        Etcd::External => check_external_etcd(unparsed, invalid),
    }
}

fn check_external_etcd(unparsed: &Unparsed, invalid: &mut impl FnMut(&str, &str, String)) {
    let [ca, certificate, key] = &unparsed.etcd_files;
    if certificate.is_empty() != key.is_empty() {
        invalid(
            "etcd.external",
            "",
            "either both or none of .Etcd.External.CertFile and .Etcd.External.KeyFile must be set"
                .to_owned(),
        );
    }
    if !certificate.is_empty() && !key.is_empty() && ca.is_empty() {
        invalid(
            "etcd.external",
            "",
            "setting .Etcd.External.CertFile and .Etcd.External.KeyFile requires .Etcd.External.CAFile"
                .to_owned(),
        );
    }
    let https = unparsed.etcd_files.iter().any(|file| !file.is_empty());
    if unparsed.etcd_endpoints.is_empty() {
        invalid(
            "etcd.external.endpoints",
            "",
            "at least one endpoint must be specified".to_owned(),
        );
    }
    for endpoint in &unparsed.etcd_endpoints {
        let scheme = endpoint.split_once("://").map_or("", |(scheme, _)| scheme);
        if https && scheme != "https" {
            invalid(
                "etcd.external.endpoints",
                endpoint,
                "the URL must be using the HTTPS scheme".to_owned(),
            );
        }
        if scheme.is_empty() {
            invalid(
                "etcd.external.endpoints",
                endpoint,
                "the URL without scheme is not allowed".to_owned(),
            );
        }
    }
    for (file, field) in unparsed
        .etcd_files
        .iter()
        .zip(["caFile", "certFile", "keyFile"])
    {
        if !file.is_empty() && !file.starts_with('/') {
            invalid(
                &format!("etcd.external.{field}"),
                file,
                "path is not absolute".to_owned(),
            );
        }
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn check_sans(sans: &[String], path: &str, invalid: &mut impl FnMut(&str, &str, String)) {
    for san in sans {
        if !is_san(san) {
            invalid(
                path,
                san,
                format!(
                    "altname is not a valid IP address, DNS label or a DNS label with subdomain wildcards: {SUBDOMAIN}; {WILDCARD}"
                ),
            );
        }
    }
}

/// Whether a text may be an additional name: an address, a DNS name, or a wildcard.
pub(in super::super) fn is_san(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
        || is_subdomain(text)
        || text.strip_prefix("*.").is_some_and(is_subdomain)
}

/// Whether a text is an RFC 1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !label.is_empty()
                && label.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
                && label.bytes().next().is_some_and(alphanumeric)
                && label.bytes().next_back().is_some_and(alphanumeric)
        })
}

fn warn_about_validity(process: &mut Process<'_, '_>, cluster: &ClusterConfiguration) {
    let (leaf, ca) = (cluster.leaf_validity, cluster.ca_validity);
    let mut warn = |text: String| process.warn("validation.go:79", &format!("WARNING: {text}"));
    if leaf > LEAF_VALIDITY {
        warn(format!(
            "certificateValidityPeriod: the value {} is more than the recommended default for certificate expiration: {}",
            show_duration(leaf),
            show_duration(LEAF_VALIDITY)
        ));
    }
    if ca > CA_VALIDITY {
        warn(format!(
            "caCertificateValidityPeriod: the value {} is more than the recommended default for CA certificate expiration: {}",
            show_duration(ca),
            show_duration(CA_VALIDITY)
        ));
    }
    if leaf > ca {
        warn(format!(
            "certificateValidityPeriod: the value {} is more than the caCertificateValidityPeriod: {}",
            show_duration(leaf),
            show_duration(ca)
        ));
    }
}
