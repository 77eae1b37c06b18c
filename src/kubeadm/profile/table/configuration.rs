//! Behaviours of configuration, from files and from the cluster.

use super::super::{Behaviour, Rule};
use super::{FIRST, boundary, v};

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

boundary!(
    /// What a file without configuration is called.
    CONFIGURATION_FILE_WORDS: &'static str = "words about empty configuration", "YAML file", (33, 0) => "configuration file",
    "source v1.32.13 and v1.33.0 util/config/initconfiguration.go"
);

boundary!(
    /// --cert-dir goes before the cluster's certificatesDir, even unset.
    CERT_DIR_OVERRIDES: bool = "--cert-dir and the cluster's configuration", false, (25, 0) => true,
    "source v1.24.17 and v1.25.16 cmd/certs.go"
);

boundary!(
    /// The kubelet's ConfigMap has no version in its name.
    KUBELET_CONFIG_UNVERSIONED: bool = "name of the kubelet's ConfigMap", false, (24, 0) => true,
    "feature gate UnversionedKubeletConfigMap, features.go of 1.23.17 and 1.24.0"
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

/// What is said about reading the cluster's configuration.
pub static CLUSTER_WORDS: Behaviour<super::super::ClusterWords> = Behaviour {
    name: "words about the cluster's configuration",
    rules: &[
        Rule {
            from: v(34, 0),
            until: None,
            value: super::super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.",
            },
            evidence: "source v1.34.0 and v1.34.4 util/config/cluster.go; run v1.34.4",
            not_checked_after: None,
        },
        Rule {
            from: v(33, 0),
            until: Some(v(34, 0)),
            value: super::super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config --config your-config-file' to re-upload it.",
            },
            evidence: "source v1.33.0, v1.33.9",
            not_checked_after: None,
        },
        Rule {
            from: v(32, 0),
            until: Some(v(33, 0)),
            value: super::super::ClusterWords {
                reading: "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
                hint: "Use 'kubeadm init phase upload-config --config your-config.yaml' to re-upload it.",
            },
            evidence: "source v1.32.0, v1.32.13",
            not_checked_after: None,
        },
        Rule {
            from: v(20, 0),
            until: Some(v(32, 0)),
            value: super::super::ClusterWords {
                reading: "Reading configuration from the cluster...",
                hint: "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'",
            },
            evidence: "source v1.20.15 to v1.31.14; run v1.28.15",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(v(20, 0)),
            value: super::super::ClusterWords {
                reading: "Reading configuration from the cluster...",
                hint: "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -oyaml'",
            },
            evidence: "source v1.19.16; run v1.17.17",
            not_checked_after: None,
        },
    ],
};
