//! A cluster whose certificates have other dates than `kubeadm init` gives them: for incidents that were reported
//! with a table of dates.

use super::node::{KUBELET_CURRENT, Node};
use super::world::World;
use crate::fs::{MemoryTree, Tree as _};
use crate::kubeadm::certlist::{Ca, LEAVES};
use crate::pki::{Certificate, Kubeconfig, PrivateKey, Source, pem, reissue};
use crate::run::trace::{EventKind, Weight};
use crate::scenario::Dated;
use crate::time::{SignedDuration, Timestamp, shift};

/// What a leaf lives for unless said otherwise.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// What a CA lives for unless said otherwise.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// What everything needs to start again, or to fail, in virtual time.
const SETTLES_IN: SignedDuration = SignedDuration::from_secs(90);

/// Kubeconfigs that a CA's certificate is embedded in.
const KUBECONFIGS: [&str; 6] = [
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/kubelet.conf",
    "/root/.kube/config",
];

impl World {
    /// Issues certificates again with other dates, for the same names and keys by the same CAs, and restarts
    /// everything, so that every process holds what its files say.
    ///
    /// # Errors
    /// With a sentence, where a certificate is not there or cannot be written again.
    pub fn redate(&mut self, certificates: &[Dated]) -> Result<(), String> {
        self.refresh();
        let before = std::mem::replace(&mut self.setting_up, true);
        let result = self.redate_all(certificates);
        self.setting_up = before;
        let list: Vec<String> = certificates
            .iter()
            .map(|dated| format!("{} until {}", dated.name, dated.not_after))
            .collect();
        let text = format!(
            "certificates with other dates than init gave them: {}",
            list.join(", ")
        );
        self.record(EventKind::Note, Weight::Normal, None, "cluster", text, None);
        result
    }

    /// A machine that holds a CA's key, if any does. Every control plane has the same CAs.
    fn keeper(&self, ca: Ca) -> &Node {
        let key = |node: &&Node| {
            node.tree
                .exists(&node.pki(&format!("{}.key", ca.base_name())))
        };
        self.nodes.iter().find(key).unwrap_or(&self.nodes[0])
    }

    fn redate_all(&mut self, certificates: &[Dated]) -> Result<(), String> {
        for dated in certificates {
            let cannot = |error: String| format!("{} cannot get other dates: {error}", dated.name);
            if let Some(ca) = Ca::ALL.into_iter().find(|ca| ca.name() == dated.name) {
                let new = new_authority(self.keeper(ca), ca, dated).map_err(cannot)?;
                for node in &mut self.nodes {
                    spread_authority(node, ca, &new).map_err(cannot)?;
                }
                continue;
            }
            let ca = LEAVES
                .iter()
                .find(|leaf| leaf.name == dated.name)
                .map_or(Ca::Kubernetes, |leaf| leaf.ca);
            let key = ca_key(self.keeper(ca), ca).map_err(cannot)?;
            for node in &mut self.nodes {
                let has_it = match dated.name.as_str() {
                    "kubelet" | "kubelet.conf" => !node.only_etcd(),
                    "apiserver-etcd-client" => node.control_plane || node.etcd,
                    _ if ca == Ca::Etcd => node.etcd,
                    _ => node.control_plane,
                } && (node.ready.is_some() || node.only_etcd());
                if has_it {
                    redate_leaf(node, dated, &key).map_err(cannot)?;
                }
            }
        }
        self.touched();
        for node in 0..self.nodes.len() {
            self.power_off(node);
        }
        for node in 0..self.nodes.len() {
            self.power_on(node);
        }
        self.walk(SETTLES_IN);
        Ok(())
    }
}

/// First second of validity: as asked, else a usual life before the end, and never later than it was.
fn dates(certificate: &Certificate, dated: &Dated, life: SignedDuration) -> (Timestamp, Timestamp) {
    let from = dated
        .not_before
        .unwrap_or_else(|| certificate.not_before().min(shift(dated.not_after, -life)));
    (from, dated.not_after)
}

fn ca_key(node: &Node, ca: Ca) -> Result<PrivateKey, String> {
    let path = node.pki(&format!("{}.key", ca.base_name()));
    let text = node.tree.read(&path).map_err(|error| error.to_string())?;
    PrivateKey::from_pem(&text).map_err(|error| error.to_string())
}

fn new_authority(node: &Node, ca: Ca, dated: &Dated) -> Result<Certificate, String> {
    let old = certificate(&node.tree, &node.pki(&format!("{}.crt", ca.base_name())))?;
    let key = ca_key(node, ca)?;
    reissue(
        &old,
        old.spki_der(),
        &key,
        Some(dates(&old, dated, CA_LIFE)),
    )
    .map_err(|error| error.to_string())
}

/// Puts a CA's certificate wherever a node holds it.
fn spread_authority(node: &mut Node, ca: Ca, new: &Certificate) -> Result<(), String> {
    let crt = node.pki(&format!("{}.crt", ca.base_name()));
    if node.tree.exists(&crt) {
        replace(node, &crt, new)?;
    }
    if ca != Ca::Kubernetes {
        return Ok(());
    }
    for path in KUBECONFIGS {
        let Ok(text) = node.tree.read(path) else {
            continue;
        };
        let mut config = Kubeconfig::parse(&text).map_err(|error| error.to_string())?;
        if let Some(cluster) = config.cluster_mut() {
            cluster.set_data("certificate-authority-data", new.to_pem().as_bytes());
        }
        write(&mut node.tree, path, &config.to_yaml(false))?;
    }
    Ok(())
}

fn redate_leaf(node: &mut Node, dated: &Dated, key: &PrivateKey) -> Result<(), String> {
    let again = |old: &Certificate| {
        reissue(old, old.spki_der(), key, Some(dates(old, dated, LEAF_LIFE)))
            .map_err(|error| error.to_string())
    };
    let leaf = LEAVES.iter().find(|leaf| leaf.name == dated.name);
    let path = match (leaf, dated.name.as_str()) {
        (Some(leaf), _) => node.pki(&format!("{}.crt", leaf.base_name)),
        (None, "kubelet") => KUBELET_CURRENT.to_owned(),
        (None, config) => format!("/etc/kubernetes/{config}"),
    };
    if !dated.name.ends_with(".conf") {
        let new = again(&certificate(&node.tree, &path)?)?;
        return replace(node, &path, &new);
    }
    // super-admin.conf is on the first control plane only.
    let Ok(text) = node.tree.read(&path) else {
        return Ok(());
    };
    let mut config = Kubeconfig::parse(&text).map_err(|error| error.to_string())?;
    let Source::Data(data) = config.client_certificate() else {
        // A kubelet.conf that points at the kubelet's own file has no dates.
        return Ok(());
    };
    let new = again(&first(&data)?)?;
    if let Some(user) = config.user_mut() {
        user.set_data("client-certificate-data", new.to_pem().as_bytes());
    }
    write(&mut node.tree, &path, &config.to_yaml(false))
}

fn certificate(tree: &MemoryTree, path: &str) -> Result<Certificate, String> {
    first(&tree.read(path).map_err(|error| error.to_string())?)
}

fn first(text: &[u8]) -> Result<Certificate, String> {
    Certificate::parse_pem_certs(text)
        .map_err(|error| error.to_string())?
        .into_iter()
        .next()
        .ok_or_else(|| "there is no certificate in it".to_owned())
}

/// Puts a certificate in the place of the first of a file; everything else of the file stays.
fn replace(node: &mut Node, path: &str, new: &Certificate) -> Result<(), String> {
    let text = node.tree.read(path).map_err(|error| error.to_string())?;
    let rest: String = pem::blocks(&text)
        .skip(1)
        .map(|block| pem::encode(&block.kind, &block.bytes))
        .collect();
    write(&mut node.tree, path, &(new.to_pem() + &rest))
}

fn write(tree: &mut MemoryTree, path: &str, text: &str) -> Result<(), String> {
    tree.write(path, text.as_bytes(), 0o600)
        .map_err(|error| error.to_string())
}
