//! A CA without key counts as external, and kubeadm's commands then need valid certificates.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};
use crate::kubeadm::certlist::Ca;

pub(super) const RULE: Rule = Rule {
    id: "external-ca-expired",
    title: "ca.key is missing, so that kubeadm takes the CA for external and its commands fail once a certificate ends",
    from: "S17",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        let key = node.pki("ca.key");
        if node.file(&key).is_some() || node.file(&node.pki("ca.crt")).is_none() {
            continue;
        }
        let first = Ca::Kubernetes
            .required_leaves()
            .iter()
            .filter_map(|(base, _)| {
                let path = node.pki(&format!("{base}.crt"));
                let certificate = node.certificates(&path).into_iter().next()?;
                Some((certificate.not_after(), path))
            })
            .min();
        let Some((end, path)) = first else {
            continue;
        };
        let (severity, when) = if end < cluster.at {
            (
                Severity::Error,
                format!("{path} has ended at {end}: kubeadm certs fails"),
            )
        } else if end <= cluster.horizon {
            (
                Severity::Warning,
                format!(
                    "kubeadm cannot renew {path}, which ends at {end}; from then on kubeadm certs fails"
                ),
            )
        } else {
            (
                Severity::Note,
                format!("kubeadm cannot renew what ca.crt signed; {path} ends at {end}"),
            )
        };
        let orders = match cluster.signer() {
            Some(other) => vec![
                Order::new(
                    &node.name,
                    Command::Fetch {
                        from: other.name.clone(),
                        path: key.clone(),
                    },
                ),
                Order::new(&node.name, Command::RenewAll),
                Order::new(&node.name, Command::RestartControlPlane),
            ],
            None => vec![Order::new(
                &node.name,
                Command::ByHand(format!(
                    "bring {key} back from where it is kept for the renewal, or have that CA sign what \
                     kubeadm certs generate-csr writes"
                )),
            )],
        };
        out.push(
            Finding::new(&RULE, severity, node, format!("{key} is missing: {when}"))
                .at(end)
                .order(orders),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;
    use crate::fs::Tree as _;

    #[test]
    fn a_missing_key_gets_worse_with_the_end() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        assert!(lab.of(RULE.id).is_empty());
        lab.tree("cp1")
            .remove("/etc/kubernetes/pki/ca.key")
            .unwrap();
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert!(
            matches!(&found[0].orders[0].command, Command::Fetch { from, .. } if from == "cp2")
        );
        lab.horizon = lab.days(400);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Warning);
        lab.at = lab.days(390);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Error);
    }
}
