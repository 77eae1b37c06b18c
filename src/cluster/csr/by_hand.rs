//! A request that someone posts with a kubeconfig of a node: a user, or an attacker.

use super::{KUBELET_CLIENT, KUBELET_SERVING, Origin, Request, recognise};
use crate::cluster::edge::ClientSide;
use crate::cluster::rbac::Permission;
use crate::cluster::topology::ApiClient;
use crate::cluster::world::World;
use crate::kubeadm::CommandOutput;
use crate::kubeadm::profile::signing::{NODE_CSR_RESTRICTED, REQUESTED_DURATION};
use crate::pki::{self, Name};
use crate::scenario::{Component, RequestCertificate};
use crate::time::SignedDuration;

/// How long whoever posts a request looks at it.
pub(super) const LOOKS: SignedDuration = SignedDuration::from_secs(5);

impl World {
    /// Posts a request as `kubectl create -f` would, and waits a little for what becomes of it.
    pub fn request_by_hand(&mut self, node: usize, wanted: &RequestCertificate) -> CommandOutput {
        if self.is_real() {
            return self.request_really(node, wanted);
        }
        let (output, posted) = match self.post_by_hand(node, wanted) {
            Ok(name) => (
                CommandOutput {
                    exit_code: 0,
                    stdout: format!(
                        "certificatesigningrequest.certificates.k8s.io/{name} created\n"
                    ),
                    stderr: String::new(),
                },
                true,
            ),
            Err(stderr) => (
                CommandOutput {
                    exit_code: 1,
                    stdout: String::new(),
                    stderr: stderr + "\n",
                },
                false,
            ),
        };
        let line = format!("--kubeconfig {} create -f csr.yaml", wanted.kubeconfig);
        self.command_ran(node, "kubectl", &line, &output);
        if posted {
            self.walk(LOOKS);
        }
        output
    }

    fn post_by_hand(&mut self, node: usize, wanted: &RequestCertificate) -> Result<String, String> {
        let config = self
            .files
            .client_config(&self.nodes[node].tree, &wanted.kubeconfig)
            .map_err(|error| format!("error: {error}"))?;
        let client = ApiClient {
            node,
            side: ClientSide {
                component: Component::Admin,
                version: self.nodes[node].version,
                roots: Some(std::sync::Arc::clone(&config.roots)),
                credential: config.credential.clone(),
                name: config.host.clone(),
                at: self.wall(node),
            },
            config,
        };
        let requestor = self
            .authenticated(&client)
            .map_err(|failure| failure.text)?;
        let is_node = requestor.username.starts_with(recognise::NODE_PREFIX)
            && requestor.groups.iter().any(|group| group == "system:nodes");
        if !is_node && !self.allows(&requestor, Permission::CreateRequests) {
            return Err(format!(
                "Error from server (Forbidden): error when creating \"csr.yaml\": certificatesigningrequests.certificates.k8s.io is forbidden: User {:?} cannot create resource \"certificatesigningrequests\" in API group \"certificates.k8s.io\" at the cluster scope",
                requestor.username
            ));
        }
        let version = self.nodes[node].version;
        let name = format!("csr-{}", self.random.suffix("csr/name/by-hand", 5));
        if let Some(seconds) = wanted.expiration_seconds
            && *REQUESTED_DURATION.at(version)
            && seconds < 600
        {
            return Err(format!(
                "The CertificateSigningRequest {name:?} is invalid: spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration less than 600 seconds (10 minutes)"
            ));
        }
        let own = requestor.username.strip_prefix(recognise::NODE_PREFIX);
        let of_kubelets = [KUBELET_CLIENT, KUBELET_SERVING].contains(&wanted.signer.as_str());
        if let Some(own) = own
            && of_kubelets
            && *NODE_CSR_RESTRICTED.at(version)
            && wanted.common_name != requestor.username
        {
            return Err(format!(
                "Error from server (Forbidden): error when creating \"csr.yaml\": certificatesigningrequests.certificates.k8s.io {name:?} is forbidden: can only create a node CSR with CN=system:node:{own}"
            ));
        }
        let request = Request {
            name: name.clone(),
            requestor,
            signer: wanted.signer.clone(),
            usages: wanted.usages.clone(),
            // An API server that does not know the field drops it.
            expiration_seconds: wanted
                .expiration_seconds
                .filter(|_| *REQUESTED_DURATION.at(version)),
            asked: pki::Request {
                subject: Name {
                    common_name: wanted.common_name.clone(),
                    organizations: wanted.organizations.clone(),
                },
                dns_names: wanted.dns_names.clone(),
                ip_addresses: wanted.ip_addresses.clone(),
                spki: Vec::new(),
            },
            created: self.now(),
            created_ticks: self.clock.ticks(),
            conditions: Vec::new(),
            certificate: None,
            deleted: false,
            origin: Origin::Step {
                node,
                save_to: wanted.save_to.clone(),
            },
            key: None,
            scheduled: false,
            refused_by: None,
            cause: 0,
        };
        self.post(request);
        self.touched();
        Ok(name)
    }
}
