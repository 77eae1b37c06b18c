//! Certificates that are made without kubeadm: an operator's own CA and what it signs.

use std::net::IpAddr;

use super::world::World;
use crate::fs::{FsError, Tree};
use crate::pki::{
    Certificate, IssueError, KeyError, KeySource, KeyUsage, PrivateKey, Request, RequestError,
    Template, issue,
};
use crate::scenario::Issue;
use crate::time::shift;

/// Why a certificate could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// A file cannot be read or written.
    #[error("{0}")]
    File(#[from] FsError),
    /// The request is none.
    #[error("{path}: {error}")]
    Request {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: RequestError,
    },
    /// The signer's certificate cannot be read.
    #[error("{0}: no certificate")]
    Signer(String),
    /// The signer's key cannot be read.
    #[error("{path}: {error}")]
    Key {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The certificate cannot be signed.
    #[error(transparent)]
    Sign(#[from] IssueError),
}

impl World {
    /// Makes a certificate on a node, with a new key or for a request, at the node's time.
    ///
    /// # Errors
    /// When the request or the signer cannot be read, the certificate cannot be signed or not be written.
    pub fn issue_certificate(&mut self, node: usize, what: &Issue) -> Result<(), IssuerError> {
        let now = self.wall(node);
        let stream = format!("issue/{}/{}", self.nodes[node].name, what.path);
        let (dns_names, ip_addresses) = alt_names(&what.names);
        let mut template = Template {
            common_name: what.common_name.clone().unwrap_or_default(),
            organizations: what.organizations.clone(),
            dns_names,
            ip_addresses,
            ext_key_usages: what.usages.clone(),
            not_before: shift(now, -what.backdate),
            not_after: shift(now, what.validity),
            serial: self.keys.serial(&stream),
            is_ca: what.ca,
            ..Template::default()
        };
        if what.ca {
            template.key_usage = template.key_usage.and(KeyUsage::CERT_SIGN);
        }
        let mut own_key = None;
        let spki = match (&what.request, &what.key) {
            (Some(path), _) => {
                let text = self.nodes[node].tree.read(path)?;
                let request = Request::from_pem(&text).map_err(|error| IssuerError::Request {
                    path: path.clone(),
                    error,
                })?;
                template.common_name = request.subject.common_name;
                template.organizations = request.subject.organizations;
                template.dns_names = request.dns_names;
                template.ip_addresses = request.ip_addresses;
                request.spki
            }
            (None, known) => {
                let key = match known {
                    Some(path) => self.key_in(node, path)?,
                    None => self.keys.key(&stream, what.key_algorithm),
                };
                let spki = key.spki_der().to_vec();
                own_key = Some(key);
                spki
            }
        };
        let mut pem = String::new();
        match (&what.signer, &own_key) {
            (Some(signer), _) => {
                let (chain, key) = self.signing_pair(node, signer)?;
                pem += &issue::sign(&template, &spki, &chain[0], &key)?.to_pem();
                if what.chain {
                    pem.extend(chain.iter().map(Certificate::to_pem));
                }
            }
            (None, Some(key)) => pem += &issue::self_signed(&template, key)?.to_pem(),
            (None, None) => return Err(IssuerError::Signer("no signer was named".to_owned())),
        }
        let tree = &mut self.nodes[node].tree;
        let dir = what.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        if !dir.is_empty() {
            tree.create_dir_all(dir, 0o755)?;
        }
        if let Some(key) = own_key.filter(|_| what.key.is_none()) {
            tree.write(
                &format!("{}.key", what.path),
                key.to_pem().as_bytes(),
                0o600,
            )?;
        }
        tree.write(&format!("{}.crt", what.path), pem.as_bytes(), 0o644)?;
        Ok(())
    }

    /// A CA's certificates, its own first, and its key.
    fn signing_pair(
        &self,
        node: usize,
        base: &str,
    ) -> Result<(Vec<Certificate>, PrivateKey), IssuerError> {
        let tree = &self.nodes[node].tree;
        let path = format!("{base}.crt");
        let chain = Certificate::parse_pem_certs(&tree.read(&path)?)
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or(IssuerError::Signer(path))?;
        Ok((chain, self.key_in(node, &format!("{base}.key"))?))
    }

    fn key_in(&self, node: usize, path: &str) -> Result<PrivateKey, IssuerError> {
        let pem = self.nodes[node].tree.read(path)?;
        PrivateKey::from_pem(&pem).map_err(|error| IssuerError::Key {
            path: path.to_owned(),
            error,
        })
    }
}

/// Names that are addresses, and those that are not.
fn alt_names(names: &[String]) -> (Vec<String>, Vec<IpAddr>) {
    let mut dns_names = Vec::new();
    let mut ip_addresses = Vec::new();
    for name in names {
        match name.parse() {
            Ok(address) => ip_addresses.push(address),
            Err(_) => dns_names.push(name.clone()),
        }
    }
    (dns_names, ip_addresses)
}
