//! Joining and leaving a cluster, by version.

use super::{Behaviour, Rule};
use crate::kubeadm::Version;

const V15: Version = Version::new(15, 0);
/// The newest version before 1.36 whose source was read for what is in this file.
const V28: Version = Version::new(28, 15);
const V36: Version = Version::new(36, 0);

/// kubeadm looks at a certificate key before it begins.
pub static CERTIFICATE_KEY_CHECKED: Behaviour<bool> = Behaviour {
    name: "a join checks the form of its certificate key first",
    rules: &[
        Rule {
            from: V36,
            until: None,
            value: true,
            evidence: "K/apis/kubeadm/validation/validation.go of 1.36.3",
            not_checked_after: Some(V28),
        },
        Rule {
            from: V15,
            until: Some(V36),
            value: false,
            evidence: "the same of 1.16.15, 1.22.17 and 1.28.15",
            not_checked_after: None,
        },
    ],
};

/// It is enough for a join that most members of etcd answer.
pub static ETCD_MAJORITY: Behaviour<bool> = Behaviour {
    name: "a join needs most members of etcd, not all",
    rules: &[
        Rule {
            from: V36,
            until: None,
            value: true,
            evidence: "K/util/etcd/etcd.go CheckClusterHealth of 1.36.3",
            not_checked_after: Some(V28),
        },
        Rule {
            from: V15,
            until: Some(V36),
            value: false,
            evidence: "the same of 1.16.15, 1.22.17 and 1.28.15",
            not_checked_after: None,
        },
    ],
};

/// The first version whose `kubeadm reset` was read: it was another one before.
pub const RESET_SINCE: Version = Version::new(28, 0);

/// What `kubeadm reset` leaves to its user.
pub static RESET_LEAVES: Behaviour<&str> = Behaviour {
    name: "what kubeadm reset says that it leaves",
    rules: &[
        Rule {
            from: V36,
            until: None,
            value: "
The reset process does not perform cleanup of CNI plugin configuration,
network filtering rules and kubeconfig files.

For information on how to perform this cleanup manually, please see:
    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/

",
            evidence: "K/cmd/reset.go of 1.36.3",
            not_checked_after: Some(V28),
        },
        Rule {
            from: V15,
            until: Some(V36),
            value: "
The reset process does not clean CNI configuration. To do so, you must remove /etc/cni/net.d

The reset process does not reset or clean up iptables rules or IPVS tables.
If you wish to reset iptables, you must do so manually by using the \"iptables\" command.

If your cluster was setup to utilize IPVS, run ipvsadm --clear (or similar)
to reset your system's IPVS tables.

The reset process does not clean your kubeconfig files and you must remove them manually.
Please, check the contents of the $HOME/.kube/config file.
",
            evidence: "the same of 1.22.17 and 1.28.15",
            not_checked_after: None,
        },
    ],
};

/// What is not known of a version's joins and resets.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    [
        CERTIFICATE_KEY_CHECKED.uncertainty(version),
        ETCD_MAJORITY.uncertainty(version),
        RESET_LEAVES.uncertainty(version),
    ]
    .into_iter()
    .flatten()
    .collect()
}
