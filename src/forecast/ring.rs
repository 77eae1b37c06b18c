//! Other keys for a captured PKI: the files of its nodes, with the signing graph kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::capture::{self, File, Key, Node, Pem, parse_all};
use super::rebuild::{component_of, facts_of, kubelet_config, signing_flags};
use crate::cluster::{BOOTSTRAP_CONF, World};
use crate::fs::{FsError, MemoryTree, Tree};
use crate::kubeadm::profile::Profile;
use crate::kubeadm::{Version, manifests};
use crate::pki::{
    Certificate, Entry, KeyAlgorithm, Kubeconfig, PrivateKey, PublicKey, pool_key, pool_size,
    reissue, spki_algorithm,
};
use crate::scenario::Component;

/// The keys of this run, by what they stand for.
pub(super) struct Ring {
    /// By captured public key.
    keys: HashMap<Vec<u8>, PrivateKey>,
    /// By issuer and key identifier, for signers that were not captured.
    strangers: HashMap<(Vec<u8>, Vec<u8>), PrivateKey>,
    /// Every captured certificate.
    captured: Vec<Certificate>,
    /// Issued again, by the captured bytes.
    again: HashMap<Vec<u8>, Certificate>,
    drawn: BTreeMap<KeyAlgorithm, usize>,
}

impl Ring {
    pub fn new(nodes: &[Node]) -> Self {
        let mut captured: Vec<Certificate> = Vec::new();
        let mut seen = BTreeSet::new();
        for file in nodes.iter().flat_map(|node| node.files.values()) {
            let mut pems: Vec<&[Pem]> = vec![&file.certificates];
            if let Some(config) = &file.kubeconfig {
                pems.extend(
                    config
                        .clusters
                        .values()
                        .map(|cluster| &cluster.authority[..]),
                );
                pems.extend(config.users.values().map(|user| &user.certificates[..]));
            }
            for certificate in pems.into_iter().flat_map(parse_all) {
                if seen.insert(certificate.der().to_vec()) {
                    captured.push(certificate);
                }
            }
        }
        Self {
            keys: HashMap::new(),
            strangers: HashMap::new(),
            captured,
            again: HashMap::new(),
            drawn: BTreeMap::new(),
        }
    }

    /// A key that nothing else in this run has.
    fn fresh(&mut self, algorithm: KeyAlgorithm) -> PrivateKey {
        let algorithm = match algorithm {
            // Kinds that there is no pool of stand for themselves badly; what matters is whose they are.
            KeyAlgorithm::EcdsaP521 | KeyAlgorithm::OtherRsa(_) => KeyAlgorithm::Rsa2048,
            KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => KeyAlgorithm::Rsa2048,
            KeyAlgorithm::EcdsaP384 => KeyAlgorithm::EcdsaP256,
            other => other,
        };
        let drawn = self.drawn.entry(algorithm).or_default();
        *drawn += 1;
        match pool_size(algorithm).checked_sub(*drawn) {
            Some(index) => pool_key(algorithm, index),
            None => None,
        }
        .unwrap_or_else(|| PrivateKey::generate(algorithm))
    }

    /// What stands for a captured public key.
    fn key(&mut self, spki: &[u8]) -> PrivateKey {
        if let Some(known) = self.keys.get(spki) {
            return known.clone();
        }
        let key = self.fresh(spki_algorithm(spki).unwrap_or(KeyAlgorithm::Rsa2048));
        self.keys.insert(spki.to_vec(), key.clone());
        key
    }

    /// What stands for the key that signed a certificate.
    fn signer(&mut self, certificate: &Certificate) -> PrivateKey {
        let parent = self
            .captured
            .iter()
            .find(|parent| {
                parent.subject_der() == certificate.issuer_der()
                    && certificate.signature_is_by(parent)
            })
            .map(|parent| parent.spki_der().to_vec());
        if let Some(spki) = parent {
            return self.key(&spki);
        }
        let name = (
            certificate.issuer_der().to_vec(),
            certificate.authority_key_id().to_vec(),
        );
        if let Some(known) = self.strangers.get(&name) {
            return known.clone();
        }
        let key = self.fresh(KeyAlgorithm::Rsa2048);
        self.strangers.insert(name, key.clone());
        key
    }

    /// The certificate for its new key.
    fn certificate(&mut self, certificate: &Certificate) -> Option<Certificate> {
        if let Some(known) = self.again.get(certificate.der()) {
            return Some(known.clone());
        }
        let key = self.key(certificate.spki_der());
        let signer = self.signer(certificate);
        let again = reissue(certificate, key.spki_der(), &signer, None).ok()?;
        self.again.insert(certificate.der().to_vec(), again.clone());
        Some(again)
    }

    /// PEM blocks; what cannot be read stays as it is.
    fn pem(&mut self, pems: &[Pem]) -> String {
        pems.iter()
            .map(|pem| {
                parse_all(std::slice::from_ref(pem))
                    .first()
                    .and_then(|certificate| self.certificate(certificate))
                    .map_or_else(|| pem.0.clone(), |again| again.to_pem())
            })
            .collect()
    }

    /// What a private key's file holds.
    fn key_text(&mut self, node: &Node, key: &Key) -> String {
        if key.unreadable {
            return "this is no private key\n".to_owned();
        }
        let spki = key.belongs_to.iter().find_map(|path| {
            let file = node.files.get(path)?;
            if let Some(public) = &file.public_key {
                return PublicKey::parse_pem(public.as_bytes())
                    .ok()?
                    .first()
                    .map(|key| key.spki_der().to_vec());
            }
            let of_file = parse_all(&file.certificates).into_iter().next();
            of_file
                .or_else(|| {
                    parse_all(&file.kubeconfig.as_ref()?.user()?.certificates)
                        .into_iter()
                        .next()
                })
                .map(|certificate| certificate.spki_der().to_vec())
        });
        match spki {
            Some(spki) => self.key(&spki),
            None => self.fresh(KeyAlgorithm::Rsa2048),
        }
        .to_pem()
    }

    /// Every captured CA with what stands for its key, wherever that is.
    pub fn authorities(&mut self) -> Vec<(Certificate, PrivateKey)> {
        let captured = self.captured.clone();
        captured
            .iter()
            .filter(|certificate| certificate.is_ca())
            .filter_map(|certificate| {
                let key = self.key(certificate.spki_der());
                Some((self.certificate(certificate)?, key))
            })
            .collect()
    }

    /// Every file of a node.
    pub fn tree(
        &mut self,
        node: &Node,
        version: Version,
        address: IpAddr,
        assumptions: &mut Vec<String>,
    ) -> Result<MemoryTree, FsError> {
        let mut tree = MemoryTree::new();
        for dir in ["/etc/kubernetes/manifests", "/var/lib/kubelet/pki"] {
            tree.create_dir_all(dir, 0o755)?;
        }
        for (path, file) in &node.files {
            let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
            tree.create_dir_all(if dir.is_empty() { "/" } else { dir }, 0o755)?;
            if let Some(link) = &file.link {
                tree.symlink(link, path)?;
                continue;
            }
            if path == BOOTSTRAP_CONF {
                assumptions.push(format!(
                    "{}: {path} is left out: its token is taken to have ended, as it does after a day",
                    node.name
                ));
                continue;
            }
            let content = self.content(node, path, file, version, address);
            tree.write(path, content.as_bytes(), 0o600)?;
            if let Ok(mode) = u32::from_str_radix(&file.mode, 8) {
                tree.set_mode(path, mode & 0o7777)?;
            }
            let owner = file.owner.as_ref().and_then(|owner| owner.split_once(':'));
            if let Some((Ok(uid), Ok(gid))) = owner.map(|(uid, gid)| (uid.parse(), gid.parse())) {
                tree.set_owner(path, uid, gid)?;
            }
        }
        tree.write(
            "/var/lib/kubelet/config.yaml",
            kubelet_config(node).as_bytes(),
            0o644,
        )?;
        let manifests_captured = node.files.values().any(|file| file.manifest.is_some());
        if node.control_plane && !manifests_captured {
            assumptions.push(format!(
                "{}: no static Pod manifests were captured; taken to be those of kubeadm {version}",
                node.name
            ));
            for component in crate::cluster::STATIC_PODS {
                let external_ca = node.file(&node.pki("ca.key")).is_none();
                let args = &[];
                let text = manifests::static_pod(
                    component,
                    version,
                    facts_of(
                        &address.to_string(),
                        node.certificates_dir(),
                        external_ca,
                        args,
                        &[],
                    ),
                );
                tree.write(&World::manifest_path(component), text.as_bytes(), 0o600)?;
            }
        }
        Ok(tree)
    }

    fn content(
        &mut self,
        node: &Node,
        path: &str,
        file: &File,
        version: Version,
        address: IpAddr,
    ) -> String {
        if let Some(config) = &file.kubeconfig {
            return self.kubeconfig(node, config, version);
        }
        if let Some(manifest) = &file.manifest {
            return manifest_text(node, manifest, version, address);
        }
        if let Some(public) = &file.public_key {
            return PublicKey::parse_pem(public.as_bytes())
                .ok()
                .and_then(|keys| keys.first().map(|key| self.key(key.spki_der())))
                .map_or_else(String::new, |key| key.public_key().to_pem());
        }
        let mut text = self.pem(&file.certificates);
        if let Some(key) = &file.key {
            text += &self.key_text(node, key);
        }
        if text.is_empty() {
            text = format!("{path} could not be read when it was captured\n");
        }
        text
    }

    fn kubeconfig(
        &mut self,
        node: &Node,
        captured: &capture::Kubeconfig,
        version: Version,
    ) -> String {
        let mut config = Kubeconfig::default();
        config.current_context.clone_from(&captured.current_context);
        let set = |entry: &mut Entry, field: &str, text: &str| {
            if !text.is_empty() {
                entry.set_text(field, text);
            }
        };
        for (name, cluster) in &captured.clusters {
            let mut entry = Entry::default();
            set(&mut entry, "server", &cluster.server);
            set(
                &mut entry,
                "certificate-authority",
                cluster.authority_file.as_deref().unwrap_or_default(),
            );
            let authority = self.pem(&cluster.authority);
            if !authority.is_empty() {
                entry.set_data("certificate-authority-data", authority.as_bytes());
            }
            config.clusters.insert(name.clone(), entry);
        }
        for (name, context) in &captured.contexts {
            let mut entry = Entry::default();
            set(&mut entry, "cluster", &context.cluster);
            set(&mut entry, "user", &context.user);
            config.contexts.insert(name.clone(), entry);
        }
        for (name, user) in &captured.users {
            let mut entry = Entry::default();
            let file = |file: &Option<String>| file.clone().unwrap_or_default();
            set(
                &mut entry,
                "client-certificate",
                &file(&user.certificate_file),
            );
            set(&mut entry, "client-key", &file(&user.key_file));
            let certificates = self.pem(&user.certificates);
            if !certificates.is_empty() {
                entry.set_data("client-certificate-data", certificates.as_bytes());
            }
            if let Some(key) = &user.key {
                let text = self.key_text(node, key);
                entry.set_data("client-key-data", text.as_bytes());
            }
            config.users.insert(name.clone(), entry);
        }
        config.to_yaml(Profile::of(version).kubeconfig_preferences)
    }
}

/// A manifest as the simulation knows it, with the captured image.
fn manifest_text(
    node: &Node,
    manifest: &capture::Manifest,
    version: Version,
    address: IpAddr,
) -> String {
    let Some(component) = component_of(&manifest.component) else {
        return format!("kind: Pod\n# {}\n", manifest.component);
    };
    let tag = manifest
        .image
        .split('@')
        .next()
        .and_then(|image| image.rsplit_once(':'))
        .map(|(_, tag)| tag)
        .unwrap_or_default();
    let of_tag = tag
        .split(['-', '+', '_'])
        .next()
        .and_then(|tag| tag.parse::<Version>().ok());
    let own = match component {
        Component::Etcd => version,
        _ => of_tag.unwrap_or(version),
    };
    let external_ca = manifest
        .flags
        .get("cluster-signing-key-file")
        .is_none_or(String::is_empty);
    let text = manifests::static_pod(
        component,
        own,
        facts_of(
            &address.to_string(),
            node.certificates_dir(),
            external_ca,
            &signing_flags(node),
            &node.etcd_endpoints(),
        ),
    );
    if component != Component::Etcd || tag.is_empty() {
        return text;
    }
    // etcd's tag decides whether an upgrade finds a difference; a registry of one's own stays through upgrades.
    text.lines()
        .map(|line| match line.trim().strip_prefix("image: ") {
            Some(image) => {
                let repository = image.rsplit_once(':').map_or(image, |(name, _)| name);
                format!("    image: {repository}:{tag}\n")
            }
            None => format!("{line}\n"),
        })
        .collect()
}
