//! The built-in approver: recognisers and their SubjectAccessReview.
//!
//! After `pkg/controller/certificates/approver/sarapprove.go` and `pkg/apis/certificates/helpers.go`.

use super::{ConditionKind, KUBELET_CLIENT, KUBELET_SERVING, Request};
use crate::cluster::managers::CSR_APPROVING;
use crate::cluster::rbac::{Permission, Requestor};
use crate::cluster::world::World;
use crate::pki;

/// `system:node:`, with which a kubelet's common name begins.
pub const NODE_PREFIX: &str = "system:node:";
const NODES: &str = "system:nodes";

/// What the approver says when it approves.
const SELF: &str = "Auto approving self kubelet client certificate after SubjectAccessReview.";
const OTHER: &str = "Auto approving kubelet client certificate after SubjectAccessReview.";

/// Whether usages are exactly these, with `key encipherment` or without.
fn usages_are(usages: &[String], purpose: &str) -> bool {
    let mut given: Vec<&str> = usages.iter().map(String::as_str).collect();
    given.sort_unstable();
    given.dedup();
    let mut short = vec!["digital signature", purpose];
    short.sort_unstable();
    let mut long = vec!["digital signature", "key encipherment", purpose];
    long.sort_unstable();
    given == short || given == long
}

/// `ValidateKubeletClientCSR`.
///
/// # Errors
/// With what the signer writes into the Failed condition.
pub fn kubelet_client(asked: &pki::Request, usages: &[String]) -> Result<(), String> {
    if asked.subject.organizations != [NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    if !asked.dns_names.is_empty() {
        return Err("DNS subjectAltNames are not allowed".to_owned());
    }
    if !asked.ip_addresses.is_empty() {
        return Err("IP subjectAltNames are not allowed".to_owned());
    }
    if !asked.subject.common_name.starts_with(NODE_PREFIX) {
        return Err("subject common name does not begin with system:node:".to_owned());
    }
    if !usages_are(usages, "client auth") {
        return Err(
            "usages did not match [client auth digital signature key encipherment]".to_owned(),
        );
    }
    Ok(())
}

/// `ValidateKubeletServingCSR`.
///
/// # Errors
/// With what the signer writes into the Failed condition.
pub fn kubelet_serving(asked: &pki::Request, usages: &[String]) -> Result<(), String> {
    if asked.subject.organizations != [NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    if asked.dns_names.is_empty() && asked.ip_addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    if !usages_are(usages, "server auth") {
        return Err(
            "usages did not match [digital signature key encipherment server auth]".to_owned(),
        );
    }
    if !asked.subject.common_name.starts_with(NODE_PREFIX) {
        return Err("subject common name does not begin with system:node:".to_owned());
    }
    Ok(())
}

/// What the signer of a name says to a request; other signers are not its business.
///
/// # Errors
/// With what it writes into the Failed condition.
pub fn fits_signer(signer: &str, asked: &pki::Request, usages: &[String]) -> Result<(), String> {
    match signer {
        KUBELET_CLIENT => kubelet_client(asked, usages),
        KUBELET_SERVING => kubelet_serving(asked, usages),
        super::API_CLIENT => {
            let known = ["digital signature", "key encipherment", "client auth"];
            if let Some(other) = usages.iter().find(|one| !known.contains(&one.as_str())) {
                return Err(format!("invalid usage for client certificate: {other}"));
            }
            if usages.iter().all(|one| one != "client auth") {
                return Err("missing required usage for client certificate: client auth".to_owned());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The permissions to ask for, in order, each with the message of its approval.
fn recognisers(request: &Request) -> Vec<(Permission, &'static str)> {
    if request.signer != KUBELET_CLIENT || kubelet_client(&request.asked, &request.usages).is_err()
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    if request.requestor.username == request.asked.subject.common_name {
        found.push((Permission::SelfNodeClient, SELF));
    }
    found.push((Permission::NodeClient, OTHER));
    found
}

/// The message with which a request is approved, if RBAC lets its author.
pub fn approval(
    request: &Request,
    allowed: impl Fn(&Requestor, Permission) -> bool,
) -> Option<&'static str> {
    recognisers(request)
        .into_iter()
        .find(|(permission, _)| allowed(&request.requestor, *permission))
        .map(|(_, message)| message)
}

impl World {
    /// What the built-in approver would say to a request, if it works.
    pub(in crate::cluster) fn recognised(&self, request: usize) -> Option<&'static str> {
        self.controller(CSR_APPROVING)?;
        approval(&self.requests[request], |who, permission| {
            self.allows(who, permission)
        })
    }

    /// The approver's turn.
    pub(in crate::cluster) fn approve_automatically(&mut self, request: usize) {
        self.requests[request].scheduled = false;
        if self.requests[request].deleted
            || self.requests[request].state() != super::RequestState::Pending
        {
            return;
        }
        if let Some(message) = self.recognised(request) {
            self.condition(request, ConditionKind::Approved, "AutoApproved", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Name;

    fn asked(common_name: &str, organizations: &[&str]) -> pki::Request {
        pki::Request {
            subject: Name {
                common_name: common_name.to_owned(),
                organizations: organizations.iter().map(|&one| one.to_owned()).collect(),
            },
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            spki: Vec::new(),
        }
    }

    fn usages(list: &[&str]) -> Vec<String> {
        list.iter().map(|&one| one.to_owned()).collect()
    }

    #[test]
    fn client_requests_must_have_the_exact_shape() {
        let client = usages(&["client auth", "digital signature"]);
        let good = asked("system:node:w1", &[NODES]);
        assert_eq!(kubelet_client(&good, &client), Ok(()));
        let rsa = usages(&["digital signature", "key encipherment", "client auth"]);
        assert_eq!(kubelet_client(&good, &rsa), Ok(()));
        let mut named = good.clone();
        named.dns_names.push("w1".to_owned());
        let mut addressed = good.clone();
        addressed.ip_addresses.push([10, 0, 0, 50].into());
        for (request, usages, error) in [
            (
                &asked("system:node:w1", &[NODES, "system:masters"]),
                &client,
                "subject organization is not system:nodes",
            ),
            (
                &asked("w1", &[NODES]),
                &client,
                "subject common name does not begin with system:node:",
            ),
            (&named, &client, "DNS subjectAltNames are not allowed"),
            (&addressed, &client, "IP subjectAltNames are not allowed"),
            (
                &good,
                &usages(&["digital signature", "client auth", "server auth"]),
                "usages did not match [client auth digital signature key encipherment]",
            ),
        ] {
            assert_eq!(kubelet_client(request, usages), Err(error.to_owned()));
        }
    }

    #[test]
    fn serving_requests_need_a_name_or_an_address() {
        let server = usages(&["digital signature", "server auth"]);
        let mut request = asked("system:node:w1", &[NODES]);
        assert_eq!(
            kubelet_serving(&request, &server),
            Err("DNS or IP subjectAltName is required".to_owned())
        );
        request.dns_names.push("w1".to_owned());
        assert_eq!(kubelet_serving(&request, &server), Ok(()));
        assert!(kubelet_serving(&request, &usages(&["client auth"])).is_err());
    }

    #[test]
    fn api_clients_may_only_be_clients() {
        let request = asked("jane", &["dev"]);
        let check = |list: &[&str]| fits_signer(super::super::API_CLIENT, &request, &usages(list));
        assert_eq!(check(&["client auth"]), Ok(()));
        assert_eq!(
            check(&["client auth", "server auth"]),
            Err("invalid usage for client certificate: server auth".to_owned())
        );
        assert_eq!(
            check(&["digital signature"]),
            Err("missing required usage for client certificate: client auth".to_owned())
        );
    }
}
