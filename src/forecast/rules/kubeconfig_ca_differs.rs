//! Kubeconfigs that trust another CA than the one on the node.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::capture::parse_all;
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "kubeconfig-ca-differs",
    title: "a kubeconfig trusts another CA than ca.crt",
    from: "S20",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        let ca_file = node.pki("ca.crt");
        let on_disk = node.certificates(&ca_file);
        if on_disk.is_empty() {
            continue;
        }
        for (path, file) in &node.files {
            let Some(server) = file.kubeconfig.as_ref().and_then(|config| config.cluster()) else {
                continue;
            };
            let trusted = parse_all(&server.authority);
            if trusted.is_empty() || on_disk.iter().all(|ca| trusted.contains(ca)) {
                continue;
            }
            let some = on_disk.iter().any(|ca| trusted.contains(ca));
            let (severity, what) = if some {
                (
                    Severity::Note,
                    format!(
                        "{path} does not trust every CA of ca.crt: a bundle that is not everywhere yet"
                    ),
                )
            } else {
                (
                    Severity::Error,
                    format!(
                        "{path} trusts another CA than {ca_file}: its user does not accept an API server \
                         whose certificate that one signed (certificate signed by unknown authority)"
                    ),
                )
            };
            let mut orders = vec![Order::new(
                &node.name,
                Command::SetAuthority { path: path.clone() },
            )];
            match path.rsplit('/').next() {
                Some("kubelet.conf") => {
                    orders.push(Order::new(&node.name, Command::RestartKubelet));
                }
                Some("controller-manager.conf" | "scheduler.conf") => {
                    orders.push(Order::new(&node.name, Command::RestartControlPlane));
                }
                _ => {}
            }
            out.push(Finding::new(&RULE, severity, node, what).order(orders));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn a_new_ca_on_disk_leaves_every_kubeconfig_behind() {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        assert!(lab.of(RULE.id).is_empty());
        let path = "/etc/kubernetes/pki/ca.crt";
        let (old, other) = (lab.text("w1", path), lab.other_ca());
        lab.write("w1", path, &other);
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        lab.write("w1", path, &format!("{other}{old}"));
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Note);
    }
}
