//! Scalars that are one of a few words.

use schemars::{Schema, json_schema};

use super::{Complaint, PLACEHOLDER, Scalar};
use crate::pki::{ExtKeyUsage, KeyAlgorithm};
use crate::scenario::problem::{listed, nearest};
use crate::scenario::{
    ApproverPolicy, Backend, CertificateKey, Component, Connection, EdgeExpectation, HealthCheck,
    Invariant, ProcessState,
};

/// Declares how the values of an enum are written.
macro_rules! words {
    ($($type:ty, $what:literal: { $($word:literal => $value:expr,)* })*) => {$(
        impl Scalar for $type {
            const WHAT: &'static str = $what;

            fn parse(text: &str) -> Result<Self, Complaint> {
                match text {
                    $($word => Ok($value),)*
                    _ => {
                        let words = [$($word),*];
                        let complaint =
                            Complaint::new(format!("`{text}` is not {}", Self::WHAT));
                        Err(complaint.help(match nearest(text, words) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("use one of {}", listed(words)),
                        }))
                    }
                }
            }

            fn schema() -> Schema {
                json_schema!({ "anyOf": [
                    { "enum": [$($word),*] },
                    { "type": "string", "pattern": PLACEHOLDER },
                ] })
            }
        }
    )*};
}

/// `apiVersion:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiVersion;

/// `kind:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind;

/// `edges: all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AllEdges;

/// `servingApprover:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Approver(pub(crate) Option<ApproverPolicy>);

/// `metricsServer:`; whether it verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricsServer(pub(crate) bool);

/// `approve: pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending;

/// `as:` of a verification; whether a server shows the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShownBy(pub(crate) bool);

words! {
    Approver, "an approver of serving certificates": {
        "naive" => Self(Some(ApproverPolicy::Naive)),
        "strict" => Self(Some(ApproverPolicy::Strict)),
        "denying" => Self(Some(ApproverPolicy::Denying)),
        "none" => Self(None),
    }
    MetricsServer, "a way to run a metrics-server": {
        "verify" => Self(true),
        "insecure" => Self(false),
    }
    HealthCheck, "a health check": {
        "tcp" => Self::Tcp,
        "httpsUnverified" => Self::HttpsUnverified,
        "httpsVerified" => Self::HttpsVerified,
    }
    Pending, "a set of requests": {
        "pending" => Self,
    }
    ShownBy, "one who shows a certificate": {
        "server" => Self(true),
        "client" => Self(false),
    }
    ApiVersion, "the format that this certdrill reads": {
        "certdrill/v1" => Self,
    }
    Kind, "a kind of file that certdrill reads": {
        "Scenario" => Self,
    }
    Invariant, "a built-in invariant": {
        "validEdges" => Self::ValidEdges,
        "validity" => Self::Validity,
        "identity" => Self::Identity,
        "kubeletCertificate" => Self::KubeletCertificate,
        "etcdQuorum" => Self::EtcdQuorum,
    }
    AllEdges, "a set of edges": {
        "all" => Self,
    }
    Backend, "a backend": {
        "sim" => Self::Sim,
        "kubeadm" => Self::Kubeadm,
        "kind" => Self::Kind,
    }
    Connection, "a kind of connection": {
        "fresh" => Self::Fresh,
        "held" => Self::Held,
    }
    EdgeExpectation, "a state of an edge": {
        "ok" => Self::Ok,
        "failing" => Self::Failing,
        "partial" => Self::Partial,
        "absent" => Self::Absent,
    }
    ProcessState, "a state of a process": {
        "running" => Self::Running,
        "exited" => Self::Exited,
        "stopped" => Self::Stopped,
    }
    KeyAlgorithm, "an algorithm that kubeadm knows": {
        "RSA-2048" => Self::Rsa2048,
        "RSA-3072" => Self::Rsa3072,
        "RSA-4096" => Self::Rsa4096,
        "ECDSA-P256" => Self::EcdsaP256,
        "ECDSA-P384" => Self::EcdsaP384,
    }
    ExtKeyUsage, "an extended key usage": {
        "serverAuth" => Self::ServerAuth,
        "clientAuth" => Self::ClientAuth,
        "codeSigning" => Self::CodeSigning,
        "any" => Self::Any,
    }
    Component, "a static Pod": {
        "etcd" => Self::Etcd,
        "kube-apiserver" => Self::ApiServer,
        "kube-controller-manager" => Self::ControllerManager,
        "kube-scheduler" => Self::Scheduler,
    }
}

impl Scalar for CertificateKey {
    const WHAT: &'static str = "true, false, first, or the hexadecimal digits of a key";

    fn parse(text: &str) -> Result<Self, Complaint> {
        match text {
            "first" => Ok(Self::First),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self::Literal(text.to_owned()))
            }
            _ => match bool::parse(text) {
                Ok(true) => Ok(Self::Last),
                Ok(false) => Ok(Self::None),
                Err(_) => Err(Complaint::new(format!(
                    "expected {}, found `{text}`",
                    Self::WHAT
                ))),
            },
        }
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [
            { "type": "boolean" },
            { "type": "string", "pattern": "^(first|[0-9A-Fa-f]+)$" },
            { "type": "string", "pattern": PLACEHOLDER },
        ] })
    }
}
