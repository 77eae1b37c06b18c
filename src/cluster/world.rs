//! The world: its state, its clock, its events.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Clock;
use super::csr::Request;
use super::edge::{Edge, Verifications};
use super::engine::{Engine, EngineError, Model};
use super::files::FileCache;
use super::join::Tokens;
use super::kubelet::Due;
use super::ledger::Ledger;
use super::node::{Node, PodState};
use super::random::Streams;
use super::rbac::RoleBinding;
use crate::kubeadm::Version;
use crate::pki::{KeyAlgorithm, PoolKeys};
use crate::run::trace::{Entry, Event, EventKind, Record, Weight};
use crate::scenario::{ApproverPolicy, Component, LoadBalancer};
use crate::time::{Queue, SignedDuration, Timestamp, shift};

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

/// A simulated cluster.
#[derive(Debug)]
pub struct World {
    /// What it started from.
    pub spec: Spec,
    /// Its time.
    pub clock: Clock,
    /// Its machines.
    pub nodes: Vec<Node>,
    /// Every edge, in a fixed order.
    pub edges: Vec<Edge>,
    /// Certificate signing requests, in order of creation.
    pub requests: Vec<Request>,
    /// Data of the ConfigMaps in kube-system, kept in etcd.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Host names that lead to every API server that listens: load balancers.
    pub shared_hosts: BTreeSet<String>,
    /// ClusterRoleBindings by name, kept in etcd.
    pub role_bindings: BTreeMap<String, RoleBinding>,
    /// Who leads, by component: node and process.
    pub leaders: BTreeMap<Component, (usize, u64)>,
    /// Whether etcd can elect a leader; `None` before there is an etcd.
    pub quorum: Option<bool>,
    /// Members of etcd that the majority does not hear.
    pub etcd_apart: BTreeSet<usize>,
    /// Everything that happened so far.
    pub records: Vec<Record>,
    /// Number of events processed.
    pub events: u64,
    /// The engine could not do its work: nothing that follows says anything about the subject.
    pub broken: Option<EngineError>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) keys: PoolKeys,
    pub(super) random: Streams,
    pub(super) queue: Queue<Timer>,
    pub(super) files: FileCache,
    pub(super) verifications: Verifications,
    pub(super) disabled: super::mechanism::Disabled,
    pub(super) next_process: u64,
    /// Record that whatever happens now follows from.
    pub(super) cause: Option<u64>,
    /// Elections and lost leases that are already under way.
    pub(super) leases_running_out: BTreeMap<Component, u64>,
    pub(super) elections: BTreeSet<Component>,
    pub(super) conditions_due: Vec<(u64, Option<bool>)>,
    /// Requests of which something may become.
    pub(super) open_requests: Vec<usize>,
    /// The installed approver of serving certificates.
    pub(super) serving_approver: Option<ApproverPolicy>,
    /// When the leading controller-manager began to lead, on the axis of timers.
    pub(super) leading_since: Option<Timestamp>,
    /// The cleaner's last look that was played.
    pub(super) cleaned_at: Option<Timestamp>,
    /// Bootstrap tokens and what is uploaded for control planes that join.
    pub(super) tokens: Tokens,
    watcher: Option<Watcher>,
    /// Somebody wants to look while time passes, not only afterwards: a real walk makes stops then.
    pub(super) watched: bool,
    /// What reports were told of the state.
    pub(super) ledger: Ledger,
    probe: Option<Probe>,
    /// The real cluster behind this world, and what is known of it.
    pub(super) reality: Option<Box<dyn super::reality::Reality>>,
    pub(super) known: super::picture::Known,
    /// While a cluster is set up, what happens is of interest to few.
    pub(super) setting_up: bool,
}

/// Looks at the world once, at an instant.
struct Probe {
    at: Timestamp,
    look: Box<dyn FnOnce(&World)>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.at)
    }
}

/// Looks at the world after every event.
struct Watcher(Box<dyn FnMut(&mut World)>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// Something that comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// systemd starts a kubelet.
    KubeletStart { node: usize, id: u64 },
    /// A certificate manager's deadline or next attempt.
    Rotate(Due),
    /// A kubelet has been without certificate for five minutes.
    KubeletStranded { node: usize, id: u64 },
    /// The controller-manager approves a request.
    Approve { request: usize },
    /// An installed approver decides about a request.
    Decide { request: usize },
    /// The controller-manager signs a request.
    Issue { request: usize },
    /// A kubelet receives its certificate.
    Deliver { request: usize },
    /// A static Pod's new process serves.
    PodUp {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// A static Pod's old process is gone.
    PodGone {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// The kubelet starts a crashed container again.
    PodRetry {
        node: usize,
        component: Component,
        epoch: u64,
    },
    /// kube-apiserver's health check finds its loopback certificate at its end.
    LoopbackEnds { node: usize, process: u64 },
    /// A leader could not renew its lease for its renew deadline.
    LeaseLost { component: Component, process: u64 },
    /// A bootstrap token is over, or the one that what is uploaded hangs on.
    TokenEnds,
    /// A lease has run out: another candidate may take it.
    Elect { component: Component },
    /// A node's heartbeats were missing (or came back) for long enough.
    Condition {
        node: usize,
        epoch: u64,
        ready: bool,
    },
}

impl World {
    /// Machines without a cluster on them, with the model as kubeadm.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self::with(spec, Box::new(Model))
    }

    /// Machines without a cluster on them, with something else as kubeadm.
    #[must_use]
    pub fn with(spec: Spec, engine: Box<dyn Engine>) -> Self {
        let mut nodes = Vec::new();
        for index in 0..spec.control_planes {
            nodes.push(Node::new(
                format!("cp{}", index + 1),
                true,
                10 + index as u8,
                spec.version,
            ));
        }
        for index in 0..spec.workers {
            nodes.push(Node::new(
                format!("w{}", index + 1),
                false,
                50 + index as u8,
                spec.version,
            ));
        }
        if let Some(dir) = &spec.certificates_dir {
            for node in &mut nodes {
                node.certificates_dir.clone_from(dir);
            }
        }
        if spec.etcd > 0 {
            for node in &mut nodes {
                node.etcd = false;
            }
        }
        for index in 0..spec.etcd {
            let name = format!("etcd{}", index + 1);
            let mut node = Node::new(name, false, 20 + index as u8, spec.version);
            node.etcd = true;
            nodes.push(node);
        }
        Self {
            clock: Clock::new(spec.start),
            conditions_due: vec![(0, None); nodes.len()],
            nodes,
            edges: Vec::new(),
            requests: Vec::new(),
            open_requests: Vec::new(),
            serving_approver: spec.serving_approver,
            leading_since: None,
            cleaned_at: None,
            config_maps: BTreeMap::new(),
            shared_hosts: [super::topology::LOAD_BALANCER.to_owned()].into(),
            role_bindings: BTreeMap::new(),
            leaders: BTreeMap::new(),
            quorum: None,
            etcd_apart: BTreeSet::new(),
            records: Vec::new(),
            events: 0,
            broken: None,
            engine,
            keys: PoolKeys::new(spec.seed),
            random: Streams::new(spec.seed),
            queue: Queue::new(),
            files: FileCache::default(),
            verifications: Verifications::default(),
            disabled: super::mechanism::Disabled::new(),
            next_process: 0,
            cause: None,
            leases_running_out: BTreeMap::new(),
            elections: BTreeSet::new(),
            tokens: Tokens::default(),
            watcher: None,
            watched: false,
            ledger: Ledger::default(),
            probe: None,
            setting_up: false,
            reality: None,
            known: super::picture::Known::default(),
            spec,
        }
    }

    /// The backend's name in traces.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match &self.reality {
            Some(reality) => reality.name(),
            None => self.engine.backend(),
        }
    }

    /// Has something look at the world after every event from now on.
    pub fn watch(&mut self, watcher: impl FnMut(&mut World) + 'static) {
        self.watcher = Some(Watcher(Box::new(watcher)));
    }

    /// Has a real walk make stops at which the world is looked at.
    pub fn stop_for_looks(&mut self, wanted: bool) {
        self.watched = wanted;
    }

    /// Has something look at the world once, when true time reaches an instant.
    pub fn probe(&mut self, at: Timestamp, look: impl FnOnce(&World) + 'static) {
        self.probe = Some(Probe {
            at,
            look: Box::new(look),
        });
    }

    fn probe_if_reached(&mut self, ticks: Timestamp) {
        let due = self
            .probe
            .as_ref()
            .is_some_and(|probe| self.clock.ticks_at(probe.at) <= ticks);
        if due && let Some(probe) = self.probe.take() {
            let at = self.clock.ticks_at(probe.at).max(self.clock.ticks());
            self.clock.run_to(at);
            self.settle();
            (probe.look)(self);
        }
    }

    /// True virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What a node's wall clock shows.
    #[must_use]
    pub fn wall(&self, node: usize) -> Timestamp {
        shift(self.clock.now(), self.nodes[node].offset)
    }

    /// Index of a node by name, or by what scenarios call it: `cp1`, `w2`.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .or_else(|| self.place_of(name))
    }

    /// Lets time pass for everything that runs: the movement `walk`.
    pub fn walk(&mut self, span: SignedDuration) {
        let target = shift(self.clock.ticks(), span);
        if self.is_real() {
            self.live_until(target, |_| false, false);
            return;
        }
        self.run_until(target, |_| false);
    }

    /// Lets time pass until something is so, at most for `limit`. Says whether it became so.
    pub fn wait(&mut self, limit: SignedDuration, done: impl FnMut(&World) -> bool) -> bool {
        let target = shift(self.clock.ticks(), limit);
        if self.is_real() {
            return self.live_until(target, done, true);
        }
        self.run_until(target, done)
    }

    /// Steps every wall clock; timers do not notice: the movements `jump` and `stepBack`.
    pub fn step_clocks(&mut self, by: SignedDuration) {
        self.catch_up();
        self.really(|reality| reality.step(by));
        self.clock.step(by);
        let what = if by.is_negative() { "back" } else { "forward" };
        let text = format!(
            "every wall clock steps {what} by {} (timers do not notice)",
            crate::time::span::display(by.abs())
        );
        self.record(
            EventKind::ClockMoved,
            Weight::Normal,
            None,
            "clock",
            text,
            None,
        );
        self.settle();
    }

    /// Sets how far a node's wall clock is ahead of true time: the movement `skew`.
    pub fn skew(&mut self, node: usize, offset: SignedDuration) {
        self.nodes[node].offset = offset;
        self.really(|reality| reality.skew(node, offset));
        let text = format!(
            "its wall clock is {} {} true time from now on",
            crate::time::span::display(offset.abs()),
            if offset.is_negative() {
                "behind"
            } else {
                "ahead of"
            }
        );
        self.record(
            EventKind::ClockMoved,
            Weight::Normal,
            Some(node),
            "clock",
            text,
            None,
        );
        self.settle();
    }

    /// Takes power from a node: every process ends at once.
    pub fn power_off(&mut self, node: usize) {
        self.record(
            EventKind::NodePower,
            Weight::Normal,
            Some(node),
            "power",
            "powered off".into(),
            None,
        );
        self.nodes[node].powered = false;
        if self.is_real() {
            self.really(|reality| reality.power(node, false));
            return;
        }
        self.nodes[node].kubelet.state = super::node::KubeletState::Stopped;
        self.nodes[node].kubelet.id = 0;
        for pod in self.nodes[node].pods.values_mut() {
            pod.state = PodState::Absent;
            pod.manifest = None;
            pod.epoch += 1;
        }
        self.settle();
    }

    /// Gives power back: the kubelet starts, and with it what its manifests say.
    pub fn power_on(&mut self, node: usize) {
        self.record(
            EventKind::NodePower,
            Weight::Normal,
            Some(node),
            "power",
            "powered on".into(),
            None,
        );
        self.nodes[node].powered = true;
        if self.is_real() {
            self.really(|reality| reality.power(node, true));
            return;
        }
        self.start_kubelet(node);
        self.settle();
    }

    /// Settles after a change that a step made to files.
    pub fn touched(&mut self) {
        self.settle();
    }

    /// Writes a line into the trace.
    pub fn record(
        &mut self,
        kind: EventKind,
        weight: Weight,
        node: Option<usize>,
        subject: &str,
        text: String,
        detail: Option<String>,
    ) -> u64 {
        let weight = if self.setting_up {
            Weight::Detail
        } else {
            weight
        };
        let event = Event {
            kind,
            weight,
            node: node.map(|node| self.nodes[node].name.clone()),
            subject: subject.to_owned(),
            text,
            detail,
            cause: self.cause,
        };
        self.push(Entry::Event(event))
    }

    /// Writes any entry into the trace.
    pub fn push(&mut self, entry: Entry) -> u64 {
        let seq = self.records.len() as u64;
        self.records.push(Record {
            seq,
            at: self.now(),
            entry,
        });
        seq
    }

    pub(super) fn process_number(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process
    }

    /// Schedules a timer after a length of time.
    pub(super) fn after(&mut self, span: SignedDuration, timer: Timer) {
        self.queue.push(shift(self.clock.ticks(), span), timer);
    }

    fn run_until(&mut self, target: Timestamp, mut done: impl FnMut(&World) -> bool) -> bool {
        self.settle();
        loop {
            if done(self) {
                return true;
            }
            let boundary = self.next_boundary();
            let timer = self.queue.next_at();
            let next = match (boundary, timer) {
                (Some(a), Some(b)) => a.min(b),
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => break,
            };
            if next > target {
                break;
            }
            // What comes at that very instant has come.
            self.probe_if_reached(shift(next, SignedDuration::from_nanos(-1)));
            self.clock.run_to(next.max(self.clock.ticks()));
            self.events += 1;
            self.cause = None;
            if let Some((_, timer)) = self.queue.pop_until(next) {
                self.handle(timer);
            }
            self.settle();
            self.look();
        }
        self.cause = None;
        self.probe_if_reached(target);
        self.clock.run_to(target);
        self.settle();
        done(self)
    }

    pub(super) fn look(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            (watcher.0)(self);
            self.watcher = Some(watcher);
        }
    }

    fn handle(&mut self, timer: Timer) {
        match timer {
            Timer::KubeletStart { node, id } => {
                if self.nodes[node].kubelet.id == id && self.nodes[node].powered {
                    self.start_kubelet(node);
                }
            }
            Timer::Rotate(due) => self.rotate(due),
            Timer::KubeletStranded { node, id } => self.kubelet_stranded(node, id),
            Timer::Approve { request } => self.approve_automatically(request),
            Timer::Decide { request } => self.decide(request),
            Timer::Issue { request } => self.issue(request),
            Timer::Deliver { request } => self.deliver(request),
            Timer::PodUp {
                node,
                component,
                epoch,
            } => self.pod_up(node, component, epoch),
            Timer::PodGone {
                node,
                component,
                epoch,
            } => self.pod_gone(node, component, epoch),
            Timer::PodRetry {
                node,
                component,
                epoch,
            } => self.pod_retry(node, component, epoch),
            Timer::LoopbackEnds { node, process } => self.loopback_ends(node, process),
            Timer::LeaseLost { component, process } => self.lease_lost(component, process),
            Timer::TokenEnds => self.clean_tokens(),
            Timer::Elect { component } => self.elect(component),
            Timer::Condition { node, epoch, ready } => self.set_condition(node, epoch, ready),
        }
    }
}
