//! A cluster's disks as directories: what a capture is made from.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "directories are laid out, and a test may stop at what it did not expect"
)]

use std::fs;
use std::path::Path;

use certdrill::cluster::{Spec, World};
use certdrill::fs::mirror;
use certdrill::pki::KeyAlgorithm;
use certdrill::real::dir::DirTree;
use certdrill::time::SignedDuration;

/// Lays out the disks of a cluster that is a day old: a directory for each node, with the node's name.
pub fn disks(folder: &Path, version: &str, control_planes: u32, workers: u32) {
    let mut world = World::new(Spec {
        control_planes,
        workers,
        key_algorithm: (version > "v1.31").then_some(KeyAlgorithm::EcdsaP256),
        seed: 11,
        ..Spec::of(version.parse().unwrap())
    });
    world.create_cluster().unwrap();
    world.walk(SignedDuration::from_hours(24));
    for node in &world.nodes {
        let dir = folder.join(&node.name);
        fs::create_dir(&dir).unwrap();
        let mut disk = DirTree::open(&dir).unwrap();
        mirror(&node.tree, &mut disk, &[]).unwrap();
    }
}
