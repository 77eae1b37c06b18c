//! Copies of admin.conf that renewals do not reach.

use super::{Cluster, Finding, Rule, Severity};
use crate::cluster::USER_CONF;
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "user-kubeconfig-stale",
    title: "a user's copy of admin.conf is older than admin.conf",
    from: "S32",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        let (Some(copy), Some(admin)) = (
            node.client_certificate(USER_CONF),
            node.client_certificate("/etc/kubernetes/admin.conf"),
        ) else {
            continue;
        };
        let end = copy.not_after();
        if end >= admin.not_after() || copy.common_name() != admin.common_name() {
            continue;
        }
        let (severity, verb) = if end < cluster.at {
            (Severity::Error, "has ended")
        } else {
            (Severity::Warning, "ends")
        };
        out.push(
            Finding::new(
                &RULE,
                severity,
                node,
                format!(
                    "{USER_CONF} {verb} at {end}, and /etc/kubernetes/admin.conf, of which it is an older copy, at {}: \
                     kubectl is Unauthorized although everything was renewed",
                    admin.not_after()
                ),
            )
            .at(end)
            .order([Order::new(&node.name, Command::CopyAdminConf)]),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Spec, World};
    use crate::forecast::rules::lab::Lab;
    use crate::time::SignedDuration;

    #[test]
    fn a_renewal_leaves_the_copy_behind() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let mut world = World::new(Spec {
            start: lab.at,
            key_algorithm: Some(crate::pki::KeyAlgorithm::EcdsaP256),
            seed: 2,
            ..Spec::of(lab.version)
        });
        world.create_cluster().unwrap();
        world.walk(SignedDuration::from_hours(24 * 100));
        world.kubeadm(0, &["certs".into(), "renew".into(), "all".into()]);
        lab = Lab::of_world(&world, lab.version);
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        lab.at = lab.days(300);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Error);
    }
}
