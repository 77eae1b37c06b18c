//! A real cluster behind the world: what a real backend must be able to do, and how the world becomes a picture
//! of what is seen there.
//!
//! A simulated world makes everything follow from its rules. A world with a [`Reality`] has none: files that a
//! step changes are written to the real machines, time passes there, and whatever is to be known is looked at
//! and copied into the same fields that the simulation fills. So expectations, observations and reports are
//! the same code for both.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::csr::Request;
use super::edge::{EdgeId, Outcome};
use super::engine::EngineError;
use super::node::KubeletState;
use crate::fs::{FileType, MemoryTree, Tree as _};
use crate::kubeadm::{CommandOutput, Version};
use crate::pki::Certificate;
use crate::scenario::{ApproverPolicy, Component, ImageSource};
use crate::time::{SignedDuration, Timestamp};

/// A real cluster, moved in time.
///
/// Every method fails with an [`EngineError`] when the machine that plays it is at fault; what happens to the
/// subject is never an error.
pub trait Reality: Debug {
    /// The backend's name in traces.
    fn name(&self) -> &'static str;

    /// Makes machines without a cluster on them.
    ///
    /// # Errors
    /// When machines cannot be made.
    fn prepare(&mut self, plan: &[NodePlan]) -> Result<(), EngineError>;

    /// Takes over machines of a cluster that is there already, and gives the plan with their names and addresses; `None`
    /// where a cluster is to be made.
    ///
    /// # Errors
    /// When it is not there, or not as it is planned.
    fn adopt(&mut self, plan: &[NodePlan]) -> Result<Option<Vec<NodePlan>>, EngineError>;

    /// Makes machines where there are none yet, `kubeadm init` on the first, `kubeadm join` on the others. Inside is what
    /// the first kubeadm said, or the one that failed.
    ///
    /// # Errors
    /// When machines cannot be made.
    fn create(
        &mut self,
        plan: &[NodePlan],
    ) -> Result<Result<CommandOutput, CommandOutput>, EngineError>;

    /// What a reader of the verdict must know about the machines: that a program in their images is not the published one.
    ///
    /// # Errors
    /// When a machine that should answer does not.
    fn remarks(&mut self) -> Result<Vec<String>, EngineError>;

    /// Changes files on a machine.
    ///
    /// # Errors
    /// When that fails.
    fn write(&mut self, node: usize, changes: &[FileChange]) -> Result<(), EngineError>;

    /// Looks at everything.
    ///
    /// # Errors
    /// When a machine that should answer does not.
    fn look(&mut self, what: Look<'_>) -> Result<Picture, EngineError>;

    /// Lets virtual time pass for everything that runs: wall clocks and timers.
    ///
    /// # Errors
    /// When clocks cannot be moved.
    fn live(&mut self, span: SignedDuration) -> Result<(), EngineError>;

    /// Lets a few seconds pass in which something ends that waits for a timer. Leaders' timers may stand still: a cluster
    /// that loses a member has no time to spare for their leases.
    ///
    /// # Errors
    /// When clocks cannot be moved.
    fn outlast(&mut self, span: SignedDuration) -> Result<(), EngineError>;

    /// Steps every wall clock; timers do not notice.
    ///
    /// # Errors
    /// When clocks cannot be moved.
    fn step(&mut self, by: SignedDuration) -> Result<(), EngineError>;

    /// Sets how far a machine's wall clock is ahead of true time.
    ///
    /// # Errors
    /// When its clock cannot be moved.
    fn skew(&mut self, node: usize, offset: SignedDuration) -> Result<(), EngineError>;

    /// Takes power from a machine or gives it back.
    ///
    /// # Errors
    /// When that fails.
    fn power(&mut self, node: usize, on: bool) -> Result<(), EngineError>;

    /// Stops or starts a kubelet's service.
    ///
    /// # Errors
    /// When that fails.
    fn kubelet(&mut self, node: usize, run: bool) -> Result<(), EngineError>;

    /// Ends a static Pod's process; the kubelet starts it again.
    ///
    /// # Errors
    /// When that fails.
    fn end_process(&mut self, node: usize, component: Component) -> Result<(), EngineError>;

    /// Runs a program on a machine, at the machine's time. What is not empty is its standard input.
    ///
    /// # Errors
    /// When it could not be run at all.
    fn run(
        &mut self,
        node: usize,
        command: &[String],
        input: &[u8],
    ) -> Result<CommandOutput, EngineError>;

    /// Copies what a directory of this machine holds to `/scenario` on a machine.
    ///
    /// # Errors
    /// When it cannot be read or copied.
    fn give(&mut self, node: usize, directory: &Path) -> Result<(), EngineError>;

    /// Loads a container image into the runtimes of machines. The inner error is why there is no such image.
    ///
    /// # Errors
    /// When it could not be tried at all.
    fn load_image(
        &mut self,
        nodes: &[usize],
        image: &ImageSource,
    ) -> Result<Result<(), String>, EngineError>;

    /// `kubeadm join` on a machine that is in no cluster, with the last bootstrap token that was printed and, for a control plane,
    /// maybe a certificate key.
    ///
    /// # Errors
    /// When it could not be run at all.
    fn join(
        &mut self,
        node: usize,
        certificate_key: Option<&str>,
    ) -> Result<CommandOutput, EngineError>;

    /// Installs, replaces or removes who decides on serving certificates, now and while time passes.
    ///
    /// # Errors
    /// When that fails.
    fn install_approver(&mut self, policy: Option<ApproverPolicy>) -> Result<(), EngineError>;

    /// Runs kubeadm of a version on a machine.
    ///
    /// # Errors
    /// When it could not be run at all.
    fn kubeadm(
        &mut self,
        node: usize,
        version: Version,
        args: &[String],
    ) -> Result<CommandOutput, EngineError>;
}

/// A machine that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// It is a control plane.
    pub control_plane: bool,
    /// A member of etcd runs on it, or is to run.
    pub etcd: bool,
    /// Version of kubeadm and of every component.
    pub version: Version,
    /// Host and port that clients of the cluster use.
    pub endpoint: String,
    /// The load balancer's address and name, where there are several control planes.
    pub load_balancer: Option<(IpAddr, &'static str)>,
    /// The certificates directory.
    pub certificates_dir: String,
    /// It is a machine of its own until a scenario has it join.
    pub joins_later: bool,
    /// `kubeadm init` keeps the certificates that control planes share in a Secret.
    pub upload_certs: bool,
    /// A metrics-server asks kubelets; whether it verifies what they show.
    pub metrics_server: Option<bool>,
    /// Its kubeadm configuration: InitConfiguration, ClusterConfiguration and what a scenario adds.
    pub configuration: String,
}

impl NodePlan {
    /// Whether it is a machine of an external etcd: its kubelet runs alone, and the cluster knows no such node.
    #[must_use]
    pub fn only_etcd(&self) -> bool {
        self.etcd && !self.control_plane
    }
}

/// A change to a machine's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// It is gone, with everything below it.
    Removed(String),
    /// A directory and its mode.
    Dir(String, u32),
    /// A file, its mode and owner, and its content.
    File {
        /// Its path.
        path: String,
        /// Its permission bits.
        mode: u32,
        /// User and group.
        owner: (u32, u32),
        /// Its content.
        content: Arc<[u8]>,
    },
    /// A symlink and where it points.
    Symlink(String, String),
}

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Edges that are asked for; none in a quick look at files and processes.
    pub edges: &'a [EdgeId],
    /// The API and etcd are asked, too.
    pub deep: bool,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Picture {
    /// True virtual time.
    pub now: Timestamp,
    /// Machines, in the order they were made.
    pub nodes: Vec<NodePicture>,
    /// Edges that were asked for.
    pub edges: Vec<(EdgeId, Answer)>,
    /// What the API says; `None` where it was not asked, or gave no answer.
    pub api: Option<ApiPicture>,
    /// Whether etcd's members answer as healthy, with quorum; `None` where that was not asked.
    pub quorum: Option<bool>,
}

/// A machine as it was seen.
#[derive(Debug, Clone)]
pub struct NodePicture {
    /// Its files, below the directories that matter.
    pub tree: MemoryTree,
    /// Its kubelet and that process's identity.
    pub kubelet: (KubeletState, u64),
    /// The kubelet's serving certificate as a handshake showed it; `None` where it shows none.
    pub kubelet_shows: Option<Certificate>,
    /// SHA-256 of the client certificate that the kubelet showed an API server last, and when; `None` where no API server
    /// has named it since the process was first seen.
    pub kubelet_showed: Option<([u8; 32], Timestamp)>,
    /// Static Pods' processes.
    pub processes: BTreeMap<Component, Seen>,
    /// New lines of logs.
    pub logs: Vec<(Component, String)>,
}

/// A process as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Another number is another process.
    pub id: u64,
    /// True virtual time of its start.
    pub started: Timestamp,
    /// The serving certificate as a handshake showed it.
    pub shows: Option<Certificate>,
    /// It was asked for a handshake and showed nothing.
    pub silent: bool,
    /// The kubeconfig as it was when the process was first seen.
    pub kubeconfig: Option<Arc<[u8]>>,
    /// SHA-256 of the client certificate that it showed an API server last, where one has named it.
    pub showed: Option<[u8; 32]>,
}

/// What a request on an edge gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An outcome.
    Seen(Outcome),
    /// It cannot be seen here.
    Unseen(String),
}

/// What the API says.
#[derive(Debug, Clone)]
pub struct ApiPicture {
    /// Nodes and whether they are Ready.
    pub ready: BTreeMap<String, bool>,
    /// Every CertificateSigningRequest.
    pub requests: Vec<Request>,
    /// Holders of the leases of controller-manager and scheduler, by machine.
    pub leaders: BTreeMap<Component, String>,
}

/// What must be done to a machine whose files are `old` so that they are `new`.
#[must_use]
pub fn changes(old: &MemoryTree, new: &MemoryTree) -> Vec<FileChange> {
    let mut made = Vec::new();
    for path in new.paths() {
        let Ok(wanted) = new.symlink_metadata(&path) else {
            continue;
        };
        let there = old.symlink_metadata(&path).ok();
        let like = |known: crate::fs::Metadata| {
            known.file_type == wanted.file_type
                && known.mode == wanted.mode
                && (known.uid, known.gid) == (wanted.uid, wanted.gid)
        };
        let same = there.is_some_and(like);
        match wanted.file_type {
            FileType::Dir if !same => made.push(FileChange::Dir(path, wanted.mode)),
            FileType::File => {
                let Ok(content) = new.content(&path) else {
                    continue;
                };
                if !same || old.content(&path).ok().as_ref() != Some(&content) {
                    made.push(FileChange::File {
                        path,
                        mode: wanted.mode,
                        owner: (wanted.uid, wanted.gid),
                        content,
                    });
                }
            }
            FileType::Symlink => {
                if let Ok(target) = new.read_link(&path)
                    && old.read_link(&path).ok().as_ref() != Some(&target)
                {
                    made.push(FileChange::Symlink(path, target));
                }
            }
            _ => {}
        }
    }
    // What is new comes first, so that a file that moves is never nowhere.
    for path in old.paths() {
        if new.symlink_metadata(&path).is_err() {
            made.push(FileChange::Removed(path));
        }
    }
    made
}
