//! Loading a configuration: from a file, or kubeadm's defaults with what flags and machine say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::super::failure::{Context as _, Failure, FailureKind, Result};
use super::super::process::Process;
use super::documents::{Document, split};
use super::fields::Fields;
use super::validate::{Unparsed, validate};
use super::{ClusterConfiguration, Etcd, InitConfiguration, Overrides};
use crate::pki::KeyAlgorithm;

pub(super) const GROUP: &str = "kubeadm.k8s.io";

/// What `InitConfiguration` says of the node.
#[derive(Debug, Default)]
struct NodePart {
    name: Option<String>,
    cert_dir: Option<String>,
    advertise_address: Option<String>,
    bind_port: Option<i64>,
}

impl Process<'_, '_> {
    /// Loads `--config`, or makes the default configuration.
    ///
    /// # Errors
    /// When the file cannot be read, or the configuration is not valid.
    pub fn load_configuration(
        &mut self,
        path: Option<&str>,
        overrides: &Overrides,
    ) -> Result<InitConfiguration> {
        match path {
            Some(path) if !path.is_empty() => {
                let text = self
                    .tree()
                    .read(path)
                    .context(format!("unable to read config from {path:?} "))?;
                self.configuration_from(&text)
            }
            _ => self.default_configuration(overrides),
        }
    }

    /// Reads a configuration from the text of a file.
    ///
    /// # Errors
    /// When it is not valid.
    pub fn configuration_from(&mut self, text: &[u8]) -> Result<InitConfiguration> {
        let mut cluster = None;
        let mut node = None;
        let mut unparsed = Unparsed::default();
        let mut gate = None;
        for document in split(text, &self.profile)? {
            self.check_version(&document)?;
            let is_ours = document.group == GROUP;
            self.check_fields(&document)?;
            match document.kind.as_str() {
                "InitConfiguration" if is_ours => node = Some(read_node(&document.value)?),
                "ClusterConfiguration" if is_ours => {
                    cluster = Some(read_cluster(&document, &mut unparsed)?);
                    gate = feature_gate(&document.value);
                }
                _ if is_ours || is_component(&document.group) => {}
                _ => self.warn(
                    "initconfiguration.go:361",
                    &format!(
                        "[config] WARNING: Ignored configuration document with GroupVersionKind {}",
                        document.display()
                    ),
                ),
            }
        }
        if cluster.is_none() && node.is_none() {
            let what = self.profile.configuration_file_words;
            return Err(Failure::new(format!(
                "no InitConfiguration or ClusterConfiguration kind was found in the {what}"
            )));
        }
        let mut cluster = cluster.unwrap_or_default();
        if let Some(ecdsa) = gate.filter(|_| self.profile.ecdsa_gate) {
            cluster.algorithm = if ecdsa {
                KeyAlgorithm::EcdsaP256
            } else {
                KeyAlgorithm::Rsa2048
            };
        }
        unparsed.has_validity = self.profile.v1beta4;
        self.complete(cluster, node.unwrap_or_default(), &unparsed)
    }

    fn default_configuration(&mut self, overrides: &Overrides) -> Result<InitConfiguration> {
        let mut cluster = ClusterConfiguration::default();
        if let Some(dir) = overrides.cert_dir.as_ref().filter(|dir| !dir.is_empty()) {
            cluster.certificates_dir.clone_from(dir);
        }
        let set = |field: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(
            &mut cluster.control_plane_endpoint,
            &overrides.control_plane_endpoint,
        );
        set(&mut cluster.dns_domain, &overrides.dns_domain);
        set(&mut cluster.service_subnet, &overrides.service_subnet);
        set(
            &mut cluster.kubernetes_version,
            &overrides.kubernetes_version,
        );
        if let Some(sans) = &overrides.api_server_sans {
            cluster.api_server_sans.clone_from(sans);
        }
        let node = NodePart {
            name: overrides.node_name.clone(),
            cert_dir: None,
            advertise_address: overrides.advertise_address.clone(),
            bind_port: overrides.bind_port.map(i64::from),
        };
        let unparsed = Unparsed {
            has_validity: self.profile.v1beta4,
            ..Unparsed::default()
        };
        self.complete(cluster, node, &unparsed)
    }

    /// Fills gaps with the machine's answers and validates.
    fn complete(
        &mut self,
        mut cluster: ClusterConfiguration,
        node: NodePart,
        unparsed: &Unparsed,
    ) -> Result<InitConfiguration> {
        let node_name = node
            .name
            .unwrap_or_else(|| self.machine.hostname.clone())
            .trim()
            .to_lowercase();
        let advertise_address = match node.advertise_address.as_deref() {
            None | Some("") => self.machine.host_address,
            Some(text) => match text.parse::<IpAddr>() {
                Ok(ip) if ip.is_unspecified() => self.machine.host_address,
                Ok(ip) => ip,
                Err(_) => {
                    return Err(Failure::new(format!(
                        "couldn't use \"{text}\" as \"apiserver-advertise-address\", must be ipv4 or ipv6 address"
                    )));
                }
            },
        };
        let bind_port = match node.bind_port {
            None | Some(0) => 6443,
            Some(port) => u16::try_from(port).map_err(|_| {
                validation_failure(format!(
                    "localAPIEndpoint: Invalid value: \"{port}\": port number is not valid"
                ))
            })?,
        };
        if !cluster.control_plane_endpoint.is_empty() {
            let (host, port) = parse_host_port(&cluster.control_plane_endpoint)?;
            if port.is_empty() {
                cluster.control_plane_endpoint = join_host_port(&host, &bind_port.to_string());
            }
        }
        self.check_kubernetes_version(&cluster.kubernetes_version)?;
        for san in &mut cluster.api_server_sans {
            *san = san.to_lowercase();
        }
        let config = InitConfiguration {
            cluster,
            node_name,
            kubelet_cert_dir: node.cert_dir,
            advertise_address,
            bind_port,
        };
        if self.profile.component_warnings {
            for component in ["kube-proxy", "kubelet"] {
                self.warn(
                    "validation.go:28",
                    &format!("Cannot validate {component} config - no validator is available"),
                );
            }
        }
        validate(self, &config, unparsed)?;
        Ok(config)
    }

    /// A control plane more than one minor below kubeadm's own is refused.
    fn check_kubernetes_version(&self, text: &str) -> Result<()> {
        let Ok(version) = text.parse::<super::super::Version>() else {
            return Ok(());
        };
        let lowest = self.profile.version.minor.saturating_sub(1);
        if version.major == 1 && version.minor < lowest {
            return Err(Failure::new(format!(
                "this version of kubeadm only supports deploying clusters with the control plane version >= 1.{lowest}.0. Current version: {text}"
            )));
        }
        Ok(())
    }

    /// Refuses an API version that this version reads no more.
    pub(super) fn refuse_old_version(&self, document: &Document) -> Result<()> {
        if document.group != GROUP {
            return Ok(());
        }
        let profile = &self.profile;
        let last_reader = match document.version.as_str() {
            "v1alpha1" => Some("v1.11"),
            "v1alpha2" => Some("v1.12"),
            "v1alpha3" => Some("v1.14"),
            "v1beta1" if profile.v1beta1_gone => Some("v1.15"),
            "v1beta2" if profile.v1beta2_gone => Some("v1.22"),
            "v1beta3" if profile.v1beta3_gone => Some("v1.36"),
            _ => None,
        };
        let (api, kind) = (document.group_version(), &document.kind);
        last_reader.map_or(Ok(()), |kubeadm| {
            Err(Failure::new(format!(
                "your configuration file uses an old API spec: {api:?} (kind: {kind:?}). Please use kubeadm {kubeadm} instead and run 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version."
            )))
        })
    }

    /// Warns about an API version that will be read no more.
    pub(super) fn warn_of_old_version(&mut self, document: &Document) {
        let (api, kind) = (document.group_version(), &document.kind);
        self.warn("common.go:100", &format!(
            "your configuration file uses a deprecated API spec: {api:?} (kind: {kind:?}). Please use 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version."
        ));
    }

    /// Whether this version still reads, or already knows, an API version.
    fn check_version(&mut self, document: &Document) -> Result<()> {
        if document.group != GROUP {
            return Ok(());
        }
        self.refuse_old_version(document)?;
        let profile = &self.profile;
        let (api, kind) = (document.group_version(), &document.kind);
        let newest = if profile.v1beta4 {
            "v1beta4"
        } else if profile.v1beta3 {
            "v1beta3"
        } else {
            "v1beta2"
        };
        let known: &[&str] = match newest {
            "v1beta4" => &["v1beta3", "v1beta4"],
            "v1beta3" => &["v1beta2", "v1beta3"],
            _ => &["v1beta1", "v1beta2"],
        };
        if !known.contains(&document.version.as_str()) {
            return Err(Failure::new(format!(
                "no kind {kind:?} is registered for version {api:?} in scheme \"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme/scheme.go:31\""
            )));
        }
        if document.version != newest && document.version != "v1beta1" {
            self.warn_of_old_version(document);
        }
        Ok(())
    }

    /// Warns about what strict decoding would refuse.
    fn check_fields(&mut self, document: &Document) -> Result<()> {
        if document.group != GROUP {
            return Ok(());
        }
        let problem = document
            .duplicates
            .first()
            .map(|(line, key)| {
                format!(
                    "error converting YAML to JSON: yaml: unmarshal errors:\n  line {line}: key {key:?} already set in map"
                )
            })
            .or_else(|| unreadable_duration(document));
        if let Some(problem) = problem {
            let kind = document.go_syntax();
            self.warn(
                "initconfiguration.go:334",
                &format!("error unmarshaling configuration {kind}: {problem}"),
            );
        }
        Ok(())
    }
}

fn unreadable_duration(document: &Document) -> Option<String> {
    if document.kind != "ClusterConfiguration" {
        return None;
    }
    let fields = Fields::top(&document.value, "ClusterConfiguration");
    ["certificateValidityPeriod", "caCertificateValidityPeriod"]
        .into_iter()
        .find_map(|field| fields.duration(field).err())
        .map(|failure| failure.text)
}

fn validation_failure(text: String) -> Failure {
    Failure {
        kind: FailureKind::Validation,
        ..Failure::new(text)
    }
}

pub(super) fn is_component(group: &str) -> bool {
    matches!(
        group,
        "kubelet.config.k8s.io" | "kubeproxy.config.k8s.io" | "kubelet.config.k8s.io/v1beta1"
    )
}

fn feature_gate(value: &Value) -> Option<bool> {
    value.get("featureGates")?.get("PublicKeysECDSA")?.as_bool()
}

fn read_node(value: &Value) -> Result<NodePart> {
    let top = Fields::top(value, "InitConfiguration");
    let mut out = NodePart::default();
    if let Some(node) = top.object("nodeRegistration", "NodeRegistrationOptions")? {
        out.name = node.text("name")?;
        out.cert_dir = node.argument("kubeletExtraArgs", "cert-dir");
    }
    if let Some(endpoint) = top.object("localAPIEndpoint", "APIEndpoint")? {
        out.advertise_address = endpoint.text("advertiseAddress")?;
        out.bind_port = endpoint.number("bindPort")?;
    }
    Ok(out)
}

fn read_cluster(document: &Document, unparsed: &mut Unparsed) -> Result<ClusterConfiguration> {
    let top = Fields::top(&document.value, "ClusterConfiguration");
    let mut out = ClusterConfiguration::default();
    let set = |field: &mut String, value: Option<String>| {
        if let Some(value) = value {
            *field = value;
        }
    };
    set(&mut out.cluster_name, top.text("clusterName")?);
    set(&mut out.kubernetes_version, top.text("kubernetesVersion")?);
    set(
        &mut out.control_plane_endpoint,
        top.text("controlPlaneEndpoint")?,
    );
    set(&mut out.certificates_dir, top.text("certificatesDir")?);
    if let Some(networking) = top.object("networking", "Networking")? {
        set(&mut out.service_subnet, networking.text("serviceSubnet")?);
        set(&mut out.dns_domain, networking.text("dnsDomain")?);
    }
    if let Some(server) = top.object("apiServer", "APIServer")? {
        out.api_server_sans = server.texts("certSANs")?;
    }
    if let Some(etcd) = top.object("etcd", "Etcd")? {
        read_etcd(&etcd, &mut out, unparsed)?;
    }
    if document.version == "v1beta4" {
        if let Some(text) = top.text("encryptionAlgorithm")? {
            match algorithm(&text) {
                Some(known) => out.algorithm = known,
                None => unparsed.algorithm = Some(text),
            }
        }
        if let Some(validity) = top.duration("certificateValidityPeriod")? {
            out.leaf_validity = validity;
        }
        if let Some(validity) = top.duration("caCertificateValidityPeriod")? {
            out.ca_validity = validity;
        }
    }
    Ok(out)
}

fn read_etcd(
    etcd: &Fields<'_>,
    out: &mut ClusterConfiguration,
    unparsed: &mut Unparsed,
) -> Result<()> {
    let local = etcd.object("local", "LocalEtcd")?;
    let external = etcd.object("external", "ExternalEtcd")?;
    unparsed.both_etcds = local.is_some() && external.is_some();
    if let Some(local) = local {
        unparsed.etcd_data_dir = local.text("dataDir")?;
        out.etcd = Etcd::Local {
            server_sans: local.texts("serverCertSANs")?,
            peer_sans: local.texts("peerCertSANs")?,
        };
    }
    if let Some(external) = external {
        unparsed.etcd_endpoints = external.texts("endpoints")?;
        for (slot, field) in unparsed
            .etcd_files
            .iter_mut()
            .zip(["caFile", "certFile", "keyFile"])
        {
            *slot = external.text(field)?.unwrap_or_default();
        }
        out.etcd = Etcd::External;
    }
    Ok(())
}

fn algorithm(text: &str) -> Option<KeyAlgorithm> {
    Some(match text {
        "RSA-2048" => KeyAlgorithm::Rsa2048,
        "RSA-3072" => KeyAlgorithm::Rsa3072,
        "RSA-4096" => KeyAlgorithm::Rsa4096,
        "ECDSA-P256" => KeyAlgorithm::EcdsaP256,
        "ECDSA-P384" => KeyAlgorithm::EcdsaP384,
        _ => return None,
    })
}

/// Host and port of `host:port`, `host`, `[v6]:port`; the port may be empty.
///
/// # Errors
/// When the port or the host is not valid.
pub(in super::super) fn parse_host_port(text: &str) -> Result<(String, String)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => {
            (host[1..host.len() - 1].to_owned(), port.to_owned())
        }
        Some((host, port)) if !host.contains(':') => (host.to_owned(), port.to_owned()),
        _ => (text.to_owned(), String::new()),
    };
    if !port.is_empty() && !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(Failure::new(format!(
            "hostport {text}: port {port} must be a valid number between 1 and 65535, inclusive"
        )));
    }
    if host.parse::<IpAddr>().is_ok() || super::validate::is_subdomain(&host) {
        return Ok((host, port));
    }
    Err(Failure::new(format!(
        "hostport {text}: host '{host}' must be a valid IP address or a valid RFC-1123 DNS subdomain"
    )))
}

/// `host:port`, with brackets around an IPv6 address.
pub(in super::super) fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The first usable address of a network (the API server's virtual IP).
pub(in super::super) fn first_address(cidr: &str) -> Option<IpAddr> {
    let (address, length) = cidr.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(ip) => {
            let mask = u32::MAX
                .checked_shl(32u32.checked_sub(length)?)
                .unwrap_or(0);
            let network = u32::from(ip) & mask;
            Some(IpAddr::V4(Ipv4Addr::from(network.checked_add(1)?)))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128u32.checked_sub(length)?)
                .unwrap_or(0);
            let network = u128::from(ip) & mask;
            Some(IpAddr::V6(Ipv6Addr::from(network.checked_add(1)?)))
        }
    }
}
