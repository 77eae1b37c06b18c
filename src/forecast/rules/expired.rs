//! What has ended already.

use super::{Cluster, Finding, Rule, Severity, managed};
use crate::forecast::etcd_machines::{self, asks_elsewhere, is_member};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "expired",
    title: "a certificate has ended already",
    from: "D1",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let etcd = etcd_machines::orders(cluster.nodes);
    for node in cluster.nodes.iter().filter(|node| is_member(node)) {
        for (path, certificate) in etcd_machines::certificates(node) {
            let end = certificate.not_after();
            if end < cluster.at {
                let what = format!("{path} has ended at {end}");
                let found = Finding::new(&RULE, Severity::Error, node, what);
                out.push(found.at(end).order(etcd.clone()));
            }
        }
    }
    for node in cluster.control_planes() {
        let renewal = if asks_elsewhere(node) {
            Command::RenewAllByFile
        } else {
            Command::RenewAll
        };
        for (path, certificate, _) in managed(node) {
            let end = certificate.not_after();
            if end < cluster.at {
                // What an external etcd's CA signed, kubeadm does not renew here.
                if asks_elsewhere(node) && path == node.pki("apiserver-etcd-client.crt") {
                    let what = format!("{path} has ended at {end}");
                    let found = Finding::new(&RULE, Severity::Error, node, what);
                    out.push(found.at(end).order(etcd.clone()));
                    continue;
                }
                out.push(
                    Finding::new(
                        &RULE,
                        Severity::Error,
                        node,
                        format!("{path} has ended at {end}"),
                    )
                    .at(end)
                    .order([
                        Order::new(&node.name, renewal.clone()),
                        Order::new(&node.name, Command::RestartControlPlane),
                    ]),
                );
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn the_second_after_the_end_fires() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        let end =
            lab.captured()[0].certificates("/etc/kubernetes/pki/apiserver.crt")[0].not_after();
        lab.at = end;
        let apiserver = |lab: &Lab| {
            lab.of(RULE.id)
                .iter()
                .any(|it| it.what.contains("apiserver.crt"))
        };
        assert!(!apiserver(&lab));
        lab.at = crate::time::shift(end, crate::time::SignedDuration::from_secs(1));
        assert!(apiserver(&lab));
    }
}
