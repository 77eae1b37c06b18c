//! Behaviours of the command line and what it prints.

use super::super::{Behaviour, Rule};
use super::{FIRST, boundary, v};

boundary!(
    /// What is said when the kubelet cannot be restarted.
    NO_INIT_SYSTEM: &'static str = "words without an init system",
    "no supported init system detected", (24, 0) => "No supported init system detected",
    "source v1.23.17 and v1.24.17 phases/kubelet/kubelet.go; run v1.36.3"
);

boundary!(
    /// Phases of init take `--kubernetes-version` and `--control-plane-endpoint`.
    PHASE_VERSION_FLAG: bool = "flags of phases", false, (16, 0) => true,
    "run v1.15.12, v1.16.15 (init phase --help)"
);

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
    /// Arguments that mean nothing are refused.
    REFUSES_ARGUMENTS: bool = "superfluous arguments", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 cmd/alpha/certs.go; run v1.17.17, v1.28.15"
);

boundary!(
    /// Errors begin with `error: ` and every error exits with 1.
    ERROR_PREFIX: bool = "form of errors", false, (34, 0) => true,
    "source v1.33.0 and v1.34.0 kubeadm.go (util/errors); run v1.28.15, v1.34.4"
);

boundary!(
    /// The hint about stack traces.
    STACK_TRACE_HINT: bool = "hint about stack traces", false, (16, 0) => true,
    "source v1.15.12 and v1.16.15 util/error.go; run v1.15.12, v1.16.15"
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
    /// Name of the sub-phase of kubelet-finalize.
    FINALIZE_NAME: &'static str = "sub-phase of kubelet-finalize", "experimental-cert-rotation", (31, 0) => "enable-client-cert-rotation",
    "source v1.30.14 and v1.31.0 cmd/phases/init/kubeletfinalize.go"
);

boundary!(
    /// `renew --use-api` is gone.
    USE_API: bool = "renew --use-api", false, (19, 0) => true,
    "source v1.18.20 and v1.19.16 cmd/alpha/certs.go"
);

/// What a command group without its own work does.
pub static GROUP_STYLE: Behaviour<super::super::GroupStyle> = Behaviour {
    name: "command groups without sub-command",
    rules: &[
        Rule {
            from: v(32, 0),
            until: None,
            value: super::super::GroupStyle::Required,
            evidence: "source v1.31.14 and v1.32.0 cmd/certs.go; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: v(26, 0),
            until: Some(v(32, 0)),
            value: super::super::GroupStyle::Exits,
            evidence: "source v1.25.16 and v1.26.15 cmd/certs.go; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(26, 0)),
            value: super::super::GroupStyle::Help,
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
pub static LOG_FLAGS: Behaviour<super::super::LogFlags> = Behaviour {
    name: "logging flags",
    rules: &[
        Rule {
            from: v(30, 0),
            until: None,
            value: super::super::LogFlags::Few,
            evidence: "run v1.34.4",
            not_checked_after: Some(v(28, 15)),
        },
        Rule {
            from: v(23, 0),
            until: Some(v(30, 0)),
            value: super::super::LogFlags::OneOutput,
            evidence: "run v1.28.15",
            not_checked_after: Some(v(17, 17)),
        },
        Rule {
            from: v(16, 0),
            until: Some(v(23, 0)),
            value: super::super::LogFlags::AddDirHeader,
            evidence: "run v1.16.15, v1.17.17",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(16, 0)),
            value: super::super::LogFlags::Plain,
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
    DRY_RUN_PHASES: bool = "--dry-run of phases", false, (26, 0) => true,
    "source v1.25.16 and v1.26.3 cmd/phases/init/certs.go"
);

boundary!(
    /// `kubeconfig user` takes `--config` instead of the API server's address.
    USER_CONFIG_FLAG: bool = "kubeconfig user --config", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 cmd/alpha/kubeconfig.go; run v1.16.15"
);
