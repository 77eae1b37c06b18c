//! Serving and peer certificates that are not for the node they are on.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "san-mismatch",
    title: "a serving certificate is not for the address of its node",
    from: "S24",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        let Some(address) = node.address else {
            continue;
        };
        for (phase, base, who) in [
            ("apiserver", "apiserver", "its clients"),
            (
                "etcd-server",
                "etcd/server",
                "the other control planes' kubeadm and etcdctl",
            ),
            ("etcd-peer", "etcd/peer", "the other members of etcd"),
        ] {
            let path = node.pki(&format!("{base}.crt"));
            let Some(certificate) = node.certificates(&path).into_iter().next() else {
                continue;
            };
            if certificate.ip_addresses().contains(&address) {
                continue;
            }
            let owner = cluster
                .control_planes()
                .find(|other| {
                    other.name != node.name
                        && other
                            .address
                            .is_some_and(|address| certificate.ip_addresses().contains(&address))
                })
                .map_or_else(String::new, |other| {
                    format!(" (it is for {}: copied from there?)", other.name)
                });
            out.push(
                Finding::new(
                    &RULE,
                    Severity::Error,
                    node,
                    format!("{path} is not for {address}{owner}: {who} refuse it; kubeadm certs renew keeps its names"),
                )
                .order([
                    Order::new(
                        &node.name,
                        Command::Recreate {
                            phase: phase.to_owned(),
                            base: node.pki(base),
                        },
                    ),
                    Order::new(&node.name, Command::RestartControlPlane),
                ]),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::{Lab, PKI};

    #[test]
    fn a_certificate_copied_from_another_control_plane_shows() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        // The simulated manifest says the address in an annotation; a real one in a flag.
        for (node, address) in [("cp1", "10.0.0.10"), ("cp2", "10.0.0.11")] {
            let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
            let text = lab.text(node, path).replace(
                "    - --client-ca-file",
                &format!("    - --advertise-address={address}\n    - --client-ca-file"),
            );
            lab.write(node, path, &text);
        }
        assert!(lab.of(RULE.id).is_empty());
        lab.copy("cp1", "cp2", &format!("{PKI}/etcd/peer.crt"));
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("it is for cp1"), "{found:?}");
    }
}
