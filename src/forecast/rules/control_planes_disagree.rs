//! CAs and the key of service accounts must be the same on every control plane.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::capture::Node;
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "control-planes-disagree",
    title: "a CA or the key of service accounts differs between control planes",
    from: "D15",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let nodes: Vec<&Node> = cluster.control_planes().collect();
    let Some((first, others)) = nodes.split_first() else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for node in others {
        for (name, follows) in [
            (
                "ca.crt",
                "clients of one API server are nobody to the other",
            ),
            ("etcd/ca.crt", "etcd's members do not accept each other"),
            (
                "front-proxy-ca.crt",
                "requests to extension API servers fail on one of them",
            ),
            (
                "sa.pub",
                "tokens of service accounts are valid on one of them only",
            ),
        ] {
            let path = node.pki(name);
            let (Some(mine), Some(theirs)) =
                (content(node, &path), content(first, &first.pki(name)))
            else {
                continue;
            };
            if mine == theirs {
                continue;
            }
            let orders = if name == "sa.pub" {
                ["sa.pub", "sa.key"]
                    .map(|file| {
                        Order::new(
                            &node.name,
                            Command::Fetch {
                                from: first.name.clone(),
                                path: node.pki(file),
                            },
                        )
                    })
                    .into_iter()
                    .chain([Order::new(&node.name, Command::RestartControlPlane)])
                    .collect()
            } else {
                vec![Order::new(
                    &node.name,
                    Command::ByHand(format!(
                        "find out which {path} the cluster's nodes trust, and put that one on every control plane"
                    )),
                )]
            };
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Error,
                    node,
                    format!("its {path} is not that of {}: {follows}", first.name),
                )
                .order(orders),
            );
        }
    }
    out
}

fn content(node: &Node, path: &str) -> Option<String> {
    let file = node.file(path)?;
    file.public_key
        .clone()
        .or_else(|| Some(file.certificates.iter().map(|pem| pem.0.as_str()).collect()))
        .filter(|text: &String| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn another_ca_and_another_key_of_service_accounts_fire() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        assert!(lab.of(RULE.id).is_empty());
        let mut other = Lab::new("v1.35.4", 1, 0);
        for file in ["sa.pub", "sa.key"] {
            let path = format!("{}/{file}", crate::cluster::PKI);
            let text = other.text("cp1", &path);
            lab.write("cp2", &path, &text);
        }
        let found = lab.of(RULE.id);
        // The pool may draw one key for both clusters; then the files are equal and nothing is wrong.
        let same = lab.text("cp1", "/etc/kubernetes/pki/sa.pub")
            == lab.text("cp2", "/etc/kubernetes/pki/sa.pub");
        assert_eq!(found.len(), usize::from(!same));
        let ca = lab.other_ca();
        lab.write("cp2", "/etc/kubernetes/pki/ca.crt", &ca);
        assert!(
            lab.of(RULE.id)
                .iter()
                .any(|finding| finding.what.contains("pki/ca.crt"))
        );
    }
}
