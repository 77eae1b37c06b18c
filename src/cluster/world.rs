//! The world: its state, its clocks, its power, and what is written down of it.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Clock;
use super::csr::Request;
use super::edge::{Edge, Verifications};
use super::engine::{Engine, EngineError, Model};
use super::events::{Probe, Timer, Watcher};
use super::files::FileCache;
use super::ledger::Ledger;
use super::node::{Node, PodState};
use super::random::Streams;
use super::rbac::RoleBinding;
use super::shared_certs::Tokens;
use super::spec::Spec;
use crate::pki::{Certificate, PoolKeys, PrivateKey};
use crate::run::trace::{Entry, Event, EventKind, Record, Weight};
use crate::scenario::{ApproverPolicy, Component};
use crate::time::{Queue, SignedDuration, Timestamp, shift};

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
    /// CAs and their keys, for whoever signs on machines that are not here.
    pub authorities_elsewhere: Vec<(Certificate, PrivateKey)>,
    /// Who leads, by component: node and process.
    pub leaders: BTreeMap<Component, (usize, u64)>,
    /// Whether etcd can elect a leader; `None` before there is an etcd.
    pub quorum: Option<bool>,
    /// Members of etcd that the majority does not hear.
    pub etcd_apart: BTreeSet<usize>,
    /// Processes of etcd that have had a leader since they started: before, they serve nobody.
    pub(super) etcd_serves: BTreeMap<usize, Option<u64>>,
    /// Processes of kube-apiserver whose certificate for themselves has ended, by node.
    pub(super) loopback_over: BTreeMap<usize, u64>,
    /// API servers whose health check fails, and since when on the axis of timers.
    pub(super) unhealthy: BTreeMap<usize, Timestamp>,
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
    /// Controller-managers that work without an election: by node, the process and since when, on the axis of timers.
    pub(super) unelected: BTreeMap<usize, (u64, Timestamp)>,
    /// The cleaner's last look that was played.
    pub(super) cleaned_at: Option<Timestamp>,
    /// Bootstrap tokens and what is uploaded for control planes that join.
    pub(super) tokens: Tokens,
    pub(super) watcher: Option<Watcher>,
    /// Somebody wants to look while time passes, not only afterwards: a real walk makes stops then.
    pub(super) watched: bool,
    /// What reports were told of the state.
    pub(super) ledger: Ledger,
    pub(super) probe: Option<Probe>,
    /// The real cluster behind this world, and what is known of it.
    pub(super) reality: Option<Box<dyn super::reality::Reality>>,
    pub(super) known: super::picture::Known,
    /// While a cluster is set up, what happens is of interest to few.
    pub(super) setting_up: bool,
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
            unelected: BTreeMap::new(),
            cleaned_at: None,
            config_maps: BTreeMap::new(),
            shared_hosts: [super::topology::LOAD_BALANCER.to_owned()].into(),
            role_bindings: BTreeMap::new(),
            authorities_elsewhere: Vec::new(),
            leaders: BTreeMap::new(),
            quorum: None,
            etcd_apart: BTreeSet::new(),
            etcd_serves: BTreeMap::new(),
            loopback_over: BTreeMap::new(),
            unhealthy: BTreeMap::new(),
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
}
