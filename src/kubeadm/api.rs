use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::fs::Tree;
use crate::pki::KeySource;
use crate::time::Timestamp;

/// The machine a kubeadm command runs on: everything that kubeadm would ask it.
pub struct Machine<'a> {
    /// The tree that plays `/`.
    pub tree: &'a mut dyn Tree,
    /// The wall clock at the start of the process.
    pub now: Timestamp,
    /// What `hostname` would answer.
    pub hostname: String,
    /// The address of the default route.
    pub host_address: IpAddr,
    /// Where new keys and serial numbers come from.
    pub keys: &'a mut dyn KeySource,
    /// The API server, where one can be reached at all. Each call is made with the credentials of
    /// the kubeconfig that is given and may be refused.
    pub cluster: Option<&'a mut dyn ClusterReader>,
}

/// What a command left behind besides files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandOutput {
    /// Exit status.
    pub exit_code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// An API request that failed, with the text client-go would give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApiError(pub String);

/// What kubeadm reads from a running cluster (`K/util/config/cluster.go`).
pub trait ClusterReader {
    /// Data of a ConfigMap in `kube-system`, asked for with the kubeconfig's credentials.
    ///
    /// # Errors
    /// When the API server cannot be reached, refuses the credentials, or has no such object.
    fn config_map(
        &mut self,
        kubeconfig: &[u8],
        name: &str,
    ) -> Result<BTreeMap<String, String>, ApiError>;

    /// Whether a Node object exists; its advertise address if a kube-apiserver Pod runs there.
    ///
    /// # Errors
    /// As [`ClusterReader::config_map`].
    fn node(&mut self, kubeconfig: &[u8], name: &str) -> Result<Option<IpAddr>, ApiError>;
}
