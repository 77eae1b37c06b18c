//! Certificate managers: deadlines, requests, what comes of them (`client-go/util/certificate/certificate_manager.go`).

use std::sync::Arc;

use super::{kubelet_edge, responsive};
use crate::cluster::csr::series::BACKOFF_STEPS;
use crate::cluster::csr::{KUBELET_CLIENT, KUBELET_SERVING, Origin, Request};
use crate::cluster::edge::{FailureClass, Outcome};
use crate::cluster::events::Timer;
use crate::cluster::files::{Credential, KeyText};
use crate::cluster::mechanism::Mechanism;
use crate::cluster::node::{
    KUBELET_CONF, KUBELET_CURRENT, Kubelet, KubeletState, Rotation, SERVING_CURRENT, Stranded,
};
use crate::cluster::rbac::Requestor;
use crate::cluster::world::World;
use crate::kubeadm::profile::bindings::TOKEN_GROUP;
use crate::kubeadm::profile::kubelet::{BOOTSTRAP, Bootstrap};
use crate::kubeadm::profile::signing::NO_KEY_ENCIPHERMENT;
use crate::pki::{self, Name};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift};

/// The certificate managers of a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Of its client certificate.
    Client,
    /// Of its serving certificate, with `serverTLSBootstrap: true`.
    Serving,
}

impl Manager {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Serving];

    /// Its word in names of streams and in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Serving => "serving",
        }
    }

    /// The signer it asks.
    #[must_use]
    pub const fn signer(self) -> &'static str {
        match self {
            Self::Client => KUBELET_CLIENT,
            Self::Serving => KUBELET_SERVING,
        }
    }

    /// The symlink to its certificate.
    #[must_use]
    pub const fn current_file(self) -> &'static str {
        match self {
            Self::Client => KUBELET_CURRENT,
            Self::Serving => SERVING_CURRENT,
        }
    }

    pub(super) const fn file_prefix(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client",
            Self::Serving => "kubelet-server",
        }
    }

    const fn jitter(self) -> &'static str {
        match self {
            Self::Client => "jitter",
            Self::Serving => "serving-jitter",
        }
    }
}

/// An attempt of a certificate manager that is on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The node.
    pub node: usize,
    /// The kubelet's process.
    pub process: u64,
    /// Which of its managers.
    pub manager: Manager,
    /// How many rotations had begun when it was put on the clock.
    pub rotation: u32,
    /// The number of the attempt.
    pub attempt: u32,
}

impl Kubelet {
    /// What a manager is doing.
    #[must_use]
    pub fn rotation(&self, manager: Manager) -> Rotation {
        match manager {
            Manager::Client => self.rotation,
            Manager::Serving => self.serving.rotation,
        }
    }

    /// Sets what a manager is doing.
    pub fn set_rotation(&mut self, manager: Manager, rotation: Rotation) {
        match manager {
            Manager::Client => self.rotation = rotation,
            Manager::Serving => self.serving.rotation = rotation,
        }
    }

    /// How often a manager began to ask for a certificate.
    #[must_use]
    pub fn rotations(&self, manager: Manager) -> u32 {
        match manager {
            Manager::Client => self.rotations,
            Manager::Serving => self.serving.rotations,
        }
    }

    fn current(&self, manager: Manager) -> Option<&Arc<Credential>> {
        match manager {
            Manager::Client => self.current.as_ref(),
            Manager::Serving => self.serving.current.as_ref(),
        }
    }

    fn set_deadline(&mut self, manager: Manager, at: Timestamp) {
        match manager {
            Manager::Client => self.deadline = Some(at),
            Manager::Serving => self.serving.deadline = Some(at),
        }
    }
}

impl World {
    /// `nextRotationDeadline`: 70 to 90 % of the life, drawn anew at each start and after each rotation.
    pub(super) fn draw_deadline(&mut self, node: usize, manager: Manager, at_once: bool) {
        let name = self.nodes[node].name.clone();
        let Some(current) = self.nodes[node]
            .kubelet
            .current(manager)
            .cloned()
            .filter(|_| !at_once)
        else {
            let now = self.wall(node);
            self.nodes[node].kubelet.set_deadline(manager, now);
            self.attempt_after(node, manager, 1, SignedDuration::from_secs(1));
            return;
        };
        let from = current.certificate.not_before();
        let life = current.not_after().duration_since(from);
        let stream = format!("kubelet/{name}/{}", manager.jitter());
        let share = 0.7 + 0.2 * self.random.unit(&stream);
        let deadline = shift(
            from,
            SignedDuration::from_secs((life.as_secs_f64() * share) as i64),
        );
        self.nodes[node].kubelet.set_deadline(manager, deadline);
        let wait = deadline
            .duration_since(self.wall(node))
            .max(SignedDuration::from_secs(1));
        self.attempt_after(node, manager, 1, wait);
        let text = format!(
            "will rotate its {} certificate at {} ({:.1} % of its life)",
            manager.word(),
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

    /// Puts an attempt on the clock.
    pub(super) fn attempt_after(
        &mut self,
        node: usize,
        manager: Manager,
        attempt: u32,
        wait: SignedDuration,
    ) {
        let kubelet = &self.nodes[node].kubelet;
        let due = Due {
            node,
            process: kubelet.id,
            manager,
            rotation: kubelet.rotations(manager),
            attempt,
        };
        self.after(wait, Timer::Rotate(due));
    }

    /// The deadline has come, or the next attempt.
    pub(in crate::cluster) fn rotate(&mut self, due: Due) {
        let Due {
            node,
            process,
            manager,
            ..
        } = due;
        let kubelet = &self.nodes[node].kubelet;
        if kubelet.id != process
            || kubelet.state != KubeletState::Running
            || !self.nodes[node].powered
            // Put on the clock for something that has come about in another way since.
            || kubelet.rotations(manager) != due.rotation
        {
            return;
        }
        if !kubelet.bootstrapping && !self.setting_up && !self.has(Mechanism::KubeletRotation) {
            return;
        }
        let attempt = match kubelet.rotation(manager) {
            Rotation::Idle => 1,
            Rotation::Retrying { attempts, .. } => attempts + 1,
            // Attempts that reach the API server are made up for by `catch_up`.
            Rotation::Waiting { blocked: false, .. } => return,
            Rotation::Waiting { attempts, .. } => attempts + 1,
        };
        if attempt != due.attempt {
            return;
        }
        if attempt == 1 {
            match manager {
                Manager::Client => self.nodes[node].kubelet.rotations += 1,
                Manager::Serving => self.nodes[node].kubelet.serving.rotations += 1,
            }
        }
        match self.manager_reaches_api(node, manager) {
            Ok(()) => self.request_certificate(node, manager, attempt),
            Err(class) => self.rotation_failed(node, manager, attempt, class),
        }
    }

    /// Whether a request of a manager works. The client's may use the bootstrap token.
    pub(super) fn manager_reaches_api(
        &self,
        node: usize,
        manager: Manager,
    ) -> Result<(), FailureClass> {
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
                    && manager == Manager::Client
                    && self.nodes[node].kubelet.bootstrapping =>
            {
                // A token that is over is refused as a certificate that is over.
                if self.token_works(node) {
                    Ok(())
                } else {
                    Err(FailureClass::ClientCertificate)
                }
            }
            Outcome::Failing(failure) => Err(failure.class),
            Outcome::Absent => Err(FailureClass::Unreachable),
        }
    }

    /// As whom the API server knows a kubelet.
    fn kubelet_identity(&self, node: usize) -> Requestor {
        let kubelet = &self.nodes[node].kubelet;
        let (username, mut groups) = match &kubelet.current {
            _ if kubelet.bootstrapping => (
                "system:bootstrap:abcdef".to_owned(),
                vec!["system:bootstrappers".to_owned(), TOKEN_GROUP.to_owned()],
            ),
            Some(current) => (
                current.certificate.common_name().to_owned(),
                current.certificate.organizations().to_vec(),
            ),
            None => ("system:anonymous".to_owned(), Vec::new()),
        };
        groups.push("system:authenticated".to_owned());
        Requestor { username, groups }
    }

    fn request_certificate(&mut self, node: usize, manager: Manager, attempt: u32) {
        let machine = &self.nodes[node];
        let mut usages = vec!["digital signature".to_owned()];
        if !NO_KEY_ENCIPHERMENT.at(machine.version) {
            usages.push("key encipherment".to_owned());
        }
        let (dns_names, ip_addresses) = match manager {
            Manager::Client => {
                usages.push("client auth".to_owned());
                (Vec::new(), Vec::new())
            }
            Manager::Serving => {
                usages.push("server auth".to_owned());
                (vec![machine.name.clone()], vec![machine.address])
            }
        };
        let asked = pki::Request {
            subject: Name {
                common_name: format!("system:node:{}", machine.name),
                organizations: vec!["system:nodes".to_owned()],
            },
            dns_names,
            ip_addresses,
            spki: Vec::new(),
        };
        let request = self.post(Request {
            name: self.request_name(node, manager, attempt),
            requestor: self.kubelet_identity(node),
            signer: manager.signer().to_owned(),
            usages,
            expiration_seconds: None,
            asked,
            created: self.now(),
            created_ticks: self.clock.ticks(),
            conditions: Vec::new(),
            certificate: None,
            deleted: false,
            origin: Origin::Kubelet {
                node,
                process: self.nodes[node].kubelet.id,
                manager,
            },
            key: None,
            scheduled: false,
            refused_by: None,
            cause: 0,
        });
        let rotation = Rotation::Waiting {
            request,
            attempts: attempt,
            blocked: false,
        };
        self.nodes[node].kubelet.set_rotation(manager, rotation);
    }

    fn rotation_failed(
        &mut self,
        node: usize,
        manager: Manager,
        attempts: u32,
        class: FailureClass,
    ) {
        if manager == Manager::Client {
            self.nodes[node].kubelet.server_healthy = responsive(class);
        }
        let name = format!("kubelet@{}", self.nodes[node].name);
        if attempts == 1 {
            // Before a kubelet has joined, its serving certificate cannot but wait.
            let weight = match manager {
                Manager::Client => Weight::Normal,
                Manager::Serving => Weight::Detail,
            };
            let text = match manager {
                Manager::Client => {
                    "its rotation deadline has come and its request for a certificate fails"
                }
                Manager::Serving => "its request for a serving certificate fails",
            };
            self.record(
                EventKind::ProcessLogged,
                weight,
                Some(node),
                &name,
                text.into(),
                None,
            );
        }
        let scheduled = attempts <= BACKOFF_STEPS;
        if scheduled {
            let wait = SignedDuration::from_secs(1 << attempts);
            self.attempt_after(node, manager, attempts + 1, wait);
        } else if attempts == BACKOFF_STEPS + 1 {
            // From here it polls. Nothing changes until an edge does: see `follow_certificate_managers`.
            self.log_line(
                node,
                Component::Kubelet,
                "Reached backoff limit, still unable to rotate certs",
            );
        }
        let rotation = Rotation::Retrying {
            attempts,
            scheduled,
        };
        self.nodes[node].kubelet.set_rotation(manager, rotation);
    }

    /// A signed certificate arrives.
    pub(super) fn receive_certificate(&mut self, node: usize, manager: Manager, request: usize) {
        let (Some(certificate), Some(key)) = (
            self.requests[request].certificate.clone(),
            self.requests[request].key.clone(),
        ) else {
            return;
        };
        self.cause = Some(self.requests[request].cause);
        let static_pair = manager == Manager::Client
            && self.nodes[node].kubelet.bootstrapping
            && *BOOTSTRAP.at(self.nodes[node].version) == Bootstrap::StaticPair;
        if static_pair {
            self.write_static_pair(node, &certificate.to_pem(), &key.to_pem());
        } else {
            self.store(node, manager, &certificate.to_pem(), &key.to_pem());
        }
        let not_after = certificate.not_after();
        let credential = Arc::new(Credential {
            certificate,
            intermediates: Vec::new(),
            file: manager.current_file().to_owned(),
            key: KeyText(key.to_pem().into_bytes().into()),
        });
        let kubelet = &mut self.nodes[node].kubelet;
        kubelet.set_rotation(manager, Rotation::Idle);
        match manager {
            Manager::Serving => kubelet.serving.current = Some(credential),
            Manager::Client => {
                kubelet.current = Some(credential);
                kubelet.server_healthy = true;
                kubelet.stranded = Stranded::No;
                if kubelet.bootstrapping {
                    kubelet.bootstrapping = false;
                    if *BOOTSTRAP.at(self.nodes[node].version) != Bootstrap::Background {
                        self.write_kubelet_conf(node);
                    }
                    // From here on the kubelet uses kubelet.conf, which it wrote itself.
                    if let Ok(config) = self
                        .files
                        .client_config(&self.nodes[node].tree, KUBELET_CONF)
                    {
                        self.nodes[node].kubelet.config = Some(config);
                    }
                }
            }
        }
        let name = self.nodes[node].name.clone();
        let seq = self.record(
            EventKind::KubeletRotated,
            Weight::Normal,
            Some(node),
            &format!("kubelet@{name}"),
            format!(
                "kubelet has a new {} certificate, valid until {not_after}",
                manager.word()
            ),
            None,
        );
        self.cause = Some(seq);
        let mut at_once = false;
        if static_pair && let Some(config) = self.nodes[node].kubelet.config.clone() {
            // Only now it looks into its store.
            at_once = self.load_certificate_store(node, &config);
            self.nodes[node].kubelet.server_healthy = false;
        }
        self.draw_deadline(node, manager, at_once);
    }
}
