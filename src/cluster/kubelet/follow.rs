//! What follows for a kubelet's certificate managers: from decisions about their requests, from edges, from time.

use super::{EXIT_AFTER, Manager, RESTART_AFTER, responsive};
use crate::cluster::csr::series::{BACKOFF_STEPS, POLL_S, WAIT, next_attempt};
use crate::cluster::csr::{Origin, RequestState};
use crate::cluster::events::Timer;
use crate::cluster::node::{KubeletState, Rotation, Stranded};
use crate::cluster::world::World;
use crate::kubeadm::profile::kubelet::{BOOTSTRAP, Bootstrap};
use crate::time::SignedDuration;

impl World {
    /// What became of a request reaches the kubelet that posted it.
    pub(in crate::cluster) fn deliver(&mut self, request: usize) {
        let Origin::Kubelet {
            node,
            process,
            manager,
        } = self.requests[request].origin
        else {
            return;
        };
        let kubelet = &self.nodes[node].kubelet;
        let Rotation::Waiting {
            request: awaited,
            attempts,
            ..
        } = kubelet.rotation(manager)
        else {
            return;
        };
        if kubelet.id != process || kubelet.state != KubeletState::Running || awaited != request {
            return;
        }
        let age = self.request_age(request);
        match self.requests[request].state() {
            RequestState::Issued if age <= WAIT => {
                self.receive_certificate(node, manager, request);
            }
            RequestState::Issued => self.try_again(node, manager, request, attempts, WAIT),
            // What an approver denies it denies for ever: see `csr::series`.
            RequestState::Denied | RequestState::Failed
                if attempts > BACKOFF_STEPS && !self.decided_by_hand(request) => {}
            _ => self.try_again(node, manager, request, attempts, age),
        }
    }

    fn decided_by_hand(&self, request: usize) -> bool {
        self.requests[request].deleted
            || self.requests[request]
                .conditions
                .iter()
                .any(|one| one.reason.starts_with("Kubectl"))
    }

    fn try_again(
        &mut self,
        node: usize,
        manager: Manager,
        request: usize,
        attempts: u32,
        length: SignedDuration,
    ) {
        let start = self.requests[request].created_ticks;
        let next = next_attempt(attempts, start, length);
        let wait = next
            .duration_since(self.clock.ticks())
            .max(SignedDuration::from_secs(1));
        let rotation = Rotation::Retrying {
            attempts,
            scheduled: true,
        };
        self.nodes[node].kubelet.set_rotation(manager, rotation);
        self.attempt_after(node, manager, attempts + 1, wait);
    }

    /// Who approves has changed: what was hopeless is tried again at its next attempt.
    pub(in crate::cluster) fn approval_changed(&mut self) {
        self.catch_up();
        for node in 0..self.nodes.len() {
            for manager in Manager::ALL {
                if let Rotation::Waiting {
                    request, attempts, ..
                } = self.nodes[node].kubelet.rotation(manager)
                    && matches!(
                        self.requests[request].state(),
                        RequestState::Denied | RequestState::Failed
                    )
                {
                    let length = SignedDuration::from_secs(1);
                    self.try_again(node, manager, request, attempts, length);
                }
            }
        }
    }

    /// Follows what time and edges do to a running kubelet's certificates.
    pub(in crate::cluster) fn follow_certificate_managers(&mut self, node: usize) {
        for manager in Manager::ALL {
            self.follow_rotation(node, manager);
        }
        let id = self.nodes[node].kubelet.id;
        let now = self.wall(node);
        let kubelet = &self.nodes[node].kubelet;
        let version = self.nodes[node].version;
        let without = match &kubelet.current {
            Some(current) => now > current.not_after(),
            // Nothing in its store yet. One that asks before anything else has no manager that would count.
            None => {
                kubelet.config.is_some()
                    && !self.setting_up
                    && !(kubelet.bootstrapping && *BOOTSTRAP.at(version) != Bootstrap::Background)
            }
        };
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

    fn follow_rotation(&mut self, node: usize, manager: Manager) {
        match self.nodes[node].kubelet.rotation(manager) {
            Rotation::Retrying {
                attempts,
                scheduled: false,
            } => match self.manager_reaches_api(node, manager) {
                Ok(()) => {
                    let rotation = Rotation::Retrying {
                        attempts,
                        scheduled: true,
                    };
                    self.nodes[node].kubelet.set_rotation(manager, rotation);
                    let wait = self.random.between("kubelet/poll", 0, POLL_S * 1000);
                    self.attempt_after(node, manager, attempts + 1, wait);
                }
                Err(class) if manager == Manager::Client => {
                    self.nodes[node].kubelet.server_healthy = responsive(class);
                }
                Err(_) => {}
            },
            Rotation::Waiting {
                request,
                attempts,
                blocked,
            } if self.requests[request].state() != RequestState::Issued => {
                let reaches = self.manager_reaches_api(node, manager).is_ok();
                if reaches != blocked {
                    return;
                }
                let rotation = Rotation::Waiting {
                    request,
                    attempts,
                    blocked: !reaches,
                };
                self.nodes[node].kubelet.set_rotation(manager, rotation);
                if !reaches {
                    let start = self.requests[request].created_ticks;
                    let wait = next_attempt(attempts, start, self.lasts(request))
                        .duration_since(self.clock.ticks())
                        .max(SignedDuration::from_secs(1));
                    self.attempt_after(node, manager, attempts + 1, wait);
                }
            }
            _ => {}
        }
    }

    /// How long a kubelet stays with a request of which nothing comes.
    pub(in crate::cluster) fn lasts(&self, request: usize) -> SignedDuration {
        match self.requests[request].state() {
            RequestState::Denied | RequestState::Failed => SignedDuration::from_secs(1),
            _ => WAIT,
        }
    }
}
