//! The certificates that both ends of an edge show at the moment: for boundaries, invariants and explanations.

use std::sync::Arc;

use super::edge::EdgeId;
use super::node::{Node, PodState};
use super::world::World;
use crate::kubeadm::profile::components::Slot;
use crate::scenario::Component;

impl World {
    /// Client certificates that an edge shows right now.
    #[must_use]
    pub fn client_certificates(&self, id: EdgeId) -> Vec<crate::pki::Certificate> {
        if id.server == Component::ApiServer && id.client == Component::ApiServer {
            return Vec::new();
        }
        if id.server == Component::ApiServer {
            let client = self.api_client(id.client, id.client_node).ok().flatten();
            return client
                .and_then(|client| client.side.credential)
                .map(|shown| shown.certificate.clone())
                .into_iter()
                .collect();
        }
        self.shown_on(id)
            .into_iter()
            .map(|(_, shown)| shown.certificate.clone())
            .collect()
    }

    /// Everything both ends of an edge show right now: node, file, certificate.
    #[must_use]
    pub fn shown_certificates(&self, id: EdgeId) -> Vec<(usize, String, crate::pki::Certificate)> {
        let mut shown = self.shown_on(id);
        let serving = |node: usize, component, slot| {
            self.nodes[node]
                .process(component)
                .and_then(|process| process.pair(slot).cloned())
                .map(|pair| (node, pair))
        };
        match (id.server, id.server_node) {
            (Component::ApiServer, None) => {
                if let Ok(Some(client)) = self.api_client(id.client, id.client_node) {
                    let backends = self.backends(&client.config.host, client.node);
                    shown.extend(
                        backends
                            .into_iter()
                            .filter_map(|node| serving(node, Component::ApiServer, Slot::Serving)),
                    );
                }
            }
            // A kubelet that waits for its serving certificate shows none.
            (Component::Kubelet, Some(node))
                if self.nodes[node]
                    .kubelet
                    .serving
                    .current
                    .as_ref()
                    .is_none_or(|current| self.wall(node) > current.not_after()) =>
            {
                return Vec::new();
            }
            (Component::Etcd, Some(node)) if id.client == Component::Etcd => {
                shown.extend(serving(node, Component::Etcd, Slot::Peer));
            }
            (Component::Etcd, Some(node)) => {
                shown.extend(serving(node, Component::Etcd, Slot::Serving));
            }
            _ => {}
        }
        shown
            .into_iter()
            .map(|(node, pair)| (node, pair.file.clone(), pair.certificate.clone()))
            .collect()
    }

    /// Certificates that decide about an edge right now: for boundaries and explanations.
    pub(super) fn shown_on(&self, id: EdgeId) -> Vec<(usize, Arc<super::files::Credential>)> {
        let mut shown = Vec::new();
        let mut add = |node: usize, pair: Option<&Arc<super::files::Credential>>| {
            if let Some(pair) = pair {
                shown.push((node, Arc::clone(pair)));
            }
        };
        let from = &self.nodes[id.client_node];
        let process_pair = |node: &Node, component, slot| {
            node.pods.get(&component).and_then(|pod| match &pod.state {
                PodState::Running(process) | PodState::Stopping(process) => {
                    process.pair(slot).cloned()
                }
                _ => None,
            })
        };
        match (id.client, id.server) {
            (Component::ApiServer, Component::Etcd) => {
                add(
                    id.client_node,
                    process_pair(from, Component::ApiServer, Slot::EtcdClient).as_ref(),
                );
            }
            (Component::Etcd, _) => {
                add(
                    id.client_node,
                    process_pair(from, Component::Etcd, Slot::Peer).as_ref(),
                );
            }
            (Component::ApiServer, Component::ApiServer) => {
                add(
                    id.client_node,
                    process_pair(from, Component::ApiServer, Slot::Loopback).as_ref(),
                );
            }
            (Component::ApiServer, Component::Kubelet) => {
                add(
                    id.client_node,
                    process_pair(from, Component::ApiServer, Slot::KubeletClient).as_ref(),
                );
            }
            (Component::MetricsServer, _) => {
                if let Some(server) = id.server_node {
                    add(server, self.shown_by_kubelet(server).as_ref());
                }
            }
            (Component::ApiServer, Component::Extension) => {
                add(
                    id.client_node,
                    process_pair(from, Component::ApiServer, Slot::FrontProxyClient).as_ref(),
                );
            }
            _ => {
                if let Ok(Some(client)) = self.api_client(id.client, id.client_node) {
                    add(id.client_node, client.config.credential.as_ref());
                    add(id.client_node, client.side.credential.as_ref());
                }
            }
        }
        shown
    }
}
