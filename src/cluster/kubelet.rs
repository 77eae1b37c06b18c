//! The kubelet: start-up rules, client certificate rotation, exit rules.
//!
//! After `pkg/kubelet/certificate`, `client-go/util/certificate` and
//! `pkg/kubelet/certificate/bootstrap`.

use std::sync::Arc;

use super::edge::{EdgeId, FailureClass, Outcome};
use super::files::{ClientConfig, Credential, KeyText};
use super::mechanism::Mechanism;
use super::node::{
    BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CURRENT, KUBELET_PKI, KubeletState, Rotation, Stranded,
};
use super::requests::{Request, RequestState};
use super::world::{Timer, World};
use crate::fs::Tree;
use crate::kubeadm::profile::kubelet::{
    EXPIRED_BOOTSTRAP, ExpiredBootstrap, FATAL, Fatal, NO_CERTIFICATE,
};
use crate::pki::{KeyAlgorithm, KeySource, PrivateKey};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// The kubelet exits after this long without certificate (`cmd/kubelet/app/server.go`).
const EXIT_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// systemd's `RestartSec` in kubeadm's unit file.
const RESTART_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// Attempts with exponential back-off before the kubelet polls (`certificate_manager.go`).
const BACKOFF_STEPS: u32 = 5;
/// How often it polls then, in milliseconds.
const POLL_MS: i64 = 32_000;

impl World {
    /// Starts a node's kubelet; says whether it runs.
    pub fn start_kubelet(&mut self, node: usize) -> bool {
        let id = self.process_number();
        let name = self.nodes[node].name.clone();
        let subject = format!("kubelet@{name}");
        self.nodes[node].kubelet.id = id;
        let config = match self.load_kubelet_config(node) {
            Ok(config) => config,
            Err(lines) => {
                self.kubelet_exits(node, &lines);
                return false;
            }
        };
        let client_ca = self
            .files
            .roots(&self.nodes[node].tree, "/etc/kubernetes/pki/ca.crt")
            .ok();
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.state = KubeletState::Running;
        kubelet.config = Some(config.clone());
        kubelet.client_ca = client_ca;
        kubelet.rotation = Rotation::Idle;
        kubelet.server_healthy = false;
        kubelet.stranded = Stranded::No;
        let seq = self.record(
            EventKind::ProcessStarted,
            Weight::Normal,
            Some(node),
            &subject,
            "kubelet started".into(),
            None,
        );
        self.cause = Some(seq);
        let rotate_at_once = self.load_certificate_store(node, &config);
        self.draw_deadline(node, rotate_at_once);
        self.sync_manifests(node);
        true
    }

    /// Stops a node's kubelet; its containers keep running.
    pub fn stop_kubelet(&mut self, node: usize) {
        let kubelet = &mut self.nodes[node].kubelet;
        if kubelet.state == KubeletState::Stopped {
            return;
        }
        kubelet.state = KubeletState::Stopped;
        kubelet.id = 0;
        let subject = format!("kubelet@{}", self.nodes[node].name);
        self.record(
            EventKind::ProcessEnded,
            Weight::Normal,
            Some(node),
            &subject,
            "kubelet stopped".into(),
            None,
        );
    }

    /// `LoadClientConfig`: kubelet.conf counts if every certificate in it is unexpired, else the bootstrap
    /// kubeconfig must be there.
    fn load_kubelet_config(&mut self, node: usize) -> Result<Arc<ClientConfig>, Vec<String>> {
        let now = self.wall(node);
        let version = self.nodes[node].version;
        let mut lines = Vec::new();
        if let Ok(config) = self
            .files
            .client_config(&self.nodes[node].tree, KUBELET_CONF)
            && let Some(credential) = &config.credential
        {
            let ended = std::iter::once(&credential.certificate)
                .chain(&credential.intermediates)
                .map(|certificate| certificate.not_after())
                .find(|&not_after| now > not_after)
                .filter(|_| self.has(Mechanism::KubeletStartRule));
            match ended {
                None => return Ok(config),
                Some(not_after) => {
                    lines.push(expired_bootstrap(*EXPIRED_BOOTSTRAP.at(version), not_after))
                }
            }
        }
        if let Ok(bootstrap) = self
            .files
            .client_config(&self.nodes[node].tree, BOOTSTRAP_CONF)
        {
            self.nodes[node].kubelet.bootstrapping = true;
            return Ok(bootstrap);
        }
        let reason = format!(
            "failed to run Kubelet: unable to load bootstrap kubeconfig: stat {BOOTSTRAP_CONF}: no such file or directory"
        );
        lines.push(match FATAL.at(version) {
            Fatal::Klog => reason,
            Fatal::Structured => format!("\"command failed\" err={reason:?}"),
        });
        Err(lines)
    }

    /// Loads kubelet-client-current.pem, or takes the embedded pair of kubelet.conf and stores it. Says whether
    /// to rotate at once.
    fn load_certificate_store(&mut self, node: usize, config: &ClientConfig) -> bool {
        let now = self.wall(node);
        let stored = self
            .files
            .pair(&self.nodes[node].tree, KUBELET_CURRENT, KUBELET_CURRENT)
            .ok()
            .filter(|pair| now <= pair.not_after());
        if let Some(pair) = stored {
            self.nodes[node].kubelet.current = Some(pair);
            return false;
        }
        if config.embedded
            && let Some(pair) = config.credential.clone()
        {
            // The store takes over the pair that kubelet.conf came with, then asks for one of its own.
            if let Some((crt, key)) = self.embedded_pem(node) {
                self.store(node, &crt, &key);
            }
            self.nodes[node].kubelet.current = Some(pair);
            return true;
        }
        self.nodes[node].kubelet.current = None;
        true
    }

    fn embedded_pem(&self, node: usize) -> Option<(String, String)> {
        let bytes = self.nodes[node].tree.read(KUBELET_CONF).ok()?;
        let config = crate::pki::Kubeconfig::parse(&bytes).ok()?;
        let text = |source| match source {
            crate::pki::Source::Data(data) => Some(String::from_utf8_lossy(&data).into_owned()),
            _ => None,
        };
        Some((
            text(config.client_certificate())?,
            text(config.client_key())?,
        ))
    }

    /// Writes a dated file and turns the symlink to it (`certificate_store.go`).
    fn store(&mut self, node: usize, crt: &str, key: &str) {
        let wall = self.wall(node);
        let stamp = jiff::fmt::strtime::format("%Y-%m-%d-%H-%M-%S", wall).unwrap_or_default();
        let dated = format!("{KUBELET_PKI}/kubelet-client-{stamp}.pem");
        let updated = format!("{KUBELET_PKI}/kubelet-client-updated.pem");
        let tree = &mut self.nodes[node].tree;
        // A disk that takes nothing leaves the kubelet with what it has in memory, as the real one.
        let _ = tree.create_dir_all(KUBELET_PKI, 0o755);
        let written = tree.write(&dated, format!("{crt}{key}").as_bytes(), 0o600);
        if written.is_err() {
            return;
        }
        let _ = tree.remove(&updated);
        let _ = tree.symlink(&dated, &updated);
        let _ = tree.remove(KUBELET_CURRENT);
        let _ = tree.rename(&updated, KUBELET_CURRENT);
    }

    /// `nextRotationDeadline`: 70 to 90 % of the life, drawn anew at each start and after each rotation.
    fn draw_deadline(&mut self, node: usize, at_once: bool) {
        let id = self.nodes[node].kubelet.id;
        let name = self.nodes[node].name.clone();
        let Some(current) = self.nodes[node]
            .kubelet
            .current
            .clone()
            .filter(|_| !at_once)
        else {
            self.nodes[node].kubelet.deadline = Some(self.wall(node));
            self.after(SignedDuration::from_secs(1), Timer::Rotate { node, id });
            return;
        };
        let from = current.certificate.not_before();
        let life = current.not_after().duration_since(from);
        let share = 0.7 + 0.2 * self.random.unit(&format!("kubelet/{name}/jitter"));
        let deadline = shift(
            from,
            SignedDuration::from_secs((life.as_secs_f64() * share) as i64),
        );
        self.nodes[node].kubelet.deadline = Some(deadline);
        let wait = deadline
            .duration_since(self.wall(node))
            .max(SignedDuration::from_secs(1));
        self.after(wait, Timer::Rotate { node, id });
        let text = format!(
            "will rotate its client certificate at {} ({:.1} % of its life)",
            deadline,
            share * 100.0
        );
        self.record(
            EventKind::KubeletDeadline,
            Weight::Detail,
            Some(node),
            &format!("kubelet@{name}"),
            text,
            None,
        );
    }

    /// The deadline has come, or the next attempt.
    pub(super) fn rotate(&mut self, node: usize, id: u64) {
        let kubelet = &self.nodes[node].kubelet;
        if kubelet.id != id
            || kubelet.state != KubeletState::Running
            || !self.nodes[node].powered
            || matches!(kubelet.rotation, Rotation::Waiting { .. })
        {
            return;
        }
        let bootstrapping = self.nodes[node].kubelet.bootstrapping;
        if !bootstrapping && !self.setting_up && !self.has(Mechanism::KubeletRotation) {
            return;
        }
        match self.kubelet_reaches_api(node) {
            Ok(()) => self.request_certificate(node),
            Err(class) => self.rotation_failed(node, class),
        }
    }

    /// Whether a request of the kubelet works; with a bootstrap token it needs no certificate.
    fn kubelet_reaches_api(&self, node: usize) -> Result<(), FailureClass> {
        let id = kubelet_edge(node);
        let outcome = self
            .edges
            .iter()
            .find(|edge| edge.id == id)
            .map_or_else(|| self.fresh(id), |edge| edge.effective());
        match outcome {
            Outcome::Ok | Outcome::Partial { .. } => Ok(()),
            Outcome::Failing(failure)
                if failure.class == FailureClass::Anonymous
                    && self.nodes[node].kubelet.bootstrapping =>
            {
                Ok(())
            }
            Outcome::Failing(failure) => Err(failure.class),
            Outcome::Absent => Err(FailureClass::Unreachable),
        }
    }

    fn request_certificate(&mut self, node: usize) {
        let name = self.nodes[node].name.clone();
        // The kubelet makes a new P-256 key for every request, whatever kubeadm is told to use.
        let key = self
            .keys
            .key(&format!("kubelet/{name}/client"), KeyAlgorithm::EcdsaP256);
        let request = self.requests.len();
        let csr = format!("csr-{}", self.random.suffix("csr/name", 5));
        let username = if self.nodes[node].kubelet.bootstrapping {
            "system:bootstrap:abcdef".to_owned()
        } else {
            format!("system:node:{name}")
        };
        let seq = self.record(
            EventKind::CsrChanged,
            Weight::Detail,
            Some(node),
            &csr,
            format!(
                "{csr} created by {username} for signer kubernetes.io/kube-apiserver-client-kubelet"
            ),
            None,
        );
        self.requests.push(Request {
            name: csr,
            node,
            kubelet: self.nodes[node].kubelet.id,
            username,
            created: self.now(),
            state: RequestState::Pending,
            scheduled: false,
            key,
            certificate: None,
            cause: seq,
        });
        self.nodes[node].kubelet.rotation = Rotation::Waiting { request };
    }

    fn rotation_failed(&mut self, node: usize, class: FailureClass) {
        let id = self.nodes[node].kubelet.id;
        let attempts = match self.nodes[node].kubelet.rotation {
            Rotation::Retrying { attempts, .. } => attempts + 1,
            _ => 1,
        };
        self.nodes[node].kubelet.server_healthy = responsive(class);
        let name = format!("kubelet@{}", self.nodes[node].name);
        if attempts == 1 {
            self.record(
                EventKind::ProcessLogged,
                Weight::Normal,
                Some(node),
                &name,
                "its rotation deadline has come and its request for a certificate fails".into(),
                None,
            );
        }
        if attempts <= BACKOFF_STEPS {
            self.nodes[node].kubelet.rotation = Rotation::Retrying {
                attempts,
                scheduled: true,
            };
            self.after(
                SignedDuration::from_secs(1 << attempts),
                Timer::Rotate { node, id },
            );
        } else {
            // From here it polls. Nothing changes until an edge does: see `follow_certificate_manager`.
            if attempts == BACKOFF_STEPS + 1 {
                self.log_line(
                    node,
                    Component::Kubelet,
                    "Reached backoff limit, still unable to rotate certs",
                );
            }
            self.nodes[node].kubelet.rotation = Rotation::Retrying {
                attempts,
                scheduled: false,
            };
        }
    }

    /// A signed certificate arrives.
    pub(super) fn receive_certificate(&mut self, node: usize, request: usize) {
        let Some(certificate) = self.requests[request].certificate.clone() else {
            return;
        };
        let key: PrivateKey = self.requests[request].key.clone();
        self.cause = Some(self.requests[request].cause);
        let pem = certificate.to_pem();
        self.store(node, &pem, &key.to_pem());
        let not_after = certificate.not_after();
        self.nodes[node].kubelet.current = Some(Arc::new(Credential {
            certificate,
            intermediates: Vec::new(),
            file: KUBELET_CURRENT.to_owned(),
            key: KeyText(key.to_pem().into_bytes().into()),
        }));
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.rotation = Rotation::Idle;
        kubelet.server_healthy = true;
        kubelet.stranded = Stranded::No;
        if kubelet.bootstrapping {
            kubelet.bootstrapping = false;
            // From here on the kubelet uses kubelet.conf, which it wrote itself.
            if let Ok(config) = self
                .files
                .client_config(&self.nodes[node].tree, KUBELET_CONF)
            {
                self.nodes[node].kubelet.config = Some(config);
            }
        }
        let name = self.nodes[node].name.clone();
        let seq = self.record(
            EventKind::KubeletRotated,
            Weight::Normal,
            Some(node),
            &format!("kubelet@{name}"),
            format!("kubelet has a new client certificate, valid until {not_after}"),
            None,
        );
        self.cause = Some(seq);
        self.draw_deadline(node, false);
    }

    /// Follows what time and edges do to a running kubelet's certificate.
    pub(super) fn follow_certificate_manager(&mut self, node: usize) {
        let id = self.nodes[node].kubelet.id;
        let now = self.wall(node);
        if let Rotation::Retrying {
            attempts,
            scheduled: false,
        } = self.nodes[node].kubelet.rotation
        {
            match self.kubelet_reaches_api(node) {
                Ok(()) => {
                    self.nodes[node].kubelet.rotation = Rotation::Retrying {
                        attempts,
                        scheduled: true,
                    };
                    let wait = self.random.between("kubelet/poll", 0, POLL_MS);
                    self.after(wait, Timer::Rotate { node, id });
                }
                Err(class) => self.nodes[node].kubelet.server_healthy = responsive(class),
            }
        }
        let without = self.nodes[node]
            .kubelet
            .current
            .as_ref()
            .is_some_and(|current| now > current.not_after());
        match (without, self.nodes[node].kubelet.stranded) {
            (true, Stranded::No) => {
                self.nodes[node].kubelet.stranded = Stranded::Counting;
                self.after(EXIT_AFTER, Timer::KubeletStranded { node, id });
            }
            (true, Stranded::Stuck) if self.nodes[node].kubelet.server_healthy => {
                self.after(RESTART_AFTER, Timer::KubeletStranded { node, id });
                self.nodes[node].kubelet.stranded = Stranded::Counting;
            }
            (false, Stranded::Counting | Stranded::Stuck) => {
                self.nodes[node].kubelet.stranded = Stranded::No;
            }
            _ => {}
        }
    }

    /// Five minutes without a valid certificate are over (`transport.go`).
    pub(super) fn kubelet_stranded(&mut self, node: usize, id: u64) {
        let kubelet = &self.nodes[node].kubelet;
        if kubelet.id != id
            || kubelet.stranded != Stranded::Counting
            || kubelet.state != KubeletState::Running
        {
            return;
        }
        let wording = NO_CERTIFICATE.at(self.nodes[node].version);
        if self.nodes[node].kubelet.server_healthy {
            self.kubelet_exits(node, &[wording.responsive.to_owned()]);
            let id = self.nodes[node].kubelet.id;
            self.after(RESTART_AFTER, Timer::KubeletStart { node, id });
        } else {
            self.nodes[node].kubelet.stranded = Stranded::Stuck;
            let subject = format!("kubelet@{}", self.nodes[node].name);
            self.log_line(node, Component::Kubelet, wording.unresponsive);
            self.record(
                EventKind::ProcessLogged,
                Weight::Trouble,
                Some(node),
                &subject,
                wording.unresponsive.to_owned(),
                None,
            );
        }
    }

    /// Files changed: a kubelet that ends at each start may now find what it needs.
    pub(super) fn kubelet_files_changed(&mut self, node: usize) {
        let id = self.nodes[node].kubelet.id;
        match self.nodes[node].kubelet.state {
            KubeletState::Exited => self.after(RESTART_AFTER, Timer::KubeletStart { node, id }),
            KubeletState::Running => {
                // The kubelet's own server reloads its client CA (`cmd/kubelet/app/auth.go`).
                if let Ok(roots) = self
                    .files
                    .roots(&self.nodes[node].tree, "/etc/kubernetes/pki/ca.crt")
                {
                    self.nodes[node].kubelet.client_ca = Some(roots);
                }
            }
            KubeletState::Stopped => {}
        }
    }

    fn kubelet_exits(&mut self, node: usize, lines: &[String]) {
        let was = self.nodes[node].kubelet.state;
        self.nodes[node].kubelet.state = KubeletState::Exited;
        for line in lines {
            self.log_line(node, Component::Kubelet, line);
        }
        let subject = format!("kubelet@{}", self.nodes[node].name);
        let weight = if was == KubeletState::Exited {
            Weight::Detail
        } else {
            Weight::Trouble
        };
        let seq = self.record(
            EventKind::ProcessEnded,
            weight,
            Some(node),
            &subject,
            format!("kubelet ends: {}", lines.join(" / ")),
            None,
        );
        self.cause = Some(seq);
    }

    /// Keeps a line that a process logged. Each process keeps its last lines.
    pub(super) fn log_line(&mut self, node: usize, component: Component, line: &str) {
        const LINES_MAX: usize = 200;
        let log = self.nodes[node].logs.entry(component).or_default();
        if log.len() == LINES_MAX {
            log.remove(0);
        }
        log.push(line.to_owned());
    }
}

/// The edge of a node's kubelet to its API server.
pub(super) fn kubelet_edge(node: usize) -> EdgeId {
    EdgeId {
        client: Component::Kubelet,
        client_node: node,
        server: Component::ApiServer,
        server_node: None,
    }
}

/// Whether the certificate manager takes a failure as a sign that the server is there.
fn responsive(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::ClientCertificate | FailureClass::Anonymous | FailureClass::Forbidden
    )
}

fn expired_bootstrap(wording: ExpiredBootstrap, not_after: Timestamp) -> String {
    let path = match wording {
        ExpiredBootstrap::WithPath => format!(" in {KUBELET_CONF}"),
        ExpiredBootstrap::WithoutPath => String::new(),
    };
    let when =
        jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S +0000 UTC", not_after).unwrap_or_default();
    format!("part of the existing bootstrap client certificate{path} is expired: {when}")
}
