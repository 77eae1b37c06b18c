//! Machines of an external etcd: what to do when their certificates end.
//!
//! After "Set up a High Availability etcd cluster with kubeadm": certificates are made on the machine that has the CA's key,
//! for one machine after the other, and copied there. `kubeadm init phase certs` keeps what is there already, so each
//! machine gets a directory of its own. Where no captured machine has the key, whoever has it signs again.

use schemars::JsonSchema;
use serde::Serialize;

use super::capture::Node;
use super::remedy::{Command, Order, kubeadm, said};
use crate::cluster::World;
use crate::fs::Tree;
use crate::kubeadm::profile::upgrade::CONFIG_API;
use crate::pki::{Certificate, reissue};
use crate::scenario::Component;
use crate::time::{SignedDuration, shift};

/// What a member has: name of kubeadm's phase, file without ending below the certificates directory.
const OF_MEMBERS: [(&str, &str); 3] = [
    ("etcd-server", "etcd/server"),
    ("etcd-peer", "etcd/peer"),
    ("etcd-healthcheck-client", "etcd/healthcheck-client"),
];
/// What kube-apiserver shows etcd.
const CLIENT: (&str, &str) = ("apiserver-etcd-client", "apiserver-etcd-client");
/// How long a member is given to come back.
const RESTART_LIMIT: SignedDuration = SignedDuration::from_mins(5);
/// What another CA gives unless it is told otherwise.
const LIFE: SignedDuration = SignedDuration::from_hours(8760);

/// A command for an external etcd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EtcdCommand {
    /// On the machine that has the CA's key: make what a member needs, and copy it there.
    MakeFor {
        /// The member.
        member: String,
        /// Its address.
        address: String,
    },
    /// On the machine that has the CA's key: make the client certificate of API servers, and copy it to them.
    MakeClient {
        /// Control planes.
        to: Vec<String>,
    },
    /// Have the CA, which is nowhere here, sign again what it signed.
    SignElsewhere {
        /// File without ending.
        base: String,
    },
    /// Restart the member.
    Restart,
}

/// Everything that renews an external etcd, in order; nothing where there is none.
#[must_use]
pub fn orders(nodes: &[Node]) -> Vec<Order> {
    let members: Vec<&Node> = nodes.iter().filter(|node| is_member(node)).collect();
    if members.is_empty() {
        return Vec::new();
    }
    let order = |node: &Node, command| Order::new(&node.name, Command::Etcd(command));
    let clients: Vec<&Node> = nodes.iter().filter(|node| asks_elsewhere(node)).collect();
    let mut out = Vec::new();
    if let Some(keeper) = nodes.iter().find(|node| has_key(node)) {
        out.extend(members.iter().map(|member| {
            let command = EtcdCommand::MakeFor {
                member: member.name.clone(),
                address: address(member),
            };
            order(keeper, command)
        }));
        let to = clients.iter().map(|node| node.name.clone()).collect();
        out.push(order(keeper, EtcdCommand::MakeClient { to }));
    } else {
        for member in &members {
            for (_, base) in OF_MEMBERS {
                let base = member.pki(base);
                if member.file(&format!("{base}.crt")).is_some() {
                    out.push(order(member, EtcdCommand::SignElsewhere { base }));
                }
            }
        }
        for client in &clients {
            let base = client.pki(CLIENT.1);
            out.push(order(client, EtcdCommand::SignElsewhere { base }));
        }
    }
    out.extend(
        members
            .iter()
            .map(|member| order(member, EtcdCommand::Restart)),
    );
    out.extend(
        clients
            .iter()
            .map(|client| Order::new(&client.name, Command::RestartControlPlane)),
    );
    out
}

/// Whether a machine runs a member of etcd and nothing else.
pub(super) fn is_member(node: &Node) -> bool {
    !node.control_plane && node.pod("etcd").is_some()
}

/// Whether a control plane's etcd is on other machines.
pub(super) fn asks_elsewhere(node: &Node) -> bool {
    node.control_plane && node.pod("etcd").is_none() && !node.etcd_endpoints().is_empty()
}

/// What a member has, by path.
pub(super) fn certificates(node: &Node) -> Vec<(String, Certificate)> {
    OF_MEMBERS
        .into_iter()
        .filter_map(|(_, base)| {
            let path = node.pki(&format!("{base}.crt"));
            let certificate = node.certificates(&path).into_iter().next()?;
            Some((path, certificate))
        })
        .collect()
}

fn has_key(node: &Node) -> bool {
    node.file(&node.pki("etcd/ca.key"))
        .and_then(|file| file.key.as_ref())
        .is_some_and(|key| key.belongs_to.contains(&node.pki("etcd/ca.crt")))
}

fn address(node: &Node) -> String {
    node.address
        .or_else(|| node.served_address(&node.pki("etcd/server.crt")))
        .map_or_else(|| node.name.clone(), |address| address.to_string())
}

impl EtcdCommand {
    /// What to type.
    #[must_use]
    pub fn shell(&self, certificates_dir: &str) -> Vec<String> {
        let phases = |names: &[(&str, &str)], config: &str| -> Vec<String> {
            names
                .iter()
                .map(|(phase, _)| format!("kubeadm init phase certs {phase} --config {config}"))
                .collect()
        };
        let mut out = Vec::new();
        match self {
            Self::MakeFor { member, address } => {
                let dir = format!("/tmp/{address}");
                out.extend(workshop(&dir, certificates_dir));
                out.push(format!(
                    "# {dir}/kubeadmcfg.yaml: the one that {member} was made with, and in its ClusterConfiguration \
                     certificatesDir: {dir}/pki"
                ));
                out.extend(phases(&OF_MEMBERS, &format!("{dir}/kubeadmcfg.yaml")));
                out.push(format!("rm {dir}/pki/etcd/ca.key"));
                out.push(format!(
                    "scp {dir}/pki/etcd/* {member}:{certificates_dir}/etcd/"
                ));
                out.push(format!("rm -r {dir}"));
            }
            Self::MakeClient { to } => {
                let dir = "/tmp/apiserver";
                out.extend(workshop(dir, certificates_dir));
                out.push(format!(
                    "# {dir}/kubeadmcfg.yaml: as that of a member, and in its ClusterConfiguration certificatesDir: {dir}/pki"
                ));
                out.extend(phases(&[CLIENT], &format!("{dir}/kubeadmcfg.yaml")));
                out.extend(to.iter().map(|node| {
                    format!("scp {dir}/pki/{}.* {node}:{certificates_dir}/", CLIENT.1)
                }));
                out.push(format!("rm -r {dir}"));
            }
            Self::SignElsewhere { base } => out.extend([
                format!(
                    "openssl x509 -x509toreq -copy_extensions copyall -in {base}.crt -key {base}.key -out {base}.csr"
                ),
                format!(
                    "# where the CA's key is: openssl x509 -req -copy_extensions copyall -days 365 -CA ca.crt -CAkey ca.key \
                     -CAcreateserial -in {base}.csr -out {base}.crt"
                ),
                format!("openssl verify -CAfile {certificates_dir}/etcd/ca.crt {base}.crt"),
            ]),
            Self::Restart => out.extend([
                "mv /etc/kubernetes/manifests/etcd.yaml /root/".to_owned(),
                "sleep 30   # until crictl ps shows no etcd".to_owned(),
                "mv /root/etcd.yaml /etc/kubernetes/manifests/".to_owned(),
                "sleep 30   # until it answers again, before the next machine".to_owned(),
            ]),
        }
        out
    }

    /// Does it in a world.
    ///
    /// # Errors
    /// With what went wrong.
    pub(super) fn apply(&self, world: &mut World, node: usize) -> Result<(), String> {
        match self {
            Self::MakeFor { member, .. } => {
                let target = named(world, member)?;
                let made = make(world, node, target, &OF_MEMBERS)?;
                hand_over(world, node, &made, &[target])
            }
            Self::MakeClient { to } => {
                let targets: Vec<usize> = to
                    .iter()
                    .map(|name| named(world, name))
                    .collect::<Result<_, _>>()?;
                let made = make(world, node, node, &[CLIENT])?;
                hand_over(world, node, &made, &targets)
            }
            Self::SignElsewhere { base } => sign_elsewhere(world, node, base),
            Self::Restart => {
                world.kill_pod(node, Component::Etcd);
                world.touched();
                world.wait(RESTART_LIMIT, |world| {
                    world.nodes[node].process(Component::Etcd).is_some()
                        && world.quorum == Some(true)
                });
                Ok(())
            }
        }
    }
}

/// A directory with the CA in it, in which nothing stands in the way of kubeadm.
fn workshop(dir: &str, certificates_dir: &str) -> [String; 2] {
    [
        format!("mkdir -p {dir}/pki/etcd"),
        format!("cp {certificates_dir}/etcd/ca.crt {certificates_dir}/etcd/ca.key {dir}/pki/etcd/"),
    ]
}

fn named(world: &World, name: &str) -> Result<usize, String> {
    world
        .node_named(name)
        .ok_or_else(|| format!("there is no node {name}"))
}

/// What was made for a machine: file without ending, and the directory it is in.
struct Made {
    dir: String,
    bases: Vec<&'static str>,
}

/// Makes certificates on the machine that has the CA's key, with the names that the present ones have.
fn make(
    world: &mut World,
    keeper: usize,
    target: usize,
    wanted: &[(&str, &'static str)],
) -> Result<Made, String> {
    let machine = &world.nodes[target];
    let dir = format!("/tmp/{}", machine.address);
    let mut sans: Vec<String> = Vec::new();
    for (_, base) in OF_MEMBERS {
        let Ok(pem) = machine.tree.read(&machine.pki(&format!("{base}.crt"))) else {
            continue;
        };
        for certificate in Certificate::parse_pem_certs(&pem).map_err(said)? {
            sans.extend(certificate.dns_names().iter().cloned());
            sans.extend(certificate.ip_addresses().iter().map(ToString::to_string));
        }
    }
    sans.sort();
    sans.dedup();
    let sans: String = sans
        .iter()
        .map(|name| format!("    - {name:?}\n"))
        .collect();
    let lists = if sans.is_empty() {
        "    dataDir: /var/lib/etcd\n".to_owned()
    } else {
        format!("    serverCertSANs:\n{sans}    peerCertSANs:\n{sans}")
    };
    let version = world.nodes[keeper].version;
    let api = *CONFIG_API.at(version);
    let text = format!(
        "apiVersion: {api}\nkind: InitConfiguration\nnodeRegistration:\n  name: {}\nlocalAPIEndpoint:\n  advertiseAddress: {}\n---\napiVersion: {api}\nkind: ClusterConfiguration\nkubernetesVersion: {version}\ncertificatesDir: {dir}/pki\netcd:\n  local:\n{lists}",
        machine.name, machine.address
    );
    let bases: Vec<&'static str> = wanted
        .iter()
        .filter(|(_, base)| {
            let path = machine.pki(&format!("{base}.crt"));
            *base == CLIENT.1 || machine.tree.exists(&path)
        })
        .map(|(_, base)| *base)
        .collect();
    let authority = ["crt", "key"].map(|kind| {
        let from = world.nodes[keeper].pki(&format!("etcd/ca.{kind}"));
        (from, format!("{dir}/pki/etcd/ca.{kind}"))
    });
    let tree = &mut world.nodes[keeper].tree;
    tree.create_dir_all(&format!("{dir}/pki/etcd"), 0o700)
        .map_err(said)?;
    for (from, to) in authority {
        let content = tree.read(&from).map_err(said)?;
        tree.write(&to, &content, 0o600).map_err(said)?;
    }
    let config = format!("{dir}/kubeadmcfg.yaml");
    tree.write(&config, text.as_bytes(), 0o600).map_err(said)?;
    for (phase, base) in wanted {
        if bases.contains(base) {
            let line = format!("init phase certs {phase} --config {config}");
            kubeadm(world, keeper, &line)?;
        }
    }
    Ok(Made { dir, bases })
}

/// Copies what was made to where it belongs, and leaves nothing behind.
fn hand_over(
    world: &mut World,
    keeper: usize,
    made: &Made,
    targets: &[usize],
) -> Result<(), String> {
    for base in &made.bases {
        for (kind, mode) in [("crt", 0o644), ("key", 0o600)] {
            let from = format!("{}/pki/{base}.{kind}", made.dir);
            let content = world.nodes[keeper].tree.read(&from).map_err(said)?;
            for &target in targets {
                let path = world.nodes[target].pki(&format!("{base}.{kind}"));
                let tree = &mut world.nodes[target].tree;
                tree.write(&path, &content, mode).map_err(said)?;
            }
        }
    }
    let tree = &mut world.nodes[keeper].tree;
    tree.remove_all(&made.dir).map_err(said)
}

/// The CA signs the same names for the same key once more.
fn sign_elsewhere(world: &mut World, node: usize, base: &str) -> Result<(), String> {
    let path = format!("{base}.crt");
    let pem = world.nodes[node].tree.read(&path).map_err(said)?;
    let chain = Certificate::parse_pem_certs(&pem).map_err(said)?;
    let old = chain
        .first()
        .ok_or_else(|| format!("{path} holds no certificate"))?;
    let signer = world
        .authorities_elsewhere
        .iter()
        .find(|(authority, _)| old.signature_is_by(authority))
        .map(|(_, key)| key.clone())
        .ok_or_else(|| format!("nobody here knows the CA that signed {path}"))?;
    let now = world.wall(node);
    let new = reissue(old, old.spki_der(), &signer, Some((now, shift(now, LIFE)))).map_err(said)?;
    let rest: String = chain.iter().skip(1).map(Certificate::to_pem).collect();
    let tree = &mut world.nodes[node].tree;
    tree.write(&path, (new.to_pem() + &rest).as_bytes(), 0o644)
        .map_err(said)
}
