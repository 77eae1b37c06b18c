//! What a kubelet serves port 10250 with (`cmd/kubelet/app/server.go InitializeTLS`, `pkg/kubelet/kubelet.go`).
//!
//! Unless told otherwise it is a certificate that it signs itself, for a year, made only where the files cannot
//! be read, and never renewed. With `serverTLSBootstrap: true` it is requested from the cluster, and until that is
//! issued every handshake fails.

use std::sync::Arc;

use super::Manager;
use crate::cluster::files::Credential;
use crate::cluster::mechanism::Mechanism;
use crate::cluster::node::{KUBELET_CONFIG, KUBELET_PKI, Rotation, SERVING_CURRENT};
use crate::cluster::world::World;
use crate::fs::Tree;
use crate::kubeadm::profile::signing::SERVING_FILE_RELOADS;
use crate::pki::{ExtKeyUsage, KeyAlgorithm, KeySource, KeyUsage, issue, self_made_name};
use crate::time::{SignedDuration, shift};

const CRT: &str = "/var/lib/kubelet/pki/kubelet.crt";
const KEY: &str = "/var/lib/kubelet/pki/kubelet.key";
/// The certificate begins an hour before it is made.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);
const YEAR: SignedDuration = SignedDuration::from_hours(8760);

impl World {
    /// Reads the kubelet's configuration and, where it serves with files, those.
    ///
    /// # Errors
    /// With what a kubelet ends with.
    pub(super) fn load_serving(&mut self, node: usize) -> Result<(), String> {
        let config = if self.has(Mechanism::KubeletConfigFile) {
            self.nodes[node]
                .tree
                .read(KUBELET_CONFIG)
                .unwrap_or_default()
        } else {
            let map = self.config_maps.get(&self.kubelet_config_map());
            map.and_then(|data| data.get("kubelet"))
                .map_or_else(Vec::new, |text| text.clone().into_bytes())
        };
        let bootstrap = String::from_utf8_lossy(&config)
            .lines()
            .any(|line| line.trim_end() == "serverTLSBootstrap: true");
        let serving = &mut self.nodes[node].kubelet.serving;
        serving.bootstrap = bootstrap;
        serving.rotation = Rotation::Idle;
        serving.deadline = None;
        serving.current = None;
        if bootstrap {
            return Ok(());
        }
        let tree = &self.nodes[node].tree;
        match (tree.read(CRT).is_ok(), tree.read(KEY).is_ok()) {
            (true, true) => {}
            (false, false) => self.make_self_signed(node),
            (false, true) => {
                return Err(format!(
                    "error reading {CRT}, certificate and key must be supplied as a pair"
                ));
            }
            (true, false) => {
                return Err(format!(
                    "error reading {KEY}, certificate and key must be supplied as a pair"
                ));
            }
        }
        let pair = self.files.pair(&self.nodes[node].tree, CRT, KEY);
        self.nodes[node].kubelet.serving.current = match pair {
            Ok(pair) => Some(pair),
            Err(error) => return Err(format!("failed to load certificate: {error}")),
        };
        Ok(())
    }

    /// Starts the manager of the serving certificate, where there is one.
    pub(super) fn start_serving(&mut self, node: usize) {
        if !self.nodes[node].kubelet.serving.bootstrap {
            return;
        }
        let now = self.wall(node);
        let stored = self
            .files
            .pair(&self.nodes[node].tree, SERVING_CURRENT, SERVING_CURRENT)
            .ok()
            .filter(|pair| now < pair.not_after());
        let machine = &self.nodes[node];
        // A certificate without one of the node's names is requested anew at once.
        let satisfies = stored.as_ref().is_some_and(|pair| {
            pair.certificate.dns_names().contains(&machine.name)
                && pair.certificate.ip_addresses().contains(&machine.address)
        });
        let found = stored.is_some();
        self.nodes[node].kubelet.serving.current = stored;
        if found && satisfies {
            self.draw_deadline(node, Manager::Serving, false);
            return;
        }
        // The addresses of the Node must have been seen once.
        self.nodes[node].kubelet.serving.deadline = Some(now);
        let wait = self.random.between("kubelet/addresses", 1_000, 3_000);
        self.attempt_after(node, Manager::Serving, 1, wait);
    }

    /// Takes changed files into use, where the version does.
    pub(super) fn reload_serving(&mut self, node: usize) {
        if self.nodes[node].kubelet.serving.bootstrap
            || !*SERVING_FILE_RELOADS.at(self.nodes[node].version)
        {
            return;
        }
        if let Ok(pair) = self.files.pair(&self.nodes[node].tree, CRT, KEY) {
            self.nodes[node].kubelet.serving.current = Some(pair);
        }
    }

    /// What a kubelet shows at a handshake; nothing when it has no certificate, or one that has ended and was to be
    /// rotated.
    #[must_use]
    pub fn shown_by_kubelet(&self, node: usize) -> Option<Arc<Credential>> {
        let now = self.wall(node);
        let serving = &self.nodes[node].kubelet.serving;
        serving
            .current
            .clone()
            .filter(|current| !serving.bootstrap || now <= current.not_after())
    }

    /// `GenerateSelfSignedCertKey` (`client-go/util/cert/cert.go`): a CA that is thrown away, and a leaf below it.
    fn make_self_signed(&mut self, node: usize) {
        let name = self.nodes[node].name.clone();
        let now = self.wall(node);
        let not_before = shift(now, -EARLIER);
        let not_after = shift(not_before, YEAR);
        let stream = format!("kubelet/{name}/self-signed");
        let ca_key = self.keys.key(&stream, KeyAlgorithm::Rsa2048);
        let key = self.keys.key(&stream, KeyAlgorithm::Rsa2048);
        let second = now.as_second();
        let usage = KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT);
        let ca = issue::Template {
            common_name: self_made_name(&name, second),
            key_usage: usage.and(KeyUsage::CERT_SIGN),
            not_before,
            not_after,
            serial: self.keys.serial(&stream),
            is_ca: true,
            ..issue::Template::default()
        };
        let leaf = issue::Template {
            common_name: format!("{name}@{second}"),
            dns_names: vec![name],
            ext_key_usages: vec![ExtKeyUsage::ServerAuth],
            key_usage: usage,
            not_before,
            not_after,
            serial: self.keys.serial(&stream),
            ..issue::Template::default()
        };
        let made = issue::self_signed(&ca, &ca_key).and_then(|ca| {
            let leaf = issue::sign(&leaf, key.spki_der(), &ca, &ca_key)?;
            Ok(format!("{}{}", leaf.to_pem(), ca.to_pem()))
        });
        let Ok(crt) = made else {
            return;
        };
        let tree = &mut self.nodes[node].tree;
        // A disk that takes nothing is met again when the files are read.
        let _ = tree
            .create_dir_all(KUBELET_PKI, 0o755)
            .and_then(|()| tree.write(CRT, crt.as_bytes(), 0o644))
            .and_then(|()| tree.write(KEY, key.to_pem().as_bytes(), 0o600));
    }
}
