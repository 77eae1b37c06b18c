//! Steps: one key that says what is done, and `when`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{ExpectFailure, Expectation, OneOrMany, Short, When};
use crate::kubeadm::Version;
use crate::pki::{ExtKeyUsage, KeyAlgorithm};
use crate::scenario::decode::{Decode, Fields, Problems, record};
use crate::scenario::node::{Key, Node, Value};
use crate::scenario::problem::Problem;
use crate::scenario::scalar::{Approver, At, Forward, Mode, NodePath, Pending, Place};
use crate::scenario::{CertificateKey, Component, Nodes, Passage, Position, Target};
use crate::time::SignedDuration;

/// A step and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: Position,
    pub(crate) when: Option<When>,
    pub(crate) action: ActionRaw,
}

/// Declares what a step can be: enum, decoder by key and JSON Schema.
macro_rules! actions {
    ($($(#[doc = $doc:literal])* $key:literal $variant:ident($type:ty),)*) => {
        /// What a step does, as written.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum ActionRaw {
            $($(#[doc = $doc])* $variant($type),)*
        }

        impl ActionRaw {
            const KEYS: &'static [&'static str] = &[$($key),*];

            fn decode(key: &str, node: &Node, problems: &mut Problems) -> Option<Self> {
                match key {
                    $($key => <$type>::decode(node, problems).map(Self::$variant),)*
                    _ => None,
                }
            }

            fn properties(generator: &mut SchemaGenerator) -> serde_json::Map<String, serde_json::Value> {
                let mut properties = serde_json::Map::new();
                $({
                    let mut schema = generator.subschema_for::<$type>();
                    let doc = [$($doc),*].concat();
                    schema.insert("description".to_owned(), doc.trim().into());
                    properties.insert($key.to_owned(), schema.to_value());
                })*
                properties
            }
        }
    };
}

actions! {
    /// Time passes and everything keeps running: 300d, until 2027-01-01T00:00:00Z, to day 255.5.
    "walk" Walk(At<Passage>),
    /// The wall clocks step forward; timers do not.
    "jump" Jump(At<Forward>),
    /// The wall clocks step back; timers do not.
    "stepBack" StepBack(At<Forward>),
    /// The clocks of some nodes differ from now on, by this much in all.
    "skew" Skew(Skew),
    /// Nodes are powered off while time passes, then on again.
    "dormant" Dormant(Short<At<Forward>, Dormant>),
    /// kubeadm init on the first control plane and join on the others; for a cluster that starts bare.
    "init" Init(Init),
    /// kubeadm join of nodes that the cluster's joinLater names, or that were reset.
    "join" Join(Short<At<Nodes>, Join>),
    /// kubeadm reset --force, on nodes whose version is 1.28 or later.
    "reset" Reset(At<Nodes>),
    /// Make a certificate without kubeadm: a CA of one's own, a leaf that it signs, a request that it signs.
    "issue" Issue(Box<Issue>),
    /// kubeadm certs renew, spelled as the node's version wants; on every control plane unless said otherwise.
    "renew" Renew(Short<At<String>, Renew>),
    /// kubeadm certs check-expiration, spelled as the node's version wants.
    "checkExpiration" CheckExpiration(Short<At<Nodes>, OnNodes>),
    /// kubeadm upgrade apply on the first of the nodes, upgrade node on the others.
    "upgrade" Upgrade(Short<At<Version>, Upgrade>),
    /// Any kubeadm command line, literally; on cp1 unless said otherwise.
    "kubeadm" Kubeadm(Short<At<String>, Kubeadm>),
    /// kubectl with admin.conf: get csr, certificate approve, delete clusterrolebinding and a few others; on cp1
    /// unless said otherwise.
    "kubectl" Kubectl(Short<At<String>, Kubectl>),
    /// kubectl certificate approve, of every pending request or of some.
    "approve" Approve(Short<At<Pending>, Decide>),
    /// kubectl certificate deny, of every pending request or of some.
    "deny" Deny(Short<At<Pending>, Decide>),
    /// Post a certificate signing request with a kubeconfig of a node.
    "requestCertificate" RequestCertificate(Box<RequestCertificate>),
    /// Install an approver of kubelet serving certificates: naive, strict, denying; none removes it.
    "servingApprover" ServingApprover(At<Approver>),
    /// Edit a ConfigMap in kube-system.
    "editConfigMap" EditConfigMap(EditConfigMap),
    /// A shell script of your own, on real backends: kubeadm and openssl at the node's time, the scenario's
    /// directory under /scenario; on cp1 unless said otherwise.
    "exec" Exec(Short<At<String>, Exec>),
    /// kubectl apply of a file beside the scenario, on real clusters: an approver of your own; on cp1 unless said otherwise.
    "apply" Apply(Short<At<String>, Apply>),
    /// Load a container image that this machine has into the nodes of a real cluster; on all nodes unless said otherwise.
    "image" Image(Short<At<String>, Image>),
    /// Stop and start a process, and wait until the new one runs.
    "restart" Restart(At<Target>),
    /// Stop a process and keep it stopped.
    "stop" Stop(At<Target>),
    /// Start a stopped process.
    "start" Start(At<Target>),
    /// Reboot nodes.
    "reboot" Reboot(At<Nodes>),
    /// The documented restart of static Pods: move the manifests away, wait, move them back.
    "moveManifests" MoveManifests(Short<At<Nodes>, MoveManifests>),
    /// Change a file.
    "edit" Edit(Box<Edit>),
    /// Remove files.
    "remove" Remove(Remove),
    /// Copy a file, also between nodes.
    "copy" Copy(Copy),
    /// A remark in the timeline.
    "note" Note(At<String>),
    /// Must hold now: an expectation, or a list of them.
    "expect" Expect(OneOrMany<Expectation>),
    /// A negative control: must not hold now.
    "expectFailure" ExpectFailure(Box<ExpectFailure>),
}

impl Decode for Step {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Scalar(word) = &node.value
            && ActionRaw::KEYS.contains(&word.as_str())
        {
            return problems.push(
                Problem::new(node.at, format!("`{word}` says too little")).help(format!(
                    "write `{word}: …`, or `{word}: {{}}` where there is nothing to say"
                )),
            );
        }
        let fields = Fields::of(node, "a step such as `walk: 300d`", problems)?;
        let before = problems.len();
        let when = fields.read::<Option<When>>("when", problems);
        let (key, value) =
            fields.discriminant("step", ActionRaw::KEYS, &["when"], |_| false, problems)?;
        fields.reject_unknown(
            "a step; options go into a mapping below its key",
            ActionRaw::KEYS,
            &["when"],
            problems,
        );
        let action = ActionRaw::decode(&key.text, value, problems);
        if problems.len() > before {
            return None;
        }
        Some(Self {
            at: entry_position(key, value),
            when: when?,
            action: action?,
        })
    }
}

/// From the key to the end of its value, as far as that is on the key's line.
pub(super) fn entry_position(key: &Key, value: &Node) -> Position {
    let end = value.at.offset + value.at.len;
    let same_line = value.at.line == key.at.line && end > key.at.offset;
    Position {
        len: match value.value {
            Value::Scalar(_) if same_line => end - key.at.offset,
            _ => key.at.len,
        },
        ..key.at
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = ActionRaw::properties(generator);
        properties.insert(
            "when".to_owned(),
            generator.subschema_for::<When>().to_value(),
        );
        json_schema!({
            "description": "One thing that happens.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 2,
        })
    }
}

record! {
    /// The clocks of some nodes differ.
    "skew" pub(crate) struct Skew {
        /// Which nodes.
        "nodes" nodes: At<Nodes>,
        /// Their offset from true time; negative for clocks that are late.
        "by" by: At<SignedDuration>,
    }
}

record! {
    /// Nodes are powered off.
    "dormant" pub(crate) struct Dormant {
        /// Which nodes; all unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// For how long.
        "for" span: At<Forward>,
    }
}

record! {
    /// Renews certificates.
    "renew" pub(crate) struct Renew {
        /// On which nodes; every control plane unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// `all` or a certificate's name.
        "name" name: At<String>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// Which nodes.
    "this step" pub(crate) struct OnNodes {
        /// Which nodes; every control plane unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
    }
}

record! {
    /// kubeadm join.
    "join" pub(crate) struct Join {
        /// Which nodes, one after the other.
        "nodes" nodes: At<Nodes>,
        /// `--certificate-key` of control planes: true for the last one that was printed, first for the first one, or
        /// hexadecimal digits; with false the shared certificates must be there already. True unless said otherwise.
        "certificateKey" certificate_key: Option<At<CertificateKey>>,
        /// Expected exit code; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// An upgrade.
    "upgrade" pub(crate) struct Upgrade {
        /// Which nodes, in order; all unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// The version to upgrade to.
        "to" to: At<Version>,
        /// `--certificate-renewal`.
        "certificateRenewal" certificate_renewal: Option<At<bool>>,
        /// `--etcd-upgrade`.
        "etcdUpgrade" etcd_upgrade: Option<At<bool>>,
        /// `--config`: a file of the node that holds an `UpgradeConfiguration` (kubeadm v1.30 and later), which decides instead of
        /// the flags. `to` is given on the command line, too, and wins over the file's `kubernetesVersion`.
        "config" config: Option<At<NodePath>>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// A kubeadm command.
    "kubeadm" pub(crate) struct Kubeadm {
        /// Which nodes; cp1 unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// What follows `kubeadm`: text that is split at blanks, or a list.
        "args" args: OneOrMany<At<String>>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
        /// A file of the node that standard output is written to.
        "stdoutTo" stdout_to: Option<At<NodePath>>,
    }
}

record! {
    /// A kubectl command.
    "kubectl" pub(crate) struct Kubectl {
        /// Which nodes; cp1 unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// What follows `kubectl`: text that is split at blanks, or a list.
        "args" args: OneOrMany<At<String>>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// Pending requests to decide about.
    "this step" pub(crate) struct Decide {
        /// Nodes whose kubelets posted them; everyone's unless said otherwise.
        "of" of: Option<At<Nodes>>,
        /// Only those for a signer: kubernetes.io/kubelet-serving.
        "signer" signer: Option<At<String>>,
    }
}

record! {
    /// A certificate signing request.
    "requestCertificate" pub(crate) struct RequestCertificate {
        /// The kubeconfig it is posted with: w1:/etc/kubernetes/kubelet.conf.
        "with" with: At<Place>,
        /// The signer.
        "signer" signer: At<String>,
        /// CN of the subject.
        "commonName" common_name: At<String>,
        /// O of the subject; or a list.
        "organizations" organizations: Option<OneOrMany<At<String>>>,
        /// DNS names; or a list.
        "dnsNames" dns_names: Option<OneOrMany<At<String>>>,
        /// IP addresses; or a list.
        "ipAddresses" ip_addresses: Option<OneOrMany<At<String>>>,
        /// Usages: client auth; or a list.
        "usages" usages: OneOrMany<At<String>>,
        /// spec.expirationSeconds.
        "expirationSeconds" expiration_seconds: Option<At<u32>>,
        /// A file of the node that certificate and key go to when it is issued.
        "saveTo" save_to: Option<At<NodePath>>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// A change to a ConfigMap: give `content`, `setLines` or `append`.
    "editConfigMap" pub(crate) struct EditConfigMap {
        /// Its name: kubeadm-config; kubelet-config, which before 1.24 stands for kubelet-config-1.X of the cluster's version.
        "name" name: At<String>,
        /// The key of its data.
        "key" key: At<String>,
        /// The whole new content.
        "content" content: Option<At<String>>,
        /// Lines by the key they begin with, and what the line becomes.
        "setLines" set_lines: Option<Lines>,
        /// Lines to add at the end.
        "append" append: Option<At<String>>,
    }
}

record! {
    /// A shell script of your own.
    "exec" pub(crate) struct Exec {
        /// Which nodes; cp1 unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// What the shell runs (`sh -ec`).
        "run" run: At<String>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// Objects for a real cluster: give `file` or `manifest`.
    "apply" pub(crate) struct Apply {
        /// Where kubectl runs, with admin.conf; cp1 unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// A file, relative to the scenario's.
        "file" file: Option<At<String>>,
        /// The objects themselves, as YAML.
        "manifest" manifest: Option<At<String>>,
        /// The exit code that is expected; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// A container image for a real cluster: give `name` or `archive`.
    "image" pub(crate) struct Image {
        /// Which nodes; all unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// An image that the container engine of this machine has.
        "name" name: Option<At<String>>,
        /// An archive as docker save writes it, relative to the scenario's file.
        "archive" archive: Option<At<String>>,
    }
}

record! {
    /// The documented restart of static Pods.
    "moveManifests" pub(crate) struct MoveManifests {
        /// On which nodes.
        "nodes" nodes: At<Nodes>,
        /// Which static Pods; all four unless said otherwise.
        "components" components: Option<Vec<At<Component>>>,
        /// How long the manifests stay away; 20s unless said otherwise.
        "wait" wait: Option<At<Forward>>,
        /// Wait until the old processes are gone and the new ones run, instead of a fixed time.
        "untilRestarted" until_restarted: Option<At<bool>>,
        /// Leave the manifests out.
        "leaveOut" leave_out: Option<At<bool>>,
        /// Only move manifests back that an earlier step left out.
        "back" back: Option<At<bool>>,
    }
}

record! {
    /// kubeadm init and join.
    "init" pub(crate) struct Init {
        /// The exit code that is expected of the first command that fails; 0 unless said otherwise.
        "exitCode" exit_code: Option<At<i32>>,
    }
}

record! {
    /// A certificate that is made without kubeadm.
    "issue" pub(crate) struct Issue {
        /// On which nodes; cp1 unless said otherwise. Each gets its own.
        "nodes" nodes: Option<At<Nodes>>,
        /// Where to: PATH.crt, and PATH.key with a new key.
        "path" path: At<NodePath>,
        /// What signs it: SIGNER.crt and SIGNER.key on the same node. Without it the certificate signs itself.
        "signer" signer: Option<At<NodePath>>,
        /// A request to sign. Subject, names and key come from it; a request says nothing of usages or validity.
        "request" request: Option<At<NodePath>>,
        /// A key of the node that is used instead of a new one: a CA that is made anew with its own key.
        "key" key: Option<At<NodePath>>,
        /// Common name.
        "commonName" common_name: Option<At<String>>,
        /// Organisation, or a list.
        "organization" organization: Option<OneOrMany<At<String>>>,
        /// DNS names and IP addresses.
        "names" names: Option<OneOrMany<At<String>>>,
        /// Extended key usages: serverAuth, clientAuth.
        "usages" usages: Option<OneOrMany<At<ExtKeyUsage>>>,
        /// Whether it is a CA.
        "ca" ca: Option<At<bool>>,
        /// Algorithm of a new key; RSA-2048 unless said otherwise.
        "keyAlgorithm" key_algorithm: Option<At<KeyAlgorithm>>,
        /// How long it is valid from now on; 8760h, a CA 87600h, unless said otherwise.
        "validity" validity: Option<At<Forward>>,
        /// How far its beginning is set back; 5m unless said otherwise.
        "backdate" backdate: Option<At<Forward>>,
        /// Write the signer's certificates behind it.
        "chain" chain: Option<At<bool>>,
    }
}

record! {
    /// Data of a kubeconfig, each from a file of the node.
    "embed" pub(crate) struct Embed {
        /// `certificate-authority-data`.
        "certificateAuthority" certificate_authority: Option<At<NodePath>>,
        /// `client-certificate-data`.
        "clientCertificate" client_certificate: Option<At<NodePath>>,
        /// `client-key-data`.
        "clientKey" client_key: Option<At<NodePath>>,
    }
}

record! {
    /// A change to a file: give one of `content`, `setLines`, `replace`, `append`, `setFlags`, `concatenate`, `embed` and
    /// `mode`.
    "edit" pub(crate) struct Edit {
        /// On which nodes.
        "nodes" nodes: At<Nodes>,
        /// Which file.
        "path" path: At<NodePath>,
        /// The whole new content.
        "content" content: Option<At<String>>,
        /// Lines by the key they begin with, and what the line becomes.
        "setLines" set_lines: Option<Lines>,
        /// Flags of the command in a static Pod's manifest, without dashes, and their values.
        "setFlags" set_flags: Option<Lines>,
        /// Files of the node whose contents the file is made of, in this order: a CA bundle.
        "concatenate" concatenate: Option<Vec<At<NodePath>>>,
        /// Data of a kubeconfig that is taken from files of the node.
        "embed" embed: Option<Embed>,
        /// Text to replace, and what takes its place.
        "replace" replace: Option<Lines>,
        /// Lines to add at the end.
        "append" append: Option<At<String>>,
        /// Permission bits, in octal and in quotes.
        "mode" mode: Option<At<Mode>>,
    }
}

record! {
    /// Files to remove.
    "remove" pub(crate) struct Remove {
        /// On which nodes.
        "nodes" nodes: At<Nodes>,
        /// Which files.
        "paths" paths: OneOrMany<At<NodePath>>,
    }
}

record! {
    /// A copy of a file.
    "copy" pub(crate) struct Copy {
        /// Node and path, as cp1:/etc/kubernetes/admin.conf.
        "from" from: At<Place>,
        /// Nodes and path.
        "to" to: At<Place>,
    }
}

/// `setLines`: the key a line begins with, and the whole new line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lines(pub(crate) Vec<(String, At<String>)>);

impl Decode for Lines {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, "a mapping of keys to new lines", problems)?;
        let before = problems.len();
        let lines = fields
            .entries()
            .iter()
            .filter_map(|(key, value)| {
                At::<String>::decode(value, problems).map(|line| (key.text.clone(), line))
            })
            .collect();
        (problems.len() == before).then_some(Self(lines))
    }
}

impl JsonSchema for Lines {
    fn schema_name() -> Cow<'static, str> {
        "Lines".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "examples": [{
                "client-certificate-data":
                    "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem",
            }],
        })
    }
}
