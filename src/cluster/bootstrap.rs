//! `kubeadm init` and `kubeadm join` on the machines of a world.

use super::mechanism::Mechanism;
use super::node::{ADMIN_CONF, KUBELET_CONFIG, KubeletState, USER_CONF};
use super::topology::API_PORT;
use super::world::World;
use crate::fs::{FsError, Tree};
use crate::kubeadm::profile::upgrade::{CLUSTER_STATUS, CONFIG_API, NODE_LOCAL_CRI_SOCKET};
use crate::kubeadm::profile::{Profile, kubelet_config_name};
use crate::kubeadm::{CommandOutput, Version, historic, manifests};
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::Component;
use crate::time::SignedDuration;

/// Why a cluster does not come up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// A kubeadm command failed.
    #[error("kubeadm {args} on {node} ended with {exit_code}: {stderr}")]
    Command {
        /// What followed `kubeadm`.
        args: String,
        /// Where.
        node: String,
        /// Exit status.
        exit_code: i32,
        /// What it said.
        stderr: String,
    },
    /// Something did not come up in time.
    #[error("{what} did not come up on {node} within {limit}")]
    NotUp {
        /// What.
        what: String,
        /// Where.
        node: String,
        /// Virtual time that was given.
        limit: String,
    },
    /// A file of the tree cannot be written.
    #[error("cannot prepare {node}: {error}")]
    File {
        /// Where.
        node: String,
        /// Why.
        error: FsError,
    },
    /// The version has no such setting.
    #[error("{setting} needs {since} or later; the cluster is {version}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// First version that has it.
        since: &'static str,
        /// The cluster's version.
        version: String,
    },
}

pub(super) const CONFIG: &str = "/kubeadm.yaml";
const UP_LIMIT: SignedDuration = SignedDuration::from_mins(5);

impl World {
    /// `kubeadm init` on the first control plane, `kubeadm join` on all other machines.
    ///
    /// # Errors
    /// When a command fails or a component does not come up.
    pub fn create_cluster(&mut self) -> Result<(), ClusterError> {
        self.setting_up = true;
        let made = if self.is_real() {
            self.create_really()
        } else {
            self.init_and_join()
        };
        self.setting_up = false;
        made?;
        let etcds = self.nodes.iter().filter(|node| node.only_etcd()).count();
        let control_planes = self.nodes.iter().filter(|node| node.control_plane).count();
        let workers = self.nodes.len() - control_planes - etcds;
        let several = |count| if count == 1 { "" } else { "s" };
        let mut text = format!(
            "cluster of {} is up: {control_planes} control plane{}, {workers} worker{}",
            self.spec.version,
            several(control_planes),
            several(workers),
        );
        if etcds > 0 {
            text += &format!(", an external etcd of {etcds} member{}", several(etcds));
        }
        self.record(
            EventKind::CommandRan,
            Weight::Normal,
            None,
            "kubeadm",
            text,
            None,
        );
        if self.is_real() {
            self.remark_on_machines();
        }
        Ok(())
    }

    fn init_and_join(&mut self) -> Result<(), ClusterError> {
        self.make_external_etcd()?;
        self.init_first()?;
        for node in 1..self.nodes.len() {
            let later = self.spec.join_later.contains(&self.nodes[node].name);
            if !self.nodes[node].only_etcd() && !later {
                self.take_shared_files(node)?;
                self.join(node)?;
            }
        }
        for node in 0..self.nodes.len() {
            self.forget_configuration(node)?;
        }
        // Heartbeats and elections find their rhythm.
        self.walk(SignedDuration::from_secs(30));
        Ok(())
    }

    fn init_first(&mut self) -> Result<(), ClusterError> {
        for node in &mut self.nodes {
            node.last_output = None;
        }
        let config = self.configuration(0)?;
        self.put(0, CONFIG, &config, 0o644)?;
        self.must(0, "init phase certs all --config /kubeadm.yaml")?;
        self.must(0, "init phase kubeconfig all --config /kubeadm.yaml")?;
        self.write_manifests(0)?;
        let admin = self.nodes[0]
            .tree
            .read(ADMIN_CONF)
            .map_err(|error| self.file_error(0, error))?;
        self.nodes[0]
            .tree
            .create_dir_all("/root/.kube", 0o750)
            .and_then(|()| self.nodes[0].tree.write(USER_CONF, &admin, 0o600))
            .map_err(|error| self.file_error(0, error))?;
        let cluster = config.split("---\n").last().unwrap_or_default().to_owned();
        self.config_maps.insert(
            "kubeadm-config".to_owned(),
            [("ClusterConfiguration".to_owned(), cluster)].into(),
        );
        let data = self.kubelet_configuration();
        self.config_maps.insert(
            kubelet_config_name(self.spec.version),
            [("kubelet".to_owned(), data)].into(),
        );
        self.make_tokens_of_init();
        self.role_bindings = super::rbac::made_by_init(self.spec.version);
        self.list_api_servers();
        self.write_instance_config(0)?;
        self.write_kubelet_config(0)?;
        self.note_created(0, "kubeadm init");
        self.nodes[0].ready = Some(false);
        self.connect_nodes();
        self.start_kubelet(0);
        self.wait_for(0, "the control plane", |world| {
            let machine = &world.nodes[0];
            let mut pods = machine.static_pods().iter();
            pods.all(|&pod| machine.process(pod).is_some())
        })?;
        // kubeadm asks the API server for its health, with admin.conf.
        self.wait_for(0, "an API server that admin.conf works with", |world| {
            world
                .edges
                .iter()
                .filter(|edge| edge.id.client == Component::Admin)
                .all(|edge| edge.fresh.is_ok())
        })?;
        // Before 1.17 the kubelet lives on, and gets a certificate of its own. Later kubeadm restarts it before
        // controller-manager's signers have begun (measured on v1.36.3: 4 s too early): the pair of kubeadm is what its
        // store keeps until it rotates. Without the CA's key nobody signs what it asks for.
        let lives_on = !Profile::of(self.nodes[0].version).kubelet_finalize
            || !self.has(Mechanism::KubeletFinalize);
        if lives_on && !self.nodes[0].external_ca() {
            self.wait_for(0, "the kubelet's own certificate", |world| {
                world.nodes[0].kubelet.server_healthy
            })?;
        }
        if self.spec.server_tls_bootstrap {
            // kubeadm takes long enough for the kubelet to ask before it is restarted (measured: two requests).
            self.wait_for(0, "the kubelet's request", |world| {
                world
                    .requests
                    .iter()
                    .any(|request| request.signer == super::csr::KUBELET_SERVING)
            })?;
        }
        self.finalize(0)
    }

    /// From 1.17 on, init points kubelet.conf at the file the kubelet rotates, and restarts it.
    fn finalize(&mut self, node: usize) -> Result<(), ClusterError> {
        if !self.has(Mechanism::KubeletFinalize) || self.nodes[node].version.is_historic() {
            return Ok(());
        }
        let output = self.kubeadm_quietly(
            node,
            &words("init phase kubelet-finalize all --config /kubeadm.yaml"),
        );
        // Versions before 1.17 have no such phase: their kubelet.conf stays as it is.
        let known = !output.stderr.contains("unknown")
            && !output.stderr.contains("invalid subcommand")
            && output.exit_code == 0;
        if known
            && output
                .stdout
                .contains("rotatable kubelet client certificate")
        {
            self.stop_kubelet(node);
            self.start_kubelet(node);
        }
        self.touched();
        Ok(())
    }

    /// Where the container runtime listens, as kubeadm leaves it for the kubelet (`K/phases/kubelet/config.go`).
    pub(super) fn write_instance_config(&mut self, node: usize) -> Result<(), ClusterError> {
        if !*NODE_LOCAL_CRI_SOCKET.at(self.nodes[node].version) {
            return Ok(());
        }
        let text = "containerRuntimeEndpoint: \"unix:///var/run/containerd/containerd.sock\"\n";
        self.put(node, "/var/lib/kubelet/instance-config.yaml", text, 0o644)
    }

    /// The KubeletConfiguration of the cluster, as far as certificates depend on it.
    pub(super) fn kubelet_configuration(&self) -> String {
        let mut text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nrotateCertificates: true\n".to_owned();
        if self.spec.server_tls_bootstrap {
            text += "serverTLSBootstrap: true\n";
        }
        text
    }

    /// What the kubelet's ConfigMap says goes to the node's `/var/lib/kubelet/config.yaml`
    /// (`K/phases/kubelet/config.go`).
    pub(super) fn write_kubelet_config(&mut self, node: usize) -> Result<(), ClusterError> {
        let text = self
            .config_maps
            .get(&kubelet_config_name(self.nodes[node].version))
            .and_then(|data| data.get("kubelet"))
            .cloned()
            .unwrap_or_else(|| self.kubelet_configuration());
        self.put(node, KUBELET_CONFIG, &text, 0o644)
    }

    /// `ClusterStatus` of the `kubeadm-config` ConfigMap, in versions that have it.
    pub(super) fn list_api_servers(&mut self) {
        let version = self.spec.version;
        if !*CLUSTER_STATUS.at(version) {
            return;
        }
        let mut text = "apiEndpoints:\n".to_owned();
        for node in self.nodes.iter().filter(|node| {
            let later = self.spec.join_later.contains(&node.name);
            node.control_plane && (!later || node.tree.exists(CONFIG))
        }) {
            text += &format!(
                "  {}:\n    advertiseAddress: {}\n    bindPort: {API_PORT}\n",
                node.name, node.address
            );
        }
        text += &format!(
            "apiVersion: {}\nkind: ClusterStatus\n",
            CONFIG_API.at(version)
        );
        if let Some(data) = self.config_maps.get_mut("kubeadm-config") {
            data.insert("ClusterStatus".to_owned(), text);
        }
    }

    pub(super) fn write_manifests(&mut self, node: usize) -> Result<(), ClusterError> {
        let components = self.nodes[node].static_pods().to_vec();
        self.write_manifests_of(node, &components)
    }

    /// Manifests of some static Pods of a machine.
    pub(super) fn write_manifests_of(
        &mut self,
        node: usize,
        components: &[Component],
    ) -> Result<(), ClusterError> {
        let version = self.nodes[node].version;
        // `K/util/staticpod/utils.go WriteStaticPodToDisk`; seen on a real cluster of 1.36.
        self.nodes[node]
            .tree
            .create_dir_all(super::node::MANIFESTS, 0o700)
            .map_err(|error| self.file_error(node, error))?;
        for &component in components {
            let manifest = self.new_manifest(node, component, version);
            self.put(node, &Self::manifest_path(component), &manifest, 0o600)?;
        }
        Ok(())
    }

    /// The manifest that kubeadm of a version would write for a static Pod of a node now.
    pub(super) fn new_manifest(
        &self,
        node: usize,
        component: Component,
        version: Version,
    ) -> String {
        let machine = &self.nodes[node];
        let facts = manifests::Facts {
            address: &machine.address.to_string(),
            certificates_dir: &machine.certificates_dir,
            external_ca: machine.external_ca(),
            controller_manager_args: &self.spec.controller_manager_args,
            etcd_endpoints: &self.external_etcd_endpoints(),
        };
        manifests::static_pod(component, version, facts)
    }

    /// What a real machine is made from.
    pub(super) fn plan(&self, node: usize) -> Result<super::NodePlan, ClusterError> {
        let machine = &self.nodes[node];
        let control_planes = self.nodes.iter().filter(|node| node.control_plane).count();
        Ok(super::NodePlan {
            name: machine.name.clone(),
            address: machine.address,
            control_plane: machine.control_plane,
            etcd: machine.etcd,
            version: machine.version,
            endpoint: self.endpoint(),
            load_balancer: (control_planes > 1).then_some((
                super::surroundings::LOAD_BALANCER_ADDRESS,
                super::topology::LOAD_BALANCER,
            )),
            certificates_dir: machine.certificates_dir.clone(),
            joins_later: self.spec.join_later.contains(&machine.name),
            metrics_server: self.spec.metrics_server,
            upload_certs: self.spec.upload_certs,
            configuration: self.configuration(node)?,
        })
    }

    pub(super) fn must(&mut self, node: usize, line: &str) -> Result<(), ClusterError> {
        let output = if self.nodes[node].version.is_historic() {
            self.make_historic(node, &words(line))
        } else {
            self.kubeadm_quietly(node, &words(line))
        };
        let so_far = self.nodes[node].last_output.get_or_insert_default();
        so_far.stdout += &output.stdout;
        so_far.stderr += &output.stderr;
        so_far.exit_code = output.exit_code;
        if output.exit_code == 0 {
            return Ok(());
        }
        // The order in which kubeadm goes through its certificates is left to chance: what it printed before it
        // failed is no observation.
        let name = format!("kubeadm@{}", self.nodes[node].name);
        let [args, exit_code, _, stderr] = observe::command(&name, line, &output);
        for seen in [args, exit_code, stderr] {
            self.push(Entry::Observation(seen));
        }
        Err(ClusterError::Command {
            args: line.to_owned(),
            node: self.nodes[node].name.clone(),
            exit_code: output.exit_code,
            stderr: output.stderr,
        })
    }

    /// The files of a new node of a historic version, whose own `init` is not known.
    fn make_historic(&mut self, node: usize, args: &[String]) -> CommandOutput {
        self.with_engine(node, |_, mut call| {
            Ok(historic::make(call.version, args, &mut call.machine))
        })
        .unwrap_or_default()
    }

    /// A historic version reads another configuration file: what certdrill made its files from does not stay.
    fn forget_configuration(&mut self, node: usize) -> Result<(), ClusterError> {
        if !self.nodes[node].version.is_historic() {
            return Ok(());
        }
        self.nodes[node]
            .tree
            .remove(CONFIG)
            .map_err(|error| self.file_error(node, error))
    }

    pub(super) fn put(
        &mut self,
        node: usize,
        path: &str,
        content: &str,
        mode: u32,
    ) -> Result<(), ClusterError> {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
        let tree = &mut self.nodes[node].tree;
        let made = if dir.is_empty() {
            Ok(())
        } else {
            tree.create_dir_all(&dir, 0o755)
        };
        made.and_then(|()| tree.write(path, content.as_bytes(), mode))
            .map_err(|error| self.file_error(node, error))
    }

    pub(super) fn wait_for(
        &mut self,
        node: usize,
        what: &str,
        done: impl FnMut(&World) -> bool,
    ) -> Result<(), ClusterError> {
        if self.wait(UP_LIMIT, done) {
            return Ok(());
        }
        Err(ClusterError::NotUp {
            what: what.to_owned(),
            node: self.nodes[node].name.clone(),
            limit: crate::time::span::display(UP_LIMIT),
        })
    }

    pub(super) fn file_error(&self, node: usize, error: FsError) -> ClusterError {
        ClusterError::File {
            node: self.nodes[node].name.clone(),
            error,
        }
    }

    pub(super) fn note_created(&mut self, node: usize, what: &str) {
        let name = self.nodes[node].name.clone();
        let text = format!("{what} with {}", self.nodes[node].version);
        let seq = self.record(
            EventKind::CommandRan,
            Weight::Normal,
            Some(node),
            &format!("kubeadm@{name}"),
            text,
            None,
        );
        self.cause = Some(seq);
        debug_assert_ne!(self.nodes[node].kubelet.state, KubeletState::Running);
    }
}

/// Splits a command line at blanks.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
