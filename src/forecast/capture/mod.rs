//! A capture: the public parts of a cluster's PKI.
//!
//! A capture never holds a private key, a token or a password. Keys are read in one place (`private.rs`), into
//! memory that is overwritten afterwards, and only to say which certificate they belong to. Everything else that
//! is kept is on a list of what may be kept; what is not on it is left out.

mod archive;
mod kubeconfig;
mod manifest;
mod private;
mod read;
mod settings;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cluster::{KUBELET_CONF, KUBELET_PKI};
use crate::pki::Certificate;
use crate::scenario::{self, Problem};
use crate::time::Timestamp;

pub use archive::{Archive, ArchiveError};
pub use read::{Place, TreePlace, node};

/// `apiVersion` of a capture.
pub const API_VERSION: &str = "certdrill/v1";
/// `kind` of a capture.
pub const KIND: &str = "Capture";
/// A capture of a thousand nodes is smaller than this.
const CAPTURE_BYTES_MAX: usize = 64 << 20;

/// The public parts of one or several nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capture {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Version of certdrill that wrote it.
    pub certdrill: String,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Name of the Node object, as far as the files tell.
    pub name: String,
    /// Where the name is from.
    pub name_from: String,
    /// When the files were read.
    pub at: Timestamp,
    /// It has static Pods of a control plane.
    pub control_plane: bool,
    /// What it advertises, from its manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Kubernetes version, `v1.36.3`, from its manifests or as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What kubeadm's and the kubelet's configuration files say, as far as it concerns certificates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Every file that was looked at.
    pub files: BTreeMap<String, File>,
    /// What could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// One path of a node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Permission bits in octal, `0600`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Owner and group, where they are not root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Target of a symlink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Certificates, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Pem>,
    /// The private key of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// A public key (`sa.pub`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// A kubeconfig without its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<Kubeconfig>,
    /// A static Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// It should be one of these and cannot be read as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A certificate in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pem(pub String);

/// A private key that is there; nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Files of this node whose (first) certificate or public key belongs to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub belongs_to: Vec<String>,
    /// It is no private key that Go can read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

/// A kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubeconfig {
    /// The context in use.
    #[serde(default)]
    pub current_context: String,
    /// Clusters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, Cluster>,
    /// Contexts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Context>,
    /// Users by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, User>,
}

/// A cluster of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// URL of the API server, without user and password.
    #[serde(default)]
    pub server: String,
    /// Embedded CA certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<Pem>,
    /// File with CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<String>,
}

/// A context of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// Name of the cluster.
    #[serde(default)]
    pub cluster: String,
    /// Name of the user.
    #[serde(default)]
    pub user: String,
}

/// A user of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// Embedded client certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Pem>,
    /// Embedded key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// File with the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// File with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Names of further fields: a token, a password, a plug-in. Their values are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
}

/// A static Pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `kube-apiserver`, ...
    pub component: String,
    /// Image with its tag.
    #[serde(default)]
    pub image: String,
    /// Flags that concern certificates, addresses and controllers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, String>,
}

/// Why a capture cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// It is no YAML or JSON of this shape, at a place of its text.
    #[error("this is not a capture: line {}: {}", .0.at.line, .0.message)]
    Format(Box<Problem>),
    /// It cannot be written.
    #[error("this capture cannot be written: {0}")]
    Write(String),
    /// Another format.
    #[error("this is {kind:?} of {api_version:?}; a capture is {KIND:?} of {API_VERSION:?}")]
    Kind {
        /// What it says.
        kind: String,
        /// What it says.
        api_version: String,
    },
    /// It is too large.
    #[error("this is larger than 64 MiB, which no capture is")]
    Size,
    /// There is nothing in it.
    #[error("this capture has no nodes")]
    Empty,
}

impl Capture {
    /// A capture of these nodes.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            certdrill: env!("CARGO_PKG_VERSION").to_owned(),
            nodes,
        }
    }

    /// Reads a capture from YAML or JSON.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn parse(text: &str) -> Result<Self, CaptureError> {
        if text.len() > CAPTURE_BYTES_MAX {
            return Err(CaptureError::Size);
        }
        let capture: Self = if text.trim_start().starts_with('{') {
            scenario::json(text)
        } else {
            scenario::document(text)
        }
        .map_err(CaptureError::Format)?;
        if capture.kind != KIND || capture.api_version != API_VERSION {
            return Err(CaptureError::Kind {
                kind: capture.kind,
                api_version: capture.api_version,
            });
        }
        if capture.nodes.is_empty() {
            return Err(CaptureError::Empty);
        }
        Ok(capture)
    }

    /// Writes the capture as YAML.
    ///
    /// # Errors
    /// Never for a capture that was read or made here.
    pub fn to_yaml(&self) -> Result<String, CaptureError> {
        serde_saphyr::to_string(self).map_err(|error| CaptureError::Write(error.to_string()))
    }
}

impl Node {
    /// The static Pod of a component, as it was captured.
    #[must_use]
    pub fn pod(&self, component: &str) -> Option<&Manifest> {
        self.files
            .values()
            .filter_map(|file| file.manifest.as_ref())
            .find(|manifest| manifest.component == component)
    }

    /// Where its certificates are: where its kube-apiserver finds its CA, else what kubeadm's configuration says.
    #[must_use]
    pub fn certificates_dir(&self) -> &str {
        self.pod("kube-apiserver")
            .and_then(|pod| pod.flags.get("client-ca-file"))
            .and_then(|path| path.strip_suffix("/ca.crt"))
            .or_else(|| {
                let dir = self.settings.get("kubeadm.certificatesDir")?;
                Some(dir.trim_end_matches('/'))
            })
            .unwrap_or(crate::cluster::PKI)
    }

    /// A file below that directory.
    #[must_use]
    pub fn pki(&self, name: &str) -> String {
        format!("{}/{name}", self.certificates_dir())
    }

    /// Members of etcd that its kube-apiserver asks, where they are not on the same machine alone.
    #[must_use]
    pub fn etcd_endpoints(&self) -> Vec<String> {
        let urls = self
            .pod("kube-apiserver")
            .and_then(|pod| pod.flags.get("etcd-servers"))
            .map_or("", String::as_str);
        let own = |url: &str| {
            ["//127.0.0.1", "//localhost", "//[::1]"]
                .iter()
                .any(|host| url.contains(host))
        };
        let all: Vec<String> = urls
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect();
        if all.iter().all(|url| own(url)) {
            return Vec::new();
        }
        all
    }

    /// The file behind a path, symlinks of the capture followed.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&File> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let file = self.files.get(&path)?;
            let Some(link) = &file.link else {
                return Some(file);
            };
            path = if link.starts_with('/') {
                link.clone()
            } else {
                let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                crate::fs::join(dir, link)
            };
        }
        None
    }

    /// The certificates of a file, as far as they can be read.
    #[must_use]
    pub fn certificates(&self, path: &str) -> Vec<Certificate> {
        self.file(path)
            .map(|file| parse_all(&file.certificates))
            .unwrap_or_default()
    }

    /// The last address that a serving certificate is for, but for those of the machine itself.
    #[must_use]
    pub fn served_address(&self, path: &str) -> Option<IpAddr> {
        let certificates = self.certificates(path);
        let addresses = certificates.first()?.ip_addresses();
        let mut last = addresses.iter().rev();
        last.find(|address| !address.is_loopback()).copied()
    }

    /// The client certificate that a kubeconfig embeds.
    #[must_use]
    pub fn client_certificate(&self, path: &str) -> Option<Certificate> {
        let user = self.file(path)?.kubeconfig.as_ref()?.user()?;
        parse_all(&user.certificates).into_iter().next()
    }

    /// What of this machine is not in the capture, so that nobody can say how its kubelet is. A machine of an external etcd has a
    /// kubelet that asks nobody.
    #[must_use]
    pub fn kubelet_is_unknown(&self) -> Option<String> {
        const ETC: &str = "/etc/kubernetes/";
        if !self.control_plane && self.pod("etcd").is_some() {
            return None;
        }
        let holds = |dir: &str| self.files.keys().any(|path| path.starts_with(dir));
        let kubeconfigs = self.files.keys().any(|path| {
            path.strip_prefix(ETC)
                .is_some_and(|name| name.ends_with(".conf") && !name.contains('/'))
        });
        // A worker has no other one than kubelet.conf.
        if !holds(ETC) || self.control_plane && !kubeconfigs {
            return Some("no kubeconfig of /etc/kubernetes is in the capture".to_owned());
        }
        let stored = self
            .file(KUBELET_CONF)
            .and_then(|file| file.kubeconfig.as_ref()?.user()?.certificate_file.as_ref())
            .is_some_and(|path| path.starts_with(KUBELET_PKI));
        (stored && !holds(KUBELET_PKI)).then(|| {
            format!(
                "nothing of {KUBELET_PKI} is in the capture, where its kubelet's certificate is"
            )
        })
    }
}

impl Kubeconfig {
    /// The user of the current context.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.users
            .get(&self.contexts.get(&self.current_context)?.user)
    }

    /// The cluster of the current context.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.clusters
            .get(&self.contexts.get(&self.current_context)?.cluster)
    }
}

/// Certificates of PEM texts, as far as they can be read.
#[must_use]
pub fn parse_all(pems: &[Pem]) -> Vec<Certificate> {
    pems.iter()
        .filter_map(|pem| {
            Certificate::parse_pem_certs(pem.0.as_bytes())
                .ok()?
                .into_iter()
                .next()
        })
        .collect()
}
