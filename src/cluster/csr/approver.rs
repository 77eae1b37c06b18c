//! Approvers of kubelet serving certificates that someone installed. Kubernetes has none of its own.

use std::net::IpAddr;

use super::{ConditionKind, KUBELET_SERVING, Request, RequestState, recognise};
use crate::cluster::mechanism::Mechanism;
use crate::cluster::world::World;
use crate::scenario::ApproverPolicy;

/// What an approver decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Approve, with a message.
    Approve(String),
    /// Deny, with a message.
    Deny(String),
}

/// What an approver says to a request; `None` where it is not its business. `nodes` are the cluster's names and addresses.
#[must_use]
pub fn decide(
    policy: ApproverPolicy,
    request: &Request,
    nodes: &[(&str, IpAddr)],
) -> Option<Decision> {
    if request.signer != KUBELET_SERVING {
        return None;
    }
    let deny = |reason: String| Some(Decision::Deny(reason));
    if policy == ApproverPolicy::Denying {
        return deny("this approver denies every request".to_owned());
    }
    let name = &request.asked.subject.common_name;
    if let Err(reason) = recognise::kubelet_serving(&request.asked, &request.usages) {
        return deny(reason);
    }
    if *name != request.requestor.username {
        return deny(format!(
            "the common name {name} is not the requestor {}",
            request.requestor.username
        ));
    }
    if policy == ApproverPolicy::Naive {
        return Some(Decision::Approve(
            "the common name is the requestor's".to_owned(),
        ));
    }
    let own = name.strip_prefix(recognise::NODE_PREFIX).unwrap_or(name);
    let Some((_, address)) = nodes.iter().find(|(node, _)| *node == own) else {
        return deny(format!("there is no node {own}"));
    };
    if let Some(other) = request.asked.dns_names.iter().find(|one| *one != own) {
        return deny(format!("the DNS name {other} is not one of node {own}"));
    }
    if let Some(other) = request
        .asked
        .ip_addresses
        .iter()
        .find(|one| *one != address)
    {
        return deny(format!("the IP address {other} is not one of node {own}"));
    }
    Some(Decision::Approve(
        "common name, DNS names and IP addresses are the node's".to_owned(),
    ))
}

impl World {
    /// Installs, replaces or removes the approver of serving certificates.
    pub fn install_approver(&mut self, policy: Option<ApproverPolicy>) {
        self.serving_approver = policy;
        if self.is_real() {
            self.really(|reality| reality.install_approver(policy));
        } else {
            self.approval_changed();
        }
        self.touched();
    }

    /// What the installed approver says to a request; `None` where there is none or it is not its business.
    fn decision(&self, request: usize) -> Option<Decision> {
        let policy = match self.serving_approver {
            Some(ApproverPolicy::Strict) if !self.has(Mechanism::ApproverNames) => {
                ApproverPolicy::Naive
            }
            None if !self.has(Mechanism::ServingApproval) => ApproverPolicy::Naive,
            installed => installed?,
        };
        let nodes: Vec<(&str, IpAddr)> = self
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.address))
            .collect();
        decide(policy, &self.requests[request], &nodes)
    }

    /// Whether the approver has something to say and an API server hears it.
    pub(super) fn approver_decides(&self, request: usize) -> bool {
        self.decision(request).is_some() && self.some_api_server_works()
    }

    /// The approver's turn.
    pub(in crate::cluster) fn decide(&mut self, request: usize) {
        self.requests[request].scheduled = false;
        if self.requests[request].deleted
            || self.requests[request].state() != RequestState::Pending
            || !self.approver_decides(request)
        {
            return;
        }
        match self.decision(request) {
            Some(Decision::Approve(message)) => {
                self.condition(request, ConditionKind::Approved, "Approved", &message);
            }
            Some(Decision::Deny(message)) => {
                self.condition(request, ConditionKind::Denied, "Denied", &message);
            }
            None => {}
        }
    }
}
