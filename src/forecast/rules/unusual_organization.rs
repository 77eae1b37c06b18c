//! Groups in certificates that are not those kubeadm writes, or not the same everywhere.

use super::admin_conf_differs::groups;
use super::{Cluster, Finding, Rule, Severity};
use crate::kubeadm::certlist::{CLUSTER_ADMINS, MASTERS};
use crate::kubeadm::profile::Profile;

const KUBELET_CLIENT: &str = "apiserver-kubelet-client.crt";

pub(super) const RULE: Rule = Rule {
    id: "unusual-organization",
    title: "a certificate's groups are not those that kubeadm of this version writes, or differ between control planes",
    from: "S26",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let clients: Vec<_> = cluster
        .control_planes()
        .filter_map(|node| {
            Some((
                node,
                node.certificates(&node.pki(KUBELET_CLIENT))
                    .into_iter()
                    .next()?,
            ))
        })
        .collect();
    let some_with = clients
        .iter()
        .find(|(_, certificate)| !certificate.organizations().is_empty());
    for (node, certificate) in &clients {
        let organizations = certificate.organizations();
        let path = node.pki(KUBELET_CLIENT);
        let known = organizations
            .iter()
            .all(|group| matches!(group.as_str(), MASTERS | CLUSTER_ADMINS));
        if !known {
            out.push(Finding::new(
                &RULE,
                Severity::Warning,
                node,
                format!(
                    "{path} is for {}: kubectl logs and exec work only if a ClusterRoleBinding lets it",
                    groups(organizations)
                ),
            ));
        }
        if let (true, Some((other, theirs))) = (organizations.is_empty(), some_with) {
            out.push(Finding::new(
                &RULE,
                Severity::Warning,
                node,
                format!(
                    "{path} is for no group, that of {} for {}: through this API server kubectl logs and exec are \
                     Forbidden unless the ClusterRoleBinding kubeadm:apiserver-kubelet-client exists, which only init and \
                     upgrade apply make",
                    other.name,
                    groups(theirs.organizations())
                ),
            ));
        }
    }
    let split = Profile::of(cluster.version).super_admin;
    for node in cluster.control_planes() {
        let Some(certificate) = node.client_certificate("/etc/kubernetes/admin.conf") else {
            continue;
        };
        let organizations = certificate.organizations();
        let masters = organizations.iter().any(|group| group == MASTERS);
        let expected = masters || organizations.iter().any(|group| group == CLUSTER_ADMINS);
        if !expected {
            out.push(Finding::new(
                &RULE,
                Severity::Warning,
                node,
                format!(
                    "/etc/kubernetes/admin.conf is for {}: nothing says that it may administer anything",
                    groups(organizations)
                ),
            ));
        } else if masters && split {
            out.push(Finding::new(
                &RULE,
                Severity::Note,
                node,
                "/etc/kubernetes/admin.conf is still for system:masters, as before 1.29: a renewal keeps that",
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn mixed_control_planes_and_unknown_groups_fire() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        assert!(lab.of(RULE.id).is_empty());
        lab.issue("cp1", "apiserver-kubelet-client", "ca", |template| {
            template.organizations = vec!["kubeadm:cluster-admins".into()];
        });
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].node.as_str()), (1, "cp2"));
        lab.issue("cp1", "apiserver-kubelet-client", "ca", |template| {
            template.organizations = vec!["ops".into()];
        });
        assert!(
            lab.of(RULE.id)
                .iter()
                .any(|it| it.what.contains("is for ops"))
        );
    }
}
