//! A node: its clock offset, its tree, its kubelet, its static Pods.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::csr::flags::Flags;
use super::files::{ClientConfig, Credential, Roots, host_of};
use crate::fs::{MemoryTree, Tree as _};
use crate::kubeadm::Version;
use crate::kubeadm::manifests;
use crate::kubeadm::profile::components::Slot;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// The certificates directory unless a cluster is made with another.
pub const PKI: &str = "/etc/kubernetes/pki";
/// The directory the kubelet reads static Pods from.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The kubelet's directory.
pub const KUBELET_DIR: &str = "/var/lib/kubelet";
/// The kubelet's certificate directory.
pub const KUBELET_PKI: &str = "/var/lib/kubelet/pki";
/// The symlink to the kubelet's client certificate.
pub const KUBELET_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The pair of a kubelet's first certificate in 1.10, without `.crt` and `.key`.
pub const KUBELET_CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client";
/// The symlink to the kubelet's serving certificate, with `serverTLSBootstrap: true`.
pub const SERVING_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-server-current.pem";
/// The kubelet's configuration file.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The kubelet's kubeconfig.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
/// The kubeconfig a node joins with.
pub const BOOTSTRAP_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The administrator's kubeconfig.
pub const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";
/// The copy of admin.conf that a user took at init.
pub const USER_CONF: &str = "/root/.kube/config";
/// Where a kube-apiserver finds the etcd beside it.
pub const LOOPBACK: &str = "127.0.0.1";
/// The static Pods of a control plane with its own etcd, in the order kubeadm upgrades them.
pub const STATIC_PODS: [Component; 4] = [
    Component::Etcd,
    Component::ApiServer,
    Component::ControllerManager,
    Component::Scheduler,
];

/// One machine of the cluster.
#[derive(Debug)]
pub struct Node {
    /// `cp1`, `w1`, ...
    pub name: String,
    /// Whether it is (to be) a control plane.
    pub control_plane: bool,
    /// Whether a member of etcd runs (or is to run) on it.
    pub etcd: bool,
    /// Its address.
    pub address: IpAddr,
    /// Its `/`.
    pub tree: MemoryTree,
    /// `certificatesDir` of the cluster it belongs to.
    pub certificates_dir: String,
    /// How far its wall clock is ahead of true time.
    pub offset: SignedDuration,
    /// Whether it is powered on.
    pub powered: bool,
    /// Version of kubeadm and kubelet installed.
    pub version: Version,
    /// Its kubelet.
    pub kubelet: Kubelet,
    /// Its static Pods, as the kubelet knows them.
    pub pods: BTreeMap<Component, Pod>,
    /// `Ready` as the Node object shows it; `None` before the node joined.
    pub ready: Option<bool>,
    /// Its etcd has joined the others.
    pub etcd_member: bool,
    /// `kubeadm reset` was run, and no join since.
    pub reset: bool,
    /// Generation of the tree that was last looked at.
    pub seen: Option<u64>,
    /// Certificates on disk: path, end of validity, whether the end was reported.
    pub on_disk: BTreeMap<String, DiskCertificate>,
    /// The last kubeadm command.
    pub last_output: Option<crate::kubeadm::CommandOutput>,
    /// Everything processes of this node logged, by process name.
    pub logs: BTreeMap<Component, Vec<String>>,
}

/// A certificate on a node's disk.
#[derive(Debug, Clone)]
pub struct DiskCertificate {
    /// The first certificate of the file.
    pub certificate: crate::pki::Certificate,
    /// What the file held.
    pub content: Arc<[u8]>,
    /// Its end was reported.
    pub expired: bool,
}

/// A static Pod.
#[derive(Debug, Default)]
pub struct Pod {
    /// The manifest the kubelet started it from.
    pub manifest: Option<Arc<[u8]>>,
    /// Its process.
    pub state: PodState,
    /// Grows with each change of state, so that stale timers are recognised.
    pub epoch: u64,
    /// Restarts after a crash, for the back-off.
    pub crashes: u32,
}

/// Where a static Pod's process is in its life.
#[derive(Debug, Default)]
pub enum PodState {
    /// None.
    #[default]
    Absent,
    /// The container is being started.
    Starting,
    /// It runs.
    Running(Process),
    /// It was asked to stop and still serves.
    Stopping(Process),
    /// It ended with an error and waits for its back-off or for what it needs.
    Crashed,
}

/// A running process and what it holds in memory.
#[derive(Debug, Clone)]
pub struct Process {
    /// Unique in a run: another number is another process.
    pub id: u64,
    /// True time of its start.
    pub started: Timestamp,
    /// Version of the component.
    pub version: Version,
    /// Files it reads, as the flags of its manifest said when it started.
    pub files: Vec<(Slot, FileSource)>,
    /// What it has read from them.
    pub loaded: BTreeMap<Slot, Loaded>,
    /// kube-controller-manager's flags.
    pub flags: Arc<Flags>,
    /// Hosts of `--etcd-servers` of a kube-apiserver.
    pub etcd_servers: Vec<String>,
}

/// Something a process has read.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A certificate with its key.
    Pair(Arc<Credential>),
    /// Certificates it trusts.
    Roots(Arc<Roots>),
    /// A kubeconfig.
    Config(Arc<ClientConfig>),
    /// A key.
    Key,
}

/// The kubelet of a node.
#[derive(Debug)]
pub struct Kubelet {
    /// Whether it runs.
    pub state: KubeletState,
    /// Unique in a run: another number is another process.
    pub id: u64,
    /// kubelet.conf as read at start.
    pub config: Option<Arc<ClientConfig>>,
    /// CAs its own server accepts clients from.
    pub client_ca: Option<Arc<Roots>>,
    /// The certificate manager's certificate.
    pub current: Option<Arc<Credential>>,
    /// When it rotates, on the node's wall clock.
    pub deadline: Option<Timestamp>,
    /// What the certificate manager is doing.
    pub rotation: Rotation,
    /// How often it began to ask for a certificate.
    pub rotations: u32,
    /// What port 10250 is served with.
    pub serving: Serving,
    /// What the certificate manager believes of the API server.
    pub server_healthy: bool,
    /// It has been without a valid certificate; the five minutes run or are over.
    pub stranded: Stranded,
    /// The bootstrap token of a join that is still to be used.
    pub bootstrapping: bool,
}

/// What a kubelet serves with, and the manager of that certificate.
#[derive(Debug)]
pub struct Serving {
    /// `serverTLSBootstrap`: the certificate comes from the cluster.
    pub bootstrap: bool,
    /// The certificate, as long as there is one.
    pub current: Option<Arc<Credential>>,
    /// When it rotates, on the node's wall clock.
    pub deadline: Option<Timestamp>,
    /// What its manager is doing.
    pub rotation: Rotation,
    /// How often that began to ask for a certificate.
    pub rotations: u32,
}

/// Whether a kubelet runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeletState {
    /// It was stopped, or was never started.
    Stopped,
    /// It runs.
    Running,
    /// It ends at each start; systemd tries again every ten seconds.
    Exited,
}

/// How long a kubelet has been without a valid client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranded {
    /// It has one.
    No,
    /// For less than five minutes.
    Counting,
    /// For longer, and it stayed because the API server seemed not to answer.
    Stuck,
}

/// What a kubelet's certificate manager is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Waiting for its deadline.
    Idle,
    /// Its request waits for approval and signature.
    Waiting {
        /// Index of the request.
        request: usize,
        /// Requests posted so far in this rotation.
        attempts: u32,
        /// The API server is out of reach: the next attempt is on the clock and will fail.
        blocked: bool,
    },
    /// The request could not be made; it tries again.
    Retrying {
        /// Failed attempts so far.
        attempts: u32,
        /// The next attempt is on the clock.
        scheduled: bool,
    },
}

impl Kubelet {
    /// One that never ran.
    #[must_use]
    pub const fn stopped() -> Self {
        Self {
            state: KubeletState::Stopped,
            id: 0,
            config: None,
            client_ca: None,
            current: None,
            deadline: None,
            rotation: Rotation::Idle,
            rotations: 0,
            serving: Serving {
                bootstrap: false,
                current: None,
                deadline: None,
                rotation: Rotation::Idle,
                rotations: 0,
            },
            server_healthy: false,
            stranded: Stranded::No,
            bootstrapping: false,
        }
    }
}

impl Node {
    /// A bare machine; the etcd of a control plane is beside it unless said otherwise.
    #[must_use]
    pub fn new(name: String, control_plane: bool, last_octet: u8, version: Version) -> Self {
        Self {
            name,
            control_plane,
            etcd: control_plane,
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last_octet)),
            tree: MemoryTree::new(),
            certificates_dir: PKI.to_owned(),
            offset: SignedDuration::ZERO,
            powered: true,
            version,
            kubelet: Kubelet::stopped(),
            pods: BTreeMap::new(),
            ready: None,
            etcd_member: false,
            reset: false,
            seen: None,
            on_disk: BTreeMap::new(),
            last_output: None,
            logs: BTreeMap::new(),
        }
    }

    /// A file below its certificates directory.
    #[must_use]
    pub fn pki(&self, name: &str) -> String {
        format!("{}/{name}", self.certificates_dir)
    }

    /// Whether it is a machine of an external etcd: its kubelet runs alone, and the cluster knows no such node.
    #[must_use]
    pub fn only_etcd(&self) -> bool {
        self.etcd && !self.control_plane
    }

    /// The static Pods that kubeadm makes for it.
    #[must_use]
    pub fn static_pods(&self) -> &'static [Component] {
        match (self.control_plane, self.etcd) {
            (true, true) => &STATIC_PODS,
            (true, false) => &STATIC_PODS[1..],
            (false, true) => &STATIC_PODS[..1],
            (false, false) => &[],
        }
    }

    /// Whether the cluster's CA is here without its key.
    #[must_use]
    pub fn external_ca(&self) -> bool {
        self.tree.exists(&self.pki("ca.crt")) && !self.tree.exists(&self.pki("ca.key"))
    }

    /// The process of a static Pod that serves right now.
    #[must_use]
    pub fn process(&self, component: Component) -> Option<&Process> {
        if !self.powered {
            return None;
        }
        match &self.pods.get(&component)?.state {
            PodState::Running(process) | PodState::Stopping(process) => Some(process),
            _ => None,
        }
    }

    /// Identity of a running process, the kubelet included.
    #[must_use]
    pub fn process_id(&self, component: Component) -> Option<u64> {
        match component {
            Component::Kubelet => (self.powered && self.kubelet.state == KubeletState::Running)
                .then_some(self.kubelet.id),
            _ => self.process(component).map(|process| process.id),
        }
    }
}

impl Process {
    /// A pair it holds.
    #[must_use]
    pub fn pair(&self, slot: Slot) -> Option<&Arc<Credential>> {
        match self.loaded.get(&slot) {
            Some(Loaded::Pair(pair)) => Some(pair),
            _ => None,
        }
    }

    /// A CA bundle it holds.
    #[must_use]
    pub fn roots(&self, slot: Slot) -> Option<&Arc<Roots>> {
        match self.loaded.get(&slot) {
            Some(Loaded::Roots(roots)) => Some(roots),
            _ => None,
        }
    }

    /// The kubeconfig it holds.
    #[must_use]
    pub fn config(&self) -> Option<&Arc<ClientConfig>> {
        match self.loaded.get(&Slot::Kubeconfig) {
            Some(Loaded::Config(config)) => Some(config),
            _ => None,
        }
    }
}

/// What a static Pod reads, by the flags of its manifest: the slot and the files.
///
/// # Errors
/// With a sentence that names a flag without which certdrill does not know what the component would do.
pub fn files_of(component: Component, manifest: &str) -> Result<Vec<(Slot, FileSource)>, String> {
    let path = |name: &str| {
        manifests::flag(manifest, name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| {
                format!(
                    "{} is started without --{name}: certdrill does not know what it does then",
                    component.name()
                )
            })
    };
    let pair = |crt, key| Ok::<_, String>(FileSource::Pair(path(crt)?, path(key)?));
    let roots = |name| path(name).map(FileSource::Roots);
    let config = || path("kubeconfig").map(FileSource::Config);
    Ok(match component {
        Component::Etcd => vec![
            (Slot::Serving, pair("cert-file", "key-file")?),
            (Slot::Peer, pair("peer-cert-file", "peer-key-file")?),
            (Slot::EtcdCa, roots("trusted-ca-file")?),
        ],
        Component::ApiServer => vec![
            (
                Slot::Serving,
                pair("tls-cert-file", "tls-private-key-file")?,
            ),
            (Slot::ClientCa, roots("client-ca-file")?),
            (Slot::EtcdClient, pair("etcd-certfile", "etcd-keyfile")?),
            (Slot::EtcdCa, roots("etcd-cafile")?),
            (
                Slot::KubeletClient,
                pair("kubelet-client-certificate", "kubelet-client-key")?,
            ),
            (
                Slot::FrontProxyClient,
                pair("proxy-client-cert-file", "proxy-client-key-file")?,
            ),
            (
                Slot::RequestHeaderCa,
                roots("requestheader-client-ca-file")?,
            ),
            (
                Slot::ServiceAccountKey,
                FileSource::Key(path("service-account-key-file")?),
            ),
        ],
        Component::ControllerManager => {
            // What it signs with is read by rules of its own: `csr/flags.rs`.
            vec![
                (Slot::Kubeconfig, config()?),
                (
                    Slot::ServiceAccountSigner,
                    FileSource::Key(path("service-account-private-key-file")?),
                ),
            ]
        }
        Component::Scheduler => vec![(Slot::Kubeconfig, config()?)],
        Component::Kubelet
        | Component::Admin
        | Component::User
        | Component::Extension
        | Component::MetricsServer => Vec::new(),
    })
}

/// Hosts of the etcd members that a kube-apiserver asks; its own machine where the manifest does not say.
#[must_use]
pub fn etcd_servers(manifest: &str) -> Vec<String> {
    manifests::flag(manifest, "etcd-servers").map_or_else(
        || vec![LOOPBACK.to_owned()],
        |urls| urls.split(',').map(host_of).collect(),
    )
}

/// Files behind a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// Certificate and key.
    Pair(String, String),
    /// A CA bundle.
    Roots(String),
    /// A kubeconfig.
    Config(String),
    /// A key alone, of which only its being there counts.
    Key(String),
}

impl FileSource {
    /// The file that names the source: the certificate of a pair.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Pair(path, _) | Self::Roots(path) | Self::Config(path) | Self::Key(path) => path,
        }
    }
}
