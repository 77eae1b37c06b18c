//! The kubelet: start-up rules, its two certificate managers, exit rules.
//!
//! After `pkg/kubelet/certificate`, `client-go/util/certificate` and
//! `pkg/kubelet/certificate/bootstrap`.

mod follow;
mod manager;
mod resume;
mod serving;
mod store;

use std::sync::Arc;

pub use manager::{Due, Manager};

use super::edge::{EdgeId, FailureClass};
use super::events::Timer;
use super::files::ClientConfig;
use super::mechanism::Mechanism;
use super::node::{
    BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CURRENT, KubeletState, Rotation, Stranded,
};
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::kubelet::{
    BOOTSTRAP, Bootstrap, EXPIRED_BOOTSTRAP, ExpiredBootstrap, FATAL, Fatal, NO_CERTIFICATE,
};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp};

/// The kubelet exits after this long without certificate (`cmd/kubelet/app/server.go`).
const EXIT_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// systemd's `RestartSec` in kubeadm's unit file.
const RESTART_AFTER: SignedDuration = SignedDuration::from_secs(10);

impl World {
    /// Starts a node's kubelet; says whether it runs.
    pub fn start_kubelet(&mut self, node: usize) -> bool {
        if self.is_real() {
            return self.really(|reality| reality.kubelet(node, true)).is_some();
        }
        let id = self.process_number();
        let name = self.nodes[node].name.clone();
        let subject = format!("kubelet@{name}");
        self.nodes[node].kubelet.id = id;
        // What it serves with comes first: a kubelet that finds no client certificate has made it already.
        let loaded = self
            .load_serving(node)
            .map_err(|line| vec![self.fatal_line(node, &line)])
            .and_then(|()| {
                // A kubelet that only keeps etcd running is started without a kubeconfig.
                if self.nodes[node].only_etcd() {
                    Ok(None)
                } else {
                    self.load_kubelet_config(node).map(Some)
                }
            });
        let config = match loaded {
            Ok(config) => config,
            Err(lines) => {
                self.kubelet_exits(node, &lines);
                return false;
            }
        };
        let client_ca = self
            .files
            .roots(&self.nodes[node].tree, &self.nodes[node].pki("ca.crt"))
            .ok();
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.state = KubeletState::Running;
        kubelet.config.clone_from(&config);
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
        if let Some(config) = config {
            let rotate_at_once = self.load_certificate_store(node, &config);
            self.draw_deadline(node, Manager::Client, rotate_at_once);
        }
        self.start_serving(node);
        self.sync_manifests(node);
        true
    }

    /// Stops a node's kubelet; its containers keep running.
    pub fn stop_kubelet(&mut self, node: usize) {
        if self.is_real() {
            self.really(|reality| reality.kubelet(node, false));
            return;
        }
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
            if *BOOTSTRAP.at(version) != Bootstrap::Background && !self.token_works(node) {
                let reason = "cannot create certificate signing request: Unauthorized";
                lines.push(self.fatal_line(node, reason));
                return Err(lines);
            }
            for line in lines {
                self.log_line(node, Component::Kubelet, &line);
            }
            self.nodes[node].kubelet.bootstrapping = true;
            if *BOOTSTRAP.at(version) == Bootstrap::Background && !self.setting_up {
                self.write_kubelet_conf(node);
            }
            return Ok(bootstrap);
        }
        let reason = format!(
            "unable to load bootstrap kubeconfig: stat {BOOTSTRAP_CONF}: no such file or directory"
        );
        lines.push(self.fatal_line(node, &reason));
        Err(lines)
    }

    /// A kubelet that bootstraps writes kubelet.conf itself. A disk that takes nothing leaves it as it is.
    fn write_kubelet_conf(&mut self, node: usize) {
        let _ = self.point_kubelet_conf(node);
    }

    /// The line of a kubelet that cannot start.
    fn fatal_line(&self, node: usize, reason: &str) -> String {
        let line = format!("failed to run Kubelet: {reason}");
        match FATAL.at(self.nodes[node].version) {
            Fatal::Klog => line,
            Fatal::Structured => format!("\"command failed\" err={line:?}"),
        }
    }

    /// Loads kubelet-client-current.pem; where there is none, the pair that kubelet.conf names. What kubelet.conf embeds is stored.
    /// One that has ended shadows the pair, too. Says whether to rotate at once.
    pub(super) fn load_certificate_store(&mut self, node: usize, config: &ClientConfig) -> bool {
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
                self.store(node, Manager::Client, &crt, &key);
            }
            self.nodes[node].kubelet.current = Some(pair);
            return true;
        }
        let shadowed = self.nodes[node].tree.exists(KUBELET_CURRENT);
        let pair = config.credential.clone().filter(|_| !shadowed);
        let rotate_at_once = pair.is_none();
        self.nodes[node].kubelet.current = pair;
        rotate_at_once
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
                    .roots(&self.nodes[node].tree, &self.nodes[node].pki("ca.crt"))
                {
                    self.nodes[node].kubelet.client_ca = Some(roots);
                }
                self.reload_serving(node);
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
    let (part, path) = match wording {
        ExpiredBootstrap::WithPath => ("part", format!(" in {KUBELET_CONF}")),
        ExpiredBootstrap::WithoutPath => ("part", String::new()),
        ExpiredBootstrap::Capital => ("Part", String::new()),
    };
    let when =
        jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S +0000 UTC", not_after).unwrap_or_default();
    format!("{part} of the existing bootstrap client certificate{path} is expired: {when}")
}
