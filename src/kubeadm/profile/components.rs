//! Which component takes new files into use without a restart, by version.

use super::{Behaviour, Rule, rule};
use crate::kubeadm::Version;

/// A set of files that a process holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Certificate and key a server shows.
    Serving,
    /// CAs a server accepts clients from.
    ClientCa,
    /// kube-apiserver's client certificate for etcd.
    EtcdClient,
    /// CA that kube-apiserver and etcd's members check etcd with.
    EtcdCa,
    /// kube-apiserver's client certificate for kubelets.
    KubeletClient,
    /// The aggregator's client certificate.
    FrontProxyClient,
    /// CA that extension API servers check the aggregator with.
    RequestHeaderCa,
    /// etcd's certificate towards other members.
    Peer,
    /// A kubeconfig: server, CA, client certificate.
    Kubeconfig,
    /// CA certificate and key of the CSR signer.
    Signer,
    /// Public key that ServiceAccount tokens are checked with.
    ServiceAccountKey,
    /// Private key that ServiceAccount tokens are signed with.
    ServiceAccountSigner,
    /// What kube-apiserver shows to itself; made at its start, in no file.
    Loopback,
    /// What kube-apiserver trusts itself by.
    LoopbackCa,
}

const FIRST: Version = Version::new(15, 0);

macro_rules! always {
    ($name:expr, $value:expr, $evidence:expr) => {
        &Behaviour {
            name: $name,
            rules: &[Rule {
                from: FIRST,
                until: None,
                value: $value,
                evidence: $evidence,
                not_checked_after: None,
            }],
        }
    };
}

static APISERVER_DYNAMIC: Behaviour<bool> = Behaviour {
    name: "kube-apiserver reloads its serving certificate and client CAs",
    rules: &[
        Rule {
            from: Version::new(17, 0),
            until: None,
            value: true,
            evidence: "apiserver/pkg/server/dynamiccertificates, dynamic from 1.17",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(Version::new(17, 0)),
            value: false,
            evidence: "kube-apiserver 1.16: serving certificate read at start",
            not_checked_after: None,
        },
    ],
};

/// What a leader of kube-controller-manager or kube-scheduler holds: path of its API, and the resource. Of 1.17 to 1.19 both
/// are held.
pub static LEADER_LOCK: Behaviour<(&'static str, &'static str)> = Behaviour {
    name: "object that a leader holds",
    rules: &[
        Rule {
            from: Version::new(17, 0),
            until: None,
            value: ("/apis/coordination.k8s.io/v1", "leases"),
            evidence: "component-base/config/v1alpha1/defaults.go: endpointsleases from 1.17, leases from 1.20; run of 1.36.3",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(Version::new(17, 0)),
            value: ("/api/v1", "endpoints"),
            evidence: "component-base/config/v1alpha1/defaults.go; run of 1.16.15",
            not_checked_after: None,
        },
    ],
};

/// How a component logs that it cannot read the lock of its leader.
pub static LOCK_ERROR_IS_STRUCTURED: Behaviour<bool> = Behaviour {
    name: "an error with a leader's lock is a structured log line",
    rules: &[
        rule(
            Version::new(35, 0),
            None,
            true,
            "client-go/tools/leaderelection/leaderelection.go of 0.35.3; run of 1.36.3",
        ),
        rule(
            FIRST,
            Some(Version::new(35, 0)),
            false,
            "client-go/tools/leaderelection/leaderelection.go of 0.15.12 to 0.34.4",
        ),
    ],
};

/// Whether a client begins with `tls: failed to verify certificate:` where it does not accept a server's certificate: it is built
/// with Go 1.20 or later (`crypto/tls.CertificateVerificationError`).
pub static NAMES_VERIFICATION: Behaviour<bool> = Behaviour {
    name: "a client says that it is verification that failed",
    rules: &[
        rule(
            Version::new(27, 0),
            None,
            true,
            "1.27 is built with Go 1.20; runs of 1.36.3",
        ),
        rule(
            Version::new(26, 7),
            Some(Version::new(27, 0)),
            true,
            "patch releases of July 2023 are built with Go 1.20.6 (kubernetes#119368)",
        ),
        rule(
            Version::new(26, 0),
            Some(Version::new(26, 7)),
            false,
            "1.26.0 is built with Go 1.19",
        ),
        rule(
            Version::new(25, 12),
            Some(Version::new(26, 0)),
            true,
            "patch releases of July 2023 are built with Go 1.20.6 (kubernetes#119368)",
        ),
        rule(
            FIRST,
            Some(Version::new(25, 12)),
            false,
            "built with Go 1.19 and before; reports of that time (kubernetes#86552, etcd#15949)",
        ),
    ],
};

/// Whether a component that finds a certificate outside its validity says what time it is: it is built with Go 1.15 or later
/// (`crypto/x509.CertificateInvalidError`).
pub static NAMES_CURRENT_TIME: Behaviour<bool> = Behaviour {
    name: "a certificate that has ended is told with the current time",
    rules: &[
        rule(
            Version::new(19, 0),
            None,
            true,
            "build/dependencies.yaml of 1.19.0: Go 1.15; golang/go#34646; runs of 1.36.3",
        ),
        rule(
            FIRST,
            Some(Version::new(19, 0)),
            false,
            "build/build-image/cross/VERSION of 1.10.5 (Go 1.9.3), 1.14.10, 1.15.12 (Go 1.12.17), 1.16.15, 1.17.17 and 1.18.20 \
             (Go 1.13.15)",
        ),
    ],
};

/// How kube-apiserver logs that it does not know a client.
pub static AUTHENTICATION_ERROR_IS_STRUCTURED: Behaviour<bool> = Behaviour {
    name: "an error of authentication is a structured log line",
    rules: &[
        rule(
            Version::new(21, 0),
            None,
            true,
            "apiserver/pkg/endpoints/filters/authentication.go of 0.21.14 to 0.37.2; run of 1.36.3",
        ),
        rule(
            FIRST,
            Some(Version::new(21, 0)),
            false,
            "apiserver/pkg/endpoints/filters/authentication.go of 0.15.12 to 0.20.15",
        ),
    ],
};

/// Which certificate it was that could not be verified.
pub static AUTHENTICATION_NAMES_CERTIFICATE: Behaviour<bool> = Behaviour {
    name: "an error of authentication names the certificate",
    rules: &[
        rule(
            Version::new(20, 0),
            None,
            true,
            "apiserver/pkg/authentication/request/x509/x509.go of 0.20.15 to 0.37.2; run of 1.36.3",
        ),
        rule(
            FIRST,
            Some(Version::new(20, 0)),
            false,
            "apiserver/pkg/authentication/request/x509/x509.go of 0.15.12 to 0.19.16",
        ),
    ],
};

static KUBELET_CLIENT: Behaviour<bool> = Behaviour {
    name: "kube-apiserver reloads apiserver-kubelet-client",
    rules: &[
        rule(
            Version::new(18, 0),
            None,
            true,
            "client-go/transport/transport.go ReloadTLSFiles of 0.18.0 (kubernetes#79083) to 0.36.3, which \
             pkg/kubelet/client/kubelet_client.go uses",
        ),
        rule(FIRST, Some(Version::new(18, 0)), false, "absent in 0.17.17"),
    ],
};

/// kube-apiserver closes open connections to kubelets when the certificate that they were made with has changed. Where it
/// does not, one goes on until it is idle for long, refused once that certificate has ended.
pub static KUBELET_CONNECTIONS_CLOSE: Behaviour<bool> = Behaviour {
    name: "kube-apiserver closes connections to kubelets after a reload",
    rules: &[
        rule(
            Version::new(27, 0),
            None,
            true,
            "pkg/kubelet/client/kubelet_client.go of 1.27.0 (kubernetes#115315)",
        ),
        rule(
            Version::new(26, 2),
            Some(Version::new(27, 0)),
            true,
            "the same of 1.26.3; picked to the patches of February 2023 (kubernetes#115566)",
        ),
        rule(
            Version::new(26, 0),
            Some(Version::new(26, 2)),
            false,
            "the same of 1.26.0 (kubernetes#114588)",
        ),
        rule(
            Version::new(25, 7),
            Some(Version::new(26, 0)),
            true,
            "the same of 1.25.16; picked to the patches of February 2023",
        ),
        rule(
            Version::new(25, 0),
            Some(Version::new(25, 7)),
            false,
            "the same of 1.25.0",
        ),
        rule(
            Version::new(24, 11),
            Some(Version::new(25, 0)),
            true,
            "the same of 1.24.17; picked to the patches of February 2023",
        ),
        rule(
            FIRST,
            Some(Version::new(24, 11)),
            false,
            "the same of 1.17.17, 1.19.16 and 1.23.17, and of 1.24.0",
        ),
    ],
};

static FRONT_PROXY: Behaviour<bool> = Behaviour {
    name: "the aggregator reloads front-proxy-client",
    rules: &[
        rule(
            Version::new(19, 0),
            None,
            true,
            "kube-aggregator/pkg/apiserver/apiserver.go of 0.19.16 to 0.28.15 and 0.36",
        ),
        rule(
            FIRST,
            Some(Version::new(19, 0)),
            false,
            "the same of 0.17.17, 0.18.0 and 0.18.19: read at start",
        ),
    ],
};

static HANDSHAKE: &Behaviour<bool> = always!(
    "etcd's TLS code reads certificates at each handshake",
    true,
    "etcd client/pkg/transport/listener.go GetCertificate and GetClientCertificate, vendored from 3.2.13 (1.10) on"
);

static AT_START: &Behaviour<bool> = always!(
    "read once at start",
    false,
    "client-go/transport/transport.go: static if either key or cert was data; listener.go ClientConfig"
);

/// Whether a running process takes changed files of a slot into use by itself.
#[must_use]
pub fn reloads(slot: Slot) -> &'static Behaviour<bool> {
    match slot {
        Slot::Serving | Slot::ClientCa | Slot::RequestHeaderCa => &APISERVER_DYNAMIC,
        Slot::EtcdClient => HANDSHAKE,
        Slot::Peer => &ETCD_HANDSHAKE,
        Slot::KubeletClient => &KUBELET_CLIENT,
        Slot::FrontProxyClient => &FRONT_PROXY,
        Slot::EtcdCa
        | Slot::Kubeconfig
        | Slot::Loopback
        | Slot::LoopbackCa
        | Slot::ServiceAccountKey
        | Slot::ServiceAccountSigner => AT_START,
        Slot::Signer => &SIGNER,
    }
}

/// As [`reloads`], for etcd's own serving certificate.
#[must_use]
pub fn etcd_serving_reloads() -> &'static Behaviour<bool> {
    &ETCD_HANDSHAKE
}

static ETCD_HANDSHAKE: Behaviour<bool> = Behaviour {
    name: "etcd reads its certificates at each handshake",
    rules: &[
        rule(
            Version::new(11, 0),
            None,
            true,
            "etcd pkg/transport/listener.go of 3.2.18 (1.11), 3.2.24, 3.3.10 and 3.3.27",
        ),
        rule(
            Version::OLDEST_HISTORIC,
            Some(Version::new(11, 0)),
            false,
            "etcd 3.1.12 (1.10); it came with 3.2.0 (etcd#7829)",
        ),
    ],
};

static SIGNER: Behaviour<bool> = Behaviour {
    name: "the CSR signer reloads its CA files",
    rules: &[
        Rule {
            from: Version::new(18, 0),
            until: None,
            value: true,
            evidence: "pkg/controller/certificates/signer/ca_provider.go, there in 1.18.0 and read in 1.36",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(Version::new(18, 0)),
            value: false,
            evidence: "1.16 reads the CA when the controller starts",
            not_checked_after: None,
        },
    ],
};

/// Whole days that the certificate lives which kube-apiserver makes for its connection to itself.
pub static LOOPBACK_DAYS: Behaviour<i64> = Behaviour {
    name: "life of kube-apiserver's loopback certificate",
    rules: &[
        Rule {
            from: Version::new(33, 0),
            until: None,
            value: 3 * 365 + 1,
            evidence: "apiserver/pkg/server/options/serving_with_loopback.go maxAge, in 0.33.0 and not in 0.32.0; \
                       kubernetes#130047",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(Version::new(33, 0)),
            value: 365,
            evidence: "client-go/util/cert/cert.go GenerateSelfSignedCertKey of 0.15.12 and 0.28.15",
            not_checked_after: None,
        },
    ],
};

/// `/livez` fails when the loopback certificate's time is over, so that the kubelet restarts kube-apiserver.
pub static LOOPBACK_LIVENESS: Behaviour<bool> = Behaviour {
    name: "the health check loopback-serving-certificate",
    rules: &[
        Rule {
            from: Version::new(36, 0),
            until: None,
            value: true,
            evidence: "serving_with_loopback.go addLoopbackServingCertificateHealthCheck of 0.36.0; kubernetes#136477",
            not_checked_after: None,
        },
        Rule {
            from: FIRST,
            until: Some(Version::new(36, 0)),
            value: false,
            evidence: "absent in 0.35.4",
            not_checked_after: None,
        },
    ],
};

/// All version differences of this file that a run depends on.
#[must_use]
pub fn uncertainties(version: Version) -> Vec<String> {
    [&APISERVER_DYNAMIC, &KUBELET_CLIENT, &FRONT_PROXY, &SIGNER]
        .iter()
        .filter_map(|behaviour| behaviour.uncertainty(version))
        .collect()
}
