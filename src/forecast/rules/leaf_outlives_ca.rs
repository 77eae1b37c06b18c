//! Certificates that claim to be valid for longer than their CA.

use super::{Cluster, Finding, Rule, Severity, managed};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "leaf-outlives-ca",
    title: "a certificate claims to be valid for longer than the CA that signed it",
    from: "D19",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        for (path, certificate, ca) in managed(node) {
            let authorities = node.certificates(&format!("{ca}.crt"));
            let Some(authority) = authorities
                .iter()
                .find(|authority| certificate.is_signed_by(authority))
            else {
                continue;
            };
            let (end, ca_end) = (certificate.not_after(), authority.not_after());
            if end <= ca_end {
                continue;
            }
            let severity = if ca_end <= cluster.horizon {
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
                        "{path} says it is valid until {end}, but {ca}.crt ends at {ca_end}: it ends there, whatever \
                         kubeadm certs check-expiration shows"
                    ),
                )
                .at(ca_end)
                .order([Order::new(
                    &node.name,
                    Command::ByHand(format!("watch the end of {ca}.crt, not that of {path}")),
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
    fn a_leaf_beyond_its_ca_fires() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let far = lab.days(20 * 365);
        lab.issue("cp1", "apiserver", "ca", |template| {
            template.not_after = far
        });
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        lab.horizon = lab.days(11 * 365);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Error);
    }
}
