//! A kubelet that runs since before the world's first instant.

use std::sync::Arc;

use super::Manager;
use crate::cluster::files::ClientConfig;
use crate::cluster::node::{
    ADMIN_CONF, KUBELET_CONF, KUBELET_CURRENT, KubeletState, Rotation, Stranded,
};
use crate::cluster::world::World;
use crate::fs::Tree as _;

impl World {
    /// A kubelet that has a valid certificate of its own goes on, whatever kubelet.conf embeds: that is read at the
    /// start only. Says whether it runs; one that cannot go on has to start.
    pub(in crate::cluster) fn resume_kubelet(&mut self, node: usize) -> bool {
        let now = self.wall(node);
        let tree = &self.nodes[node].tree;
        let Ok(stored) = self.files.pair(tree, KUBELET_CURRENT, KUBELET_CURRENT) else {
            return false;
        };
        let config = if tree.exists(KUBELET_CONF) {
            self.files.client_config(tree, KUBELET_CONF).ok()
        } else {
            self.as_read_before(node)
        };
        let Some(config) = config else {
            return false;
        };
        if now > stored.not_after() {
            return false;
        }
        let client_ca = self.files.roots(tree, &self.nodes[node].pki("ca.crt")).ok();
        let id = self.process_number();
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.id = id;
        kubelet.config = Some(config);
        kubelet.client_ca = client_ca;
        kubelet.current = Some(stored);
        kubelet.rotation = Rotation::Idle;
        kubelet.server_healthy = true;
        kubelet.stranded = Stranded::No;
        // What it serves with it has read already; files that are broken since show at the next start.
        let _ = self.load_serving(node);
        self.nodes[node].kubelet.state = KubeletState::Running;
        self.draw_deadline(node, Manager::Client, false);
        self.start_serving(node);
        self.sync_manifests(node);
        true
    }

    /// What stood in a kubelet.conf that has gone since the kubelet read it. What matters, where the API is and by which CA, stands
    /// in other kubeconfigs of the cluster, too.
    fn as_read_before(&self, node: usize) -> Option<Arc<ClientConfig>> {
        let others = self.nodes.iter().map(|node| (&node.tree, KUBELET_CONF));
        std::iter::once((&self.nodes[node].tree, ADMIN_CONF))
            .chain(others)
            .find_map(|(tree, path)| self.files.client_config(tree, path).ok())
    }
}
