//! Behaviours of certificates and keys: what is issued, loaded, verified and written.

use super::super::{Behaviour, Rule};
use super::{FIRST, boundary, v};
use crate::kubeadm::certlist::{CLUSTER_ADMINS, MASTERS};

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
    /// The first of several certificates in a file counts; before, there had to be exactly one.
    FIRST_OF_SEVERAL: bool = "files with several certificates", false, (20, 0) => true,
    "source v1.19.16 and v1.20.15 phases/certs/renewal/readwriter.go; run v1.17.17, v1.28.15"
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
    CA_HAS_SAN: bool = "SAN of CAs", false, (22, 0) => true,
    "source client-go v0.21.14 and v0.22.0 util/cert/cert.go; run v1.17.17, v1.20.15, v1.28.15"
);

boundary!(
    /// Modes of a request and the directory made for it.
    REQUEST_MODES: super::super::RequestModes = "modes of requests",
    super::super::RequestModes { file: 0o644, dir: 0o755 }, (16, 0) =>
    super::super::RequestModes { file: 0o600, dir: 0o700 },
    "source v1.15.12 and v1.16.15 util/pkiutil/pki_helpers.go"
);

boundary!(
    /// Which half of a pair could not be loaded is said.
    PAIR_WORDS: bool = "words about pairs that cannot be loaded", false, (13, 0) => true,
    "source v1.10.5, v1.11.10 and v1.12.5 phases/certs/pkiutil/pki_helpers.go, v1.13.12 and v1.14.10 util/pkiutil/pki_helpers.go"
);

/// What new certificates of etcd say.
pub static ETCD_NAMES: Behaviour<super::super::EtcdNames> = Behaviour {
    name: "names in certificates of etcd",
    rules: &[
        Rule {
            from: v(13, 0),
            until: None,
            value: super::super::EtcdNames {
                common_names: None,
                server_has_node: true,
                server_has_address: true,
                peer_has_localhost: true,
                server_is_client: true,
            },
            evidence: "source v1.13.12, v1.14.10, v1.15.12 util/pkiutil/pki_helpers.go; run v1.15.12",
            not_checked_after: None,
        },
        Rule {
            from: v(11, 0),
            until: Some(v(13, 0)),
            value: super::super::EtcdNames {
                common_names: None,
                server_has_node: true,
                server_has_address: false,
                peer_has_localhost: true,
                server_is_client: true,
            },
            evidence: "source v1.11.10 and v1.12.5 phases/certs/pkiutil/pki_helpers.go",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(11, 0)),
            value: super::super::EtcdNames {
                common_names: Some(("kube-etcd", "kube-etcd-peer")),
                server_has_node: false,
                server_has_address: false,
                peer_has_localhost: false,
                server_is_client: false,
            },
            evidence: "source v1.10.5 phases/certs/certs.go and pkiutil/pki_helpers.go, constants/constants.go",
            not_checked_after: None,
        },
    ],
};

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
            value: Some(CLUSTER_ADMINS),
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
            value: Some(CLUSTER_ADMINS),
            evidence: "source v1.29.15, v1.35.4; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(29, 0)),
            value: Some(MASTERS),
            evidence: "run v1.15.12, v1.16.15, v1.17.17, v1.28.15",
            not_checked_after: None,
        },
    ],
};

/// A renewal takes the API server's clients out of `system:masters`: kubernetes#121841, for one minor version.
pub static RENEWAL_MOVES_GROUPS: Behaviour<bool> = Behaviour {
    name: "groups that a renewal changes",
    rules: &[
        Rule {
            from: v(30, 0),
            until: None,
            value: false,
            evidence: "source v1.30.0, v1.34.1 phases/certs/renewal/manager.go; run v1.34.4, v1.36.3, v1.37.2",
            not_checked_after: None,
        },
        Rule {
            from: v(29, 0),
            until: Some(v(30, 0)),
            value: true,
            evidence: "source v1.29.0, v1.29.15 phases/certs/renewal/manager.go (loadCertConfigMutators); run v1.29.4, v1.29.5",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(29, 0)),
            value: false,
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

boundary!(
    /// With an external etcd the etcd phases skip without looking at files.
    EXTERNAL_ETCD_FIRST: bool = "etcd phases with an external etcd", false, (16, 0) => true,
    "source v1.15.12 and v1.16.15 cmd/phases/init/certs.go; run v1.15.12"
);

boundary!(
    /// Invalid names are warned about in the log instead of on standard output.
    SAN_WARNING_IN_LOG: bool = "warnings about names", false, (24, 0) => true,
    "source v1.23.17 and v1.24.17 util/pkiutil/pki_helpers.go"
);
