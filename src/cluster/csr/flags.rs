//! Flags of kube-controller-manager that say what it does and what it signs with, read from its manifest.

use crate::kubeadm::Version;
use crate::kubeadm::config::go_duration;
use crate::kubeadm::profile::kubelet::{FATAL, Fatal};
use crate::kubeadm::profile::signing::{
    EXPERIMENTAL_DURATION_FLAG, LONG_CONTROLLER_NAMES, SHORT_CONTROLLER_NAMES,
    SIGNING_DURATION_FLAG,
};
use crate::time::SignedDuration;

/// `--cluster-signing-duration` where it is not given.
const YEAR: SignedDuration = SignedDuration::from_hours(8760);
/// Controllers that `*` does not mean (`IsDisabledByDefault`), of those that play a part here.
const OFF_BY_DEFAULT: [&str; 2] = ["bootstrapsigner", "tokencleaner"];

/// What a controller-manager was told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// `--cluster-signing-cert-file`; empty for none.
    pub cert_file: String,
    /// `--cluster-signing-key-file`; empty for none.
    pub key_file: String,
    /// `--cluster-signing-duration`, or its older spelling.
    pub duration: SignedDuration,
    /// `--controllers`.
    pub controllers: Vec<String>,
    /// `--leader-elect`: its controllers wait until it leads.
    pub leader_elect: bool,
}

impl Default for Flags {
    /// No signing files, every controller that is on by default.
    fn default() -> Self {
        Self {
            cert_file: String::new(),
            key_file: String::new(),
            duration: YEAR,
            controllers: vec!["*".to_owned()],
            leader_elect: true,
        }
    }
}

impl Flags {
    /// What kubeadm gives a controller-manager unless told otherwise.
    #[must_use]
    pub fn of_kubeadm() -> Self {
        Self {
            cert_file: "/etc/kubernetes/pki/ca.crt".to_owned(),
            key_file: "/etc/kubernetes/pki/ca.key".to_owned(),
            controllers: Self::controllers_of_kubeadm(),
            ..Self::default()
        }
    }

    /// `--controllers` as kubeadm writes it.
    #[must_use]
    pub fn controllers_of_kubeadm() -> Vec<String> {
        ["*", "bootstrapsigner", "tokencleaner"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Reads the flags of a manifest.
    ///
    /// # Errors
    /// With the line that a controller-manager of this version ends with.
    pub fn read(manifest: &[u8], version: Version) -> Result<Self, String> {
        let text = String::from_utf8_lossy(manifest);
        let mut flags = Self::default();
        for line in text.lines() {
            let Some(flag) = line.trim().strip_prefix("- --") else {
                continue;
            };
            let flag = flag.trim_matches(['"', '\'']);
            let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
            match name {
                "cluster-signing-cert-file" => flags.cert_file = value.to_owned(),
                "cluster-signing-key-file" => flags.key_file = value.to_owned(),
                "cluster-signing-duration" | "experimental-cluster-signing-duration" => {
                    let known = match name {
                        "cluster-signing-duration" => &SIGNING_DURATION_FLAG,
                        _ => &EXPERIMENTAL_DURATION_FLAG,
                    };
                    if !known.at(version) {
                        return Err(fatal(version, &format!("unknown flag: --{name}")));
                    }
                    flags.duration = go_duration(value).map_err(|error| {
                        let quoted = format!("invalid argument {value:?} for \"--{name}\" flag");
                        fatal(version, &format!("{quoted}: {error}"))
                    })?;
                }
                "controllers" => {
                    flags.controllers = value.split(',').map(str::to_owned).collect();
                }
                "leader-elect" => flags.leader_elect = value != "false",
                _ => {}
            }
        }
        for name in &flags.controllers {
            let plain = name.strip_prefix('-').unwrap_or(name);
            if plain != "*" && !is_known(plain, version) {
                let text = format!("{plain:?} is not in the list of known controllers");
                return Err(fatal(version, &text));
            }
        }
        Ok(flags)
    }

    /// Whether there are files to sign with.
    #[must_use]
    pub fn signs(&self) -> bool {
        !self.cert_file.is_empty()
            && !self.key_file.is_empty()
            && self.runs("csrsigning", "certificatesigningrequest-signing-controller")
    }

    /// Whether a controller runs, by its short and its long name (`genericcontrollermanager.IsControllerEnabled`).
    #[must_use]
    pub fn runs(&self, short: &str, long: &str) -> bool {
        let named = |name: &str| name == short || name == long;
        for entry in &self.controllers {
            match entry.strip_prefix('-') {
                Some(off) if named(off) => return false,
                None if named(entry) => return true,
                _ => {}
            }
        }
        !OFF_BY_DEFAULT.contains(&short) && self.controllers.iter().any(|entry| entry == "*")
    }
}

/// The line a component ends with whose command line cannot be used (`component-base/cli/run.go`).
fn fatal(version: Version, reason: &str) -> String {
    match FATAL.at(version) {
        Fatal::Klog => reason.to_owned(),
        Fatal::Structured => format!("\"command failed\" err={reason:?}"),
    }
}

fn is_known(name: &str, version: Version) -> bool {
    // Long names are all of one form; a misspelled one of that form is not told from a real one here.
    SHORT_CONTROLLER_NAMES.contains(&name)
        || (*LONG_CONTROLLER_NAMES.at(version) && name.ends_with("-controller"))
        || matches!(
            name,
            "ephemeral-volume" | "endpointslicemirroring" | "storage-version-gc"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(flags: &[&str]) -> Vec<u8> {
        flags
            .iter()
            .map(|flag| format!("    - {flag}\n"))
            .collect::<String>()
            .into_bytes()
    }

    #[test]
    fn flags_are_read_and_default_as_kubernetes() {
        let text = manifest(&[
            "--cluster-signing-cert-file=/a.crt",
            "--cluster-signing-key-file=/a.key",
            "--cluster-signing-duration=24h0m0s",
        ]);
        let flags = Flags::read(&text, Version::new(36, 3)).unwrap();
        assert!(flags.signs());
        assert_eq!(flags.duration, SignedDuration::from_hours(24));
        assert!(flags.runs("csrapproving", "x"));
        assert!(flags.leader_elect);
        let alone = Flags::read(&manifest(&["--leader-elect=false"]), Version::new(36, 3)).unwrap();
        assert!(!alone.leader_elect);
        assert_eq!(
            Flags::read(b"", Version::new(36, 3)).unwrap().duration,
            YEAR
        );
        assert!(!Flags::default().signs());
    }

    #[test]
    fn a_list_of_controllers_turns_others_off() {
        let flags = |list| {
            Flags::read(
                &manifest(&[&format!("--controllers={list}")]),
                Version::new(36, 3),
            )
        };
        let one = flags("csrsigning").unwrap();
        assert!(one.runs("csrsigning", "long"));
        assert!(!one.runs("csrapproving", "long"));
        // Two are not among all of them.
        let all = flags("*").unwrap();
        assert!(all.runs("nodelifecycle", "node-lifecycle-controller"));
        assert!(!all.runs("tokencleaner", "token-cleaner-controller"));
        assert!(Flags::of_kubeadm().runs("tokencleaner", "token-cleaner-controller"));
        let long = flags("*,-certificatesigningrequest-cleaner-controller").unwrap();
        assert!(!long.runs("csrcleaner", "certificatesigningrequest-cleaner-controller"));
        assert_eq!(
            flags("csrsigner").unwrap_err(),
            "\"command failed\" err=\"\\\"csrsigner\\\" is not in the list of known controllers\""
        );
    }

    #[test]
    fn a_flag_that_a_version_does_not_know_is_fatal() {
        let text = manifest(&["--cluster-signing-duration=24h"]);
        assert_eq!(
            Flags::read(&text, Version::new(18, 20)).unwrap_err(),
            "unknown flag: --cluster-signing-duration"
        );
        let old = manifest(&["--experimental-cluster-signing-duration=24h"]);
        assert!(Flags::read(&old, Version::new(18, 20)).is_ok());
        assert!(Flags::read(&old, Version::new(25, 0)).is_err());
    }
}
