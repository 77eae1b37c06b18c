//! Reading and writing certificates and keys by their base name, with kubeadm's messages.

use super::failure::{Context as _, Failure, Result};
use super::process::Process;
use crate::fs::{Errno, join};
use crate::pki::{Certificate, KeyError, PrivateKey, PublicKey};

/// Path of a certificate, cleaned as Go's `filepath.Join` does.
#[must_use]
pub fn certificate_path(dir: &str, base: &str) -> String {
    join(dir, &format!("{base}.crt"))
}

/// Path of a private key.
#[must_use]
pub fn key_path(dir: &str, base: &str) -> String {
    join(dir, &format!("{base}.key"))
}

/// Path of a public key.
#[must_use]
pub fn public_key_path(dir: &str, base: &str) -> String {
    join(dir, &format!("{base}.pub"))
}

/// Path of a certificate signing request.
#[must_use]
pub fn request_path(dir: &str, base: &str) -> String {
    join(dir, &format!("{base}.csr"))
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Process<'_, '_> {
    /// Whether `stat` says that a path does not exist. Any other failure counts as existing.
    #[must_use]
    pub fn is_absent(&self, path: &str) -> bool {
        self.tree()
            .metadata(path)
            .is_err_and(|error| error.errno == Errno::NotFound)
    }

    /// Certificates of a PEM file, as client-go's `cert.CertsFromFile`.
    ///
    /// # Errors
    /// When it cannot be read or parsed, or holds none.
    pub fn certificates_from(&self, path: &str) -> Result<Vec<Certificate>> {
        let content = self.tree().read(path)?;
        Certificate::parse_pem_certs(&content)
            .map_err(|error| Failure::new(format!("error reading {path}: {error}")))
    }

    /// A certificate and what follows it in its file.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load_chain(&self, dir: &str, base: &str) -> Result<(Certificate, Vec<Certificate>)> {
        let path = certificate_path(dir, base);
        let mut certificates = self
            .certificates_from(&path)
            .context(format!("couldn't load the certificate file {path}"))?;
        let first = certificates.remove(0);
        if let (true, Some(problem)) = (
            self.profile.outside_validity_is_fatal,
            self.period_problem(&first),
        ) {
            return Err(Failure::new(problem));
        }
        Ok((first, certificates))
    }

    /// The first certificate of a file.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load_certificate(&self, dir: &str, base: &str) -> Result<Certificate> {
        self.load_chain(dir, base).map(|(first, _)| first)
    }

    /// A private key of a PEM file, as client-go's `keyutil.PrivateKeyFromFile`.
    ///
    /// # Errors
    /// When it cannot be read or parsed. A key of a foreign kind is `None`.
    pub fn private_key_from(&self, path: &str) -> Result<Option<PrivateKey>> {
        let content = self.tree().read(path)?;
        match PrivateKey::from_pem(&content) {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::Foreign) => Ok(None),
            Err(error) => Err(Failure::new(format!(
                "error reading private key file {path}: {error}"
            ))),
        }
    }

    /// A private key.
    ///
    /// # Errors
    /// When it cannot be loaded or is neither RSA nor ECDSA.
    pub fn load_key(&self, dir: &str, base: &str) -> Result<PrivateKey> {
        let path = key_path(dir, base);
        self.private_key_from(&path)
            .context(format!("couldn't load the private key file {path}"))?
            .ok_or_else(|| {
                Failure::new(format!(
                    "the private key file {path} is neither in RSA nor ECDSA format"
                ))
            })
    }

    /// A certificate and its key.
    ///
    /// # Errors
    /// When one cannot be loaded.
    pub fn load_pair(&self, dir: &str, base: &str) -> Result<(Certificate, PrivateKey)> {
        if !self.profile.pair_words {
            return Ok((self.load_certificate(dir, base)?, self.load_key(dir, base)?));
        }
        let certificate = self
            .load_certificate(dir, base)
            .context("failed to load certificate")?;
        let key = self.load_key(dir, base).context("failed to load key")?;
        Ok((certificate, key))
    }

    /// Whether a certificate or its key exists.
    #[must_use]
    pub fn certificate_or_key_exists(&self, dir: &str, base: &str) -> bool {
        !(self.is_absent(&certificate_path(dir, base)) && self.is_absent(&key_path(dir, base)))
    }

    /// Writes a file in place, making its directory.
    ///
    /// # Errors
    /// The file error.
    pub fn write_file(
        &mut self,
        path: &str,
        content: &str,
        mode: u32,
        dir_mode: u32,
    ) -> Result<()> {
        self.tree_mut().create_dir_all(parent(path), dir_mode)?;
        self.tree_mut().write(path, content.as_bytes(), mode)?;
        Ok(())
    }

    /// Writes a private key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_key(&mut self, dir: &str, base: &str, key: &PrivateKey) -> Result<()> {
        let path = key_path(dir, base);
        self.write_file(&path, &key.to_pem(), 0o600, 0o755)
            .context(format!("unable to write private key to file {path}"))
    }

    /// Writes a public key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_public_key(&mut self, dir: &str, base: &str, key: &PublicKey) -> Result<()> {
        let path = public_key_path(dir, base);
        self.write_file(&path, &key.to_pem(), 0o600, 0o755)
            .context(format!("unable to write public key to file {path}"))
    }

    /// Writes a key, then its certificate.
    ///
    /// # Errors
    /// When a file cannot be written; the key may have been.
    pub fn write_pair(
        &mut self,
        dir: &str,
        base: &str,
        certificate: &Certificate,
        key: &PrivateKey,
    ) -> Result<()> {
        self.write_key(dir, base, key)
            .context("couldn't write key")?;
        let path = certificate_path(dir, base);
        self.write_file(&path, &certificate.to_pem(), 0o644, 0o755)
            .context(format!("unable to write certificate to file {path}"))
    }

    /// Writes a certificate signing request.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_request(&mut self, dir: &str, base: &str, pem: &str) -> Result<()> {
        let path = request_path(dir, base);
        let mode = self.profile.request_modes;
        let parent = parent(&path).to_owned();
        self.tree_mut()
            .create_dir_all(&parent, mode.dir)
            .context(format!("failed to make directory {parent}"))?;
        self.tree_mut()
            .write(&path, pem.as_bytes(), mode.file)
            .context(format!("unable to write CSR to file {path}"))
    }

    /// Writes a kubeconfig, as clientcmd's `WriteToFile`: its directory is made only when missing.
    ///
    /// # Errors
    /// The file error.
    pub fn write_kubeconfig(&mut self, path: &str, config: &crate::pki::Kubeconfig) -> Result<()> {
        let dir = parent(path).to_owned();
        if self.is_absent(&dir) {
            self.tree_mut().create_dir_all(&dir, 0o755)?;
        }
        let text = config.to_yaml(self.profile.kubeconfig_preferences);
        self.tree_mut().write(path, text.as_bytes(), 0o600)?;
        Ok(())
    }
}
