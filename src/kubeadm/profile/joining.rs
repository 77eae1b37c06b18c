//! Joining and leaving a cluster, by version.

use jiff::SignedDuration;

use super::{Behaviour, Rule};
use crate::kubeadm::Version;

const V15: Version = Version::new(15, 0);
const V17: Version = Version::new(17, 0);
const V29: Version = Version::new(29, 0);
const V30: Version = Version::new(30, 0);
const V32: Version = Version::new(32, 0);
const V33: Version = Version::new(33, 0);
const V34: Version = Version::new(34, 0);
const V35: Version = Version::new(35, 0);
const V36: Version = Version::new(36, 0);
const V37: Version = Version::new(37, 0);

/// kubeadm looks at a certificate key before it begins.
pub static CERTIFICATE_KEY_CHECKED: Behaviour<bool> = Behaviour {
    name: "a join checks the form of its certificate key first",
    rules: &[
        Rule {
            from: V29,
            until: None,
            value: true,
            evidence: "K/apis/kubeadm/validation/validation.go of 1.29.15 to 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: V15,
            until: Some(V29),
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
            evidence: "K/util/etcd/etcd.go CheckClusterHealth of 1.36.3 and 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: V15,
            until: Some(V36),
            value: false,
            evidence: "the same of 1.16.15, 1.22.17 and 1.28.15 to 1.35.4",
            not_checked_after: None,
        },
    ],
};

/// How long a join waits for the kubelet's certificate.
pub static BOOTSTRAP_LIMIT: Behaviour<SignedDuration> = Behaviour {
    name: "how long a join waits for the kubelet's certificate",
    rules: &[
        Rule {
            from: V17,
            until: None,
            value: SignedDuration::from_mins(5),
            evidence: "K/constants/constants.go TLSBootstrapTimeout of 1.17.17 to 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(V17),
            value: SignedDuration::from_mins(2),
            evidence: "the same of 1.12.5, 1.14.10, 1.15.12 and 1.16.15; 1.10.5 does not wait",
            not_checked_after: None,
        },
    ],
};

/// What a join says that has waited for the kubelet's certificate in vain; `None` where it was not looked at.
pub static BOOTSTRAP_ERROR: Behaviour<Option<&str>> = Behaviour {
    name: "what a join says without a certificate of the kubelet",
    rules: &[
        Rule {
            from: V33,
            until: None,
            value: Some("failed while waiting for TLS bootstrap: context deadline exceeded"),
            evidence: "K/cmd/phases/join/kubelet.go of 1.33.0 to 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: V30,
            until: Some(V33),
            value: Some("context deadline exceeded"),
            evidence: "the same of 1.30.14 to 1.32.0",
            not_checked_after: None,
        },
        Rule {
            from: V15,
            until: Some(V30),
            value: Some("timed out waiting for the condition"),
            evidence: "the same of 1.15.12 to 1.29.15",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(V15),
            value: None,
            evidence: "not looked at",
            not_checked_after: None,
        },
    ],
};

/// kubeadm removes the bootstrap kubeconfig when a node has joined.
pub static BOOTSTRAP_CONF_REMOVED: Behaviour<bool> = Behaviour {
    name: "a join removes bootstrap-kubelet.conf",
    rules: &[
        Rule {
            from: Version::new(16, 0),
            until: None,
            value: true,
            evidence: "K/cmd/phases/join/kubelet.go of 1.16.15, 1.17.17 and 1.36.3",
            not_checked_after: Some(Version::new(15, 12)),
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(16, 0)),
            value: false,
            evidence: "the same of 1.14.10 and 1.15.12, K/cmd/join.go of 1.10.5 and 1.12.5",
            not_checked_after: None,
        },
    ],
};

/// What becomes of a reset where the kubelet's files are gone already and admin.conf is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetAgain {
    /// The configuration cannot be fetched: `failed to get node registration: ...`.
    Fails(&'static str),
    /// It is fetched, without a word.
    Works,
    /// It is fetched, with a warning.
    Warns(&'static str),
}

/// See [`ResetAgain`]; `{}` is the node's name.
pub static RESET_AGAIN: Behaviour<ResetAgain> = Behaviour {
    name: "a reset where the kubelet's files are gone",
    rules: &[
        Rule {
            from: V37,
            until: None,
            value: ResetAgain::Warns(
                r#"Node "{}" lacks a kubelet instance config file "/var/lib/kubelet/instance-config.yaml"; attempting auto-detection"#,
            ),
            evidence: "K/util/config/cluster.go GetNodeRegistration of 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: V35,
            until: Some(V37),
            value: ResetAgain::Warns(
                r#"node "{}" lacks annotation "kubeadm.alpha.kubernetes.io/cri-socket" and kubelet config file "/var/lib/kubelet/instance-config.yaml"; attempting auto-detection"#,
            ),
            evidence: "the same of 1.35.4 and 1.36.3; seen on a real cluster of 1.36.3",
            not_checked_after: None,
        },
        Rule {
            from: V34,
            until: Some(V35),
            value: ResetAgain::Fails(
                "node {} doesn't have kubeadm.alpha.kubernetes.io/cri-socket annotation, or kubelet instance config /var/lib/kubelet/instance-config.yaml",
            ),
            evidence: "the same of 1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: V32,
            until: Some(V34),
            value: ResetAgain::Works,
            evidence: "the same of 1.32.13 and 1.33.9: the Node has its annotation, and the name is the machine's",
            not_checked_after: None,
        },
        Rule {
            from: V15,
            until: Some(V32),
            value: ResetAgain::Fails(
                "failed to get node name from kubelet config: open /etc/kubernetes/kubelet.conf: no such file or directory",
            ),
            evidence: "the same of 1.22.17 and 1.28.15 to 1.31.14",
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
            from: V33,
            until: None,
            value: "
The reset process does not perform cleanup of CNI plugin configuration,
network filtering rules and kubeconfig files.

For information on how to perform this cleanup manually, please see:
    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/

",
            evidence: "K/cmd/reset.go of 1.33.9 to 1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: V15,
            until: Some(V33),
            value: "
The reset process does not clean CNI configuration. To do so, you must remove /etc/cni/net.d

The reset process does not reset or clean up iptables rules or IPVS tables.
If you wish to reset iptables, you must do so manually by using the \"iptables\" command.

If your cluster was setup to utilize IPVS, run ipvsadm --clear (or similar)
to reset your system's IPVS tables.

The reset process does not clean your kubeconfig files and you must remove them manually.
Please, check the contents of the $HOME/.kube/config file.
",
            evidence: "the same of 1.22.17 and 1.28.15 to 1.32.13",
            not_checked_after: None,
        },
    ],
};

/// What is not known of a version's joins and resets.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    [
        CERTIFICATE_KEY_CHECKED.uncertainty(version),
        BOOTSTRAP_CONF_REMOVED.uncertainty(version),
        ETCD_MAJORITY.uncertainty(version),
        RESET_LEAVES.uncertainty(version),
        RESET_AGAIN.uncertainty(version),
    ]
    .into_iter()
    .flatten()
    .collect()
}
