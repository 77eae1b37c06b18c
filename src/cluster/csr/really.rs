//! A request that someone posts to a real cluster with a kubeconfig of a node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::by_hand::LOOKS;
use crate::cluster::world::World;
use crate::kubeadm::profile::signing::{REQUESTED_DURATION, REQUESTS_API, SIGNER_NAMES};
use crate::kubeadm::{CommandOutput, Version};
use crate::pki::{self, KeyAlgorithm, KeySource as _, Name};
use crate::scenario::RequestCertificate;

impl World {
    /// Posts a request with the kubectl of a real node, waits a little, and saves the certificate that is then
    /// in the API.
    pub(super) fn request_really(
        &mut self,
        node: usize,
        wanted: &RequestCertificate,
    ) -> CommandOutput {
        let machine = &self.nodes[node];
        let stream = format!("request/{}", machine.name);
        let version = machine.version;
        let name = format!("csr-{}", self.random.suffix("csr/name/by-hand", 5));
        let key = self.keys.key(&stream, KeyAlgorithm::EcdsaP256);
        let subject = Name {
            common_name: wanted.common_name.clone(),
            organizations: wanted.organizations.clone(),
        };
        let asked = pki::request::create(&subject, &wanted.dns_names, &wanted.ip_addresses, &key);
        let asked = match asked {
            Ok(der) => pki::request::to_pem(&der),
            Err(error) => {
                return CommandOutput {
                    exit_code: 1,
                    stdout: String::new(),
                    stderr: format!("error: the request cannot be written: {error}\n"),
                };
            }
        };
        let object = object(&name, &asked, wanted, version);
        let script = "cd \"$(mktemp -d)\" && cat > csr.yaml && kubectl --kubeconfig \"$0\" create -f csr.yaml";
        let words = ["sh", "-c", script, &wanted.kubeconfig].map(str::to_owned);
        let output = self.run_really(|reality| reality.run(node, &words, object.as_bytes()));
        let line = format!("--kubeconfig {} create -f csr.yaml", wanted.kubeconfig);
        self.command_ran(node, "kubectl", &line, &output);
        if output.exit_code != 0 {
            return output;
        }
        self.walk(LOOKS);
        self.look_at_reality(true);
        let certificate = self
            .requests
            .iter()
            .find(|request| request.name == name)
            .and_then(|request| request.certificate.clone());
        if let (Some(certificate), Some(path)) = (certificate, &wanted.save_to) {
            self.save_issued(node, path, &certificate, &key);
            self.write_to_reality();
        }
        output
    }
}

/// The object as kubectl reads it.
fn object(name: &str, asked: &str, wanted: &RequestCertificate, version: Version) -> String {
    let group = REQUESTS_API.at(version);
    let request = STANDARD.encode(asked);
    let mut text = format!(
        "apiVersion: certificates.k8s.io/{group}\nkind: CertificateSigningRequest\nmetadata:\n  name: {name}\nspec:\n  \
         request: {request}\n"
    );
    if *SIGNER_NAMES.at(version) {
        text += &format!("  signerName: {}\n", wanted.signer);
    }
    if let Some(seconds) = wanted
        .expiration_seconds
        .filter(|_| *REQUESTED_DURATION.at(version))
    {
        text += &format!("  expirationSeconds: {seconds}\n");
    }
    text += "  usages:\n";
    for usage in &wanted.usages {
        text += &format!("  - {usage}\n");
    }
    text
}
