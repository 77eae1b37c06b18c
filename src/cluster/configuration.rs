//! The configuration files that machines of a world are made with.

use super::bootstrap::ClusterError;
use super::topology::{API_PORT, LOAD_BALANCER};
use super::world::World;
use crate::kubeadm::profile::upgrade::CONFIG_API;
use crate::pki::KeyAlgorithm;

impl World {
    pub(super) fn endpoint(&self) -> String {
        let control_planes = self.nodes.iter().filter(|node| node.control_plane).count();
        if control_planes > 1 {
            format!("{LOAD_BALANCER}:{API_PORT}")
        } else {
            format!("{}:{API_PORT}", self.nodes[0].address)
        }
    }

    /// /kubeadm.yaml of a node.
    ///
    /// # Errors
    /// When the version has no such setting.
    pub(super) fn configuration(&self, node: usize) -> Result<String, ClusterError> {
        let version = self.nodes[node].version;
        let api = *CONFIG_API.at(version);
        let newest = api.ends_with("v1beta4");
        let wrong = |setting| ClusterError::Setting {
            setting,
            since: "v1.31.0",
            version: version.to_string(),
        };
        let mut cluster = format!(
            "apiVersion: {api}\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n"
        );
        let of_cluster = !self.nodes[node].only_etcd();
        if of_cluster && self.nodes.iter().filter(|node| node.control_plane).count() > 1 {
            cluster += &format!("controlPlaneEndpoint: {}\n", self.endpoint());
        }
        if let Some(dir) = self.spec.certificates_dir.as_ref().filter(|_| of_cluster) {
            cluster += &format!("certificatesDir: {dir}\n");
        }
        match self.spec.key_algorithm {
            None | Some(KeyAlgorithm::Rsa2048) => {}
            Some(algorithm) if newest => {
                let name = match algorithm {
                    KeyAlgorithm::Rsa3072 => "RSA-3072",
                    KeyAlgorithm::Rsa4096 => "RSA-4096",
                    KeyAlgorithm::EcdsaP384 => "ECDSA-P384",
                    _ => "ECDSA-P256",
                };
                cluster += &format!("encryptionAlgorithm: {name}\n");
            }
            Some(_) => return Err(wrong("keyAlgorithm")),
        }
        for (name, setting, value) in [
            (
                "certificateValidityPeriod",
                "certificateValidity",
                self.spec.certificate_validity,
            ),
            (
                "caCertificateValidityPeriod",
                "caValidity",
                self.spec.ca_validity,
            ),
        ] {
            if let Some(value) = value {
                if !newest {
                    return Err(wrong(setting));
                }
                cluster += &format!("{name}: {}s\n", value.as_secs());
            }
        }
        cluster += &self.etcd_configuration(node, newest);
        if of_cluster && !self.spec.controller_manager_args.is_empty() {
            // v1beta4 has a list of names and values where older formats have a map.
            cluster += "controllerManager:\n  extraArgs:\n";
            for (name, value) in &self.spec.controller_manager_args {
                cluster += &if newest {
                    format!("  - name: {name}\n    value: {value:?}\n")
                } else {
                    format!("    {name}: {value:?}\n")
                };
            }
        }
        if of_cluster && self.spec.server_tls_bootstrap {
            cluster = format!("{}---\n{cluster}", self.kubelet_configuration());
        }
        Ok(format!(
            "apiVersion: {api}\nkind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: {}\n  bindPort: {API_PORT}\nnodeRegistration:\n  name: {}\n---\n{cluster}",
            self.nodes[node].address, self.nodes[node].name
        ))
    }
}
