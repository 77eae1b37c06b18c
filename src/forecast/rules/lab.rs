//! Clusters for the tests of rules: simulated, their files changed, then captured.

use super::{Cluster, Finding, RULES, check};
use crate::cluster::{Spec, World};
use crate::forecast::capture::{Node, TreePlace, node};
use crate::forecast::plan::Occasion;
use crate::fs::{MemoryTree, Tree};
use crate::kubeadm::Version;
use crate::pki::{Certificate, KeyAlgorithm, PrivateKey, Template, issue};
use crate::time::{SignedDuration, Timestamp, shift};

pub(crate) struct Lab {
    pub version: Version,
    pub trees: Vec<(String, MemoryTree)>,
    pub at: Timestamp,
    pub horizon: Timestamp,
    pub occasions: Vec<Occasion>,
}

pub(crate) const PKI: &str = "/etc/kubernetes/pki";

impl Lab {
    pub fn new(version: &str, control_planes: u32, workers: u32) -> Self {
        let version: Version = version.parse().unwrap();
        let spec = Spec {
            control_planes,
            workers,
            key_algorithm: (version >= Version::new(31, 0)).then_some(KeyAlgorithm::EcdsaP256),
            seed: 7,
            ..Spec::of(version)
        };
        let mut world = World::new(spec);
        world.create_cluster().unwrap();
        world.walk(SignedDuration::from_hours(24));
        Self::of_world(&world, version)
    }

    pub fn of_world(world: &World, version: Version) -> Self {
        Self {
            version,
            at: world.now(),
            horizon: shift(world.now(), SignedDuration::from_hours(24 * 100)),
            trees: world
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.tree.clone()))
                .collect(),
            occasions: Vec::new(),
        }
    }

    pub fn tree(&mut self, name: &str) -> &mut MemoryTree {
        let found = self.trees.iter_mut().find(|(node, _)| node == name);
        &mut found.unwrap().1
    }

    pub fn captured(&self) -> Vec<Node> {
        self.trees
            .iter()
            .map(|(name, tree)| {
                node(
                    &TreePlace(tree),
                    name,
                    Some(&self.version.to_string()),
                    self.at,
                )
            })
            .collect()
    }

    pub fn findings(&self) -> Vec<Finding> {
        let nodes = self.captured();
        check(&self.cluster(&nodes))
    }

    pub fn cluster<'c>(&'c self, nodes: &'c [Node]) -> Cluster<'c> {
        Cluster {
            nodes,
            at: self.at,
            horizon: self.horizon,
            version: self.version,
            occasions: &self.occasions,
        }
    }

    /// What one rule finds.
    pub fn of(&self, rule: &str) -> Vec<Finding> {
        assert!(RULES.iter().any(|known| known.id == rule), "{rule}");
        let mut found = self.findings();
        found.retain(|finding| finding.rule == rule);
        found
    }

    pub fn text(&mut self, node: &str, path: &str) -> String {
        String::from_utf8(self.tree(node).read(path).unwrap()).unwrap()
    }

    pub fn write(&mut self, node: &str, path: &str, text: &str) {
        self.tree(node).write(path, text.as_bytes(), 0o600).unwrap();
    }

    pub fn copy(&mut self, from: &str, to: &str, path: &str) {
        let text = self.text(from, path);
        self.write(to, path, &text);
    }

    /// Issues a certificate again with a change.
    pub fn issue(&mut self, node: &str, base: &str, ca: &str, change: impl FnOnce(&mut Template)) {
        let read = |tree: &mut MemoryTree, path: String| tree.read(&path).unwrap();
        let tree = self.tree(node);
        let certificate = |bytes: &[u8]| Certificate::parse_pem_certs(bytes).unwrap()[0].clone();
        let old = certificate(&read(tree, format!("{PKI}/{base}.crt")));
        let signer = certificate(&read(tree, format!("{PKI}/{ca}.crt")));
        let signer_key = PrivateKey::from_pem(&read(tree, format!("{PKI}/{ca}.key"))).unwrap();
        let mut template = Template {
            common_name: old.common_name().to_owned(),
            organizations: old.organizations().to_vec(),
            dns_names: old.dns_names().to_vec(),
            ip_addresses: old.ip_addresses().to_vec(),
            ext_key_usages: old.ext_key_usages().to_vec(),
            key_usage: old.key_usage(),
            not_before: old.not_before(),
            not_after: old.not_after(),
            serial: 42,
            is_ca: old.is_ca(),
            basic_constraints: true,
        };
        change(&mut template);
        let new = issue::sign(&template, old.spki_der(), &signer, &signer_key).unwrap();
        self.write(node, &format!("{PKI}/{base}.crt"), &new.to_pem());
    }

    /// Another CA of the same name.
    pub fn other_ca(&self) -> String {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        issue::self_signed_ca(
            "kubernetes",
            &key,
            self.at,
            shift(self.at, SignedDuration::from_hours(87_600)),
            9,
        )
        .unwrap()
        .to_pem()
    }

    pub fn days(&self, days: i64) -> Timestamp {
        shift(self.at, SignedDuration::from_hours(24 * days))
    }
}
