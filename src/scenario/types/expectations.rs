//! What must be seen.

use super::*;

/// Something that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where it is written.
    pub at: Position,
    /// What is looked at, and what must be seen.
    pub matcher: Matcher,
}

/// Something that must have held at least once before a deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct Eventually {
    /// What.
    pub expectation: Expectation,
    /// Virtual time after the cluster's start.
    pub within: SignedDuration,
}

/// What is looked at, and what must be seen. Where several nodes are named, all must match.
#[derive(Debug, Clone, PartialEq)]
pub enum Matcher {
    /// The state of an edge.
    Edge {
        /// The client.
        client: Target,
        /// The server; its nodes may be `*` for "wherever the client's configuration points".
        server: Target,
        /// `fresh` unless said otherwise.
        connection: Connection,
        /// What must be seen.
        is: EdgeExpectation,
        /// Text that must be part of the failure.
        text: Option<String>,
    },
    /// Every `fresh` edge of the cluster works.
    AllEdges {
        /// What must be seen.
        is: EdgeExpectation,
    },
    /// The state of a process.
    Process {
        /// Which.
        target: Target,
        /// What must be seen.
        state: Option<ProcessState>,
        /// Text that must be part of its log.
        log: Option<String>,
        /// Text that must not be part of its log.
        log_without: Option<String>,
        /// Whether it is another process than at the last `mark` (or start).
        restarted: Option<bool>,
        /// A file whose certificate it holds (or must not hold) in memory.
        loaded_is_on_disk: Option<(String, bool)>,
    },
    /// A certificate on disk.
    Certificate {
        /// On which nodes.
        nodes: Nodes,
        /// kubeadm's name (`apiserver`, `admin.conf`, `kubelet.conf`) or an absolute path.
        name: String,
        /// Whether the file exists.
        exists: Option<bool>,
        /// Whether it is valid at the node's time.
        valid: Option<bool>,
        /// Remaining life in whole days at the node's time, at least.
        days_left_min: Option<f64>,
        /// Remaining life in days, at most.
        days_left_max: Option<f64>,
        /// Whether it was issued again since the start of the last step that could do so.
        renewed: Option<bool>,
        /// Age in days since NotBefore, at most.
        age_days_max: Option<f64>,
        /// Number of certificates for this name so far (dated files of the kubelet).
        count: Option<u64>,
        /// What the certificate itself says.
        says: CertificateSays,
    },
    /// The last command that a step ran.
    Output {
        /// On which nodes; the last command of each.
        nodes: Nodes,
        /// Its exit code.
        exit_code: Option<i32>,
        /// Text that standard output contains.
        stdout: Vec<String>,
        /// Text that standard output does not contain.
        stdout_without: Vec<String>,
        /// Text that standard error contains.
        stderr: Vec<String>,
    },
    /// `kubeadm certs check-expiration` run now: RESIDUAL TIME by row.
    Residual {
        /// On which nodes.
        nodes: Nodes,
        /// Row name and what its RESIDUAL TIME must be; `*` for every row.
        rows: BTreeMap<String, String>,
    },
    /// A file of a node.
    File {
        /// On which nodes.
        nodes: Nodes,
        /// Absolute path.
        path: String,
        /// Whether it exists.
        exists: Option<bool>,
        /// Text it contains.
        contains: Option<String>,
        /// Text it does not contain.
        without: Option<String>,
        /// Permission bits.
        mode: Option<u32>,
        /// Where the symlink points.
        link: Option<String>,
    },
    /// etcd's members.
    Etcd {
        /// Whether a leader can be elected.
        quorum: Option<bool>,
        /// Members that answer.
        members: Option<u32>,
    },
    /// A Node object as `kubectl get nodes` would show it.
    Node {
        /// Which.
        nodes: Nodes,
        /// `Ready` or `NotReady`.
        ready: bool,
    },
    /// Certificate signing requests.
    Requests {
        /// Only those that kubelets of these nodes posted, or that were posted from there.
        of: Option<Nodes>,
        /// Only those for this signer.
        signer: Option<String>,
        /// Pending ones that exist.
        pending: Option<u32>,
        /// Approved ones that exist and are not issued.
        approved: Option<u32>,
        /// Denied ones that exist.
        denied: Option<u32>,
        /// Failed ones that exist.
        failed: Option<u32>,
        /// Issued ones that exist.
        issued: Option<u32>,
        /// Issued ones since the start, also those that are deleted.
        issued_min: Option<u32>,
        /// Least number of those that exist, in any state.
        listed_min: Option<u32>,
        /// Largest number of those that exist, in any state.
        listed_max: Option<u32>,
        /// Text in the reason or message of a condition of one that exists.
        message: Option<String>,
    },
    /// Whether a client or server would accept a certificate of a file.
    Verify {
        /// On which nodes.
        nodes: Nodes,
        /// The file.
        path: String,
        /// The CA file of the one who verifies.
        ca: String,
        /// It is shown by a server; else by a client.
        server: bool,
        /// The name or address that is asked for.
        name: Option<String>,
        /// Whether it is accepted.
        accepted: bool,
        /// Text that must be part of the refusal.
        text: Option<String>,
    },
}

/// What a certificate must say; `None` for what does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateSays {
    /// Its common name.
    pub common_name: Option<String>,
    /// Its organisations, in any order.
    pub organizations: Option<Vec<String>>,
    /// DNS names and IP addresses that are among its names.
    pub names: Vec<String>,
    /// DNS names and IP addresses that are not.
    pub names_without: Vec<String>,
    /// A file of the node whose first certificate signed it.
    pub signed_by: Option<String>,
    /// Algorithm of its key.
    pub key_algorithm: Option<crate::pki::KeyAlgorithm>,
    /// Its first second.
    pub not_before: Option<Timestamp>,
    /// Its last second.
    pub not_after: Option<Timestamp>,
    /// Number of certificates in its file, or in the kubeconfig's `certificate-authority-data`.
    pub in_file: Option<u64>,
}

/// What must be seen of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeExpectation {
    /// Every request works.
    Ok,
    /// Every request fails.
    Failing,
    /// Behind a load balancer: some requests work, some fail.
    Partial,
    /// There is no such edge at the moment (for `held`: no open connection).
    Absent,
}

/// Which state of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Connection {
    /// What a new handshake and request would give.
    Fresh,
    /// What a request on the open connection gives.
    Held,
}

/// What must be seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It ended with an error, and whoever starts it tries in vain.
    Exited,
    /// It does not run because it was stopped or its manifest is away.
    Stopped,
}
