//! Private keys that others may read.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::remedy::{Command, Order};

pub(super) const RULE: Rule = Rule {
    id: "mode-too-open",
    title: "a file with a private key can be read by others than its owner",
    from: "C1",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for node in cluster.nodes {
        for (path, file) in &node.files {
            let has_key = file.key.is_some()
                || file
                    .kubeconfig
                    .as_ref()
                    .is_some_and(|config| config.users.values().any(|user| user.key.is_some()));
            let mode = u32::from_str_radix(&file.mode, 8).unwrap_or(0);
            if has_key && mode & 0o077 != 0 {
                let whom = if mode & 0o007 != 0 {
                    "everybody"
                } else {
                    "its group"
                };
                out.push(
                    Finding::new(
                        &RULE,
                        Severity::Warning,
                        node,
                        format!(
                            "{path} holds a private key and has mode {}: {whom} can get at it",
                            file.mode
                        ),
                    )
                    .order([Order::new(
                        &node.name,
                        Command::Mode {
                            path: path.clone(),
                            mode: "0600".to_owned(),
                        },
                    )]),
                );
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::rules::lab::{Lab, PKI};
    use crate::fs::Tree as _;

    #[test]
    fn keys_and_kubeconfigs_count_and_certificates_do_not() {
        let mut lab = Lab::new("v1.36.3", 1, 0);
        assert!(lab.of(RULE.id).is_empty());
        let tree = lab.tree("cp1");
        tree.set_mode(&format!("{PKI}/ca.crt"), 0o666).unwrap();
        tree.set_mode(&format!("{PKI}/ca.key"), 0o640).unwrap();
        tree.set_mode("/etc/kubernetes/admin.conf", 0o644).unwrap();
        let found = lab.of(RULE.id);
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|it| it.what.contains("its group")));
        assert!(found.iter().any(|it| it.what.contains("everybody")));
    }
}
