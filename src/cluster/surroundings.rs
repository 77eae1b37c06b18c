//! What a command on a node can reach over the network, at one instant: a still picture of the world for
//! an engine outside it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::files::{Credential, Roots};
use super::rbac::{self, Requestor, RoleBinding};
use super::topology::LOAD_BALANCER;
use super::world::World;
use crate::kubeadm::Version;
use crate::kubeadm::profile::components::Slot;
use crate::pki::{Certificate, Usage, verify};
use crate::scenario::Component;
use crate::time::Timestamp;

/// The address the load balancer's name stands for.
pub(super) const LOAD_BALANCER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Everything a command on one node can reach.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// API servers that listen, in the order of their nodes.
    pub api_servers: Vec<ApiServer>,
    /// Address of the load balancer in front of them, and its name, where there is one.
    pub load_balancer: Option<(IpAddr, &'static str)>,
    /// The API servers that the load balancer leads the command's machine to.
    pub balanced: Vec<IpAddr>,
    /// Every machine.
    pub machines: Vec<MachineFacts>,
    /// ClusterRoleBindings, by name.
    pub role_bindings: BTreeMap<String, RoleBinding>,
    /// ConfigMaps in `kube-system`.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
}

/// A machine as the API shows it.
#[derive(Debug, Clone)]
pub struct MachineFacts {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// It is a control plane.
    pub control_plane: bool,
    /// A member of etcd is to run on it.
    pub etcd: bool,
    /// It has a Node object.
    pub is_node: bool,
    /// Version of its kubelet.
    pub version: Version,
}

/// An API server that listens.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// Its address.
    pub address: IpAddr,
    /// Its version.
    pub version: Version,
    /// Its wall clock.
    pub at: Timestamp,
    /// Whether etcd answers it.
    pub storage_works: bool,
    serving: Arc<Credential>,
    client_roots: Option<Arc<Roots>>,
}

/// Who an API server takes a client for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A client without certificate.
    Anonymous,
    /// A client whose certificate was accepted.
    User {
        /// Common name.
        name: String,
        /// Organisations.
        groups: Vec<String>,
    },
    /// A client whose certificate was refused: 401.
    Refused,
}

impl Surroundings {
    /// Whether RBAC lets someone read the cluster's configuration.
    #[must_use]
    pub fn lets_read(&self, name: &str, groups: &[String]) -> bool {
        let who = Requestor {
            username: name.to_owned(),
            groups: groups.to_vec(),
        };
        rbac::reads_configuration(&self.role_bindings, &who)
    }

    /// Says everything that is here, field by field: surroundings that say the same are the same.
    pub(crate) fn describe(&self, field: &mut dyn FnMut(&[u8])) {
        // By name, so that nobody adds a field that goes unsaid.
        let Self {
            api_servers,
            load_balancer,
            balanced,
            machines,
            role_bindings,
            config_maps,
        } = self;
        for server in api_servers {
            server.describe(field);
        }
        let rest = format!(
            "{load_balancer:?} {balanced:?} {machines:?} {role_bindings:?} {config_maps:?}"
        );
        field(rest.as_bytes());
    }
}

impl ApiServer {
    /// The certificates it shows, leaf first, as DER.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        std::iter::once(&self.serving.certificate)
            .chain(&self.serving.intermediates)
            .map(|certificate| certificate.der().to_vec())
            .collect()
    }

    fn describe(&self, field: &mut dyn FnMut(&[u8])) {
        let Self {
            address,
            version,
            at,
            storage_works,
            serving,
            client_roots,
        } = self;
        field(format!("API server {address} {version} {at} {storage_works}").as_bytes());
        for certificate in self.chain() {
            field(&certificate);
        }
        field(&serving.key.0);
        let roots = client_roots.iter().flat_map(|roots| &roots.certificates);
        for root in roots {
            field(root.der());
        }
    }

    /// The private key it serves with, as PEM.
    #[must_use]
    pub fn key_pem(&self) -> &[u8] {
        &self.serving.key.0
    }

    /// Whether a client that checks dates would accept it now.
    #[must_use]
    pub fn in_date(&self) -> bool {
        let certificate = &self.serving.certificate;
        certificate.not_before() <= self.at && self.at <= certificate.not_after()
    }

    /// Authenticates a client by its certificates, leaf first, as the x509 authenticator does.
    #[must_use]
    pub fn authenticate(&self, shown: &[Vec<u8>]) -> Identity {
        let Some((leaf, rest)) = shown.split_first() else {
            return Identity::Anonymous;
        };
        let (Ok(leaf), Some(roots)) = (Certificate::from_der(leaf), &self.client_roots) else {
            return Identity::Refused;
        };
        let intermediates: Vec<Certificate> = rest
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect();
        let roots = &roots.certificates;
        match verify(&leaf, &intermediates, roots, Usage::Client, None, self.at) {
            Ok(()) => Identity::User {
                name: leaf.common_name().to_owned(),
                groups: leaf.organizations().to_vec(),
            },
            Err(_) => Identity::Refused,
        }
    }
}

impl World {
    /// What a command on a node can reach over the network now.
    #[must_use]
    pub fn surroundings(&self, node: usize) -> Surroundings {
        let api_servers = (0..self.nodes.len())
            .filter_map(|node| {
                let process = self.nodes[node].process(Component::ApiServer)?;
                Some(ApiServer {
                    address: self.nodes[node].address,
                    version: process.version,
                    at: self.wall(node),
                    storage_works: self.behind(node, Component::Admin).is_ok(),
                    serving: Arc::clone(process.pair(Slot::Serving)?),
                    client_roots: process.roots(Slot::ClientCa).cloned(),
                })
            })
            .collect();
        let control_planes = self.nodes.iter().filter(|node| node.control_plane).count();
        Surroundings {
            api_servers,
            balanced: self
                .backends(LOAD_BALANCER, node)
                .into_iter()
                .map(|node| self.nodes[node].address)
                .collect(),
            load_balancer: (control_planes > 1).then_some((LOAD_BALANCER_ADDRESS, LOAD_BALANCER)),
            machines: self
                .nodes
                .iter()
                .map(|node| MachineFacts {
                    name: node.name.clone(),
                    address: node.address,
                    control_plane: node.control_plane,
                    etcd: node.etcd,
                    is_node: node.ready.is_some(),
                    version: node.version,
                })
                .collect(),
            role_bindings: self.role_bindings.clone(),
            config_maps: self.config_maps.clone(),
        }
    }
}
