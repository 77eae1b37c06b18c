//! A CA that ends before the horizon.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};
use crate::kubeadm::certlist::Ca;

pub(super) const RULE: Rule = Rule {
    id: "ca-ends",
    title: "a certificate authority ends, and kubeadm renews none",
    from: "D19",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        for ca in Ca::ALL {
            let path = node.pki(&format!("{}.crt", ca.base_name()));
            let Some(certificate) = node.certificates(&path).into_iter().next() else {
                continue;
            };
            let end = certificate.not_after();
            if end > cluster.horizon {
                continue;
            }
            let severity = if end <= cluster.at {
                Severity::Error
            } else {
                Severity::Warning
            };
            out.push(
                Finding::new(
                    &RULE,
                    severity,
                    node,
                    format!(
                        "{path} ends at {end}, and with it everything it signed; kubeadm certs renew does not touch CAs"
                    ),
                )
                .at(end)
                .order([Order::new(
                    &node.name,
                    Command::ByHand(
                        "rotate the CA by hand before that day: \
                         https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/"
                            .to_owned(),
                    ),
                )]),
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
    fn only_a_horizon_beyond_its_end_fires() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        lab.horizon = lab.days(3_700);
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|finding| finding.severity == Severity::Warning)
        );
        lab.at = lab.days(3_690);
        assert!(
            lab.of(RULE.id)
                .iter()
                .all(|finding| finding.severity == Severity::Error)
        );
    }
}
