//! `init phase certs`: CAs, leaves and the service account key, unless they exist already.

use super::certlist::{Ca, LEAVES, Leaf};
use super::config::{BACKDATE, InitConfiguration};
use super::failure::{Context as _, Failure, Result};
use super::loading::key_path;
use super::process::Process;
use super::renewal::{CertConfig, deduplicate};
use crate::pki::{
    Certificate, ExtKeyUsage, KeyAlgorithm, KeyUsage, PrivateKey, ServerName, Template, issue,
    request, verify_hostname,
};
use crate::time::shift;

/// Options of the certificate phases.
#[derive(Debug, Clone, Default)]
pub(super) struct CsrOptions {
    /// `--csr-only`.
    pub only: bool,
    /// `--csr-dir`.
    pub dir: Option<String>,
}

impl Process<'_, '_> {
    /// `init phase certs all`.
    ///
    /// # Errors
    /// At the first phase that fails.
    pub(super) fn create_all_certificates(
        &mut self,
        config: &InitConfiguration,
        external_ca: bool,
        csr: &CsrOptions,
    ) -> Result<()> {
        self.print(format!(
            "[certs] Using certificateDir folder {:?}",
            config.cluster.certificates_dir
        ));
        for ca in [Ca::Kubernetes, Ca::FrontProxy, Ca::Etcd] {
            self.create_ca(ca, config)
                .context(format!("error execution phase certs/{}", ca.name()))?;
            for leaf in LEAVES.iter().filter(|leaf| leaf.ca == ca) {
                self.create_leaf(leaf, config, csr)
                    .context(format!("error execution phase certs/{}", leaf.name))?;
            }
        }
        self.create_service_account(config, external_ca)
            .context("error execution phase certs/sa")
    }

    /// `init phase certs <ca>`.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn create_ca(&mut self, ca: Ca, config: &InitConfiguration) -> Result<()> {
        let (dir, base) = (&config.cluster.certificates_dir, ca.base_name());
        let skipped = config.cluster.external_etcd() && ca == Ca::Etcd;
        let skip = |process: &mut Self| {
            process.print(format!(
                "[certs] External etcd mode: Skipping {base} certificate authority generation"
            ));
        };
        if skipped && self.profile.external_etcd_first {
            skip(self);
            return Ok(());
        }
        if let Ok(certificate) = self.load_certificate(dir, base) {
            self.warn_about_period(base, &certificate);
            let keyless = if self.load_key(dir, base).is_ok() {
                ""
            } else {
                "keyless "
            };
            self.print(format!(
                "[certs] Using existing {base} {keyless}certificate authority"
            ));
            return Ok(());
        }
        if skipped {
            skip(self);
            return Ok(());
        }
        let (certificate, key) = self.new_ca(ca, config)?;
        if self.certificate_or_key_exists(dir, base) {
            // The certificate could not be loaded above, so this says why.
            let (existing, _) = self
                .load_pair(dir, base)
                .context(format!("failure loading {base} certificate"))?;
            if !existing.is_ca() {
                return Err(Failure::new(format!("certificate {base} is not a CA")));
            }
            self.print(format!(
                "[certs] Using the existing {base:?} certificate and key"
            ));
            return Ok(());
        }
        self.print(format!("[certs] Generating {base:?} certificate and key"));
        self.write_pair(dir, base, &certificate, &key)
            .context(format!("failure while saving {base} certificate and key"))
    }

    fn new_ca(&mut self, ca: Ca, config: &InitConfiguration) -> Result<(Certificate, PrivateKey)> {
        let stream = self.stream(ca.name());
        let key = self.new_key(&stream, config.cluster.algorithm);
        let not_before = if self.profile.ca_backdate {
            shift(self.now(), -BACKDATE)
        } else {
            self.now()
        };
        let not_after = self.end_of(config.cluster.ca_validity);
        let dns_names = if self.profile.ca_has_san {
            vec![ca.common_name().to_owned()]
        } else {
            Vec::new()
        };
        let template = Template {
            common_name: ca.common_name().to_owned(),
            dns_names,
            key_usage: Template::default().key_usage.and(KeyUsage::CERT_SIGN),
            not_before,
            not_after,
            serial: self.new_serial(&stream),
            is_ca: true,
            ..Template::default()
        };
        let certificate = issue::self_signed(&template, &key).map_err(|error| {
            Failure::new(error.to_string()).wrap("unable to create self-signed CA certificate")
        })?;
        Ok((certificate, key))
    }

    /// `init phase certs <leaf>`.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn create_leaf(
        &mut self,
        leaf: &Leaf,
        config: &InitConfiguration,
        csr: &CsrOptions,
    ) -> Result<()> {
        let dir = &config.cluster.certificates_dir;
        let base = leaf.base_name;
        let skipped = config.cluster.external_etcd() && leaf.ca == Ca::Etcd;
        if skipped && self.profile.external_etcd_first {
            self.print(format!(
                "[certs] External etcd mode: Skipping {base} certificate generation"
            ));
            return Ok(());
        }
        if let Some((certificate, intermediates)) = self.existing_leaf(dir, base) {
            self.warn_about_period(base, &certificate);
            let ca_base = leaf.ca.base_name();
            let authority = self
                .load_certificate(dir, ca_base)
                .context(format!("couldn't load CA certificate {}", leaf.ca.name()))?;
            self.warn_about_period(ca_base, &authority);
            self.verify_signed(&certificate, &intermediates, &authority)
                .context(format!(
                    "[certs] certificate {base} not signed by CA certificate {ca_base}"
                ))?;
            self.print(format!(
                "[certs] Using existing {base} certificate and key on disk"
            ));
            return Ok(());
        }
        if csr.only {
            self.print(format!(
                "[certs] Generating CSR for {base} instead of certificate"
            ));
            let csr_dir = csr.dir.clone().filter(|dir| !dir.is_empty());
            return self.create_leaf_request(leaf, config, csr_dir.as_deref().unwrap_or(dir));
        }
        if skipped {
            self.print(format!(
                "[certs] External etcd mode: Skipping {base} certificate authority generation"
            ));
            return Ok(());
        }
        let (authority, authority_key) = self
            .load_authority(dir, leaf.ca.base_name())
            .context(format!("couldn't load CA certificate {}", leaf.ca.name()))?;
        self.create_from_ca(leaf, config, &authority, &authority_key)
    }

    /// A leaf on disk that the phase would use: with its chain, or (in old versions) only if its
    /// key can be loaded too.
    fn existing_leaf(&self, dir: &str, base: &str) -> Option<(Certificate, Vec<Certificate>)> {
        if self.profile.verifies_whole_chain {
            self.load_chain(dir, base).ok()
        } else {
            self.load_pair(dir, base)
                .ok()
                .map(|(certificate, _)| (certificate, Vec::new()))
        }
    }

    fn create_from_ca(
        &mut self,
        leaf: &Leaf,
        config: &InitConfiguration,
        authority: &Certificate,
        authority_key: &PrivateKey,
    ) -> Result<()> {
        let mut cert_config = self
            .leaf_config(leaf, config)
            .context(format!("couldn't create {:?} certificate", leaf.name))?;
        if self.profile.leaf_backdate {
            cert_config.template.not_before = shift(self.now(), -BACKDATE);
        }
        cert_config.template.not_after = self.end_of(config.cluster.leaf_validity);
        if self.profile.deduplicates_sans {
            deduplicate(&mut cert_config.template);
        }
        let wanted = cert_config.template.clone();
        let backdated = self.profile.leaf_backdate;
        let (certificate, key) = self.new_pair(
            cert_config,
            config.cluster.algorithm,
            authority,
            authority_key,
            backdated,
        )?;
        self.write_leaf_if_absent(leaf, config, authority, &certificate, &key, &wanted)
            .context(format!(
                "failed to write or validate certificate {:?}",
                leaf.name
            ))
    }

    /// What a certificate of a server is for, behind the name that a version gives to this phase.
    pub(super) fn print_served_names(
        &mut self,
        phase: &str,
        base: &str,
        certificate: &Certificate,
    ) {
        if !certificate
            .ext_key_usages()
            .contains(&ExtKeyUsage::ServerAuth)
        {
            return;
        }
        let addresses: Vec<String> = certificate
            .ip_addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        self.print(format!(
            "[{phase}] {base} serving cert is signed for DNS names [{}] and IPs [{}]",
            certificate.dns_names().join(" "),
            addresses.join(" ")
        ));
    }

    fn write_leaf_if_absent(
        &mut self,
        leaf: &Leaf,
        config: &InitConfiguration,
        authority: &Certificate,
        certificate: &Certificate,
        key: &PrivateKey,
        wanted: &Template,
    ) -> Result<()> {
        let (dir, base) = (&config.cluster.certificates_dir, leaf.base_name);
        if !self.certificate_or_key_exists(dir, base) {
            self.print(format!("[certs] Generating {base:?} certificate and key"));
            self.write_pair(dir, base, certificate, key)
                .context(format!("failure while saving {base} certificate and key"))?;
            self.print_served_names("certs", base, certificate);
            return Ok(());
        }
        let (existing, intermediates) = if self.profile.verifies_whole_chain {
            self.load_key(dir, base)
                .context(format!("failure loading {base} key"))?;
            self.load_chain(dir, base)
                .context(format!("failure loading {base} certificate"))?
        } else {
            let (existing, _) = self
                .load_pair(dir, base)
                .context(format!("failure loading {base} certificate"))?;
            (existing, Vec::new())
        };
        self.warn_about_period(base, &existing);
        if self
            .verify_signed(&existing, &intermediates, authority)
            .is_err()
        {
            return Err(Failure::new(format!(
                "certificate {base} is not signed by corresponding CA"
            )));
        }
        let names = wanted
            .dns_names
            .iter()
            .map(|name| ServerName::new(name))
            .chain(wanted.ip_addresses.iter().map(|ip| ServerName::Ip(*ip)));
        for name in names {
            verify_hostname(&existing, &name).map_err(|error| {
                Failure::new(error.to_string()).wrap(format!("certificate {base} is invalid"))
            })?;
        }
        self.print(format!(
            "[certs] Using the existing {base:?} certificate and key"
        ));
        Ok(())
    }

    /// `init phase certs <leaf> --csr-only`.
    fn create_leaf_request(
        &mut self,
        leaf: &Leaf,
        config: &InitConfiguration,
        dir: &str,
    ) -> Result<()> {
        let base = leaf.base_name;
        let cert_config = self
            .leaf_config(leaf, config)
            .context("failed to retrieve cert configuration")?;
        let (pem, key) = self.new_request(cert_config, config.cluster.algorithm)?;
        let request_path = super::loading::request_path(dir, base);
        if !(self.is_absent(&request_path) && self.is_absent(&key_path(dir, base))) {
            self.load_request_and_key(dir, base).context(format!(
                "{base} CSR existed but it could not be loaded properly"
            ))?;
            self.print(format!("[certs] Using the existing {base:?} CSR"));
            return Ok(());
        }
        self.print(format!("[certs] Generating {base:?} key and CSR"));
        self.write_key(dir, base, &key)
            .context(format!("failure while saving {base} key"))?;
        self.write_request(dir, base, &pem)
            .context(format!("failure while saving {base} CSR"))
    }

    fn load_request_and_key(&self, dir: &str, base: &str) -> Result<()> {
        let path = super::loading::request_path(dir, base);
        let loading = if self.profile.verifies_whole_chain {
            format!("could not load CSR file: could not load the CSR {path}")
        } else {
            format!("couldn't load the certificate request {path}")
        };
        let content = self
            .tree()
            .read(&path)
            .context("failed to read file")
            .context(&loading)?;
        request::Request::from_pem(&content).map_err(|error| {
            Failure::new(format!(
                "error reading certificate request file {path}: {error}"
            ))
            .wrap(&loading)
        })?;
        let key_words = if self.profile.verifies_whole_chain {
            "could not load key file"
        } else {
            "couldn't load key file"
        };
        self.load_key(dir, base).context(key_words).map(|_| ())
    }

    /// A new key with a request for a certificate, as PEM.
    ///
    /// # Errors
    /// When a name cannot be written.
    pub(super) fn new_request(
        &mut self,
        config: CertConfig,
        algorithm: KeyAlgorithm,
    ) -> Result<(String, PrivateKey)> {
        let CertConfig {
            mut template,
            stream,
        } = config;
        let key = self.new_key(&stream, algorithm);
        if self.profile.deduplicates_sans {
            deduplicate(&mut template);
        }
        let subject = crate::pki::Name {
            common_name: template.common_name,
            organizations: template.organizations,
        };
        let der = request::create(&subject, &template.dns_names, &template.ip_addresses, &key)
            .map_err(|error| {
                Failure::new(error.to_string())
                    .wrap("failed to create a CSR")
                    .wrap("unable to generate CSR")
            })?;
        Ok((request::to_pem(&der), key))
    }

    /// `init phase certs sa`.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn create_service_account(
        &mut self,
        config: &InitConfiguration,
        external_ca: bool,
    ) -> Result<()> {
        if external_ca {
            self.print("[certs] Using existing sa keys");
            return Ok(());
        }
        let dir = &config.cluster.certificates_dir;
        match self.private_key_from(&key_path(dir, "sa")) {
            Ok(_) => {
                self.print("[certs] Using the existing \"sa\" key");
                return Ok(());
            }
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => {
                return Err(failure.wrap("file sa.key existed but it could not be loaded properly"));
            }
        }
        let stream = self.stream("sa");
        let key = self.new_key(&stream, config.cluster.algorithm);
        self.print("[certs] Generating \"sa\" key and public key");
        self.write_key(dir, "sa", &key)?;
        self.write_public_key(dir, "sa", &key.public_key())
    }

    /// `certs generate-csr`.
    ///
    /// # Errors
    /// At the first file that exists already or cannot be written.
    pub(super) fn generate_requests(
        &mut self,
        config: &InitConfiguration,
        kubeconfig_dir: &str,
    ) -> Result<()> {
        let dir = config.cluster.certificates_dir.clone();
        self.print(format!("generating keys and CSRs in {dir}"));
        for leaf in &LEAVES {
            let base = leaf.base_name;
            if !(self.is_absent(&super::loading::request_path(&dir, base))
                && self.is_absent(&key_path(&dir, base)))
            {
                return Err(Failure::new(format!(
                    "file already exists: key or CSR {dir}/{base}"
                )));
            }
            let cert_config = self.leaf_config(leaf, config)?;
            let (pem, key) = self.new_request(cert_config, config.cluster.algorithm)?;
            self.write_key(&dir, base, &key)?;
            self.write_request(&dir, base, &pem)?;
            self.print(format!("  {base}"));
        }
        self.generate_kubeconfig_requests(config, kubeconfig_dir)
    }
}
