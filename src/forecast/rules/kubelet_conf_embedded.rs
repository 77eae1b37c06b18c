//! kubelet.conf with a certificate inside.

use super::{Cluster, Finding, Rule, Severity};
use crate::cluster::KUBELET_CURRENT;
use crate::forecast::remedy::{Command, Order};

const CONF: &str = "/etc/kubernetes/kubelet.conf";

pub(super) const RULE: Rule = Rule {
    id: "kubelet-conf-embedded",
    title: "kubelet.conf embeds a certificate that nobody renews",
    from: "S1",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        let Some(certificate) = node.client_certificate(CONF) else {
            continue;
        };
        let rotated = node.certificates(KUBELET_CURRENT).into_iter().next();
        let end = certificate.not_after();
        // Without a file of its own the kubelet stands and falls with this one: another rule says so.
        if rotated.is_none() && end < cluster.at {
            continue;
        }
        let severity = if end <= cluster.horizon {
            Severity::Error
        } else {
            Severity::Warning
        };
        let so = if end < cluster.at {
            "the kubelet runs on until it is restarted, and does not start then"
        } else {
            "from then on the kubelet does not start any more, although it rotates its own certificate"
        };
        let mut orders = Vec::new();
        if rotated.is_none_or(|rotated| rotated.not_after() > cluster.at) {
            orders.push(Order::new(&node.name, Command::PointKubeletConf));
            orders.push(Order::new(&node.name, Command::RestartKubelet));
        }
        out.push(
            Finding::new(
                &RULE,
                severity,
                node,
                format!("{CONF} embeds a certificate that ends at {end}: {so}"),
            )
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

    #[test]
    fn an_init_node_of_1_16_has_it_and_its_joined_node_does_not() {
        let lab = Lab::new("v1.16.15", 1, 1);
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].node.as_str()), (1, "cp1"));
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(Lab::new("v1.17.17", 1, 1).of(RULE.id).is_empty());
    }

    #[test]
    fn a_horizon_behind_its_end_makes_it_an_error() {
        let mut lab = Lab::new("v1.16.15", 1, 0);
        lab.horizon = lab.days(400);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Error);
    }
}
