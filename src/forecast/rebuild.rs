//! A world from a capture: the same names, dates, serial numbers, modes and files, other keys.
//!
//! Every public key of the capture gets a key of this run, and every certificate is issued again by whatever key
//! takes the place of the one that signed it. So pairs that did not belong together still do not, certificates of a
//! foreign CA are foreign still, and a bundle is a bundle. What stays the same and what does not is decided by
//! signatures, not by names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::capture::{self, Node};
use super::ring::Ring;
use super::skew;
use crate::cluster::{Engine, Found, KUBELET_CONF, KUBELET_CURRENT, SERVING_CURRENT, Spec, World};
use crate::fs::FsError;
use crate::kubeadm::profile::{kubelet_config_name, upgrade::CONFIG_API};
use crate::kubeadm::{Version, manifests};
use crate::scenario::{ApproverPolicy, Component, LoadBalancer};
use crate::time::SignedDuration;

/// Why a world cannot be made of a capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// Nothing tells the version.
    #[error(
        "{0}: nothing tells its Kubernetes version; capture it again with --kubernetes-version"
    )]
    Version(String),
    /// A version that certdrill does not know.
    #[error(
        "{node}: Kubernetes {version} is older than v1.15.0: of such versions certdrill does not know enough for a forecast"
    )]
    TooOld {
        /// The node.
        node: String,
        /// Its version.
        version: Version,
    },
    /// There is no control plane.
    #[error("no node of these captures is a control plane; capture one of them too")]
    NoControlPlane,
    /// Two captures are of one node.
    #[error("two captures are of the node {0:?}")]
    Twice(String),
    /// The simulation has no such cluster.
    #[error("{0}")]
    Unplayable(String),
    /// A file cannot be written into the tree: two paths exclude each other.
    #[error("{node}: {error}")]
    File {
        /// The node.
        node: String,
        /// Why.
        error: FsError,
    },
}

/// A world and what was assumed to make it.
#[derive(Debug)]
pub struct Rebuilt {
    /// The world.
    pub world: World,
    /// Sentences.
    pub assumptions: Vec<String>,
}

/// Makes a world of the captured nodes.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(nodes: &[Node], engine: Box<dyn Engine>) -> Result<Rebuilt, RebuildError> {
    let mut names = BTreeSet::new();
    for node in nodes {
        if !names.insert(&node.name) {
            return Err(RebuildError::Twice(node.name.clone()));
        }
    }
    let mut ordered: Vec<&Node> = nodes.iter().filter(|node| node.control_plane).collect();
    if ordered.is_empty() {
        return Err(RebuildError::NoControlPlane);
    }
    ordered.extend(nodes.iter().filter(|node| !node.control_plane));
    refuse_what_is_not_modelled(&ordered)?;
    let mut assumptions = Vec::new();
    let cluster_version = version_of(ordered[0])?;
    let start = ordered
        .iter()
        .map(|node| node.at)
        .max()
        .unwrap_or(ordered[0].at);
    let mut ring = Ring::new(nodes);
    let mut machines = Vec::new();
    // Only control planes tell: a worker has its CA where they have theirs.
    let dirs: BTreeMap<String, String> = ordered
        .iter()
        .map(|node| {
            let teller = if node.control_plane || node.pod("etcd").is_some() {
                node
            } else {
                ordered[0]
            };
            (node.name.clone(), teller.certificates_dir().to_owned())
        })
        .collect();
    let mut unknown = 0_u8;
    for node in &ordered {
        let version = match version_of(node) {
            Err(_) if !node.control_plane => {
                assumptions.push(format!(
                    "{}: nothing tells its version; taken to be {cluster_version}",
                    node.name
                ));
                cluster_version
            }
            other => other?,
        };
        let address = address_of(node).unwrap_or_else(|| {
            unknown = unknown.saturating_add(1);
            IpAddr::V4(Ipv4Addr::new(10, 255, 255, unknown))
        });
        let offset = skew::estimate(node).unwrap_or(SignedDuration::ZERO);
        if offset != SignedDuration::ZERO {
            assumptions.push(format!(
                "{}: its clock is taken to be {} {} for the whole forecast, as its last kubelet certificate shows",
                node.name,
                crate::time::span::display(offset.abs()),
                if offset.is_negative() { "late" } else { "early" },
            ));
        }
        let tree = ring
            .tree(node, version, address, &mut assumptions)
            .map_err(|error| RebuildError::File {
                node: node.name.clone(),
                error,
            })?;
        machines.push(Found {
            name: node.name.clone(),
            control_plane: node.control_plane,
            etcd: node.pod("etcd").is_some() || assumed_etcd(node),
            certificates_dir: dirs[&node.name].clone(),
            address,
            version,
            offset,
            tree,
        });
    }
    let shared = shared_hosts(nodes, &machines);
    for host in &shared {
        assumptions.push(format!(
            "{host} is the address of no captured node; taken to be a load balancer that leads to every control plane"
        ));
    }
    assumptions.push(
        "every process is taken to have started when the capture was taken and to hold in memory what its files say: a \
         certificate that was renewed without a restart, or an API server that has run for most of a year, cannot be seen \
         in files"
            .to_owned(),
    );
    for node in &ordered {
        if node.file(KUBELET_CONF).is_none() && node.file(KUBELET_CURRENT).is_some() {
            assumptions.push(format!(
                "{}: there is no {KUBELET_CONF}; its kubelet is taken to run with what was in there",
                node.name
            ));
        }
    }
    assumptions.push(format!(
        "ClusterRoleBindings are not in files; taken to be those that kubeadm {cluster_version} makes"
    ));
    let mut unsure = crate::kubeadm::uncertainties(cluster_version);
    unsure.sort();
    unsure.dedup();
    assumptions.extend(unsure);
    let spec = Spec {
        version: cluster_version,
        start,
        control_planes: 0,
        workers: 0,
        etcd: 0,
        load_balancer: LoadBalancer::default(),
        join_later: Vec::new(),
        upload_certs: false,
        key_algorithm: None,
        certificate_validity: None,
        ca_validity: None,
        certificates_dir: Some(ordered[0].certificates_dir().to_owned())
            .filter(|dir| dir != crate::cluster::PKI),
        controller_manager_args: signing_flags(ordered[0]),
        server_tls_bootstrap: requests_serving(ordered[0]),
        metrics_server: None,
        serving_approver: approver(&ordered, &mut assumptions),
        seed: 0,
    };
    let config_maps = config_maps(ordered[0], cluster_version, &spec);
    let mut world = World::rebuilt(spec, engine, machines, shared, config_maps);
    world.authorities_elsewhere = ring.authorities();
    Ok(Rebuilt { world, assumptions })
}

/// The version of a node.
///
/// # Errors
/// When nothing tells it, or certdrill does not know it.
pub fn version_of(node: &Node) -> Result<Version, RebuildError> {
    let version: Version = node
        .version
        .as_ref()
        .or_else(|| node.settings.get("kubeadm.kubernetesVersion"))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| RebuildError::Version(node.name.clone()))?;
    if version < Version::OLDEST {
        return Err(RebuildError::TooOld {
            node: node.name.clone(),
            version,
        });
    }
    Ok(version)
}

/// Clusters that the simulation would play wrongly are not played at all.
fn refuse_what_is_not_modelled(nodes: &[&Node]) -> Result<(), RebuildError> {
    let refuse =
        |node: &Node, what: String| Err(RebuildError::Unplayable(format!("{}: {what}", node.name)));
    for node in nodes {
        if let Some(missing) = node.kubelet_is_unknown() {
            return refuse(node, format!("{missing}: capture it, too"));
        }
    }
    for node in nodes
        .iter()
        .filter(|node| node.control_plane || node.pod("etcd").is_some())
    {
        let dir = node.certificates_dir();
        if !dir.starts_with("/etc/kubernetes/") {
            return refuse(
                node,
                format!("its certificates are in {dir}, which a capture does not hold"),
            );
        }
        let endpoints = node.etcd_endpoints();
        // What it does not find elsewhere it finds on its own machine.
        let elsewhere = endpoints.iter().filter(|_| node.pod("etcd").is_none());
        for endpoint in elsewhere {
            let host = host_of(endpoint).unwrap_or_default();
            if endpoint.starts_with("http://") {
                return refuse(
                    node,
                    format!("its etcd at {endpoint} is without TLS, which is not simulated"),
                );
            }
            let captured = nodes.iter().any(|other| {
                other.pod("etcd").is_some()
                    && (other.name == host
                        || address_of(other).is_some_and(|address| address.to_string() == host))
            });
            if !captured {
                return refuse(
                    node,
                    format!(
                        "its etcd at {endpoint} is on no captured machine: external etcd is simulated where its \
                         machines are captured, too"
                    ),
                );
            }
        }
        let pods: Vec<&capture::Manifest> = node
            .files
            .values()
            .filter_map(|file| file.manifest.as_ref())
            .collect();
        let has_etcd = pods.iter().any(|pod| pod.component == "etcd");
        for pod in &pods {
            if pod.component == "kube-apiserver" && !has_etcd && endpoints.is_empty() {
                return refuse(
                    node,
                    "there is no etcd Pod beside its kube-apiserver, and nothing says where its external etcd is"
                        .to_owned(),
                );
            }
            let Some(component) = component_of(&pod.component) else {
                continue;
            };
            let usual = manifests::static_pod(
                component,
                Version::new(36, 0),
                facts_of("", dir, false, &[], &[]),
            );
            for line in usual.lines() {
                let Some((flag, value)) = line
                    .trim()
                    .strip_prefix("- --")
                    .and_then(|flag| flag.split_once('='))
                else {
                    continue;
                };
                if let Some(other) = pod.flags.get(flag)
                    && other != value
                    && value.starts_with("/etc/kubernetes/")
                    && !flag.starts_with("cluster-signing-")
                {
                    return refuse(
                        node,
                        format!(
                            "{} reads --{flag}={other}; the simulation knows {value} only",
                            pod.component
                        ),
                    );
                }
            }
            if pod.flags.contains_key("kubelet-certificate-authority") {
                return refuse(
                    node,
                    "kube-apiserver checks what kubelets serve (--kubelet-certificate-authority), which is not \
                     simulated"
                        .to_owned(),
                );
            }
        }
    }
    Ok(())
}

pub(super) fn component_of(name: &str) -> Option<Component> {
    match name {
        "etcd" => Some(Component::Etcd),
        "kube-apiserver" => Some(Component::ApiServer),
        "kube-controller-manager" => Some(Component::ControllerManager),
        "kube-scheduler" => Some(Component::Scheduler),
        _ => None,
    }
}

/// The address of a node: as its manifests tell it, else the last one that its serving certificate is for.
fn address_of(node: &Node) -> Option<IpAddr> {
    let last = |path: &str| node.served_address(path);
    node.address
        .or_else(|| last(&node.pki("apiserver.crt")))
        .or_else(|| last(SERVING_CURRENT))
        .or_else(|| last(&node.pki("etcd/server.crt")))
}

/// A control plane without captured manifests is taken to have all four static Pods.
fn assumed_etcd(node: &Node) -> bool {
    node.control_plane && !node.files.values().any(|file| file.manifest.is_some())
}

/// Hosts of kubeconfigs that are no captured node.
fn shared_hosts(nodes: &[Node], machines: &[Found]) -> BTreeSet<String> {
    nodes
        .iter()
        .flat_map(|node| node.files.values())
        .filter_map(|file| file.kubeconfig.as_ref())
        .flat_map(|config| config.clusters.values())
        .filter_map(|cluster| host_of(&cluster.server))
        .filter(|host| {
            !machines.iter().any(|machine| {
                machine.control_plane
                    && (machine.name == *host || machine.address.to_string() == *host)
            })
        })
        .collect()
}

/// The host of a URL.
fn host_of(server: &str) -> Option<String> {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// What a controller-manager is told besides kubeadm's own flags, as far as signing depends on it.
pub(super) fn signing_flags(node: &Node) -> Vec<(String, String)> {
    let (crt, key) = (node.pki("ca.crt"), node.pki("ca.key"));
    let signing: [(&str, &str); 5] = [
        ("cluster-signing-cert-file", &crt),
        ("cluster-signing-key-file", &key),
        ("cluster-signing-duration", ""),
        ("experimental-cluster-signing-duration", ""),
        ("controllers", "*,bootstrapsigner,tokencleaner"),
    ];
    let Some(manifest) = node
        .file("/etc/kubernetes/manifests/kube-controller-manager.yaml")
        .and_then(|file| file.manifest.as_ref())
    else {
        return Vec::new();
    };
    signing
        .into_iter()
        .filter_map(|(name, usual)| {
            let value = manifest.flags.get(name)?;
            // Without the CA's key kubeadm itself leaves the files out.
            (value.as_str() != usual && !value.is_empty()).then(|| (name.to_owned(), value.clone()))
        })
        .collect()
}

fn requests_serving(node: &Node) -> bool {
    node.settings
        .get("kubelet.serverTLSBootstrap")
        .is_some_and(|value| value == "true")
}

/// Somebody approves serving certificates where a kubelet has one: nothing in files says who.
fn approver(nodes: &[&Node], assumptions: &mut Vec<String>) -> Option<ApproverPolicy> {
    if !nodes.iter().any(|node| requests_serving(node)) {
        return None;
    }
    let approved = nodes
        .iter()
        .any(|node| node.file(SERVING_CURRENT).is_some());
    assumptions.push(if approved {
        "kubelets have serving certificates from the cluster; whoever approved them is taken to go on doing so".to_owned()
    } else {
        "kubelets request serving certificates and none has one; nobody is taken to approve them".to_owned()
    });
    approved.then_some(ApproverPolicy::Strict)
}

fn config_maps(
    node: &Node,
    version: Version,
    spec: &Spec,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let api = *CONFIG_API.at(version);
    let mut cluster =
        format!("apiVersion: {api}\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n");
    for (setting, since_v1beta4) in [
        ("controlPlaneEndpoint", false),
        ("certificatesDir", false),
        ("encryptionAlgorithm", true),
        ("certificateValidityPeriod", true),
        ("caCertificateValidityPeriod", true),
    ] {
        if let Some(value) = node.settings.get(&format!("kubeadm.{setting}"))
            && (!since_v1beta4 || api.ends_with("v1beta4"))
        {
            cluster += &format!("{setting}: {value}\n");
        }
    }
    let endpoints = node.etcd_endpoints();
    if node.pod("etcd").is_none() && !endpoints.is_empty() {
        let list: String = endpoints
            .iter()
            .map(|endpoint| format!("    - {endpoint}\n"))
            .collect();
        let [ca, crt, key] = [
            "etcd/ca.crt",
            "apiserver-etcd-client.crt",
            "apiserver-etcd-client.key",
        ]
        .map(|name| node.pki(name));
        cluster += &format!(
            "etcd:\n  external:\n    endpoints:\n{list}    caFile: {ca}\n    certFile: {crt}\n    keyFile: {key}\n"
        );
    }
    if !spec.controller_manager_args.is_empty() {
        // v1beta4 has a list of names and values where older formats have a map.
        cluster += "controllerManager:\n  extraArgs:\n";
        for (name, value) in &spec.controller_manager_args {
            cluster += &if api.ends_with("v1beta4") {
                format!("  - name: {name}\n    value: {value:?}\n")
            } else {
                format!("    {name}: {value:?}\n")
            };
        }
    }
    let kubelet: BTreeMap<String, String> = [("kubelet".to_owned(), kubelet_config(node))].into();
    [
        (
            "kubeadm-config".to_owned(),
            [("ClusterConfiguration".to_owned(), cluster)].into(),
        ),
        (kubelet_config_name(version), kubelet),
    ]
    .into()
}

/// A KubeletConfiguration, as far as certificates depend on it.
pub(super) fn kubelet_config(node: &Node) -> String {
    let mut text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nrotateCertificates: true\n".to_owned();
    if requests_serving(node) {
        text += "serverTLSBootstrap: true\n";
    }
    text
}

/// What stands in the manifests of a rebuilt node.
pub(super) fn facts_of<'a>(
    address: &'a str,
    certificates_dir: &'a str,
    external_ca: bool,
    controller_manager_args: &'a [(String, String)],
    etcd_endpoints: &'a [String],
) -> manifests::Facts<'a> {
    manifests::Facts {
        address,
        certificates_dir,
        external_ca,
        controller_manager_args,
        etcd_endpoints,
    }
}
