//! `certdrill kubeadm`: the renewal engine on a real directory, as any version, at any time.

#![expect(
    clippy::disallowed_methods,
    reason = "the machine's clock and root are what the options stand in for"
)]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use crate::fs::Tree as _;
use crate::kubeadm::{Machine, Version, VersionError, run as run_kubeadm, uncertainties};
use crate::pki::{KeySource, OsKeys, PoolKeys};
use crate::real::dir::DirTree;
use crate::time::Timestamp;

/// Arguments of `certdrill kubeadm`.
#[derive(Debug, Clone, Args)]
pub struct KubeadmArgs {
    /// The kubeadm version to behave as, for example v1.36.3
    #[arg(long = "as", value_name = "VERSION", env = "CERTDRILL_AS")]
    pub version: String,

    /// The time it is for kubeadm (RFC 3339); now by default
    #[arg(long, value_name = "TIME", env = "CERTDRILL_AT")]
    pub at: Option<String>,

    /// The directory that plays `/`
    #[arg(long, value_name = "DIR", env = "CERTDRILL_ROOTFS")]
    pub rootfs: PathBuf,

    /// What the machine's name is; this machine's by default
    #[arg(long, value_name = "NAME", env = "CERTDRILL_HOSTNAME")]
    pub hostname: Option<String>,

    /// The address of the machine's default route; this machine's by default
    #[arg(long, value_name = "IP", env = "CERTDRILL_HOST_ADDRESS")]
    pub host_address: Option<IpAddr>,

    /// Take throw-away keys that follow from this number instead of fresh ones
    // Not from the environment, as everything that a forgotten variable would make dangerous.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Allow `/`, or a tree with this machine's own /etc/kubernetes
    #[arg(long)]
    pub allow_real_root: bool,

    /// What follows `kubeadm`
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Why `certdrill kubeadm` does not even start.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// `--as` is no version.
    #[error(transparent)]
    Version(#[from] VersionError),

    /// `--as` is a version that is not modelled.
    #[error(
        "{0} is not modelled: kubeadm is known from v1.15.0 on; of 1.10 to 1.14 a little is played in scenarios"
    )]
    UnknownVersion(Version),

    /// `--at` is no time.
    #[error("{text:?} is not a time")]
    Time {
        /// What was given.
        text: String,
    },

    /// `--rootfs` cannot be used.
    #[error("cannot open {} as a machine's root", path.display())]
    Rootfs {
        /// What was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },

    /// `--rootfs` is a directory, but no machine's.
    #[error("{} holds no Kubernetes certificates: there is no etc/kubernetes in it", path.display())]
    NoPki {
        /// What was given.
        path: PathBuf,
    },

    /// `--rootfs` is this machine itself.
    #[error("{} is this machine's own root: its real certificates would be changed", path.display())]
    RealRoot {
        /// What was given.
        path: PathBuf,
    },

    /// Standard output is gone.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

impl KubeadmError {
    /// How certdrill ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Version(_) | Self::UnknownVersion(_) | Self::Time { .. } => Exit::Usage,
            Self::Rootfs { .. } | Self::NoPki { .. } | Self::RealRoot { .. } => Exit::Invalid,
            Self::Output(_) => Exit::Internal,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Version(_) | Self::UnknownVersion(_) => {
                "pass a full version from v1.15.0 on, for example --as v1.36.3"
            }
            Self::Time { .. } => "write it as 2026-09-17T12:00:00Z",
            Self::Rootfs { .. } => {
                "--rootfs wants a directory that holds etc/kubernetes, as a copy of a control plane node does"
            }
            Self::NoPki { .. } => {
                "point --rootfs at the directory above etc, or make certificates first: certdrill kubeadm ... -- init phase certs all"
            }
            Self::RealRoot { .. } => {
                "work on a copy (cp -a /etc/kubernetes DIR/etc/), or say --allow-real-root"
            }
            Self::Output(_) => "see whether the reader of the output is still there",
        }
    }
}

/// Runs the engine; returns kubeadm's exit status.
///
/// # Errors
/// When the arguments do not make sense or the directory cannot be used.
pub fn run(args: &KubeadmArgs) -> Result<i32, KubeadmError> {
    let version: Version = args.version.parse()?;
    if version < Version::OLDEST || version.major != 1 {
        return Err(KubeadmError::UnknownVersion(version));
    }
    let now = match &args.at {
        None => Timestamp::now(),
        Some(text) => text
            .parse()
            .map_err(|_| KubeadmError::Time { text: text.clone() })?,
    };
    let outer = DirTree::open(&args.rootfs).map_err(|source| KubeadmError::Rootfs {
        path: args.rootfs.clone(),
        source,
    })?;
    let (inner, words) = without_rootfs(&args.args);
    // kubeadm's own --rootfs: a root inside ours. One that is not there is kubeadm's to complain about.
    let below = inner.as_ref().and_then(|inner| outer.below(inner).ok());
    let words = if below.is_some() { &words } else { &args.args };
    let mut tree = below.unwrap_or(outer);
    if !args.allow_real_root && is_this_machine(&args.rootfs) {
        return Err(KubeadmError::RealRoot {
            path: args.rootfs.clone(),
        });
    }
    let makes_certificates = words
        .iter()
        .any(|arg| arg == "init" || arg == "generate-csr");
    if !makes_certificates && !tree.exists("/etc/kubernetes") {
        return Err(KubeadmError::NoPki {
            path: args.rootfs.clone(),
        });
    }
    let mut keys: Box<dyn KeySource> = match args.seed {
        Some(seed) => Box::new(PoolKeys::new(seed)),
        None => Box::new(OsKeys::new()),
    };
    let hostname = args.hostname.clone().unwrap_or_else(own_hostname);
    let output = run_kubeadm(
        version,
        words,
        &mut Machine {
            tree: &mut tree,
            now,
            hostname,
            host_address: args.host_address.unwrap_or_else(own_address),
            keys: keys.as_mut(),
            cluster: None,
        },
    );
    let mut stderr = std::io::stderr().lock();
    for warning in uncertainties(version) {
        writeln!(stderr, "certdrill: warning: {warning}").map_err(KubeadmError::Output)?;
    }
    std::io::stdout()
        .write_all(output.stdout.as_bytes())
        .map_err(KubeadmError::Output)?;
    stderr
        .write_all(output.stderr.as_bytes())
        .map_err(KubeadmError::Output)?;
    Ok(output.exit_code)
}

/// The last `--rootfs` of kubeadm's arguments, and the arguments without any.
fn without_rootfs(args: &[String]) -> (Option<String>, Vec<String>) {
    let mut found = None;
    let mut rest = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word.clone());
            rest.extend(words.cloned());
            break;
        }
        match word.strip_prefix("--rootfs=") {
            Some(value) => found = Some(value.to_owned()),
            None if word == "--rootfs" => found = words.next().cloned().or(found),
            None => rest.push(word.clone()),
        }
    }
    (found.filter(|root| !root.is_empty()), rest)
}

/// Whether a directory is `/`, or its etc/kubernetes is this machine's.
fn is_this_machine(root: &Path) -> bool {
    let identity = |path: &Path| {
        std::fs::metadata(path)
            .map(|found| (found.dev(), found.ino()))
            .ok()
    };
    let same = |one: &Path, other: &Path| {
        let one = identity(one);
        one.is_some() && one == identity(other)
    };
    same(root, Path::new("/"))
        || same(&root.join("etc"), Path::new("/etc"))
        || same(&root.join("etc/kubernetes"), Path::new("/etc/kubernetes"))
        || same(
            &root.join("etc/kubernetes/pki"),
            Path::new("/etc/kubernetes/pki"),
        )
}

fn own_hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The address the default route would be taken from. Connecting a datagram socket sends nothing.
fn own_address() -> IpAddr {
    let address = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // kubeadm's own stand-in when there is no default route.
    address().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Wrapper {
        #[command(flatten)]
        args: KubeadmArgs,
    }

    fn args(text: &str, root: &Path) -> KubeadmArgs {
        let root = root.to_str().unwrap();
        let words = text.split(' ').map(|word| word.replace("ROOT", root));
        Wrapper::parse_from(std::iter::once("x".to_owned()).chain(words)).args
    }

    #[test]
    fn what_cannot_be_done_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let refuse = |text: &str| run(&args(text, dir.path())).unwrap_err();
        let error = refuse("--as 1.36 --rootfs ROOT -- certs");
        assert!(matches!(error, KubeadmError::Version(_)), "{error}");
        let error = refuse("--as v1.14.0 --rootfs ROOT -- certs");
        assert!(matches!(error, KubeadmError::UnknownVersion(_)), "{error}");
        let error = refuse("--as v1.36.3 --at tomorrow --rootfs ROOT -- certs");
        assert!(matches!(error, KubeadmError::Time { .. }), "{error}");
        let error = refuse("--as v1.36.3 --rootfs ROOT/nosuch -- certs");
        assert!(matches!(error, KubeadmError::Rootfs { .. }), "{error}");
        let error = refuse("--as v1.36.3 --rootfs ROOT -- certs renew all");
        assert!(matches!(error, KubeadmError::NoPki { .. }), "{error}");
        let error = refuse("--as v1.36.3 --rootfs / -- certs renew all");
        assert!(matches!(error, KubeadmError::RealRoot { .. }), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn kubeadms_own_rootfs_is_a_root_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("host/etc")).unwrap();
        std::os::unix::fs::symlink("/host", dir.path().join("link")).unwrap();
        let line = "--as v1.36.3 --seed 1 --rootfs ROOT -- --rootfs /link init phase certs ca";
        assert_eq!(run(&args(line, dir.path())).unwrap(), 0);
        assert!(dir.path().join("host/etc/kubernetes/pki/ca.crt").is_file());
        assert!(!dir.path().join("etc").exists());
        let line = "--as v1.36.3 --seed 1 --rootfs ROOT -- init phase certs ca --rootfs=/nosuch";
        assert_eq!(run(&args(line, dir.path())).unwrap(), 1);
        assert!(!dir.path().join("etc").exists());
    }

    #[test]
    fn certificates_are_made_checked_and_renewed_in_a_real_directory() {
        let dir = tempfile::tempdir().unwrap();
        let config = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.3\nencryptionAlgorithm: ECDSA-P256\n";
        std::fs::write(dir.path().join("kubeadm.yaml"), config).unwrap();
        for command in [
            "init phase certs all",
            "init phase kubeconfig all",
            "certs renew all",
            "certs check-expiration",
        ] {
            let line = format!(
                "--as v1.36.3 --at 2026-01-01T00:00:00Z --hostname cp1 --host-address 10.0.0.10 --rootfs ROOT -- {command} --config /kubeadm.yaml"
            );
            assert_eq!(run(&args(&line, dir.path())).unwrap(), 0, "{command}");
        }
        let key = dir.path().join("etc/kubernetes/pki/apiserver.key");
        assert_eq!(std::fs::metadata(key).unwrap().mode() & 0o777, 0o600);
    }
}
