//! `kubeadm join`: with certificates that were copied by hand, or with those that `--upload-certs` keeps in a Secret.
//!
//! After `K/discovery/token/token.go` and `K/cmd/join.go`. A machine that was reset joins as one that never did, once its
//! Node is NotReady.

use super::bootstrap::{CONFIG, ClusterError};
use super::edge::Check;
use super::node::{BOOTSTRAP_CONF, KUBELET_CLIENT, KUBELET_CONF, KUBELET_CURRENT};
use super::shared_certs::check_certificate_key;
use super::topology::API_PORT;
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::joining::{
    BOOTSTRAP_CONF_REMOVED, BOOTSTRAP_ERROR, BOOTSTRAP_LIMIT, ETCD_MAJORITY,
};
use crate::kubeadm::profile::kubelet::{BOOTSTRAP, Bootstrap};
use crate::kubeadm::profile::upgrade::{KUBELET_LOCAL, TOKEN_GONE};
use crate::kubeadm::{CommandOutput, Version, error_as_printed};
use crate::pki::Usage;
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::{CertificateKey, Component};
use crate::time::SignedDuration;

/// The bootstrap token that clusters are made with. It is no secret: they live for a run.
pub const TOKEN: &str = "abcdef.0123456789abcdef";
/// `timeouts.discovery`.
const DISCOVERY: SignedDuration = SignedDuration::from_mins(5);

impl World {
    /// `kubeadm join` on a node, with the token of init (or of `token create`) and, for a control plane, with a
    /// certificate key or with files that were put there by hand. Time passes.
    pub fn join_by_token(&mut self, node: usize, key: &CertificateKey) -> CommandOutput {
        let control_plane = self.nodes[node].control_plane;
        let mut line = format!("join {} --token {TOKEN}", self.endpoint());
        if control_plane {
            line += " --control-plane";
            line += match key {
                CertificateKey::None => "",
                CertificateKey::Last => " --certificate-key <key>",
                CertificateKey::First => " --certificate-key <first key>",
                CertificateKey::Literal(_) => " --certificate-key ",
            };
            if let CertificateKey::Literal(text) = key {
                line += text;
            }
        }
        self.nodes[node].last_output = None;
        if self.backend() != "sim" && !self.is_real() {
            let text = "join: tokens, the Secret and the manifests are the model's; certificates and kubeconfigs are made by the real kubeadm";
            let name = self.nodes[node].name.clone();
            self.record(
                EventKind::Note,
                Weight::Normal,
                Some(node),
                &name,
                text.to_owned(),
                None,
            );
        }
        let key = self.certificate_key(key).filter(|_| control_plane);
        let output = if self.is_real() {
            self.join_really(node, key.as_deref())
        } else {
            self.join_simulated(node, key.as_deref())
        };
        let subject = format!("kubeadm@{}", self.nodes[node].name);
        let weight = if output.exit_code == 0 {
            Weight::Normal
        } else {
            Weight::Trouble
        };
        let seq = self.record(
            EventKind::CommandRan,
            weight,
            Some(node),
            &subject,
            format!("kubeadm {line} (exit {})", output.exit_code),
            Some(format!("{}{}", output.stdout, output.stderr)),
        );
        self.cause = Some(seq);
        // The order in which kubeadm goes through its certificates is left to chance: what it printed is no observation.
        let [args, exit_code, _, stderr] = observe::command(&subject, &line, &output);
        for seen in [args, exit_code, stderr] {
            self.push(Entry::Observation(seen));
        }
        self.nodes[node].last_output = Some(output.clone());
        self.touched();
        output
    }

    fn join_simulated(&mut self, node: usize, key: Option<&str>) -> CommandOutput {
        let checked = key.map_or(Ok(()), |key| {
            check_certificate_key(key, self.nodes[node].version)
        });
        let began = checked.is_ok();
        let result = checked
            .map_err(Ended::Error)
            .and_then(|()| self.join_steps(node, key));
        let so_far = self.nodes[node].last_output.take().unwrap_or_default();
        let mut output = match result {
            Ok(()) => said(if self.nodes[node].control_plane {
                "\nThis node has joined the cluster and a new control plane instance was created:\n"
                    .to_owned()
            } else {
                "\nThis node has joined the cluster:\n".to_owned()
            }),
            Err(Ended::Error(error)) => failed(&error, self.nodes[node].version),
            Err(Ended::Printed(stderr)) => CommandOutput {
                exit_code: 1,
                stdout: String::new(),
                stderr,
            },
        };
        if began {
            output.stdout = format!(
                "[preflight] Running pre-flight checks\n{}{}",
                so_far.stdout, output.stdout
            );
        }
        output
    }

    fn join_steps(&mut self, node: usize, key: Option<&str>) -> Result<(), Ended> {
        let control_plane = self.nodes[node].control_plane;
        self.wait(DISCOVERY, |world| world.discover(node).is_ok());
        self.discover(node).map_err(|error| {
            format!("error execution phase preflight: couldn't validate the identity of the API Server: {error}")
        })?;
        let now = self.now();
        if self.tokens.has_ended(now) {
            return Err("error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized".to_owned().into());
        }
        if control_plane && key.is_none() {
            self.shared_files_are_there(node)?;
        }
        if let Some(key) = key {
            self.download(node, key).map_err(|error| {
                format!("error execution phase control-plane-prepare/download-certs: error downloading certs: {error}")
            })?;
        }
        if !control_plane {
            self.take_shared_files(node)?;
        }
        Ok(self.join(node)?)
    }

    /// The cluster-info ConfigMap, first without looking at certificates, then with the CA that was pinned.
    fn discover(&self, node: usize) -> Result<(), String> {
        let endpoint = self.endpoint();
        let host = endpoint
            .rsplit_once(':')
            .map_or(endpoint.as_str(), |(host, _)| host);
        let request = |reason: &str| {
            format!(
                "failed to request the cluster-info ConfigMap: Get \"https://{endpoint}/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s\": {reason}"
            )
        };
        let mut reached = Err(request(&super::texts::refused(&endpoint, true)));
        let first = &self.nodes[self.has_shared_files()];
        let roots = self.files.roots(&first.tree, &first.pki("ca.crt"))?;
        for backend in self.backends(host, node) {
            let Some(shown) =
                self.nodes[backend]
                    .process(Component::ApiServer)
                    .and_then(|process| {
                        process.pair(crate::kubeadm::profile::components::Slot::Serving)
                    })
            else {
                continue;
            };
            let check = Check {
                shown,
                roots: &roots,
                usage: Usage::Server,
                name: Some(host),
                at: self.wall(node),
            };
            let result = self
                .verifications
                .check(check)
                .map_err(|error| {
                    request(&super::texts::unverified(
                        Component::Admin,
                        self.nodes[node].version,
                        &error,
                    ))
                })
                .and_then(|()| {
                    self.behind(backend, Component::Admin)
                        .map_err(|failure| request(&failure.text))
                });
            match result {
                Ok(()) => {
                    reached = Ok(());
                    break;
                }
                Err(error) => reached = Err(error),
            }
        }
        reached?;
        if !self.tokens.is_vouched_for() {
            let id = TOKEN.split('.').next().unwrap_or_default();
            let text = TOKEN_GONE.at(self.nodes[node].version);
            return Err(text.replace("{}", id));
        }
        Ok(())
    }

    /// The preflight check of a control plane that joins without a certificate key (`certs.SharedCertificateExists`).
    fn shared_files_are_there(&self, node: usize) -> Result<(), String> {
        let machine = &self.nodes[node];
        let certificate = |name: &str, path: String| {
            (!machine.tree.exists(&path)).then(|| {
                format!("failure loading certificate for {name}: couldn't load the certificate file {path}: open {path}: no such file or directory")
            })
        };
        let key = machine.pki("sa.key");
        let missing: Vec<String> = [
            certificate("CA", machine.pki("ca.crt")),
            (!machine.tree.exists(&key)).then(|| {
                format!("failure loading key for service account: couldn't load the private key file {key}: open {key}: no such file or directory")
            }),
            certificate("front-proxy CA", machine.pki("front-proxy-ca.crt")),
            certificate("etcd CA", machine.pki("etcd/ca.crt")).filter(|_| machine.etcd),
        ]
        .into_iter()
        .flatten()
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let list = match missing.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        Err(format!(
            "error execution phase preflight: \nOne or more conditions for hosting a new control plane instance is not satisfied.\n\n{list}\n\nPlease ensure that:\n* The cluster has a stable controlPlaneEndpoint address.\n* The certificates that must be shared among control plane instances are provided.\n\n"
        ))
    }

    /// The first control plane that was not reset.
    pub(super) fn has_shared_files(&self) -> usize {
        self.nodes
            .iter()
            .position(|node| node.control_plane && !node.reset)
            .unwrap_or(0)
    }

    /// Copies by hand what a node shares with a control plane.
    pub(super) fn take_shared_files(&mut self, node: usize) -> Result<(), ClusterError> {
        let control_plane = self.nodes[node].control_plane;
        let mut shared = vec!["ca.crt"];
        if control_plane {
            shared = vec![
                "ca.crt",
                "ca.key",
                "front-proxy-ca.crt",
                "front-proxy-ca.key",
                "sa.key",
                "sa.pub",
                "etcd/ca.crt",
            ];
            shared.extend(if self.nodes[node].etcd {
                ["etcd/ca.key"].as_slice()
            } else {
                &["apiserver-etcd-client.crt", "apiserver-etcd-client.key"]
            });
        }
        let from = self.has_shared_files();
        for name in shared {
            let path = self.nodes[from].pki(name);
            // The key of an external CA is nowhere in the cluster.
            if name.ends_with("ca.key") && !self.nodes[from].tree.exists(&path) {
                continue;
            }
            self.copy_file(from, &path, node, &path)?;
        }
        Ok(())
    }

    /// `kubeadm join` once everything that is shared is there.
    pub(super) fn join(&mut self, node: usize) -> Result<(), ClusterError> {
        let control_plane = self.nodes[node].control_plane;
        let (etcd, control_plane_pods): (Vec<_>, Vec<_>) = self.nodes[node]
            .static_pods()
            .iter()
            .partition(|&&pod| pod == Component::Etcd);
        let later = self.joins_a_running_cluster(node);
        // From here on files are written: whatever comes of it, only another reset makes a third attempt.
        self.nodes[node].reset = false;
        let config = self.configuration(node)?;
        self.put(node, CONFIG, &config, 0o644)?;
        if control_plane {
            self.must(node, "init phase certs all --config /kubeadm.yaml")?;
            for name in ["admin", "controller-manager", "scheduler"] {
                self.must(
                    node,
                    &format!("init phase kubeconfig {name} --config /kubeadm.yaml"),
                )?;
            }
            self.write_manifests_of(node, &control_plane_pods)?;
        }
        if control_plane && later {
            self.check_etcd(node)?;
        }
        let server = self.kubelet_server(node);
        self.write_bootstrap_conf(node, &server)?;
        let free = self.check_existing_node(node);
        // With `ControlPlaneKubeletLocalMode` another phase removes it, and that is not reached.
        if free.is_err() && !*KUBELET_LOCAL.at(self.nodes[node].version) {
            self.remove_bootstrap_conf(node)?;
        }
        free?;
        // The simulated kubelet uses its token where the cluster already runs; a control plane in local mode changes over.
        let shared = format!("https://{}", self.endpoint());
        self.write_bootstrap_conf(node, &shared)?;
        self.point_kubelet_conf(node)?;
        self.list_api_servers();
        self.write_instance_config(node)?;
        self.write_kubelet_config(node)?;
        self.note_created(node, "kubeadm join");
        self.nodes[node].ready = Some(false);
        let late = later && self.joins_etcd_late(node);
        if control_plane && !late {
            self.write_manifests_of(node, &etcd)?;
        }
        self.connect_nodes();
        self.start_kubelet(node);
        let version = self.nodes[node].version;
        let bootstrapped = self.wait(*BOOTSTRAP_LIMIT.at(version), |world| {
            world.nodes[node].kubelet.current.is_some()
        });
        // It is removed in either case.
        self.remove_bootstrap_conf(node)?;
        if !bootstrapped {
            let Some(error) = BOOTSTRAP_ERROR.at(version) else {
                return Err(ClusterError::NotUp {
                    what: "the kubelet's certificate".to_owned(),
                    node: self.nodes[node].name.clone(),
                    limit: crate::time::span::display(*BOOTSTRAP_LIMIT.at(version)),
                });
            };
            let phase = if *KUBELET_LOCAL.at(version) {
                "kubelet-wait-bootstrap"
            } else {
                "kubelet-start"
            };
            let error = format!("error execution phase {phase}: {error}");
            return Err(self.join_fails(node, &error));
        }
        if late {
            self.write_manifests_of(node, &etcd)?;
        }
        self.touched();
        if control_plane {
            self.wait_for(node, "the control plane", |world| {
                let machine = &world.nodes[node];
                let mut pods = machine.static_pods().iter();
                pods.all(|&pod| machine.process(pod).is_some())
            })?;
        }
        Ok(())
    }

    /// Whether a machine joins while others work already, and not as part of making the cluster.
    fn joins_a_running_cluster(&self, node: usize) -> bool {
        let machine = &self.nodes[node];
        machine.reset || self.spec.join_later.contains(&machine.name)
    }

    /// A Node of that name must not be Ready (`K/cmd/phases/join/kubelet.go`).
    fn check_existing_node(&self, node: usize) -> Result<(), ClusterError> {
        if self.nodes[node].ready != Some(true) {
            return Ok(());
        }
        let name = &self.nodes[node].name;
        Err(self.join_fails(node, &format!(
            "error execution phase kubelet-start: a Node with name {name:?} and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node"
        )))
    }

    /// Whether a join of a machine would end because members of etcd are silent.
    #[must_use]
    pub fn stops_at_etcd(&self, node: usize) -> bool {
        self.check_etcd(node).is_err()
    }

    /// Every member of etcd must answer (`CheckClusterHealth`), in newer versions most of them.
    fn check_etcd(&self, node: usize) -> Result<(), ClusterError> {
        let members: Vec<usize> = (0..self.nodes.len())
            .filter(|&other| self.nodes[other].etcd_member && !self.nodes[other].only_etcd())
            .collect();
        let silent: Vec<usize> = members
            .iter()
            .copied()
            .filter(|&other| self.nodes[other].process(Component::Etcd).is_none())
            .collect();
        let enough = if *ETCD_MAJORITY.at(self.nodes[node].version) {
            silent.len() * 2 < members.len()
        } else {
            silent.is_empty()
        };
        match silent.first() {
            Some(&one) if !enough => Err(self.join_fails(node, &format!(
                "error execution phase check-etcd: etcd cluster is not healthy: {}failed to dial endpoint https://{}:2379 with maintenance client: context deadline exceeded",
                if *ETCD_MAJORITY.at(self.nodes[node].version) {
                    format!("the status of member https://{}:2379 is not available: ", self.nodes[one].address)
                } else {
                    String::new()
                },
                self.nodes[one].address
            ))),
            _ => Ok(()),
        }
    }

    fn join_fails(&self, node: usize, error: &str) -> ClusterError {
        ClusterError::Command {
            args: "join".to_owned(),
            node: self.nodes[node].name.clone(),
            exit_code: 1,
            stderr: error_as_printed(error, self.nodes[node].version),
        }
    }

    /// A new member of etcd is added when the kubelet has its certificate, so that until then nothing works on a new
    /// control plane. With `ControlPlaneKubeletLocalMode` it is added before (`K/cmd/join.go`).
    fn joins_etcd_late(&self, node: usize) -> bool {
        let machine = &self.nodes[node];
        machine.control_plane && machine.etcd && !*KUBELET_LOCAL.at(machine.version)
    }

    /// kubeadm removes the bootstrap kubeconfig when the kubelet has its own (`K/cmd/phases/join/kubelet.go`).
    fn remove_bootstrap_conf(&mut self, node: usize) -> Result<(), ClusterError> {
        if !*BOOTSTRAP_CONF_REMOVED.at(self.nodes[node].version) {
            return Ok(());
        }
        self.nodes[node]
            .tree
            .remove(BOOTSTRAP_CONF)
            .map_err(|error| self.file_error(node, error))
    }

    /// The bootstrap kubeconfig (`K/cmd/phases/join/kubelet.go`).
    fn write_bootstrap_conf(&mut self, node: usize, server: &str) -> Result<(), ClusterError> {
        let ca = self.encoded_ca(node)?;
        let user = "tls-bootstrap-token-user";
        let preferences = self.preferences(node);
        let text = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: {user}\n  name: {user}@kubernetes\ncurrent-context: {user}@kubernetes\nkind: Config\n{preferences}users:\n- name: {user}\n  user:\n    token: {TOKEN}\n"
        );
        self.put(node, BOOTSTRAP_CONF, &text, 0o600)
    }

    fn encoded_ca(&self, node: usize) -> Result<String, ClusterError> {
        use base64::Engine as _;
        let ca = self.nodes[node]
            .tree
            .read(&self.nodes[node].pki("ca.crt"))
            .map_err(|error| self.file_error(node, error))?;
        Ok(base64::engine::general_purpose::STANDARD.encode(ca))
    }

    /// The API server that a kubelet is told to use: a control plane's own in local mode.
    fn kubelet_server(&self, node: usize) -> String {
        let machine = &self.nodes[node];
        if machine.control_plane && *KUBELET_LOCAL.at(machine.version) {
            format!("https://{}:{API_PORT}", machine.address)
        } else {
            format!("https://{}", self.endpoint())
        }
    }

    fn preferences(&self, node: usize) -> &'static str {
        if Profile::of(self.nodes[node].version).kubeconfig_preferences {
            "preferences: {}\n"
        } else {
            ""
        }
    }

    /// kubelet.conf as the kubelet writes it from the bootstrap kubeconfig: pointing at kubelet-client-current.pem, and in 1.10 at a
    /// pair that never changes (`bootstrap.go`). What it points at comes later.
    pub(super) fn point_kubelet_conf(&mut self, node: usize) -> Result<(), ClusterError> {
        let ca = self.encoded_ca(node)?;
        let preferences = self.preferences(node);
        let server = self.kubelet_server(node);
        let (crt, key) = match BOOTSTRAP.at(self.nodes[node].version) {
            Bootstrap::StaticPair => (
                format!("{KUBELET_CLIENT}.crt"),
                format!("{KUBELET_CLIENT}.key"),
            ),
            _ => (KUBELET_CURRENT.to_owned(), KUBELET_CURRENT.to_owned()),
        };
        let rotated = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n    namespace: default\n    user: default-auth\n  name: default-context\ncurrent-context: default-context\nkind: Config\n{preferences}users:\n- name: default-auth\n  user:\n    client-certificate: {crt}\n    client-key: {key}\n"
        );
        self.put(node, KUBELET_CONF, &rotated, 0o600)
    }
}

pub(super) fn said(stdout: String) -> CommandOutput {
    CommandOutput {
        exit_code: 0,
        stdout,
        stderr: String::new(),
    }
}

/// How kubeadm of a version ends with an error.
pub(super) fn failed(error: &str, version: Version) -> CommandOutput {
    CommandOutput {
        exit_code: 1,
        stdout: String::new(),
        stderr: error_as_printed(error, version),
    }
}

/// Why a join ends.
enum Ended {
    /// An error that is still to be printed.
    Error(String),
    /// What a command inside has printed.
    Printed(String),
}

impl From<String> for Ended {
    fn from(error: String) -> Self {
        Self::Error(error)
    }
}

impl From<ClusterError> for Ended {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Command { stderr, .. } => Self::Printed(stderr),
            other => Self::Error(other.to_string()),
        }
    }
}
