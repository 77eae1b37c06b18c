//! An etcd of its own machines, made as documented under "Set up a High Availability etcd cluster with kubeadm":
//! all certificates are made on the first machine and copied to the others, the CA's key stays there.

use super::bootstrap::{CONFIG, ClusterError};
use super::node::PKI;
use super::world::World;
use crate::fs::Tree as _;
use crate::scenario::Component;

/// What is made for each machine, in the documented order.
pub const CERTIFICATES: [(&str, &str); 4] = [
    ("etcd-server", "etcd/server"),
    ("etcd-peer", "etcd/peer"),
    ("etcd-healthcheck-client", "etcd/healthcheck-client"),
    ("apiserver-etcd-client", "apiserver-etcd-client"),
];
/// What a control plane needs of it, below its certificates directory.
pub const FOR_CONTROL_PLANES: [&str; 3] = [
    "etcd/ca.crt",
    "apiserver-etcd-client.crt",
    "apiserver-etcd-client.key",
];

impl World {
    /// Machines of the external etcd; none where control planes run etcd themselves.
    fn etcd_machines(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].only_etcd())
            .collect()
    }

    /// `etcd.external.endpoints` of the cluster's configuration.
    pub(super) fn external_etcd_endpoints(&self) -> Vec<String> {
        self.etcd_machines()
            .into_iter()
            .map(|node| format!("https://{}:2379", self.nodes[node].address))
            .collect()
    }

    /// Makes the external etcd, where the cluster has one, and gives the first control plane what it needs of it.
    ///
    /// # Errors
    /// When a command fails or a member does not come up.
    pub(super) fn make_external_etcd(&mut self) -> Result<(), ClusterError> {
        let machines = self.etcd_machines();
        let Some(&first) = machines.first() else {
            return Ok(());
        };
        for &node in &machines {
            let config = self.configuration(node)?;
            self.put(node, CONFIG, &config, 0o644)?;
        }
        self.must(
            first,
            &format!("init phase certs etcd-ca --config {CONFIG}"),
        )?;
        // The first machine comes last: what is made for it stays.
        for &node in machines.iter().rev() {
            let config = format!("/tmp/{}/kubeadmcfg.yaml", self.nodes[node].address);
            let text = self.configuration(node)?;
            self.put(first, &config, &text, 0o644)?;
            for (name, _) in CERTIFICATES {
                self.must(first, &format!("init phase certs {name} --config {config}"))?;
            }
            if node != first {
                self.hand_over(first, node)?;
            }
        }
        for &node in &machines {
            self.write_manifests(node)?;
            self.note_created(node, "kubeadm init phase etcd local");
        }
        self.connect_nodes();
        for &node in &machines {
            self.start_kubelet(node);
        }
        for &node in &machines {
            self.wait_for(node, "etcd", |world| {
                world.nodes[node].process(Component::Etcd).is_some()
            })?;
        }
        for name in FOR_CONTROL_PLANES {
            let to = self.nodes[0].pki(name);
            self.copy_file(first, &format!("{PKI}/{name}"), 0, &to)?;
        }
        Ok(())
    }

    /// Moves what was made on the first machine to the one it was made for. The CA's key stays.
    fn hand_over(&mut self, first: usize, node: usize) -> Result<(), ClusterError> {
        let ca = format!("{PKI}/etcd/ca.crt");
        self.copy_file(first, &ca, node, &ca)?;
        for (_, base) in CERTIFICATES {
            for kind in ["crt", "key"] {
                let path = format!("{PKI}/{base}.{kind}");
                self.copy_file(first, &path, node, &path)?;
                self.nodes[first]
                    .tree
                    .remove(&path)
                    .map_err(|error| self.file_error(first, error))?;
            }
        }
        Ok(())
    }

    /// Copies a file with its mode.
    pub(super) fn copy_file(
        &mut self,
        from_node: usize,
        from: &str,
        to_node: usize,
        to: &str,
    ) -> Result<(), ClusterError> {
        let tree = &self.nodes[from_node].tree;
        let (content, mode) = tree
            .read(from)
            .and_then(|content| Ok((content, tree.metadata(from)?.mode)))
            .map_err(|error| self.file_error(from_node, error))?;
        let dir = to.rsplit_once('/').map_or("/", |(dir, _)| dir).to_owned();
        self.nodes[to_node]
            .tree
            .create_dir_all(&dir, 0o755)
            .and_then(|()| self.nodes[to_node].tree.write(to, &content, mode))
            .map_err(|error| self.file_error(to_node, error))
    }

    /// The `etcd` of a machine's ClusterConfiguration, as YAML; nothing where kubeadm's defaults do.
    pub(super) fn etcd_configuration(&self, node: usize, newest: bool) -> String {
        let machine = &self.nodes[node];
        if machine.only_etcd() {
            return self.member_configuration(node, newest);
        }
        let endpoints = self.external_etcd_endpoints();
        if endpoints.is_empty() {
            return String::new();
        }
        let list: String = endpoints
            .iter()
            .map(|endpoint| format!("    - {endpoint}\n"))
            .collect();
        let [ca, crt, key] = FOR_CONTROL_PLANES.map(|name| machine.pki(name));
        format!(
            "etcd:\n  external:\n    endpoints:\n{list}    caFile: {ca}\n    certFile: {crt}\n    keyFile: {key}\n"
        )
    }

    fn member_configuration(&self, node: usize, newest: bool) -> String {
        let machine = &self.nodes[node];
        let (name, address) = (&machine.name, machine.address);
        let members: Vec<String> = self
            .etcd_machines()
            .into_iter()
            .map(|node| {
                let machine = &self.nodes[node];
                format!("{}=https://{}:2380", machine.name, machine.address)
            })
            .collect();
        let mut text = format!(
            "etcd:\n  local:\n    serverCertSANs:\n    - \"{address}\"\n    peerCertSANs:\n    - \"{address}\"\n    extraArgs:\n"
        );
        for (flag, value) in [
            ("initial-cluster", members.join(",")),
            ("initial-cluster-state", "new".to_owned()),
            ("name", name.clone()),
            ("listen-peer-urls", format!("https://{address}:2380")),
            ("listen-client-urls", format!("https://{address}:2379")),
            ("advertise-client-urls", format!("https://{address}:2379")),
            (
                "initial-advertise-peer-urls",
                format!("https://{address}:2380"),
            ),
        ] {
            // v1beta4 has a list of names and values where older formats have a map.
            text += &if newest {
                format!("    - name: {flag}\n      value: {value}\n")
            } else {
                format!("      {flag}: {value}\n")
            };
        }
        text
    }
}
