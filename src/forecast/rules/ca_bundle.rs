//! More than one certificate in ca.crt.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "ca-bundle",
    title: "ca.crt holds more than one certificate, and the controller-manager signs with it",
    from: "S21",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    cluster
        .control_planes()
        .filter_map(|node| {
            let ca = node.pki("ca.crt");
            let count = node.file(&ca)?.certificates.len();
            let manager = node
                .file("/etc/kubernetes/manifests/kube-controller-manager.yaml")
                .and_then(|file| file.manifest.as_ref());
            let signs_with = manager
                .and_then(|manifest| manifest.flags.get("cluster-signing-cert-file"))
                .map_or(ca.as_str(), String::as_str);
            let no_signer = manager.is_some_and(|manifest| {
                !manifest.flags.contains_key("cluster-signing-cert-file")
            });
            (count > 1 && signs_with == ca && !no_signer).then(|| {
                Finding::new(
                    &RULE,
                    Severity::Error,
                    node,
                    format!(
                        "{ca} holds {count} certificates and kube-controller-manager signs with it: it ends at its next \
                         start (expected 1 certificate, found {count}), and no kubelet gets a new certificate"
                    ),
                )
                .order([Order::new(
                    &node.name,
                    Command::ByHand(format!(
                        "put the CA that signs, alone, into a file of its own and name it with \
                         --cluster-signing-cert-file in kube-controller-manager.yaml; {ca} may stay a bundle"
                    )),
                )])
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::Lab;

    #[test]
    fn a_bundle_fires_and_a_file_of_its_own_for_the_signer_does_not() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let ca = format!("{}/ca.crt", crate::cluster::PKI);
        let bundle = lab.text("cp1", &ca) + &lab.other_ca();
        lab.write("cp1", &ca, &bundle);
        assert_eq!(lab.of(RULE.id).len(), 1);
        let path = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
        let manifest = lab.text("cp1", path).replace(
            "--cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt",
            "--cluster-signing-cert-file=/etc/kubernetes/pki/signer.crt",
        );
        lab.write("cp1", path, &manifest);
        assert!(lab.of(RULE.id).is_empty());
    }
}
