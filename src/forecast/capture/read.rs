//! Reads one machine's files into a [`Node`].

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::private::{Candidate, key_of_file};
use super::{File, Node, kubeconfig, manifest, settings};
use crate::cluster::KUBELET_CURRENT;
use crate::fs::{DirEntry, FileType, Metadata, Tree, join};
use crate::pki::{Certificate, PublicKey};
use crate::time::Timestamp;

/// No file of a PKI is larger.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// More files than this are no PKI.
const FILES_MAX: usize = 4_000;
/// Deeper directories are no PKI.
const DEPTH_MAX: usize = 6;

/// What is looked at: directories with everything below them, and single files.
pub(super) const ROOTS: [&str; 9] = [
    "/etc/kubernetes",
    "/var/lib/kubelet/pki",
    "/var/lib/kubelet/config.yaml",
    "/root/.kube/config",
    "/kubeadm.yaml",
    "/kind/kubeadm.conf",
    "/kind/version",
    "/etc/hostname",
    "/var/lib/kubelet/instance-config.yaml",
];

/// Copies that kubeadm and people leave behind: nothing reads them.
const LEFT_BEHIND: [&str; 1] = ["/etc/kubernetes/tmp"];

/// Where a node's files are.
pub trait Place {
    /// `lstat`.
    fn metadata(&self, path: &str) -> Option<Metadata>;

    /// Names in a directory.
    ///
    /// # Errors
    /// With a sentence.
    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, String>;

    /// Target of a symlink.
    fn read_link(&self, path: &str) -> Option<String>;

    /// Content of a file, links followed inside the place. The memory is overwritten when it is dropped.
    ///
    /// # Errors
    /// With a sentence.
    fn read(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, String>;

    /// What the place itself left out.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A tree of files as a place.
pub struct TreePlace<'t>(pub &'t dyn Tree);

impl Place for TreePlace<'_> {
    fn metadata(&self, path: &str) -> Option<Metadata> {
        self.0.symlink_metadata(path).ok()
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, String> {
        self.0.read_dir(path).map_err(|error| error.to_string())
    }

    fn read_link(&self, path: &str) -> Option<String> {
        self.0.read_link(path).ok()
    }

    fn read(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let size = self.0.metadata(path).map_err(|error| error.to_string())?;
        if size.len > FILE_BYTES_MAX {
            return Err(format!("{path}: larger than 1 MiB"));
        }
        self.0
            .read(path)
            .map(Zeroizing::new)
            .map_err(|error| error.to_string())
    }
}

/// What kind of content a path has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Certificates,
    Key,
    PublicKey,
    Kubeconfig,
    Manifest,
    Other,
}

/// Captures a node. `label` is its name where the files do not tell; `version` goes before what they tell.
#[must_use]
pub fn node(place: &dyn Place, label: &str, version: Option<&str>, at: Timestamp) -> Node {
    let mut node = Node {
        name: label.to_owned(),
        name_from: "the command line".to_owned(),
        at,
        control_plane: false,
        address: None,
        version: version.map(str::to_owned),
        settings: BTreeMap::new(),
        files: BTreeMap::new(),
        unread: place.left_out(),
    };
    for root in ROOTS {
        look(place, root, 0, &mut node);
    }
    let candidates = candidates(place, &node);
    let paths: Vec<String> = node.files.keys().cloned().collect();
    for path in paths {
        let Some(file) = node.files.get_mut(&path) else {
            continue;
        };
        if file.link.is_none() {
            let unread = fill(place, &path, file, &candidates);
            node.unread.extend(unread);
        }
    }
    read_settings(place, &mut node);
    recognise(place, &mut node);
    node
}

fn look(place: &dyn Place, path: &str, depth: usize, node: &mut Node) {
    let Some(mut metadata) = place.metadata(path) else {
        return;
    };
    // A certificates directory elsewhere, behind a symlink, is one all the same.
    if metadata.file_type == FileType::Symlink && place.read_dir(path).is_ok() {
        metadata.file_type = FileType::Dir;
    }
    if LEFT_BEHIND.contains(&path)
        || sort(path) == Sort::Other && metadata.file_type != FileType::Dir
    {
        return;
    }
    let mut file = File {
        mode: format!("{:04o}", metadata.mode),
        owner: ((metadata.uid, metadata.gid) != (0, 0))
            .then(|| format!("{}:{}", metadata.uid, metadata.gid)),
        ..File::default()
    };
    match metadata.file_type {
        FileType::File => {}
        FileType::Symlink => {
            file.mode = String::new();
            file.link = place.read_link(path);
        }
        FileType::Dir => {
            if depth >= DEPTH_MAX {
                return node.unread.push(format!("{path}: deeper than any PKI"));
            }
            match place.read_dir(path) {
                Ok(entries) => {
                    for entry in entries {
                        look(place, &join(path, &entry.name), depth + 1, node);
                    }
                }
                Err(error) => node.unread.push(error),
            }
            return;
        }
        FileType::Other => return node.unread.push(format!("{path}: no regular file")),
    }
    if node.files.len() >= FILES_MAX {
        if node.files.len() == FILES_MAX {
            node.unread.push(format!(
                "{path} and what follows: more than {FILES_MAX} files"
            ));
        }
        return;
    }
    node.files.insert(path.to_owned(), file);
}

fn sort(path: &str) -> Sort {
    let manifest = path
        .strip_prefix("/etc/kubernetes/manifests/")
        .is_some_and(|name| {
            !name.contains('/') && (name.ends_with(".yaml") || name.ends_with(".yml"))
        });
    let top = path
        .strip_prefix("/etc/kubernetes/")
        .is_some_and(|name| !name.contains('/'));
    if manifest {
        Sort::Manifest
    } else if path == "/root/.kube/config" || top && path.ends_with(".conf") {
        Sort::Kubeconfig
    } else if path.ends_with(".crt") || path.ends_with(".pem") {
        Sort::Certificates
    } else if path.ends_with(".key") {
        Sort::Key
    } else if path.ends_with(".pub") {
        Sort::PublicKey
    } else {
        Sort::Other
    }
}

/// Every public key of the node, by file.
fn candidates(place: &dyn Place, node: &Node) -> Vec<Candidate> {
    let mut out = Vec::new();
    for (path, file) in &node.files {
        if file.link.is_some() {
            continue;
        }
        let Ok(content) = place.read(path) else {
            continue;
        };
        let keys = match sort(path) {
            Sort::Certificates => kubeconfig::certificates(&content)
                .first()
                .and_then(|pem| Certificate::parse_pem_certs(pem.0.as_bytes()).ok())
                .and_then(|found| found.first().map(|first| vec![first.spki_der().to_vec()]))
                .unwrap_or_default(),
            Sort::PublicKey => PublicKey::parse_pem(&content)
                .map(|keys| keys.iter().map(|key| key.spki_der().to_vec()).collect())
                .unwrap_or_default(),
            Sort::Kubeconfig => kubeconfig::public_keys(&content),
            _ => continue,
        };
        out.extend(keys.into_iter().map(|spki| Candidate {
            file: path.clone(),
            spki,
        }));
    }
    out
}

/// Reads what a file holds; what cannot be read is said.
fn fill(
    place: &dyn Place,
    path: &str,
    file: &mut File,
    candidates: &[Candidate],
) -> Option<String> {
    let content = match place.read(path) {
        Ok(content) => content,
        Err(error) => {
            file.unreadable = Some("it cannot be read".to_owned());
            return Some(error);
        }
    };
    match sort(path) {
        Sort::Certificates => {
            file.certificates = kubeconfig::certificates(&content);
            file.key = key_of_file(place, path, candidates);
            let broken = file
                .certificates
                .iter()
                .enumerate()
                .find_map(|(index, pem)| {
                    // Go's words about DER: they hold nothing of the file.
                    let error = Certificate::parse_pem_certs(pem.0.as_bytes()).err()?;
                    Some(format!("certificate {} of the file: {error}", index + 1))
                });
            file.unreadable = if file.certificates.is_empty() {
                Some("there is no certificate in it".to_owned())
            } else {
                broken
            };
        }
        Sort::Key => {
            file.key = key_of_file(place, path, candidates).or(Some(super::Key {
                unreadable: true,
                ..super::Key::default()
            }));
        }
        Sort::PublicKey => {
            file.public_key = PublicKey::parse_pem(&content)
                .ok()
                .and_then(|keys| keys.first().map(PublicKey::to_pem));
            if file.public_key.is_none() {
                file.unreadable = Some("there is no public key in it".to_owned());
            }
        }
        Sort::Kubeconfig => {
            file.kubeconfig = kubeconfig::read(&content, candidates);
            if file.kubeconfig.is_none() {
                file.unreadable = Some("it is no kubeconfig that client-go can load".to_owned());
            }
        }
        Sort::Manifest => {
            file.manifest = manifest::read(&content);
            if file.manifest.is_none() {
                file.unreadable = Some("it is no Pod with a container".to_owned());
            }
        }
        Sort::Other => {}
    }
    None
}

fn read_settings(place: &dyn Place, node: &mut Node) {
    let mut read = |path: &str| {
        if let Ok(content) = place.read(path) {
            settings::read(&content, &mut node.settings);
        }
    };
    read("/kind/kubeadm.conf");
    read("/kubeadm.yaml");
    let named = place
        .read_dir("/etc/kubernetes")
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.file_type == FileType::File && entry.name.contains("kubeadm"));
    for entry in named {
        read(&join("/etc/kubernetes", &entry.name));
    }
    read("/var/lib/kubelet/config.yaml");
}

/// Name, address and version, from what the files say.
fn recognise(place: &dyn Place, node: &mut Node) {
    const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
    let own = node
        .certificates(KUBELET_CURRENT)
        .into_iter()
        .next()
        .map(|certificate| (certificate, KUBELET_CURRENT))
        .or_else(|| Some((node.client_certificate(KUBELET_CONF)?, KUBELET_CONF)));
    let from_kubelet = own.and_then(|(certificate, path)| {
        let name = certificate.common_name().strip_prefix("system:node:")?;
        (!name.is_empty()).then(|| (name.to_owned(), path.to_owned()))
    });
    let from_host = || {
        let text = place.read("/etc/hostname").ok()?;
        let name = std::str::from_utf8(&text).ok()?.trim().to_owned();
        let plain = !name.is_empty()
            && name.len() <= 253
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        plain.then(|| (name, "/etc/hostname".to_owned()))
    };
    if let Some((name, from)) = from_kubelet.or_else(from_host) {
        node.name = name;
        node.name_from = from;
    }
    let pods: Vec<super::Manifest> = node
        .files
        .values()
        .filter_map(|file| file.manifest.clone())
        .collect();
    node.control_plane = pods.iter().any(|pod| pod.component == "kube-apiserver")
        || node.files.contains_key(&node.pki("apiserver.crt"));
    node.address = pods
        .iter()
        .find_map(|pod| pod.flags.get("advertise-address")?.parse().ok());
    if node.version.is_none() {
        node.version = pods
            .iter()
            .filter(|pod| pod.component != "etcd")
            .find_map(|pod| {
                let tag = pod.image.split('@').next()?.rsplit_once(':')?.1;
                let tag = tag.split(['-', '+', '_']).next()?;
                tag.parse::<crate::kubeadm::Version>().ok()
            })
            .map(|version| version.to_string());
    }
    if node.version.is_none() {
        node.version = place
            .read("/kind/version")
            .ok()
            .and_then(|text| {
                std::str::from_utf8(&text)
                    .ok()?
                    .trim()
                    .parse::<crate::kubeadm::Version>()
                    .ok()
            })
            .map(|version| version.to_string());
    }
}
