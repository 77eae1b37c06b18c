//! The format as people write it. Resolving it into [`super::Scenario`] is the next stage.

mod expectation;
mod shape;
mod step;
mod when;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

pub(super) use expectation::{Body, ExpectFailure, Expectation, ProcessFacts};
pub(super) use shape::{OneOrMany, Short};
pub(super) use step::{
    ActionRaw, Apply, Decide, Edit, EditConfigMap, Exec, Image, Issue, Kubeadm, Kubectl, Lines,
    MoveManifests, Renew, RequestCertificate, Step, Upgrade,
};
pub(super) use when::{VERSION, When, holds};

use super::decode::{Decode, Fields, Problems, record};
use super::node::Node;
use super::problem::Problem;
use super::scalar::{ApiVersion, Approver, At, Forward, Kind, MetricsServer, NodePath};
use super::{Backend, HealthCheck, Invariant, Nodes, Position};
use crate::kubeadm::Version;
use crate::pki::KeyAlgorithm;
use crate::time::Timestamp;

record! {
    /// A certdrill scenario: a cluster, what happens to it, and what must be seen.
    "a scenario" pub(crate) struct Document {
        /// The version of the format.
        "apiVersion" api_version: At<ApiVersion>,
        /// What the file is.
        "kind" kind: At<Kind>,
        /// What it is called and about.
        "metadata" metadata: Metadata,
        /// The cluster, the steps and the expectations.
        "spec" spec: Spec,
    }
}

record! {
    /// What a scenario is called and about.
    "metadata" pub(crate) struct Metadata {
        /// Short name: small letters, digits and dashes.
        "name" name: At<Name>,
        /// One line that says what is shown.
        "title" title: At<String>,
        /// Link to the documentation page or issue.
        "reference" reference: Option<At<String>>,
        /// Words to select scenarios by.
        "tags" tags: Option<Vec<At<String>>>,
        /// Anything worth knowing.
        "description" description: Option<At<String>>,
    }
}

record! {
    /// The cluster, the steps and the expectations.
    "spec" pub(crate) struct Spec {
        /// Where it can be played; `[sim]` unless said otherwise.
        "backends" backends: Option<Vec<At<Backend>>>,
        /// Variants: every combination of these values is one run; `"{key}"` stands for the value anywhere.
        "matrix" matrix: Option<Matrix>,
        /// Observations that `certdrill verify` must compare at least; fewer is a failure. 1 unless said otherwise.
        "comparedAtLeast" compared_at_least: Option<At<u32>>,
        /// Built-in invariants that this scenario breaks on purpose.
        "optOut" opt_out: Option<Vec<OptOut>>,
        /// The cluster at the start.
        "cluster" cluster: Cluster,
        /// What happens, in order.
        "steps" steps: Vec<Step>,
        /// Must hold after every event.
        "always" always: Option<Vec<Expectation>>,
        /// Must have held at least once by a deadline.
        "eventually" eventually: Option<Vec<Eventually>>,
        /// Must hold at least once over a batch of seeds.
        "sometimes" sometimes: Option<Vec<Expectation>>,
    }
}

record! {
    /// The cluster at the start.
    "cluster" pub(crate) struct Cluster {
        /// Version of kubeadm and of the components.
        "version" version: At<Version>,
        /// Instant of `kubeadm init`; 2026-01-01T00:00:00Z unless said otherwise.
        "start" start: Option<At<Timestamp>>,
        /// How many nodes; one control plane and no worker unless said otherwise.
        "nodes" nodes: Option<NodeCounts>,
        /// The load balancer in front of several control planes.
        "loadBalancer" load_balancer: Option<LoadBalancer>,
        /// Nodes that are not part of the cluster until a `join` step adds them.
        "joinLater" join_later: Option<At<Nodes>>,
        /// `--upload-certs` at init: the certificates that control planes share are kept in a Secret for two hours.
        "uploadCerts" upload_certs: Option<At<bool>>,
        /// `encryptionAlgorithm` of the kubeadm configuration; RSA-2048 unless said otherwise.
        "keyAlgorithm" key_algorithm: Option<At<KeyAlgorithm>>,
        /// `certificateValidityPeriod` of the kubeadm configuration (1.31 and later).
        "certificateValidity" certificate_validity: Option<At<Forward>>,
        /// `caCertificateValidityPeriod` of the kubeadm configuration (1.31 and later).
        "caValidity" ca_validity: Option<At<Forward>>,
        /// `certificatesDir` of the kubeadm configuration; /etc/kubernetes/pki unless said otherwise.
        "certificatesDir" certificates_dir: Option<At<NodePath>>,
        /// Extra arguments of components, as `extraArgs` of the kubeadm configuration.
        "extraArgs" extra_args: Option<ExtraArgs>,
        /// `serverTLSBootstrap: true` for the kubelets.
        "serverTLSBootstrap" server_tls_bootstrap: Option<At<bool>>,
        /// The approver of kubelet serving certificates: naive, strict, denying or none.
        "servingApprover" serving_approver: Option<At<Approver>>,
        /// A metrics-server that asks every kubelet: verify, or insecure (--kubelet-insecure-tls).
        "metricsServer" metrics_server: Option<At<MetricsServer>>,
        /// Start with bare nodes: an `init` step makes the cluster.
        "bare" bare: Option<At<bool>>,
        /// Other dates than init gives: the cluster is made, then these certificates are issued again with the same
        /// names and keys, on every control plane (`kubelet` on every node), and everything is restarted.
        "certificates" certificates: Option<Dates>,
    }
}

record! {
    /// The load balancer in front of several control planes.
    "loadBalancer" pub(crate) struct LoadBalancer {
        /// A client always gets to the same API server: by its address, modulo the number of servers that are in.
        "sticky" sticky: Option<At<bool>>,
        /// How it finds out which servers are in: tcp (the default), httpsUnverified, httpsVerified.
        "healthCheck" health_check: Option<At<HealthCheck>>,
    }
}

record! {
    /// Dates of a certificate.
    "a certificate's dates" pub(crate) struct Validity {
        /// First second of validity; a year (CAs: ten) before `notAfter`, or that of init if it is earlier.
        "notBefore" not_before: Option<At<Timestamp>>,
        /// Last second of validity.
        "notAfter" not_after: At<Timestamp>,
    }
}

record! {
    /// A built-in invariant that is broken on purpose.
    "an item of optOut" pub(crate) struct OptOut {
        /// Which.
        "invariant" invariant: At<Invariant>,
        /// Why it does not hold here.
        "because" because: At<String>,
    }
}

record! {
    /// Extra arguments of components.
    "extraArgs" pub(crate) struct ExtraArgs {
        /// Of kube-controller-manager: flag without dashes, and its value.
        "controllerManager" controller_manager: Option<Arguments>,
    }
}

/// Flags and their values, in the order written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arguments(pub(crate) Vec<(String, String)>);

impl Decode for Arguments {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, "a mapping of flags to values", problems)?;
        let before = problems.len();
        let mut arguments = Vec::new();
        for (key, value) in fields.entries() {
            if key.text.starts_with('-') {
                problems.push::<()>(
                    Problem::new(key.at, format!("`{}` begins with a dash", key.text))
                        .help("extraArgs are written without dashes"),
                );
            }
            if let Some(value) = At::<String>::decode(value, problems) {
                arguments.push((key.text.clone(), value.value));
            }
        }
        (problems.len() == before).then_some(Self(arguments))
    }
}

impl JsonSchema for Arguments {
    fn schema_name() -> Cow<'static, str> {
        "Arguments".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
            "examples": [{ "cluster-signing-duration": "24h" }],
        })
    }
}

record! {
    /// How many nodes there are.
    "nodes" pub(crate) struct NodeCounts {
        /// Control planes, named cp1, cp2, ...
        "controlPlane" control_plane: Option<At<u32>>,
        /// Workers, named w1, w2, ...
        "worker" worker: Option<At<u32>>,
        /// Machines of an external etcd, named etcd1, etcd2, ...; without them each control plane runs a member.
        "etcd" etcd: Option<At<u32>>,
    }
}

record! {
    /// Something that must have held at least once by a deadline.
    "an item of eventually" pub(crate) struct Eventually {
        /// Deadline, in virtual time from the cluster's start.
        "within" within: At<Forward>,
        /// What must have held.
        "expect" expect: OneOrMany<Expectation>,
    }
}

/// `metadata.name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

super::scalar::checked_text! {
    Name, "a name of small letters, digits and dashes",
    |text| !text.is_empty()
        && text.len() <= 80
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-'),
    "for example kubelet-conf-embedded; it is what --include selects by",
    r"^[a-z0-9][a-z0-9-]*$"
}

/// `cluster.certificates`: kubeadm's names and their dates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dates {
    pub(crate) entries: Vec<(String, Validity)>,
}

impl Decode for Dates {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        use super::scalar::CERTIFICATES;
        let fields = Fields::of(node, "a mapping of certificates to dates", problems)?;
        let before = problems.len();
        let mut entries = Vec::new();
        for (key, value) in fields.entries() {
            if !CERTIFICATES.contains(&key.text.as_str()) {
                problems.push::<()>(
                    Problem::new(key.at, format!("unknown certificate `{}`", key.text))
                        .help(super::problem::suggest(&key.text, CERTIFICATES)),
                );
            }
            if let Some(validity) = Validity::decode(value, problems) {
                entries.push((key.text.clone(), validity));
            }
        }
        (problems.len() == before).then_some(Self { entries })
    }
}

impl JsonSchema for Dates {
    fn schema_name() -> Cow<'static, str> {
        "Dates".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let validity = generator.subschema_for::<Validity>();
        json_schema!({
            "type": "object",
            "propertyNames": { "enum": super::scalar::CERTIFICATES },
            "additionalProperties": validity,
            "examples": [{ "apiserver": { "notAfter": "2026-06-01T00:00:00Z" } }],
        })
    }
}

/// `spec.matrix`: keys and the values each can have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) at: Position,
    pub(crate) axes: Vec<(String, Vec<At<String>>)>,
}

impl Decode for Matrix {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, "a mapping of names to lists of values", problems)?;
        let before = problems.len();
        let mut axes = Vec::new();
        for (key, value) in fields.entries() {
            let valid = key.text.starts_with(|c: char| c.is_ascii_alphabetic())
                && key
                    .text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if !valid {
                problems.push::<()>(
                    Problem::new(key.at, format!("`{}` cannot be a matrix key", key.text))
                        .help("letters, digits, dashes and underscores, beginning with a letter"),
                );
            }
            let Some(values) = Vec::<At<String>>::decode(value, problems) else {
                continue;
            };
            if values.is_empty() {
                problems.push::<()>(Problem::new(
                    key.at,
                    format!("`{}` has no values, so there is nothing to run", key.text),
                ));
            }
            axes.push((key.text.clone(), values));
        }
        (problems.len() == before).then(|| Self {
            at: fields.at(),
            axes,
        })
    }
}

impl JsonSchema for Matrix {
    fn schema_name() -> Cow<'static, str> {
        "Matrix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": { "type": ["string", "number", "boolean"] },
            },
            "examples": [{ "version": ["v1.16.15", "v1.17.17"] }],
        })
    }
}
