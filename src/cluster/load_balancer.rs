//! The load balancer in front of several control planes: which API servers a client gets to.

use std::net::IpAddr;

use super::edge::Check;
use super::world::World;
use crate::kubeadm::profile::components::Slot;
use crate::pki::Usage;
use crate::scenario::{Component, HealthCheck};

impl World {
    /// Nodes whose API server a host name leads a client on some node to, one request after the other.
    pub(super) fn backends(&self, host: &str, client: usize) -> Vec<usize> {
        let all = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].control_plane && self.nodes[node].ready.is_some());
        if !self.shared_hosts.contains(host) {
            return all
                .filter(|&node| {
                    self.nodes[node].address.to_string() == host || self.nodes[node].name == host
                })
                .collect();
        }
        let up: Vec<usize> = all.filter(|&node| self.passes_health_check(node)).collect();
        if !self.spec.load_balancer.sticky || up.is_empty() {
            return up;
        }
        // By the client's address, as HAProxy's `balance source` does: its number modulo the servers that are in.
        let number = match self.nodes[client].address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        vec![up[(number % up.len() as u128) as usize]]
    }

    fn passes_health_check(&self, node: usize) -> bool {
        let Some(process) = self.nodes[node].process(Component::ApiServer) else {
            return false;
        };
        match self.spec.load_balancer.health_check {
            HealthCheck::Tcp => true,
            // /healthz asks etcd, too.
            HealthCheck::HttpsUnverified => self.behind(node, Component::Admin).is_ok(),
            HealthCheck::HttpsVerified => {
                let first = &self.nodes[self.has_shared_files()];
                let roots = self.files.roots(&first.tree, &first.pki("ca.crt"));
                let (Ok(roots), Some(shown)) = (roots, process.pair(Slot::Serving)) else {
                    return false;
                };
                let check = Check {
                    shown,
                    roots: &roots,
                    usage: Usage::Server,
                    name: None,
                    at: self.now(),
                };
                self.verifications.check(check).is_ok()
                    && self.behind(node, Component::Admin).is_ok()
            }
        }
    }
}
