//! ClusterRoleBindings as objects of the world, and whom they let do what.
//!
//! Only what certificates depend on is here: the permissions that the built-in approver asks for with a
//! SubjectAccessReview, and being an administrator. Objects are kept by name, so that a step can delete one.

use std::collections::BTreeMap;

use super::mechanism::Mechanism;
use super::world::World;
use crate::kubeadm::Version;
use crate::kubeadm::certlist::MASTERS;
use crate::kubeadm::profile::bindings::{BINDINGS, Binding, Whom};
use crate::pki::Certificate;
use crate::scenario::Component;

/// Who a request comes from, as the API server authenticated it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requestor {
    /// `system:node:w1`.
    pub username: String,
    /// Groups, `system:authenticated` among them.
    pub groups: Vec<String>,
}

/// A ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleBinding {
    /// Name of the ClusterRole.
    pub role: String,
    /// Who has it.
    pub subjects: Vec<Subject>,
}

/// Whom a binding names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user.
    User(String),
    /// Everyone in a group.
    Group(String),
}

/// Something one may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `create certificatesigningrequests/selfnodeclient`.
    SelfNodeClient,
    /// `create certificatesigningrequests/nodeclient`.
    NodeClient,
    /// `create certificatesigningrequests`. Nodes may by the node authorizer.
    CreateRequests,
    /// Everything: what kubectl needs for the commands that are modelled.
    Everything,
    /// `get nodes/proxy`: what kube-apiserver needs on a kubelet for logs and exec.
    KubeletApi,
}

impl Permission {
    /// ClusterRoles that give it (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
    fn roles(self) -> &'static [&'static str] {
        match self {
            Self::SelfNodeClient => &[
                "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
                "cluster-admin",
            ],
            Self::NodeClient => &[
                "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
                "cluster-admin",
            ],
            Self::CreateRequests => &["system:node-bootstrapper", "cluster-admin"],
            Self::Everything => &["cluster-admin"],
            Self::KubeletApi => &["system:kubelet-api-admin", "cluster-admin"],
        }
    }
}

impl Requestor {
    /// Whom the x509 authenticator takes a certificate's holder for
    /// (`apiserver/pkg/authentication/request/x509/x509.go CommonNameUserConversion`).
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let mut groups = certificate.organizations().to_vec();
        groups.push("system:authenticated".to_owned());
        Self {
            username: certificate.common_name().to_owned(),
            groups,
        }
    }
}

impl Requestor {
    /// Whether the node authorizer takes it for a node.
    #[must_use]
    pub fn is_node(&self) -> bool {
        self.username.starts_with("system:node:")
            && self.groups.iter().any(|group| group == "system:nodes")
    }
}

impl RoleBinding {
    /// Whether it names this one.
    #[must_use]
    pub fn names(&self, who: &Requestor) -> bool {
        self.subjects.iter().any(|subject| match subject {
            Subject::User(name) => *name == who.username,
            Subject::Group(name) => who.groups.contains(name),
        })
    }
}

/// What `kubeadm init` of a version leaves behind, by name.
#[must_use]
pub fn made_by_init(version: Version) -> BTreeMap<String, RoleBinding> {
    BINDINGS
        .iter()
        .filter(|binding| binding.is_made_by(version))
        .map(object)
        .collect()
}

/// A binding of kubeadm's as an object with its name.
fn object(binding: &Binding) -> (String, RoleBinding) {
    let subject = match binding.to {
        Whom::Group(name) => Subject::Group(name.to_owned()),
        Whom::User(name) => Subject::User(name.to_owned()),
    };
    let made = RoleBinding {
        role: binding.role.to_owned(),
        subjects: vec![subject],
    };
    (binding.name.to_owned(), made)
}

impl World {
    /// The bindings that `upgrade apply` makes or writes anew.
    pub(super) fn bindings_of_upgrade(&mut self, to: Version) {
        for binding in &BINDINGS {
            if binding.is_made_by_upgrade_to(to) {
                let (name, made) = object(binding);
                self.role_bindings.insert(name, made);
            }
        }
    }

    /// Whether an API server lets a component of the cluster do its work, by who it is.
    ///
    /// Roles of controller-manager and scheduler are made by the API server itself and come back when they are
    /// deleted; nodes are let in by the node authorizer.
    pub(super) fn may_work(&self, component: Component, who: &Requestor) -> bool {
        let own = match component {
            Component::ControllerManager => who.username == "system:kube-controller-manager",
            Component::Scheduler => who.username == "system:kube-scheduler",
            Component::Kubelet => who.is_node(),
            _ => false,
        };
        own || self.allows(who, Permission::Everything)
    }

    /// Whether RBAC lets someone do something: a SubjectAccessReview. `system:masters` is not asked.
    #[must_use]
    pub fn allows(&self, who: &Requestor, permission: Permission) -> bool {
        !self.has(Mechanism::Bindings) || allows(&self.role_bindings, who, permission)
    }
}

fn allows(
    bindings: &BTreeMap<String, RoleBinding>,
    who: &Requestor,
    permission: Permission,
) -> bool {
    who.groups.iter().any(|group| group == MASTERS)
        || bindings.values().any(|binding| {
            permission.roles().contains(&binding.role.as_str()) && binding.names(who)
        })
}

/// Whether someone may read what kubeadm reads of a cluster: administrators, and nodes by
/// `kubeadm:nodes-kubeadm-config` (`K/phases/uploadconfig`).
pub(super) fn reads_configuration(
    bindings: &BTreeMap<String, RoleBinding>,
    who: &Requestor,
) -> bool {
    who.is_node() || allows(bindings, who, Permission::Everything)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_makes_what_its_version_knows() {
        let old = made_by_init(Version::new(17, 17));
        let new = made_by_init(Version::new(36, 3));
        assert_eq!(old.len(), 3);
        assert!(!old.contains_key("kubeadm:get-nodes"));
        assert!(new.contains_key("kubeadm:cluster-admins"));
        let node = Requestor {
            username: "system:node:w1".to_owned(),
            groups: vec!["system:nodes".to_owned()],
        };
        assert!(new.contains_key("kubeadm:apiserver-kubelet-client"));
        assert!(
            !made_by_init(Version::new(36, 0)).contains_key("kubeadm:apiserver-kubelet-client")
        );
        assert!(new["kubeadm:node-autoapprove-certificate-rotation"].names(&node));
        assert!(!new["kubeadm:node-autoapprove-bootstrap"].names(&node));
    }

    #[test]
    fn a_kubelet_client_without_group_has_a_binding_instead() {
        for (minor, patch) in [
            (28, 15),
            (34, 4),
            (35, 4),
            (35, 5),
            (36, 0),
            (36, 1),
            (36, 3),
            (37, 2),
        ] {
            let version = Version::new(minor, patch);
            let group = crate::kubeadm::profile::Profile::of(version).kubelet_client_o;
            let bound = made_by_init(version).contains_key("kubeadm:apiserver-kubelet-client");
            assert_eq!(group.is_none(), bound, "{version}");
        }
    }
}
