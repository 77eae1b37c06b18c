//! Certificate signing requests: approved and signed by the controller-manager that leads.
//!
//! After `pkg/controller/certificates/{approver,signer,authority}`.

use super::node::{KubeletState, Rotation};
use super::world::{Timer, World};
use crate::kubeadm::profile::components::Slot;
use crate::pki::{Certificate, ExtKeyUsage, KeySource, PrivateKey, issue};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Component;
use crate::time::{SignedDuration, Timestamp, shift, x509_second};

/// `--cluster-signing-duration`.
const SIGNING_DURATION: SignedDuration = SignedDuration::from_hours(8760);
/// How far NotBefore is set back, and a long certificate's NotAfter with it.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A CertificateSigningRequest object.
#[derive(Debug)]
pub struct Request {
    /// `csr-x7k2p`.
    pub name: String,
    /// The node whose kubelet asks.
    pub node: usize,
    /// The kubelet's process.
    pub kubelet: u64,
    /// Who asks.
    pub username: String,
    /// When.
    pub created: Timestamp,
    /// How far it is.
    pub state: RequestState,
    /// The next step is on the clock.
    pub scheduled: bool,
    /// The key it is for.
    pub key: PrivateKey,
    /// What was issued.
    pub certificate: Option<Certificate>,
    /// Record of its creation.
    pub cause: u64,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has looked at it.
    Pending,
    /// It may be signed.
    Approved,
    /// It is signed.
    Issued,
}

impl World {
    /// Puts the next step of each open request on the clock if a controller-manager works.
    pub(super) fn follow_requests(&mut self) {
        if self.working_leader(Component::ControllerManager).is_none() {
            return;
        }
        for request in 0..self.requests.len() {
            if self.requests[request].scheduled {
                continue;
            }
            let timer = match self.requests[request].state {
                RequestState::Pending => Timer::Approve { request },
                RequestState::Approved if self.signer().is_some() => Timer::Issue { request },
                _ => continue,
            };
            self.requests[request].scheduled = true;
            let wait = self.random.between("csr/controller", 20, 200);
            self.after(wait, timer);
        }
    }

    /// The approver recognises a kubelet that asks for its own certificate, or a bootstrapping one.
    pub(super) fn approve_automatically(&mut self, request: usize) {
        self.requests[request].scheduled = false;
        if self.working_leader(Component::ControllerManager).is_none() {
            return;
        }
        self.requests[request].state = RequestState::Approved;
        let own = self.requests[request].username.starts_with("system:node:");
        let reason = if own {
            "Auto approving self kubelet client certificate after SubjectAccessReview."
        } else {
            "Auto approving kubelet client certificate after SubjectAccessReview."
        };
        self.request_changed(request, &format!("approved: {reason}"), Weight::Detail);
    }

    /// The signer issues for a year, cut at the CA's end.
    pub(super) fn issue(&mut self, request: usize) {
        self.requests[request].scheduled = false;
        let (Some((node, _)), Some(signer)) = (
            self.working_leader(Component::ControllerManager),
            self.signer(),
        ) else {
            return;
        };
        let now = self.wall(node);
        let ca_end = signer.not_after();
        if now > ca_end {
            self.requests[request].scheduled = true;
            self.request_changed(
                request,
                &format!("not signed: refusing to sign a certificate that expired in the past: NotAfter={ca_end}"),
                Weight::Trouble,
            );
            return;
        }
        let asker = self.nodes[self.requests[request].node].name.clone();
        let Ok(ca_key) = PrivateKey::from_pem(&signer.key.0) else {
            return;
        };
        let template = issue::Template {
            common_name: format!("system:node:{asker}"),
            organizations: vec!["system:nodes".to_owned()],
            ext_key_usages: vec![ExtKeyUsage::ClientAuth],
            not_before: x509_second(shift(now, -BACKDATE)),
            not_after: x509_second(shift(now, SIGNING_DURATION - BACKDATE)).min(ca_end),
            serial: self.keys.serial("csr/serial"),
            ..issue::Template::default()
        };
        let spki = self.requests[request].key.spki_der().to_vec();
        match issue::sign(&template, &spki, &signer.certificate, &ca_key) {
            Ok(certificate) => {
                self.requests[request].certificate = Some(certificate);
                self.requests[request].state = RequestState::Issued;
                self.request_changed(request, "issued", Weight::Detail);
                let wait = self.random.between("csr/watch", 50, 1000);
                self.after(wait, Timer::Deliver { request });
            }
            Err(error) => {
                self.requests[request].scheduled = true;
                self.request_changed(request, &format!("not signed: {error}"), Weight::Trouble);
            }
        }
    }

    /// The kubelet that asked sees its certificate.
    pub(super) fn deliver(&mut self, request: usize) {
        let node = self.requests[request].node;
        let kubelet = &self.nodes[node].kubelet;
        if kubelet.id == self.requests[request].kubelet
            && kubelet.state == KubeletState::Running
            && kubelet.rotation == (Rotation::Waiting { request })
        {
            self.receive_certificate(node, request);
        }
    }

    /// CA certificate and key that the leading controller-manager signs with; `None` where kubeadm gave it none.
    fn signer(&self) -> Option<std::sync::Arc<super::files::Credential>> {
        let (node, _) = self.working_leader(Component::ControllerManager)?;
        self.nodes[node]
            .process(Component::ControllerManager)?
            .pair(Slot::Signer)
            .cloned()
    }

    fn request_changed(&mut self, request: usize, what: &str, weight: Weight) {
        let name = self.requests[request].name.clone();
        let node = self.requests[request].node;
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
}
