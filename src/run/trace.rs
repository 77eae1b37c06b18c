//! The trace: everything that happened and was seen, in order. Reports read it and nothing else.
//!
//! Serialised as JSON lines, one [`Record`] a line, the first one a [`Entry::Header`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::StateChange;
use crate::time::Timestamp;

/// The version of the format, written into the header.
pub const FORMAT: &str = "certdrill.trace/v1";

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the record, from 0.
    pub seq: u64,
    /// True virtual time.
    pub at: Timestamp,
    /// What it says.
    pub entry: Entry,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Entry {
    /// The beginning of a run.
    Header(Header),
    /// A step of the scenario begins.
    Step(StepEntry),
    /// Something happened.
    Event(Event),
    /// The state of the world changed.
    State(Box<StateChange>),
    /// Something was seen.
    Observation(Observation),
    /// An expectation was judged.
    Expectation(Judgement),
    /// The end of a run.
    Verdict(VerdictEntry),
}

/// What is needed to repeat a run and to read its trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Version of certdrill.
    pub certdrill: String,
    /// `metadata.name`.
    pub scenario: String,
    /// `metadata.title`.
    pub title: String,
    /// File it was read from.
    pub file: String,
    /// Link to documentation or issue.
    pub reference: Option<String>,
    /// Values of the matrix.
    pub variant: BTreeMap<String, String>,
    /// Those of them that were given from outside and do not stand in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// `sim`, `kubeadm` or `kind`.
    pub backend: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Version of Kubernetes at the start.
    pub version: String,
    /// Instant of the cluster's start.
    pub start: Timestamp,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// What is not certain about this version's behaviour.
    pub warnings: Vec<String>,
}

/// A step of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepEntry {
    /// Number of the step, from 1.
    pub index: u32,
    /// Line in the file.
    pub line: u32,
    /// The step in a few words: `walk 300d`, `renew all on cp1`.
    pub text: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What kind of event, dotted: `certificate.expired`, `kubelet.rotated`, `process.started`.
    pub kind: EventKind,
    /// How much it matters to a reader.
    pub weight: Weight,
    /// Node it happened on.
    pub node: Option<String>,
    /// Process, file, certificate or edge it happened to.
    pub subject: String,
    /// One line for a person.
    pub text: String,
    /// Output or log lines that belong to it.
    pub detail: Option<String>,
    /// Sequence number of the record that caused it.
    pub cause: Option<u64>,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventKind {
    /// Time moved: walk, jump, dormant, skew, step back.
    #[serde(rename = "clock.moved")]
    ClockMoved,
    /// kubeadm ran.
    #[serde(rename = "command.ran")]
    CommandRan,
    /// A certificate was written.
    #[serde(rename = "certificate.issued")]
    CertificateIssued,
    /// A certificate on disk reached its NotAfter.
    #[serde(rename = "certificate.expired")]
    CertificateExpired,
    /// A file changed by a step.
    #[serde(rename = "file.changed")]
    FileChanged,
    /// A process started.
    #[serde(rename = "process.started")]
    ProcessStarted,
    /// A process was asked to stop.
    #[serde(rename = "process.stopping")]
    ProcessStopping,
    /// A process ended.
    #[serde(rename = "process.ended")]
    ProcessEnded,
    /// A running process took new files into use.
    #[serde(rename = "process.reloaded")]
    ProcessReloaded,
    /// A process said something worth reading.
    #[serde(rename = "process.logged")]
    ProcessLogged,
    /// A kubelet's rotation deadline was drawn.
    #[serde(rename = "kubelet.deadline")]
    KubeletDeadline,
    /// A kubelet rotated its client certificate.
    #[serde(rename = "kubelet.rotated")]
    KubeletRotated,
    /// A CSR was created, approved, denied, issued or removed.
    #[serde(rename = "csr.changed")]
    CsrChanged,
    /// An edge began to fail.
    #[serde(rename = "edge.failed")]
    EdgeFailed,
    /// An edge works again.
    #[serde(rename = "edge.restored")]
    EdgeRestored,
    /// A leader was elected or lost.
    #[serde(rename = "leader.changed")]
    LeaderChanged,
    /// etcd's quorum was lost or regained.
    #[serde(rename = "etcd.quorum")]
    EtcdQuorum,
    /// A Node became Ready or NotReady.
    #[serde(rename = "node.condition")]
    NodeCondition,
    /// A node was powered off or on.
    #[serde(rename = "node.power")]
    NodePower,
    /// A remark of the scenario.
    #[serde(rename = "note")]
    Note,
}

/// How much an event matters to a reader of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Weight {
    /// Shown with `--verbose` only.
    Detail,
    /// Shown.
    Normal,
    /// Shown, as something that went wrong.
    Trouble,
}

/// One fact seen at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// `edge`, `certificate`, `loaded`, `process`, `csr`, `command`, `etcd`, `node`, `file`.
    pub kind: String,
    /// What it is a fact of: `kubelet@cp1 -> kube-apiserver`, `apiserver@cp1`.
    pub subject: String,
    /// The aspect: `fresh`, `held`, `notAfter`, `stdout`, ...
    pub aspect: String,
    /// The value.
    pub value: Value,
}

/// A value as a backend can supply it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// One value.
    Exact(serde_json::Value),
    /// A number between two bounds, both included: jitter, restart delays.
    Interval {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// It cannot be seen here.
    Unobservable {
        /// Why.
        reason: String,
    },
}

/// An expectation and how it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Line in the file.
    pub line: u32,
    /// Column in the file.
    pub column: u32,
    /// Byte offset and length in the file, for a caret.
    pub span: (usize, usize),
    /// `expect`, `expectFailure`, `always`, `eventually`, `sometimes`, or `command` for a step whose command
    /// exited with another code than expected.
    pub form: String,
    /// What was expected, in words.
    pub expected: String,
    /// What was seen, in words.
    pub seen: String,
    /// Node or process it is about.
    pub subject: String,
    /// Whether it holds.
    pub passed: bool,
    /// Sequence number of the event that brought the seen state about.
    pub cause: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictEntry {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, for all but `passed`.
    pub reason: Option<String>,
    /// Something on the machine that played it failed: no fact of the world, of no kubeadm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub machine_failed: bool,
    /// Expectations that were judged.
    pub expectations: u32,
    /// Events that were processed.
    pub events: u64,
    /// Virtual seconds from the cluster's start.
    pub virtual_seconds: i64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every expectation held.
    Passed,
    /// An expectation did not hold.
    Failed,
    /// Two backends disagree.
    Diverged,
    /// The run says nothing about the subject.
    Infrastructure,
}
