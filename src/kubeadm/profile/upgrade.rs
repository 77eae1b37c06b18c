//! `kubeadm upgrade`: defaults, rules and texts by version (`K/phases/upgrade/staticpods.go`,
//! `K/cmd/upgrade`).

use super::upgrade_config::CONFIG_BESIDE_YES;
use super::{Behaviour, rule};
use crate::kubeadm::Version;

const V15: Version = Version::new(15, 0);

/// `--certificate-renewal` of `upgrade node` when it is not given.
pub static NODE_RENEWS_BY_DEFAULT: Behaviour<bool> = Behaviour {
    name: "upgrade node renews certificates by default",
    rules: &[
        rule(Version::new(17, 0), None, true, "kubernetes#83528"),
        rule(
            V15,
            Some(Version::new(17, 0)),
            false,
            "kubeadm#1818: not set in newNodeOptions of 1.15.12 and 1.16.15",
        ),
    ],
};

/// What `upgrade apply` puts before the reason for which static Pods were not upgraded; `upgrade node` has always had phases.
pub static APPLY_FAILS_WITH: Behaviour<&str> = Behaviour {
    name: "how upgrade apply tells what stopped it",
    rules: &[
        rule(
            Version::new(32, 0),
            None,
            PHASE_FAILED,
            "K/cmd/phases/upgrade/apply/controlplane.go of 1.32.0",
        ),
        rule(
            V15,
            Some(Version::new(32, 0)),
            "[upgrade/apply] FATAL",
            "K/cmd/upgrade/apply.go of 1.17.17 to 1.31.0",
        ),
    ],
};

/// The same where a command consists of phases.
pub const PHASE_FAILED: &str =
    "error execution phase control-plane: couldn't complete the static pod upgrade";

/// An etcd whose manifest is equal is renewed and restarted when kube-apiserver's manifest differs.
pub static ETCD_FOLLOWS_APISERVER: Behaviour<bool> = Behaviour {
    name: "etcd certificates are renewed although its manifest is equal",
    rules: &[
        rule(
            Version::new(31, 0),
            None,
            true,
            "kubernetes#124688 for kubeadm#2989; source of 1.31.0",
        ),
        rule(
            V15,
            Some(Version::new(31, 0)),
            false,
            "source of 1.28.15 and 1.30.0",
        ),
    ],
};

/// How the move of a manifest is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveText {
    /// `Moving new manifest to ... and backing up old manifest to ...`
    Moving,
    /// `Moved new manifest to ... and backed up old manifest to ...`
    Moved,
}

/// See [`MoveText`].
pub static MOVE_TEXT: Behaviour<MoveText> = Behaviour {
    name: "wording of a manifest's move",
    rules: &[
        rule(
            Version::new(31, 0),
            None,
            MoveText::Moving,
            "source of 1.31.0",
        ),
        rule(
            V15,
            Some(Version::new(31, 0)),
            MoveText::Moved,
            "source of 1.30.0 and 1.16.15",
        ),
    ],
};

/// The line after `Waiting for the kubelet to restart the component`.
pub static PATIENCE: Behaviour<&str> = Behaviour {
    name: "wording of how long a restart may take",
    rules: &[
        rule(
            Version::new(30, 0),
            None,
            "This can take up to 5m0s",
            "source of 1.30.0",
        ),
        rule(
            V15,
            Some(Version::new(30, 0)),
            "This might take a minute or longer depending on the component/version gap (timeout 5m0s)",
            "source of 1.29.0 and 1.16.15",
        ),
    ],
};

/// What `upgrade apply` does about the two administrators' kubeconfigs after the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitAdmin {
    /// Nothing.
    No,
    /// It makes both anew, and fails where the CA's key is kept elsewhere (kubeadm#3055).
    NeedsKey,
    /// It makes both anew where the CA's key is there.
    IfKey,
}

/// See [`SplitAdmin`].
pub static SPLIT_ADMIN: Behaviour<SplitAdmin> = Behaviour {
    name: "admin.conf and super-admin.conf made by upgrade apply",
    rules: &[
        rule(
            Version::new(30, 0),
            None,
            SplitAdmin::No,
            "source of 1.30.0: phases/upgrade/postupgrade.go has it no more",
        ),
        rule(
            Version::new(29, 5),
            Some(Version::new(30, 0)),
            SplitAdmin::IfKey,
            "source of 1.29.5 phases/upgrade/postupgrade.go (kubernetes#124682)",
        ),
        rule(
            Version::new(29, 0),
            Some(Version::new(29, 5)),
            SplitAdmin::NeedsKey,
            "source of 1.29.0 and 1.29.4 phases/upgrade/postupgrade.go createSuperAdminKubeConfig",
        ),
        rule(
            V15,
            Some(Version::new(29, 0)),
            SplitAdmin::No,
            "source of 1.28.15",
        ),
    ],
};

/// The texts around an upgrade.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Says which version was chosen; `{}` is the version.
    pub chosen: &'static str,
    /// Says that static Pods are upgraded; `{}` is the version.
    pub upgrading: &'static str,
    /// The last words of `upgrade apply`; `{}` is the version.
    pub success: &'static str,
    /// Before a list of fatal errors.
    pub invalid: &'static str,
}

/// See [`Frame`].
pub static FRAME: Behaviour<Frame> = Behaviour {
    name: "texts around an upgrade",
    rules: &[
        rule(
            Version::new(32, 0),
            None,
            Frame {
                chosen: "[upgrade/preflight] You have chosen to upgrade the cluster version to {}",
                upgrading: "[upgrade/control-plane] Upgrading your static Pod-hosted control plane to version {} (timeout: 5m0s)...",
                success: "\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to {}.\n",
                invalid: "error execution phase preflight: the version argument is invalid due to these fatal errors:",
            },
            "source of 1.32.0 and 1.36.3",
        ),
        rule(
            V15,
            Some(Version::new(32, 0)),
            Frame {
                chosen: "[upgrade/version] You have chosen to change the cluster version to {}",
                upgrading: "[upgrade/apply] Upgrading your Static Pod-hosted control plane to version {} (timeout: 5m0s)...",
                success: "\n[upgrade/successful] SUCCESS! Your cluster was upgraded to {}. Enjoy!\n",
                invalid: "[upgrade/version] FATAL: the --version argument is invalid due to these fatal errors:",
            },
            "source of 1.31.0, 1.28.15 and 1.16.15",
        ),
    ],
};

/// Where images come from by default.
pub static REGISTRY: Behaviour<&str> = Behaviour {
    name: "default image registry",
    rules: &[
        rule(
            Version::new(25, 0),
            None,
            "registry.k8s.io",
            "the default moved in 1.25",
        ),
        rule(
            V15,
            Some(Version::new(25, 0)),
            "k8s.gcr.io",
            "source of 1.16.15",
        ),
    ],
};

/// The configuration API that `kubeadm init` of a version is given.
pub static CONFIG_API: Behaviour<&str> = Behaviour {
    name: "newest configuration API",
    rules: &[
        rule(
            Version::new(31, 0),
            None,
            "kubeadm.k8s.io/v1beta4",
            "K/apis/kubeadm/v1beta4, from 1.31",
        ),
        rule(
            Version::new(22, 0),
            Some(Version::new(31, 0)),
            "kubeadm.k8s.io/v1beta3",
            "v1beta3 from 1.22",
        ),
        rule(
            V15,
            Some(Version::new(22, 0)),
            "kubeadm.k8s.io/v1beta2",
            "v1beta2 from 1.15",
        ),
    ],
};

/// The `kubeadm-config` ConfigMap lists the API servers under `ClusterStatus`.
pub static CLUSTER_STATUS: Behaviour<bool> = Behaviour {
    name: "ClusterStatus in kubeadm-config",
    rules: &[
        rule(
            Version::new(22, 0),
            None,
            false,
            "K/phases/uploadconfig/uploadconfig.go: gone in 1.22",
        ),
        rule(
            V15,
            Some(Version::new(22, 0)),
            true,
            "K/phases/uploadconfig/uploadconfig.go of 1.17.17, 1.21.14; run of 1.17.17 falls back without it",
        ),
    ],
};

/// The container runtime's endpoint is kept in /var/lib/kubelet/instance-config.yaml.
pub static NODE_LOCAL_CRI_SOCKET: Behaviour<bool> = Behaviour {
    name: "NodeLocalCRISocket",
    rules: &[
        rule(
            Version::new(34, 0),
            None,
            true,
            "K/features/features.go: on by default in 1.34.4, locked in 1.36.3",
        ),
        rule(
            V15,
            Some(Version::new(34, 0)),
            false,
            "K/features/features.go: off in 1.33.4",
        ),
    ],
};

/// The kubelet of a control plane talks to the API server of its own node.
pub static KUBELET_LOCAL: Behaviour<bool> = Behaviour {
    name: "ControlPlaneKubeletLocalMode",
    rules: &[
        rule(
            Version::new(33, 0),
            None,
            true,
            "K/features/features.go: on by default from 1.33",
        ),
        rule(
            V15,
            Some(Version::new(33, 0)),
            false,
            "absent, or off by default in 1.31 and 1.32",
        ),
    ],
};

/// All version differences of this file that a run depends on.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    super::etcd::etcd_tag_uncertainty(version)
        .into_iter()
        .chain(CONFIG_BESIDE_YES.uncertainty(version))
        .collect()
}

/// What a join says whose bootstrap token is gone; `{}` stands for its id.
pub static TOKEN_GONE: Behaviour<&str> = Behaviour {
    name: "a join with a token that is gone",
    rules: &[
        rule(
            Version::new(18, 0),
            None,
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"{}\"",
            "source of a version from 2025, reports of 1.19",
        ),
        rule(
            V15,
            Some(Version::new(18, 0)),
            "abort connecting to API servers after timeout of 5m0s",
            "reports of 1.14 to 1.17; the boundary was not looked up",
        ),
    ],
};
