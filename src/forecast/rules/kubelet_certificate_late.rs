//! Kubelets whose client certificate has ended, or was not rotated in its window.

use super::{Cluster, Finding, Rule, Severity};
use crate::cluster::KUBELET_CURRENT;
use crate::forecast::remedy::{Command, Order};
use crate::time::{SignedDuration, shift};

/// A kubelet rotates between 70 and 90 % of a certificate's life (`client-go/util/certificate`).
const WINDOW_ENDS: f64 = 0.9;

pub(super) const RULE: Rule = Rule {
    id: "kubelet-certificate-late",
    title: "a kubelet's client certificate has ended, or is past the window in which the kubelet rotates it",
    from: "D7",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    const CONF: &str = "/etc/kubernetes/kubelet.conf";
    let mut out = Vec::new();
    for node in cluster.nodes {
        let stored = node.certificates(KUBELET_CURRENT).into_iter().next();
        let Some((path, certificate)) = stored
            .map(|certificate| (KUBELET_CURRENT, certificate))
            .or_else(|| Some((CONF, node.client_certificate(CONF)?)))
        else {
            continue;
        };
        let (from, end) = (certificate.not_before(), certificate.not_after());
        let life = end.duration_since(from).as_secs_f64();
        let late = shift(from, SignedDuration::from_secs((life * WINDOW_ENDS) as i64));
        if end < cluster.at {
            let from = cluster
                .signer()
                .map_or("a control plane", |node| node.name.as_str());
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Error,
                    node,
                    format!("the kubelet's certificate in {path} has ended at {end}: the kubelet does not start again"),
                )
                .at(end)
                .order([
                    Order::new(
                        &node.name,
                        Command::NewKubeletConf {
                            from: from.to_owned(),
                        },
                    ),
                    Order::new(&node.name, Command::PointKubeletConf),
                    Order::new(&node.name, Command::RestartKubelet),
                ]),
            );
        } else if late < cluster.at {
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Warning,
                    node,
                    format!(
                        "the kubelet's certificate in {path} should have been rotated before {late} and was not; it ends \
                         at {end}: look at kubectl get csr and at the kubelet's log"
                    ),
                )
                .at(end)
                .order([Order::new(&node.name, Command::RestartKubelet)]),
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
    fn late_is_a_warning_and_ended_is_an_error() {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        assert!(lab.of(RULE.id).is_empty());
        let begin = lab.at;
        for (days, severity) in [(340, Severity::Warning), (370, Severity::Error)] {
            lab.at = shift(begin, SignedDuration::from_hours(24 * days));
            let found = lab.of(RULE.id);
            assert_eq!(found.len(), 2);
            assert!(found.iter().all(|it| it.severity == severity), "{found:?}");
        }
    }
}
