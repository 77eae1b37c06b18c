//! Real kubeadm binaries: one that is named, the one on `PATH`, and those in the cache.
//!
//! The cache is `$CERTDRILL_ENGINES`, by default `certdrill/engines` in the XDG cache directory, and holds
//! `VERSION/kubeadm`.

#![expect(
    clippy::disallowed_methods,
    reason = "binaries of the machine are looked up and started"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::kubeadm::Version;

/// The script that builds a kubeadm from the published Go modules.
const BUILD_SCRIPT: &str = include_str!("engines/build-kubeadm.sh");

/// Where real kubeadm binaries are looked for.
#[derive(Debug, Clone)]
pub struct Engines {
    explicit: Option<PathBuf>,
    cache: PathBuf,
    path: Option<OsString>,
    /// What binaries said they are.
    known: Arc<Mutex<BTreeMap<PathBuf, Option<Version>>>>,
}

/// A kubeadm binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFile {
    /// What it says it is.
    pub version: Version,
    /// Where it is.
    pub path: PathBuf,
    /// How it was found.
    pub origin: Origin,
}

/// How a binary was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was named.
    Explicit,
    /// In the cache.
    Cache,
    /// On `PATH`.
    Path,
}

impl Origin {
    /// A word for a list.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Origin::Explicit => "--engine",
            Origin::Cache => "cache",
            Origin::Path => "PATH",
        }
    }
}

/// Why there is no binary.
#[derive(Debug, thiserror::Error)]
pub enum EngineFileError {
    /// There is none of this version.
    #[error("no kubeadm {version} on this machine: neither on PATH nor in {}", cache.display())]
    NotFound {
        /// The version that is needed.
        version: Version,
        /// The cache that was searched.
        cache: PathBuf,
    },
    /// A file is not a kubeadm that runs here.
    #[error("{} is not a kubeadm that runs here: {reason}", path.display())]
    NotKubeadm {
        /// The file.
        path: PathBuf,
        /// What it did instead.
        reason: String,
    },
    /// It is another version than it should be.
    #[error("{} is kubeadm {found}, not {version}", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Version,
        /// What it should be.
        version: Version,
    },
    /// Building it failed.
    #[error("kubeadm {version} could not be built: {reason}")]
    Build {
        /// The version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// It cannot be put into the cache.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl EngineFileError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NotFound { version, .. } | Self::Build { version, .. } => format!(
                "`certdrill engines install {version} --from FILE` keeps a kubeadm you have (from your \
                 package manager or dl.k8s.io); `certdrill engines install {version}` builds one where \
                 Go is installed; --engine FILE uses a binary just this once"
            ),
            Self::NotKubeadm { .. } => {
                "give a kubeadm binary built for this machine; `FILE version -o short` must print its version".to_owned()
            }
            Self::OtherVersion { found, .. } => {
                format!("ask for {found}, or give the binary of the version you want")
            }
            Self::Write { .. } => {
                "free some space, or let CERTDRILL_ENGINES name a directory that can be written".to_owned()
            }
        }
    }
}

impl Engines {
    /// The binaries of this machine, as the environment says.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let cache = std::env::var_os("CERTDRILL_ENGINES").map_or_else(
            || {
                let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
                std::env::var_os("XDG_CACHE_HOME")
                    .map_or_else(|| home().join(".cache"), PathBuf::from)
                    .join("certdrill/engines")
            },
            PathBuf::from,
        );
        Self {
            explicit: None,
            cache,
            path: std::env::var_os("PATH"),
            known: Arc::default(),
        }
    }

    /// The same, but every node runs this binary, whatever version it is.
    #[must_use]
    pub fn with_binary(mut self, path: PathBuf) -> Self {
        self.explicit = Some(path);
        self
    }

    /// The directory that binaries are kept in.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The binary for a version.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, version: Version) -> Result<EngineFile, EngineFileError> {
        let found = |version, path, origin| EngineFile {
            version,
            path,
            origin,
        };
        if let Some(path) = &self.explicit {
            let says = self.version_of(path)?;
            return Ok(found(says, path.clone(), Origin::Explicit));
        }
        let cached = self.cached(version);
        if cached.is_file() {
            let says = self.version_of(&cached)?;
            if says != version {
                return Err(EngineFileError::OtherVersion {
                    path: cached,
                    found: says,
                    version,
                });
            }
            return Ok(found(version, cached, Origin::Cache));
        }
        match self.on_path() {
            Some(path) if self.version_of(&path).is_ok_and(|says| says == version) => {
                Ok(found(version, path, Origin::Path))
            }
            _ => Err(EngineFileError::NotFound {
                version,
                cache: self.cache.clone(),
            }),
        }
    }

    /// Where other programs are kept that scripts of scenarios find, cfssl for one (`ci/build-cfssl.sh`).
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Every binary there is, oldest version first.
    #[must_use]
    pub fn list(&self) -> Vec<EngineFile> {
        let mut found = Vec::new();
        if let Ok(entries) = std::fs::read_dir(&self.cache) {
            for entry in entries.flatten() {
                let path = entry.path().join("kubeadm");
                if let Ok(version) = self.version_of(&path) {
                    found.push(EngineFile {
                        version,
                        path,
                        origin: Origin::Cache,
                    });
                }
            }
        }
        if let Some(path) = self.on_path()
            && let Ok(version) = self.version_of(&path)
        {
            found.push(EngineFile {
                version,
                path,
                origin: Origin::Path,
            });
        }
        found.sort_by(|a, b| (a.version, &a.path).cmp(&(b.version, &b.path)));
        found
    }

    /// Keeps a binary in the cache.
    ///
    /// # Errors
    /// When it is no kubeadm of that version or cannot be written.
    pub fn keep(&self, version: Version, from: &Path) -> Result<EngineFile, EngineFileError> {
        let says = self.version_of(from)?;
        if says != version {
            return Err(EngineFileError::OtherVersion {
                path: from.to_owned(),
                found: says,
                version,
            });
        }
        let target = self.cached(version);
        let write = |path: &Path| -> std::io::Result<()> {
            let dir = path.parent().unwrap_or(path);
            std::fs::create_dir_all(dir)?;
            // Whole or not at all.
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
            file.flush()?;
            use std::os::unix::fs::PermissionsExt as _;
            let executable = std::fs::Permissions::from_mode(0o755);
            file.as_file().set_permissions(executable)?;
            file.persist(path)?;
            Ok(())
        };
        write(&target).map_err(|source| EngineFileError::Write {
            path: target.clone(),
            source,
        })?;
        Ok(EngineFile {
            version,
            path: target,
            origin: Origin::Cache,
        })
    }

    /// Builds a binary from the published Go modules and keeps it. What the build says goes to standard error.
    ///
    /// # Errors
    /// When Go is missing or the build fails.
    pub fn build(&self, version: Version) -> Result<EngineFile, EngineFileError> {
        let failed = |reason: String| EngineFileError::Build { version, reason };
        let mut child = Command::new("bash")
            .args(["-s", "--", &version.to_string()])
            .env("CERTDRILL_ENGINES", &self.cache)
            .stdin(Stdio::piped())
            .stdout(std::io::stderr())
            .spawn()
            .map_err(|error| failed(format!("bash does not start: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(BUILD_SCRIPT.as_bytes())
                .map_err(|error| failed(error.to_string()))?;
        }
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(format!("the build ended with {status}")));
        }
        self.find(version)
    }

    fn cached(&self, version: Version) -> PathBuf {
        self.cache.join(version.to_string()).join("kubeadm")
    }

    fn on_path(&self) -> Option<PathBuf> {
        std::env::split_paths(self.path.as_ref()?)
            .map(|dir| dir.join("kubeadm"))
            .find(|path| path.is_file())
    }

    /// What a binary says it is. Asked once.
    fn version_of(&self, path: &Path) -> Result<Version, EngineFileError> {
        let not_kubeadm = |reason: String| EngineFileError::NotKubeadm {
            path: path.to_owned(),
            reason,
        };
        if let Ok(known) = self.known.lock()
            && let Some(version) = known.get(path)
        {
            return version.ok_or_else(|| not_kubeadm("it did not say its version".to_owned()));
        }
        let asked = Command::new(path)
            .args(["version", "-o", "short"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| not_kubeadm(error.to_string()))?;
        let text = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        // `v1.37.0-alpha.1+abc` of an unreleased build behaves as the release it leads to.
        let release = text.split(['-', '+']).next().unwrap_or_default();
        let version = release.parse::<Version>().ok();
        if let Ok(mut known) = self.known.lock() {
            known.insert(path.to_owned(), version);
        }
        version.ok_or_else(|| {
            let said = if text.is_empty() {
                String::from_utf8_lossy(&asked.stderr).trim().to_owned()
            } else {
                text
            };
            not_kubeadm(format!("`version -o short` printed {said:?}"))
        })
    }
}
