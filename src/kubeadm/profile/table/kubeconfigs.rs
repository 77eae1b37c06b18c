//! Behaviours of kubeconfigs.

use super::super::{Behaviour, Rule};
use super::{FIRST, boundary, v};

boundary!(
    /// Renewal puts the CA certificate on disk into the kubeconfig.
    REFRESHES_CONFIG_CA: bool = "CA data of renewed kubeconfigs", false, (18, 0) => true,
    "source v1.17.17 and v1.18.20 phases/certs/renewal/readwriter.go; run v1.17.17, v1.28.15"
);

boundary!(
    /// `super-admin.conf`; admin.conf is in kubeadm:cluster-admins.
    SUPER_ADMIN: bool = "super-admin.conf", false, (29, 0) => true,
    "source v1.29.15 phases/kubeconfig/kubeconfig.go; run v1.28.15, v1.34.4"
);

boundary!(
    /// An empty `preferences: {}` is not written any more.
    NO_PREFERENCES: bool = "preferences in kubeconfigs", false, (34, 0) => true,
    "source client-go v0.33.9 and v0.34.0 tools/clientcmd/api/v1/types.go"
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
    /// Keys of new kubeconfigs are of the configured kind; they were RSA-2048 whatever was configured.
    CONFIG_KEYS_CONFIGURED: bool = "kind of key in new kubeconfigs", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 phases/kubeconfig/kubeconfig.go; run v1.28.15, v1.35.4"
);

boundary!(
    /// CA data of an existing kubeconfig is compared certificate by certificate.
    CONFIG_CA_BY_CERTIFICATE: bool = "CA data of existing kubeconfigs", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 phases/kubeconfig/kubeconfig.go; run v1.28.15, v1.34.4"
);

boundary!(
    /// The kubelet's new kubeconfig points to the node's own API server.
    KUBELET_LOCAL_ENDPOINT: bool = "API server of kubelet.conf", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 cmd/phases/init/kubeconfig.go; run v1.28.15, v1.34.4"
);

boundary!(
    /// kubelet-finalize looks at the current context and names its sub-phase anew.
    FINALIZE_BY_CONTEXT: bool = "user of kubelet-finalize", false, (30, 0) => true,
    "source v1.29.15 and v1.30.0 cmd/phases/init/kubeletfinalize.go"
);

/// Missing CA files are told from unreadable ones when kubeconfigs are made.
pub static CA_MISSING_WORDS: Behaviour<bool> = Behaviour {
    name: "words about missing CA files",
    rules: &[
        Rule {
            from: v(34, 0),
            until: None,
            value: false,
            evidence: "source v1.33.9 and v1.34.0 phases/kubeconfig/kubeconfig.go and util/errors; run v1.34.4",
            not_checked_after: None,
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
    /// All certificates of ca.crt are trusted in user-provided kubeconfigs; super-admin.conf is one.
    WHOLE_CA_CHAIN: bool = "user-provided kubeconfigs", false, (31, 0) => true,
    "source v1.30.14 and v1.31.0 phases/kubeconfig/kubeconfig.go"
);

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
