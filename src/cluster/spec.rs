//! What a world starts from.

use crate::kubeadm::Version;
use crate::pki::KeyAlgorithm;
use crate::scenario::{ApproverPolicy, LoadBalancer};
use crate::time::{SignedDuration, Timestamp};

/// What a world starts from.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Version of every component.
    pub version: Version,
    /// Instant of `kubeadm init`.
    pub start: Timestamp,
    /// Number of control planes.
    pub control_planes: u32,
    /// Number of workers.
    pub workers: u32,
    /// Number of machines of an external etcd; 0: each control plane has its own member.
    pub etcd: u32,
    /// The load balancer in front of several control planes.
    pub load_balancer: LoadBalancer,
    /// Names of nodes that are not joined at the start.
    pub join_later: Vec<String>,
    /// `kubeadm init --upload-certs`.
    pub upload_certs: bool,
    /// `encryptionAlgorithm`, where it is set.
    pub key_algorithm: Option<KeyAlgorithm>,
    /// `certificateValidityPeriod`, where it is set.
    pub certificate_validity: Option<SignedDuration>,
    /// `caCertificateValidityPeriod`, where it is set.
    pub ca_validity: Option<SignedDuration>,
    /// `certificatesDir`, where it is set.
    pub certificates_dir: Option<String>,
    /// `controllerManager.extraArgs` of the configuration, in the order given.
    pub controller_manager_args: Vec<(String, String)>,
    /// `serverTLSBootstrap` of the kubelets' configuration.
    pub server_tls_bootstrap: bool,
    /// A metrics-server runs; whether it verifies kubelets (no `--kubelet-insecure-tls`).
    pub metrics_server: Option<bool>,
    /// The approver of serving certificates that is installed from the start.
    pub serving_approver: Option<ApproverPolicy>,
    /// Seed of every random stream.
    pub seed: u64,
}

impl Spec {
    /// One control plane of a version, with kubeadm's defaults, from 2026-01-01T00:00:00Z on.
    #[must_use]
    pub fn of(version: Version) -> Self {
        Self {
            version,
            // 2026-01-01T00:00:00Z.
            start: Timestamp::constant(1_767_225_600, 0),
            control_planes: 1,
            workers: 0,
            etcd: 0,
            load_balancer: LoadBalancer::default(),
            join_later: Vec::new(),
            upload_certs: false,
            key_algorithm: None,
            certificate_validity: None,
            ca_validity: None,
            certificates_dir: None,
            controller_manager_args: Vec::new(),
            server_tls_bootstrap: false,
            metrics_server: None,
            serving_approver: None,
            seed: 0,
        }
    }
}
