//! Writes down how the state of the world changes, for reports: see [`crate::run::state`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::csr::RequestState;
use super::edge::{EdgeId, FailureClass, Outcome};
use super::engine::Model;
use super::node::{FileSource, KubeletState, Loaded, PKI, STATIC_PODS};
use super::world::World;
use crate::fs::Tree as _;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::components::Slot;
use crate::pki::Certificate;
use crate::run::state::{
    CertificateState, CsrState, EdgeState, Expiration, InMemory, NodeState, OnDisk, ProcessState,
    RequestOutcome, StateChange,
};
use crate::run::trace::Entry;
use crate::scenario::Component;

/// What was written down last.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    nodes: BTreeMap<usize, NodeState>,
    /// Generation of each node's tree, and fingerprints of its certificates.
    trees: BTreeMap<usize, u64>,
    on_disk: BTreeMap<(usize, String), [u8; 32]>,
    /// What processes hold, and the file it came from.
    loaded: BTreeMap<(usize, Component, Slot), (Loaded, String)>,
    processes: BTreeMap<(usize, Component), (&'static str, Option<u64>)>,
    edges: BTreeMap<EdgeId, (EdgeClass, EdgeClass)>,
    /// How many requests were seen, and those that are not deleted yet.
    requests_seen: usize,
    requests: BTreeMap<usize, RequestState>,
    /// What decides what `check-expiration` says: files, and whether the API server answers.
    expiration: BTreeMap<usize, Basis>,
}

/// What `check-expiration` reads: names of files, certificates, and whether the API server answers.
#[derive(Debug, PartialEq)]
struct Basis {
    generation: u64,
    names: Vec<String>,
    certificates: Vec<[u8; 32]>,
    admin: Option<EdgeClass>,
}

/// An outcome without its words, which may name the time.
type EdgeClass = (u8, Option<FailureClass>, u32);

impl World {
    /// Writes down what is not as it was. Nothing while a cluster is set up: its last settling tells all at once.
    pub(crate) fn note_state(&mut self) {
        if self.setting_up || self.records.is_empty() {
            return;
        }
        let mut ledger = std::mem::take(&mut self.ledger);
        let mut change = StateChange::default();
        for node in 0..self.nodes.len() {
            self.note_node(node, &mut ledger, &mut change);
            self.note_files(node, &mut ledger, &mut change);
            self.note_processes(node, &mut ledger, &mut change);
        }
        self.note_edges(&mut ledger, &mut change);
        self.note_requests(&mut ledger, &mut change);
        for node in 0..self.nodes.len() {
            self.note_expiration(node, &mut ledger, &mut change);
        }
        self.ledger = ledger;
        if !change.is_empty() {
            self.push(Entry::State(Box::new(change)));
        }
    }

    fn note_node(&self, node: usize, ledger: &mut Ledger, change: &mut StateChange) {
        let machine = &self.nodes[node];
        let known = ledger.nodes.get(&node).is_some_and(|known| {
            known.ahead == machine.offset.as_secs()
                && known.powered == machine.powered
                && known.ready == machine.ready
                && known.version == machine.version.to_string()
        });
        if known {
            return;
        }
        let state = NodeState {
            node: machine.name.clone(),
            version: machine.version.to_string(),
            ahead: machine.offset.as_secs(),
            powered: machine.powered,
            ready: machine.ready,
        };
        ledger.nodes.insert(node, state.clone());
        change.nodes.push(state);
    }

    fn note_files(&self, node: usize, ledger: &mut Ledger, change: &mut StateChange) {
        let machine = &self.nodes[node];
        // The list of certificates is made when the tree was last looked at.
        let Some(generation) = machine.seen else {
            return;
        };
        if ledger.trees.insert(node, generation) == Some(generation) {
            return;
        }
        let gone: Vec<String> = ledger
            .on_disk
            .keys()
            .filter(|(of, path)| *of == node && !machine.on_disk.contains_key(path))
            .map(|(_, path)| path.clone())
            .collect();
        for path in gone {
            ledger.on_disk.remove(&(node, path.clone()));
            change.certificates.push(OnDisk {
                node: machine.name.clone(),
                path,
                certificate: None,
            });
        }
        for (path, entry) in &machine.on_disk {
            let fingerprint = entry.certificate.fingerprint();
            let key = (node, path.clone());
            if ledger.on_disk.insert(key, fingerprint) != Some(fingerprint) {
                change.certificates.push(OnDisk {
                    node: machine.name.clone(),
                    path: path.clone(),
                    certificate: Some(state_of(&entry.certificate)),
                });
            }
        }
    }

    fn note_processes(&self, node: usize, ledger: &mut Ledger, change: &mut StateChange) {
        let machine = &self.nodes[node];
        for component in STATIC_PODS {
            if !machine.pods.contains_key(&component) {
                continue;
            }
            let state = self.pod_phase(node, component).word();
            self.note_process(node, component, state, ledger, change);
            let none: &[(Slot, FileSource)] = &[];
            let process = machine.process(component);
            let reads = process.map_or(none, |process| &process.files);
            let reads_no_more: Vec<(Slot, String)> = ledger
                .loaded
                .iter()
                .filter(|((on, of, slot), _)| {
                    (*on, *of) == (node, component) && !reads.iter().any(|(now, _)| now == slot)
                })
                .map(|((_, _, slot), (_, path))| (*slot, path.clone()))
                .collect();
            for (slot, path) in &reads_no_more {
                self.note_loaded(node, component, (*slot, path), None, ledger, change);
            }
            for (slot, source) in reads {
                let now = process.and_then(|process| process.loaded.get(slot));
                self.note_loaded(node, component, (*slot, source.path()), now, ledger, change);
            }
        }
        let state = match machine.kubelet.state {
            KubeletState::Stopped => "stopped",
            KubeletState::Running => "running",
            KubeletState::Exited => "exited",
        };
        self.note_process(node, Component::Kubelet, state, ledger, change);
        let current = machine
            .kubelet
            .current
            .as_ref()
            .filter(|_| state == "running");
        let loaded = current.map(|pair| Loaded::Pair(Arc::clone(pair)));
        let path = current.map_or(super::node::KUBELET_CURRENT, |pair| pair.file.as_str());
        let slot = (Slot::Kubeconfig, path);
        self.note_loaded(
            node,
            Component::Kubelet,
            slot,
            loaded.as_ref(),
            ledger,
            change,
        );
        // Without serverTLSBootstrap it is a certificate that the kubelet signed itself.
        let serving = machine.kubelet.serving.current.as_ref();
        let serving = serving.filter(|_| state == "running");
        let path = serving.map_or(super::node::SERVING_CURRENT, |pair| pair.file.as_str());
        let loaded = serving.map(|pair| Loaded::Pair(Arc::clone(pair)));
        let slot = (Slot::Serving, path);
        self.note_loaded(
            node,
            Component::Kubelet,
            slot,
            loaded.as_ref(),
            ledger,
            change,
        );
    }

    fn note_process(
        &self,
        node: usize,
        component: Component,
        state: &'static str,
        ledger: &mut Ledger,
        change: &mut StateChange,
    ) {
        let number = self.nodes[node].process_id(component);
        let now = (state, number);
        if ledger.processes.insert((node, component), now) != Some(now) {
            change.processes.push(ProcessState {
                process: self.process_name(node, component),
                state: state.to_owned(),
                number,
            });
        }
    }

    fn note_loaded(
        &self,
        node: usize,
        component: Component,
        (slot, path): (Slot, &str),
        now: Option<&Loaded>,
        ledger: &mut Ledger,
        change: &mut StateChange,
    ) {
        let key = (node, component, slot);
        let before = ledger.loaded.get(&key);
        let unchanged = match (before, now) {
            (None, None) => true,
            (Some((before, _)), Some(now)) => is_same(before, now),
            _ => false,
        };
        if unchanged {
            return;
        }
        match now {
            Some(loaded) => ledger.loaded.insert(key, (loaded.clone(), path.to_owned())),
            None => ledger.loaded.remove(&key),
        };
        change.loaded.push(InMemory {
            process: self.process_name(node, component),
            slot: format!("{slot:?}"),
            path: path.to_owned(),
            certificate: now.and_then(certificate_of).map(state_of),
        });
    }

    fn note_edges(&self, ledger: &mut Ledger, change: &mut StateChange) {
        let gone: Vec<EdgeId> = ledger
            .edges
            .keys()
            .filter(|id| !self.edges.iter().any(|edge| edge.id == **id))
            .copied()
            .collect();
        for id in gone {
            ledger.edges.remove(&id);
            change.edges.push(EdgeState {
                edge: self.edge_name(id),
                fresh: told(&Outcome::Absent),
                held: told(&Outcome::Absent),
            });
        }
        for edge in &self.edges {
            let held = match &edge.held {
                None => Outcome::Absent,
                Some(held) => held.failure.clone().map_or(Outcome::Ok, Outcome::Failing),
            };
            let now = (class_of(&edge.fresh), class_of(&held));
            if ledger.edges.insert(edge.id, now) != Some(now) {
                change.edges.push(EdgeState {
                    edge: self.edge_name(edge.id),
                    fresh: told(&edge.fresh),
                    held: told(&held),
                });
            }
        }
    }

    fn note_requests(&self, ledger: &mut Ledger, change: &mut StateChange) {
        // Deleted objects keep their places, and there may be many: only new and living ones are looked at.
        let new = ledger.requests_seen..self.requests.len();
        ledger.requests_seen = self.requests.len();
        let living: Vec<usize> = ledger.requests.keys().copied().chain(new).collect();
        for index in living {
            let request = &self.requests[index];
            let state = if request.deleted {
                ledger.requests.remove(&index);
                "Deleted".to_owned()
            } else {
                let state = request.state();
                if ledger.requests.insert(index, state) == Some(state) {
                    continue;
                }
                format!("{state:?}")
            };
            change.requests.push(CsrState {
                request: request.name.clone(),
                username: request.requestor.username.clone(),
                signer: request.signer.clone(),
                state,
                created: request.created,
            });
        }
    }

    fn note_expiration(&mut self, node: usize, ledger: &mut Ledger, change: &mut StateChange) {
        let machine = &self.nodes[node];
        if machine.static_pods().is_empty() || machine.on_disk.is_empty() {
            return;
        }
        let admin = self
            .edges
            .iter()
            .find(|edge| edge.id.client == Component::Admin && edge.id.client_node == node)
            .map(|edge| class_of(&edge.fresh));
        let generation = machine.tree.generation();
        let known = ledger.expiration.get_mut(&node);
        if let Some(known) = &known
            && known.generation == generation
            && known.admin == admin
        {
            return;
        }
        let names = ["/etc/kubernetes", PKI, "/etc/kubernetes/pki/etcd"]
            .iter()
            .flat_map(|dir| machine.tree.read_dir(dir).unwrap_or_default())
            .map(|entry| entry.name)
            .collect();
        let certificates = machine.on_disk.values();
        let basis = Basis {
            generation,
            names,
            certificates: certificates
                .map(|entry| entry.certificate.fingerprint())
                .collect(),
            admin,
        };
        if let Some(known) = known {
            // Most writes are to other files.
            known.generation = generation;
            if *known == basis {
                return;
            }
        }
        ledger.expiration.insert(node, basis);
        if machine.version.is_historic() {
            // There is no such command yet.
            return;
        }
        let name = machine.name.clone();
        let long_durations = Profile::of(machine.version).long_durations;
        // The model says it on every backend: a real binary takes a thousand times as long.
        let engine = std::mem::replace(&mut self.engine, Box::new(Model));
        let output = self.check_expiration_here(node);
        self.engine = engine;
        change.expiration.push(Expiration {
            node: name,
            exit_code: output.exit_code,
            long_durations,
            stdout: output.stdout,
            stderr: output.stderr,
        });
    }

    fn process_name(&self, node: usize, component: Component) -> String {
        format!("{}@{}", component.name(), self.nodes[node].name)
    }
}

fn is_same(before: &Loaded, now: &Loaded) -> bool {
    match (before, now) {
        (Loaded::Pair(a), Loaded::Pair(b)) => Arc::ptr_eq(a, b),
        (Loaded::Roots(a), Loaded::Roots(b)) => Arc::ptr_eq(a, b),
        (Loaded::Config(a), Loaded::Config(b)) => Arc::ptr_eq(a, b),
        (Loaded::Key, Loaded::Key) => true,
        _ => false,
    }
}

fn certificate_of(loaded: &Loaded) -> Option<&Certificate> {
    match loaded {
        Loaded::Pair(pair) => Some(&pair.certificate),
        Loaded::Roots(roots) => roots.certificates.first(),
        Loaded::Config(config) => config.credential.as_ref().map(|pair| &pair.certificate),
        Loaded::Key => None,
    }
}

fn state_of(certificate: &Certificate) -> CertificateState {
    let organizations = certificate.organizations().iter();
    let mut subject: Vec<String> = organizations.map(|one| format!("O={one}")).collect();
    subject.push(format!("CN={}", certificate.common_name()));
    CertificateState {
        serial: certificate.serial_hex(),
        subject: subject.join(", "),
        issuer: certificate.issuer_common_name().to_owned(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    }
}

fn class_of(outcome: &Outcome) -> EdgeClass {
    let working = match outcome {
        Outcome::Partial { working, .. } => *working,
        _ => 0,
    };
    let (kind, class) = outcome.class();
    (kind, class, working)
}

fn told(outcome: &Outcome) -> RequestOutcome {
    let is = match outcome {
        Outcome::Absent => "absent".to_owned(),
        Outcome::Ok => "ok".to_owned(),
        Outcome::Partial { .. } => "partial".to_owned(),
        Outcome::Failing(_) => "failing".to_owned(),
    };
    let failure = outcome.failure();
    let text = failure.map(|failure| match outcome {
        Outcome::Partial { working, total, .. } => {
            format!("{working} of {total} servers answer; {}", failure.text)
        }
        _ => failure.text.clone(),
    });
    RequestOutcome {
        is,
        class: failure.map(|failure| failure.class.word().to_owned()),
        text,
    }
}
