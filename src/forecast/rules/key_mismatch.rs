//! Private keys that are not those of the certificates beside them.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::capture::Node;
use crate::forecast::remedy::{Command, Order};
use crate::kubeadm::certlist::Ca;

pub(super) const RULE: Rule = Rule {
    id: "key-mismatch",
    title: "a private key does not belong to the certificate beside it",
    from: "D12",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        for (path, file) in &node.files {
            if let Some(base) = path.strip_suffix(".key")
                && let Some(key) = &file.key
                && node.file(&format!("{base}.crt")).is_some()
                && !key.belongs_to.contains(&format!("{base}.crt"))
            {
                let what = if key.unreadable {
                    format!("{path} is no private key that kubeadm can read")
                } else {
                    match key.belongs_to.first() {
                        Some(other) => {
                            format!("{path} is not the key of {base}.crt but of {other}")
                        }
                        None => format!("{path} is not the key of {base}.crt"),
                    }
                };
                out.push(judge(cluster, node, base, &what));
            }
            for user in file.kubeconfig.iter().filter_map(|config| config.user()) {
                if let Some(key) = &user.key
                    && !user.certificates.is_empty()
                    && !key.belongs_to.contains(path)
                {
                    out.push(
                        Finding::new(
                            &RULE,
                            Severity::Error,
                            node,
                            format!("the key in {path} is not that of the certificate in it: nobody can use this file"),
                        )
                        .order(for_kubeconfig(node, path)),
                    );
                }
            }
        }
    }
    out
}

fn judge(cluster: &Cluster<'_>, node: &Node, base: &str, what: &str) -> Finding {
    let authority = Ca::ALL.iter().any(|ca| base == node.pki(ca.base_name()));
    if !authority {
        let follows = "the process that reads the two does not start again";
        return Finding::new(&RULE, Severity::Error, node, format!("{what}: {follows}")).order([
            Order::new(&node.name, Command::RenewAll),
            Order::new(&node.name, Command::RestartControlPlane),
        ]);
    }
    let (crt, key) = (format!("{base}.crt"), format!("{base}.key"));
    let mine = node.certificates(&crt);
    let whole = cluster.control_planes().find(|other| {
        other
            .certificates(&crt)
            .first()
            .map(crate::pki::Certificate::der)
            == mine.first().map(crate::pki::Certificate::der)
            && other
                .file(&key)
                .and_then(|file| file.key.as_ref())
                .is_some_and(|found| found.belongs_to.contains(&crt))
    });
    let orders = match whole {
        Some(other) => vec![
            Order::new(
                &node.name,
                Command::Fetch {
                    from: other.name.clone(),
                    path: key,
                },
            ),
            Order::new(&node.name, Command::RestartControlPlane),
        ],
        None => vec![Order::new(
            &node.name,
            Command::ByHand(format!(
                "find the key of {crt} (backups, other control planes); without it nothing can be renewed"
            )),
        )],
    };
    Finding::new(
        &RULE,
        Severity::Error,
        node,
        format!("{what}: no renewal and no request of a kubelet can be signed with it"),
    )
    .order(orders)
}

fn for_kubeconfig(node: &Node, path: &str) -> Vec<Order> {
    if path == "/etc/kubernetes/kubelet.conf" || path == "/root/.kube/config" {
        return Vec::new();
    }
    vec![
        Order::new(&node.name, Command::RenewAll),
        Order::new(&node.name, Command::RestartControlPlane),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::{Lab, PKI};

    #[test]
    fn keys_of_others_and_keys_of_nobody_fire() {
        let mut lab = Lab::new("v1.36.3", 2, 0);
        assert!(lab.of(RULE.id).is_empty());
        let other = lab.text("cp1", &format!("{PKI}/front-proxy-ca.key"));
        lab.write("cp1", &format!("{PKI}/ca.key"), &other);
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .what
                .contains("but of /etc/kubernetes/pki/front-proxy-ca.crt"),
            "{found:?}"
        );
        assert!(
            matches!(&found[0].orders[0].command, Command::Fetch { from, .. } if from == "cp2")
        );
        lab.write("cp2", &format!("{PKI}/apiserver.key"), "garbage");
        let found = lab.of(RULE.id);
        assert!(
            found
                .iter()
                .any(|it| it.node == "cp2" && it.what.contains("no private key"))
        );
    }
}
