//! `kubeadm join`: by hand-copied certificates, or by those that `--upload-certs` keeps in a Secret for two hours.
//!
//! After `K/phases/copycerts/copycerts.go`, `K/discovery/token/token.go` and `K/cmd/join.go`. The bootstrap token of init
//! lives for a day. What is uploaded is deleted with a token of its own, by kube-controller-manager's tokencleaner, whose
//! timers do not notice steps of the clock; a controller-manager that begins to lead looks at the clock.

use std::collections::BTreeMap;

use super::bootstrap::{CONFIG, ClusterError};
use super::edge::Check;
use super::node::{BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CURRENT};
use super::rbac::Permission;
use super::topology::API_PORT;
use super::world::{Timer, World};
use crate::fs::Tree;
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::Profile;
use crate::kubeadm::profile::upgrade::{KUBELET_LOCAL, TOKEN_GONE};
use crate::pki::Usage;
use crate::run::observe;
use crate::run::trace::{Entry, EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// The bootstrap token of the simulated clusters.
const TOKEN: &str = "abcdef.0123456789abcdef";
/// `DefaultTokenDuration`.
const TOKEN_LIVES: SignedDuration = SignedDuration::from_hours(24);
/// `DefaultCertTokenDuration`.
const UPLOAD_LIVES: SignedDuration = SignedDuration::from_hours(2);
/// `timeouts.discovery`.
const DISCOVERY: SignedDuration = SignedDuration::from_mins(5);
const HINT: &str = "To see the stack trace of this error execute with --v=5 or higher";

/// Bootstrap tokens and what hangs on them, in etcd.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The token that nodes join with.
    bootstrap: Option<Lifetime>,
    /// The Secret `kubeadm-certs`.
    uploaded: Option<(Lifetime, Uploaded)>,
}

/// When something ends: for clocks, and for timers.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    until: Timestamp,
    ticks: Timestamp,
}

/// Contents of files by their names in the Secret; `None` where there was no such file.
type Uploaded = BTreeMap<String, Option<Vec<u8>>>;
/// A file that control planes share: its name in the Secret, its path.
type Shared = (String, String);

impl World {
    /// What `kubeadm init` leaves for those who join; nobody asks for it where nobody does.
    pub(super) fn make_tokens_of_init(&mut self) {
        if self.spec.upload_certs || !self.spec.join_later.is_empty() {
            self.tokens.bootstrap = Some(self.lifetime(0, TOKEN_LIVES));
        }
        if self.spec.upload_certs {
            let external = !self.external_etcd_endpoints().is_empty();
            let files = self.shared_files(0, &self.nodes[0].certificates_dir, external);
            self.upload(0, &files);
        }
    }

    fn lifetime(&mut self, node: usize, span: SignedDuration) -> Lifetime {
        self.after(span, Timer::TokenEnds);
        Lifetime {
            until: shift(self.wall(node), span),
            ticks: shift(self.clock.ticks(), span),
        }
    }

    /// The tokencleaner's timer: it deletes what is over, if it runs.
    pub(super) fn clean_tokens(&mut self) {
        if self.working_leader(Component::ControllerManager).is_none() {
            return;
        }
        let now = self.clock.ticks();
        self.delete_tokens(|life| life.ticks <= now);
    }

    /// A controller-manager that begins to lead lists the tokens and deletes what is over by its clock.
    pub(super) fn forget_tokens(&mut self) {
        let now = self
            .leaders
            .get(&Component::ControllerManager)
            .map_or_else(|| self.now(), |&(node, _)| self.wall(node));
        self.delete_tokens(|life| life.until <= now);
    }

    fn delete_tokens(&mut self, over: impl Fn(&Lifetime) -> bool) {
        if self.tokens.bootstrap.as_ref().is_some_and(&over) {
            self.tokens.bootstrap = None;
        }
        if let Some((life, _)) = &self.tokens.uploaded
            && over(life)
        {
            self.tokens.uploaded = None;
        }
    }

    /// What control planes share, as `certsToTransfer` lists it.
    fn shared_files(&self, node: usize, dir: &str, external_etcd: bool) -> Vec<Shared> {
        let mut names = vec![
            "ca.crt",
            "ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.pub",
            "sa.key",
        ];
        if !external_etcd {
            names.extend(["etcd/ca.crt", "etcd/ca.key"]);
        }
        let mut files: Vec<Shared> = names
            .into_iter()
            .map(|name| (name.replace('/', "-"), format!("{dir}/{name}")))
            .collect();
        if external_etcd {
            let machine = &self.nodes[node];
            for (name, file) in [
                ("external-etcd-ca.crt", "etcd/ca.crt"),
                ("external-etcd.crt", "apiserver-etcd-client.crt"),
                ("external-etcd.key", "apiserver-etcd-client.key"),
            ] {
                files.push((name.to_owned(), machine.pki(file)));
            }
        }
        files
    }

    fn upload(&mut self, node: usize, files: &[Shared]) {
        let tree = &self.nodes[node].tree;
        let data = files
            .iter()
            .map(|(name, path)| (name.clone(), tree.read(path).ok()))
            .collect();
        let life = self.lifetime(node, UPLOAD_LIVES);
        self.tokens.uploaded = Some((life, data));
    }

    /// Commands that write to the cluster and to nothing else: the world's part, whatever the engine is.
    pub(super) fn token_command(&mut self, node: usize, args: &[String]) -> Option<CommandOutput> {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["init", "phase", "upload-certs", flags @ ..] => Some(self.upload_certs(node, flags)),
            ["token", "create", ..] => Some(self.create_token(node)),
            _ => None,
        }
    }

    fn upload_certs(&mut self, node: usize, flags: &[&str]) -> CommandOutput {
        if !flags.contains(&"--upload-certs") {
            return said("[upload-certs] Skipping phase. Please see --upload-certs\n".to_owned());
        }
        let mut stdout =
            "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n"
                .to_owned();
        if let Err(error) = self.administers(node) {
            return CommandOutput {
                stdout,
                ..failed(&format!(
                    "error execution phase upload-certs: error uploading certs: error creating token: {error}"
                ))
            };
        }
        // Without --config it takes kubeadm's defaults, in which etcd is local.
        let config = flags
            .iter()
            .position(|flag| *flag == "--config")
            .and_then(|at| flags.get(at + 1))
            .and_then(|path| self.nodes[node].tree.read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines = || config.lines().map(str::trim);
        let external = lines().any(|line| line == "external:");
        let dir = lines()
            .find_map(|line| line.strip_prefix("certificatesDir: "))
            .unwrap_or(super::node::PKI)
            .to_owned();
        let files = self.shared_files(node, &dir, external);
        self.upload(node, &files);
        let key: String = (0..8)
            .map(|_| {
                let drawn = self.random.between("certificate-key", 0, 0xffff_ffff);
                format!("{:08x}", drawn.as_millis())
            })
            .collect();
        stdout += &format!("[upload-certs] Using certificate key:\n{key}\n");
        said(stdout)
    }

    fn create_token(&mut self, node: usize) -> CommandOutput {
        if let Err(error) = self.administers(node) {
            return failed(&error);
        }
        self.tokens.bootstrap = Some(self.lifetime(node, TOKEN_LIVES));
        said(format!("{TOKEN}\n"))
    }

    /// Whether admin.conf of a node may write to the cluster now.
    fn administers(&self, node: usize) -> Result<(), String> {
        let client = self
            .api_client(Component::Admin, node)
            .map_err(|failure| failure.text)?
            .ok_or_else(|| "failed to load admin kubeconfig".to_owned())?;
        let who = self
            .authenticated(&client)
            .map_err(|failure| failure.text)?;
        if self.allows(&who, Permission::Everything) {
            return Ok(());
        }
        Err(super::texts::kubectl_forbidden(
            &who.username,
            "create",
            "secrets",
            "",
            "in the namespace \"kube-system\"",
        ))
    }

    /// `kubeadm join` on a node, with the token of init (or of `token create`) and, for a control plane, with the last
    /// certificate key or with files that were put there by hand. Time passes.
    pub fn join_by_token(&mut self, node: usize, certificate_key: bool) -> CommandOutput {
        let control_plane = self.nodes[node].control_plane;
        let mut line = format!("join {} --token {TOKEN}", self.endpoint());
        if control_plane {
            line += " --control-plane";
            if certificate_key {
                line += " --certificate-key <key>";
            }
        }
        self.nodes[node].last_output = None;
        if self.backend() != "sim" {
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
        let result = self.join_steps(node, control_plane && certificate_key);
        let so_far = self.nodes[node].last_output.take().unwrap_or_default();
        let mut output = match result {
            Ok(()) => said(if control_plane {
                "\nThis node has joined the cluster and a new control plane instance was created:\n"
                    .to_owned()
            } else {
                "\nThis node has joined the cluster:\n".to_owned()
            }),
            Err(error) => failed(&error),
        };
        output.stdout = format!(
            "[preflight] Running pre-flight checks\n{}{}",
            so_far.stdout, output.stdout
        );
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

    fn join_steps(&mut self, node: usize, download: bool) -> Result<(), String> {
        let control_plane = self.nodes[node].control_plane;
        self.wait(DISCOVERY, |world| world.discover(node).is_ok());
        self.discover(node).map_err(|error| {
            format!("error execution phase preflight: couldn't validate the identity of the API Server: {error}")
        })?;
        let now = self.now();
        if self.tokens.bootstrap.is_some_and(|life| life.until <= now) {
            return Err("error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized".to_owned());
        }
        if control_plane && !download {
            self.shared_files_are_there(node)?;
        }
        if download {
            self.download(node).map_err(|error| {
                format!("error execution phase control-plane-prepare/download-certs: error downloading certs: {error}")
            })?;
        }
        if !control_plane {
            self.take_shared_files(node)
                .map_err(|error| error.to_string())?;
        }
        self.join(node).map_err(|error| match error {
            ClusterError::Command { stderr, .. } => stderr
                .strip_suffix(&format!("{HINT}\n"))
                .unwrap_or(&stderr)
                .trim_end()
                .to_owned(),
            other => other.to_string(),
        })
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
        let first = &self.nodes[0];
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
                .map_err(|error| request(&format!("tls: failed to verify certificate: {error}")))
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
        if self.tokens.bootstrap.is_none() {
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

    /// `DownloadCerts`.
    fn download(&mut self, node: usize) -> Result<(), String> {
        let output = self.nodes[node].last_output.get_or_insert_default();
        output.stdout += "[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n";
        let Some((_, data)) = self.tokens.uploaded.clone() else {
            return Err("error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one".to_owned());
        };
        let dir = self.nodes[node].certificates_dir.clone();
        for (name, path) in self.shared_files(node, &dir, !self.nodes[node].etcd) {
            let Some(content) = data.get(&name) else {
                return Err(format!(
                    "the Secret does not include the required certificate or key - name: {name}, path: {path}"
                ));
            };
            // What was not on the disk that it was uploaded from is left out: the key of an external CA.
            let Some(content) = content else { continue };
            let mode = if name.ends_with(".key") { 0o600 } else { 0o644 };
            self.put(node, &path, &String::from_utf8_lossy(content), mode)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Copies by hand what a node shares with the first control plane.
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
        for name in shared {
            let path = self.nodes[0].pki(name);
            // The key of an external CA is nowhere in the cluster.
            if name.ends_with("ca.key") && !self.nodes[0].tree.exists(&path) {
                continue;
            }
            self.copy_file(0, &path, node, &path)?;
        }
        Ok(())
    }

    /// `kubeadm join` once everything that is shared is there.
    pub(super) fn join(&mut self, node: usize) -> Result<(), ClusterError> {
        let control_plane = self.nodes[node].control_plane;
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
        }
        self.bootstrap_kubelet(node)?;
        self.list_api_servers();
        self.write_instance_config(node)?;
        self.write_kubelet_config(node)?;
        self.note_created(node, "kubeadm join");
        self.nodes[node].ready = Some(false);
        if control_plane {
            self.write_manifests(node)?;
        }
        let late = self.joins_etcd_late(node);
        let etcd = Self::manifest_path(Component::Etcd);
        if late {
            self.nodes[node]
                .tree
                .remove(&etcd)
                .map_err(|error| self.file_error(node, error))?;
        }
        self.connect_nodes();
        self.start_kubelet(node);
        self.wait_for(node, "the kubelet's certificate", |world| {
            world.nodes[node].kubelet.current.is_some()
        })?;
        // kubeadm removes the bootstrap kubeconfig when the kubelet has its own (`K/cmd/phases/join/kubelet.go`).
        self.nodes[node]
            .tree
            .remove(BOOTSTRAP_CONF)
            .map_err(|error| self.file_error(node, error))?;
        if late {
            let manifest = self.new_manifest(node, Component::Etcd, self.nodes[node].version);
            self.put(node, &etcd, &manifest, 0o600)?;
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

    /// A new member of etcd is added when the kubelet has its certificate, so that until then nothing works on a new
    /// control plane. With `ControlPlaneKubeletLocalMode` it is added before (`K/cmd/join.go`).
    fn joins_etcd_late(&self, node: usize) -> bool {
        let machine = &self.nodes[node];
        machine.control_plane
            && machine.etcd
            && self.spec.join_later.contains(&machine.name)
            && !*KUBELET_LOCAL.at(machine.version)
    }

    /// The bootstrap kubeconfig, and kubelet.conf as the kubelet writes it from that at once: pointing at
    /// kubelet-client-current.pem (`bootstrap.go`).
    fn bootstrap_kubelet(&mut self, node: usize) -> Result<(), ClusterError> {
        use base64::Engine as _;
        let ca = self.nodes[node]
            .tree
            .read(&self.nodes[node].pki("ca.crt"))
            .map_err(|error| self.file_error(node, error))?;
        let ca = base64::engine::general_purpose::STANDARD.encode(ca);
        let local = self.nodes[node].control_plane && *KUBELET_LOCAL.at(self.nodes[node].version);
        let own = format!("https://{}:{API_PORT}", self.nodes[node].address);
        let shared = format!("https://{}", self.endpoint());
        let preferences = if Profile::of(self.nodes[node].version).kubeconfig_preferences {
            "preferences: {}\n"
        } else {
            ""
        };
        // The token is used where the cluster already runs; a control plane in local mode changes over.
        let cluster = |server: &str| {
            format!(
                "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n    namespace: default\n    user: default-auth\n  name: default-context\ncurrent-context: default-context\nkind: Config\n{preferences}users:\n- name: default-auth\n  user:\n"
            )
        };
        let bootstrap = format!("{}    token: {TOKEN}\n", cluster(&shared));
        let server = if local { &own } else { &shared };
        let rotated = format!(
            "{}    client-certificate: {KUBELET_CURRENT}\n    client-key: {KUBELET_CURRENT}\n",
            cluster(server)
        );
        self.put(node, BOOTSTRAP_CONF, &bootstrap, 0o600)?;
        self.put(node, KUBELET_CONF, &rotated, 0o600)
    }
}

fn said(stdout: String) -> CommandOutput {
    CommandOutput {
        exit_code: 0,
        stdout,
        stderr: String::new(),
    }
}

fn failed(error: &str) -> CommandOutput {
    CommandOutput {
        exit_code: 1,
        stdout: String::new(),
        stderr: format!("{error}\n{HINT}\n"),
    }
}
