//! What to do on a node: as commands for a person, and as changes to a rebuilt world that show what they cure.

use schemars::JsonSchema;
use serde::Serialize;

use super::etcd_machines::EtcdCommand;
use super::plan::{first_line, restart_control_plane, restart_kubelet};
use crate::cluster::{ADMIN_CONF, KUBELET_CONF, KUBELET_CURRENT, USER_CONF, World};
use crate::fs::Tree;
use crate::kubeadm::Version;
use crate::kubeadm::profile::Profile;
use crate::pki::Kubeconfig;
use crate::time::SignedDuration;

const SERVING: &str = "/var/lib/kubelet/pki/kubelet";

/// A command on a node. The order is the one they are to be given in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// Something for an external etcd: before anything else, because nothing works without etcd.
    Etcd(EtcdCommand),
    /// Something that no command of certdrill's can do.
    ByHand(String),
    /// Fetch a file from another control plane.
    Fetch {
        /// From which node.
        from: String,
        /// Which file.
        path: String,
    },
    /// Set permission bits.
    Mode {
        /// Which file.
        path: String,
        /// In octal.
        mode: String,
    },
    /// Put the CA of ca.crt into a kubeconfig.
    SetAuthority {
        /// Which kubeconfig.
        path: String,
    },
    /// Remove a certificate and its key, and let kubeadm make them anew.
    Recreate {
        /// Name of kubeadm's phase: `etcd-peer`.
        phase: String,
        /// File without ending.
        base: String,
    },
    /// `kubeadm certs renew all`.
    RenewAll,
    /// The same with a configuration file: kubeadm that reaches no API server takes an external etcd for a local one.
    RenewAllByFile,
    /// Take a new copy of admin.conf for the user.
    CopyAdminConf,
    /// Restart every static Pod.
    RestartControlPlane,
    /// Move away what the kubelet made for itself to serve with: it makes new files at its next start.
    MoveServing,
    /// A new kubelet.conf from a control plane that has the CA's key.
    NewKubeletConf {
        /// From which node.
        from: String,
    },
    /// Point kubelet.conf at the file that the kubelet rotates.
    PointKubeletConf,
    /// `systemctl restart kubelet`.
    RestartKubelet,
}

/// A command and where it is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The node.
    pub node: String,
    /// The command.
    pub command: Command,
}

impl Order {
    /// A command on a node.
    #[must_use]
    pub fn new(node: &str, command: Command) -> Self {
        Self {
            node: node.to_owned(),
            command,
        }
    }

    /// What to type on a node with its certificates in a directory.
    #[must_use]
    pub fn shell(&self, version: Version, certificates_dir: &str) -> Vec<String> {
        let node = &self.node;
        match &self.command {
            Command::Etcd(command) => command.shell(certificates_dir),
            Command::ByHand(what) => vec![format!("# {what}")],
            Command::Fetch { from, path } => vec![format!("scp {from}:{path} {path}")],
            Command::Mode { path, mode } => vec![format!("chmod {mode} {path}")],
            Command::SetAuthority { path } => vec![format!(
                "kubectl --kubeconfig {path} config set-cluster \"$(kubectl --kubeconfig {path} config view -o \
                 jsonpath='{{.clusters[0].name}}')\" --embed-certs --certificate-authority {certificates_dir}/ca.crt"
            )],
            Command::Recreate { phase, base } => vec![
                format!("mv {base}.crt {base}.key /root/"),
                format!("kubeadm init phase certs {phase} --config /path/to/kubeadm.yaml"),
            ],
            Command::RenewAll => vec![format!(
                "kubeadm {} renew all{}",
                group(version),
                cert_dir(certificates_dir)
            )],
            Command::RenewAllByFile => vec![format!(
                "kubeadm {} renew all --config /path/to/kubeadm.yaml",
                group(version)
            )],
            Command::CopyAdminConf => vec![format!("cp {ADMIN_CONF} {USER_CONF}")],
            Command::RestartControlPlane => vec![
                "mkdir -p /root/manifests && mv /etc/kubernetes/manifests/*.yaml /root/manifests/"
                    .to_owned(),
                "sleep 60   # until crictl ps shows none of the four".to_owned(),
                "mv /root/manifests/*.yaml /etc/kubernetes/manifests/".to_owned(),
            ],
            Command::MoveServing => vec![format!("mv {SERVING}.crt {SERVING}.key /root/")],
            Command::PointKubeletConf => vec![format!(
                "sed -i 's#client-certificate-data:.*#client-certificate: {KUBELET_CURRENT}#; \
                     s#client-key-data:.*#client-key: {KUBELET_CURRENT}#' {KUBELET_CONF}"
            )],
            Command::NewKubeletConf { from } => vec![
                format!(
                    "ssh {from} kubeadm {} --org system:nodes --client-name system:node:{node} --config \
                     /path/to/kubeadm.yaml > {KUBELET_CONF}",
                    user_command(version)
                ),
                format!("rm -f {KUBELET_CURRENT}"),
                "systemctl restart kubelet".to_owned(),
                format!("until test -e {KUBELET_CURRENT}; do sleep 1; done"),
            ],
            Command::RestartKubelet => vec!["systemctl restart kubelet".to_owned()],
        }
    }

    /// Whether it can be replayed on a rebuilt world.
    #[must_use]
    pub fn can_be_replayed(&self) -> bool {
        !matches!(self.command, Command::ByHand(_))
    }

    /// Does it in a world.
    ///
    /// # Errors
    /// With what went wrong.
    pub fn apply(&self, world: &mut World) -> Result<(), String> {
        let Some(node) = world.node_named(&self.node) else {
            return Err(format!("there is no node {}", self.node));
        };
        match &self.command {
            Command::ByHand(_) => {}
            Command::Etcd(command) => command.apply(world, node)?,
            Command::Fetch { from, path } => {
                let source = world
                    .node_named(from)
                    .ok_or_else(|| format!("there is no node {from}"))?;
                let content = world.nodes[source].tree.read(path).map_err(said)?;
                let tree = &mut world.nodes[node].tree;
                tree.write(path, &content, 0o600).map_err(said)?;
            }
            Command::Mode { path, mode } => {
                let mode = u32::from_str_radix(mode, 8).map_err(said)?;
                world.nodes[node].tree.set_mode(path, mode).map_err(said)?;
            }
            Command::SetAuthority { path } => {
                let ca = world.nodes[node].pki("ca.crt");
                let tree = &mut world.nodes[node].tree;
                let ca = tree.read(&ca).map_err(said)?;
                let mut config =
                    Kubeconfig::parse(&tree.read(path).map_err(said)?).map_err(said)?;
                if let Some(cluster) = config.cluster_mut() {
                    cluster.set_data("certificate-authority-data", &ca);
                }
                let text = config.to_yaml(false);
                tree.write(path, text.as_bytes(), 0o600).map_err(said)?;
            }
            Command::Recreate { phase, base } => {
                let tree = &mut world.nodes[node].tree;
                for ending in ["crt", "key"] {
                    tree.remove(&format!("{base}.{ending}")).map_err(said)?;
                }
                write_configuration(world, node)?;
                kubeadm(
                    world,
                    node,
                    &format!("init phase certs {phase} --config /root/kubeadm.yaml"),
                )?;
            }
            Command::RenewAll => {
                let line = world.certs_command(node, &["renew", "all"]).join(" ")
                    + &cert_dir(&world.nodes[node].certificates_dir);
                kubeadm(world, node, &line)?;
            }
            Command::RenewAllByFile => {
                write_configuration(world, node)?;
                let words = ["renew", "all", "--config", "/root/kubeadm.yaml"];
                let line = world.certs_command(node, &words).join(" ");
                kubeadm(world, node, &line)?;
            }
            Command::CopyAdminConf => copy_admin_conf(world, node)?,
            Command::RestartControlPlane => restart_control_plane(world, node),
            Command::MoveServing => {
                for ending in ["crt", "key"] {
                    let tree = &mut world.nodes[node].tree;
                    tree.remove(&format!("{SERVING}.{ending}")).map_err(said)?;
                }
            }
            Command::PointKubeletConf => point_kubelet_conf(world, node)?,
            Command::NewKubeletConf { from } => {
                let source = world
                    .node_named(from)
                    .ok_or_else(|| format!("there is no node {from}"))?;
                write_configuration(world, source)?;
                let line = format!(
                    "{} --org system:nodes --client-name system:node:{} --config /root/kubeadm.yaml",
                    user_command(world.nodes[source].version),
                    self.node
                );
                let text = kubeadm(world, source, &line)?;
                let tree = &mut world.nodes[node].tree;
                tree.write(KUBELET_CONF, text.as_bytes(), 0o600)
                    .map_err(said)?;
                if tree.symlink_metadata(KUBELET_CURRENT).is_ok() {
                    tree.remove(KUBELET_CURRENT).map_err(said)?;
                }
                restart_kubelet(world, node);
                world.wait(SignedDuration::from_mins(10), |world| {
                    world.nodes[node].tree.exists(KUBELET_CURRENT)
                });
            }
            Command::RestartKubelet => restart_kubelet(world, node),
        }
        world.touched();
        world.walk(SignedDuration::from_mins(1));
        Ok(())
    }
}

/// What operators do after a renewal, where there is such a copy.
///
/// # Errors
/// When one of the two cannot be read or written.
pub(super) fn copy_admin_conf(world: &mut World, node: usize) -> Result<(), String> {
    let tree = &mut world.nodes[node].tree;
    if !tree.exists(USER_CONF) {
        return Ok(());
    }
    let text = tree.read(ADMIN_CONF).map_err(said)?;
    tree.write(USER_CONF, &text, 0o600).map_err(said)?;
    world.touched();
    Ok(())
}

pub(super) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Without it kubeadm 1.25 and later work on /etc/kubernetes/pki, whatever the cluster's configuration says.
pub(super) fn cert_dir(dir: &str) -> String {
    if dir == crate::cluster::PKI {
        String::new()
    } else {
        format!(" --cert-dir {dir}")
    }
}

/// `certs` or `alpha certs`.
fn group(version: Version) -> &'static str {
    if Profile::of(version).certs_group {
        "certs"
    } else {
        "alpha certs"
    }
}

/// `kubeconfig user` or `alpha kubeconfig user`.
fn user_command(version: Version) -> &'static str {
    // Both groups left alpha together (`K/cmd/cmd.go`).
    if Profile::of(version).certs_group {
        "kubeconfig user"
    } else {
        "alpha kubeconfig user"
    }
}

pub(super) fn kubeadm(world: &mut World, node: usize, line: &str) -> Result<String, String> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let output = world.kubeadm(node, &args);
    if output.exit_code == 0 {
        Ok(output.stdout)
    } else {
        Err(format!("kubeadm {line}: {}", first_line(&output.stderr)))
    }
}

fn point_kubelet_conf(world: &mut World, node: usize) -> Result<(), String> {
    let tree = &mut world.nodes[node].tree;
    let mut conf = Kubeconfig::parse(&tree.read(KUBELET_CONF).map_err(said)?).map_err(said)?;
    if let Some(user) = conf.user_mut() {
        user.point_at(KUBELET_CURRENT);
    }
    tree.write(KUBELET_CONF, conf.to_yaml(false).as_bytes(), 0o600)
        .map_err(said)
}

/// A configuration file for kubeadm on a node.
fn write_configuration(world: &mut World, node: usize) -> Result<(), String> {
    let cluster = world
        .config_maps
        .get("kubeadm-config")
        .and_then(|data| data.get("ClusterConfiguration"))
        .cloned()
        .unwrap_or_default();
    let machine = &world.nodes[node];
    let api = *crate::kubeadm::profile::upgrade::CONFIG_API.at(machine.version);
    let text = format!(
        "apiVersion: {api}\nkind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: {}\n  bindPort: 6443\nnodeRegistration:\n  name: {}\n---\n{cluster}",
        machine.address, machine.name
    );
    let tree = &mut world.nodes[node].tree;
    tree.create_dir_all("/root", 0o700).map_err(said)?;
    tree.write("/root/kubeadm.yaml", text.as_bytes(), 0o600)
        .map_err(said)
}
