//! `--config` of `kubeadm upgrade` by version (`K/cmd/upgrade`, `K/util/config/upgradeconfiguration.go`).

use super::{Behaviour, Rule, rule};
use crate::kubeadm::Version;

const V15: Version = Version::new(15, 0);

/// What `kubeadm upgrade` takes from `--config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigFlag {
    /// An `UpgradeConfiguration`, for `apply` and for `node`.
    Upgrade,
    /// A cluster's configuration that replaces the one in the cluster, and for `apply` only.
    Cluster,
}

/// See [`ConfigFlag`].
pub static CONFIG_FLAG: Behaviour<ConfigFlag> = Behaviour {
    name: "--config of upgrade",
    rules: &[
        rule(
            Version::new(30, 0),
            None,
            ConfigFlag::Upgrade,
            "source of 1.30.0: cmd/upgrade/common.go, apis/kubeadm/v1beta4/register.go",
        ),
        rule(
            V15,
            Some(Version::new(30, 0)),
            ConfigFlag::Cluster,
            "source of 1.29.15 cmd/upgrade/common.go loadConfig; run of `upgrade node` of 1.29.5, 1.28.15 and 1.16.15",
        ),
    ],
};

/// `--yes` may stand beside `--config`.
pub static CONFIG_BESIDE_YES: Behaviour<bool> = Behaviour {
    name: "--yes of upgrade apply beside --config",
    rules: &[
        Rule {
            from: Version::new(30, 4),
            until: None,
            value: true,
            evidence: "kubernetes#126422 for 1.30, #125566 for 1.31.0; isAllowedFlag of 1.30.14 and 1.31.0",
            not_checked_after: Some(Version::new(30, 2)),
        },
        rule(
            V15,
            Some(Version::new(30, 4)),
            false,
            "isAllowedFlag of 1.30.0; kubespray#11350 with 1.30.2",
        ),
    ],
};

/// What `upgrade apply` writes before an error of its configuration.
pub static CONFIG_FATAL: Behaviour<Option<&str>> = Behaviour {
    name: "words before an error of upgrade apply's configuration",
    rules: &[
        rule(
            Version::new(32, 0),
            None,
            None,
            "source of 1.32.0 cmd/upgrade/apply.go newApplyData; run of 1.36.3",
        ),
        rule(
            V15,
            Some(Version::new(32, 0)),
            Some("[upgrade/upgrade config] FATAL"),
            "source of 1.30.0 and 1.31.0 cmd/upgrade/common.go enforceRequirements",
        ),
    ],
};

/// What becomes of a file without an `UpgradeConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutKind {
    /// It is refused.
    Refused,
    /// Defaults are taken where there is another kind of kubeadm's, else the process crashes (kubeadm#3161).
    Defaults,
}

/// See [`WithoutKind`].
pub static CONFIG_WITHOUT_KIND: Behaviour<WithoutKind> = Behaviour {
    name: "a file without UpgradeConfiguration",
    rules: &[
        rule(
            Version::new(32, 3),
            None,
            WithoutKind::Refused,
            "kubernetes#130202 and #130313; source of 1.33.0; run of 1.34.4, 1.36.3, 1.37.2",
        ),
        rule(
            Version::new(32, 0),
            Some(Version::new(32, 3)),
            WithoutKind::Defaults,
            "source of 1.32.0; kubeadm#3161 with 1.32.1",
        ),
        rule(
            Version::new(31, 7),
            Some(Version::new(32, 0)),
            WithoutKind::Refused,
            "kubernetes#130312",
        ),
        rule(
            Version::new(31, 0),
            Some(Version::new(31, 7)),
            WithoutKind::Defaults,
            "source of 1.31.0",
        ),
        rule(
            Version::new(30, 11),
            Some(Version::new(31, 0)),
            WithoutKind::Refused,
            "kubernetes#130314; source of 1.30.14",
        ),
        rule(
            V15,
            Some(Version::new(30, 11)),
            WithoutKind::Defaults,
            "source of 1.30.0",
        ),
    ],
};

/// How a configuration of an upgrade is complained about: lines of the source, and texts where `{}` is the kind.
#[derive(Debug, Clone, Copy)]
pub struct ConfigWarnings {
    /// About a document of another kind.
    pub ignored: (&'static str, &'static str),
    /// About a document of a kind that upgrades once read.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// About what strict decoding refuses.
    pub strict: &'static str,
}

/// See [`ConfigWarnings`].
pub static CONFIG_WARNINGS: Behaviour<ConfigWarnings> = Behaviour {
    name: "warnings about an upgrade's configuration",
    rules: &[
        rule(
            Version::new(36, 0),
            None,
            ConfigWarnings {
                ignored: ("upgradeconfiguration.go:42", CONFIG_IGNORED),
                deprecated: None,
                strict: "upgradeconfiguration.go:54",
            },
            "run of 1.36.3 and 1.37.2",
        ),
        rule(
            Version::new(34, 0),
            Some(Version::new(36, 0)),
            ConfigWarnings {
                ignored: ("upgradeconfiguration.go:42", CONFIG_IGNORED),
                deprecated: None,
                strict: "upgradeconfiguration.go:53",
            },
            "run of 1.34.4; source of 1.35.0",
        ),
        rule(
            Version::new(33, 0),
            Some(Version::new(34, 0)),
            ConfigWarnings {
                ignored: ("upgradeconfiguration.go:43", CONFIG_IGNORED),
                deprecated: None,
                strict: "upgradeconfiguration.go:54",
            },
            "source of 1.33.0",
        ),
        rule(
            V15,
            Some(Version::new(33, 0)),
            ConfigWarnings {
                ignored: (
                    "upgradeconfiguration.go:75",
                    "[config] WARNING: Ignored YAML document with GroupVersionKind {}",
                ),
                deprecated: Some((
                    "upgradeconfiguration.go:58",
                    "[config] WARNING: YAML document with GroupVersionKind {} is deprecated for upgrade, please use config file with kind of UpgradeConfiguration instead ",
                )),
                strict: "upgradeconfiguration.go:54",
            },
            "source of 1.30.0, 1.31.0 and 1.32.0; other lines in 1.30.14",
        ),
    ],
};

const CONFIG_IGNORED: &str =
    "[config] WARNING: Ignored configuration document with GroupVersionKind {}";

/// `skipPhases` of `apply`, `imagePullPolicy` and `imagePullSerial` are fields of an `UpgradeConfiguration`.
pub static CONFIG_PULLS_IMAGES: Behaviour<bool> = Behaviour {
    name: "newer fields of UpgradeConfiguration",
    rules: &[
        rule(
            Version::new(31, 0),
            None,
            true,
            "apis/kubeadm/v1beta4/types.go of 1.31.0 and 1.36.3",
        ),
        rule(V15, Some(Version::new(31, 0)), false, "the same of 1.30.0"),
    ],
};
