//! What is known of kubeadm 1.10 to 1.14: renewal of the seven leaves, and the phases that incidents of those years need.
//!
//! Which versions have what is data in [`super::profile::historic`]. Every other command line is refused: certdrill does not
//! know what it does, and says so instead of guessing.

use super::certlist::{ConfigFile, LEAVES, Leaf, config_files};
use super::config::{CERTIFICATES_DIR, ClusterConfiguration, KUBERNETES_DIR, Overrides};
use super::failure::{Context as _, Failure, Result};
use super::process::Process;
use super::profile::historic::{CERTIFICATE_PHASES, CONFIG_PHASES, MARK, RENEW, WORDS};
use super::{CommandOutput, Machine, Version};
use crate::fs::join;
use crate::pki::KeyAlgorithm;

/// A command line of which it is not known what it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what `kubeadm {line}` does in {version} is not known: it is a historic version, {MARK} (docs/limits.md)"
)]
pub struct NotKnown {
    /// What follows `kubeadm`.
    pub line: String,
    /// The version.
    pub version: Version,
}

/// Runs a command line of a historic version.
///
/// # Errors
/// When it is not known what the version does with it.
pub fn run(
    version: Version,
    args: &[String],
    machine: &mut Machine<'_>,
) -> std::result::Result<CommandOutput, NotKnown> {
    let not_known = || NotKnown {
        line: args.join(" "),
        version,
    };
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let command = Command::of(version, &words).ok_or_else(not_known)?;
    let mut process = Process::new(version, machine);
    let exit_code = match command.run(&mut process) {
        Ok(()) => 0,
        Err(failure) => {
            process.stderr += &format!("{}\n", failure.text);
            1
        }
    };
    Ok(CommandOutput {
        exit_code,
        stdout: process.stdout,
        stderr: process.stderr,
    })
}

/// Makes the files of a new cluster. The command line is that of 1.15, and what it prints is no observation: certificates and
/// kubeconfigs are as the historic version makes them.
pub fn make(version: Version, args: &[String], machine: &mut Machine<'_>) -> CommandOutput {
    super::cmd::run(version, args, machine)
}

/// A command that is known.
enum Command<'a> {
    /// `renew NAME`, `renew all`.
    Renew {
        leaves: Vec<&'static Leaf>,
        dir: &'a str,
    },
    /// `alpha phase certs NAME`.
    Certificate { leaf: &'static Leaf, dir: &'a str },
    /// `alpha phase kubeconfig NAME`, `all`.
    Configs {
        files: Vec<ConfigFile>,
        dir: &'a str,
    },
    /// A group shows its help and succeeds: it has no such command.
    Help(&'static str),
    /// A command that there is not.
    Unknown { error: String, usage: &'static str },
}

impl<'a> Command<'a> {
    /// `None` where it is not known what the version does.
    fn of(version: Version, words: &[&'a str]) -> Option<Self> {
        let known = WORDS.at(version);
        if let Some(known) = known {
            let help = known.groups.iter().find(|(group, _)| {
                words
                    .strip_prefix(*group)
                    .is_some_and(|rest| matches!(rest, [] | ["check-expiration"]))
            });
            if let Some((_, text)) = help {
                return Some(Self::Help(text));
            }
            if words.first() == Some(&"certs") {
                return Some(Self::Unknown {
                    error: "unknown command \"certs\" for \"kubeadm\"".to_owned(),
                    usage: "Run 'kubeadm --help' for usage.\n",
                });
            }
        }
        let group = RENEW.at(version);
        if !group.is_empty()
            && let Some(["renew", rest @ ..]) = words.strip_prefix(*group)
        {
            let (name, dir) = name_and_dir(rest)?;
            if name == "all" {
                let leaves = LEAVES.iter().collect();
                return Some(Self::Renew { leaves, dir });
            }
            if let Some(leaf) = LEAVES.iter().find(|leaf| leaf.name == name) {
                let leaves = vec![leaf];
                return Some(Self::Renew { leaves, dir });
            }
            return known.map(|words| Self::Unknown {
                error: format!("invalid subcommand: {name:?}"),
                usage: words.renew,
            });
        }
        let ["alpha", "phase", group, rest @ ..] = words else {
            return None;
        };
        let (name, dir) = name_and_dir(rest)?;
        match *group {
            "certs" if *CERTIFICATE_PHASES.at(version) => {
                let leaf = LEAVES.iter().find(|leaf| leaf.name == name)?;
                Some(Self::Certificate { leaf, dir })
            }
            "kubeconfig" if *CONFIG_PHASES.at(version) => {
                // The order of CreateInitKubeConfigFiles.
                let order = ["admin", "kubelet", "controller-manager", "scheduler"];
                let profile = super::profile::Profile::of(version);
                let files: Vec<ConfigFile> = order
                    .into_iter()
                    .filter(|phase| name == "all" || name == *phase)
                    .filter_map(|phase| config_files(&profile).find(|file| file.phase == phase))
                    .collect();
                (!files.is_empty()).then_some(Self::Configs { files, dir })
            }
            _ => None,
        }
    }

    fn run(self, process: &mut Process<'_, '_>) -> Result<()> {
        match self {
            Self::Renew { leaves, dir } => leaves
                .into_iter()
                .try_for_each(|leaf| process.renew_leaf(leaf, dir)),
            Self::Certificate { leaf, dir } => process.use_or_make(leaf, dir),
            Self::Configs { files, dir } => files
                .iter()
                .try_for_each(|file| process.use_or_make_config(file, dir)),
            Self::Help(text) => {
                process.stdout.push_str(text);
                Ok(())
            }
            Self::Unknown { error, usage } => {
                process.stderr += &format!("Error: {error}\n{usage}");
                Err(Failure::new(format!("error: {error}")))
            }
        }
    }
}

/// The name that a command is about, and `--cert-dir`. `None` where something else is given.
fn name_and_dir<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let (mut name, mut dir) = (None, CERTIFICATES_DIR);
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        if let Some(value) = word.strip_prefix("--cert-dir=") {
            dir = value;
        } else if word == "--cert-dir" {
            dir = words.next()?;
        } else if word.starts_with('-') || name.is_some() {
            return None;
        } else {
            name = Some(word);
        }
    }
    Some((name?, dir))
}

impl Process<'_, '_> {
    /// `K/cmd/alpha/certs.go generateRenewalFunction`, `K/phases/certs/renewal/renewal.go RenewExistingCert`: the CA is loaded
    /// with its key before anything else, and nothing is printed.
    fn renew_leaf(&mut self, leaf: &Leaf, dir: &str) -> Result<()> {
        let base = leaf.base_name;
        let (ca, ca_key) = self.load_authority(dir, leaf.ca.base_name())?;
        let existing = self.read_leaf(dir, base)?;
        let mut config = self.identity_of(&existing, leaf.name);
        config.template.not_after = self.end_of(ClusterConfiguration::default().leaf_validity);
        let (certificate, key) = self
            .new_pair(config, KeyAlgorithm::Rsa2048, &ca, &ca_key, false)
            .context(format!("failed to renew certificate {base}"))?;
        self.write_pair(dir, base, &certificate, &key)
            .context(format!("failed to write new certificate {base}"))
    }

    /// `writeCertificateFilesIfNotExist` of 1.10: what is there is looked at, validity included.
    fn use_or_make(&mut self, leaf: &Leaf, dir: &str) -> Result<()> {
        let base = leaf.base_name;
        let (ca, ca_key) = self.load_authority(dir, leaf.ca.base_name())?;
        if self.certificate_or_key_exists(dir, base) {
            let (existing, _) = self
                .load_pair(dir, base)
                .context(format!("failure loading {base} certificate"))?;
            if existing.check_signature_from(&ca).is_err() {
                return Err(Failure::new(format!(
                    "certificate {base} is not signed by corresponding CA"
                )));
            }
            self.print(format!(
                "[certificates] Using the existing {base} certificate and key."
            ));
            return Ok(());
        }
        let mut configuration = self.load_configuration(None, &Overrides::default())?;
        dir.clone_into(&mut configuration.cluster.certificates_dir);
        let mut config = self.leaf_config(leaf, &configuration)?;
        config.template.not_after = self.end_of(configuration.cluster.leaf_validity);
        let (certificate, key) =
            self.new_pair(config, KeyAlgorithm::Rsa2048, &ca, &ca_key, false)?;
        self.write_pair(dir, base, &certificate, &key)
            .context(format!("failure while saving {base} certificate and key"))?;
        self.print(format!(
            "[certificates] Generated {base} certificate and key."
        ));
        self.print_served_names("certificates", base, &certificate);
        Ok(())
    }

    /// `createKubeConfigFileIfNotExists` of 1.12.
    fn use_or_make_config(&mut self, file: &ConfigFile, dir: &str) -> Result<()> {
        let mut configuration = self.load_configuration(None, &Overrides::default())?;
        dir.clone_into(&mut configuration.cluster.certificates_dir);
        let kubeconfig = self.new_kubeconfig(file, &configuration)?;
        let path = join(KUBERNETES_DIR, file.name);
        if self.is_absent(&path) {
            self.write_kubeconfig(&path, &kubeconfig)
                .context(format!("failed to save kubeconfig file {path} on disk"))?;
            self.print(format!(
                "[kubeconfig] Wrote KubeConfig file to disk: {path:?}"
            ));
            return Ok(());
        }
        self.validate_kubeconfig(KUBERNETES_DIR, file.name, &kubeconfig)?;
        self.print(format!(
            "[kubeconfig] Using existing up-to-date KubeConfig file: {path:?}"
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{MemoryTree, Tree as _};
    use crate::pki::PoolKeys;
    use crate::time::Timestamp;

    const V14: Version = Version::new(14, 10);
    const PKI: &str = "/etc/kubernetes/pki";

    /// A machine on which `make` has made everything.
    struct Node {
        tree: MemoryTree,
        keys: PoolKeys,
        now: Timestamp,
    }

    impl Node {
        fn of(version: Version) -> Self {
            let mut node = Self {
                tree: MemoryTree::new(),
                keys: PoolKeys::new(0),
                now: "2018-06-01T00:00:00Z".parse().unwrap(),
            };
            let args = ["init", "phase", "certs", "all"].map(str::to_owned);
            let made = node.on(|machine| make(version, &args, machine));
            assert_eq!(made.exit_code, 0, "{}", made.stderr);
            node
        }

        fn on<T>(&mut self, work: impl FnOnce(&mut Machine<'_>) -> T) -> T {
            work(&mut Machine {
                tree: &mut self.tree,
                now: self.now,
                hostname: "cp1".to_owned(),
                host_address: "10.0.0.10".parse().unwrap(),
                keys: &mut self.keys,
                cluster: None,
            })
        }

        fn run(
            &mut self,
            version: Version,
            line: &str,
        ) -> std::result::Result<CommandOutput, NotKnown> {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            self.on(|machine| run(version, &args, machine))
        }

        fn says(&mut self, version: Version, line: &str) -> (i32, String, String) {
            let output = self.run(version, line).unwrap();
            (output.exit_code, output.stdout, output.stderr)
        }

        fn file(&self, name: &str) -> Vec<u8> {
            self.tree.read(&format!("{PKI}/{name}")).unwrap()
        }
    }

    fn error(text: &str) -> (i32, String, String) {
        (1, String::new(), format!("{text}\n"))
    }

    /// As a kubeadm built from the sources of 1.14.10 said it.
    #[test]
    fn an_external_ca_of_1_14_is_an_error() {
        let mut node = Node::of(V14);
        let before = node.file("apiserver.crt");
        node.tree.remove(&format!("{PKI}/ca.key")).unwrap();
        let text = "failure loading ca certificate authority: failed to load key: couldn't load the private key file \
                    /etc/kubernetes/pki/ca.key: open /etc/kubernetes/pki/ca.key: no such file or directory";
        assert_eq!(node.says(V14, "alpha certs renew apiserver"), error(text));
        assert_eq!(node.says(V14, "alpha certs renew all"), error(text));
        assert_eq!(node.file("apiserver.crt"), before);
        node.tree.remove(&format!("{PKI}/ca.crt")).unwrap();
        assert_eq!(
            node.says(V14, "alpha certs renew apiserver"),
            error("couldn't load ca certificate authority from /etc/kubernetes/pki")
        );
        node.tree.remove(&format!("{PKI}/etcd/peer.crt")).unwrap();
        assert_eq!(
            node.says(V14, "alpha certs renew etcd-peer"),
            error(
                "failed to load existing certificate etcd/peer: open /etc/kubernetes/pki/etcd/peer.crt: no such file or directory"
            )
        );
    }

    #[test]
    fn renew_all_renews_seven_and_says_nothing() {
        for (version, line) in [
            (Version::new(12, 5), "alpha phase certs renew all"),
            (Version::new(13, 12), "alpha certs renew all"),
            (V14, "alpha certs renew all"),
        ] {
            let mut node = Node::of(version);
            let before: Vec<_> = LEAVES
                .iter()
                .map(|leaf| node.file(&format!("{}.crt", leaf.base_name)))
                .collect();
            assert_eq!(node.says(version, line), (0, String::new(), String::new()));
            for (leaf, before) in LEAVES.iter().zip(before) {
                assert_ne!(node.file(&format!("{}.crt", leaf.base_name)), before);
            }
        }
    }

    #[test]
    fn commands_that_came_later_are_answered_as_they_were() {
        let mut node = Node::of(V14);
        let (code, out, err) = node.says(V14, "alpha certs check-expiration");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(
            out.starts_with("Commands related to handling kubernetes certificates\n\nUsage:\n")
        );
        let (code, out, err) = node.says(V14, "alpha certs renew admin.conf");
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("Error: invalid subcommand: \"admin.conf\"\nUsage:\n  kubeadm alpha certs renew [flags]\n"), "{err}");
        assert!(
            err.ends_with(
                "for more information about a command.\n\nerror: invalid subcommand: \"admin.conf\"\n"
            ),
            "{err}"
        );
        assert_eq!(
            node.says(V14, "certs renew all").2,
            "Error: unknown command \"certs\" for \"kubeadm\"\nRun 'kubeadm --help' for usage.\nerror: unknown command \"certs\" for \"kubeadm\"\n"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let mut node = Node::of(V14);
        for (version, line) in [
            (V14, "init phase certs all"),
            (V14, "upgrade apply v1.15.0"),
            (V14, "alpha certs renew all --config /kubeadm.yaml"),
            (V14, "alpha certs renew all --use-api"),
            (V14, "alpha certs check-expiration --config /kubeadm.yaml"),
            (V14, "alpha phase kubeconfig all"),
            (Version::new(13, 12), "alpha certs check-expiration"),
            (Version::new(12, 5), "alpha phase certs all"),
            (Version::new(12, 5), "alpha certs renew all"),
            (Version::new(11, 10), "alpha phase certs renew all"),
            (Version::new(10, 5), "alpha phase certs all"),
        ] {
            let refused = node.run(version, line).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!(
                    "what `kubeadm {line}` does in {version} is not known: it is a historic version, from source and issues, no recorded run (docs/limits.md)"
                )
            );
        }
    }

    #[test]
    fn a_phase_of_1_10_takes_an_ended_certificate_for_an_error() {
        let version = Version::new(10, 5);
        let mut node = Node::of(version);
        let line = "alpha phase certs apiserver-etcd-client";
        assert_eq!(
            node.says(version, line).1,
            "[certificates] Using the existing apiserver-etcd-client certificate and key.\n"
        );
        node.now = "2019-06-02T00:00:00Z".parse().unwrap();
        assert_eq!(
            node.says(version, line),
            error("failure loading apiserver-etcd-client certificate: the certificate has expired")
        );
        for end in ["crt", "key"] {
            let path = format!("{PKI}/apiserver-etcd-client.{end}");
            node.tree.remove(&path).unwrap();
        }
        assert_eq!(
            node.says(version, line).1,
            "[certificates] Generated apiserver-etcd-client certificate and key.\n"
        );
        node.tree.remove(&format!("{PKI}/etcd/server.crt")).unwrap();
        node.tree.remove(&format!("{PKI}/etcd/server.key")).unwrap();
        assert_eq!(
            node.says(version, "alpha phase certs etcd-server").1,
            "[certificates] Generated etcd/server certificate and key.\n[certificates] etcd/server serving cert is signed for DNS names [localhost] and IPs [127.0.0.1]\n"
        );
    }
}
