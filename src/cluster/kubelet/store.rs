//! The files of a certificate manager (`client-go/util/certificate/certificate_store.go`).

use super::Manager;
use crate::cluster::node::{KUBELET_CLIENT, KUBELET_CONF, KUBELET_PKI};
use crate::cluster::world::World;
use crate::fs::Tree;

impl World {
    /// Certificate and key that kubelet.conf holds itself, as PEM.
    pub(super) fn embedded_pem(&self, node: usize) -> Option<(String, String)> {
        let bytes = self.nodes[node].tree.read(KUBELET_CONF).ok()?;
        let config = crate::pki::Kubeconfig::parse(&bytes).ok()?;
        let text = |source| match source {
            crate::pki::Source::Data(data) => Some(String::from_utf8_lossy(&data).into_owned()),
            _ => None,
        };
        Some((
            text(config.client_certificate())?,
            text(config.client_key())?,
        ))
    }

    /// Writes the pair of a kubelet that asks before its store is looked into (`bootstrap.go` of 1.10).
    pub(super) fn write_static_pair(&mut self, node: usize, crt: &str, key: &str) {
        let tree = &mut self.nodes[node].tree;
        // As in `store`.
        let _ = tree.create_dir_all(KUBELET_PKI, 0o755);
        let _ = tree.write(&format!("{KUBELET_CLIENT}.key"), key.as_bytes(), 0o600);
        let _ = tree.write(&format!("{KUBELET_CLIENT}.crt"), crt.as_bytes(), 0o644);
    }

    /// Writes a dated file and turns the symlink to it. Says whether that worked.
    pub(super) fn store(&mut self, node: usize, manager: Manager, crt: &str, key: &str) -> bool {
        let wall = self.wall(node);
        let stamp = jiff::fmt::strtime::format("%Y-%m-%d-%H-%M-%S", wall).unwrap_or_default();
        let prefix = manager.file_prefix();
        let dated = format!("{KUBELET_PKI}/{prefix}-{stamp}.pem");
        let updated = format!("{KUBELET_PKI}/{prefix}-updated.pem");
        let current = manager.current_file();
        let tree = &mut self.nodes[node].tree;
        // A disk that takes nothing leaves the kubelet with what it has in memory, as the real one.
        let _ = tree.create_dir_all(KUBELET_PKI, 0o755);
        let written = tree.write(&dated, format!("{crt}{key}").as_bytes(), 0o600);
        if written.is_err() {
            return false;
        }
        let _ = tree.remove(&updated);
        let _ = tree.symlink(&dated, &updated);
        let _ = tree.remove(current);
        tree.rename(&updated, current).is_ok()
    }
}
