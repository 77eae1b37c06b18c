//! What a step does.

use super::*;

/// The `--certificate-key` of a control plane that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateKey {
    /// None: what control planes share must be there already.
    None,
    /// The last one that was printed.
    Last,
    /// The first one that was printed.
    First,
    /// These digits.
    Literal(String),
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
    /// `kubeadm reset --force`.
    Reset(Nodes),
    /// `kubeadm join` of nodes that joined nothing yet, or were reset.
    Join {
        /// Which nodes, in order.
        nodes: Nodes,
        /// The `--certificate-key` that control planes are given.
        certificate_key: CertificateKey,
        /// The expected exit code; 0 unless said otherwise.
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
        command: crate::scenario::KubectlCommand,
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
        /// Its name; `kubelet-config` stands for the name that the cluster's version gives it.
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
    /// `kubectl apply` on a real cluster.
    Apply {
        /// On which nodes kubectl runs.
        nodes: Nodes,
        /// What is applied.
        objects: Objects,
        /// The expected exit code; 0 unless said otherwise.
        exit_code: i32,
    },
    /// A container image is loaded into nodes of a real cluster.
    Image {
        /// Into which nodes.
        nodes: Nodes,
        /// Where it comes from.
        source: ImageSource,
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

/// Objects that a step applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects {
    /// A file, relative to the scenario's.
    File(String),
    /// YAML that stands in the scenario.
    Manifest(String),
}

/// Where a container image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The container engine of this machine has it under this name.
    Engine(String),
    /// An archive as `docker save` writes it.
    Archive(String),
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
    /// `--config`, when given: the path of an `UpgradeConfiguration` on the node.
    pub config: Option<String>,
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
