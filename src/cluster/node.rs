//! A node: its clock offset, its tree, its kubelet, its static Pods.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::csr::flags::Flags;
use super::files::{ClientConfig, Credential, Roots};
use crate::fs::MemoryTree;
use crate::kubeadm::Version;
use crate::kubeadm::profile::components::Slot;
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// The certificates directory of every simulated node.
pub const PKI: &str = "/etc/kubernetes/pki";
/// The directory the kubelet reads static Pods from.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The kubelet's certificate directory.
pub const KUBELET_PKI: &str = "/var/lib/kubelet/pki";
/// The symlink to the kubelet's client certificate.
pub const KUBELET_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The symlink to the kubelet's serving certificate, with `serverTLSBootstrap: true`.
pub const SERVING_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-server-current.pem";
/// The kubelet's configuration file.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The kubelet's kubeconfig.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
/// The kubeconfig a node joins with.
pub const BOOTSTRAP_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The copy of admin.conf that a user took at init.
pub const USER_CONF: &str = "/root/.kube/config";
/// The static Pods of a control plane, in the order kubeadm upgrades them.
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
    /// Its address.
    pub address: IpAddr,
    /// Its `/`.
    pub tree: MemoryTree,
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
    /// Files it has read.
    pub loaded: BTreeMap<Slot, Loaded>,
    /// kube-controller-manager's flags.
    pub flags: Arc<Flags>,
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

impl Node {
    /// A bare machine.
    #[must_use]
    pub fn new(name: String, control_plane: bool, last_octet: u8, version: Version) -> Self {
        Self {
            name,
            control_plane,
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last_octet)),
            tree: MemoryTree::new(),
            offset: SignedDuration::ZERO,
            powered: true,
            version,
            kubelet: Kubelet {
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
            },
            pods: BTreeMap::new(),
            ready: None,
            etcd_member: false,
            seen: None,
            on_disk: BTreeMap::new(),
            last_output: None,
            logs: BTreeMap::new(),
        }
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

/// What a component reads: the slot and the files.
#[must_use]
pub fn files_of(component: Component) -> &'static [(Slot, FileSource)] {
    use FileSource::{Config, Pair, Roots};
    match component {
        Component::Etcd => &[
            (
                Slot::Serving,
                Pair(
                    "/etc/kubernetes/pki/etcd/server.crt",
                    "/etc/kubernetes/pki/etcd/server.key",
                ),
            ),
            (
                Slot::Peer,
                Pair(
                    "/etc/kubernetes/pki/etcd/peer.crt",
                    "/etc/kubernetes/pki/etcd/peer.key",
                ),
            ),
            (Slot::EtcdCa, Roots("/etc/kubernetes/pki/etcd/ca.crt")),
        ],
        Component::ApiServer => &[
            (
                Slot::Serving,
                Pair(
                    "/etc/kubernetes/pki/apiserver.crt",
                    "/etc/kubernetes/pki/apiserver.key",
                ),
            ),
            (Slot::ClientCa, Roots("/etc/kubernetes/pki/ca.crt")),
            (
                Slot::EtcdClient,
                Pair(
                    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
                    "/etc/kubernetes/pki/apiserver-etcd-client.key",
                ),
            ),
            (Slot::EtcdCa, Roots("/etc/kubernetes/pki/etcd/ca.crt")),
            (
                Slot::KubeletClient,
                Pair(
                    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
                    "/etc/kubernetes/pki/apiserver-kubelet-client.key",
                ),
            ),
            (
                Slot::FrontProxyClient,
                Pair(
                    "/etc/kubernetes/pki/front-proxy-client.crt",
                    "/etc/kubernetes/pki/front-proxy-client.key",
                ),
            ),
            (
                Slot::RequestHeaderCa,
                Roots("/etc/kubernetes/pki/front-proxy-ca.crt"),
            ),
        ],
        Component::ControllerManager => &[(
            Slot::Kubeconfig,
            Config("/etc/kubernetes/controller-manager.conf"),
        )],
        Component::Scheduler => &[(Slot::Kubeconfig, Config("/etc/kubernetes/scheduler.conf"))],
        Component::Kubelet
        | Component::Admin
        | Component::User
        | Component::Extension
        | Component::MetricsServer => &[],
    }
}

/// Files behind a slot.
#[derive(Debug, Clone, Copy)]
pub enum FileSource {
    /// Certificate and key.
    Pair(&'static str, &'static str),
    /// A CA bundle.
    Roots(&'static str),
    /// A kubeconfig.
    Config(&'static str),
}
