//! Leader election of controller-manager and scheduler, and what a leader's absence hides.

use super::edge::EdgeId;
use super::events::Timer;
use super::node::KubeletState;
use super::world::World;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::SignedDuration;

/// A leader that cannot renew for this long exits (`--leader-elect-renew-deadline`).
const RENEW_DEADLINE: SignedDuration = SignedDuration::from_secs(10);
const CANDIDATES: [Component; 2] = [Component::ControllerManager, Component::Scheduler];

impl World {
    /// Node and process of the leader, if it can do its work.
    #[must_use]
    pub fn working_leader(&self, component: Component) -> Option<(usize, u64)> {
        let &(node, process) = self.leaders.get(&component)?;
        self.candidate_works(component, node, process)
            .then_some((node, process))
    }

    pub(super) fn follow_leases(&mut self) {
        for component in CANDIDATES {
            if let Some(&(node, process)) = self.leaders.get(&component) {
                if self.nodes[node].process_id(component) != Some(process) {
                    self.leaders.remove(&component);
                    self.leases_running_out.remove(&component);
                    // The lease of 15 s must run out before anyone else takes it.
                    self.elect_after(component, 13_000, 17_000);
                } else if self.candidate_works(component, node, process) {
                    self.leases_running_out.remove(&component);
                } else if self.leases_running_out.get(&component) != Some(&process) {
                    self.leases_running_out.insert(component, process);
                    self.after(RENEW_DEADLINE, Timer::LeaseLost { component, process });
                }
            } else if self.first_candidate(component).is_some() {
                self.elect_after(component, 500, 2_500);
            }
        }
    }

    /// The renew deadline is over: the leader exits, and its kubelet starts it again.
    pub(super) fn lease_lost(&mut self, component: Component, process: u64) {
        let Some(&(node, leader)) = self.leaders.get(&component) else {
            return;
        };
        if leader != process || self.leases_running_out.get(&component) != Some(&process) {
            return;
        }
        self.leases_running_out.remove(&component);
        if self.candidate_works(component, node, process) {
            return;
        }
        self.leaders.remove(&component);
        let line = match component {
            Component::Scheduler => "Leaderelection lost",
            _ => "leaderelection lost/stopped",
        };
        self.log_line(node, component, line);
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        let seq = self.record(
            EventKind::LeaderChanged,
            Weight::Trouble,
            Some(node),
            &subject,
            format!(
                "{} could not renew its lease and exits: {line}",
                component.name()
            ),
            None,
        );
        self.cause = Some(seq);
        self.kill_pod(node, component);
        self.elect_after(component, 3_000, 7_000);
    }

    /// The lease is free: the first candidate that reaches the API server takes it.
    pub(super) fn elect(&mut self, component: Component) {
        self.elections.remove(&component);
        if self.leaders.contains_key(&component) {
            return;
        }
        let Some((node, process)) = self.first_candidate(component) else {
            return;
        };
        self.leaders.insert(component, (node, process));
        if component == Component::ControllerManager && !self.start_controllers(node, process) {
            return;
        }
        let subject = format!("{}@{}", component.name(), self.nodes[node].name);
        self.record(
            EventKind::LeaderChanged,
            Weight::Detail,
            Some(node),
            &subject,
            format!("{} leads", component.name()),
            None,
        );
    }

    /// A Node becomes NotReady only when a controller-manager is there to mark it, and runs the controller for it.
    pub(super) fn follow_conditions(&mut self) {
        let marker = self.nodes_are_marked();
        for node in 0..self.nodes.len() {
            let Some(shown) = self.nodes[node].ready else {
                continue;
            };
            let beats = self.nodes[node].powered
                && self.nodes[node].kubelet.state == KubeletState::Running
                && self.edge_works(super::kubelet::kubelet_edge(node));
            let wanted = if beats {
                true
            } else if marker {
                false
            } else {
                shown
            };
            let (epoch, due) = self.conditions_due[node];
            if wanted == shown {
                if due.is_some() {
                    self.conditions_due[node] = (epoch + 1, None);
                }
            } else if due != Some(wanted) {
                self.conditions_due[node] = (epoch + 1, Some(wanted));
                let (min, max) = if wanted {
                    (1_000, 10_000)
                } else {
                    (40_000, 50_000)
                };
                let wait = self.random.between("node/condition", min, max);
                self.after(
                    wait,
                    Timer::Condition {
                        node,
                        epoch: epoch + 1,
                        ready: wanted,
                    },
                );
            }
        }
    }

    pub(super) fn set_condition(&mut self, node: usize, epoch: u64, ready: bool) {
        if self.conditions_due[node].0 != epoch {
            return;
        }
        self.conditions_due[node] = (epoch, None);
        self.nodes[node].ready = Some(ready);
        let name = self.nodes[node].name.clone();
        let (word, weight) = if ready {
            ("Ready", Weight::Normal)
        } else {
            ("NotReady", Weight::Trouble)
        };
        self.record(
            EventKind::NodeCondition,
            weight,
            Some(node),
            &name,
            format!("Node {name} is {word}"),
            None,
        );
    }

    /// Whether requests on an edge work at the moment.
    #[must_use]
    pub fn edge_works(&self, id: EdgeId) -> bool {
        self.edges
            .iter()
            .any(|edge| edge.id == id && edge.effective().is_ok())
    }

    fn elect_after(&mut self, component: Component, min_ms: i64, max_ms: i64) {
        if self.elections.insert(component) {
            let wait = self.random.between("election", min_ms, max_ms);
            self.after(wait, Timer::Elect { component });
        }
    }

    fn first_candidate(&self, component: Component) -> Option<(usize, u64)> {
        (0..self.nodes.len()).find_map(|node| {
            let process = self.nodes[node].process(component)?;
            (process.flags.leader_elect && self.candidate_works(component, node, process.id))
                .then_some((node, process.id))
        })
    }

    pub(super) fn candidate_works(&self, component: Component, node: usize, process: u64) -> bool {
        self.nodes[node].process_id(component) == Some(process)
            && self.edge_works(EdgeId {
                client: component,
                client_node: node,
                server: Component::ApiServer,
                server_node: None,
            })
    }
}
