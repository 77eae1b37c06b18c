//! A scenario as the player sees it: every name resolved, every default filled in, one variant of the
//! matrix. What people write is turned into this by the parser, which keeps the source positions.

mod expectations;
mod steps;

pub use expectations::*;
pub use steps::*;

use std::collections::BTreeMap;

use crate::kubeadm::Version;
use crate::time::{SignedDuration, Timestamp};

/// One scenario, one variant of its matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.title`.
    pub title: String,
    /// Documentation page or issue.
    pub reference: Option<String>,
    /// Tags for `--include` and `--exclude`.
    pub tags: Vec<String>,
    /// The file it was read from, as given on the command line.
    pub file: String,
    /// Values of the matrix for this variant, for example `version: v1.36.3`.
    pub variant: BTreeMap<String, String>,
    /// Those of them that were given from outside (`--set`) and do not stand in the file.
    pub set: BTreeMap<String, String>,
    /// Backends that can play it.
    pub backends: Vec<Backend>,
    /// Observations that `verify` must compare at least, so that no difference cannot come from comparing nothing.
    pub compared_min: u32,
    /// Built-in invariants that are broken on purpose, and why.
    pub opt_out: BTreeMap<Invariant, String>,
    /// The cluster at the start.
    pub cluster: Cluster,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Must hold after every event.
    pub always: Vec<Expectation>,
    /// Must have held at least once by a deadline.
    pub eventually: Vec<Eventually>,
    /// Must hold at least once over a batch of seeds.
    pub sometimes: Vec<Expectation>,
}

/// Something that holds in every run unless a scenario says why it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// No edge breaks while the certificates it rests on are valid and are those on disk.
    ValidEdges,
    /// No certificate is accepted outside its validity.
    Validity,
    /// A renewal changes no name, organisation, SAN or usage.
    Identity,
    /// A running kubelet that can have its certificate renewed does not lose it.
    KubeletCertificate,
    /// etcd keeps its quorum while steps renew and restart, as long as a majority has valid certificates on disk.
    EtcdQuorum,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ValidEdges,
        Self::Validity,
        Self::Identity,
        Self::KubeletCertificate,
        Self::EtcdQuorum,
    ];

    /// Its name in scenarios and traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ValidEdges => "validEdges",
            Self::Validity => "validity",
            Self::Identity => "identity",
            Self::KubeletCertificate => "kubeletCertificate",
            Self::EtcdQuorum => "etcdQuorum",
        }
    }
}

/// Where a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Everything simulated but X.509.
    Sim,
    /// The real kubeadm binary in a simulated world.
    Kubeadm,
    /// A real cluster whose clock is moved.
    Kind,
}

/// The cluster a scenario starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// kubeadm and component version at the start.
    pub version: Version,
    /// Instant of `kubeadm init` on the first control plane.
    pub start: Timestamp,
    /// Number of control planes, `cp1`, `cp2`, ...
    pub control_planes: u32,
    /// Number of workers, `w1`, `w2`, ...
    pub workers: u32,
    /// Number of machines of an external etcd, `etcd1`, `etcd2`, ...; 0: each control plane has a member.
    pub etcd: u32,
    /// The load balancer in front of several control planes.
    pub load_balancer: LoadBalancer,
    /// Nodes that join later, by a step.
    pub join_later: Option<Nodes>,
    /// `kubeadm init --upload-certs`.
    pub upload_certs: bool,
    /// Algorithm of the keys: `encryptionAlgorithm`. `None` is kubeadm's default, RSA-2048.
    pub key_algorithm: Option<crate::pki::KeyAlgorithm>,
    /// `ClusterConfiguration.certificateValidityPeriod`, versions with v1beta4.
    pub certificate_validity: Option<SignedDuration>,
    /// `ClusterConfiguration.caCertificateValidityPeriod`, versions with v1beta4.
    pub ca_validity: Option<SignedDuration>,
    /// `ClusterConfiguration.certificatesDir`; `None` is kubeadm's default, /etc/kubernetes/pki.
    pub certificates_dir: Option<String>,
    /// `controllerManager.extraArgs` of the configuration.
    pub controller_manager_args: Vec<(String, String)>,
    /// `serverTLSBootstrap: true` in the kubelets' configuration at init.
    pub server_tls_bootstrap: bool,
    /// A metrics-server runs; whether it verifies the kubelets' certificates.
    pub metrics_server: Option<bool>,
    /// The approver of serving certificates that is installed; none unless said otherwise.
    pub serving_approver: Option<ApproverPolicy>,
    /// `kubeadm init` is left to a step; the nodes are bare.
    pub bare: bool,
    /// Certificates that get other dates before the first step.
    pub certificates: Vec<Dated>,
}

/// How a load balancer in front of API servers works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadBalancer {
    /// A client always gets the same server, as long as the same servers are in.
    pub sticky: bool,
    /// How it finds out which servers are in.
    pub health_check: HealthCheck,
}

/// How a load balancer finds out which API servers work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HealthCheck {
    /// It connects to the port.
    #[default]
    Tcp,
    /// It asks /healthz and takes any certificate.
    HttpsUnverified,
    /// It asks /healthz and verifies the certificate against the cluster's CA.
    HttpsVerified,
}

/// A certificate with dates of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// kubeadm's name, or `kubelet`.
    pub name: String,
    /// First second of validity, where it is said.
    pub not_before: Option<Timestamp>,
    /// Last second of validity.
    pub not_after: Timestamp,
}

/// How an installed approver of kubelet serving certificates decides. Kubernetes has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApproverPolicy {
    /// Approves where the common name is the requestor's, whatever names and addresses are asked for.
    Naive,
    /// As naive, and every DNS name and IP address must be the node's.
    Strict,
    /// Denies everything.
    Denying,
}

/// One step with its place in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it is written.
    pub at: Position,
    /// What it does.
    pub action: Action,
}

/// A place in a scenario file, counted from 1. Offsets are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Byte offset of the first character.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

/// Nodes by kinder's selectors: `@all`, `@cp*`, `@cp1`, `@w*`. Stored without `@`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(pub String);

/// A component on nodes: `kube-apiserver@cp1`, `kubelet@*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which component; `None` for all static Pods (`control-plane@cp1`).
    pub component: Option<Component>,
    /// On which nodes.
    pub nodes: Nodes,
}

/// What runs on a node, and who connects to an API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// `etcd`.
    Etcd,
    /// `kube-apiserver`; also written `apiserver`.
    ApiServer,
    /// `kube-controller-manager`.
    ControllerManager,
    /// `kube-scheduler`.
    Scheduler,
    /// `kubelet`.
    Kubelet,
    /// A client that reads `admin.conf` anew for each request.
    Admin,
    /// A user's copy of `admin.conf`, taken at init: `/root/.kube/config`.
    User,
    /// An extension API server behind the aggregator.
    Extension,
    /// A metrics-server, which asks every kubelet for its metrics.
    MetricsServer,
}
