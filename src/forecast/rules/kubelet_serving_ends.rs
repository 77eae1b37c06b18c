//! The certificate that a kubelet made for itself to serve with.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};
use crate::time::{SignedDuration, shift};

const PATH: &str = "/var/lib/kubelet/pki/kubelet.crt";
/// From here on something is to be done about it.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 90);

pub(super) const RULE: Rule = Rule {
    id: "kubelet-serving-ends",
    title: "a kubelet's self-signed serving certificate ends, and the kubelet makes no new one",
    from: "D20",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    cluster
        .nodes
        .iter()
        .filter_map(|node| {
            let bootstraps = node
                .settings
                .get("kubelet.serverTLSBootstrap")
                .is_some_and(|value| value == "true");
            let certificate = node.certificates(PATH).into_iter().next()?;
            let end = certificate.not_after();
            // With serverTLSBootstrap the kubelet serves with another file, and this one is left over.
            if bootstraps || end > cluster.horizon {
                return None;
            }
            let soon = end <= shift(cluster.at, SOON);
            let verb = if end < cluster.at { "has ended" } else { "ends" };
            let severity = if soon { Severity::Warning } else { Severity::Note };
            let mut finding = Finding::new(
                &RULE,
                severity,
                node,
                format!(
                    "{PATH} {verb} at {end}: kube-apiserver does not look at it, but metrics-server and everybody who \
                     checks the kubelet's certificate does; the kubelet keeps an existing file, ended or not"
                ),
            );
            finding.at = Some(end);
            // What has time is done nearer to its end: new files live for a year from then.
            if soon {
                finding = finding.order([
                    Order::new(&node.name, Command::MoveServing),
                    Order::new(&node.name, Command::RestartKubelet),
                ]);
            }
            Some(finding)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;
    use crate::pki::{KeyAlgorithm, PrivateKey, Template, issue};

    #[test]
    fn it_fires_near_the_end_and_not_where_the_cluster_signs() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let write = |lab: &mut Lab, days| {
            let template = Template {
                common_name: "cp1@1767225600".to_owned(),
                not_before: lab.at,
                not_after: lab.days(days),
                ..Template::default()
            };
            let certificate = issue::self_signed(&template, &key).unwrap();
            lab.write("cp1", PATH, &certificate.to_pem());
        };
        write(&mut lab, 365);
        assert!(lab.of(RULE.id).is_empty());
        write(&mut lab, 95);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Note);
        write(&mut lab, 50);
        assert_eq!(lab.of(RULE.id)[0].severity, Severity::Warning);
        lab.write(
            "cp1",
            "/var/lib/kubelet/config.yaml",
            "kind: KubeletConfiguration\nserverTLSBootstrap: true\n",
        );
        assert!(lab.of(RULE.id).is_empty());
    }
}
