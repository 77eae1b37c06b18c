//! What the kubelet does and prints, by version.

use super::{Behaviour, Rule, rule};
use crate::kubeadm::Version;

/// How the line about an expired bootstrap certificate is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredBootstrap {
    /// `Part of the existing bootstrap client certificate is expired: ...`
    Capital,
    /// `part of the existing bootstrap client certificate is expired: ...`
    WithoutPath,
    /// `part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: ...`
    WithPath,
}

/// How the fatal start-up error is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// klog.Fatal: `failed to run Kubelet: ...`, exit status 255.
    Klog,
    /// `"command failed" err="failed to run Kubelet: ..."`, exit status 1.
    Structured,
}

/// The kubelet's configuration says where the container runtime is; before, flags do.
pub static RUNTIME_IN_CONFIG: Behaviour<bool> = Behaviour {
    name: "containerRuntimeEndpoint in the kubelet's configuration",
    rules: &[
        rule(
            Version::new(27, 0),
            None,
            true,
            "staging/src/k8s.io/kubelet/config/v1beta1/types.go of 1.27.16",
        ),
        rule(
            Version::OLDEST_HISTORIC,
            Some(Version::new(27, 0)),
            false,
            "the same of 1.26.15",
        ),
    ],
};

/// A kubelet on cgroup v1 runs only if its configuration allows it, from some version on; this is the field that does.
pub static FAIL_CGROUP_V1: Behaviour<bool> = Behaviour {
    name: "failCgroupV1 in the kubelet's configuration",
    rules: &[
        rule(
            Version::new(31, 0),
            None,
            true,
            "staging/src/k8s.io/kubelet/config/v1beta1/types.go of 1.31.0",
        ),
        rule(
            Version::OLDEST_HISTORIC,
            Some(Version::new(31, 0)),
            false,
            "the same of 1.30.14",
        ),
    ],
};

/// A kubelet may be told that it lacks capabilities.
pub static IN_USER_NAMESPACE: Behaviour<bool> = Behaviour {
    name: "the kubelet's feature gate KubeletInUserNamespace",
    rules: &[
        rule(
            Version::new(22, 0),
            None,
            true,
            "pkg/features/kube_features.go of 1.22.0",
        ),
        rule(
            Version::OLDEST_HISTORIC,
            Some(Version::new(22, 0)),
            false,
            "the same of 1.21.14",
        ),
    ],
};

/// `client-go/util/certificate` and `kubelet/certificate/bootstrap`.
pub static EXPIRED_BOOTSTRAP: Behaviour<ExpiredBootstrap> = Behaviour {
    name: "wording of the kubelet's expired bootstrap certificate",
    rules: &[
        Rule {
            from: Version::new(21, 0),
            until: None,
            value: ExpiredBootstrap::WithPath,
            evidence: "the path is missing up to 1.20; run of 1.36.3 has it",
            not_checked_after: None,
        },
        Rule {
            from: Version::new(16, 0),
            until: Some(Version::new(21, 0)),
            value: ExpiredBootstrap::WithoutPath,
            evidence: "source and run of 1.16.15; kubernetes#99645 (1.19)",
            not_checked_after: Some(Version::new(15, 12)),
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(16, 0)),
            value: ExpiredBootstrap::Capital,
            evidence: "pkg/kubelet/certificate/bootstrap/bootstrap.go of 1.10.5 to 1.15.12; minikube#11966",
            not_checked_after: None,
        },
    ],
};

/// `cmd/kubelet/app/server.go`, `component-base/cli/run.go`.
pub static FATAL: Behaviour<Fatal> = Behaviour {
    name: "wording of the kubelet's fatal start-up error",
    rules: &[
        Rule {
            from: Version::new(23, 0),
            until: None,
            value: Fatal::Structured,
            evidence: "cmd/kubelet/kubelet.go of 1.23.17 and not of 1.22.17; kind#3492 (1.25.0), run of 1.36.3",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(23, 0)),
            value: Fatal::Klog,
            evidence: "glog.Fatal in cmd/kubelet/app/server.go of 1.10.5; run of 1.16.15; kubernetes#99645",
            not_checked_after: None,
        },
    ],
};

/// The two lines a kubelet prints when it has been without a certificate for five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCertificate {
    /// The API server answers: the kubelet exits.
    pub responsive: &'static str,
    /// It does not: the kubelet goes on.
    pub unresponsive: &'static str,
}

/// `pkg/kubelet/certificate/transport.go`.
pub static NO_CERTIFICATE: Behaviour<NoCertificate> = Behaviour {
    name: "wording of a kubelet without valid client certificate",
    rules: &[
        Rule {
            from: Version::new(21, 0),
            until: None,
            value: NoCertificate {
                responsive: "No valid client certificate is found and the server is responsive, exiting.",
                unresponsive: "No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
            },
            evidence: "source of 1.21.14 to 1.28.15 and 1.36.3",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(21, 0)),
            value: NoCertificate {
                responsive: "It has been 5m0s since a valid client cert was found and the server is responsive, exiting.",
                unresponsive: "It has been 5m0s since a valid client cert was found, but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
            },
            evidence: "source of 1.10.5, 1.12.5 and 1.14.10 to 1.20.15",
            not_checked_after: None,
        },
    ],
};

/// `client-go/util/certificate/certificate_manager.go`; `{}` is the signer's name.
pub static UNSIGNED: Behaviour<&'static str> = Behaviour {
    name: "wording of a kubelet whose request is not signed",
    rules: &[
        Rule {
            from: Version::new(33, 0),
            until: None,
            value: "\"Certificate request was not signed\" logger=\"{}\"",
            evidence: "client-go 0.33.9 and 0.36.3",
            not_checked_after: None,
        },
        Rule {
            from: Version::new(22, 0),
            until: Some(Version::new(33, 0)),
            value: "{}: certificate request was not signed: timed out waiting for the condition",
            evidence: "client-go 0.22.17 and 0.32.13",
            not_checked_after: None,
        },
        Rule {
            from: Version::new(16, 0),
            until: Some(Version::new(22, 0)),
            value: "certificate request was not signed: timed out waiting for the condition",
            evidence: "client-go 0.16.15 and 0.21.14",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(16, 0)),
            value: "Certificate request was not signed: timed out waiting for the condition",
            evidence: "client-go/util/certificate/certificate_manager.go of 1.10.5, 1.12.5, 1.14.10 and 1.15.12",
            not_checked_after: None,
        },
    ],
};

/// What a kubelet does at its start where kubelet.conf holds no unexpired certificate and there is a bootstrap kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// It asks before anything else, and writes what it gets to kubelet-client.crt and .key. kubelet.conf names those, and its store
    /// goes on showing kubelet-client-current.pem where that exists.
    StaticPair,
    /// It asks before anything else, and stores what it gets as it stores what it rotates.
    Store,
    /// It starts, and its certificate manager asks with the token.
    Background,
}

/// `pkg/kubelet/certificate/bootstrap/bootstrap.go`.
pub static BOOTSTRAP: Behaviour<Bootstrap> = Behaviour {
    name: "how a kubelet asks for its first certificate",
    rules: &[
        Rule {
            from: Version::new(14, 0),
            until: None,
            value: Bootstrap::Background,
            evidence: "LoadClientConfig of 1.14.10 to 1.36.3",
            not_checked_after: None,
        },
        Rule {
            from: Version::new(11, 0),
            until: Some(Version::new(14, 0)),
            value: Bootstrap::Store,
            evidence: "LoadClientCert of 1.11.10, 1.12.5 and 1.13.12 (kubernetes#62152)",
            not_checked_after: None,
        },
        Rule {
            from: Version::OLDEST_HISTORIC,
            until: Some(Version::new(11, 0)),
            value: Bootstrap::StaticPair,
            evidence: "LoadClientCert of 1.10.5",
            not_checked_after: None,
        },
    ],
};

/// All version differences of this file that a run depends on.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    [
        EXPIRED_BOOTSTRAP.uncertainty(version),
        FATAL.uncertainty(version),
        NO_CERTIFICATE.uncertainty(version),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::joining::BOOTSTRAP_CONF_REMOVED;
    use super::*;

    #[test]
    fn kubelets_of_old_versions_bootstrap_and_speak_as_their_sources_say() {
        for (minor, bootstrap, words, removed) in [
            (10, Bootstrap::StaticPair, ExpiredBootstrap::Capital, false),
            (11, Bootstrap::Store, ExpiredBootstrap::Capital, false),
            (13, Bootstrap::Store, ExpiredBootstrap::Capital, false),
            (14, Bootstrap::Background, ExpiredBootstrap::Capital, false),
            (15, Bootstrap::Background, ExpiredBootstrap::Capital, false),
            (
                16,
                Bootstrap::Background,
                ExpiredBootstrap::WithoutPath,
                true,
            ),
            (21, Bootstrap::Background, ExpiredBootstrap::WithPath, true),
        ] {
            let version = Version::new(minor, 5);
            assert_eq!(*BOOTSTRAP.at(version), bootstrap, "{version}");
            assert_eq!(*EXPIRED_BOOTSTRAP.at(version), words, "{version}");
            assert_eq!(*BOOTSTRAP_CONF_REMOVED.at(version), removed, "{version}");
        }
    }
}
