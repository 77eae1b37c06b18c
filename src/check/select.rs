//! From selectors to the nodes and processes of a world.

use crate::cluster::{Edge, STATIC_PODS, World};
use crate::scenario::{Component, Counts, Nodes, Target};

/// The edges from a client to a server that two selectors name.
pub(super) fn edges_between<'a>(
    world: &'a World,
    client: &'a Target,
    server: &'a Target,
) -> impl Iterator<Item = &'a Edge> {
    let clients = select(world, &client.nodes);
    let servers = select(world, &server.nodes);
    world.edges.iter().filter(move |edge| {
        let id = edge.id;
        client.component == Some(id.client)
            && server.component == Some(id.server)
            && clients.contains(&id.client_node)
            && id.server_node.is_none_or(|node| servers.contains(&node))
    })
}

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
