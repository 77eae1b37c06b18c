//! The table of behaviours. `run` means a recorded run of the corpus, `source` a reading of that
//! release's code (paths below `cmd/kubeadm/app` unless said otherwise).

use super::{Behaviour, Rule};
use crate::kubeadm::Version;

const fn v(minor: u16, patch: u16) -> Version {
    Version::new(minor, patch)
}

/// First version of the table.
const FIRST: Version = v(0, 0);

/// A behaviour with one boundary: what versions below do, the boundary, what versions from it do.
macro_rules! boundary {
    ($(#[$doc:meta])* $id:ident: $type:ty = $name:literal, $old:expr, ($minor:literal, $patch:literal) $(, after ($known_minor:literal, $known_patch:literal))? => $new:expr, $evidence:literal) => {
        $(#[$doc])*
        pub static $id: Behaviour<$type> = Behaviour {
            name: $name,
            rules: &[
                Rule {
                    from: v($minor, $patch),
                    until: None,
                    value: $new,
                    evidence: $evidence,
                    not_checked_after: boundary!(@known $(($known_minor, $known_patch))?),
                },
                Rule {
                    from: FIRST,
                    until: Some(v($minor, $patch)),
                    value: $old,
                    evidence: $evidence,
                    not_checked_after: None,
                },
            ],
        };
    };
    (@known) => { None };
    (@known ($minor:literal, $patch:literal)) => { Some(v($minor, $patch)) };
}

boundary!(
    /// `certs` instead of `alpha certs`.
    CERTS_GROUP: bool = "certs command group", false, (20, 0) => true,
    "source v1.20.15 cmd/cmd.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// `alpha certs` is gone.
    ALPHA_GROUP_GONE: bool = "alpha certs removed", false, (21, 0) => true,
    "release notes of 1.21 (certs graduated from alpha); run v1.28.15"
);
boundary!(
    /// A missing leaf is reported instead of being an error; a table of CAs; the cluster's
    /// configuration is read.
    MISSING_IS_REPORTED: bool = "missing certificates are reported", false, (17, 0) => true,
    "source v1.16.15 and v1.17.17 cmd/alpha/certs.go; run v1.16.15, v1.17.17"
);
boundary!(
    /// Kubeconfig rows of `check-expiration` name their CA.
    CONFIG_ROWS_NAME_CA: bool = "CA column of kubeconfig rows", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 phases/certs/renewal/manager.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// All rows are gathered before anything is printed, and structured output exists.
    STRUCTURED_OUTPUT: bool = "check-expiration -o", false, (30, 0) => true,
    "source v1.29.15 and v1.30.14 cmd/certs.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// `-o kyaml`.
    KYAML: bool = "-o kyaml", false, (35, 0) => true,
    "source cli-runtime v0.34.4 and v0.35.4; run v1.34.4, v1.36.3"
);
boundary!(
    /// Residual times as `4d3h` from whole seconds instead of `4d` from full precision.
    LONG_DURATIONS: bool = "form of residual times", false, (31, 0) => true,
    "source v1.30.14 and v1.31.14 cmd/certs.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// Being outside a certificate's validity is a warning instead of an error.
    PERIOD_IS_WARNING: bool = "certificates outside their validity", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 util/pkiutil/pki_helpers.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// The etcd CA's key may be kept elsewhere.
    ETCD_CA_EXTERNAL: bool = "external etcd CA", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 phases/certs/certs.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// Leaves are verified with their intermediates instead of by the CA's signature alone, and
    /// their keys are loaded first.
    VERIFIES_CHAIN: bool = "verification of leaves", false, (21, 0) => true,
    "source v1.20.15 and v1.21.14 phases/certs/certs.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// DNS names are sorted and duplicates dropped.
    DEDUPLICATES_SANS: bool = "order of SANs", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 util/pkiutil/pki_helpers.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// Certificates begin five minutes ago instead of with their CA.
    LEAF_BACKDATE: bool = "NotBefore of leaves", false, (31, 0) => true,
    "source v1.30.14 and v1.31.14 phases/certs/certlist.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// Renewal puts the CA certificate on disk into the kubeconfig.
    REFRESHES_CONFIG_CA: bool = "CA data of renewed kubeconfigs", false, (18, 0) => true,
    "source v1.17.17 and v1.18.20 phases/certs/renewal/readwriter.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// The first of several certificates in a file counts; before, there had to be exactly one.
    FIRST_OF_SEVERAL: bool = "files with several certificates", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 phases/certs/renewal/readwriter.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// Arguments that mean nothing are refused.
    REFUSES_ARGUMENTS: bool = "superfluous arguments", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 cmd/alpha/certs.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// Errors begin with `error: ` and every error exits with 1.
    ERROR_PREFIX: bool = "form of errors", false, (34, 0), after (33, 9) => true,
    "run v1.28.15, v1.34.4"
);
boundary!(
    /// The hint about stack traces.
    STACK_TRACE_HINT: bool = "hint about stack traces", false, (16, 0) => true,
    "source v1.15.12 and v1.16.15 util/error.go; run v1.15.12, v1.16.15"
);
boundary!(
    /// `super-admin.conf`; admin.conf is in kubeadm:cluster-admins.
    SUPER_ADMIN: bool = "super-admin.conf", false, (29, 0) => true,
    "source v1.29.15 phases/kubeconfig/kubeconfig.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// The etcd clients have no O.
    ETCD_CLIENTS_WITHOUT_O: bool = "O of etcd clients", false, (29, 0) => true,
    "source v1.29.15 phases/certs/certlist.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// Leaves have basic constraints.
    LEAF_BASIC_CONSTRAINTS: bool = "basic constraints of leaves", false, (21, 0) => true,
    "source v1.20.15 and v1.21.14 util/pkiutil/pki_helpers.go"
);
boundary!(
    /// CAs have their CN as DNS name.
    CA_HAS_SAN: bool = "SAN of CAs", false, (18, 0), after (17, 17) => true,
    "source client-go util/cert/cert.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// `renew all` ends with a hint to restart.
    DONE_MESSAGE: bool = "last message of renew all", false, (20, 0) => true,
    "source v1.20.15 cmd/certs.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// `renew --csr-only` is gone.
    RENEW_CSR_GONE: bool = "renew --csr-only", false, (23, 0) => true,
    "kubernetes#104796, #106370; run v1.17.17, v1.28.15"
);
boundary!(
    /// `init phase certs --csr-only` is gone.
    INIT_CSR_GONE: bool = "init phase certs --csr-only", false, (22, 0) => true,
    "kubernetes#102108; run v1.17.17, v1.28.15"
);
boundary!(
    /// `generate-csr` exists.
    GENERATE_CSR: bool = "generate-csr", false, (19, 0) => true,
    "source v1.19.16 cmd/alpha/certs.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// A message spells "healthcheck" right.
    HEALTHCHECK_NAME: &'static str = "spelling of healthcheck",
    "certificate for liveness probes to healtcheck etcd", (16, 0) =>
    "certificate for liveness probes to healthcheck etcd",
    "run v1.15.12, v1.16.15"
);
boundary!(
    /// Modes of a request and the directory made for it.
    REQUEST_MODES: super::RequestModes = "modes of requests",
    super::RequestModes { file: 0o644, dir: 0o755 }, (16, 0) =>
    super::RequestModes { file: 0o600, dir: 0o700 },
    "source v1.15.12 and v1.16.15 util/pkiutil/pki_helpers.go"
);
boundary!(
    /// An empty `preferences: {}` is not written any more.
    NO_PREFERENCES: bool = "preferences in kubeconfigs", false, (34, 0), after (33, 9) => true,
    "source client-go v0.34.4 tools/clientcmd/api/v1/types.go"
);
boundary!(
    /// `embedded server certificate` is spelled right.
    EMBEDDED_SPELLING: &'static str = "spelling of embedded", "and embedded", (18, 0) => "an embedded",
    "source v1.17.17 and v1.18.20 phases/certs/renewal/readwriter.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// Which kubeconfig an existing one may be: any API server URL (with a warning) instead of the
    /// expected one.
    OTHER_SERVER_IS_WARNING: bool = "other API server URL in a kubeconfig", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 phases/kubeconfig/kubeconfig.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// CA data of an existing kubeconfig is compared certificate by certificate.
    CONFIG_CA_BY_CERTIFICATE: bool = "CA data of existing kubeconfigs", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 phases/kubeconfig/kubeconfig.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// Configuration kinds are read by `yamlserializer`, with its words.
    KIND_WORDS: bool = "words about unreadable configuration", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 util/marshal.go; run v1.17.17, v1.28.15"
);
boundary!(
    /// `encryptionAlgorithm` and validity periods (v1beta4).
    V1BETA4: bool = "configuration v1beta4", false, (31, 0) => true,
    "source v1.31.14 apis/kubeadm; run v1.34.4"
);
boundary!(
    /// v1beta3.
    V1BETA3: bool = "configuration v1beta3", false, (22, 0) => true,
    "source v1.22.17 util/config/common.go"
);
boundary!(
    /// v1beta3 is refused.
    V1BETA3_GONE: bool = "configuration v1beta3 refused", false, (37, 0) => true,
    "run v1.36.3, v1.37.2"
);
boundary!(
    /// v1beta2 is refused.
    V1BETA2_GONE: bool = "configuration v1beta2 refused", false, (27, 0) => true,
    "source v1.28.15 util/config/common.go"
);
boundary!(
    /// v1beta1 is refused.
    V1BETA1_GONE: bool = "configuration v1beta1 refused", false, (22, 0) => true,
    "source v1.22.17 util/config/common.go"
);
boundary!(
    /// The kubelet's new kubeconfig points to the node's own API server.
    KUBELET_LOCAL_ENDPOINT: bool = "API server of kubelet.conf", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 cmd/phases/init/kubeconfig.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// `init phase certs sa` takes `--config`.
    SA_CONFIG_FLAG: bool = "init phase certs sa --config", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 cmd/phases/init/certs.go; run v1.28.15, v1.34.4"
);
boundary!(
    /// `init phase certs all` goes through the certificates in a fixed order.
    FIXED_PHASE_ORDER: bool = "order of init phase certs all", false, (16, 0) => true,
    "run v1.15.12, v1.16.15"
);
boundary!(
    /// The kubelet-finalize phase exists.
    KUBELET_FINALIZE: bool = "kubelet-finalize", false, (17, 0) => true,
    "kubernetes#84118; source v1.17.17 cmd/phases/init/kubeletfinalize.go"
);
boundary!(
    /// kubelet-finalize looks at the current context and names its sub-phase anew.
    FINALIZE_BY_CONTEXT: bool = "user of kubelet-finalize", false, (30, 0) => true,
    "source v1.29.15 and v1.30.0 cmd/phases/init/kubeletfinalize.go"
);
/// O of apiserver-kubelet-client at creation.
pub static KUBELET_CLIENT_O: Behaviour<Option<&'static str>> = Behaviour {
    name: "O of apiserver-kubelet-client",
    rules: &[
        Rule {
            from: v(36, 1),
            until: None,
            value: None,
            evidence: "run v1.36.3, v1.37.2; kubernetes#138957 (1.36.1 on)",
            not_checked_after: None,
        },
        Rule {
            from: v(36, 0),
            until: Some(v(36, 1)),
            value: Some("kubeadm:cluster-admins"),
            evidence: "kubernetes#138957 came with 1.36.1",
            not_checked_after: None,
        },
        Rule {
            from: v(35, 5),
            until: Some(v(36, 0)),
            value: None,
            evidence: "kubernetes#138957 came with 1.35.5; source v1.35.4",
            not_checked_after: None,
        },
        Rule {
            from: v(29, 0),
            until: Some(v(35, 5)),
            value: Some("kubeadm:cluster-admins"),
            evidence: "source v1.29.15, v1.35.4; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(29, 0)),
            value: Some("system:masters"),
            evidence: "run v1.15.12, v1.16.15, v1.17.17, v1.28.15",
            not_checked_after: None,
        },
    ],
};

boundary!(
    /// Missing usages are noticed before a key is made.
    USAGES_CHECKED_FIRST: bool = "check of usages", false, (21, 0) => true,
    "source v1.20.15 and v1.21.14 util/pkiutil/pki_helpers.go; run v1.17.17, v1.28.15"
);

/// The feature gate PublicKeysECDSA.
pub static ECDSA_GATE: Behaviour<bool> = Behaviour {
    name: "PublicKeysECDSA",
    rules: &[
        Rule {
            from: v(37, 0),
            until: None,
            value: false,
            evidence: "source v1.37.2 features/features.go",
            not_checked_after: None,
        },
        Rule {
            from: v(19, 0),
            until: Some(v(37, 0)),
            value: true,
            evidence: "source v1.19.16, v1.36.3 features/features.go; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(19, 0)),
            value: false,
            evidence: "source v1.18.20 features/features.go",
            not_checked_after: None,
        },
    ],
};

/// Missing CA files are told from unreadable ones when kubeconfigs are made.
pub static CA_MISSING_WORDS: Behaviour<bool> = Behaviour {
    name: "words about missing CA files",
    rules: &[
        Rule {
            from: v(34, 0),
            until: None,
            value: false,
            evidence: "source v1.33.9 and v1.34.4 phases/kubeconfig/kubeconfig.go; run v1.34.4",
            not_checked_after: Some(v(33, 9)),
        },
        Rule {
            from: v(26, 0),
            until: Some(v(34, 0)),
            value: true,
            evidence: "source v1.25.16 and v1.26.15 phases/kubeconfig/kubeconfig.go; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(26, 0)),
            value: false,
            evidence: "source v1.25.16; run v1.17.17",
            not_checked_after: None,
        },
    ],
};

/// CAs begin five minutes ago.
pub static CA_BACKDATE: Behaviour<bool> = Behaviour {
    name: "NotBefore of CAs",
    rules: &[
        Rule {
            from: v(28, 0),
            until: None,
            value: true,
            evidence: "source v1.28.0 util/pkiutil/pki_helpers.go",
            not_checked_after: None,
        },
        Rule {
            from: v(27, 16),
            until: Some(v(28, 0)),
            value: true,
            evidence: "source v1.27.16; kubernetes#118922 was picked to patches of 1.25 to 1.27",
            not_checked_after: Some(v(26, 99)),
        },
        Rule {
            from: v(26, 15),
            until: Some(v(27, 0)),
            value: true,
            evidence: "source v1.26.15",
            not_checked_after: Some(v(25, 99)),
        },
        Rule {
            from: v(25, 16),
            until: Some(v(26, 0)),
            value: true,
            evidence: "source v1.25.16",
            not_checked_after: Some(v(24, 99)),
        },
        Rule {
            from: FIRST,
            until: Some(v(28, 0)),
            value: false,
            evidence: "source v1.24.17; run v1.17.17",
            not_checked_after: None,
        },
    ],
};

/// A `stat` that fails for another reason than absence crashes.
pub static STAT_FAILURE_PANICS: Behaviour<bool> = Behaviour {
    name: "failing stat",
    rules: &[
        Rule {
            from: v(30, 0),
            until: None,
            value: false,
            evidence: "source v1.30.0 phases/certs/renewal/readwriter.go",
            not_checked_after: None,
        },
        Rule {
            from: v(29, 15),
            until: Some(v(30, 0)),
            value: false,
            evidence: "source v1.29.15",
            not_checked_after: Some(v(29, 0)),
        },
        Rule {
            from: v(29, 0),
            until: Some(v(29, 1)),
            value: true,
            evidence: "source v1.29.0",
            not_checked_after: None,
        },
        Rule {
            from: v(28, 15),
            until: Some(v(29, 0)),
            value: false,
            evidence: "source v1.28.15; run v1.28.15",
            not_checked_after: Some(v(28, 0)),
        },
        Rule {
            from: v(28, 0),
            until: Some(v(28, 1)),
            value: true,
            evidence: "source v1.28.0",
            not_checked_after: None,
        },
        Rule {
            from: v(27, 16),
            until: Some(v(28, 0)),
            value: false,
            evidence: "source v1.27.16",
            not_checked_after: Some(v(26, 99)),
        },
        Rule {
            from: v(17, 0),
            until: Some(v(30, 0)),
            value: true,
            evidence: "source v1.17.17 to v1.26.15; run v1.17.17",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(17, 0)),
            value: false,
            evidence: "run v1.16.15",
            not_checked_after: None,
        },
    ],
};

/// Reading a kubeconfig for renewal loads the CA with its key.
pub static CONFIG_NEEDS_CA_KEY: Behaviour<bool> = Behaviour {
    name: "CA key for kubeconfigs",
    rules: &[
        Rule {
            from: v(20, 0),
            until: None,
            value: false,
            evidence: "source v1.20.15 phases/certs/renewal/readwriter.go (kubernetes#106854 was picked to 1.20.x)",
            not_checked_after: Some(v(19, 99)),
        },
        Rule {
            from: v(18, 0),
            until: Some(v(20, 0)),
            value: true,
            evidence: "source v1.18.20 and v1.19.16",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(18, 0)),
            value: false,
            evidence: "source v1.17.17",
            not_checked_after: None,
        },
    ],
};

boundary!(
    /// controller-manager.conf and scheduler.conf point to the node's own API server.
    LOCAL_ENDPOINTS: bool = "API server of component kubeconfigs", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 phases/kubeconfig/kubeconfig.go"
);

boundary!(
    /// An existing kubeconfig without its context or cluster is an error instead of a crash.
    CONTEXT_CHECKED: bool = "existing kubeconfigs without context", false, (16, 0) => true,
    "source v1.15.12 and v1.16.15 phases/kubeconfig/kubeconfig.go; run v1.15.12"
);

boundary!(
    /// With an external etcd the etcd phases skip without looking at files.
    EXTERNAL_ETCD_FIRST: bool = "etcd phases with an external etcd", false, (16, 0) => true,
    "source v1.15.12 and v1.16.15 cmd/phases/init/certs.go; run v1.15.12"
);

boundary!(
    /// CA data of an existing kubeconfig may be in a file.
    CONFIG_CA_FROM_FILE: bool = "CA file of existing kubeconfigs", false, (26, 0) => true,
    "source v1.25.16 and v1.26.15 phases/kubeconfig/kubeconfig.go"
);

boundary!(
    /// White space around CA data of existing kubeconfigs does not count.
    CONFIG_CA_TRIMMED: bool = "white space in CA data", false, (18, 0) => true,
    "source v1.17.17 and v1.18.20 phases/kubeconfig/kubeconfig.go"
);

boundary!(
    /// Invalid names are warned about in the log instead of on standard output.
    SAN_WARNING_IN_LOG: bool = "warnings about names", false, (24, 0) => true,
    "source v1.23.17 and v1.24.17 util/pkiutil/pki_helpers.go"
);

boundary!(
    /// What a file without configuration is called.
    CONFIGURATION_FILE_WORDS: &'static str = "words about empty configuration", "YAML file", (33, 0) => "configuration file",
    "source v1.32.13 and v1.33.0 util/config/initconfiguration.go"
);

boundary!(
    /// All certificates of ca.crt are trusted in user-provided kubeconfigs; super-admin.conf is one.
    WHOLE_CA_CHAIN: bool = "user-provided kubeconfigs", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 phases/kubeconfig/kubeconfig.go"
);

boundary!(
    /// Name of the sub-phase of kubelet-finalize.
    FINALIZE_NAME: &'static str = "sub-phase of kubelet-finalize", "experimental-cert-rotation", (31, 0) => "enable-client-cert-rotation",
    "source v1.30.14 and v1.31.0 cmd/phases/init/kubeletfinalize.go"
);

boundary!(
    /// --cert-dir goes before the cluster's certificatesDir, even unset.
    CERT_DIR_OVERRIDES: bool = "--cert-dir and the cluster's configuration", false, (25, 0) => true,
    "source v1.24.17 and v1.25.16 cmd/certs.go"
);

boundary!(
    /// `renew --use-api` is gone.
    USE_API: bool = "renew --use-api", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 cmd/alpha/certs.go"
);

/// What a command group without its own work does.
pub static GROUP_STYLE: Behaviour<super::GroupStyle> = Behaviour {
    name: "command groups without sub-command",
    rules: &[
        Rule {
            from: v(32, 0),
            until: None,
            value: super::GroupStyle::Required,
            evidence: "source v1.31.14 and v1.32.0 cmd/certs.go; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: v(26, 0),
            until: Some(v(32, 0)),
            value: super::GroupStyle::Exits,
            evidence: "source v1.25.16 and v1.26.15 cmd/certs.go; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(26, 0)),
            value: super::GroupStyle::Help,
            evidence: "source v1.25.16 cmd/certs.go; run v1.17.17",
            not_checked_after: None,
        },
    ],
};

boundary!(
    /// An error in the command line prints its usage.
    USAGE_AFTER_ERROR: bool = "usage after errors", true, (17, 0) => false,
    "run v1.16.15, v1.17.17"
);

/// Flags for logging that every command has.
pub static LOG_FLAGS: Behaviour<super::LogFlags> = Behaviour {
    name: "logging flags",
    rules: &[
        Rule {
            from: v(30, 0),
            until: None,
            value: super::LogFlags::Few,
            evidence: "run v1.34.4",
            not_checked_after: Some(v(28, 15)),
        },
        Rule {
            from: v(23, 0),
            until: Some(v(30, 0)),
            value: super::LogFlags::OneOutput,
            evidence: "run v1.28.15",
            not_checked_after: Some(v(17, 17)),
        },
        Rule {
            from: v(16, 0),
            until: Some(v(23, 0)),
            value: super::LogFlags::AddDirHeader,
            evidence: "run v1.16.15, v1.17.17",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(16, 0)),
            value: super::LogFlags::Plain,
            evidence: "run v1.15.12",
            not_checked_after: None,
        },
    ],
};

boundary!(
    /// `kubeconfig user` at the top instead of below `alpha`.
    KUBECONFIG_GROUP: bool = "kubeconfig command group", false, (22, 0) => true,
    "source v1.21.14 cmd/alpha/kubeconfig.go and v1.22.17 cmd/kubeconfig.go"
);
boundary!(
    /// Certificate phases take `--dry-run`.
    DRY_RUN_PHASES: bool = "--dry-run of phases", false, (26, 0), after (17, 17) => true,
    "source v1.28.15 cmd/phases/init/certs.go"
);
boundary!(
    /// The kubelet's ConfigMap has no version in its name.
    KUBELET_CONFIG_UNVERSIONED: bool = "name of the kubelet's ConfigMap", false, (24, 0), after (23, 17) => true,
    "feature gate UnversionedKubeletConfigMap, on from 1.24"
);

/// Two warnings about component configurations at every load.
pub static COMPONENT_WARNINGS: Behaviour<bool> = Behaviour {
    name: "warnings about component configurations",
    rules: &[
        Rule {
            from: v(18, 0),
            until: None,
            value: false,
            evidence: "run v1.28.15; source v1.19.16",
            not_checked_after: None,
        },
        Rule {
            from: v(17, 0),
            until: Some(v(18, 0)),
            value: true,
            evidence: "source v1.17.17 componentconfigs/validation.go; run v1.17.17",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(17, 0)),
            value: false,
            evidence: "run v1.16.15",
            not_checked_after: None,
        },
    ],
};
boundary!(
    /// The warning about the endpoint's port is logged instead of printed.
    PORT_WARNING_IN_LOG: bool = "warning about the endpoint's port", false, (24, 0) => true,
    "source v1.23.17 and v1.24.17 util/endpoint.go; run v1.28.15"
);

/// Source line that the decoder of kubeconfigs names in its errors.
pub static SCHEME_LINE: Behaviour<&'static str> = Behaviour {
    name: "scheme line in errors",
    rules: &[
        Rule {
            from: v(35, 0),
            until: None,
            value: "pkg/runtime/scheme.go:111",
            evidence: "source apimachinery v0.34.4 and v0.35.4; run v1.36.3, v1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: v(33, 0),
            until: Some(v(35, 0)),
            value: "pkg/runtime/scheme.go:110",
            evidence: "source apimachinery v0.32.13 and v0.33.9; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: v(20, 0),
            until: Some(v(33, 0)),
            value: "pkg/runtime/scheme.go:100",
            evidence: "source apimachinery v0.19.16 and v0.20.15; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(20, 0)),
            value: "pkg/runtime/scheme.go:101",
            evidence: "source apimachinery v0.15.12 to v0.19.16; run v1.15.12 to v1.17.17",
            not_checked_after: None,
        },
    ],
};

/// What is said about reading the cluster's configuration.
pub static CLUSTER_WORDS: Behaviour<super::ClusterWords> = Behaviour {
    name: "words about the cluster's configuration",
    rules: &[
        Rule {
            from: v(34, 0),
            until: None,
            value: super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.",
            },
            evidence: "source v1.34.4 util/config/cluster.go; run v1.34.4",
            not_checked_after: Some(v(33, 9)),
        },
        Rule {
            from: v(33, 0),
            until: Some(v(34, 0)),
            value: super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config --config your-config-file' to re-upload it.",
            },
            evidence: "source v1.33.0, v1.33.9",
            not_checked_after: None,
        },
        Rule {
            from: v(32, 0),
            until: Some(v(33, 0)),
            value: super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config --config your-config.yaml' to re-upload it.",
            },
            evidence: "source v1.32.0, v1.32.13",
            not_checked_after: None,
        },
        Rule {
            from: v(20, 0),
            until: Some(v(32, 0)),
            value: super::ClusterWords {
                reading: "Reading configuration from the cluster...",
                hint: "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'",
            },
            evidence: "source v1.20.15 to v1.31.14; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(20, 0)),
            value: super::ClusterWords {
                reading: "Reading configuration from the cluster...",
                hint: "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -oyaml'",
            },
            evidence: "source v1.19.16; run v1.17.17",
            not_checked_after: None,
        },
    ],
};

/// Fields of kubeconfigs that client-go does not know yet, and so loses.
pub static UNKNOWN_FIELDS: Behaviour<&[&str]> = Behaviour {
    name: "fields of kubeconfigs",
    rules: &[
        Rule {
            from: v(26, 0),
            until: None,
            value: &[],
            evidence: "source client-go v0.25.16 and v0.26.15 tools/clientcmd/api/v1/types.go",
            not_checked_after: None,
        },
        Rule {
            from: v(23, 0),
            until: Some(v(26, 0)),
            value: &["disable-compression"],
            evidence: "source client-go v0.22.17 and v0.23.17",
            not_checked_after: None,
        },
        Rule {
            from: v(19, 0),
            until: Some(v(23, 0)),
            value: &["disable-compression", "as-uid"],
            evidence: "source client-go v0.19.16",
            not_checked_after: None,
        },
        Rule {
            from: v(18, 0),
            until: Some(v(19, 0)),
            value: &["disable-compression", "as-uid", "proxy-url"],
            evidence: "kubernetes#88769 (tls-server-name in 1.18)",
            not_checked_after: Some(v(17, 17)),
        },
        Rule {
            from: FIRST,
            until: Some(v(18, 0)),
            value: &[
                "disable-compression",
                "as-uid",
                "proxy-url",
                "tls-server-name",
            ],
            evidence: "source client-go v0.15.12, v0.17.17",
            not_checked_after: None,
        },
    ],
};
boundary!(
    /// Kubeconfigs are decoded by a JSON parser that shows the surroundings of an error.
    OLD_JSON_WORDS: bool = "words about undecodable kubeconfigs", true, (23, 0) => false,
    "source apimachinery v0.22.17 and v0.23.17 pkg/runtime/serializer/json; run v1.17.17, v1.28.15"
);
boundary!(
    /// `kubeconfig user` takes `--config` instead of the API server's address.
    USER_CONFIG_FLAG: bool = "kubeconfig user --config", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 cmd/alpha/kubeconfig.go; run v1.16.15"
);
