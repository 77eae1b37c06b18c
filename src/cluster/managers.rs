//! Which controllers run, and where: those of the controller-manager that leads, and those of one that was started with
//! `--leader-elect=false` and waits for nobody.
//!
//! After `cmd/kube-controller-manager/app/controllermanager.go`. The documentation of external CAs proposes such a
//! controller-manager, which runs its signer alone and holds the CA where nobody else reaches it.

use std::sync::Arc;

use super::node::{Loaded, PodState};
use super::world::World;
use crate::kubeadm::profile::components::Slot;
use crate::kubeadm::profile::signing::START_FAILURE;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::Timestamp;

/// A controller's short and its long name.
pub(super) type Controller = (&'static str, &'static str);
/// Approves what kubelets ask for.
pub(super) const CSR_APPROVING: Controller = (
    "csrapproving",
    "certificatesigningrequest-approving-controller",
);
/// Signs what is approved.
pub(super) const CSR_SIGNING: Controller =
    ("csrsigning", "certificatesigningrequest-signing-controller");
/// Deletes requests that are over.
pub(super) const CSR_CLEANER: Controller =
    ("csrcleaner", "certificatesigningrequest-cleaner-controller");
/// Marks Nodes that send no heartbeats.
const NODE_LIFECYCLE: Controller = ("nodelifecycle", "node-lifecycle-controller");
/// Deletes bootstrap tokens that are over.
const TOKEN_CLEANER: Controller = ("tokencleaner", "token-cleaner-controller");
/// Signs the ConfigMap cluster-info for each bootstrap token.
const BOOTSTRAP_SIGNER: Controller = ("bootstrapsigner", "bootstrap-signer-controller");

/// A controller-manager whose controllers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    /// Its node.
    pub node: usize,
    /// Since when, on the axis of timers, where that is known.
    pub since: Option<Timestamp>,
}

impl World {
    /// Where a controller works.
    pub(super) fn controller(&self, controller: Controller) -> Option<Running> {
        self.controllers(controller).next()
    }

    /// Everywhere that a controller works, the leader first.
    pub(super) fn controllers(&self, (short, long): Controller) -> impl Iterator<Item = Running> {
        let leader = self
            .working_leader(Component::ControllerManager)
            .map(|(node, _)| Running {
                node,
                since: self.leading_since,
            });
        let alone = self
            .unelected
            .iter()
            .filter(|&(&node, &(process, _))| {
                self.candidate_works(Component::ControllerManager, node, process)
            })
            .map(|(&node, &(_, since))| Running {
                node,
                since: Some(since),
            });
        leader.into_iter().chain(alone).filter(move |running| {
            self.nodes[running.node]
                .process(Component::ControllerManager)
                .is_some_and(|process| process.flags.runs(short, long))
        })
    }

    /// Controller-managers that wait for no election start their controllers as soon as they reach an API server.
    pub(super) fn follow_unelected(&mut self) {
        let component = Component::ControllerManager;
        for node in 0..self.nodes.len() {
            let known = self.unelected.get(&node).map(|&(process, _)| process);
            let runs = self.nodes[node]
                .process(component)
                .filter(|process| !process.flags.leader_elect)
                .map(|process| process.id);
            if known == runs {
                continue;
            }
            self.unelected.remove(&node);
            let Some(process) = runs else { continue };
            if self.candidate_works(component, node, process) && self.read_by_signer(node, process)
            {
                self.unelected.insert(node, (process, self.clock.ticks()));
                let subject = format!("{}@{}", component.name(), self.nodes[node].name);
                self.record(
                    EventKind::LeaderChanged,
                    Weight::Detail,
                    Some(node),
                    &subject,
                    format!("{} works without an election", component.name()),
                    None,
                );
            }
        }
        if self.controller(BOOTSTRAP_SIGNER).is_some() {
            self.tokens.sign();
        }
    }

    /// A controller-manager that leads starts its controllers. Says whether they run.
    pub(super) fn start_controllers(&mut self, node: usize, process: u64) -> bool {
        if !self.read_by_signer(node, process) {
            return false;
        }
        self.leading_since = Some(self.clock.ticks());
        if self.controller(TOKEN_CLEANER).is_some() {
            self.forget_tokens();
        }
        true
    }

    /// The signer reads its files when the controllers start. A signer that cannot be started ends the process
    /// (`controllermanager.go`), and where it led the lease has to run out. Says whether it goes on.
    fn read_by_signer(&mut self, node: usize, process: u64) -> bool {
        let component = Component::ControllerManager;
        let Some(running) = self.nodes[node].process(component) else {
            return false;
        };
        let (flags, version) = (Arc::clone(&running.flags), running.version);
        match self.read_signer(node, &flags, version) {
            Ok(signer) => {
                if let Some(pod) = self.nodes[node].pods.get_mut(&component)
                    && let PodState::Running(running) | PodState::Stopping(running) = &mut pod.state
                    && let Some(signer) = signer
                {
                    running.loaded.insert(Slot::Signer, Loaded::Pair(signer));
                }
                true
            }
            Err(error) => {
                let failure = START_FAILURE.at(version);
                let error = format!("{}: {error}", failure.prefix);
                let line = match failure.message {
                    Some(message) => format!("{message:?} err={error:?}"),
                    None => format!("error starting controllers: {error}"),
                };
                debug_assert_eq!(self.nodes[node].process_id(component), Some(process));
                self.leader_fails(node, component, &line);
                false
            }
        }
    }

    /// Whether somebody marks Nodes that send no heartbeats.
    pub(super) fn nodes_are_marked(&self) -> bool {
        self.controller(NODE_LIFECYCLE).is_some()
    }

    /// Whether somebody deletes tokens that are over.
    pub(super) fn tokens_are_cleaned(&self) -> bool {
        self.controller(TOKEN_CLEANER).is_some()
    }
}
