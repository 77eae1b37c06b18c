//! Reading the effective configuration from a running cluster.

use super::config::{InitConfiguration, KUBERNETES_DIR};
use super::process::Process;
use crate::fs::join;
use crate::pki::{Certificate, Kubeconfig, Source};

impl Process<'_, '_> {
    /// The configuration of the cluster, when its API server can be asked. Says on standard output
    /// what it tries and that it falls back, never why. `None`: fall back to `--config` or defaults.
    pub(super) fn cluster_configuration(
        &mut self,
        kubeconfig_path: &str,
        prefix: &str,
        cert_dir: Option<&str>,
        quiet: bool,
    ) -> Option<InitConfiguration> {
        let kubeconfig = self.tree().read(kubeconfig_path).ok()?;
        if !can_make_client(&kubeconfig, self) {
            return None;
        }
        if !quiet {
            let words = self.profile.cluster_words;
            for line in [words.reading, words.hint] {
                self.print(format!("[{prefix}] {line}"));
            }
        }
        match self.fetch_configuration(&kubeconfig) {
            Some(mut config) => {
                if !quiet {
                    self.print("");
                }
                if self.profile.cert_dir_overrides {
                    cert_dir
                        .unwrap_or(super::config::CERTIFICATES_DIR)
                        .clone_into(&mut config.cluster.certificates_dir);
                }
                Some(config)
            }
            None => {
                if !quiet {
                    self.print(format!(
                        "[{prefix}] Error reading configuration from the Cluster. Falling back to default configuration\n"
                    ));
                }
                None
            }
        }
    }

    fn fetch_configuration(&mut self, kubeconfig: &[u8]) -> Option<InitConfiguration> {
        let node_name = self.own_node_name();
        let kubelet_config = super::profile::kubelet_config_name(self.profile.version);
        let needs_node = self.profile.structured_output;
        let cluster = self.machine.cluster.as_deref_mut()?;
        let text = cluster
            .config_map(kubeconfig, "kubeadm-config")
            .ok()?
            .remove("ClusterConfiguration")?;
        let mut address = None;
        if needs_node {
            cluster.config_map(kubeconfig, &kubelet_config).ok()?;
            address = cluster.node(kubeconfig, &node_name).ok()?;
        }
        let stderr = self.stderr.len();
        let mut config = self.configuration_from(text.as_bytes()).ok()?;
        self.stderr.truncate(stderr);
        config.node_name = node_name;
        if let Some(address) = address {
            config.advertise_address = address;
        }
        Some(config)
    }

    /// The node's name from kubelet.conf's client certificate, else the host's name.
    fn own_node_name(&self) -> String {
        let from_certificate = || {
            let kubeconfig = self
                .load_kubeconfig(&join(KUBERNETES_DIR, "kubelet.conf"))
                .ok()?;
            let pem = match kubeconfig.client_certificate() {
                Source::Data(data) => data,
                Source::File(path) => self.tree().read(&path).ok()?,
                Source::Absent => return None,
            };
            let certificates = Certificate::parse_pem_certs(&pem).ok()?;
            certificates
                .first()?
                .common_name()
                .strip_prefix("system:node:")
                .map(str::to_owned)
        };
        from_certificate().unwrap_or_else(|| self.machine.hostname.clone())
    }
}

/// Whether client-go could make a client of a kubeconfig at all.
fn can_make_client(text: &[u8], process: &Process<'_, '_>) -> bool {
    let Ok(kubeconfig) = Kubeconfig::parse(text) else {
        return false;
    };
    if text.is_empty() || kubeconfig.server().is_empty() {
        return false;
    }
    let readable = |source: &Source| match source {
        Source::File(path) => process.tree().read(path).is_ok(),
        _ => true,
    };
    [
        kubeconfig.certificate_authority(),
        kubeconfig.client_certificate(),
        kubeconfig.client_key(),
    ]
    .iter()
    .all(readable)
}
