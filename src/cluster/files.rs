//! What processes read from a node's tree: key pairs, CA bundles, kubeconfigs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::fs::MemoryTree;
use crate::pki::{Certificate, Kubeconfig, PrivateKey, Source};
use crate::time::Timestamp;

/// A certificate that a process can show, with the key that belongs to it.
#[derive(Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: Certificate,
    /// Further certificates of the file.
    pub intermediates: Vec<Certificate>,
    /// The file it was read from.
    pub file: String,
    /// The private key as it stands in its file.
    pub key: KeyText,
}

/// A private key's PEM text. It is never printed.
#[derive(Clone)]
pub struct KeyText(pub Arc<[u8]>);

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// The certificates a process trusts.
#[derive(Debug)]
pub struct Roots {
    /// Every certificate of the file.
    pub certificates: Vec<Certificate>,
}

/// A kubeconfig as client-go uses it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Host of the server URL.
    pub host: String,
    /// The server URL.
    pub server: String,
    /// CAs the server is checked with.
    pub roots: Arc<Roots>,
    /// Client certificate; `None` where there is no such user field.
    pub credential: Option<Arc<Credential>>,
    /// The certificate is part of the kubeconfig, not a file of its own.
    pub embedded: bool,
}

type Content = Arc<[u8]>;
type Places<K, T> = RefCell<HashMap<K, Kept<T>>>;
type Parsed<T> = Result<Arc<T>, String>;

/// Parsed files by content: a certificate that does not change is parsed once a run.
#[derive(Debug, Default)]
pub struct FileCache {
    /// By file too: a process says which file its certificate is from.
    pairs: RefCell<HashMap<(String, Content, Content), Parsed<Credential>>>,
    roots: RefCell<HashMap<Content, Parsed<Roots>>>,
    configs: RefCell<HashMap<(String, Content), Arc<ClientConfig>>>,
    /// Kubeconfigs that point to files: what they say, not what stands there.
    pointing: Places<usize, Arc<Said>>,
    /// The above by the place of the content in memory, which is quicker to look up than the content itself.
    pairs_at: Places<(String, usize, usize), Parsed<Credential>>,
    roots_at: Places<usize, Parsed<Roots>>,
    configs_at: Places<(String, usize), Arc<ClientConfig>>,
}

/// What a kubeconfig says.
#[derive(Debug)]
struct Said {
    server: String,
    authority: Part,
    certificate: Part,
    key: Part,
}

/// What a kubeconfig says of one of its parts.
enum Part {
    Data(Content),
    File(String),
    Absent,
}

impl From<Source> for Part {
    fn from(source: Source) -> Self {
        match source {
            Source::Data(data) => Self::Data(Arc::from(data)),
            Source::File(file) => Self::File(file),
            Source::Absent => Self::Absent,
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // It may be a key.
            Self::Data(_) => f.write_str("Data(..)"),
            Self::File(file) => write!(f, "File({file:?})"),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// Something found, with the contents that keep its places from being used again.
#[derive(Debug)]
struct Kept<T> {
    found: T,
    _contents: [Content; 2],
}

fn place(content: &Content) -> usize {
    Arc::as_ptr(content).cast::<u8>() as usize
}

impl FileCache {
    /// A certificate and its key.
    ///
    /// # Errors
    /// A file is missing, is garbage, or the two do not belong together: Go's text of
    /// `tls.LoadX509KeyPair`.
    pub fn pair(&self, tree: &MemoryTree, crt: &str, key: &str) -> Result<Arc<Credential>, String> {
        let crt_bytes = tree.content(crt).map_err(|error| error.to_string())?;
        let key_bytes = tree.content(key).map_err(|error| error.to_string())?;
        self.pair_of(crt_bytes, key_bytes, crt)
    }

    /// A CA bundle.
    ///
    /// # Errors
    /// The file is missing or holds no certificate.
    pub fn roots(&self, tree: &MemoryTree, path: &str) -> Result<Arc<Roots>, String> {
        let bytes = tree.content(path).map_err(|error| error.to_string())?;
        self.roots_of(bytes)
    }

    /// A kubeconfig with the files it points to.
    ///
    /// # Errors
    /// The kubeconfig or a file it names cannot be read.
    pub fn client_config(
        &self,
        tree: &MemoryTree,
        path: &str,
    ) -> Result<Arc<ClientConfig>, String> {
        let bytes = tree.content(path).map_err(|error| error.to_string())?;
        self.config_of(bytes, tree, path)
    }

    /// A kubeconfig by its content; files it names are looked up in the tree.
    ///
    /// # Errors
    /// As [`FileCache::client_config`].
    pub fn client_config_of(
        &self,
        content: &[u8],
        tree: &MemoryTree,
    ) -> Result<Arc<ClientConfig>, String> {
        self.config_of(Arc::from(content), tree, "kubeconfig")
    }

    fn config_of(
        &self,
        bytes: Arc<[u8]>,
        tree: &MemoryTree,
        path: &str,
    ) -> Result<Arc<ClientConfig>, String> {
        let at = (path.to_owned(), place(&bytes));
        if let Some(kept) = self.configs_at.borrow().get(&at) {
            return Ok(Arc::clone(&kept.found));
        }
        let keep = |found: &Arc<ClientConfig>| {
            let kept = Kept {
                found: Arc::clone(found),
                _contents: [Arc::clone(&bytes), Arc::clone(&bytes)],
            };
            self.configs_at.borrow_mut().insert(at.clone(), kept);
        };
        let known = self
            .pointing
            .borrow()
            .get(&at.1)
            .map(|kept| Arc::clone(&kept.found));
        let cache_key = (path.to_owned(), Arc::clone(&bytes));
        if known.is_none()
            && let Some(found) = self.configs.borrow().get(&cache_key)
        {
            keep(found);
            return Ok(Arc::clone(found));
        }
        let said = match known {
            Some(known) => known,
            None => {
                let config = Kubeconfig::parse(&bytes)
                    .map_err(|error| format!("error loading config file \"{path}\": {error}"))?;
                Arc::new(Said {
                    server: config.server().to_owned(),
                    authority: config.certificate_authority().into(),
                    certificate: config.client_certificate().into(),
                    key: config.client_key().into(),
                })
            }
        };
        let roots = match &said.authority {
            Part::Data(data) => self.roots_of(Arc::clone(data))?,
            Part::File(file) => self.roots(tree, file)?,
            Part::Absent => Arc::new(Roots {
                certificates: Vec::new(),
            }),
        };
        let embedded = matches!(said.certificate, Part::Data(_));
        let credential = match (&said.certificate, &said.key) {
            (Part::Data(crt), Part::Data(key)) => {
                Some(self.pair_of(Arc::clone(crt), Arc::clone(key), path)?)
            }
            (Part::File(crt), Part::File(key)) => Some(self.pair(tree, crt, key)?),
            _ => None,
        };
        let parsed = Arc::new(ClientConfig {
            host: host_of(&said.server),
            server: said.server.clone(),
            roots,
            credential,
            embedded,
        });
        // A kubeconfig that points to files changes with them.
        if embedded && !matches!(said.authority, Part::File(_)) {
            keep(&parsed);
            self.configs
                .borrow_mut()
                .insert(cache_key, Arc::clone(&parsed));
        } else {
            let kept = Kept {
                found: said,
                _contents: [Arc::clone(&bytes), bytes],
            };
            self.pointing.borrow_mut().insert(at.1, kept);
        }
        Ok(parsed)
    }

    fn roots_of(&self, bytes: Arc<[u8]>) -> Result<Arc<Roots>, String> {
        let at = place(&bytes);
        if let Some(kept) = self.roots_at.borrow().get(&at) {
            return kept.found.clone();
        }
        let known = self.roots.borrow().get(&bytes).cloned();
        let parsed = known.unwrap_or_else(|| {
            let parsed = Certificate::parse_pem_certs(&bytes)
                .map(|certificates| Arc::new(Roots { certificates }))
                .map_err(|error| error.to_string());
            self.roots
                .borrow_mut()
                .insert(Arc::clone(&bytes), parsed.clone());
            parsed
        });
        let kept = Kept {
            found: parsed.clone(),
            _contents: [Arc::clone(&bytes), bytes],
        };
        self.roots_at.borrow_mut().insert(at, kept);
        parsed
    }

    fn pair_of(
        &self,
        crt: Arc<[u8]>,
        key: Arc<[u8]>,
        file: &str,
    ) -> Result<Arc<Credential>, String> {
        let at = (file.to_owned(), place(&crt), place(&key));
        if let Some(kept) = self.pairs_at.borrow().get(&at) {
            return kept.found.clone();
        }
        let cache_key = (file.to_owned(), Arc::clone(&crt), Arc::clone(&key));
        let known = self.pairs.borrow().get(&cache_key).cloned();
        let parsed = known.unwrap_or_else(|| {
            let parsed = parse_pair(&crt, &key, file);
            self.pairs.borrow_mut().insert(cache_key, parsed.clone());
            parsed
        });
        let kept = Kept {
            found: parsed.clone(),
            _contents: [crt, key],
        };
        self.pairs_at.borrow_mut().insert(at, kept);
        parsed
    }
}

impl Credential {
    /// End of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.certificate.not_after()
    }
}

fn parse_pair(crt: &[u8], key_text: &Arc<[u8]>, file: &str) -> Result<Arc<Credential>, String> {
    let mut certificates = Certificate::parse_pem_certs(crt)
        .map_err(|_| "tls: failed to find any PEM data in certificate input".to_owned())?
        .into_iter();
    let certificate = certificates
        .next()
        .ok_or_else(|| "tls: failed to find any PEM data in certificate input".to_owned())?;
    let key = PrivateKey::from_pem(key_text)
        .map_err(|_| "tls: failed to find any PEM data in key input".to_owned())?;
    if key.spki_der() != certificate.spki_der() {
        return Err("tls: private key does not match public key".to_owned());
    }
    Ok(Arc::new(Credential {
        certificate,
        intermediates: certificates.collect(),
        file: file.to_owned(),
        key: KeyText(Arc::clone(key_text)),
    }))
}

/// The host of `https://host:port`, without the brackets of an IPv6 address.
pub(super) fn host_of(server: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default().to_owned(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts_of_server_urls() {
        assert_eq!(host_of("https://10.0.0.10:6443"), "10.0.0.10");
        assert_eq!(host_of("https://[fd00::5]:6443"), "fd00::5");
        assert_eq!(host_of("https://lb.example"), "lb.example");
        assert_eq!(host_of(""), "");
    }
}
