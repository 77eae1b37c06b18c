//! `certs renew`: a new key and certificate with the identity of the old one.

use std::net::IpAddr;

use super::certlist::{CLUSTER_ADMINS, MASTERS, Managed, managed};
use super::config::{BACKDATE, ClusterConfiguration, KUBERNETES_DIR};
use super::failure::{Context as _, Failure, Result};
use super::loading::certificate_path;
use super::process::Process;
use super::profile::Profile;
use super::{Machine, Version};
use crate::fs::join;
use crate::pki::{Certificate, IssueError, KeyAlgorithm, Kubeconfig, PrivateKey, Template, issue};
use crate::time::{Timestamp, shift};

/// What came of the renewal of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// A new key and certificate are on disk.
    Renewed,
    /// The CA's key is kept elsewhere; nothing was done.
    External,
    /// There is nothing to renew (only `certs renew` from 1.17 on; elsewhere it is an error).
    Missing,
}

/// Renews one certificate as `upgrade` does: a missing one is an error.
///
/// # Errors
/// With kubeadm's text.
pub fn renew(
    version: Version,
    machine: &mut Machine<'_>,
    name: &str,
    config: &ClusterConfiguration,
) -> std::result::Result<Renewal, String> {
    let mut process = Process::new(version, machine);
    process
        .renew_using_local_ca(name, config)
        .map_err(|failure| failure.text)
}

/// Names of everything that `renew all` handles, in order.
#[must_use]
pub fn names(version: Version, config: &ClusterConfiguration) -> Vec<&'static str> {
    managed(&Profile::of(version), config.external_etcd())
        .iter()
        .map(Managed::name)
        .collect()
}

/// The organizations that a certificate has after its renewal. They are those it had, but for 1.29: that takes the API server's
/// clients out of `system:masters`, as it makes new ones without it (phases/certs/renewal/manager.go, kubernetes#121841).
#[must_use]
pub fn organizations_after(profile: &Profile, name: &str, before: &[String]) -> Vec<String> {
    let kubelet_client = name == "apiserver-kubelet-client";
    let moved =
        kubelet_client || ["apiserver-etcd-client", "etcd-healthcheck-client"].contains(&name);
    if !moved || !profile.renewal_moves_groups {
        return before.to_vec();
    }
    let mut after: Vec<String> = before
        .iter()
        .filter(|organization| *organization != MASTERS)
        .cloned()
        .collect();
    if kubelet_client
        && !after
            .iter()
            .any(|organization| organization == CLUSTER_ADMINS)
    {
        after.push(CLUSTER_ADMINS.to_owned());
    }
    after
}

/// A subject with its names and usages, to be put into a certificate or request.
#[derive(Debug, Clone, Default)]
pub(super) struct CertConfig {
    pub template: Template,
    /// Where keys and serial numbers are drawn.
    pub stream: String,
}

/// Drops duplicate names and sorts the DNS names, as `RemoveDuplicateAltNames`.
pub(super) fn deduplicate(template: &mut Template) {
    template.dns_names.sort_unstable();
    template.dns_names.dedup();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in std::mem::take(&mut template.ip_addresses) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    template.ip_addresses = addresses;
}

/// The certificate that a kubeconfig or file holds, with the kubeconfig to be rewritten.
struct Existing {
    certificate: Certificate,
    kubeconfig: Option<(Kubeconfig, Option<Certificate>)>,
}

impl Process<'_, '_> {
    /// Renews what is there; says what is missing where the version does.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn renew_and_report(
        &mut self,
        managed: &Managed,
        config: &ClusterConfiguration,
    ) -> Result<Renewal> {
        let long_name = managed.long_name(&self.profile);
        let known = !config.external_etcd() || managed.ca() != super::certlist::Ca::Etcd;
        if self.profile.missing_is_reported && !(known && self.managed_exists(managed, config)?) {
            self.print(format!("MISSING! {long_name}"));
            return Ok(Renewal::Missing);
        }
        let renewal = self.renew_using_local_ca(managed.name(), config)?;
        match renewal {
            Renewal::Renewed => self.print(format!("{long_name} renewed")),
            Renewal::External => self.print(format!(
                "Detected external {}, {long_name} can't be renewed",
                managed.ca().base_name()
            )),
            Renewal::Missing => {}
        }
        Ok(renewal)
    }

    /// Whether a managed certificate's file exists and is no directory.
    ///
    /// # Errors
    /// 1.17 crashes when `stat` fails for another reason than absence.
    pub(super) fn managed_exists(
        &self,
        managed: &Managed,
        config: &ClusterConfiguration,
    ) -> Result<bool> {
        let path = match managed {
            Managed::Leaf(leaf) => certificate_path(&config.certificates_dir, leaf.base_name),
            Managed::Config(file) => join(KUBERNETES_DIR, file.name),
        };
        self.file_exists(&path)
    }

    /// Whether a path exists and is no directory.
    ///
    /// # Errors
    /// As [`Process::managed_exists`].
    pub(super) fn file_exists(&self, path: &str) -> Result<bool> {
        match self.tree().metadata(path) {
            Ok(found) => Ok(!found.is_dir()),
            Err(error) if error.errno == crate::fs::Errno::NotFound => Ok(false),
            Err(_) if self.profile.stat_failure_is_panic => Err(Failure::nil_pointer()),
            Err(_) => Ok(false),
        }
    }

    /// Renews one certificate with the CA on disk.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn renew_using_local_ca(
        &mut self,
        name: &str,
        config: &ClusterConfiguration,
    ) -> Result<Renewal> {
        let managed = self.find_managed(name, config)?;
        let dir = &config.certificates_dir;
        if self.is_externally_managed(dir, managed.ca())? {
            return Ok(Renewal::External);
        }
        let existing = self.read_managed(&managed, config)?;
        let mut cert_config = self.identity_of(&existing.certificate, name);
        if self.profile.leaf_backdate {
            cert_config.template.not_before = shift(self.now(), -BACKDATE);
        }
        cert_config.template.not_after = shift(self.now(), config.leaf_validity);
        let (ca, ca_key) = self.load_authority(dir, managed.ca().base_name())?;
        let backdated = self.profile.leaf_backdate;
        let (certificate, key) = self
            .new_pair(cert_config, config.algorithm, &ca, &ca_key, backdated)
            .context(format!("failed to renew certificate {name}"))?;
        self.write_managed(&managed, config, existing, &certificate, &key)?;
        Ok(Renewal::Renewed)
    }

    fn find_managed(&self, name: &str, config: &ClusterConfiguration) -> Result<Managed> {
        managed(&self.profile, config.external_etcd())
            .into_iter()
            .find(|managed| managed.name() == name)
            .ok_or_else(|| {
                Failure::new(format!(
                    "{name} is not a valid certificate for this cluster"
                ))
            })
    }

    /// Writes `DIR/<name>.key` and `DIR/<name>.csr` with the identity of an existing certificate.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn create_renew_request(
        &mut self,
        name: &str,
        out_dir: &str,
        config: &ClusterConfiguration,
    ) -> Result<()> {
        let managed = managed(&self.profile, config.external_etcd())
            .into_iter()
            .find(|managed| managed.name() == name)
            .ok_or_else(|| Failure::new(format!("{name} is not a known certificate")))?;
        let existing = self.read_managed(&managed, config)?;
        let cert_config = self.identity_of(&existing.certificate, name);
        let (request, key) = self.new_request(cert_config, config.algorithm)?;
        self.write_key(out_dir, name, &key)
            .context(format!("failure while saving {name} key"))?;
        self.write_request(out_dir, name, &request)
            .context(format!("failure while saving {name} CSR"))
    }

    /// What renewal keeps of a certificate: CN, O, DNS names, addresses, known usages.
    pub(super) fn identity_of(&self, certificate: &Certificate, name: &str) -> CertConfig {
        CertConfig {
            template: Template {
                common_name: certificate.common_name().to_owned(),
                organizations: organizations_after(
                    &self.profile,
                    name,
                    certificate.organizations(),
                ),
                dns_names: certificate.dns_names().to_vec(),
                ip_addresses: certificate.ip_addresses().to_vec(),
                ext_key_usages: certificate.ext_key_usages().to_vec(),
                ..Template::default()
            },
            stream: self.stream(name),
        }
    }

    /// Where the keys of a certificate on this machine are drawn.
    pub(super) fn stream(&self, name: &str) -> String {
        format!("{}/{name}", self.machine.hostname)
    }

    /// A new key with a certificate for it. Without `has_not_before` it begins with its CA.
    ///
    /// # Errors
    /// When something is missing that a certificate must have, or the CA's key is not its key.
    pub(super) fn new_pair(
        &mut self,
        config: CertConfig,
        algorithm: KeyAlgorithm,
        ca: &Certificate,
        ca_key: &PrivateKey,
        has_not_before: bool,
    ) -> Result<(Certificate, PrivateKey)> {
        let CertConfig {
            mut template,
            stream,
        } = config;
        let no_usage = || Failure::new("must specify at least one ExtKeyUsage");
        if self.profile.usages_checked_first && template.ext_key_usages.is_empty() {
            return Err(no_usage());
        }
        let key = self.new_key(&stream, algorithm);
        let signing = "unable to sign certificate";
        if template.common_name.is_empty() {
            return Err(Failure::new("must specify a CommonName").wrap(signing));
        }
        if template.ext_key_usages.is_empty() {
            return Err(no_usage().wrap(signing));
        }
        if self.profile.deduplicates_sans {
            deduplicate(&mut template);
        }
        if !has_not_before {
            template.not_before = ca.not_before();
        }
        template.serial = self.new_serial(&stream);
        template.basic_constraints = self.profile.leaf_basic_constraints;
        let certificate = issue::sign(&template, key.spki_der(), ca, ca_key)
            .map_err(|error: IssueError| Failure::new(error.to_string()).wrap(signing))?;
        Ok((certificate, key))
    }

    fn read_managed(&self, managed: &Managed, config: &ClusterConfiguration) -> Result<Existing> {
        match managed {
            Managed::Leaf(leaf) => Ok(Existing {
                certificate: self.read_leaf(&config.certificates_dir, leaf.base_name)?,
                kubeconfig: None,
            }),
            Managed::Config(file) => {
                self.read_config_file(&join(KUBERNETES_DIR, file.name), config)
            }
        }
    }

    /// The certificate a managed name stands for.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn managed_certificate(
        &self,
        managed: &Managed,
        config: &ClusterConfiguration,
    ) -> Result<Certificate> {
        self.read_managed(managed, config)
            .map(|existing| existing.certificate)
    }

    /// The certificate of a file pair.
    ///
    /// # Errors
    /// With kubeadm's text.
    pub(super) fn read_leaf(&self, dir: &str, base: &str) -> Result<Certificate> {
        let certificates = self
            .certificates_from(&certificate_path(dir, base))
            .context(format!("failed to load existing certificate {base}"))?;
        self.only_one(certificates)
    }

    fn only_one(&self, mut certificates: Vec<Certificate>) -> Result<Certificate> {
        if certificates.len() != 1 && !self.profile.first_of_several {
            return Err(Failure::new(format!(
                "wanted exactly one certificate, got {}",
                certificates.len()
            )));
        }
        Ok(certificates.remove(0))
    }

    fn read_config_file(&self, path: &str, config: &ClusterConfiguration) -> Result<Existing> {
        let kubeconfig = self
            .load_kubeconfig(path)
            .context(format!("failed to load kubeConfig file {path}"))?;
        let ca = if self.profile.refreshes_config_ca {
            Some(self.config_ca(&config.certificates_dir)?)
        } else {
            None
        };
        let invalid = |what: &str, name: &str| {
            Failure::new(format!(
                "invalid kubeConfig file {path}: missing {what} {name}"
            ))
        };
        let context = kubeconfig
            .context()
            .ok_or_else(|| invalid("context", &kubeconfig.current_context))?;
        let cluster = kubeconfig
            .cluster()
            .ok_or_else(|| invalid("cluster", context.text("cluster")))?;
        let article = self.profile.embedded_article;
        let embedded = |what: &str| {
            Failure::new(format!(
                "kubeConfig file {path} does not have {article} {what} certificate"
            ))
        };
        if cluster.text("certificate-authority-data").is_empty() {
            return Err(embedded("server"));
        }
        let user = kubeconfig
            .user()
            .ok_or_else(|| invalid("authInfo", context.text("user")))?;
        let data = user.data("client-certificate-data");
        if data.is_empty() {
            return Err(embedded("client"));
        }
        let certificates = Certificate::parse_pem_certs(&data).map_err(|error| {
            Failure::new(format!(
                "kubeConfig file {path} does not contain a valid client certificate: {error}"
            ))
        })?;
        let certificate = certificates
            .first()
            .cloned()
            .ok_or_else(|| embedded("client"))?;
        Ok(Existing {
            certificate,
            kubeconfig: Some((kubeconfig, ca)),
        })
    }

    /// The CA certificate that goes into renewed kubeconfigs.
    fn config_ca(&self, dir: &str) -> Result<Certificate> {
        if self.profile.config_needs_ca_key {
            return self
                .load_pair(dir, "ca")
                .context("failure loading ca certificate authority")
                .map(|(certificate, _)| certificate);
        }
        self.certificates_from(&certificate_path(dir, "ca"))
            .context("failed to load existing certificate ca")
            .map(|mut certificates| certificates.remove(0))
    }

    /// Loads a kubeconfig file.
    ///
    /// # Errors
    /// With client-go's text.
    pub(super) fn load_kubeconfig(&self, path: &str) -> Result<Kubeconfig> {
        let content = self.tree().read(path)?;
        let mut kubeconfig = Kubeconfig::parse(&content).map_err(|error| {
            let text = if self.profile.old_json_words {
                error.old_wording(&content)
            } else {
                error.to_string()
            };
            Failure::new(text.replace(crate::pki::SCHEME, self.profile.scheme_line))
        })?;
        kubeconfig.forget_fields(self.profile.unknown_fields);
        Ok(kubeconfig)
    }

    fn write_managed(
        &mut self,
        managed: &Managed,
        config: &ClusterConfiguration,
        existing: Existing,
        certificate: &Certificate,
        key: &PrivateKey,
    ) -> Result<()> {
        match (managed, existing.kubeconfig) {
            (Managed::Leaf(leaf), _) => self
                .write_pair(&config.certificates_dir, leaf.base_name, certificate, key)
                .context(format!(
                    "failed to write new certificate {}",
                    leaf.base_name
                )),
            (Managed::Config(file), Some((mut kubeconfig, ca))) => {
                if let (Some(cluster), Some(ca)) = (kubeconfig.cluster_mut(), ca) {
                    cluster.set_data("certificate-authority-data", ca.to_pem().as_bytes());
                }
                if let Some(user) = kubeconfig.user_mut() {
                    user.set_data("client-key-data", key.to_pem().as_bytes());
                    user.set_data("client-certificate-data", certificate.to_pem().as_bytes());
                }
                self.write_kubeconfig(&join(KUBERNETES_DIR, file.name), &kubeconfig)
            }
            (Managed::Config(_), None) => Ok(()),
        }
    }

    /// End of a certificate's life that begins now.
    pub(super) fn end_of(&self, validity: crate::time::SignedDuration) -> Timestamp {
        shift(self.now(), validity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_29_moves_groups_in_a_renewal() {
        let after = |version: Version, name: &str, before: &[&str]| {
            let before: Vec<String> = before.iter().map(|&group| group.to_owned()).collect();
            organizations_after(&Profile::of(version), name, &before)
        };
        let v1_29 = Version::new(29, 4);
        let masters = &["system:masters", "Blue team"][..];
        assert_eq!(
            after(v1_29, "apiserver-etcd-client", masters),
            ["Blue team"]
        );
        assert_eq!(
            after(v1_29, "etcd-healthcheck-client", &["system:masters"]),
            [""; 0]
        );
        assert_eq!(
            after(v1_29, "apiserver-kubelet-client", masters),
            ["Blue team", "kubeadm:cluster-admins"]
        );
        let admins = &["kubeadm:cluster-admins"][..];
        assert_eq!(after(v1_29, "apiserver-kubelet-client", admins), admins);
        assert_eq!(after(v1_29, "admin.conf", masters), masters);
        for version in [
            Version::new(28, 15),
            Version::new(30, 0),
            Version::new(36, 3),
        ] {
            assert_eq!(after(version, "apiserver-kubelet-client", masters), masters);
        }
    }
}
