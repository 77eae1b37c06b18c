//! How the state of the world changed: what a reader needs to say what was so at any instant of a run.
//!
//! A [`StateChange`] holds only what is not as it was written down before. The first one of a run holds everything.
//! It may hold what differs between two runs of the real kubeadm (serial numbers), so it is no observation and
//! nothing is judged or compared by it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Everything that changed since the last record of this kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StateChange {
    /// Machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeState>,
    /// Certificates on disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<OnDisk>,
    /// Certificates in the memory of processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<InMemory>,
    /// Processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessState>,
    /// Edges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<EdgeState>,
    /// Certificate signing requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<CsrState>,
    /// What `kubeadm certs check-expiration` prints, as the model has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expiration: Vec<Expiration>,
}

impl StateChange {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    /// Its name.
    pub node: String,
    /// Version of kubeadm and kubelet on it.
    pub version: String,
    /// Seconds by which its wall clock is ahead of true time.
    pub ahead: i64,
    /// Whether it is powered on.
    pub powered: bool,
    /// `Ready` as the Node object shows it; `None` before the node joined.
    pub ready: Option<bool>,
}

/// A file with a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnDisk {
    /// The node.
    pub node: String,
    /// The file.
    pub path: String,
    /// Its first certificate; `None` when there is none any more.
    pub certificate: Option<CertificateState>,
}

/// A certificate that a process holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InMemory {
    /// `kube-apiserver@cp1`.
    pub process: String,
    /// What it is used for: `Serving`, `EtcdClient`, ...
    pub slot: String,
    /// The file it was read from.
    pub path: String,
    /// The certificate, of a bundle the first; `None` when the process holds none any more.
    pub certificate: Option<CertificateState>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateState {
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Organizations and common name: `O=system:nodes, CN=system:node:cp1`.
    pub subject: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// First second of its validity.
    pub not_before: Timestamp,
    /// Last second of its validity.
    pub not_after: Timestamp,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessState {
    /// `kubelet@cp1`.
    pub process: String,
    /// `running`, `stopped`, `starting`, ...
    pub state: String,
    /// Its number: another number is another process.
    pub number: Option<u64>,
}

/// An edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeState {
    /// `kubelet@cp1 -> kube-apiserver`.
    pub edge: String,
    /// What a new connection and request give.
    pub fresh: RequestOutcome,
    /// What a request on the open connection gives.
    pub held: RequestOutcome,
}

/// What a request gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOutcome {
    /// `ok`, `failing`, `partial` or `absent`.
    pub is: String,
    /// Class of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Its words when it began. They may name the time, so they are not what decides whether something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A certificate signing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsrState {
    /// `csr-x7k2p`.
    pub request: String,
    /// Who asks.
    pub username: String,
    /// `spec.signerName`.
    pub signer: String,
    /// `Pending`, `Approved`, `Issued`, ..., `Deleted`.
    pub state: String,
    /// When it was made.
    pub created: Timestamp,
}

/// What `kubeadm certs check-expiration` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiration {
    /// The node it is run on.
    pub node: String,
    /// Its exit code.
    pub exit_code: i32,
    /// Residual times are printed in the long form (`2d3h`), as newer versions do.
    pub long_durations: bool,
    /// Standard output, at the instant of this record.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}
