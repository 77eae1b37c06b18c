//! CAs: loading one to sign with, and telling whether its key is kept elsewhere.

use super::certlist::Ca;
use super::failure::{Context as _, Failure, Result};
use super::loading::key_path;
use super::process::Process;
use crate::pki::{Certificate, PrivateKey, Usage, verify};

impl Process<'_, '_> {
    /// Loads a CA to sign with.
    ///
    /// # Errors
    /// When certificate or key cannot be loaded, or the certificate is not a CA's.
    pub fn load_authority(&mut self, dir: &str, base: &str) -> Result<(Certificate, PrivateKey)> {
        if !self.certificate_or_key_exists(dir, base) {
            return Err(Failure::new(format!(
                "couldn't load {base} certificate authority from {dir}"
            )));
        }
        let (certificate, key) = self
            .load_pair(dir, base)
            .context(format!("failure loading {base} certificate authority"))?;
        self.warn_about_period(base, &certificate);
        if !certificate.is_ca() {
            return Err(Failure::new(format!(
                "{base} certificate is not a certificate authority"
            )));
        }
        Ok((certificate, key))
    }

    /// [`Process::check_period`] where the version warns at all.
    pub fn warn_about_period(&mut self, label: &str, certificate: &Certificate) {
        if !self.profile.outside_validity_is_fatal {
            self.check_period(label, certificate);
        }
    }

    /// Whether a CA's certificate is there and its key is not. Then the leaves it must have signed
    /// are checked too.
    ///
    /// # Errors
    /// When the CA's certificate or a required leaf is not good.
    pub fn is_externally_managed(&mut self, dir: &str, ca: Ca) -> Result<bool> {
        if ca == Ca::Etcd && !self.profile.etcd_ca_may_be_external {
            return Ok(false);
        }
        self.using_external(dir, ca).context(format!(
            "Error checking external CA condition for {} certificate authority",
            ca.base_name()
        ))
    }

    /// [`Process::is_externally_managed`] without its words around an error.
    ///
    /// # Errors
    /// When the CA's certificate or a required leaf is not good.
    pub fn using_external(&mut self, dir: &str, ca: Ca) -> Result<bool> {
        let label = ca.label();
        let certificate = self
            .load_certificate(dir, ca.base_name())
            .context(format!("failure loading certificate for {label}"))?;
        self.warn_about_period(label, &certificate);
        if !certificate.is_ca() {
            return Err(Failure::new(format!("certificate {label} is not a CA")));
        }
        if !self.is_absent(&key_path(dir, ca.base_name())) {
            return Ok(false);
        }
        for &(base, label) in ca.required_leaves() {
            let authority = self
                .load_certificate(dir, ca.base_name())
                .context(format!("failure loading certificate authority for {label}"))?;
            self.warn_about_period(label, &authority);
            self.check_signed(dir, base, label, &authority)?;
        }
        Ok(true)
    }

    /// Whether a CA's key is kept elsewhere, as init sees it: an error counts only if the key is.
    ///
    /// # Errors
    /// When the key is kept elsewhere and a required leaf is not good.
    pub fn external_or_error(&mut self, dir: &str, ca: Ca) -> Result<bool> {
        let key_is_there = !self.is_absent(&key_path(dir, ca.base_name()));
        match self.using_external(dir, ca) {
            Ok(external) => Ok(external),
            Err(_) if key_is_there => Ok(false),
            Err(failure) => {
                // Without a good CA certificate it is no external CA either.
                let certificate = self.load_certificate(dir, ca.base_name());
                if certificate.is_ok_and(|certificate| certificate.is_ca()) {
                    Err(failure)
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// Loads a leaf with its key and checks that a CA signed it.
    ///
    /// # Errors
    /// When it cannot be loaded or the chain does not verify.
    pub fn check_signed(
        &mut self,
        dir: &str,
        base: &str,
        label: &str,
        authority: &Certificate,
    ) -> Result<()> {
        let (leaf, intermediates) = if self.profile.verifies_whole_chain {
            self.load_key(dir, base)
                .context(format!("failure loading key for {base}"))?;
            let chain = self
                .load_chain(dir, base)
                .context(format!("failure loading certificate for {label}"))?;
            self.warn_about_period(label, &chain.0);
            chain
        } else {
            let (leaf, _) = self
                .load_pair(dir, base)
                .context(format!("failure loading certificate for {label}"))?;
            (leaf, Vec::new())
        };
        self.verify_signed(&leaf, &intermediates, authority)
            .context(format!(
                "certificate {label} is not signed by corresponding CA"
            ))
    }

    /// Checks that a CA signed a leaf: the whole chain at the current time, or (in old versions)
    /// the signature alone.
    ///
    /// # Errors
    /// With Go's text.
    pub fn verify_signed(
        &self,
        leaf: &Certificate,
        intermediates: &[Certificate],
        authority: &Certificate,
    ) -> Result<()> {
        let result = if self.profile.verifies_whole_chain {
            verify(
                leaf,
                intermediates,
                std::slice::from_ref(authority),
                Usage::Any,
                None,
                self.now(),
            )
            .map_err(|error| error.to_string())
        } else {
            leaf.check_signature_from(authority)
                .map_err(|error| error.to_string())
        };
        result.map_err(Failure::new)
    }
}
