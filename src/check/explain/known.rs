//! What there is to explain.

use super::Subject;
use crate::cluster::World;
use crate::kubeadm::certlist::{CA_NAMES, RENEWED};

use super::super::certificate_path;

/// Everything of the kind of a subject that a world has, as one would ask for it.
#[must_use]
pub fn known(world: &World, subject: &Subject) -> Vec<String> {
    match subject {
        Subject::Edge { .. } => world
            .edges
            .iter()
            .map(|edge| world.edge_name(edge.id))
            .collect(),
        Subject::Certificate { .. } => world
            .nodes
            .iter()
            .flat_map(|node| {
                let named = RENEWED
                    .iter()
                    .chain(&CA_NAMES)
                    .chain(&["kubelet", "kubelet-server", "user"])
                    .map(|name| (*name, certificate_path(name, &node.certificates_dir)))
                    .filter(|(_, path)| {
                        let path = crate::fs::Tree::read_link(&node.tree, path)
                            .unwrap_or_else(|_| path.clone());
                        node.on_disk.contains_key(&path)
                    })
                    .map(|(name, _)| name.to_owned());
                named
                    .chain(node.on_disk.keys().cloned())
                    .map(|name| format!("{name}@{}", node.name))
                    .collect::<Vec<_>>()
            })
            .collect(),
        Subject::Kubelet(_) => world.nodes.iter().map(|node| node.name.clone()).collect(),
        Subject::Request(_) => world
            .requests
            .iter()
            .map(|request| request.name.clone())
            .collect(),
    }
}
