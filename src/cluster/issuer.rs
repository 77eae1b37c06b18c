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
            ext_key_usages: self.signers_usages(&what.usages),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Spec;
    use crate::pki::{ExtKeyUsage, KeyAlgorithm, Name, Usage, request, verify};
    use crate::scenario::Nodes;
    use crate::time::SignedDuration;

    fn world() -> World {
        World::new(Spec {
            seed: 1,
            ..Spec::of("v1.36.3".parse().unwrap())
        })
    }

    fn leaf(path: &str) -> Issue {
        Issue {
            nodes: Nodes("cp1".to_owned()),
            path: path.to_owned(),
            signer: None,
            request: None,
            key: None,
            common_name: None,
            organizations: Vec::new(),
            names: Vec::new(),
            usages: Vec::new(),
            ca: false,
            key_algorithm: KeyAlgorithm::EcdsaP256,
            validity: SignedDuration::from_hours(1),
            backdate: SignedDuration::from_mins(5),
            chain: false,
        }
    }

    fn ca(path: &str, name: &str) -> Issue {
        Issue {
            common_name: Some(name.to_owned()),
            ca: true,
            ..leaf(path)
        }
    }

    fn read(world: &World, path: &str) -> Vec<Certificate> {
        Certificate::parse_pem_certs(&world.nodes[0].tree.read(path).unwrap()).unwrap()
    }

    #[test]
    fn a_request_brings_names_and_key_and_the_signer_usages_and_dates() {
        let mut world = world();
        world.issue_certificate(0, &ca("/acme/ca", "ACME")).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256);
        let subject = Name {
            common_name: "kube-apiserver".to_owned(),
            organizations: vec!["masters".to_owned()],
        };
        let names = ["cp1".to_owned()];
        let der = request::create(&subject, &names, &["10.0.0.10".parse().unwrap()], &key).unwrap();
        let pem = request::to_pem(&der);
        world.nodes[0]
            .tree
            .write("/acme/a.csr", pem.as_bytes(), 0o600)
            .unwrap();
        let what = Issue {
            signer: Some("/acme/ca".to_owned()),
            request: Some("/acme/a.csr".to_owned()),
            usages: vec![ExtKeyUsage::ClientAuth],
            chain: true,
            ..leaf("/acme/a")
        };
        world.issue_certificate(0, &what).unwrap();
        let made = read(&world, "/acme/a.crt");
        assert_eq!(made.len(), 2);
        assert_eq!(made[0].spki_der(), key.spki_der());
        assert_eq!(made[0].common_name(), "kube-apiserver");
        assert_eq!(made[0].organizations(), ["masters"]);
        assert_eq!(made[0].dns_names(), names);
        assert_eq!(made[0].ext_key_usages(), [ExtKeyUsage::ClientAuth]);
        assert_eq!(made[0].not_before().to_string(), "2025-12-31T23:55:00Z");
        assert_eq!(made[0].not_after().to_string(), "2026-01-01T01:00:00Z");
        // There is no key beside it: whoever asked has it.
        assert!(!world.nodes[0].tree.exists("/acme/a.key"));
        let roots = read(&world, "/acme/ca.crt");
        let now = world.now();
        verify(&made[0], &[], &roots, Usage::Client, None, now).unwrap();
        verify(&made[0], &[], &roots, Usage::Server, None, now).unwrap_err();
    }

    #[test]
    fn a_ca_made_anew_with_its_key_still_stands_for_what_it_signed() {
        let mut world = world();
        world.issue_certificate(0, &ca("/ca", "A")).unwrap();
        let signed = Issue {
            signer: Some("/ca".to_owned()),
            common_name: Some("leaf".to_owned()),
            ..leaf("/leaf")
        };
        world.issue_certificate(0, &signed).unwrap();
        let before = read(&world, "/ca.crt").remove(0);
        let again = Issue {
            key: Some("/ca.key".to_owned()),
            ..ca("/ca", "A")
        };
        world.issue_certificate(0, &again).unwrap();
        let after = read(&world, "/ca.crt").remove(0);
        assert_ne!(before.serial_hex(), after.serial_hex());
        assert_eq!(before.spki_der(), after.spki_der());
        assert!(read(&world, "/leaf.crt")[0].is_signed_by(&after));
        // Another CA of the same name does not.
        world.issue_certificate(0, &ca("/other", "A")).unwrap();
        assert!(!read(&world, "/leaf.crt")[0].is_signed_by(&read(&world, "/other.crt")[0]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut world = world();
        let unsigned = Issue {
            signer: Some("/ca".to_owned()),
            request: Some("/no.csr".to_owned()),
            ..leaf("/a")
        };
        let error = world.issue_certificate(0, &unsigned).unwrap_err();
        assert_eq!(error.to_string(), "open /no.csr: no such file or directory");
        world.nodes[0].tree.write("/no.csr", b"x", 0o600).unwrap();
        let error = world.issue_certificate(0, &unsigned).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/no.csr: data doesn't contain a valid certificate request"
        );
    }
}
