//! ClusterRoleBindings that `kubeadm init` creates, by version.

use crate::kubeadm::Version;

/// A ClusterRoleBinding of kubeadm's.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Its name.
    pub name: &'static str,
    /// The ClusterRole it gives.
    pub role: &'static str,
    /// The group it gives it to.
    pub group: &'static str,
    /// The first version whose `init` creates it.
    pub from: Version,
    /// Where that is written.
    pub evidence: &'static str,
}

/// The group of the tokens that nodes join with.
pub const TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// Every binding, in the order of their names.
pub static BINDINGS: [Binding; 5] = [
    Binding {
        name: "kubeadm:cluster-admins",
        role: "cluster-admin",
        group: "kubeadm:cluster-admins",
        from: Version::new(29, 0),
        evidence: "K/constants/constants.go ClusterAdminsGroupAndClusterRoleBinding, in 1.29.0 and not in 1.28.15",
    },
    Binding {
        name: "kubeadm:get-nodes",
        role: "kubeadm:get-nodes",
        group: TOKEN_GROUP,
        from: Version::new(18, 0),
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go, in 1.18.20 and not in 1.17.17",
    },
    Binding {
        name: "kubeadm:kubelet-bootstrap",
        role: "system:node-bootstrapper",
        group: TOKEN_GROUP,
        from: Version::new(15, 0),
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AllowBootstrapTokensToPostCSRs",
    },
    Binding {
        name: "kubeadm:node-autoapprove-bootstrap",
        role: "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        group: TOKEN_GROUP,
        from: Version::new(15, 0),
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AutoApproveNodeBootstrapTokens",
    },
    Binding {
        name: "kubeadm:node-autoapprove-certificate-rotation",
        role: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        group: "system:nodes",
        from: Version::new(15, 0),
        evidence: "K/phases/bootstraptoken/node/tlsbootstrap.go AutoApproveNodeCertificateRotation",
    },
];
