//! The certificates API, its signer and the kubelet's requests, by version.

use super::{Behaviour, Rule};
use crate::kubeadm::Version;

const V15: Version = Version::new(15, 0);

/// A rule whose boundaries were read in the source of both neighbours.
const fn rule<T>(from: u16, until: Option<u16>, value: T, evidence: &'static str) -> Rule<T> {
    Rule {
        from: Version::new(from, 0),
        until: match until {
            Some(minor) => Some(Version::new(minor, 0)),
            None => None,
        },
        value,
        evidence,
        not_checked_after: None,
    }
}

macro_rules! since {
    ($(#[$doc:meta])* $name:ident, $what:literal, $minor:literal, $evidence:literal) => {
        $(#[$doc])*
        pub static $name: Behaviour<bool> = Behaviour {
            name: $what,
            rules: &[
                rule($minor, None, true, $evidence),
                rule(15, Some($minor), false, $evidence),
            ],
        };
    };
}

/// How the signer dates a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPolicy {
    /// cfssl: NotBefore is rounded to the minute and set back, NotAfter follows from it.
    Cfssl,
    /// NotBefore is set back, NotAfter follows from it whatever the length.
    Backdated,
    /// As [`SigningPolicy::Backdated`], but what lasts less than eight hours ends when it was asked to.
    ShortNotBackdated,
}

/// `pkg/controller/certificates/signer` and `authority`.
pub static SIGNING_POLICY: Behaviour<SigningPolicy> = Behaviour {
    name: "dates of certificates from the CSR signer",
    rules: &[
        rule(
            22,
            None,
            SigningPolicy::ShortNotBackdated,
            "authority/policies.go of 1.22.17 and 1.36.3",
        ),
        rule(
            17,
            Some(22),
            SigningPolicy::Backdated,
            "authority/authority.go of 1.17.17, policies.go of 1.21.14",
        ),
        rule(
            15,
            Some(17),
            SigningPolicy::Cfssl,
            "signer/cfssl_signer.go of 1.16.15",
        ),
    ],
};

/// How the signer words what is wrong with its CA file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaFileError {
    /// cfssl's JSON.
    Cfssl,
    /// Names the file.
    File,
    /// Names certificate and key as `csr-controller::crt::key`.
    Dynamic,
}

/// `signer.go`, `ca_provider.go`.
pub static CA_FILE_ERROR: Behaviour<CaFileError> = Behaviour {
    name: "wording of a CA file that the CSR signer cannot use",
    rules: &[
        rule(
            18,
            None,
            CaFileError::Dynamic,
            "signer/ca_provider.go of 1.18.20 and 1.36.3",
        ),
        rule(
            17,
            Some(18),
            CaFileError::File,
            "signer/signer.go of 1.17.17",
        ),
        rule(
            15,
            Some(17),
            CaFileError::Cfssl,
            "signer/cfssl_signer.go of 1.16.15; kubeadm#1350",
        ),
    ],
};

/// What a controller-manager logs before it ends because a controller does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFailure {
    /// The message of a structured line; `None` for `klog.Fatalf`.
    pub message: Option<&'static str>,
    /// What stands before the signer's own error.
    pub prefix: &'static str,
}

/// `cmd/kube-controller-manager/app/{controllermanager,certificates}.go`.
pub static START_FAILURE: Behaviour<StartFailure> = Behaviour {
    name: "wording of a controller-manager whose CSR signer does not start",
    rules: &[
        rule(
            35,
            None,
            StartFailure {
                message: Some("Error building controllers"),
                prefix: "failed to init kubernetes.io/kubelet-serving certificate controller",
            },
            "1.35.4 and 1.36.3",
        ),
        rule(
            27,
            Some(35),
            StartFailure {
                message: Some("Error starting controllers"),
                prefix: "failed to start kubernetes.io/kubelet-serving certificate controller",
            },
            "1.27.16 and 1.34.4",
        ),
        rule(
            19,
            Some(27),
            StartFailure {
                message: None,
                prefix: "failed to start kubernetes.io/kubelet-serving certificate controller",
            },
            "1.22.17 and 1.26.15",
        ),
        rule(
            15,
            Some(19),
            StartFailure {
                message: None,
                prefix: "failed to start certificate controller",
            },
            "1.16.15 and 1.18.20",
        ),
    ],
};

since!(
    /// `spec.signerName`, and the SIGNERNAME column.
    SIGNER_NAMES,
    "requests name their signer",
    18,
    "pkg/printers/internalversion/printers.go of 1.17.17 and 1.18.20"
);
/// Version of the API group `certificates.k8s.io`.
pub static REQUESTS_API: Behaviour<&str> = Behaviour {
    name: "version of the certificates API",
    rules: &[
        rule(
            19,
            None,
            "v1",
            "k8s.io/api/certificates/v1 is in v0.19.16 and not in v0.18.20",
        ),
        rule(15, Some(19), "v1beta1", "k8s.io/api of v0.18.20"),
    ],
};
since!(
    /// `spec.expirationSeconds`, and the REQUESTEDDURATION column.
    REQUESTED_DURATION,
    "requests may ask for a duration",
    22,
    "printers.go and signer.go of 1.21.14 and 1.22.17"
);
since!(
    /// The signer marks requests that do not fit their signer as Failed; approved and denied exclude each other.
    FAILED_CONDITION,
    "the signer marks unfit requests as Failed",
    19,
    "signer/signer.go of 1.18.20 and 1.19.16"
);
since!(
    /// The admission plugin NodeRestriction looks at the common name that a node asks for.
    NODE_CSR_RESTRICTED,
    "a node may only request certificates in its own name",
    31,
    "plugin/pkg/admission/noderestriction/admission.go of 1.30.14 and 1.31.0"
);
since!(
    /// The kubelet does not ask for `key encipherment` with its ECDSA keys.
    NO_KEY_ENCIPHERMENT,
    "kubelets request no key encipherment",
    27,
    "pkg/kubelet/certificate/kubelet.go of 1.26.15 and 1.27.16"
);
since!(
    /// `--cluster-signing-duration`.
    SIGNING_DURATION_FLAG,
    "the flag --cluster-signing-duration",
    19,
    "app/options/csrsigningcontroller.go of 1.18.20 and 1.19.16"
);
since!(
    /// The kubelet takes changed files of its self-signed serving certificate into use.
    SERVING_FILE_RELOADS,
    "the kubelet reloads the files of its serving certificate",
    31,
    "pkg/kubelet/kubelet.go ReloadKubeletServerCertificateFile, on by default from 1.31"
);

/// kubectl says from which namespace it deleted something.
pub static DELETED_FROM_NAMESPACE: Behaviour<bool> = Behaviour {
    name: "kubectl delete names the namespace",
    rules: &[
        Rule {
            from: Version::new(34, 0),
            until: None,
            value: true,
            evidence: "kubectl/pkg/cmd/delete/delete.go of 0.34.0",
            not_checked_after: None,
        },
        rule(15, Some(34), false, "the same of 0.28.15 to 0.33.9"),
    ],
};

/// `--experimental-cluster-signing-duration`, the older spelling.
pub static EXPERIMENTAL_DURATION_FLAG: Behaviour<bool> = Behaviour {
    name: "the flag --experimental-cluster-signing-duration",
    rules: &[
        rule(
            25,
            None,
            false,
            "app/options/csrsigningcontroller.go of 1.25.16",
        ),
        rule(15, Some(25), true, "the same of 1.16.15 and 1.24.17"),
    ],
};

/// Long names of controllers (`cmd/kube-controller-manager/names`).
pub static LONG_CONTROLLER_NAMES: Behaviour<bool> = Behaviour {
    name: "long names of controllers",
    rules: &[
        rule(28, None, true, "names/controller_names.go of 1.28.15"),
        Rule {
            from: V15,
            until: Some(Version::new(28, 0)),
            value: false,
            evidence: "app/controllermanager.go of 1.27.16",
            not_checked_after: None,
        },
    ],
};

/// Names that `--controllers` knows in every version, as 1.16.15 has them.
pub const SHORT_CONTROLLER_NAMES: [&str; 36] = [
    "endpoint",
    "endpointslice",
    "replicationcontroller",
    "podgc",
    "resourcequota",
    "namespace",
    "serviceaccount",
    "serviceaccount-token",
    "garbagecollector",
    "daemonset",
    "job",
    "deployment",
    "replicaset",
    "horizontalpodautoscaling",
    "disruption",
    "statefulset",
    "cronjob",
    "csrsigning",
    "csrapproving",
    "csrcleaner",
    "ttl",
    "bootstrapsigner",
    "tokencleaner",
    "nodeipam",
    "nodelifecycle",
    "service",
    "route",
    "cloud-node-lifecycle",
    "persistentvolume-binder",
    "attachdetach",
    "persistentvolume-expander",
    "clusterrole-aggregation",
    "pvc-protection",
    "pv-protection",
    "ttl-after-finished",
    "root-ca-cert-publisher",
];

/// All version differences of this file that a run depends on.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    [
        SIGNING_POLICY.uncertainty(version),
        CA_FILE_ERROR.uncertainty(version),
        START_FAILURE.uncertainty(version),
    ]
    .into_iter()
    .flatten()
    .collect()
}
