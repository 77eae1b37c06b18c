//! ClusterRoleBindings that `kubeadm init` creates, by version.

use crate::kubeadm::Version;
use crate::kubeadm::certlist::CLUSTER_ADMINS;

/// A ClusterRoleBinding of kubeadm's.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Its name.
    pub name: &'static str,
    /// The ClusterRole it gives.
    pub role: &'static str,
    /// Whom it gives it to.
    pub to: Whom,
    /// Versions whose `init` creates it.
    pub made_by: &'static [Versions],
    /// Versions whose `upgrade apply` creates it or writes it anew.
    pub made_by_upgrade_to: &'static [Versions],
    /// Where that is written.
    pub evidence: &'static str,
}

/// Whom a binding names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everyone in a group.
    Group(&'static str),
    /// One user.
    User(&'static str),
}

/// From the first version to before the second.
type Versions = (Version, Option<Version>);

impl Binding {
    /// Whether a version's `init` creates it.
    #[must_use]
    pub fn is_made_by(&self, version: Version) -> bool {
        holds(self.made_by, version)
    }

    /// Whether `upgrade apply` to a version creates it or writes it anew.
    #[must_use]
    pub fn is_made_by_upgrade_to(&self, version: Version) -> bool {
        holds(self.made_by_upgrade_to, version)
    }
}

fn holds(versions: &[Versions], version: Version) -> bool {
    versions
        .iter()
        .any(|&(from, until)| from <= version && until.is_none_or(|until| version < until))
}

/// The group of the tokens that nodes join with.
pub const TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// Every binding, in the order of their names.
pub static BINDINGS: [Binding; 6] = [
    Binding {
        name: "kubeadm:apiserver-kubelet-client",
        role: "system:kubelet-api-admin",
        to: Whom::User("kube-apiserver-kubelet-client"),
        made_by: &[
            (Version::new(35, 5), Some(Version::new(36, 0))),
            (Version::new(36, 1), None),
        ],
        made_by_upgrade_to: &[
            (Version::new(35, 5), Some(Version::new(36, 0))),
            (Version::new(36, 1), None),
        ],
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AllowAPIServerToAccessKubeletAPI of 1.36.3, called by init \
                   and upgrade apply; absent in 1.35.4; kubernetes#138957",
    },
    Binding {
        name: CLUSTER_ADMINS,
        role: "cluster-admin",
        to: Whom::Group(CLUSTER_ADMINS),
        made_by: &[(Version::new(29, 0), None)],
        made_by_upgrade_to: &[(Version::new(29, 0), Some(Version::new(30, 0)))],
        evidence: "K/constants/constants.go ClusterAdminsGroupAndClusterRoleBinding, in 1.29.0 and not in 1.28.15; \
                   upgrade only with the split of admin.conf (SPLIT_ADMIN)",
    },
    Binding {
        name: "kubeadm:get-nodes",
        role: "kubeadm:get-nodes",
        to: Whom::Group(TOKEN_GROUP),
        made_by: &[(Version::new(18, 0), None)],
        made_by_upgrade_to: &[(Version::new(18, 0), None)],
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go, in 1.18.20 and not in 1.17.17",
    },
    Binding {
        name: "kubeadm:kubelet-bootstrap",
        role: "system:node-bootstrapper",
        to: Whom::Group(TOKEN_GROUP),
        made_by: &[(Version::OLDEST_HISTORIC, None)],
        made_by_upgrade_to: &[(Version::OLDEST, None)],
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AllowBootstrapTokensToPostCSRs",
    },
    Binding {
        name: "kubeadm:node-autoapprove-bootstrap",
        role: "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        to: Whom::Group(TOKEN_GROUP),
        made_by: &[(Version::OLDEST_HISTORIC, None)],
        made_by_upgrade_to: &[(Version::OLDEST, None)],
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AutoApproveNodeBootstrapTokens",
    },
    Binding {
        name: "kubeadm:node-autoapprove-certificate-rotation",
        role: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        to: Whom::Group("system:nodes"),
        made_by: &[(Version::OLDEST_HISTORIC, None)],
        made_by_upgrade_to: &[(Version::OLDEST, None)],
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AutoApproveNodeCertificateRotation",
    },
];
