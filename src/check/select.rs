//! From selectors to the nodes and processes of a world.

use crate::cluster::{STATIC_PODS, World};
use crate::scenario::{Component, Counts, Nodes, Target};

/// Indices of the nodes a selector names, in the order of the world.
#[must_use]
pub fn select(world: &World, nodes: &Nodes) -> Vec<usize> {
    let counts = Counts {
        control_planes: world.spec.control_planes,
        workers: world.spec.workers,
        etcd: world.spec.etcd,
    };
    nodes
        .names(counts)
        .iter()
        .filter_map(|name| world.node_named(name))
        .collect()
}

/// The processes a target names.
#[must_use]
pub fn targets(world: &World, target: &Target) -> Vec<(Component, usize)> {
    let mut found = Vec::new();
    for node in select(world, &target.nodes) {
        match target.component {
            Some(component) => found.push((component, node)),
            None => found.extend(STATIC_PODS.iter().map(|&component| (component, node))),
        }
    }
    found
}
