//! Switches for the mechanisms that a row of the documentation rests on.
//!
//! A scenario shows a row only if it turns red where the row's mechanism is missing. Tests switch one
//! mechanism off and play the row's scenarios again; nothing else uses this.

use std::collections::BTreeSet;

use super::node::PKI;
use super::world::World;
use crate::fs::Tree;
use crate::kubeadm::CommandOutput;
use crate::pki::{ExtKeyUsage, KeyAlgorithm, KeySource as _};
use crate::time::{SignedDuration, Timestamp, shift};

/// Declares the mechanisms: what each is, its word and the rows that rest on it.
macro_rules! mechanisms {
    ($($(#[doc = $doc:literal])* $name:ident, $word:literal, [$($row:literal),*];)*) => {
        /// Something the world does because real clusters do it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Mechanism {
            $($(#[doc = $doc])* $name,)*
        }

        impl Mechanism {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in the output of tests.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Rows of the documentation and incidents that rest on it; where there is none, a tag of the scenario that shows it.
            #[must_use]
            pub fn rows(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($row),*],)* }
            }
        }
    };
}

mechanisms! {
    /// Certificates are refused after their NotAfter.
    Expiry, "expiry", ["D1", "S4", "S15", "S16", "S25", "S32", "S34", "S35", "S37"];
    /// `init` keeps a pair that is there already.
    KeptPairs, "kept-pairs", ["D2"];
    /// Commands work on the directory that they are told.
    CertificatesDir, "certificates-dir", ["D2", "S22"];
    /// A CA whose key is kept elsewhere is external.
    ExternalCa, "external-ca", ["D3", "D5", "S17", "S18", "S19", "S31"];
    /// A request carries no usages: its signer decides, rightly or wrongly.
    SignersUsages, "signers-usages", ["D17"];
    /// `check-expiration` counts from the node's clock.
    ResidualTime, "residual-time", ["D4", "S28", "S37"];
    /// The kubelet asks for a new client certificate at 70 to 90 % of the life of its old one.
    KubeletRotation, "kubelet-rotation", ["D6"];
    /// A kubelet does not start with a kubelet.conf whose certificate has ended.
    KubeletStartRule, "kubelet-start-rule", ["D7", "D8", "S1", "S2", "S11", "S12", "S13", "S14", "S39"];
    /// `kubeadm init` of 1.17 and later points kubelet.conf at the rotated file.
    KubeletFinalize, "kubelet-finalize", ["D8"];
    /// `kubeadm upgrade` renews certificates.
    UpgradeRenews, "upgrade-renews", ["D9", "S33"];
    /// `--certificate-renewal=false` is obeyed.
    RenewalFlag, "renewal-flag", ["D10"];
    /// `upgrade node` before 1.17 does not renew unless it is told to.
    NodeRenewalDefault, "node-renewal-default", ["D11", "S3"];
    /// `certs renew` writes new certificates.
    Renewal, "renewal", ["D12", "S23", "S33"];
    /// A process keeps what it has read until it starts again, except for what its version reloads.
    StaleMemory, "stale-memory", ["D13", "D19", "S7", "S8", "S9", "S10"];
    /// kube-apiserver takes its whole grace period to stop.
    SlowStop, "slow-stop", ["D14"];
    /// A renewal reaches the node it runs on, and no other.
    OneNode, "one-node", ["D15"];
    /// `certs renew` copies name and SANs from the certificate, not from the configuration.
    IdentityFromCertificate, "identity-from-certificate", ["D16"];
    /// The signer keeps to its flags: how long, with which file, whether at all.
    SignerFlags, "signer-flags", ["D18", "S21"];
    /// A controller-manager runs the controllers that its `--controllers` names, and no others.
    ControllerList, "controller-list", ["D3"];
    /// Nobody approves serving certificates unless someone installs an approver.
    ServingApproval, "serving-approval", ["D20", "D22", "S30"];
    /// A kubelet reads its own node's configuration file, not the ConfigMap.
    KubeletConfigFile, "kubelet-config-file", ["D21"];
    /// A strict approver compares DNS names and IP addresses with the node's.
    ApproverNames, "approver-names", ["D23"];
    /// A certificate is accepted only from who is trusted.
    Trust, "trust", ["S20", "S36"];
    /// An upgrade leaves a component alone, certificates and all, whose manifest stays the same.
    EqualManifests, "equal-manifests", ["S5", "S6"];
    /// A client may do what its bindings let it do.
    Bindings, "bindings", ["S26", "S27", "S38"];
    /// The kubelet starts a kube-apiserver anew whose etcd does not answer for long.
    Liveness, "liveness", ["health-check"];
    /// A member of etcd looks whether a peer's certificate carries the address that it comes from.
    PeerNames, "peer-names", ["S24"];
}

impl World {
    /// Switches a mechanism off for good. For tests.
    pub fn disable(&mut self, mechanism: Mechanism) {
        self.disabled.insert(mechanism);
        if mechanism == Mechanism::Expiry {
            self.verifications.ignore_time();
        }
        if mechanism == Mechanism::Trust {
            self.verifications.ignore_issuers();
        }
    }

    /// Whether some mechanism is off.
    pub(super) fn lacks_any(&self) -> bool {
        !self.disabled.is_empty()
    }

    /// Usages that a signer gives.
    pub(super) fn signers_usages(&self, wanted: &[ExtKeyUsage]) -> Vec<ExtKeyUsage> {
        if self.has(Mechanism::SignersUsages) {
            wanted.to_vec()
        } else {
            vec![ExtKeyUsage::ServerAuth, ExtKeyUsage::ClientAuth]
        }
    }

    /// What a command takes for the time.
    pub(super) fn wall_for_commands(&self, node: usize) -> Timestamp {
        if self.has(Mechanism::ResidualTime) {
            self.wall(node)
        } else {
            shift(self.wall(node), SignedDuration::from_hours(24 * 3))
        }
    }

    /// Runs a kubeadm command where something is off.
    pub(super) fn kubeadm_lacking(&mut self, node: usize, args: &[String]) -> CommandOutput {
        let kept;
        let args = if self.has(Mechanism::CertificatesDir) {
            args
        } else {
            kept = without_cert_dir(args);
            &kept
        };
        let renews = args.iter().any(|word| word == "renew");
        if !self.has(Mechanism::ExternalCa) {
            self.give_keys_to_cas(node);
        }
        let makes_all = args.join(" ").starts_with("init phase certs all");
        if makes_all && !self.has(Mechanism::KeptPairs) {
            let dir = self.nodes[node].certificates_dir.clone();
            // A node without the directory has nothing to lose.
            let _ = self.nodes[node].tree.remove_all(&dir);
        }
        let before =
            (renews && !self.has(Mechanism::Renewal)).then(|| self.nodes[node].tree.clone());
        let output = self.run_engine(node, args);
        if let Some(tree) = before {
            self.nodes[node].tree = tree;
        }
        if renews && !self.has(Mechanism::OneNode) && node == 0 {
            for other in 1..self.nodes.len() {
                if self.nodes[other].control_plane {
                    self.run_engine(other, args);
                }
            }
        }
        if renews && !self.has(Mechanism::IdentityFromCertificate) {
            self.issue_from_configuration(node);
        }
        output
    }

    /// Some key beside each CA that has none: kubeadm then takes it for its own.
    fn give_keys_to_cas(&mut self, node: usize) {
        for name in ["ca", "etcd/ca", "front-proxy-ca"] {
            let (crt, key) = (
                self.nodes[node].pki(&format!("{name}.crt")),
                self.nodes[node].pki(&format!("{name}.key")),
            );
            let tree = &self.nodes[node].tree;
            if !tree.exists(&crt) || tree.exists(&key) {
                continue;
            }
            let pem = self
                .keys
                .key("mechanism/external-ca", KeyAlgorithm::EcdsaP256)
                .to_pem();
            // Only for a test, as above.
            let _ = self.nodes[node].tree.write(&key, pem.as_bytes(), 0o600);
        }
    }

    /// What `certs renew` would do if it took names from the ConfigMap.
    fn issue_from_configuration(&mut self, node: usize) {
        const FILE: &str = "/from-configuration.yaml";
        let own = self.nodes[node]
            .tree
            .read("/kubeadm.yaml")
            .unwrap_or_default();
        let own = String::from_utf8_lossy(&own).into_owned();
        let cluster = self
            .config_maps
            .get("kubeadm-config")
            .and_then(|data| data.get("ClusterConfiguration"))
            .cloned()
            .unwrap_or_default();
        let first = own.split("---\n").next().unwrap_or_default();
        let tree = &mut self.nodes[node].tree;
        // What cannot be written makes the test fail, which is all that is needed.
        let _ = tree.write(FILE, format!("{first}---\n{cluster}").as_bytes(), 0o600);
        for name in ["apiserver.crt", "apiserver.key"] {
            let _ = tree.remove(&format!("{PKI}/{name}"));
        }
        let args = ["init", "phase", "certs", "apiserver", "--config", FILE].map(str::to_owned);
        self.run_engine(node, &args);
    }

    /// Whether a mechanism is on.
    pub(super) fn has(&self, mechanism: Mechanism) -> bool {
        !self.disabled.contains(&mechanism)
    }
}

/// A command line without `--cert-dir`.
fn without_cert_dir(args: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        if word == "--cert-dir" {
            rest.next();
        } else if !word.starts_with("--cert-dir=") {
            kept.push(word.clone());
        }
    }
    kept
}

/// Mechanisms that are off.
pub(super) type Disabled = BTreeSet<Mechanism>;
