//! Who decides on serving certificates, where a scenario has someone: certdrill itself, with the rules of the simulation.
//!
//! It looks after every hop of the clocks, before the next one, and before every look of the scenario. Kubernetes has no such
//! approver; a team's own one comes with `image:` and `apply:`.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Kind;
use super::agent::{Edit, Order, encode};
use super::ask::kubectl;
use super::wait::pause;
use crate::cluster::csr::approver::{Decision, decide};
use crate::cluster::{EngineError, RequestState};
use crate::kubeadm::profile::signing::REQUESTS_API;
use crate::time::Timestamp;

/// How long the signer and the kubelet that asked get, in wall time.
const SIGNED_WITHIN: Duration = Duration::from_millis(600);

impl Kind {
    /// Decides on what is pending; whether there was something.
    pub(super) fn approve(&self) -> Result<bool, EngineError> {
        let Some(policy) = self.approver else {
            return Ok(false);
        };
        let Some((node, found)) = self.requests()? else {
            return Ok(false);
        };
        let member = &self.nodes[node];
        let machines: Vec<(&str, IpAddr)> = self
            .nodes
            .iter()
            .map(|member| (member.plan.name.as_str(), member.plan.address))
            .collect();
        let group = REQUESTS_API.at(member.plan.version);
        let mut order = Order::default();
        for (object, request) in found {
            if request.state() != RequestState::Pending {
                continue;
            }
            let Some(decision) = decide(policy, &request, &machines) else {
                continue;
            };
            let name = &request.name;
            let file = format!("/var/lib/certdrill/approval-{name}.json");
            let text = decided(object, &decision, self.instant_of_nodes()).to_string();
            order.changes.push(Edit::File(
                file.clone(),
                0o600,
                0,
                0,
                encode(text.as_bytes()),
            ));
            let path = format!(
                "/apis/certificates.k8s.io/{group}/certificatesigningrequests/{name}/approval"
            );
            // Who was decided on meanwhile stays as he is: that is a conflict, and no error.
            order.commands.push((
                name.clone(),
                kubectl(&[
                    "--kubeconfig=/etc/kubernetes/admin.conf",
                    "replace",
                    "--raw",
                    &path,
                    "-f",
                    &file,
                ]),
            ));
        }
        if order.commands.is_empty() {
            return Ok(false);
        }
        member.container.order(&order)?;
        pause(SIGNED_WITHIN);
        Ok(true)
    }
}

/// A request with a decision.
fn decided(mut object: Json, decision: &Decision, now: Timestamp) -> Json {
    let (kind, message) = match decision {
        Decision::Approve(message) => ("Approved", message),
        Decision::Deny(message) => ("Denied", message),
    };
    object["status"]["conditions"] = json!([{
        "type": kind,
        "status": "True",
        "reason": kind,
        "message": message,
        "lastUpdateTime": format!("{now:.0}"),
    }]);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_the_only_condition_of_what_was_pending() {
        let object = json!({ "metadata": { "name": "csr-1" }, "status": {} });
        let now = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let said = decided(object, &Decision::Deny("no".to_owned()), now);
        assert_eq!(said["metadata"]["name"], "csr-1");
        assert_eq!(said["status"]["conditions"][0]["type"], "Denied");
        assert_eq!(said["status"]["conditions"][0]["message"], "no");
        assert_eq!(
            said["status"]["conditions"][0]["lastUpdateTime"],
            "2026-03-01T12:00:00Z"
        );
    }
}
