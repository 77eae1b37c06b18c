//! `kubeadm reset`: a machine leaves the cluster, and what made it a part of it is deleted.
//!
//! After `K/cmd/reset.go` and `K/cmd/phases/reset` of 1.28.15 and 1.36.3. The Node object stays, and so does what is not
//! below kubeadm's directories: `~/.kube/config`, the rules of the network. etcd forgets the member only if admin.conf
//! still works; otherwise the disk is wiped and the others go on counting it.

use std::sync::Arc;

use super::edge::{ClientSide, ServerSide, connect};
use super::node::{KUBELET_CONF, KUBELET_DIR, Kubelet, MANIFESTS, PKI, PodState};
use super::world::World;
use crate::fs::{FsError, Tree, join};
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::components::Slot;
use crate::kubeadm::profile::joining::{RESET_AGAIN, RESET_LEAVES, RESET_SINCE, ResetAgain};
use crate::kubeadm::{CommandOutput, klog_warning};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;

/// The data directory of a local etcd.
const ETCD_DATA: &str = "/var/lib/etcd";
/// Said where it cannot tell the other members of etcd (`K/cmd/phases/reset/removeetcdmember.go`).
pub(super) const NO_CONFIGURATION: &str =
    "[reset] No kubeadm config, using etcd pod spec to get data directory";
const KUBERNETES: &str = "/etc/kubernetes";

impl World {
    /// `kubeadm reset --force` on a node.
    ///
    /// # Errors
    /// With a sentence, where certdrill does not know what would happen.
    pub fn reset(&mut self, node: usize) -> Result<CommandOutput, String> {
        if self.is_real() {
            return Ok(self.reset_really(node));
        }
        let machine = &self.nodes[node];
        if machine.version < RESET_SINCE {
            return Err(format!(
                "kubeadm reset is known from {RESET_SINCE} on, and {} has {}",
                machine.name, machine.version
            ));
        }
        if !self.external_etcd_endpoints().is_empty() {
            return Err(
                "kubeadm reset of a cluster with an external etcd is not modelled".to_owned(),
            );
        }
        let mut said = Said::default();
        self.reset_steps(node, &mut said)
            .map_err(|error| format!("on {}: {error}", self.nodes[node].name))?;
        let output = CommandOutput {
            exit_code: 0,
            stdout: said.stdout,
            stderr: said.stderr,
        };
        self.command_ran(node, "kubeadm", "reset --force", &output);
        Ok(output)
    }

    fn reset_steps(&mut self, node: usize, said: &mut Said) -> Result<(), FsError> {
        let version = self.nodes[node].version;
        let profile = Profile::of(version);
        let admin = join(KUBERNETES, "admin.conf");
        let mut configuration = false;
        if self.nodes[node].tree.exists(&admin) {
            let words = profile.cluster_words;
            said.print(&format!("[reset] {}", words.reading));
            said.print(&format!("[reset] {}", words.hint));
            match self.administers(node) {
                Ok(()) => configuration = self.finds_its_node(node, said),
                Err(error) => {
                    let reason = format!("failed to get config map: {}", of_client_go(&error));
                    self.fetches_nothing(node, said, &reason);
                }
            }
        }
        said.print("[preflight] Running pre-flight checks");
        self.leave_etcd(node, configuration, said);
        said.print("[reset] Stopping the kubelet service");
        self.stop_kubelet(node);
        said.print(&format!(
            "[reset] Unmounting mounted directories in {KUBELET_DIR:?}"
        ));
        self.remove_containers(node);
        let certificates = if configuration {
            self.nodes[node].certificates_dir.clone()
        } else {
            PKI.to_owned()
        };
        if certificates != PKI {
            self.warn(
                node,
                said,
                "cleanupnode.go",
                &format!(
                    "[reset] WARNING: Cleaning a non-default certificates directory: {certificates:?}"
                ),
            );
        }
        let dirs = [MANIFESTS, KUBELET_DIR, certificates.as_str()];
        said.print(&format!(
            "[reset] Deleting contents of directories: [{}]",
            dirs.join(" ")
        ));
        for dir in dirs {
            self.clean_dir(node, dir)?;
        }
        let mut files = vec!["admin.conf"];
        if profile.super_admin {
            files.push("super-admin.conf");
        }
        files.extend([
            "kubelet.conf",
            "bootstrap-kubelet.conf",
            "controller-manager.conf",
            "scheduler.conf",
        ]);
        let files: Vec<String> = files.iter().map(|name| join(KUBERNETES, name)).collect();
        said.print(&format!("[reset] Deleting files: [{}]", files.join(" ")));
        for file in &files {
            self.nodes[node].tree.remove_all(file)?;
        }
        said.stdout += *RESET_LEAVES.at(version);
        self.nodes[node].kubelet = Kubelet::stopped();
        self.nodes[node].reset = true;
        self.touched();
        Ok(())
    }

    fn fetches_nothing(&self, node: usize, said: &mut Said, reason: &str) {
        let text =
            format!("[reset] Unable to fetch the kubeadm-config ConfigMap from cluster: {reason}");
        self.warn(node, said, "reset.go", &text);
    }

    /// Whether it finds the machine's Node: it looks for it with the kubelet's files (`GetNodeRegistration`).
    fn finds_its_node(&self, node: usize, said: &mut Said) -> bool {
        let machine = &self.nodes[node];
        if machine.tree.exists(KUBELET_CONF) {
            return true;
        }
        match RESET_AGAIN.at(machine.version) {
            ResetAgain::Works => true,
            ResetAgain::Warns(text) => {
                self.warn(node, said, "cluster.go", &text.replace("{}", &machine.name));
                true
            }
            ResetAgain::Fails(reason) => {
                let reason = format!(
                    "failed to get node registration: {}",
                    reason.replace("{}", &machine.name)
                );
                self.fetches_nothing(node, said, &reason);
                false
            }
        }
    }

    /// `remove-etcd-member`.
    fn leave_etcd(&mut self, node: usize, configuration: bool, said: &mut Said) {
        let gone = format!("[reset] Deleted contents of the etcd data directory: {ETCD_DATA}");
        if !configuration {
            self.warn(node, said, "removeetcdmember.go", NO_CONFIGURATION);
            said.print(&gone);
            return;
        }
        let members = self.nodes.iter().filter(|node| node.etcd_member).count();
        let removed = if members == 1 && self.nodes[node].etcd_member {
            // The last one is not removed from itself.
            Ok(())
        } else {
            self.asks_etcd(node)
        };
        match removed {
            Ok(()) if !self.nodes[node].etcd_member => {}
            Ok(()) => {
                self.nodes[node].etcd_member = false;
                let subject = format!("etcd@{}", self.nodes[node].name);
                self.record(
                    EventKind::Note,
                    Weight::Normal,
                    Some(node),
                    &subject,
                    "is no member of etcd any more".to_owned(),
                    None,
                );
            }
            Err(error) => {
                self.warn(
                    node,
                    said,
                    "removeetcdmember.go",
                    &format!(
                        "[reset] Failed to remove etcd member: {error}, please manually remove this etcd member using etcdctl"
                    ),
                );
            }
        }
        said.print(&gone);
    }

    /// Whether some member of etcd answers a client with the healthcheck certificate of a node.
    fn asks_etcd(&self, node: usize) -> Result<(), String> {
        let machine = &self.nodes[node];
        let (ca, crt, key) = (
            machine.pki("etcd/ca.crt"),
            machine.pki("etcd/healthcheck-client.crt"),
            machine.pki("etcd/healthcheck-client.key"),
        );
        let roots = self.files.roots(&machine.tree, &ca)?;
        let credential = self.files.pair(&machine.tree, &crt, &key)?;
        // The client does not say more than that its time is up.
        let late = || "error syncing endpoints with etcd: context deadline exceeded".to_owned();
        if self.quorum != Some(true) {
            return Err(late());
        }
        let answers = (0..self.nodes.len()).any(|member| {
            let Some(etcd) = self.nodes[member].process(Component::Etcd) else {
                return false;
            };
            let client = ClientSide {
                component: Component::Admin,
                version: self.nodes[node].version,
                roots: Some(Arc::clone(&roots)),
                credential: Some(Arc::clone(&credential)),
                name: self.nodes[member].address.to_string(),
                at: self.wall(node),
            };
            let server = ServerSide {
                component: Component::Etcd,
                version: self.nodes[member].version,
                credential: etcd.pair(Slot::Serving).cloned(),
                client_roots: etcd.roots(Slot::EtcdCa).cloned(),
                client_name: None,
                at: self.wall(member),
            };
            connect(&self.verifications, &client, &server).is_ok()
        });
        if answers { Ok(()) } else { Err(late()) }
    }

    /// Every container is removed at once.
    fn remove_containers(&mut self, node: usize) {
        for pod in self.nodes[node].pods.values_mut() {
            pod.state = PodState::Absent;
            pod.manifest = None;
            pod.epoch += 1;
        }
    }

    /// `CleanDir`: everything in a directory, and not the directory itself.
    fn clean_dir(&mut self, node: usize, dir: &str) -> Result<(), FsError> {
        let tree = &mut self.nodes[node].tree;
        if !tree.exists(dir) {
            return Ok(());
        }
        for entry in tree.read_dir(dir)? {
            tree.remove_all(&join(dir, &entry.name))?;
        }
        Ok(())
    }

    fn warn(&self, node: usize, said: &mut Said, source: &str, text: &str) {
        said.stderr += &klog_warning(self.wall(node), source, text);
    }
}

/// kubectl says more than client-go to those whom the API server does not know.
fn of_client_go(error: &str) -> &str {
    if error.contains("(Unauthorized)") {
        "Unauthorized"
    } else {
        error
    }
}

/// What is printed.
#[derive(Debug, Default)]
struct Said {
    stdout: String,
    stderr: String,
}

impl Said {
    fn print(&mut self, line: &str) {
        self.stdout += line;
        self.stdout.push('\n');
    }
}
