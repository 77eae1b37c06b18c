//! The certificates kubeadm knows: names, files, subjects, signers.

use super::profile::Profile;
use crate::pki::ExtKeyUsage;

/// The group that may do everything, whatever RBAC says.
pub const MASTERS: &str = "system:masters";
/// The group that kubeadm binds to `cluster-admin`, from 1.29 on.
pub const CLUSTER_ADMINS: &str = "kubeadm:cluster-admins";

/// A certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ca {
    /// The cluster's CA.
    Kubernetes,
    /// etcd's CA.
    Etcd,
    /// The aggregation layer's CA.
    FrontProxy,
}

impl Ca {
    /// All of them, by name as kubeadm sorts them.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Etcd, Self::FrontProxy];

    /// Name in tables and sub-commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "ca",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }

    /// File below the certificates directory, without extension.
    #[must_use]
    pub const fn base_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "ca",
            Self::Etcd => "etcd/ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }

    /// CN of its certificate.
    #[must_use]
    pub const fn common_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }

    /// What messages about a missing key call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Kubernetes => "CA",
            Self::Etcd => "etcd CA",
            Self::FrontProxy => "front-proxy CA",
        }
    }

    /// Leaves that must be there and valid when the CA's key is kept elsewhere: file and label.
    #[must_use]
    pub const fn required_leaves(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kubernetes => &[
                ("apiserver", "API server"),
                ("apiserver-kubelet-client", "API server kubelet client"),
            ],
            Self::Etcd => &[
                ("apiserver-etcd-client", "apiserver etcd client"),
                ("etcd/server", "etcd server"),
                ("etcd/peer", "etcd peer"),
                ("etcd/healthcheck-client", "etcd health-check client"),
            ],
            Self::FrontProxy => &[("front-proxy-client", "front-proxy client")],
        }
    }
}

/// What fills the subject and SANs of a leaf when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A fixed CN, no SANs.
    Fixed(&'static str),
    /// The API server's names.
    ApiServer,
    /// The node's name as CN, etcd's server names.
    EtcdServer,
    /// The node's name as CN, etcd's peer names.
    EtcdPeer,
}

/// A leaf certificate in the certificates directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Name in tables and sub-commands.
    pub name: &'static str,
    /// File below the certificates directory, without extension.
    pub base_name: &'static str,
    /// What messages call it.
    pub long_name: &'static str,
    /// Who signs it.
    pub ca: Ca,
    /// Subject and SANs at creation.
    pub names: Names,
    /// Extended key usages at creation.
    pub usages: &'static [ExtKeyUsage],
}

const SERVER: &[ExtKeyUsage] = &[ExtKeyUsage::ServerAuth];
const CLIENT: &[ExtKeyUsage] = &[ExtKeyUsage::ClientAuth];
const BOTH: &[ExtKeyUsage] = &[ExtKeyUsage::ServerAuth, ExtKeyUsage::ClientAuth];

/// All leaves in kubeadm's own order (CAs come before what they sign).
pub const LEAVES: [Leaf; 7] = [
    Leaf {
        name: "apiserver",
        base_name: "apiserver",
        long_name: "certificate for serving the Kubernetes API",
        ca: Ca::Kubernetes,
        names: Names::ApiServer,
        usages: SERVER,
    },
    Leaf {
        name: "apiserver-kubelet-client",
        base_name: "apiserver-kubelet-client",
        long_name: "certificate for the API server to connect to kubelet",
        ca: Ca::Kubernetes,
        names: Names::Fixed("kube-apiserver-kubelet-client"),
        usages: CLIENT,
    },
    Leaf {
        name: "front-proxy-client",
        base_name: "front-proxy-client",
        long_name: "certificate for the front proxy client",
        ca: Ca::FrontProxy,
        names: Names::Fixed("front-proxy-client"),
        usages: CLIENT,
    },
    Leaf {
        name: "etcd-server",
        base_name: "etcd/server",
        long_name: "certificate for serving etcd",
        ca: Ca::Etcd,
        names: Names::EtcdServer,
        usages: BOTH,
    },
    Leaf {
        name: "etcd-peer",
        base_name: "etcd/peer",
        long_name: "certificate for etcd nodes to communicate with each other",
        ca: Ca::Etcd,
        names: Names::EtcdPeer,
        usages: BOTH,
    },
    Leaf {
        name: "etcd-healthcheck-client",
        base_name: "etcd/healthcheck-client",
        long_name: "certificate for liveness probes to healthcheck etcd",
        ca: Ca::Etcd,
        names: Names::Fixed("kube-etcd-healthcheck-client"),
        usages: CLIENT,
    },
    Leaf {
        name: "apiserver-etcd-client",
        base_name: "apiserver-etcd-client",
        long_name: "certificate the apiserver uses to access etcd",
        ca: Ca::Etcd,
        names: Names::Fixed("kube-apiserver-etcd-client"),
        usages: CLIENT,
    },
];

/// A kubeconfig with an embedded client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigFile {
    /// File name below `/etc/kubernetes`; also its name in tables and sub-commands.
    pub name: &'static str,
    /// Name of its init sub-phase.
    pub phase: &'static str,
    /// What messages call its certificate.
    pub long_name: &'static str,
    /// CN of its certificate; the node's name is appended for the kubelet.
    pub common_name: &'static str,
    /// Whether it points to the node's own API server instead of the control plane endpoint.
    pub local_endpoint: bool,
}

/// All kubeconfigs, in the order of the init sub-phases.
pub const CONFIG_FILES: [ConfigFile; 5] = [
    ConfigFile {
        name: "admin.conf",
        phase: "admin",
        long_name: "certificate embedded in the kubeconfig file for the admin to use and for kubeadm itself",
        common_name: "kubernetes-admin",
        local_endpoint: false,
    },
    ConfigFile {
        name: "super-admin.conf",
        phase: "super-admin",
        long_name: "certificate embedded in the kubeconfig file for the super-admin",
        common_name: "kubernetes-super-admin",
        local_endpoint: false,
    },
    ConfigFile {
        name: "kubelet.conf",
        phase: "kubelet",
        long_name: "",
        common_name: "system:node:",
        local_endpoint: false,
    },
    ConfigFile {
        name: "controller-manager.conf",
        phase: "controller-manager",
        long_name: "certificate embedded in the kubeconfig file for the controller manager to use",
        common_name: "system:kube-controller-manager",
        local_endpoint: true,
    },
    ConfigFile {
        name: "scheduler.conf",
        phase: "scheduler",
        long_name: "certificate embedded in the kubeconfig file for the scheduler manager to use",
        common_name: "system:kube-scheduler",
        local_endpoint: true,
    },
];

/// A certificate that `renew` and `check-expiration` handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managed {
    /// A file pair.
    Leaf(Leaf),
    /// A kubeconfig.
    Config(ConfigFile),
}

impl Managed {
    /// Name in tables and sub-commands.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Leaf(leaf) => leaf.name,
            Self::Config(config) => config.name,
        }
    }

    /// Who signs it.
    #[must_use]
    pub const fn ca(&self) -> Ca {
        match self {
            Self::Leaf(leaf) => leaf.ca,
            Self::Config(_) => Ca::Kubernetes,
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn long_name(&self, profile: &Profile) -> &'static str {
        match self {
            Self::Leaf(leaf) if leaf.name == "etcd-healthcheck-client" => {
                profile.healthcheck_long_name
            }
            Self::Leaf(leaf) => leaf.long_name,
            Self::Config(config) => config.long_name,
        }
    }
}

/// Managed certificates, sorted by name; those of etcd are left out with an external etcd.
#[must_use]
pub fn managed(profile: &Profile, external_etcd: bool) -> Vec<Managed> {
    let mut out: Vec<Managed> = LEAVES
        .iter()
        .filter(|leaf| !external_etcd || leaf.ca != Ca::Etcd)
        .map(|leaf| Managed::Leaf(*leaf))
        .chain(
            config_files(profile)
                .filter(|config| config.name != "kubelet.conf")
                .map(Managed::Config),
        )
        .collect();
    out.sort_by_key(Managed::name);
    out
}

/// Names that `certs renew` of some version knows, in the order of its output.
pub const RENEWED: [&str; 11] = [
    "admin.conf",
    "apiserver",
    "apiserver-etcd-client",
    "apiserver-kubelet-client",
    "controller-manager.conf",
    "etcd-healthcheck-client",
    "etcd-peer",
    "etcd-server",
    "front-proxy-client",
    "scheduler.conf",
    "super-admin.conf",
];

/// Names of the CAs in `check-expiration`.
pub const CA_NAMES: [&str; 3] = ["ca", "etcd-ca", "front-proxy-ca"];

/// Kubeconfigs a version has.
pub fn config_files(profile: &Profile) -> impl Iterator<Item = ConfigFile> + use<> {
    let super_admin = profile.super_admin;
    CONFIG_FILES
        .into_iter()
        .filter(move |config| super_admin || config.name != "super-admin.conf")
}

/// CAs whose expiry is shown, sorted by name.
#[must_use]
pub fn authorities(external_etcd: bool) -> Vec<Ca> {
    Ca::ALL
        .into_iter()
        .filter(|ca| !external_etcd || *ca != Ca::Etcd)
        .collect()
}

/// Names of the certificates that an upgrade renews with a component.
#[must_use]
pub fn names_of_component(component: &str, external_etcd: bool) -> &'static [&'static str] {
    match (component, external_etcd) {
        ("etcd", false) => &["etcd-server", "etcd-peer", "etcd-healthcheck-client"],
        ("kube-apiserver", false) => &[
            "apiserver",
            "apiserver-kubelet-client",
            "front-proxy-client",
            "apiserver-etcd-client",
        ],
        ("kube-apiserver", true) => &[
            "apiserver",
            "apiserver-kubelet-client",
            "front-proxy-client",
        ],
        ("kube-controller-manager", _) => &["controller-manager.conf"],
        ("kube-scheduler", _) => &["scheduler.conf"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_newest_list() {
        let profile = Profile::of(crate::kubeadm::Version::new(36, 3));
        let names: Vec<_> = managed(&profile, false).iter().map(Managed::name).collect();
        assert_eq!(names, RENEWED);
        let authorities: Vec<_> = authorities(false).into_iter().map(Ca::name).collect();
        assert_eq!(authorities, CA_NAMES);
    }
}
