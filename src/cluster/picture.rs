//! A world that is a picture of a real cluster: what is done to it is done there, and what is seen there fills it.

use std::collections::{BTreeMap, BTreeSet};

use super::edge::{EdgeId, Outcome};
use super::engine::EngineError;
use super::node::STATIC_PODS;
use super::reality::{Answer, ApiPicture, Look, NodePicture, Reality, changes};
use super::world::World;
use crate::fs::{MemoryTree, mirror};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// Virtual time between two looks while something is waited for.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// The same once what is to end has not done so in [`PATIENCE`] looks: kube-apiserver takes the 30 s that the kubelet gives it.
const LOOK_AGAIN_LATER: SignedDuration = SignedDuration::from_secs(4);
/// Looks until then.
const PATIENCE: u32 = 4;
/// Longest stretch of a walk without a look where a scenario watches.
const WATCHED_STRIDE: SignedDuration = SignedDuration::from_hours(24 * 20);

/// How time passes for a reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// To its end.
    Through,
    /// Until something has come up, at the machine's pace: starting takes wall time.
    UntilUp,
    /// Until something has ended. What ends late waits for a timer.
    UntilGone,
}

/// What the world knows of the reality behind it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Files as they are on the machines.
    trees: Vec<MemoryTree>,
    /// Edges that cannot be seen, and why.
    unseen: BTreeMap<EdgeId, String>,
    /// Something was done since the last thorough look.
    stale: bool,
    /// Names of every request that was ever listed.
    requests: BTreeSet<String>,
    /// The API gave no answer at the last thorough look.
    api_silent: bool,
    /// The certificate that a component showed an API server, as SHA-256.
    pub(super) showed: BTreeMap<(usize, Component), [u8; 32]>,
}

impl World {
    /// Machines of a real cluster, which do not exist yet.
    #[must_use]
    pub fn real(spec: super::Spec, reality: Box<dyn Reality>) -> Self {
        let mut world = Self::new(spec);
        world.known.trees = vec![MemoryTree::new(); world.nodes.len()];
        world.reality = Some(reality);
        world
    }

    /// Whether there is a real cluster behind this world.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.reality.is_some()
    }

    /// Why the state of an edge is not known.
    #[must_use]
    pub fn unseen(&self, edge: EdgeId) -> Option<&str> {
        self.known.unseen.get(&edge).map(String::as_str)
    }

    /// Whether what the API says (Nodes, requests) is older than the rest, because it gives no answer.
    #[must_use]
    pub fn api_is_silent(&self) -> bool {
        self.known.api_silent
    }

    /// Looks at everything, if something was done since the last time. Nothing in a simulated world.
    pub fn refresh(&mut self) {
        if self.is_real() && self.known.stale && self.broken.is_none() {
            self.look_at_reality(true);
        }
    }

    /// Has the reality do something. What cannot be done makes the world [`World::broken`].
    pub(super) fn really<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Reality) -> Result<T, EngineError>,
    ) -> Option<T> {
        if self.broken.is_some() {
            return None;
        }
        self.known.stale = true;
        let reality = self.reality.as_mut()?;
        match act(reality.as_mut()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken = Some(error);
                None
            }
        }
    }

    /// Writes what steps have changed to the machines.
    pub(super) fn write_to_reality(&mut self) {
        for node in 0..self.nodes.len() {
            let generation = self.nodes[node].tree.generation();
            if self.nodes[node].seen == Some(generation) {
                continue;
            }
            let changes = changes(&self.known.trees[node], &self.nodes[node].tree);
            if !changes.is_empty() {
                self.really(|reality| reality.write(node, &changes));
            }
            self.take_tree(node);
        }
    }

    /// From now on the machine's files are known to be those of the world.
    fn take_tree(&mut self, node: usize) {
        self.known.trees[node] = self.nodes[node].tree.clone();
        self.nodes[node].seen = Some(self.nodes[node].tree.generation());
        self.list_certificates(node);
    }

    /// Lets time pass until something is so, at most until `target` on the axis of timers.
    pub(super) fn live_until(
        &mut self,
        target: Timestamp,
        mut done: impl FnMut(&World) -> bool,
        pace: Pace,
    ) -> bool {
        self.write_to_reality();
        let watched = self.watched;
        let waiting = pace != Pace::Through;
        let mut looks = 0;
        loop {
            if self.broken.is_some() || done(self) {
                return self.broken.is_none();
            }
            let left = target.duration_since(self.clock.ticks());
            if !left.is_positive() {
                return false;
            }
            let mut span = left;
            if pace == Pace::UntilGone && looks >= PATIENCE {
                span = span.min(LOOK_AGAIN_LATER);
                self.really(|reality| reality.outlast(span));
            } else {
                if waiting {
                    span = span.min(LOOK_AGAIN);
                } else if watched {
                    span = span.min(WATCHED_STRIDE);
                }
                self.really(|reality| reality.live(span));
            }
            looks += 1;
            self.events += 1;
            self.look_at_reality(!waiting && watched);
            if watched {
                self.look();
            }
            if !waiting && span == left {
                return done(self);
            }
        }
    }

    /// Copies what is seen of the machines into the world.
    pub(super) fn look_at_reality(&mut self, deep: bool) {
        let edges: Vec<EdgeId> = if deep {
            self.edges.iter().map(|edge| edge.id).collect()
        } else {
            Vec::new()
        };
        let Some(picture) = self.really(|reality| {
            reality.look(Look {
                edges: &edges,
                deep,
            })
        }) else {
            return;
        };
        self.known.stale = !deep;
        self.clock.set(picture.now);
        for (node, seen) in picture.nodes.into_iter().enumerate() {
            self.take_node(node, seen);
        }
        for (id, answer) in picture.edges {
            self.take_edge(id, answer);
        }
        if deep {
            self.known.api_silent = picture.api.is_none();
            if let Some(api) = picture.api {
                self.take_api(api);
            }
            let had_etcd = |node: &super::Node| node.pods.contains_key(&Component::Etcd);
            if let Some(quorum) = picture.quorum
                && self.nodes.iter().any(had_etcd)
                && self.quorum.replace(quorum).is_some_and(|was| was != quorum)
            {
                let verb = if quorum { "has" } else { "has no" };
                let weight = if quorum {
                    Weight::Normal
                } else {
                    Weight::Trouble
                };
                let text = format!("etcd {verb} quorum");
                self.record(EventKind::EtcdQuorum, weight, None, "etcd", text, None);
            }
        }
        self.note_state();
    }

    fn take_node(&mut self, node: usize, seen: NodePicture) {
        let mut tree = std::mem::take(&mut self.nodes[node].tree);
        // What is the same keeps its place in memory, so that nothing is parsed or written down twice.
        if let Err(error) = mirror(&seen.tree, &mut tree, &[]) {
            self.broken.get_or_insert(EngineError {
                message: format!(
                    "files of {} cannot be taken: {error}",
                    self.nodes[node].name
                ),
                help: "this is a defect of certdrill: please report it".to_owned(),
            });
        }
        self.nodes[node].tree = tree;
        self.take_tree(node);
        for (component, line) in seen.logs {
            self.log_line(node, component, &line);
        }
        self.take_kubelet(node, seen.kubelet, seen.kubelet_shows, seen.kubelet_showed);
        for component in STATIC_PODS {
            let process = seen.processes.get(&component);
            match process.and_then(|process| process.showed) {
                Some(showed) => self.known.showed.insert((node, component), showed),
                None => self.known.showed.remove(&(node, component)),
            };
            self.take_process(node, component, process);
        }
    }

    fn take_edge(&mut self, id: EdgeId, answer: Answer) {
        let Some(at) = self.edges.iter().position(|edge| edge.id == id) else {
            return;
        };
        match answer {
            Answer::Unseen(reason) => {
                // Nothing is claimed of it, not even what was so before.
                self.edges[at].fresh = Outcome::Absent;
                self.known.unseen.insert(id, reason);
            }
            Answer::Seen(outcome) => {
                self.known.unseen.remove(&id);
                if outcome.class() != self.edges[at].fresh.class() {
                    self.report_edge(at, &outcome);
                }
                self.edges[at].fresh = outcome;
            }
        }
    }

    fn take_api(&mut self, api: ApiPicture) {
        for node in 0..self.nodes.len() {
            let name = self.nodes[node].name.clone();
            let ready = api.ready.get(&name).copied();
            if let Some(now) = ready
                && self.nodes[node].ready != Some(now)
            {
                let word = if now { "Ready" } else { "NotReady" };
                let weight = if now { Weight::Normal } else { Weight::Trouble };
                let text = format!("Node {name} is {word}");
                self.record(
                    EventKind::NodeCondition,
                    weight,
                    Some(node),
                    &name,
                    text,
                    None,
                );
                self.nodes[node].ready = Some(now);
            }
        }
        for request in &mut self.requests {
            request.deleted = true;
        }
        for mut listed in api.requests {
            listed.cause = self.records.len().saturating_sub(1) as u64;
            let new = self.known.requests.insert(listed.name.clone());
            let name = listed.name.clone();
            let column = listed.column();
            let place = self.requests.iter().position(|one| one.name == name);
            let changed = place.is_none_or(|at| self.requests[at].column() != column);
            match place {
                Some(at) => self.requests[at] = listed,
                None => self.requests.push(listed),
            }
            if new || changed {
                let text = format!("request {name}: {column}");
                self.record(
                    EventKind::CsrChanged,
                    Weight::Detail,
                    None,
                    &name,
                    text,
                    None,
                );
            }
        }
        self.leaders = api
            .leaders
            .iter()
            .filter_map(|(component, holder)| {
                let node = self.node_named(holder)?;
                Some((*component, (node, self.nodes[node].process_id(*component)?)))
            })
            .collect();
    }
}
