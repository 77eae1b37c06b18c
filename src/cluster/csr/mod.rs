//! CertificateSigningRequests: objects of the API, and the controllers that work on them.
//!
//! After `pkg/controller/certificates` and `pkg/apis/certificates`. A request moves when something can move it:
//! the built-in approver if it recognises it and RBAC lets its author (`recognise`), an installed approver
//! (`approver`), a person (`cluster::kubectl`), the signer (`sign`), the cleaner (`clean`). What a kubelet posts
//! while nothing moves is made up for afterwards (`series`).

pub mod approver;
mod by_hand;
pub(super) mod clean;
pub mod flags;
mod really;
pub(super) mod recognise;
pub(super) mod series;
pub mod sign;

pub use clean::is_over;

use std::sync::Arc;

use super::events::Timer;
use super::files::Credential;
use super::kubelet::Manager;
use super::managers::CSR_APPROVING;
use super::rbac::Requestor;
use super::world::World;
use crate::kubeadm::profile::signing::SIGNER_NAMES;
use crate::pki::{self, Certificate, PrivateKey};
use crate::run::trace::{EventKind, Weight};
use crate::time::{SignedDuration, Timestamp};

/// Signs serving certificates of kubelets.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Signs client certificates of kubelets.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs client certificates of anyone else.
pub const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Signs what came without a signer's name.
pub const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";
/// The signers that a controller-manager knows.
pub const SIGNERS: [&str; 4] = [KUBELET_SERVING, KUBELET_CLIENT, API_CLIENT, LEGACY_UNKNOWN];

/// A CertificateSigningRequest object.
#[derive(Debug, Clone)]
pub struct Request {
    /// `csr-x7k2p`.
    pub name: String,
    /// Who posted it.
    pub requestor: Requestor,
    /// `spec.signerName`.
    pub signer: String,
    /// `spec.usages`: `digital signature`, `client auth`.
    pub usages: Vec<String>,
    /// `spec.expirationSeconds`.
    pub expiration_seconds: Option<i64>,
    /// `spec.request`, parsed. Its key is empty until someone needs it (`World::with_key`).
    pub asked: pki::Request,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// The same instant on the axis of timers.
    pub created_ticks: Timestamp,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// `status.certificate`.
    pub certificate: Option<Certificate>,
    /// It was deleted. Objects keep their places.
    pub deleted: bool,
    /// Where it comes from, and who waits for it.
    pub origin: Origin,
    /// The private key, with whoever posted it.
    pub key: Option<PrivateKey>,
    /// A controller's next step is on the clock.
    pub scheduled: bool,
    /// The CA that could not sign it: nothing comes of trying again with the same one.
    pub refused_by: Option<Arc<Credential>>,
    /// Record of its creation.
    pub cause: u64,
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A kubelet's certificate manager.
    Kubelet {
        /// The node.
        node: usize,
        /// The kubelet's process.
        process: u64,
        /// Which of its managers.
        manager: Manager,
    },
    /// A step.
    Step {
        /// The node it was posted from.
        node: usize,
        /// The file there that certificate and key are to be written to.
        save_to: Option<String>,
    },
}

/// A condition of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionKind,
    /// One word: `AutoApproved`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When it was set.
    pub updated: Timestamp,
}

/// Types of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionKind {
    /// It may be signed.
    Approved,
    /// It must not.
    Denied,
    /// The signer will not.
    Failed,
}

impl ConditionKind {
    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Denied => "Denied",
            Self::Failed => "Failed",
        }
    }
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided.
    Pending,
    /// It may be signed.
    Approved,
    /// It was denied.
    Denied,
    /// The signer refused it for good.
    Failed,
    /// It is signed.
    Issued,
}

impl Request {
    /// How far it is.
    #[must_use]
    pub fn state(&self) -> RequestState {
        if self.certificate.is_some() {
            RequestState::Issued
        } else if self.has(ConditionKind::Denied) {
            RequestState::Denied
        } else if self.has(ConditionKind::Failed) {
            RequestState::Failed
        } else if self.has(ConditionKind::Approved) {
            RequestState::Approved
        } else {
            RequestState::Pending
        }
    }

    /// Whether it has a condition.
    #[must_use]
    pub fn has(&self, kind: ConditionKind) -> bool {
        self.conditions.iter().any(|one| one.kind == kind)
    }

    /// The CONDITION column of `kubectl get csr` (`printers.go extractCSRStatus`).
    #[must_use]
    pub fn column(&self) -> String {
        let mut text = if self.has(ConditionKind::Denied) {
            "Denied"
        } else if self.has(ConditionKind::Approved) {
            "Approved"
        } else {
            "Pending"
        }
        .to_owned();
        if self.has(ConditionKind::Failed) {
            text += ",Failed";
        }
        if self.certificate.is_some() {
            text += ",Issued";
        }
        text
    }

    /// The node whose kubelet posted it, or that it was posted from.
    #[must_use]
    pub fn node(&self) -> usize {
        match self.origin {
            Origin::Kubelet { node, .. } | Origin::Step { node, .. } => node,
        }
    }
}

impl World {
    /// Puts the next step of each open request on the clock.
    pub(super) fn follow_requests(&mut self) {
        for at in 0..self.open_requests.len() {
            let request = self.open_requests[at];
            if self.requests[request].scheduled {
                continue;
            }
            let Some((timer, min, max)) = self.next_step(request) else {
                continue;
            };
            self.requests[request].scheduled = true;
            let wait = self.random.between("csr/controller", min, max);
            self.after(wait, timer);
        }
    }

    /// What a controller does next with a request, and within how many milliseconds.
    fn next_step(&self, request: usize) -> Option<(Timer, i64, i64)> {
        match self.requests[request].state() {
            RequestState::Pending => {
                if self.recognised(request).is_some() {
                    let known = self
                        .controller(CSR_APPROVING)
                        .and_then(|running| running.since)
                        .is_some_and(|since| since <= self.requests[request].created_ticks);
                    let limit = self.retry_limit(request, known);
                    return Some((Timer::Approve { request }, 20, limit));
                }
                self.approver_decides(request)
                    .then_some((Timer::Decide { request }, 100, 1_000))
            }
            RequestState::Approved => self.signer_acts(request).then_some((
                Timer::Issue { request },
                20,
                self.retry_limit(request, self.requests[request].refused_by.is_some()),
            )),
            _ => None,
        }
    }

    /// A controller hears of a request at once. One that it met before and could do nothing about it tries again with
    /// an exponential delay of at most 1000 s (`certificate_controller.go`).
    fn retry_limit(&self, request: usize, met_before: bool) -> i64 {
        if !met_before {
            return 200;
        }
        let age = self
            .clock
            .ticks()
            .duration_since(self.requests[request].created_ticks);
        (age.as_millis() as i64).clamp(200, 1_000_000)
    }

    /// Posts a request.
    pub(super) fn post(&mut self, mut request: Request) -> usize {
        let index = self.requests.len();
        let node = request.node();
        let signer = if *SIGNER_NAMES.at(self.nodes[node].version) {
            format!(" for signer {}", request.signer)
        } else {
            String::new()
        };
        let text = format!(
            "{} created by {}{signer}",
            request.name, request.requestor.username
        );
        let name = request.name.clone();
        request.cause = self.record(
            EventKind::CsrChanged,
            Weight::Detail,
            Some(node),
            &name,
            text,
            None,
        );
        self.requests.push(request);
        self.open_requests.push(index);
        index
    }

    /// Adds a condition.
    pub(super) fn condition(
        &mut self,
        request: usize,
        kind: ConditionKind,
        reason: &str,
        message: &str,
    ) {
        let updated = self.now();
        self.requests[request].conditions.push(Condition {
            kind,
            reason: reason.to_owned(),
            message: message.to_owned(),
            updated,
        });
        let weight = match kind {
            ConditionKind::Approved => Weight::Detail,
            _ => Weight::Normal,
        };
        let word = kind.word().to_lowercase();
        self.request_changed(request, &format!("{word}: {message}"), weight);
        if kind != ConditionKind::Approved {
            self.settled_request(request);
        }
    }

    /// Nothing more becomes of a request: whoever waits for it hears so.
    pub(super) fn settled_request(&mut self, request: usize) {
        self.open_requests.retain(|&open| open != request);
        let wait = self.random.between("csr/watch", 50, 1000);
        self.after(wait, Timer::Deliver { request });
    }

    /// Deletes a request.
    pub(super) fn delete_request(&mut self, request: usize) {
        self.requests[request].deleted = true;
        self.open_requests.retain(|&open| open != request);
    }

    /// Requests that exist, in the order of their names.
    #[must_use]
    pub fn listed_requests(&self) -> Vec<&Request> {
        let mut listed: Vec<&Request> = self.requests.iter().filter(|one| !one.deleted).collect();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    /// A request's place by its name.
    #[must_use]
    pub fn request_named(&self, name: &str) -> Option<usize> {
        self.requests
            .iter()
            .position(|one| !one.deleted && one.name == name)
    }

    pub(super) fn request_changed(&mut self, request: usize, what: &str, weight: Weight) {
        let name = self.requests[request].name.clone();
        let node = self.requests[request].node();
        self.cause = Some(self.requests[request].cause);
        self.record(
            EventKind::CsrChanged,
            weight,
            Some(node),
            &name,
            format!("{name} {what}"),
            None,
        );
    }

    /// Age of a request on the axis of timers.
    pub(super) fn request_age(&self, request: usize) -> SignedDuration {
        self.clock
            .ticks()
            .duration_since(self.requests[request].created_ticks)
    }
}
