//! etcd's certificates on an upgrade path that leaves its manifest as it is.

use super::{Cluster, Finding, Rule, Severity};
use crate::forecast::plan::Act;
use crate::forecast::remedy::{Command, Order};
use crate::kubeadm::profile::etcd::etcd_tag;
use crate::kubeadm::profile::upgrade::ETCD_FOLLOWS_APISERVER;

pub(super) const RULE: Rule = Rule {
    id: "etcd-not-renewed",
    title: "these upgrades do not renew etcd's certificates, because they do not change its manifest",
    from: "S5",
    check,
};

fn check(cluster: &Cluster<'_>) -> Vec<Finding> {
    let upgrades: Vec<_> = cluster
        .occasions
        .iter()
        .filter_map(|occasion| match &occasion.act {
            Act::Upgrade { to, .. } => Some((occasion.at, *to)),
            _ => None,
        })
        .collect();
    if upgrades.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for node in cluster.control_planes() {
        let Some(manifest) = node
            .file("/etc/kubernetes/manifests/etcd.yaml")
            .and_then(|file| file.manifest.as_ref())
        else {
            continue;
        };
        let tag = |image: &str| {
            let image = image.split('@').next().unwrap_or_default();
            image.rsplit_once(':').map(|(_, tag)| tag.to_owned())
        };
        let mut installed = tag(&manifest.image);
        for (at, to) in &upgrades {
            let new = etcd_tag(*to).to_owned();
            let changes =
                installed.as_deref() != Some(new.as_str()) || *ETCD_FOLLOWS_APISERVER.at(*to);
            if changes {
                installed = Some(new);
                continue;
            }
            let end = node
                .certificates(&node.pki("etcd/server.crt"))
                .first()
                .map(crate::pki::Certificate::not_after);
            let mut finding = Finding::new(
                &RULE,
                Severity::Warning,
                node,
                format!(
                    "the upgrade to {to} on {at} keeps etcd {new}: its manifest stays the same, so etcd-server, \
                     etcd-peer and etcd-healthcheck-client are not renewed{}",
                    end.map_or_else(String::new, |end| format!(" and end at {end}"))
                ),
            );
            finding.at = end;
            out.push(finding.order([
                Order::new(&node.name, Command::RenewAll),
                Order::new(&node.name, Command::RestartControlPlane),
            ]));
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::plan::Occasion;
    use crate::forecast::rules::lab::Lab;

    fn upgrade(version: &str, to: &str) -> usize {
        let mut lab = Lab::new(version, 1, 0);
        assert!(
            lab.of(RULE.id).is_empty(),
            "without upgrades there is nothing to say"
        );
        lab.occasions = vec![Occasion {
            at: lab.days(10),
            act: Act::Upgrade {
                to: to.parse().unwrap(),
                nodes: Vec::new(),
                certificate_renewal: None,
            },
        }];
        lab.of(RULE.id).len()
    }

    #[test]
    fn a_patch_before_1_31_leaves_etcd_alone_and_a_later_one_does_not() {
        assert_eq!(upgrade("v1.30.1", "v1.30.5"), 1);
        assert_eq!(upgrade("v1.36.2", "v1.36.3"), 0);
    }
}
