//! Static Pods: manifests watched by the kubelet, processes that start, stop and crash.
//!
//! Lengths of time are those measured on real clusters of 1.36.

use std::sync::Arc;

use super::csr::flags::Flags;
use super::events::Timer;
use super::mechanism::Mechanism;
use super::node::{
    FileSource, KubeletState, Loaded, MANIFESTS, PodState, Process, STATIC_PODS, etcd_servers,
    files_of,
};
use super::world::World;
use crate::kubeadm::profile::components::Slot;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::SignedDuration;

/// How long kube-apiserver waits for etcd before it gives up, in whole seconds.
pub const APISERVER_PATIENCE_S: u32 = 20;
/// Longest back-off between restarts of a crashing container, in milliseconds.
const BACKOFF_MAX_MS: i64 = 300_000;

/// Files of a process, and what it reads from them.
type LoadedFiles = (
    Vec<(Slot, FileSource)>,
    std::collections::BTreeMap<Slot, Loaded>,
);

/// Where a static Pod's container is in its life, as whoever looks at the node says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodPhase {
    /// There is none.
    Absent,
    /// It does not serve yet.
    Starting,
    /// It serves.
    Running,
    /// It was asked to stop and still serves.
    Stopping,
    /// It ended with an error and waits for its next start.
    Crashed,
}

impl PodPhase {
    /// Its name in traces.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Crashed => "crashed",
        }
    }
}

impl World {
    /// Path of a static Pod's manifest.
    #[must_use]
    pub fn manifest_path(component: Component) -> String {
        format!("{MANIFESTS}/{}.yaml", component.name())
    }

    /// The kubelet compares the manifest directory with what it runs. inotify tells it at once; the 20 s of
    /// `fileCheckFrequency` are the fallback.
    pub(super) fn sync_manifests(&mut self, node: usize) {
        if self.nodes[node].kubelet.state != KubeletState::Running {
            return;
        }
        // Measured on 1.36: while an old static Pod still stops, manifests that come back wait until it is gone.
        let stopping = self.nodes[node]
            .pods
            .values()
            .any(|pod| matches!(pod.state, PodState::Stopping(_)));
        for component in STATIC_PODS {
            let manifest = self.nodes[node]
                .tree
                .content(&Self::manifest_path(component))
                .ok();
            let pod = self.nodes[node].pods.entry(component).or_default();
            let differs = pod.manifest.as_deref() != manifest.as_deref();
            match (&pod.state, manifest) {
                (PodState::Absent, Some(_)) if stopping => {}
                (PodState::Absent, Some(_)) => self.start_pod(node, component),
                (PodState::Running(_), None) => self.stop_pod(node, component),
                (PodState::Running(_), Some(_)) if differs => self.stop_pod(node, component),
                (PodState::Starting | PodState::Crashed, None) => {
                    pod.state = PodState::Absent;
                    pod.manifest = None;
                    pod.epoch += 1;
                }
                (PodState::Starting | PodState::Crashed, Some(manifest)) if differs => {
                    pod.manifest = Some(manifest);
                }
                _ => {}
            }
        }
    }

    /// What a static Pod's container does, as far as it is known. A member of etcd that has found no leader since it started is
    /// starting: its start-up probe fails, and it answers nobody.
    #[must_use]
    pub fn pod_phase(&self, node: usize, component: Component) -> PodPhase {
        match self.nodes[node].pods.get(&component).map(|pod| &pod.state) {
            None | Some(PodState::Absent) => PodPhase::Absent,
            Some(PodState::Starting) => PodPhase::Starting,
            Some(PodState::Running(process))
                if component == Component::Etcd && !self.etcd_answers(node, process) =>
            {
                PodPhase::Starting
            }
            Some(PodState::Running(_)) => PodPhase::Running,
            Some(PodState::Stopping(_)) => PodPhase::Stopping,
            Some(PodState::Crashed) => PodPhase::Crashed,
        }
    }

    /// Ends a static Pod's process at once: `crictl stop`, SIGKILL, or an exit of its own. A running kubelet
    /// starts it again.
    pub fn kill_pod(&mut self, node: usize, component: Component) {
        if self.is_real() {
            self.really(|reality| reality.end_process(node, component));
            return;
        }
        let Some(pod) = self.nodes[node].pods.get_mut(&component) else {
            return;
        };
        if !matches!(pod.state, PodState::Running(_)) {
            return;
        }
        pod.state = PodState::Absent;
        pod.epoch += 1;
        self.process_ended(node, component, "ended");
        if self.nodes[node].kubelet.state == KubeletState::Running
            && self.nodes[node]
                .tree
                .content(&Self::manifest_path(component))
                .is_ok()
        {
            self.start_pod(node, component);
        }
    }

    fn start_pod(&mut self, node: usize, component: Component) {
        let manifest = self.nodes[node]
            .tree
            .content(&Self::manifest_path(component))
            .ok();
        let pod = self.nodes[node].pods.entry(component).or_default();
        pod.manifest = manifest;
        pod.state = PodState::Starting;
        pod.crashes = 0;
        pod.epoch += 1;
        let epoch = pod.epoch;
        let (min, max) = match component {
            Component::ApiServer => (1_900, 2_800),
            _ => (700, 1_000),
        };
        let wait = self
            .random
            .between(&format!("pod/start/{}", component.name()), min, max);
        self.after(
            wait,
            Timer::PodUp {
                node,
                component,
                epoch,
            },
        );
    }

    pub(super) fn stop_pod(&mut self, node: usize, component: Component) {
        let leads = self
            .leaders
            .get(&component)
            .is_some_and(|(leader, _)| *leader == node);
        let Some(pod) = self.nodes[node].pods.get_mut(&component) else {
            return;
        };
        let PodState::Running(process) = std::mem::take(&mut pod.state) else {
            return;
        };
        pod.state = PodState::Stopping(process);
        pod.manifest = None;
        pod.epoch += 1;
        let epoch = pod.epoch;
        let (min, max) = match component {
            Component::Etcd => (7_100, 8_300),
            // Its whole terminationGracePeriodSeconds, then SIGKILL.
            Component::ApiServer if self.has(Mechanism::SlowStop) => (30_150, 30_250),
            Component::Scheduler if leads => (5_050, 5_150),
            _ => (100, 200),
        };
        let wait = self
            .random
            .between(&format!("pod/stop/{}", component.name()), min, max);
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        self.record(
            EventKind::ProcessStopping,
            Weight::Normal,
            Some(node),
            &subject,
            format!(
                "{} is asked to stop and takes {}",
                component.name(),
                crate::time::span::display(wait)
            ),
            None,
        );
        self.after(
            wait,
            Timer::PodGone {
                node,
                component,
                epoch,
            },
        );
    }

    pub(super) fn pod_gone(&mut self, node: usize, component: Component, epoch: u64) {
        let Some(pod) = self.nodes[node].pods.get_mut(&component) else {
            return;
        };
        if pod.epoch != epoch || !matches!(pod.state, PodState::Stopping(_)) {
            return;
        }
        pod.state = PodState::Absent;
        pod.epoch += 1;
        self.process_ended(node, component, "is gone");
        self.sync_manifests(node);
    }

    pub(super) fn pod_up(&mut self, node: usize, component: Component, epoch: u64) {
        let valid = self.nodes[node]
            .pods
            .get(&component)
            .is_some_and(|pod| pod.epoch == epoch && matches!(pod.state, PodState::Starting));
        if !valid || !self.nodes[node].powered {
            return;
        }
        match self.new_process(node, component) {
            Ok(mut process) => {
                if component == Component::ApiServer {
                    self.make_loopback(node, &mut process);
                }
                self.nodes[node].etcd_member |= component == Component::Etcd;
                if let Some(pod) = self.nodes[node].pods.get_mut(&component) {
                    pod.state = PodState::Running(process);
                    pod.epoch += 1;
                }
                let subject = format!("{}@{}", component.name(), self.nodes[node].name);
                let seq = self.record(
                    EventKind::ProcessStarted,
                    Weight::Normal,
                    Some(node),
                    &subject,
                    format!("{} started", component.name()),
                    None,
                );
                self.cause = Some(seq);
            }
            Err(Unready::Waiting(_)) if self.waits_for_etcd(node, component) => {
                self.after(
                    SignedDuration::from_secs(1),
                    Timer::PodUp {
                        node,
                        component,
                        epoch,
                    },
                );
            }
            Err(Unready::Waiting(line) | Unready::Fatal(line)) => {
                self.pod_crashed(node, component, &line)
            }
        }
    }

    /// kube-apiserver tries its etcd for a while before it exits; the tries are counted as crashes of the Pod.
    fn waits_for_etcd(&mut self, node: usize, component: Component) -> bool {
        let Some(pod) = self.nodes[node].pods.get_mut(&component) else {
            return false;
        };
        pod.crashes += 1;
        pod.crashes <= APISERVER_PATIENCE_S
    }

    fn pod_crashed(&mut self, node: usize, component: Component, line: &str) {
        let repeated = self.nodes[node]
            .logs
            .get(&component)
            .and_then(|log| log.last())
            .is_some_and(|last| last == line);
        self.log_line(node, component, line);
        if let Some(pod) = self.nodes[node].pods.get_mut(&component) {
            pod.state = PodState::Crashed;
            pod.crashes = pod.crashes.saturating_add(1);
            pod.epoch += 1;
        }
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        let weight = if repeated {
            Weight::Detail
        } else {
            Weight::Trouble
        };
        let seq = self.record(
            EventKind::ProcessEnded,
            weight,
            Some(node),
            &subject,
            format!("{} ends at start: {line}", component.name()),
            None,
        );
        self.cause = Some(seq);
    }

    /// Crashed containers are started again and again. Nothing comes of it until what they miss is there, so
    /// only then is a start put on the clock, within the back-off they have reached.
    pub(super) fn follow_pods(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].powered || self.nodes[node].kubelet.state != KubeletState::Running
            {
                continue;
            }
            for component in STATIC_PODS {
                let crashed = self.nodes[node]
                    .pods
                    .get(&component)
                    .is_some_and(|pod| matches!(pod.state, PodState::Crashed));
                if !crashed
                    || self.flags(node, component).is_err()
                    || self.loaded_files(node, component).is_err()
                    || !self.may_lead_or_wait(node, component)
                    || !self.etcd_ready(node, component)
                {
                    continue;
                }
                let Some(pod) = self.nodes[node].pods.get_mut(&component) else {
                    continue;
                };
                pod.state = PodState::Starting;
                pod.epoch += 1;
                let epoch = pod.epoch;
                let backoff = 10_000_i64
                    .saturating_mul(
                        1 << i64::from(pod.crashes.saturating_sub(APISERVER_PATIENCE_S))
                            .clamp(0, 5),
                    )
                    .min(BACKOFF_MAX_MS);
                let wait = self.random.between("pod/backoff", 1_000, backoff);
                self.after(
                    wait,
                    Timer::PodRetry {
                        node,
                        component,
                        epoch,
                    },
                );
            }
        }
    }

    pub(super) fn pod_retry(&mut self, node: usize, component: Component, epoch: u64) {
        self.pod_up(node, component, epoch);
    }

    fn etcd_ready(&self, node: usize, component: Component) -> bool {
        component != Component::ApiServer || {
            let Ok((files, loaded)) = self.loaded_files(node, component) else {
                return false;
            };
            let process = Process {
                id: 0,
                started: self.now(),
                version: self.nodes[node].version,
                files,
                loaded,
                flags: Arc::default(),
                etcd_servers: self.etcd_servers(node, component),
            };
            self.quorum != Some(false)
                && self
                    .dial_some_etcd(&process, Component::ApiServer, node)
                    .is_ok()
        }
    }

    fn etcd_servers(&self, node: usize, component: Component) -> Vec<String> {
        let manifest = self.nodes[node]
            .pods
            .get(&component)
            .and_then(|pod| pod.manifest.as_deref());
        match manifest {
            Some(manifest) if component == Component::ApiServer => {
                etcd_servers(&String::from_utf8_lossy(manifest))
            }
            _ => Vec::new(),
        }
    }

    fn loaded_files(&self, node: usize, component: Component) -> Result<LoadedFiles, String> {
        let manifest = self.nodes[node]
            .pods
            .get(&component)
            .and_then(|pod| pod.manifest.as_deref())
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let files = files_of(component, &manifest)?;
        let mut loaded = std::collections::BTreeMap::new();
        for (slot, source) in &files {
            match self.load(node, source) {
                Ok(value) => {
                    loaded.insert(*slot, value);
                }
                Err(error) => {
                    return Err(format!("failed to load {}: {error}", source.path()));
                }
            }
        }
        Ok((files, loaded))
    }

    fn new_process(&mut self, node: usize, component: Component) -> Result<Process, Unready> {
        let flags = self.flags(node, component).map_err(Unready::Fatal)?;
        let (files, loaded) = self.loaded_files(node, component).map_err(Unready::Fatal)?;
        let process = Process {
            id: self.process_number(),
            started: self.now(),
            version: self.manifest_version(node, component),
            files,
            loaded,
            flags: Arc::new(flags),
            etcd_servers: self.etcd_servers(node, component),
        };
        if component == Component::ApiServer {
            self.dial_some_etcd(&process, component, node)
                .map_err(|failure| {
                    Unready::Waiting(format!(
                        "Error: context deadline exceeded: {}",
                        failure.text
                    ))
                })?;
            if self.quorum == Some(false) {
                return Err(Unready::Waiting(
                    "Error: error while dialing etcd: etcdserver: no leader: context deadline exceeded".to_owned(),
                ));
            }
        }
        Ok(process)
    }

    /// The flags of kube-controller-manager's manifest.
    fn flags(&self, node: usize, component: Component) -> Result<Flags, String> {
        let manifest = self.nodes[node]
            .pods
            .get(&component)
            .and_then(|pod| pod.manifest.as_deref());
        match manifest {
            Some(manifest) if component == Component::ControllerManager => {
                if !self.has(Mechanism::SignerFlags) {
                    return Ok(Flags::of_kubeadm());
                }
                let mut flags = Flags::read(manifest, self.manifest_version(node, component))?;
                if !self.has(Mechanism::ControllerList) {
                    flags.controllers = Flags::controllers_of_kubeadm();
                }
                Ok(flags)
            }
            _ => Ok(Flags::default()),
        }
    }

    /// A controller-manager whose signer cannot start ends when it begins to lead. Until then, behind another
    /// leader, it waits and runs.
    fn may_lead_or_wait(&self, node: usize, component: Component) -> bool {
        if component != Component::ControllerManager {
            return true;
        }
        let Ok(flags) = self.flags(node, component) else {
            return false;
        };
        if flags.leader_elect && self.leaders.contains_key(&component) {
            return true;
        }
        let version = self.manifest_version(node, component);
        self.read_signer(node, &flags, version).is_ok()
    }

    /// A leader's controllers do not start: it ends.
    pub(super) fn leader_fails(&mut self, node: usize, component: Component, line: &str) {
        self.pod_crashed(node, component, line);
    }

    /// The version a manifest's image tag says; etcd's tag follows kubeadm's version.
    fn manifest_version(&self, node: usize, component: Component) -> crate::kubeadm::Version {
        let machine = &self.nodes[node];
        machine
            .pods
            .get(&component)
            .and_then(|pod| pod.manifest.as_deref())
            .and_then(crate::kubeadm::manifests::image_version)
            .unwrap_or(machine.version)
    }

    fn process_ended(&mut self, node: usize, component: Component, how: &str) {
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        let seq = self.record(
            EventKind::ProcessEnded,
            Weight::Normal,
            Some(node),
            &subject,
            format!("{} {how}", component.name()),
            None,
        );
        self.cause = Some(seq);
    }
}

/// Why a process does not serve.
enum Unready {
    /// It waits for something else.
    Waiting(String),
    /// It ends.
    Fatal(String),
}
