//! super-admin.conf, which nobody makes again.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};
use crate::kubeadm::profile::Profile;

const PATH: &str = "/etc/kubernetes/super-admin.conf";

pub(super) const RULE: Rule = Rule {
    id: "super-admin-missing",
    title: "super-admin.conf is missing, and check-expiration reports it as such for ever",
    from: "S28",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    if !Profile::of(cluster.version).super_admin {
        return Vec::new();
    }
    let anywhere = cluster
        .control_planes()
        .any(|node| node.file(PATH).is_some());
    cluster
        .control_planes()
        .filter(|node| node.file(PATH).is_none())
        .map(|node| {
            let row = "check-expiration -o json shows it with residualTime 0 and missing: true, which a script that renews \
                       what is about to end takes for a certificate that has ended";
            if anywhere {
                return Finding::new(
                    &RULE,
                    Severity::Note,
                    node,
                    format!("{PATH} is missing here, as on every control plane that joined; {row}"),
                );
            }
            Finding::new(
                &RULE,
                Severity::Warning,
                node,
                format!(
                    "{PATH} is on no control plane: nobody can repair lost RoleBindings, and no upgrade makes it again; {row}"
                ),
            )
            .order([Order::new(
                &node.name,
                Command::ByHand(
                    "kubeadm init phase kubeconfig super-admin --config /path/to/kubeadm.yaml   # on one control plane"
                        .to_owned(),
                ),
            )])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;
    use crate::fs::Tree as _;

    #[test]
    fn on_none_is_worse_than_on_one_and_before_1_29_there_is_no_such_file() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        lab.tree("cp1").remove(PATH).unwrap();
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (2, Severity::Warning));
        assert!(Lab::new("v1.28.15", 1, 0).of(RULE.id).is_empty());
    }
}
