//! `init phase kubeconfig`, `kubeconfig user`, and the kubeconfigs of `generate-csr`.

use super::certlist::{ConfigFile, config_files};
use super::config::{InitConfiguration, join_host_port, parse_host_port};
use super::failure::{Context as _, Failure, Result};
use super::loading::request_path;
use super::names::common_name;
use super::process::Process;
use super::renewal::CertConfig;
use crate::fs::{Errno, join};
use crate::pki::{Certificate, KeyAlgorithm, Kubeconfig, PrivateKey, Template};
use crate::time::Timestamp;

impl Process<'_, '_> {
    /// URL of the node's own API server.
    fn local_endpoint(&self, config: &InitConfiguration) -> String {
        let address = config.advertise_address.to_string();
        format!(
            "https://{}",
            join_host_port(&address, &config.bind_port.to_string())
        )
    }

    /// URL of the control plane's endpoint, or of the node's own API server without one.
    fn control_plane_url(&mut self, config: &InitConfiguration) -> Result<String> {
        let endpoint = &config.cluster.control_plane_endpoint;
        if endpoint.is_empty() {
            return Ok(self.local_endpoint(config));
        }
        let (host, port) = parse_host_port(endpoint).context(format!(
            "invalid value {endpoint:?} given for controlPlaneEndpoint"
        ))?;
        let own_port = config.bind_port.to_string();
        if !port.is_empty() && port != own_port {
            let text = "[endpoint] WARNING: port specified in controlPlaneEndpoint overrides bindPort in the controlplane address";
            if self.profile.port_warning_in_log {
                self.warn("endpoint.go:56", text);
            } else {
                self.print(text);
            }
        }
        let port = if port.is_empty() { own_port } else { port };
        Ok(format!("https://{}", join_host_port(&host, &port)))
    }

    fn url_for(&self, file: &ConfigFile, control_plane: &str, local: &str) -> String {
        if file.local_endpoint && self.profile.local_endpoints {
            local.to_owned()
        } else {
            control_plane.to_owned()
        }
    }

    /// `init phase kubeconfig <file>`.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn create_kubeconfig(
        &mut self,
        file: &ConfigFile,
        dir: &str,
        config: &InitConfiguration,
        external_ca: bool,
    ) -> Result<()> {
        if external_ca {
            self.print(format!(
                "[kubeconfig] External CA mode: Using user provided {}",
                file.name
            ));
            return Ok(());
        }
        let kubeconfig = self.new_kubeconfig(file, config)?;
        self.write_kubeconfig_if_absent(dir, file.name, &kubeconfig)
    }

    /// A kubeconfig with a new certificate.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn new_kubeconfig(
        &mut self,
        file: &ConfigFile,
        config: &InitConfiguration,
    ) -> Result<Kubeconfig> {
        let mut config = config.clone();
        if file.name == "kubelet.conf" && self.profile.kubelet_local_endpoint {
            config.cluster.control_plane_endpoint.clear();
        }
        let (ca, ca_key) = self.config_authority(&config)?;
        let control_plane = self.control_plane_url(&config)?;
        let url = self.url_for(file, &control_plane, &self.local_endpoint(&config));
        let cert_config = self.client_config(file, &config.node_name);
        let user = common_name(file, &config.node_name);
        self.client_kubeconfig(&config, cert_config, &user, &url, &ca, &ca_key)
    }

    fn config_authority(
        &mut self,
        config: &InitConfiguration,
    ) -> Result<(Certificate, PrivateKey)> {
        let (ca, key) = self
            .load_pair(&config.cluster.certificates_dir, "ca")
            .map_err(|failure| {
                if self.profile.ca_missing_words && failure.is_not_found() {
                    failure.wrap(
                        "the CA files do not exist, please run `kubeadm init phase certs ca` to generate it",
                    )
                } else {
                    failure.wrap("couldn't create a kubeconfig; the CA files couldn't be loaded")
                }
            })?;
        self.warn_about_period("ca", &ca);
        Ok((ca, key))
    }

    /// The kind of key that a new kubeconfig gets.
    pub(super) fn config_algorithm(&self, config: &InitConfiguration) -> KeyAlgorithm {
        if self.profile.config_keys_configured {
            config.cluster.algorithm
        } else {
            KeyAlgorithm::Rsa2048
        }
    }

    fn client_kubeconfig(
        &mut self,
        config: &InitConfiguration,
        mut cert_config: CertConfig,
        user: &str,
        url: &str,
        ca: &Certificate,
        ca_key: &PrivateKey,
    ) -> Result<Kubeconfig> {
        if cert_config.template.not_after == Template::default().not_after {
            cert_config.template.not_after = self.end_of(config.cluster.leaf_validity);
        }
        let algorithm = self.config_algorithm(config);
        let (certificate, key) = self
            .new_pair(cert_config, algorithm, ca, ca_key, false)
            .context(format!("failure while creating {user} client certificate"))?;
        let mut out = Kubeconfig::new(
            &config.cluster.cluster_name,
            user,
            url,
            ca.to_pem().as_bytes(),
        );
        if let Some(entry) = out.user_mut() {
            entry.set_data("client-key-data", key.to_pem().as_bytes());
            entry.set_data("client-certificate-data", certificate.to_pem().as_bytes());
        }
        Ok(out)
    }

    fn write_kubeconfig_if_absent(
        &mut self,
        dir: &str,
        name: &str,
        kubeconfig: &Kubeconfig,
    ) -> Result<()> {
        let path = join(dir, name);
        match self.validate_kubeconfig(dir, name, kubeconfig) {
            Ok(()) => {
                self.print(format!(
                    "[kubeconfig] Using existing kubeconfig file: {path:?}"
                ));
                Ok(())
            }
            Err(failure) if failure.is_not_found() && failure.depth == 0 => {
                self.print(format!("[kubeconfig] Writing {name:?} kubeconfig file"));
                self.write_kubeconfig(&path, kubeconfig)
                    .context(format!("failed to save kubeconfig file {path:?} on disk"))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Compares a kubeconfig on disk with the one that would be written.
    pub(super) fn validate_kubeconfig(
        &mut self,
        dir: &str,
        name: &str,
        expected: &Kubeconfig,
    ) -> Result<()> {
        let path = join(dir, name);
        self.tree().metadata(&path)?;
        let current = self.load_kubeconfig(&path).context(format!(
            "failed to load kubeconfig file {path} that already exists on disk"
        ))?;
        if current.context().is_none() || current.cluster().is_none() {
            if !self.profile.context_checked {
                return Err(Failure::nil_pointer());
            }
            return Err(Failure::new(if current.context().is_none() {
                format!("failed to find CurrentContext in Contexts of the kubeconfig file {path}")
            } else {
                format!(
                    "failed to find the given CurrentContext Cluster in Clusters of the kubeconfig file {path}"
                )
            }));
        }
        let data = |kubeconfig: &Kubeconfig| {
            kubeconfig
                .cluster()
                .map(|cluster| cluster.data("certificate-authority-data"))
                .unwrap_or_default()
        };
        let mut found = data(&current);
        let ca_file = current
            .cluster()
            .map_or("", |cluster| cluster.text("certificate-authority"));
        if found.trim_ascii().is_empty() && self.profile.config_ca_from_file && !ca_file.is_empty()
        {
            match self.tree().read(ca_file) {
                Ok(content) => found = content,
                Err(error) => {
                    let text = format!(
                        "failed to load CA cert from {ca_file:?} for kubeconfig {path:?}, {error}"
                    );
                    self.warn("kubeconfig.go:256", &text);
                }
            }
        }
        self.compare_ca(&path, &found, &data(expected))?;
        if current.server() != expected.server() {
            if !self.profile.other_server_is_warning {
                return Err(Failure::new(format!(
                    "a kubeconfig file {path:?} exists already but has got the wrong API Server URL"
                )));
            }
            let text = format!(
                "a kubeconfig file {path:?} exists already but has an unexpected API Server URL: expected: {}, got: {}",
                expected.server(),
                current.server()
            );
            self.warn("kubeconfig.go:291", &text);
        }
        Ok(())
    }

    fn compare_ca(&self, path: &str, found: &[u8], expected: &[u8]) -> Result<()> {
        if !self.profile.config_ca_by_certificate {
            let same = if self.profile.config_ca_trimmed {
                found.trim_ascii() == expected.trim_ascii()
            } else {
                found == expected
            };
            if same {
                return Ok(());
            }
            return Err(Failure::new(format!(
                "a kubeconfig file {path:?} exists already but has got the wrong CA cert"
            )));
        }
        let found = Certificate::parse_pem_certs(found).map_err(|_| {
            Failure::new(format!(
                "the kubeconfig file {path:?} contains an invalid CA cert"
            ))
        })?;
        let expected = Certificate::parse_pem_certs(expected).unwrap_or_default();
        if found.first().is_some_and(|first| expected.contains(first)) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "a kubeconfig file {path:?} exists but does not contain a trusted CA in its current context's cluster. Total CA certificates found: {}",
            found.len()
        )))
    }

    /// Checks the kubeconfigs that a user with an external CA has to provide.
    ///
    /// # Errors
    /// When one is missing or does not fit.
    pub(super) fn check_provided_kubeconfigs(
        &mut self,
        dir: &str,
        config: &InitConfiguration,
    ) -> Result<()> {
        let (ca, intermediates) = self
            .load_chain(&config.cluster.certificates_dir, "ca")
            .context("the CA file couldn't be loaded")?;
        self.warn_about_period("ca", &ca);
        let mut bundle = ca.to_pem();
        if self.profile.whole_ca_chain {
            for certificate in &intermediates {
                bundle.push_str(&certificate.to_pem());
            }
        }
        let local = self.local_endpoint(config);
        let control_plane = self.control_plane_url(config)?;
        let names: Vec<(&str, bool)> = if self.profile.local_endpoints {
            let mut names = vec![
                ("controller-manager.conf", true),
                ("scheduler.conf", true),
                ("admin.conf", false),
            ];
            if self.profile.whole_ca_chain {
                names.push(("super-admin.conf", false));
            }
            names.push(("kubelet.conf", false));
            names
        } else {
            [
                "admin.conf",
                "kubelet.conf",
                "controller-manager.conf",
                "scheduler.conf",
            ]
            .map(|name| (name, false))
            .to_vec()
        };
        for (name, is_local) in names {
            let url = if is_local { &local } else { &control_plane };
            let expected = Kubeconfig::new("dummy", "dummy", url, bundle.as_bytes());
            self.validate_kubeconfig(dir, name, &expected)
                .context(format!(
                    "the {name} file does not exists or it is not valid"
                ))?;
        }
        Ok(())
    }

    /// The kubeconfigs of `generate-csr`: a key, no certificate, no CA.
    ///
    /// # Errors
    /// At the first file that exists already or cannot be written.
    pub(super) fn generate_kubeconfig_requests(
        &mut self,
        config: &InitConfiguration,
        dir: &str,
    ) -> Result<()> {
        let control_plane = self.control_plane_url(config)?;
        let local = self.local_endpoint(config);
        self.print(format!("generating keys and CSRs in {dir}"));
        for file in config_files(&self.profile) {
            let path = join(dir, file.name);
            match self.tree().metadata(&path) {
                Ok(_) => {
                    return Err(Failure::new(format!(
                        "file already exists: kube config: {path}"
                    )));
                }
                Err(error) if error.errno == Errno::NotFound => {}
                Err(error) => {
                    return Err(Failure::from(error).wrap(format!(
                        "unexpected error while checking if file exists: {path}"
                    )));
                }
            }
            let key_path = super::loading::key_path(dir, file.name);
            if !(self.is_absent(&request_path(dir, file.name)) && self.is_absent(&key_path)) {
                return Err(Failure::new(format!("file already exists: csr: {path}")));
            }
            let cert_config = self.client_config(&file, &config.node_name);
            let algorithm = self.config_algorithm(config);
            let (pem, key) = self.new_request(cert_config, algorithm)?;
            let url = self.url_for(&file, &control_plane, &local);
            let user = common_name(&file, &config.node_name);
            let mut kubeconfig = Kubeconfig::new(&config.cluster.cluster_name, &user, &url, &[]);
            if let Some(entry) = kubeconfig.user_mut() {
                entry.set_data("client-key-data", key.to_pem().as_bytes());
            }
            self.write_kubeconfig(&path, &kubeconfig)?;
            self.write_request(dir, file.name, &pem)?;
            self.print(format!("  {}", file.name));
        }
        Ok(())
    }

    /// `kubeconfig user`: prints a kubeconfig with a token or a new client certificate.
    ///
    /// # Errors
    /// When the CA cannot be loaded.
    pub(super) fn print_user_kubeconfig(
        &mut self,
        config: &InitConfiguration,
        client: &str,
        organizations: &[String],
        token: Option<&str>,
        not_after: Option<Timestamp>,
    ) -> Result<()> {
        let (ca, ca_key) = self
            .load_pair(&config.cluster.certificates_dir, "ca")
            .context("couldn't create a kubeconfig; the CA files couldn't be loaded")?;
        self.warn_about_period("ca", &ca);
        let url = self.control_plane_url(config)?;
        let kubeconfig = match token {
            Some(token) => {
                let mut out = Kubeconfig::new(
                    &config.cluster.cluster_name,
                    client,
                    &url,
                    ca.to_pem().as_bytes(),
                );
                if let Some(entry) = out.user_mut() {
                    entry.set_text("token", token);
                }
                out
            }
            None => {
                let mut template = Template {
                    common_name: client.to_owned(),
                    organizations: organizations.to_vec(),
                    ext_key_usages: vec![crate::pki::ExtKeyUsage::ClientAuth],
                    ..Template::default()
                };
                if let Some(not_after) = not_after {
                    template.not_after = not_after;
                }
                let cert_config = CertConfig {
                    template,
                    stream: self.stream(client),
                };
                self.client_kubeconfig(config, cert_config, client, &url, &ca, &ca_key)?
            }
        };
        let text = kubeconfig.to_yaml(self.profile.kubeconfig_preferences);
        self.print(text);
        Ok(())
    }
}
