//! A world of machines that are there already, with the files that were found on them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::engine::Engine;
use super::node::Node;
use super::spec::Spec;
use super::world::World;
use crate::fs::MemoryTree;
use crate::kubeadm::Version;
use crate::run::trace::{EventKind, Weight};
use crate::time::SignedDuration;

/// How long processes are given to find each other.
const SETTLES_IN: SignedDuration = SignedDuration::from_secs(90);

/// A machine as it was found.
#[derive(Debug)]
pub struct Found {
    /// Name of its Node object.
    pub name: String,
    /// Whether it is a control plane.
    pub control_plane: bool,
    /// Whether a member of etcd is on it; a machine that is no control plane is then nothing else.
    pub etcd: bool,
    /// Where its certificates are.
    pub certificates_dir: String,
    /// What it advertises.
    pub address: IpAddr,
    /// Version of its kubeadm and kubelet.
    pub version: Version,
    /// How far its wall clock is ahead of true time.
    pub offset: SignedDuration,
    /// Its files.
    pub tree: MemoryTree,
}

impl World {
    /// Takes machines into a world that run since before its first instant: kubelets keep running where they
    /// have a certificate, static Pods start from their manifests, and each process holds what its files say now.
    ///
    /// `shared` are host names that lead to every API server; `config_maps` are those of kube-system.
    #[must_use]
    pub fn rebuilt(
        mut spec: Spec,
        engine: Box<dyn Engine>,
        machines: Vec<Found>,
        shared: impl IntoIterator<Item = String>,
        config_maps: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Self {
        let control_planes = machines.iter().filter(|found| found.control_plane).count();
        spec.control_planes = control_planes as u32;
        spec.etcd = machines
            .iter()
            .filter(|found| found.etcd && !found.control_plane)
            .count() as u32;
        spec.workers = (machines.len() - control_planes) as u32 - spec.etcd;
        let mut world = Self::with(spec, engine);
        world.setting_up = true;
        world.config_maps = config_maps;
        world.shared_hosts.extend(shared);
        world.role_bindings = super::rbac::made_by_init(world.spec.version);
        world.nodes = machines
            .into_iter()
            .map(|found| {
                let mut node = Node::new(found.name, found.control_plane, 0, found.version);
                node.address = found.address;
                node.offset = found.offset;
                node.tree = found.tree;
                node.etcd = found.etcd;
                // Whether its etcd can start or not, the others count it.
                node.etcd_member = found.etcd;
                node.certificates_dir = found.certificates_dir;
                node.ready = (!node.only_etcd()).then_some(true);
                node
            })
            .collect();
        world.connect_nodes();
        for node in 0..world.nodes.len() {
            if !world.resume_kubelet(node) {
                world.start_kubelet(node);
            }
        }
        world.walk(SETTLES_IN);
        world.setting_up = false;
        let text = format!(
            "the cluster of {} as it was captured: {} machines",
            world.spec.version,
            world.nodes.len()
        );
        world.record(EventKind::Note, Weight::Normal, None, "cluster", text, None);
        world
    }
}
