//! Clocks that were off, as NotBefore shows.

use super::{Cluster, Finding, Rule, Severity, managed};
use crate::cluster::KUBELET_CURRENT;
use crate::forecast::remedy::{Command, Order};
use crate::forecast::skew;
use crate::time::{SignedDuration, span};

/// What kubeadm and the controller-manager set NotBefore back by, and a minute.
const SET_BACK: SignedDuration = SignedDuration::from_secs(360);

pub(super) const RULE: Rule = Rule {
    id: "clock-skew",
    title: "NotBefore shows that a clock is or was off",
    from: "S34",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        let by_hand = || {
            [Order::new(
                &node.name,
                Command::ByHand(
                    "compare its clock with that of the others: chronyc tracking".to_owned(),
                ),
            )]
        };
        if let Some(apart) = skew::estimate(node) {
            let side = if apart.is_negative() { "late" } else { "early" };
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Warning,
                    node,
                    format!(
                        "its clock was {} {side} when its kubelet got its certificate: the file's name and NotBefore \
                         are that far apart",
                        span::display(apart.abs())
                    ),
                )
                .order(by_hand()),
            );
        }
        let kubelet = node
            .certificates(KUBELET_CURRENT)
            .into_iter()
            .next()
            .map(|certificate| ("its kubelet's certificate".to_owned(), certificate, None));
        let all = managed(node)
            .into_iter()
            .map(|(path, certificate, ca)| {
                let ca = node.certificates(&format!("{ca}.crt")).into_iter().next();
                (path, certificate, ca)
            })
            .chain(kubelet);
        for (what, certificate, ca) in all {
            let from = certificate.not_before();
            if from > cluster.at {
                out.push(
                    Finding::new(
                        &RULE,
                        Severity::Error,
                        node,
                        format!(
                            "{what} is valid from {from} only, {} after the capture: who made it had a clock that was \
                             early, and nobody accepts it before that",
                            span::display(from.duration_since(cluster.at))
                        ),
                    )
                    .at(from)
                    .order(by_hand()),
                );
            } else if let Some(ca) = ca
                && ca.not_before().duration_since(from) > SET_BACK
            {
                out.push(Finding::new(
                    &RULE,
                    Severity::Note,
                    node,
                    format!(
                        "{what} is valid from {from}, {} before its CA: one of two clocks was off",
                        span::display(ca.not_before().duration_since(from))
                    ),
                ));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;
    use crate::time::shift;

    #[test]
    fn a_certificate_of_tomorrow_and_one_older_than_its_ca_show() {
        let mut lab = Lab::new("v1.36.3", 1, 1);
        assert!(lab.of(RULE.id).is_empty());
        let tomorrow = lab.days(1);
        lab.issue("cp1", "apiserver", "ca", |template| {
            template.not_before = tomorrow
        });
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        let early = shift(lab.at, SignedDuration::from_hours(-24 * 20));
        lab.issue("cp1", "apiserver", "ca", |template| {
            template.not_before = early
        });
        let found = lab.of(RULE.id);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
    }
}
