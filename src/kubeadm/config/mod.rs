//! kubeadm's configuration: the parts that certificates depend on.

mod documents;
mod fields;
mod load;
mod upgrade;
mod validate;

use std::net::IpAddr;

pub(super) use fields::parse_duration;

/// Go's `time.ParseDuration`.
///
/// # Errors
/// With Go's text.
pub fn go_duration(text: &str) -> std::result::Result<SignedDuration, String> {
    parse_duration(text).map_err(|failure| failure.text)
}

pub(super) use load::{first_address, join_host_port, parse_host_port};
pub use upgrade::{UpgradeConfiguration, UpgradePart};
pub(super) use validate::is_san;

use crate::pki::KeyAlgorithm;
use crate::time::SignedDuration;

/// Lifetime of leaves where nothing else is said: 365 days.
pub const LEAF_VALIDITY: SignedDuration = SignedDuration::from_hours(8760);
/// Lifetime of CAs where nothing else is said: 10 × 365 days.
pub const CA_VALIDITY: SignedDuration = SignedDuration::from_hours(87_600);
/// How far certificates are backdated.
pub const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Where kubeconfigs live.
pub const KUBERNETES_DIR: &str = "/etc/kubernetes";
/// Where certificates live where nothing else is said.
pub const CERTIFICATES_DIR: &str = "/etc/kubernetes/pki";

/// `ClusterConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfiguration {
    /// Name of the cluster in kubeconfigs.
    pub cluster_name: String,
    /// Kubernetes version as written.
    pub kubernetes_version: String,
    /// `host:port` of the control plane's common endpoint; empty without one.
    pub control_plane_endpoint: String,
    /// Where certificates live.
    pub certificates_dir: String,
    /// Service network.
    pub service_subnet: String,
    /// DNS domain of services.
    pub dns_domain: String,
    /// Additional names of the API server.
    pub api_server_sans: Vec<String>,
    /// Where etcd is.
    pub etcd: Etcd,
    /// Kind of new keys.
    pub algorithm: KeyAlgorithm,
    /// Lifetime of new leaves.
    pub leaf_validity: SignedDuration,
    /// Lifetime of new CAs.
    pub ca_validity: SignedDuration,
}

/// Where etcd is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Etcd {
    /// On the control plane nodes.
    Local {
        /// Additional names of etcd's server certificate.
        server_sans: Vec<String>,
        /// Additional names of etcd's peer certificate.
        peer_sans: Vec<String>,
    },
    /// Elsewhere.
    External,
}

impl ClusterConfiguration {
    /// Whether etcd is elsewhere.
    #[must_use]
    pub fn external_etcd(&self) -> bool {
        self.etcd == Etcd::External
    }
}

impl Default for ClusterConfiguration {
    fn default() -> Self {
        Self {
            cluster_name: "kubernetes".to_owned(),
            kubernetes_version: "stable-1".to_owned(),
            control_plane_endpoint: String::new(),
            certificates_dir: CERTIFICATES_DIR.to_owned(),
            service_subnet: "10.96.0.0/12".to_owned(),
            dns_domain: "cluster.local".to_owned(),
            api_server_sans: Vec::new(),
            etcd: Etcd::Local {
                server_sans: Vec::new(),
                peer_sans: Vec::new(),
            },
            algorithm: KeyAlgorithm::Rsa2048,
            leaf_validity: LEAF_VALIDITY,
            ca_validity: CA_VALIDITY,
        }
    }
}

/// `InitConfiguration` with the cluster's part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitConfiguration {
    /// The cluster's part.
    pub cluster: ClusterConfiguration,
    /// Name of the node.
    pub node_name: String,
    /// The kubelet's `--cert-dir`, if it is set.
    pub kubelet_cert_dir: Option<String>,
    /// Address of the node's API server.
    pub advertise_address: IpAddr,
    /// Port of the node's API server.
    pub bind_port: u16,
}

/// What a configuration file says before the machine's own answers fill the gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--cert-dir`.
    pub cert_dir: Option<String>,
    /// `--node-name`.
    pub node_name: Option<String>,
    /// `--apiserver-advertise-address`.
    pub advertise_address: Option<String>,
    /// `--apiserver-bind-port`.
    pub bind_port: Option<u16>,
    /// `--control-plane-endpoint`.
    pub control_plane_endpoint: Option<String>,
    /// `--apiserver-cert-extra-sans`.
    pub api_server_sans: Option<Vec<String>>,
    /// `--service-dns-domain`.
    pub dns_domain: Option<String>,
    /// `--service-cidr`.
    pub service_subnet: Option<String>,
    /// `--kubernetes-version`.
    pub kubernetes_version: Option<String>,
}
