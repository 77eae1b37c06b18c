//! Files that are not what their names say.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "unreadable",
    title: "a certificate, kubeconfig or manifest cannot be read",
    from: "D12",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        for (path, file) in &node.files {
            let Some(why) = &file.unreadable else {
                continue;
            };
            // Copies and left-overs matter to nobody.
            let matters = path.starts_with(&node.pki(""))
                || path.starts_with("/etc/kubernetes/manifests/")
                || path.starts_with("/etc/kubernetes/") && path.ends_with(".conf")
                || path.ends_with("kubelet-client-current.pem");
            let severity = if matters {
                Severity::Error
            } else {
                Severity::Note
            };
            out.push(
                Finding::new(&RULE, severity, node, format!("{path}: {why}")).order([Order::new(
                    &node.name,
                    Command::ByHand(format!(
                        "look at {path}; restore it from a backup or have kubeadm make it anew"
                    )),
                )]),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::{Lab, PKI};

    #[test]
    fn garbage_is_a_finding_and_no_panic() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        lab.write("cp1", &format!("{PKI}/apiserver.crt"), "garbage");
        lab.write(
            "cp1",
            &format!("{PKI}/ca.crt"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        lab.write("cp1", "/etc/kubernetes/admin.conf", "a: [");
        lab.write("cp1", "/etc/kubernetes/manifests/etcd.yaml", "kind: Pod");
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 4, "{found:#?}");
    }
}
