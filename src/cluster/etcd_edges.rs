//! Who asks which member of etcd, what comes of it, and who speaks to whom among the members.

use super::edge::{ClientSide, Failure, FailureClass, ServerSide, connect};
use super::mechanism::Mechanism;
use super::node::{LOOPBACK, etcd_servers};
use super::texts;
use super::world::World;
use crate::fs::Tree as _;
use crate::kubeadm::profile::components::Slot;
use crate::scenario::Component;

impl World {
    /// Whether the etcd behind an API server answers it.
    pub(super) fn behind(&self, node: usize, client: Component) -> Result<(), Failure> {
        let fail = |quorum| {
            Err(Failure::new(
                FailureClass::Backend,
                texts::etcd_behind(client, quorum),
            ))
        };
        let mut reached = self
            .edges
            .iter()
            .filter(|edge| {
                edge.id.client == Component::ApiServer
                    && edge.id.client_node == node
                    && edge.id.server == Component::Etcd
                    && edge.effective().is_ok()
            })
            .filter_map(|edge| edge.id.server_node)
            .peekable();
        // Nobody is there who could say that there is no leader.
        if reached.peek().is_none() {
            return fail(true);
        }
        if self.quorum == Some(false) {
            return fail(false);
        }
        // A member that the others do not hear has no leader. With several, the client asks the next one.
        if reached.any(|etcd| !self.etcd_apart.contains(&etcd)) {
            Ok(())
        } else {
            fail(false)
        }
    }

    pub(super) fn api_to_etcd(&self, client: usize, server: usize) -> Option<Result<(), Failure>> {
        let process = self.nodes[client].process(Component::ApiServer)?;
        let host = process
            .etcd_servers
            .iter()
            .find(|host| self.etcd_at(client, host) == Some(server))?;
        Some(self.dial_etcd(process, Component::ApiServer, client, (host, server)))
    }

    /// The machine that a host name of `--etcd-servers` leads a node to.
    pub(super) fn etcd_at(&self, node: usize, host: &str) -> Option<usize> {
        if matches!(host, LOOPBACK | "localhost" | "::1") {
            return Some(node);
        }
        self.nodes.iter().position(|other| {
            other.etcd && (other.address.to_string() == host || other.name == host)
        })
    }

    /// The machines whose etcd a control plane's kube-apiserver asks, by its manifest.
    pub(super) fn etcd_of(&self, node: usize) -> Vec<usize> {
        let manifest = self.nodes[node]
            .tree
            .read(&Self::manifest_path(Component::ApiServer))
            .unwrap_or_default();
        let mut found: Vec<usize> = etcd_servers(&String::from_utf8_lossy(&manifest))
            .iter()
            .filter_map(|host| self.etcd_at(node, host))
            .collect();
        found.dedup();
        found
    }

    /// What a kube-apiserver that starts finds of its etcd: one member that answers is enough.
    pub(super) fn dial_some_etcd(
        &self,
        process: &super::node::Process,
        component: Component,
        client: usize,
    ) -> Result<(), Failure> {
        let mut failure = None;
        for host in &process.etcd_servers {
            let result = match self.etcd_at(client, host) {
                Some(server) => self.dial_etcd(process, component, client, (host, server)),
                None => Err(Failure::new(
                    FailureClass::Unreachable,
                    texts::unreachable(
                        component,
                        self.nodes[client].version,
                        &texts::etcd_authority(host),
                        false,
                    ),
                )),
            };
            match result {
                Ok(()) => return Ok(()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// A handshake of kube-apiserver (or one that is about to start) with its etcd.
    pub(super) fn dial_etcd(
        &self,
        process: &super::node::Process,
        component: Component,
        client: usize,
        (host, server): (&str, usize),
    ) -> Result<(), Failure> {
        let Some(etcd) = self.nodes[server].process(Component::Etcd) else {
            return Err(Failure::new(
                FailureClass::Unreachable,
                texts::unreachable(
                    component,
                    self.nodes[client].version,
                    &texts::etcd_authority(host),
                    self.nodes[server].powered,
                ),
            ));
        };
        if !self.etcd_answers(server, etcd) {
            return Err(Failure::new(
                FailureClass::Unreachable,
                texts::etcd_silent(&texts::etcd_authority(host)),
            ));
        }
        connect(
            &self.verifications,
            &ClientSide {
                component,
                version: self.nodes[client].version,
                roots: process.roots(Slot::EtcdCa).cloned(),
                credential: process.pair(Slot::EtcdClient).cloned(),
                name: host.to_owned(),
                at: self.wall(client),
            },
            &ServerSide {
                component: Component::Etcd,
                version: self.nodes[server].version,
                credential: etcd.pair(Slot::Serving).cloned(),
                client_roots: etcd.roots(Slot::EtcdCa).cloned(),
                client_name: None,
                at: self.wall(server),
            },
        )
    }

    /// Whether a member of etcd has found a leader since its process started. Whoever connects before is not even answered
    /// (`embed/serve.go`). Of a real one that is seen.
    pub(super) fn etcd_answers(&self, node: usize, process: &super::node::Process) -> bool {
        self.is_real() || self.etcd_serves.get(&node) == Some(&Some(process.id))
    }

    pub(super) fn etcd_peers(&self, client: usize, server: usize) -> Option<Result<(), Failure>> {
        let process = self.nodes[client].process(Component::Etcd)?;
        let address = self.nodes[server].address.to_string();
        let Some(peer) = self.nodes[server].process(Component::Etcd) else {
            return Some(Err(Failure::new(
                FailureClass::Unreachable,
                texts::unreachable(
                    Component::Etcd,
                    self.nodes[client].version,
                    &format!("{address}:2380"),
                    self.nodes[server].powered,
                ),
            )));
        };
        Some(connect(
            &self.verifications,
            &ClientSide {
                component: Component::Etcd,
                version: self.nodes[client].version,
                roots: process.roots(Slot::EtcdCa).cloned(),
                credential: process.pair(Slot::Peer).cloned(),
                name: address,
                at: self.wall(client),
            },
            &ServerSide {
                component: Component::Etcd,
                version: self.nodes[server].version,
                credential: peer.pair(Slot::Peer).cloned(),
                client_roots: peer.roots(Slot::EtcdCa).cloned(),
                client_name: self
                    .has(Mechanism::PeerNames)
                    .then(|| self.nodes[client].address.to_string()),
                at: self.wall(server),
            },
        ))
    }
}
