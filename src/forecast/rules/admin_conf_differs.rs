//! Administrators' kubeconfigs that are not the same age or not for the same groups on every control plane.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};
use crate::time::SignedDuration;

const PATH: &str = "/etc/kubernetes/admin.conf";
/// Control planes are set up and renewed within a day.
const TOLERATED: SignedDuration = SignedDuration::from_hours(24);

pub(super) const RULE: Rule = Rule {
    id: "admin-conf-differs",
    title: "admin.conf is not the same age, or not for the same groups, on every control plane",
    from: "D15",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let found: Vec<_> = cluster
        .control_planes()
        .filter_map(|node| Some((node, node.client_certificate(PATH)?)))
        .collect();
    let Some((newest_node, newest)) = found
        .iter()
        .max_by_key(|(_, certificate)| certificate.not_after())
    else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (node, certificate) in &found {
        let behind = newest.not_after().duration_since(certificate.not_after());
        if behind > TOLERATED {
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Warning,
                    node,
                    format!(
                        "its {PATH} ends at {}, that of {} at {}: one of them was renewed and this one was not",
                        certificate.not_after(),
                        newest_node.name,
                        newest.not_after()
                    ),
                )
                .at(certificate.not_after())
                .order([
                    Order::new(&node.name, Command::RenewAll),
                    Order::new(&node.name, Command::RestartControlPlane),
                ]),
            );
        } else if certificate.organizations() != newest.organizations() {
            out.push(Finding::new(
                &RULE,
                Severity::Note,
                node,
                format!(
                    "its {PATH} is for {}, that of {} for {}: what works with one may be forbidden with the other",
                    groups(certificate.organizations()),
                    newest_node.name,
                    groups(newest.organizations())
                ),
            ));
        }
    }
    out
}

pub(super) fn groups(organizations: &[String]) -> String {
    if organizations.is_empty() {
        "no group".to_owned()
    } else {
        organizations.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn a_node_that_was_renewed_alone_shows() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        assert!(lab.of(RULE.id).is_empty());
        let mut later = Lab::new("v1.36.3", 1, 0);
        let copy = later.text("cp1", PATH);
        // cp2 has the administrators' kubeconfig of an older cluster.
        lab.write("cp2", PATH, &copy);
        assert!(lab.of(RULE.id).is_empty(), "the same age is no finding");
        let world = {
            use crate::cluster::{Spec, World};
            let mut world = World::new(Spec {
                start: "2025-06-01T00:00:00Z".parse().unwrap(),
                key_algorithm: Some(crate::pki::KeyAlgorithm::EcdsaP256),
                seed: 3,
                ..Spec::of(lab.version)
            });
            world.create_cluster().unwrap();
            world
        };
        let old = Lab::of_world(&world, lab.version).text("cp1", PATH);
        lab.write("cp2", PATH, &old);
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].node.as_str(), found[0].severity),
            ("cp2", Severity::Warning)
        );
    }
}
