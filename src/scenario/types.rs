//! A scenario as the player sees it: every name resolved, every default filled in, one variant of the
//! matrix. What people write is turned into this by the parser, which keeps the source positions.

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

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Time passes and everything keeps running.
    Walk(Passage),
    /// The wall clocks step forward; timers do not.
    Jump(SignedDuration),
    /// Nodes are powered off while time passes, then on again.
    Dormant {
        /// Which nodes.
        nodes: Nodes,
        /// For how long.
        span: SignedDuration,
    },
    /// The clocks of some nodes differ from now on, by this much in all.
    Skew {
        /// Which nodes.
        nodes: Nodes,
        /// Their offset from true time.
        offset: SignedDuration,
    },
    /// The wall clocks step back; timers do not.
    StepBack(SignedDuration),
    /// `kubeadm init` on the first control plane and `join` on the others.
    Init {
        /// The expected exit code of the command that ends first with another than 0; 0 unless said otherwise.
        exit_code: i32,
    },
    /// Makes a certificate as somebody else's CA would: an operator's own tools, a company's PKI.
    Issue(Issue),
    /// `kubeadm certs renew`, spelled as the node's version wants.
    Renew {
        /// On which nodes.
        nodes: Nodes,
        /// `all` or a certificate's name.
        name: String,
        /// Whether the command is expected to exit 0; `None` means it must.
        exit_code: Option<i32>,
    },
    /// `kubeadm certs check-expiration`, spelled as the node's version wants.
    CheckExpiration {
        /// On which nodes.
        nodes: Nodes,
    },
    /// `kubeadm upgrade apply` on the first of the nodes, `upgrade node` on the others.
    Upgrade(Upgrade),
    /// Any kubeadm command line, literally.
    Kubeadm {
        /// On which nodes.
        nodes: Nodes,
        /// What follows `kubeadm`.
        args: Vec<String>,
        /// The expected exit code; 0 unless said otherwise.
        exit_code: i32,
        /// A file of the node that standard output is written to.
        stdout_to: Option<String>,
    },
    /// kubectl with `admin.conf`.
    Kubectl {
        /// On which nodes.
        nodes: Nodes,
        /// What it does.
        command: super::KubectlCommand,
        /// What follows `kubectl`, as written.
        line: String,
        /// The expected exit code; 0 unless said otherwise.
        exit_code: i32,
    },
    /// `kubectl certificate approve` or `deny` of every pending request, or of some, on the first control plane.
    Decide {
        /// `approve`.
        approve: bool,
        /// Nodes whose kubelets posted them; everyone's where it is `None`.
        of: Option<Nodes>,
        /// Only those for a signer.
        signer: Option<String>,
    },
    /// Someone posts a request of their own.
    RequestCertificate(Box<RequestCertificate>),
    /// An approver of kubelet serving certificates is installed, replaced or (`None`) removed.
    ServingApprover(Option<ApproverPolicy>),
    /// A ConfigMap in `kube-system` is edited.
    EditConfigMap {
        /// Its name; `kubelet-config` stands for the name that the version gives it.
        name: String,
        /// The key of its data.
        key: String,
        /// What is done to that.
        change: Change,
    },
    /// A shell script on real backends, with `kubeadm`, `openssl` and whatever else this machine has.
    Exec {
        /// On which nodes.
        nodes: Nodes,
        /// The script.
        run: String,
        /// The expected exit code; 0 unless said otherwise.
        exit_code: i32,
    },
    /// Stops and starts a process: `systemctl restart kubelet`; a static Pod's container is killed and the
    /// kubelet starts it again. Waits until the new process runs.
    Restart(Target),
    /// Stops a process and keeps it stopped.
    Stop(Target),
    /// Starts a stopped process.
    Start(Target),
    /// Reboots nodes: every process ends, the kubelet starts again.
    Reboot(Nodes),
    /// Moves manifests out of `/etc/kubernetes/manifests`, waits, moves them back: the documented restart.
    MoveManifests(MoveManifests),
    /// Replaces text in a file, or sets its content.
    Edit(Edit),
    /// Removes files.
    Remove {
        /// On which nodes.
        nodes: Nodes,
        /// Absolute paths.
        paths: Vec<String>,
    },
    /// Copies a file, also between nodes.
    Copy {
        /// From which node.
        from_node: Nodes,
        /// Absolute path there.
        from: String,
        /// To which nodes.
        to_nodes: Nodes,
        /// Absolute path there.
        to: String,
    },
    /// Must hold now.
    Expect(Expectation),
    /// A negative control: must *not* hold now, and `because` must be part of what is seen instead.
    ExpectFailure {
        /// What must fail.
        expectation: Expectation,
        /// Text that must be part of what is seen.
        because: Option<String>,
    },
    /// A remark in the timeline.
    Note(String),
}

/// A request that a step posts.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestCertificate {
    /// The node it is posted from.
    pub node: Nodes,
    /// The kubeconfig there that it is posted with.
    pub kubeconfig: String,
    /// The signer's name.
    pub signer: String,
    /// CN.
    pub common_name: String,
    /// O.
    pub organizations: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<std::net::IpAddr>,
    /// Usages as the API has them: `client auth`.
    pub usages: Vec<String>,
    /// `spec.expirationSeconds`.
    pub expiration_seconds: Option<i64>,
    /// A file of the node that certificate and key are written to when it is issued.
    pub save_to: Option<String>,
    /// The expected exit code; 0 unless said otherwise.
    pub exit_code: i32,
}

/// How long time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Passage {
    /// For a length of time.
    For(SignedDuration),
    /// Until an instant of true time.
    Until(Timestamp),
    /// Until a number of virtual time has passed since the cluster's start: `day 255.5`.
    SinceStart(SignedDuration),
}

/// `kubeadm upgrade`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upgrade {
    /// Which nodes, in order; the first runs `apply`, the others `node`. Workers run `upgrade node`.
    pub nodes: Nodes,
    /// The version to upgrade to.
    pub to: Version,
    /// `--certificate-renewal`, when given.
    pub certificate_renewal: Option<bool>,
    /// `--etcd-upgrade`, when given.
    pub etcd_upgrade: Option<bool>,
    /// The expected exit code; 0 unless said otherwise.
    pub exit_code: i32,
}

/// The documented restart of static Pods.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveManifests {
    /// On which nodes.
    pub nodes: Nodes,
    /// Which static Pods; empty for all four.
    pub components: Vec<Component>,
    /// How long the manifests stay away: 20 s as documented.
    pub wait: SignedDuration,
    /// Do not wait a fixed time but until the old processes are gone and the new ones run.
    pub until_restarted: bool,
    /// Leave the manifests out: a later `moveManifests` with `back: true` brings them back.
    pub leave_out: bool,
    /// Only move manifests back.
    pub back: bool,
}

/// A certificate that is made without kubeadm.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// On which nodes; each gets a certificate of its own.
    pub nodes: Nodes,
    /// Where it is written: `<path>.crt`, and `<path>.key` with a new key.
    pub path: String,
    /// What signs it: `<signer>.crt` and `<signer>.key` on the same node. `None`: it signs itself.
    pub signer: Option<String>,
    /// A request that is signed instead of a new key: names and key come from there, and nothing else.
    pub request: Option<String>,
    /// A key of the node that is used instead of a new one.
    pub key: Option<String>,
    /// Common name.
    pub common_name: Option<String>,
    /// Organisations.
    pub organizations: Vec<String>,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// Extended key usages.
    pub usages: Vec<crate::pki::ExtKeyUsage>,
    /// Whether it is a CA.
    pub ca: bool,
    /// Algorithm of a new key.
    pub key_algorithm: crate::pki::KeyAlgorithm,
    /// From now, by the node's clock, until its end.
    pub validity: SignedDuration,
    /// How far its beginning is set back.
    pub backdate: SignedDuration,
    /// The signer's certificates follow in the file.
    pub chain: bool,
}

/// A change to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// On which nodes.
    pub nodes: Nodes,
    /// Absolute path; symlinks are followed.
    pub path: String,
    /// What is done to it.
    pub change: Change,
}

/// What is done to a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The whole content.
    Content(String),
    /// Lines that begin (after blanks) with `key:` become `key: value`; the key may change too:
    /// `client-certificate-data` to `client-certificate: /var/lib/...`.
    SetLines(Vec<(String, String)>),
    /// Permission bits.
    Mode(u32),
    /// Lines added at the end.
    Append(String),
    /// Text that is replaced wherever it stands; it must be there.
    Replace(Vec<(String, String)>),
    /// Flags of a static Pod's command, in its manifest.
    SetFlags(Vec<(String, String)>),
    /// The contents of these files of the node, one after the other: a bundle.
    Concatenate(Vec<String>),
    /// Data of a kubeconfig from files of the node.
    Embed(Embed),
}

/// What is put into a kubeconfig's current context, each from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embed {
    /// `certificate-authority-data` of the cluster.
    pub certificate_authority: Option<String>,
    /// `client-certificate-data` of the user.
    pub client_certificate: Option<String>,
    /// `client-key-data` of the user.
    pub client_key: Option<String>,
}

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
