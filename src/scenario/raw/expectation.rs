//! Expectations: a mapping whose first key says what is looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::step::entry_position;
use super::{OneOrMany, When};
use crate::pki::KeyAlgorithm;
use crate::scenario::decode::{Decode, Fields, Problems, record};
use crate::scenario::node::{Key, Node};
use crate::scenario::problem::Problem;
use crate::scenario::scalar::{
    AllEdges, At, CertificateName, EdgeText, Mode, NodePath, Range, Scalar, ShownBy,
};
use crate::scenario::{Connection, EdgeExpectation, Nodes, Position, ProcessState, Target, select};
use crate::time::Timestamp;

/// Something that must be seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expectation {
    pub(crate) at: Position,
    pub(crate) when: Option<When>,
    pub(crate) body: Body,
}

/// A negative control.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectFailure {
    pub(crate) expectation: Expectation,
    pub(crate) because: Option<At<String>>,
}

/// Declares the forms of an expectation.
macro_rules! forms {
    ($($key:literal $variant:ident($type:ty),)*) => {
        /// What is looked at, as written.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Body {
            $($variant($type),)*
            /// `kubelet@cp1: { state: exited }`.
            OfProcess(At<Target>, ProcessFacts),
        }

        const KEYS: &[&str] = &[$($key),*];

        fn decode_form(
            key: &str,
            fields: &Fields<'_>,
            extra: &[&'static str],
            problems: &mut Problems,
        ) -> Option<Body> {
            match key {
                $($key => <$type>::read(fields, extra, problems).map(Body::$variant),)*
                _ => None,
            }
        }

        fn form_schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
            vec![$(<$type>::json_schema(generator)),*]
        }
    };
}

forms! {
    "edge" Edge(Edge),
    "edges" Edges(Edges),
    "process" Process(Process),
    "certificate" Certificate(Box<Certificate>),
    "output" Output(Output),
    "residual" Residual(Residual),
    "file" File(File),
    "etcd" Etcd(Etcd),
    "node" Node(NodeReady),
    "csr" Csr(Csr),
    "verify" Verify(Verify),
}

/// A form that is large enough to be kept elsewhere is read as the others.
trait ReadForm: Sized {
    fn read(fields: &Fields<'_>, extra: &[&'static str], problems: &mut Problems) -> Option<Self>;
}

impl ReadForm for Box<Certificate> {
    fn read(fields: &Fields<'_>, extra: &[&'static str], problems: &mut Problems) -> Option<Self> {
        Certificate::read(fields, extra, problems).map(Self::new)
    }
}

/// `kubelet@cp1` as a key.
fn is_process_key(key: &str) -> bool {
    key.contains('@')
}

fn decode(
    node: &Node,
    extra: &[&'static str],
    problems: &mut Problems,
) -> Option<(Expectation, Option<At<String>>)> {
    let fields = Fields::of(
        node,
        "an expectation such as { edge: \"kubelet@cp1 -> apiserver\", is: ok }",
        problems,
    )?;
    let before = problems.len();
    let when = fields.read::<Option<When>>("when", problems);
    let because = match extra.contains(&"because") {
        true => fields.read::<Option<At<String>>>("because", problems),
        false => Some(None),
    };
    let (key, value) = fields.discriminant("expectation", KEYS, extra, is_process_key, problems)?;
    let body = if is_process_key(&key.text) {
        decode_short(key, value, &fields, extra, problems)
    } else {
        decode_form(&key.text, &fields, extra, problems)
    };
    if problems.len() > before {
        return None;
    }
    let expectation = Expectation {
        at: entry_position(key, value),
        when: when?,
        body: body?,
    };
    Some((expectation, because?))
}

fn decode_short(
    key: &Key,
    value: &Node,
    fields: &Fields<'_>,
    extra: &[&'static str],
    problems: &mut Problems,
) -> Option<Body> {
    for (other, _) in fields.entries() {
        if other.text != key.text && !extra.contains(&other.text.as_str()) {
            problems.push::<()>(
                Problem::new(
                    other.at,
                    format!("unknown key `{}` beside `{}`", other.text, key.text),
                )
                .help(format!(
                    "what is expected goes into the mapping: {}: {{ {}: … }}",
                    key.text, other.text
                )),
            );
        }
    }
    let target = match select::process(&key.text) {
        Ok(value) => Some(At { value, at: key.at }),
        Err(error) => {
            let mut problem = Problem::new(key.at, error.to_string());
            problem.help = error.help();
            problems.push(problem)
        }
    };
    let facts = ProcessFacts::decode(value, problems);
    Some(Body::OfProcess(target?, facts?))
}

impl Decode for Expectation {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        decode(node, &["when"], problems).map(|(expectation, _)| expectation)
    }
}

impl Decode for ExpectFailure {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        decode(node, &["when", "because"], problems).map(|(expectation, because)| Self {
            expectation,
            because,
        })
    }
}

/// Every form, each with the keys that may stand beside it.
fn schema(generator: &mut SchemaGenerator, because: bool) -> Schema {
    let mut beside = vec![("when", generator.subschema_for::<When>())];
    if because {
        beside.push((
            "because",
            json_schema!({ "type": "string", "description": "Text that must be part of what is seen." }),
        ));
    }
    let mut forms = form_schemas(generator);
    let facts = generator.subschema_for::<ProcessFacts>();
    forms.push(json_schema!({
        "description": "A process by its name: kubelet@cp1.",
        "type": "object",
        "properties": {},
        "patternProperties": { "^[a-z-]+@.+$": facts },
        "additionalProperties": false,
    }));
    for form in &mut forms {
        if let Some(properties) = form.get_mut("properties").and_then(|p| p.as_object_mut()) {
            for (key, schema) in &beside {
                properties.insert((*key).to_owned(), schema.clone().to_value());
            }
        }
    }
    json_schema!({ "anyOf": forms })
}

impl JsonSchema for Expectation {
    fn schema_name() -> Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(generator, false)
    }
}

impl JsonSchema for ExpectFailure {
    fn schema_name() -> Cow<'static, str> {
        "ExpectFailure".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(generator, true)
    }
}

record! {
    /// The state of an edge.
    "an `edge` expectation" pub(crate) struct Edge {
        /// Client and server: kubelet@cp1 -> apiserver.
        "edge" edge: At<EdgeText>,
        /// `fresh` (a new handshake and request) unless said otherwise; `held` for the open connection.
        "connection" connection: Option<At<Connection>>,
        /// What must be seen.
        "is" is: Option<At<EdgeExpectation>>,
        /// Text that must be part of the failure.
        "text" text: Option<At<String>>,
    }
}

record! {
    /// Every edge of the cluster.
    "an `edges` expectation" pub(crate) struct Edges {
        /// `all`.
        "edges" edges: At<AllEdges>,
        /// What must be seen.
        "is" is: At<EdgeExpectation>,
    }
}

record! {
    /// The state of a process.
    "a `process` expectation" pub(crate) struct Process {
        /// Which process: kubelet@cp1.
        "process" process: At<Target>,
        /// What must be seen.
        "state" state: Option<At<ProcessState>>,
        /// Text that is part of its log.
        "log" log: Option<At<String>>,
        /// Text that is not part of its log.
        "logWithout" log_without: Option<At<String>>,
        /// Whether it is another process than before.
        "restarted" restarted: Option<At<bool>>,
        /// Whether it holds in memory what a file has now.
        "loaded" loaded: Option<Loaded>,
    }
}

record! {
    /// The state of a process.
    "a process" pub(crate) struct ProcessFacts {
        /// What must be seen.
        "state" state: Option<At<ProcessState>>,
        /// Text that is part of its log.
        "log" log: Option<At<String>>,
        /// Text that is not part of its log.
        "logWithout" log_without: Option<At<String>>,
        /// Whether it is another process than before.
        "restarted" restarted: Option<At<bool>>,
        /// Whether it holds in memory what a file has now.
        "loaded" loaded: Option<Loaded>,
    }
}

record! {
    /// What a process holds in memory, compared with a file.
    "loaded" pub(crate) struct Loaded {
        /// The file.
        "file" file: At<NodePath>,
        /// `true`: it holds what the file has now; `false`: something else.
        "onDisk" on_disk: At<bool>,
    }
}

record! {
    /// A certificate on disk.
    "a `certificate` expectation" pub(crate) struct Certificate {
        /// kubeadm's name, or an absolute path.
        "certificate" certificate: At<CertificateName>,
        /// On which nodes; every control plane unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
        /// Whether the file exists.
        "exists" exists: Option<At<bool>>,
        /// Whether it is valid at the node's time.
        "valid" valid: Option<At<bool>>,
        /// Remaining life in days: ">= 300", "<= 30" or "1..30".
        "daysLeft" days_left: Option<At<Range>>,
        /// Whether it was issued again by the last step that could do so.
        "renewed" renewed: Option<At<bool>>,
        /// Age in days: "<= 1".
        "ageDays" age_days: Option<At<Range>>,
        /// How many certificates there are under this name (dated files of the kubelet).
        "count" count: Option<At<u64>>,
        /// Its common name.
        "commonName" common_name: Option<At<String>>,
        /// Its organisation, or all of them as a list; `[]` for none.
        "organization" organization: Option<OneOrMany<At<String>>>,
        /// DNS names and IP addresses that it carries.
        "names" names: Option<OneOrMany<At<String>>>,
        /// DNS names and IP addresses that it does not carry.
        "namesWithout" names_without: Option<OneOrMany<At<String>>>,
        /// A file of the node whose first certificate signed it.
        "signedBy" signed_by: Option<At<NodePath>>,
        /// Algorithm of its key.
        "keyAlgorithm" key_algorithm: Option<At<KeyAlgorithm>>,
        /// Its first second.
        "notBefore" not_before: Option<At<Timestamp>>,
        /// Its last second.
        "notAfter" not_after: Option<At<Timestamp>>,
        /// How many certificates its file holds; of a kubeconfig, how many CAs it trusts.
        "inFile" in_file: Option<At<u64>>,
    }
}

record! {
    /// The last command that ran.
    "an `output` expectation" pub(crate) struct Output {
        /// On which nodes.
        "output" nodes: At<Nodes>,
        /// Its exit code.
        "exitCode" exit_code: Option<At<i32>>,
        /// Text that standard output contains; or a list.
        "stdout" stdout: Option<OneOrMany<At<String>>>,
        /// Text that standard output does not contain; or a list.
        "stdoutWithout" stdout_without: Option<OneOrMany<At<String>>>,
        /// Text that standard error contains; or a list.
        "stderr" stderr: Option<OneOrMany<At<String>>>,
    }
}

record! {
    /// RESIDUAL TIME as `kubeadm certs check-expiration` would print it now.
    "a `residual` expectation" pub(crate) struct Residual {
        /// Row and RESIDUAL TIME; "*" for every row.
        "residual" residual: Rows,
        /// On which nodes; every control plane unless said otherwise.
        "nodes" nodes: Option<At<Nodes>>,
    }
}

record! {
    /// A file of a node.
    "a `file` expectation" pub(crate) struct File {
        /// Absolute path.
        "file" file: At<NodePath>,
        /// On which nodes.
        "nodes" nodes: At<Nodes>,
        /// Whether it exists.
        "exists" exists: Option<At<bool>>,
        /// Text it contains.
        "contains" contains: Option<At<String>>,
        /// Text it does not contain.
        "without" without: Option<At<String>>,
        /// Permission bits, in octal and in quotes.
        "mode" mode: Option<At<Mode>>,
        /// Where the symlink points.
        "link" link: Option<At<String>>,
    }
}

record! {
    /// etcd's members.
    "an `etcd` expectation" pub(crate) struct Etcd {
        /// What must be seen of etcd.
        "etcd" facts: EtcdFacts,
    }
}

record! {
    /// etcd's members.
    "etcd" pub(crate) struct EtcdFacts {
        /// Whether a leader can be elected.
        "quorum" quorum: Option<At<bool>>,
        /// How many members answer.
        "members" members: Option<At<u32>>,
    }
}

record! {
    /// A Node as `kubectl get nodes` shows it.
    "a `node` expectation" pub(crate) struct NodeReady {
        /// Which nodes.
        "node" nodes: At<Nodes>,
        /// `true` for Ready, `false` for NotReady.
        "ready" ready: At<bool>,
    }
}

record! {
    /// Certificate signing requests.
    "a `csr` expectation" pub(crate) struct Csr {
        /// What must be seen of them.
        "csr" facts: CsrFacts,
    }
}

record! {
    /// Certificate signing requests.
    "csr" pub(crate) struct CsrFacts {
        /// Only those that kubelets of these nodes posted, or that were posted from there.
        "of" of: Option<At<Nodes>>,
        /// Only those for a signer.
        "signer" signer: Option<At<String>>,
        /// How many are pending.
        "pending" pending: Option<At<u32>>,
        /// How many are approved and not issued.
        "approved" approved: Option<At<u32>>,
        /// How many are denied.
        "denied" denied: Option<At<u32>>,
        /// How many failed.
        "failed" failed: Option<At<u32>>,
        /// How many are issued and not deleted.
        "issued" issued: Option<At<u32>>,
        /// How many there are in any state: ">= 90", "<= 100" or "90..100".
        "listed" listed: Option<At<Range>>,
        /// Text in the reason or message of a condition.
        "message" message: Option<At<String>>,
        /// How many were issued since the start, at least.
        "issuedMin" issued_min: Option<At<u32>>,
    }
}

record! {
    /// Whether someone who verifies accepts a certificate.
    "a `verify` expectation" pub(crate) struct Verify {
        /// The file that holds it.
        "verify" path: At<NodePath>,
        /// On which nodes.
        "nodes" nodes: At<Nodes>,
        /// Who shows it: server or client; server unless said otherwise.
        "as" shown_by: Option<At<ShownBy>>,
        /// The DNS name or IP address that is asked for.
        "name" name: Option<At<String>>,
        /// The CA file of the one who verifies; /etc/kubernetes/pki/ca.crt unless said otherwise.
        "ca" ca: Option<At<NodePath>>,
        /// Whether it is accepted.
        "accepted" accepted: At<bool>,
        /// Text that must be part of the refusal.
        "text" text: Option<At<String>>,
    }
}

/// `residual:`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows(pub(crate) BTreeMap<String, String>);

impl Decode for Rows {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, "a mapping of rows to RESIDUAL TIME", problems)?;
        let before = problems.len();
        let mut rows = BTreeMap::new();
        for (key, value) in fields.entries() {
            if key.text != "*" && CertificateName::parse(&key.text).is_err() {
                problems.push::<()>(
                    Problem::new(
                        key.at,
                        format!("check-expiration has no row `{}`", key.text),
                    )
                    .help(crate::scenario::problem::suggest(
                        &key.text,
                        crate::scenario::scalar::CERTIFICATES,
                    )),
                );
            }
            if let Some(time) = At::<String>::decode(value, problems) {
                rows.insert(key.text.clone(), time.value);
            }
        }
        (problems.len() == before).then_some(Self(rows))
    }
}

impl JsonSchema for Rows {
    fn schema_name() -> Cow<'static, str> {
        "Rows".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "examples": [{ "*": "364d", "apiserver": "<invalid>" }],
        })
    }
}
