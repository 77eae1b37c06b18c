//! A node without kubelet.conf.

use super::{Cluster, Finding, Rule, Severity};
use crate::cluster::{BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CURRENT};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "kubelet-conf-missing",
    title: "a node has no kubelet.conf, and its kubelet does not start again",
    from: "D7",
    check,
};

/// The kubelet does not look into its store before it has read kubelet.conf, and asks for another certificate with
/// bootstrap-kubelet.conf alone (`cmd/kubelet/app/server.go`, `client-go/.../certificate/bootstrap`, LoadClientConfig).
fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let from = cluster
        .signer()
        .map_or("a control plane", |node| node.name.as_str());
    cluster
        .nodes
        .iter()
        // A machine of an external etcd has none either.
        .filter(|node| node.control_plane || node.file(KUBELET_CURRENT).is_some())
        .filter(|node| node.kubelet_is_unknown().is_none())
        .filter(|node| !node.unread.iter().any(|what| what.contains(KUBELET_CONF)))
        .filter(|node| node.file(KUBELET_CONF).is_none() && node.file(BOOTSTRAP_CONF).is_none())
        .map(|node| {
            let order = |command| Order::new(&node.name, command);
            Finding::new(
                &RULE,
                Severity::Error,
                node,
                format!("{KUBELET_CONF} is missing: a kubelet that runs goes on, and does not start again"),
            )
            .order([
                order(Command::NewKubeletConf {
                    from: from.to_owned(),
                }),
                order(Command::PointKubeletConf),
                order(Command::RestartKubelet),
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;
    use crate::fs::Tree as _;

    #[test]
    fn without_it_no_kubelet_starts_again_unless_it_can_bootstrap() {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        assert!(lab.of(RULE.id).is_empty());
        for node in ["cp1", "w1"] {
            lab.tree(node).remove(KUBELET_CONF).unwrap();
        }
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found
                .iter()
                .all(|it| it.severity == Severity::Error && it.orders.len() == 3)
        );
        lab.write("w1", BOOTSTRAP_CONF, "kind: Config");
        assert_eq!(lab.of(RULE.id).len(), 1);
    }

    /// Who captured `/var/lib/kubelet/pki` alone has not shown that anything is missing.
    #[test]
    fn a_part_of_a_node_says_nothing_of_the_rest() {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        lab.tree("w1").remove_all("/etc/kubernetes").unwrap();
        assert!(lab.of(RULE.id).is_empty());
        // A control plane's other kubeconfigs were: nothing of /var/lib/kubelet is needed to miss this one.
        lab.tree("cp1").remove(KUBELET_CONF).unwrap();
        lab.tree("cp1").remove_all("/var/lib/kubelet/pki").unwrap();
        lab.tree("cp1")
            .remove_all("/etc/kubernetes/manifests")
            .unwrap();
        assert_eq!(lab.of(RULE.id).len(), 1);
    }
}
