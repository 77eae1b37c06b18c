//! Rules: what a capture shows to be wrong, each in a file of its own with a page in `docs/rules/`.

mod admin_conf_differs;
mod ca_bundle;
mod ca_ends;
mod clock_skew;
mod control_planes_disagree;
mod etcd_not_renewed;
mod expired;
mod external_ca_expired;
mod foreign_signer;
mod key_mismatch;
mod kubeconfig_ca_differs;
mod kubelet_certificate_late;
mod kubelet_conf_embedded;
mod kubelet_conf_missing;
mod kubelet_serving_ends;
mod leaf_outlives_ca;
mod mode_too_open;
mod san_mismatch;
mod super_admin_missing;
mod unreadable;
mod unusual_organization;
mod user_kubeconfig_stale;

#[cfg(test)]
pub(super) mod lab;

use schemars::JsonSchema;
use serde::Serialize;

use super::capture::Node;
use super::plan::Occasion;
use super::remedy::Order;
use crate::kubeadm::Version;
use crate::kubeadm::certlist::{LEAVES, Leaf};
use crate::pki::Certificate;
use crate::time::Timestamp;

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, also that of its page.
    pub id: &'static str,
    /// What it finds, in one line.
    pub title: &'static str,
    /// Row of the documentation or incident it comes from.
    pub from: &'static str,
    /// Looks at a cluster.
    pub check: fn(&Cluster<'_>) -> Vec<Finding>,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'c> {
    /// The captured nodes.
    pub nodes: &'c [Node],
    /// When they were captured.
    pub at: Timestamp,
    /// Until when the forecast looks.
    pub horizon: Timestamp,
    /// Version of the first control plane.
    pub version: Version,
    /// What is planned.
    pub occasions: &'c [Occasion],
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something does not work, or will not after the next restart or renewal.
    Error,
    /// It will need somebody.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Finding {
    /// The rule; its page is in `docs/rules/`.
    pub rule: &'static str,
    /// Row of the documentation or incident that the rule comes from.
    pub from: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The node.
    pub node: String,
    /// What was found, and what follows.
    pub what: String,
    /// When it comes to bear, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// What to do.
    pub orders: Vec<Order>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    admin_conf_differs::RULE,
    ca_bundle::RULE,
    ca_ends::RULE,
    clock_skew::RULE,
    control_planes_disagree::RULE,
    etcd_not_renewed::RULE,
    expired::RULE,
    external_ca_expired::RULE,
    foreign_signer::RULE,
    key_mismatch::RULE,
    kubeconfig_ca_differs::RULE,
    kubelet_certificate_late::RULE,
    kubelet_conf_embedded::RULE,
    kubelet_conf_missing::RULE,
    kubelet_serving_ends::RULE,
    leaf_outlives_ca::RULE,
    mode_too_open::RULE,
    san_mismatch::RULE,
    super_admin_missing::RULE,
    unreadable::RULE,
    unusual_organization::RULE,
    user_kubeconfig_stale::RULE,
];

/// What every rule finds, the worst first.
#[must_use]
pub fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = RULES
        .iter()
        .flat_map(|rule| (rule.check)(cluster))
        .collect();
    found.sort_by_key(|finding| {
        (
            finding.severity,
            finding.at,
            finding.rule,
            finding.node.clone(),
        )
    });
    found
}

impl Finding {
    fn new(rule: &Rule, severity: Severity, node: &Node, what: impl Into<String>) -> Self {
        Self {
            rule: rule.id,
            from: rule.from,
            severity,
            node: node.name.clone(),
            what: what.into(),
            at: None,
            orders: Vec::new(),
        }
    }

    fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    fn order(mut self, orders: impl IntoIterator<Item = Order>) -> Self {
        self.orders.extend(orders);
        self
    }
}

impl<'c> Cluster<'c> {
    /// Where a node's certificates are.
    #[must_use]
    pub fn certificates_dir(&self, node: &str) -> &'c str {
        self.nodes
            .iter()
            .find(|one| one.name == node)
            .map_or(crate::cluster::PKI, Node::certificates_dir)
    }

    fn control_planes(&self) -> impl Iterator<Item = &'c Node> + use<'c> {
        self.nodes.iter().filter(|node| node.control_plane)
    }

    /// A control plane that has the CA's key.
    fn signer(&self) -> Option<&'c Node> {
        self.control_planes().find(|node| {
            node.file(&node.pki("ca.key"))
                .and_then(|file| file.key.as_ref())
                .is_some_and(|key| {
                    key.belongs_to
                        .iter()
                        .any(|path| *path == node.pki("ca.crt"))
                })
        })
    }
}

/// The directory of a CA's files: `/etc/kubernetes/pki/etcd/ca`.
fn authority_of(node: &Node, leaf: &Leaf) -> String {
    node.pki(leaf.ca.base_name())
}

/// Path of a leaf's certificate.
fn path_of(node: &Node, leaf: &Leaf) -> String {
    node.pki(&format!("{}.crt", leaf.base_name))
}

/// Every certificate of a node that kubeadm renews: path, certificate, path of its CA without ending.
fn managed(node: &Node) -> Vec<(String, Certificate, String)> {
    let mut out = Vec::new();
    for leaf in &LEAVES {
        let path = path_of(node, leaf);
        if let Some(certificate) = node.certificates(&path).into_iter().next() {
            out.push((path, certificate, authority_of(node, leaf)));
        }
    }
    for name in ["admin", "super-admin", "controller-manager", "scheduler"] {
        let path = format!("/etc/kubernetes/{name}.conf");
        if let Some(certificate) = node.client_certificate(&path) {
            out.push((path, certificate, node.pki("ca")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_page_of_its_own() {
        let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules");
        let tree = crate::real::dir::DirTree::open(&dir).unwrap();
        let read = |name: &str| {
            let page = crate::fs::Tree::read(&tree, &format!("/{name}.md"))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            String::from_utf8(page).unwrap()
        };
        let index = read("index");
        for rule in RULES {
            let page = read(rule.id);
            assert!(page.contains(rule.title), "{}: its title", rule.id);
            assert!(page.contains(rule.from), "{}: where it comes from", rule.id);
            let line = format!(
                "| [{0}]({0}.md) | {1} | {2} |",
                rule.id, rule.title, rule.from
            );
            assert!(index.contains(&line), "docs/rules/index.md lacks {line}");
        }
    }

    #[test]
    fn a_sound_cluster_gives_no_error_and_no_warning() {
        for version in ["v1.28.15", "v1.36.3"] {
            let lab = lab::Lab::new(version, 2, 1);
            let bad: Vec<Finding> = lab
                .findings()
                .into_iter()
                .filter(|finding| finding.severity < Severity::Note)
                .collect();
            // etcd's certificates are left alone by upgrades before 1.31, whatever the cluster.
            let bad: Vec<&Finding> = bad
                .iter()
                .filter(|finding| finding.rule != "kubelet-serving-ends")
                .collect();
            assert!(bad.is_empty(), "{version}: {bad:#?}");
        }
    }
}
