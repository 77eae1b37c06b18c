//! Certificates that the CA beside them did not sign.

use super::{Cluster, Finding, Rule, Severity, managed};
use crate::cluster::KUBELET_CURRENT;
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "foreign-signer",
    title: "a certificate was not signed by the CA that is on the node",
    from: "S36",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        let kubelet = node
            .certificates(KUBELET_CURRENT)
            .into_iter()
            .next()
            .map(|certificate| (KUBELET_CURRENT.to_owned(), certificate, node.pki("ca")));
        for (path, certificate, ca) in managed(node).into_iter().chain(kubelet) {
            let authorities = node.certificates(&format!("{ca}.crt"));
            if authorities.is_empty()
                || authorities
                    .iter()
                    .any(|authority| certificate.is_signed_by(authority))
            {
                continue;
            }
            let orders = if path.starts_with("/var/lib/kubelet") {
                cluster
                    .signer()
                    .map(|signer| {
                        vec![
                            Order::new(
                                &node.name,
                                Command::NewKubeletConf {
                                    from: signer.name.clone(),
                                },
                            ),
                            Order::new(&node.name, Command::PointKubeletConf),
                            Order::new(&node.name, Command::RestartKubelet),
                        ]
                    })
                    .unwrap_or_default()
            } else {
                vec![
                    Order::new(&node.name, Command::RenewAll),
                    Order::new(&node.name, Command::RestartControlPlane),
                ]
            };
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Error,
                    node,
                    format!(
                        "{path} (issuer {:?}) was not signed by any certificate of {ca}.crt: who trusts that CA refuses it",
                        certificate.issuer_common_name()
                    ),
                )
                .order(orders),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn a_ca_that_was_replaced_shows_in_all_it_signed() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let path = "/etc/kubernetes/pki/ca.crt";
        let (old, other) = (lab.text("cp1", path), lab.other_ca());
        lab.write("cp1", path, &other);
        assert!(lab.of(RULE.id).len() >= 5);
        // A bundle that still holds the old one is no finding of this rule.
        lab.write("cp1", path, &format!("{other}{old}"));
        assert!(lab.of(RULE.id).is_empty());
    }
}
