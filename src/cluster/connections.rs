//! Connections: every edge judged anew after a change, and what of it stays open.

use std::sync::Arc;

use super::edge::{Held, Outcome};
use super::world::World;
use crate::kubeadm::profile::components;
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;

impl World {
    /// Judges every edge anew; opens connections where there are none and it is possible.
    pub(super) fn judge_edges(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.edges.len() {
            let id = self.edges[index].id;
            let fresh = self.fresh(id);
            if fresh.class() != self.edges[index].fresh.class() {
                changed = true;
                self.report_edge(index, &fresh);
            }
            self.edges[index].fresh = fresh;
            let held = self.hold(index);
            let before = self.edges[index].effective().class();
            self.edges[index].held = held;
            changed |= before != self.edges[index].effective().class();
        }
        changed
    }

    pub(super) fn report_edge(&mut self, index: usize, fresh: &Outcome) {
        let id = self.edges[index].id;
        let name = self.edge_name(id);
        let was = self.edges[index].fresh.class().0;
        let seq = match fresh {
            Outcome::Absent => return,
            Outcome::Ok if was == 0 => None,
            Outcome::Ok => Some(self.record(
                EventKind::EdgeRestored,
                Weight::Normal,
                Some(id.client_node),
                &name,
                format!("{name} works"),
                None,
            )),
            Outcome::Partial {
                working,
                total,
                failure,
            } => {
                let text = format!(
                    "{name}: {working} of {total} API servers behind the load balancer work; the others: {}",
                    failure.text
                );
                Some(self.record(
                    EventKind::EdgeFailed,
                    Weight::Trouble,
                    Some(id.client_node),
                    &name,
                    text,
                    None,
                ))
            }
            Outcome::Failing(failure) => {
                let joining = id.client == Component::Kubelet
                    && self.nodes[id.client_node].kubelet.bootstrapping;
                let weight = match failure.class {
                    _ if joining => Weight::Detail,
                    super::edge::FailureClass::NotRunning
                    | super::edge::FailureClass::Unreachable => Weight::Detail,
                    _ => Weight::Trouble,
                };
                let mut text = format!("{name} fails: {}", failure.text);
                if let Some(hint) = self.stale_hint(id) {
                    text = format!("{text} ({hint})");
                }
                if let Some(line) = &failure.server_log {
                    self.log_at_server(id, line);
                }
                let log = failure.server_log.clone();
                Some(self.record(
                    EventKind::EdgeFailed,
                    weight,
                    Some(id.client_node),
                    &name,
                    text,
                    log,
                ))
            }
        };
        self.edges[index].cause = seq.or(self.cause);
    }

    /// A refused client is logged where it was refused.
    fn log_at_server(&mut self, id: super::edge::EdgeId, line: &str) {
        let servers = match id.server_node {
            Some(node) => vec![node],
            None => self
                .api_client(id.client, id.client_node)
                .ok()
                .flatten()
                .map(|client| self.backends(&client.config.host, client.node))
                .unwrap_or_default(),
        };
        for node in servers {
            self.log_line(node, id.server, line);
        }
    }

    /// What to know when the file is fine and the process is not: the disk holds another certificate.
    fn stale_hint(&self, id: super::edge::EdgeId) -> Option<String> {
        self.shown_on(id).into_iter().find_map(|(node, pair)| {
            let disk = self.nodes[node].on_disk.get(&pair.file)?;
            let now = self.wall(node);
            (disk.certificate.der() != pair.certificate.der()
                && now > pair.not_after()
                && now <= disk.certificate.not_after())
            .then(|| {
                format!(
                    "in memory: valid until {}; on disk in {}: until {}",
                    pair.not_after(),
                    pair.file,
                    disk.certificate.not_after()
                )
            })
        })
    }

    /// The open connection of an edge after a change.
    fn hold(&self, index: usize) -> Option<Held> {
        let edge = &self.edges[index];
        let id = edge.id;
        if matches!(id.client, Component::Admin | Component::User) {
            return None;
        }
        let client_process = self.nodes[id.client_node].process_id(id.client)?;
        let credential = self.credential_of(id);
        if let Some(held) = &edge.held
            && held.client_process == client_process
            && self.server_process(id.server, held.server_node) == Some(held.server_process)
            && !self.closes_on_change(id, held, credential.as_ref())
        {
            let mut held = held.clone();
            held.failure = self.on_open_connection(id, held.server_node, held.credential.as_ref());
            return Some(held);
        }
        let server_node = match id.server_node {
            Some(node) => node,
            None if id.server == Component::Extension => id.client_node,
            None => {
                let client = self.api_client(id.client, id.client_node).ok().flatten()?;
                self.backends(&client.config.host, client.node)
                    .into_iter()
                    .find(|&node| self.request(&client, node).is_ok())?
            }
        };
        if id.server_node.is_some() && !edge.fresh.is_ok() {
            return None;
        }
        if id.server == Component::Extension {
            return None;
        }
        Some(Held {
            client_process,
            server_node,
            server_process: self.server_process(id.server, server_node)?,
            credential,
            failure: None,
        })
    }

    /// A kubelet closes all connections when it rotated, newer kube-apiservers those to kubelets when they
    /// reloaded. Connections to etcd stay.
    fn closes_on_change(
        &self,
        id: super::edge::EdgeId,
        held: &Held,
        now: Option<&Arc<super::files::Credential>>,
    ) -> bool {
        let same = match (&held.credential, now) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            // Measured: a kubelet whose certificate has ended comes back as nobody.
            _ => false,
        };
        let closes = match (id.client, id.server) {
            (_, Component::Etcd) => false,
            (Component::ApiServer, Component::Kubelet) => {
                *components::KUBELET_CONNECTIONS_CLOSE.at(self.nodes[id.client_node].version)
            }
            _ => true,
        };
        !same && closes
    }

    fn credential_of(&self, id: super::edge::EdgeId) -> Option<Arc<super::files::Credential>> {
        use components::Slot;
        let process = |slot| {
            self.nodes[id.client_node]
                .process(id.client)
                .and_then(|process| process.pair(slot).cloned())
        };
        match (id.client, id.server) {
            (Component::ApiServer, Component::Etcd) => process(Slot::EtcdClient),
            (Component::Etcd, _) => process(Slot::Peer),
            (Component::ApiServer, Component::ApiServer) => None,
            (Component::ApiServer, Component::Kubelet) => process(Slot::KubeletClient),
            (Component::ApiServer, _) => process(Slot::FrontProxyClient),
            _ => self
                .api_client(id.client, id.client_node)
                .ok()
                .flatten()
                .and_then(|client| client.side.credential),
        }
    }

    fn server_process(&self, server: Component, node: usize) -> Option<u64> {
        self.nodes[node].process_id(server)
    }
}
